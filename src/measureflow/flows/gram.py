"""The closed Gram equation: where Q, K and V are numbers, the overlaps of tokens on a sphere move by themselves."""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from measureflow.errors import BadInput
from measureflow.fields import Field, MultiHead, SelfAttention, Softmax, Unnormalised
from measureflow.fields.field import Parallel
from measureflow.fields.matrices import apply, is_scalar
from measureflow.fields.scores import Dot
from measureflow.flows.closed import Closure, move
from measureflow.flows.record import as_recorders, check_recorders, values_along
from measureflow.measures import Tokens
from measureflow.paths import Merges, Path, Recipe
from measureflow.spaces import Sphere, is_traced

__all__ = ["gram", "heads_of"]

#: how far a Gram matrix may be from one of unit vectors
ROUNDING = 1e-10


class Overlaps(Closure):
    r"""The Gram matrix $G_{ij} = \langle x_i, x_j\rangle$ under attention with numbers for Q, K and V.

    $$ \dot G = PG + (PG)^T - (q1^T + 1q^T)\circ G, \qquad P = \sum_h V_h A_h, \quad q_i = \sum_k P_{ik} G_{ik} $$

    with the attention matrices `A_h`, which depend on `G` alone.
    """

    tokens: Tokens

    def rate(self, rows: Float[Array, "n n"]) -> Float[Array, "n n"]:
        """Return the time derivative of the Gram matrix."""
        pulls = sum(pulls_of(head, rows, self.tokens) for head in heads_of("gram", self.field))
        pulled = pulls @ rows
        loss = jnp.sum(pulls * rows, axis=1)
        return pulled + pulled.T - (loss[:, None] + loss[None, :]) * rows


def pulls_of(head: SelfAttention, rows: Float[Array, "n n"], tokens: Tokens) -> Float[Array, "n n"]:
    """Return `V A` of one head: a row of G holds a token's overlaps with all, as if these were its coordinates."""
    axes = tokens.replace(points=jnp.eye(rows.shape[0]))
    weights = head.kernel.weights(rows, tokens.positions, axes)
    return apply(head.value, weights)


def heads_of(verb: str, field: Field) -> list[SelfAttention]:
    """Return the heads of a field that moves overlaps by themselves; raise `BadInput` for any other."""
    if isinstance(field, (MultiHead, Parallel)):
        parts = field.heads if isinstance(field, MultiHead) else field.parts
        return [head for part in parts for head in heads_of(verb, part)]
    if isinstance(field, SelfAttention):
        kernel = field.kernel
        plain = isinstance(kernel.score, Dot) and isinstance(kernel.weighting, (Softmax, Unnormalised))
        if plain and all(is_scalar(matrix) for matrix in field.matrices):
            return [field]
    raise BadInput(
        f"{verb}: the equation closes for dot-product attention, softmax or unnormalised, with numbers for query, key "
        f"and value, and not for {field!r}; use mf.flow."
    )


def gram(
    start: Any, field: Field, *, until: Any, save: Any = None, solver: Any = None, record: Any = (), masses: Any = None
) -> Path:
    r"""Move tokens on a sphere by the closed equation of their Gram matrix, at a cost that no dimension enters.

    $$ \dot G = PG + (PG)^T - (q1^T + 1q^T)\circ G, \qquad q_i = \sum_k P_{ik}G_{ik} $$

    `P = VA` is the attention matrix (with heads, the sum over them). The result is a path of n tokens on `Sphere(n)`
    with these Gram matrices, so that every observable of overlaps can be taken; the tokens themselves are known up to
    a rotation at each time, and the root of G is shown. Overlaps are right to the solver's tolerance in absolute terms:
    tokens nearer than its square root are better resolved by `mf.flow`.

    Main arguments:
        start: tokens on a sphere, or a Gram matrix of unit vectors `(n, n)`.
        field: dot-product attention with numbers for query, key and value; heads of it; a mask is allowed.
        until, save, solver, record: as in `mf.flow`; until is a time, and the default solver is sharp (1e-12).
        masses: `(n,)` with a Gram matrix; equal ones if None.

    Raises:
        BadInput: the equation does not close for the field; start is no configuration on a sphere.

    Source: derived from [arXiv:2312.10794](https://arxiv.org/abs/2312.10794), (2.2) and (2.5).

    Example:
        >>> import measureflow as mf
        >>> tokens, field = mf.uniform(mf.Sphere(2000), n=5, seed=0), mf.SelfAttention(beta=4.0)
        >>> short, full = mf.flows.gram(tokens, field, until=2.0, save=3), mf.flow(tokens, field, until=2.0, save=3)
        >>> abs(mf.observe.cosines(short) - mf.observe.cosines(full)).max() < 1e-8
        Array(True, dtype=bool)
    """
    tokens, overlaps = as_overlaps(start, masses)
    heads_of("gram", field.at(0.0) if isinstance(field, Field) else field)
    recorders = as_recorders(record)
    shown = on_sphere(tokens, overlaps)
    if not is_traced(shown, field):
        check_recorders(recorders, shown, field)
    path = move("gram", overlaps, Overlaps(field, shown), until=until, save=save, solver=solver)
    states = lifted(shown, path.points)
    recorded = values_along(recorders, field, states, path.times) if recorders else {}
    traced = is_traced(path.points, path.times, field, solver)
    parts = {"until": until, "times": path.times, "solver": solver, "record": [one.description for one in recorders]}
    return dataclasses.replace(
        path,
        measure=states.replace(labels=tokens.labels),
        recorded=recorded,
        merges=Merges.none(tokens),
        stats={name: value for name, value in path.stats.items() if name != "sphere_defect"},
        field=field,
        recipe=path.recipe if traced else Recipe.of("gram", tokens=tokens, field=field, **parts),
        again=None,
    )


def as_overlaps(start: Any, masses: Any) -> tuple[Tokens, Array]:
    """Return tokens with the masses and places of `start`, and its Gram matrix."""
    if isinstance(start, Tokens):
        if not isinstance(start.space, Sphere) or masses is not None:
            raise BadInput("gram: give tokens on a sphere (with their own masses), or a Gram matrix with masses=.")
        if not is_traced(start.present) and not np.asarray(start.present).all():
            raise BadInput("gram: some tokens are absent; leave them out, they move nothing.")
        unit = start.space.project(start.points)
        return start, unit @ unit.T
    matrix = np.asarray(start, float)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
        raise BadInput(f"gram: start has shape {matrix.shape}; give tokens, or a Gram matrix (n, n) with n >= 2.")
    off = max(np.abs(np.diag(matrix) - 1).max(), np.abs(matrix - matrix.T).max(), -np.linalg.eigvalsh(matrix)[0])
    if not off < ROUNDING:
        raise BadInput(
            f"gram: start is off the Gram matrices of unit vectors by {off:.3g}; it must be symmetric and positive "
            f"semi-definite with ones on the diagonal."
        )
    return on_sphere(Tokens(Sphere(len(matrix)), np.eye(len(matrix)), masses), jnp.asarray(matrix)), jnp.asarray(matrix)


def on_sphere(tokens: Tokens, overlaps: Float[Array, "n n"]) -> Tokens:
    """Return tokens on `Sphere(n)` with the Gram matrix: its root, which changes continuously with it."""
    values, vectors = jnp.linalg.eigh(overlaps)
    root = (vectors * jnp.sqrt(jnp.maximum(values, 0))) @ vectors.T
    space = Sphere(overlaps.shape[0])
    return tokens.replace(space=space, points=space.project(root), labels=None)


@eqx.filter_jit
def lifted(tokens: Tokens, overlaps: Float[Array, "s n n"]) -> Tokens:
    """Return tokens with each of the Gram matrices, along a leading axis."""
    return jax.lax.map(lambda matrix: on_sphere(tokens, matrix), overlaps)

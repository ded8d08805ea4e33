"""`layers`: discrete depth, the map that a network performs. Not a solver of the flow, and never called one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from measureflow.errors import BadInput
from measureflow.fields import Field, Normalisation, default_normalisation
from measureflow.flows.record import Recorders, as_recorders, check_recorders, kept_indices, values_of
from measureflow.measures import Tokens
from measureflow.paths import STATUSES, Merges, Path, Recipe
from measureflow.spaces import is_traced

__all__ = ["layers"]


def layers(
    tokens: Tokens,
    field: Field | Sequence[Field],
    *,
    depth: int | None = None,
    step: float | None = None,
    normalisation: Normalisation | None = None,
    record: Any = (),
    keep: Any = "all",
) -> Path:
    r"""Apply layers: $x \leftarrow N(x + h\,A(x;\mu))$, what a network does.

    One step contracts a cluster by $1/(1+h)$, so this is first-order near the flow, and a thing of its own.

    Main arguments:
        tokens: the initial measure.
        field: one field, applied `depth` times with step `step`; or a sequence of sub-layers applied in turn.
        depth: number of layers; for a sequence the default is all of it.
        step: the residual step h; 1 for a sequence unless given.

    Other arguments:
        normalisation: `None` is PostLN on a sphere and no norm on Euclidean space.
        record, keep: as in `flow`; the states are those after whole layers. `keep="sublayers"` keeps every sub-layer.

    The path's times are `step * layer` for one field and the layer index for a sequence.

    Raises:
        BadInput: arguments of wrong kind or value.

    Example:
        >>> import measureflow as mf
        >>> shallow = mf.layers(mf.uniform(mf.Sphere(3), n=20, seed=0), mf.SelfAttention(beta=9.0), depth=24, step=0.1)
        >>> len(shallow)
        25
    """
    if not isinstance(tokens, Tokens):
        raise BadInput(
            f"layers: tokens are {type(tokens).__name__}; give mf.Tokens(space, points) or a law such as mf.uniform."
        )
    scheme = normalisation or default_normalisation(tokens.space)
    scheme.check(tokens.space)
    one = isinstance(field, Field)
    if one and (depth is None or step is None):
        raise BadInput(
            "layers: one field needs depth= (how many layers) and step= (the residual step, 1 for a plain block)."
        )
    blocks = checked_blocks([field] if one else field)
    h = checked_step(1.0 if step is None else step)
    turns = checked_depth(len(blocks) if depth is None else depth, one, blocks)
    recorders = as_recorders(record)
    check_recorders(recorders, tokens, blocks[0].at(0.0) if one else None)
    began = time.perf_counter()
    run = one_field if one else in_turn
    measure, times, recorded = run(tokens, blocks, turns, h, scheme, recorders, keep == "sublayers")
    count = times.shape[0]
    wanted = kept_indices("all" if keep == "sublayers" else keep, count)
    traced = is_traced(measure)
    measure = jax.tree.map(lambda leaf: leaf[wanted], measure)
    blown = jnp.any(~jnp.isfinite(measure.points))
    parts = {
        "tokens": tokens,
        "field": field,
        "depth": depth,
        "step": step,
        "normalisation": scheme,
        "keep": keep,
    }
    return Path(
        times=times,
        measure=measure.replace(labels=tokens.labels),
        kept=jnp.asarray(wanted),
        recorded=recorded,
        merges=Merges.none(tokens),
        stats={} if traced else {"evaluations": turns, "seconds": round(time.perf_counter() - began, 4)},
        code=jnp.where(blown, STATUSES.index("blow-up"), STATUSES.index("reached")),
        field=blocks[0] if one else tuple(blocks),
        recipe=Recipe.of("layers", traced=True)
        if traced
        else Recipe.of("layers", record=[r.name for r in recorders], **parts),
    )


def one_field(
    tokens: Tokens,
    blocks: list[Field],
    depth: int,
    h: Array,
    scheme: Normalisation,
    recorders: Recorders,
    _: bool,
) -> tuple[Tokens, Array, dict[str, Array]]:
    """Apply one field `depth` times in one compiled scan; the field may change with depth."""
    points, recorded = scan_layers(tokens.replace(labels=None), blocks[0], depth, h, scheme, recorders)
    measure = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (depth + 1, *leaf.shape)), tokens.replace(labels=None))
    return measure.replace(points=points), h * jnp.arange(depth + 1), recorded


@eqx.filter_jit
def scan_layers(
    tokens: Tokens, field: Field, depth: int, h: Array, scheme: Normalisation, recorders: Recorders
) -> tuple[Array, dict[str, Array]]:
    """Return the points after 0, 1, .. layers and what was recorded there."""

    def body(x: Array, k: Array) -> tuple[Array, tuple[Array, dict[str, Array]]]:
        mu = tokens.replace(points=x)
        here = field if field.autonomous else field.at(k * h)
        saved = values_of(recorders, mu, here)
        return apply_layer(mu, here, h, scheme), (x, saved)

    _, (points, recorded) = jax.lax.scan(body, tokens.points, jnp.arange(depth + 1))
    return points, recorded


def apply_layer(mu: Tokens, field: Field, h: Array, scheme: Normalisation) -> Array:
    """Return the points after one layer; absent tokens stand still."""
    x = mu.points
    output = field.output(x, mu)
    if output.shape != x.shape:  # a sub-layer that changes the dimension replaces the state
        return jnp.where(mu.present[:, None], output, 0)
    return jnp.where(mu.present[:, None], scheme.step(mu.space, x, output, h.astype(x.dtype)), x)


def in_turn(
    tokens: Tokens,
    blocks: list[Field],
    turns: int,
    h: Array,
    scheme: Normalisation,
    recorders: Recorders,
    sublayers: bool,
) -> tuple[Tokens, Array, dict[str, Array]]:
    """Apply sub-layers in turn; states are those where the spans add up to a whole number of layers."""
    mu = tokens.replace(labels=None)
    states, times, reached = [mu], [0.0], 0.0
    for block in blocks[:turns]:
        points = apply_sublayer(mu, block, h, scheme)
        mu = mu.replace(space=mu.space.with_dimension(points.shape[1]), points=points)
        reached += block.span
        if sublayers or abs(reached - round(reached)) < 1e-9:
            states.append(mu)
            times.append(reached)
    recorded: dict[str, list[Array]] = {recorder.name: [] for recorder in recorders}
    for state in states:
        for name, value in recorded_at(recorders, state).items():
            recorded[name].append(value)
    if len({state.d for state in states}) > 1:
        raise BadInput(
            "layers: the sub-layers change the dimension, so their states are no one path; run them in parts."
        )
    measure = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    return measure, jnp.asarray(times, float), {name: jnp.stack(values) for name, values in recorded.items()}


@eqx.filter_jit
def recorded_at(recorders: Recorders, mu: Tokens) -> dict[str, Array]:
    """Evaluate the observables after one layer."""
    return values_of(recorders, mu, None)


@eqx.filter_jit
def apply_sublayer(mu: Tokens, field: Field, h: Array, scheme: Normalisation) -> Array:
    """Apply one sub-layer, compiled once for all of one shape."""
    return apply_layer(mu, field, h, scheme)


def checked_blocks(field: Any) -> list[Field]:
    """Return the fields as a list, or raise `BadInput`."""
    blocks = list(field) if isinstance(field, (list, tuple)) else field
    if not isinstance(blocks, list) or not blocks or any(not isinstance(block, Field) for block in blocks):
        raise BadInput(
            f"layers: field is {field!r}; give a field, or a non-empty list of sub-layers such as model.fields."
        )
    return blocks


def checked_step(step: Any) -> Array:
    """Return the residual step as an array."""
    if not is_traced(step) and not (
        isinstance(step, (int, float, np.number, jax.Array)) and np.isfinite(float(step)) and step > 0
    ):
        raise BadInput(f"layers: step is {step!r}; the residual step must be a finite number > 0.")
    return jnp.asarray(step, float)


def checked_depth(depth: Any, one: bool, blocks: list[Field]) -> int:
    """Return how many times to apply: layers for one field, sub-layers for a sequence."""
    if isinstance(depth, bool) or not isinstance(depth, (int, np.integer)) or depth < 1:
        raise BadInput(f"layers: depth is {depth!r}; it must be an integer of at least 1.")
    if not one and depth > len(blocks):
        raise BadInput(
            f"layers: depth is {depth} and there are {len(blocks)} sub-layers; repeat the sequence to go deeper."
        )
    return int(depth)

"""Stationary measures of attention with a form: found from random starts, named, linearised and followed as the form
moves."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from measureflow.errors import BadInput
from measureflow.fields import Field, SelfAttention
from measureflow.flows.limits import Limit, eigenvectors, matrices_of, named_limit
from measureflow.flows.rest import Force, come_to_rest, linearised
from measureflow.measures import Tokens
from measureflow.spaces import Sphere

__all__ = ["StationaryMeasure", "continued", "stationary"]

#: a rate counts as zero below this part of the largest one
NEUTRAL = 1e-6
#: Newton's method: steps, and how far one may go
NEWTON, REACH = 40, 0.3


@dataclasses.dataclass(frozen=True)
class StationaryMeasure:
    r"""A measure at rest under a field.

    Attributes:
        tokens: the measure. field: what it is at rest under.
        limit: what it is called, see `Limit`: `kind`, `axis`, `clusters`, `masses`.
        energy: $\int\!\!\int e^{\langle x,Dy\rangle}$, twice the energy E.
        speed: of the fastest token, what is left of rest.
        rates: real parts of the eigenvalues of the linearised flow of the tokens, the largest first.
        share: of the random starts that came to rest in this kind at this axis; error: its standard error.
    """

    tokens: Tokens
    field: SelfAttention
    limit: Limit
    energy: float
    speed: float
    rates: Float[np.ndarray, "m"]
    share: float = 0.0
    error: float = 0.0

    @property
    def neutral(self) -> int:
        """How many rates are zero: rotations, and masses that may be shifted."""
        return int((np.abs(self.rates) <= NEUTRAL * max(1.0, np.abs(self.rates).max())).sum())

    @property
    def stable(self) -> bool:
        """Whether no rate is positive."""
        return bool(self.rates[0] <= NEUTRAL * max(1.0, np.abs(self.rates).max()))

    def __repr__(self) -> str:
        state = "stable" if self.stable else "unstable"
        return f"StationaryMeasure({self.limit!r}, {state}, share {self.share:.3g}, E2 = {self.energy:.6g})"


def stationary(
    field: Field,
    *,
    d: int | None = None,
    n: int = 16,
    starts: int = 64,
    seed: int = 0,
    saddles: bool = True,
    tol: float = 1e-8,
    until: float = 1e4,
) -> list[StationaryMeasure]:
    r"""Find stationary measures of a field on the sphere: what random clouds come to rest in, and known saddles.

    Clouds of n uniform tokens are followed until no token is faster than `tol`, or to the time `until`; those that do
    not rest by then are counted in no share, so that shares sum to less than 1. Each kind of limit at each axis is
    given once, with the share of the starts that came to it: an estimate of the volume of its basin. `saddles` adds
    what is stationary for every symmetric form but was not met: one cluster, and two balanced clusters, at each
    eigenvector.

    Main arguments:
        field: attention with a form, as `mf.gradient_attention(D, sign=-1)`; a form that is not symmetric is allowed.
        n: tokens of a cloud. starts: clouds.

    Other arguments:
        d: the dimension, where the field's matrices are multiples of the identity.

    Raises:
        BadInput: a field of another kind, or no dimension; fewer than 2 tokens or no start.

    Source: questions of [arXiv:2501.03096](https://arxiv.org/abs/2501.03096).

    Example:
        >>> import measureflow as mf
        >>> found = mf.stationary(mf.gradient_attention([[-1.0, 0.0], [0.0, 0.2]]), n=8, starts=16)
        >>> [(str(state.limit), state.stable) for state in found if state.share > 0]
        [('two clusters at e_1', True)]
    """
    form, value, softmax = matrices_of(field, d)
    assert isinstance(field, SelfAttention)
    if n < 2 or starts < 1:
        raise BadInput(f"stationary: n is {n} and starts is {starts}; give at least 2 tokens and 1 start.")
    size = len(form)
    draw = np.random.default_rng(seed).normal(size=(starts, n, size))
    points = draw / np.linalg.norm(draw, axis=2, keepdims=True)
    forms, values = (np.broadcast_to(matrix, (starts, size, size)) for matrix in (form, value))
    rest = come_to_rest(points, forms, values, softmax=softmax, tol=tol, until=until)
    found: dict[tuple[str, int], list[Any]] = {}
    for x, rested in zip(rest.points, rest.rested, strict=True):
        if rested:
            limit = named_limit(x, form)
            found.setdefault((limit.kind, limit.axis), []).append((x, limit))
    states = []
    for members in found.values():
        # the one whose largest cluster is smallest stands for its kind
        x, limit = min(members, key=lambda member: member[1].masses[0])
        share = len(members) / starts
        state = described(field, Tokens(Sphere(size), x), limit)
        states.append(dataclasses.replace(state, share=share, error=float(np.sqrt(share * (1 - share) / starts))))
    states.sort(key=lambda state: -state.share)
    symmetric = np.allclose(form, form.T, rtol=1e-12, atol=1e-14)
    return states + (known_saddles(field, form, n, set(found)) if saddles and symmetric else [])


def known_saddles(
    field: SelfAttention, form: Float[np.ndarray, "d d"], n: int, met: set[tuple[str, int]]
) -> list[StationaryMeasure]:
    """Return clusters at eigenvectors that were not met: all tokens at one end, or half of them at each."""
    states = []
    for k, axis in enumerate(eigenvectors(form)[1]):
        for kind, side in (("one cluster", np.ones(n)), ("two clusters", np.where(np.arange(n) < n // 2, 1.0, -1.0))):
            if (kind, k) not in met:
                tokens = Tokens(Sphere(len(form)), side[:, None] * axis)
                states.append(described(field, tokens, named_limit(np.asarray(tokens.points), form)))
    return states


def continued(state: StationaryMeasure, fields: Sequence[Field]) -> list[StationaryMeasure]:
    """Follow a stationary measure as the field moves, by Newton's method from each to the next.

    Symmetries (zero rates) are left alone: of all states nearby the nearest is taken. The list ends early where no
    state is near any more, at a fold. Stability may change on the way: read it off the states.

    Main arguments:
        fields: of the same dimension; successive ones should differ little.

    Raises:
        BadInput: a field of another kind or dimension.

    Example:
        >>> import measureflow as mf
        >>> pair = mf.stationary(mf.gradient_attention([[1.0, 0.0], [0.0, 0.5]]), n=4, starts=1)
        >>> pair = next(state for state in pair if str(state.limit) == "two clusters at e_1")
        >>> moved = mf.flows.continued(pair, [mf.gradient_attention([[1.0, 0.0], [0.0, d]]) for d in (0.7, 0.8)])
        >>> [state.stable for state in moved]  # the pair is lost at tanh 1 = 0.76
        [True, False]
    """
    found, tokens = [], state.tokens
    for field in fields:
        form, value, softmax = matrices_of(field, tokens.d)
        if len(form) != tokens.d:
            raise BadInput(f"continued: the field acts in R^{len(form)} and the tokens are in R^{tokens.d}.")
        points = nearby(tokens, form, value, softmax)
        if points is None:
            break
        tokens = tokens.replace(points=jnp.asarray(points))
        assert isinstance(field, SelfAttention)
        found.append(described(field, tokens, named_limit(points, form, np.asarray(tokens.weights))))
    return found


def nearby(tokens: Tokens, form: np.ndarray, value: np.ndarray, softmax: bool) -> np.ndarray | None:
    """Return the points at rest nearest to the tokens, or `None` where Newton's method finds none."""
    x, masses = np.asarray(tokens.points), tokens.weights
    for _ in range(NEWTON):
        v, jacobian, frame = (np.asarray(part) for part in linear_part(x, Force(masses, form, value), softmax))
        speed = np.linalg.norm(v, axis=1).max()
        if speed < 1e-13 * max(1.0, np.abs(value).max()):
            return x
        side = np.einsum("ndk,nd->nk", frame, v).ravel()
        step = -np.linalg.lstsq(jacobian, side, rcond=1e-9)[0].reshape(len(x), -1)
        length = np.linalg.norm(step, axis=1).max()
        if not np.isfinite(length) or length > 10 * REACH:
            return None
        moved = x + np.einsum("ndk,nk->nd", frame, step * min(1.0, REACH / max(length, 1e-300)))
        x = moved / np.linalg.norm(moved, axis=1, keepdims=True)
        if length < 1e-15:
            break
    return x if speed < 1e-10 else None


@functools.partial(jax.jit, static_argnums=2)
def linear_part(x: Any, force: Force, softmax: bool) -> Any:
    """Return velocities, their derivative, and the frame it is in."""
    frame = Sphere(x.shape[1]).frame(jnp.asarray(x))
    return *linearised(jnp.asarray(x), force, frame, softmax), frame


def described(field: SelfAttention, tokens: Tokens, limit: Limit) -> StationaryMeasure:
    """Return a state with its energy, what is left of its speed, and its rates."""
    form, value, softmax = matrices_of(field, tokens.d)
    x, masses = np.asarray(tokens.points), np.asarray(tokens.weights)
    v, jacobian, _ = (np.asarray(part) for part in linear_part(x, Force(masses, form, value), softmax))
    energy = float(masses @ np.exp(x @ form @ x.T) @ masses)
    rates = np.sort(np.linalg.eigvals(jacobian).real)[::-1]
    return StationaryMeasure(tokens, field, limit, energy, float(np.linalg.norm(v, axis=1).max()), rates)

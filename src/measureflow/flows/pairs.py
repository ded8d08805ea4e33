"""Embedded Runge-Kutta pairs: tables of numbers, and one step of any of them on a space."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from measureflow.errors import BadInput
from measureflow.spaces import Space

__all__ = ["PAIRS", "Pair", "Step", "pair_of", "point_within", "runge_kutta_step", "way"]


class Pair(NamedTuple):
    """An explicit embedded pair whose last stage is the field at the new point ("first same as last").

    `within` is its interpolant: the weight of stage i at the part theta of a step is `sum_p within[i, p] theta^(p+1)`.
    """

    stages: Float[np.ndarray, "k k"]
    weights: Float[np.ndarray, "k"]
    error: Float[np.ndarray, "k"]
    nodes: Float[np.ndarray, "k"]
    order: int
    within: Float[np.ndarray, "k p"]


class Step(NamedTuple):
    """One step: the new point, its velocity, the estimated error, and the slopes from which the way is known."""

    new: Float[Array, "n d"]
    velocity: Float[Array, "n d"]
    error: Float[Array, "n d"]
    slopes: Array | tuple[Array, ...]


def dormand_prince() -> Pair:
    """Return the pair 5(4) of Dormand and Prince (1980), seven stages, six evaluations a step.

    Its interpolant is the quartic of Shampine (1986), which needs no further stage: its error is that of the estimate.
    """
    rows = [
        [],
        [1 / 5],
        [3 / 40, 9 / 40],
        [44 / 45, -56 / 15, 32 / 9],
        [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
        [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
        [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
    ]
    fourth = [5179 / 57600, 0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40]
    weights = [*rows[-1], 0]
    within = [
        [1, -8048581381 / 2820520608, 8663915743 / 2820520608, -12715105075 / 11282082432],
        [0, 0, 0, 0],
        [0, 131558114200 / 32700410799, -68118460800 / 10900136933, 87487479700 / 32700410799],
        [0, -1754552775 / 470086768, 14199869525 / 1410260304, -10690763975 / 1880347072],
        [0, 127303824393 / 49829197408, -318862633887 / 49829197408, 701980252875 / 199316789632],
        [0, -282668133 / 205662961, 2019193451 / 616988883, -1453857185 / 822651844],
        [0, 40617522 / 29380423, -110615467 / 29380423, 69997945 / 29380423],
    ]
    return Pair(
        square(rows),
        np.array(weights),
        np.subtract(weights, fourth),
        np.array([0, 0.2, 0.3, 0.8, 8 / 9, 1, 1]),
        5,
        np.array(within),
    )


def dopri8() -> Pair:
    """Return the pair 8(7) of Prince and Dormand and its interpolant, as tabulated in diffrax; fourteen stages."""
    from diffrax import Dopri8  # imported when used: it is slow to import

    table = Dopri8.tableau
    rows = [[], *(np.asarray(row).tolist() for row in table.a_lower)]
    nodes = np.concatenate([[0.0], np.asarray(table.c)])
    within = np.flip(np.asarray(Dopri8.interpolation_cls.eval_coeffs), axis=1)
    return Pair(square(rows), np.asarray(table.b_sol), np.asarray(table.b_error), nodes, 8, within)


def square(rows: list[list[float]]) -> np.ndarray:
    """Return the lower triangle as a square array."""
    table = np.zeros((len(rows), len(rows)))
    for i, row in enumerate(rows):
        table[i, : len(row)] = row
    return table


PAIRS: dict[str, Callable[[], Pair]] = {"dormand-prince": dormand_prince, "dopri8": dopri8}


@functools.cache
def pair_of(name: str) -> Pair:
    """Return the pair of a name."""
    if name not in PAIRS:
        raise BadInput(f"pair is {name!r}; it must be one of {', '.join(map(repr, PAIRS))}.")
    return PAIRS[name]()


def runge_kutta_step(
    pair: Pair,
    velocity: Callable[[Array, Array], Array],
    space: Space,
    x: Float[Array, "n d"],
    first: Float[Array, "n d"],
    t: Float[Array, ""],
    h: Float[Array, ""],
    written_out: bool = False,
    stale: Bool[Array, ""] | None = None,
) -> Step:
    """Take one step of length `h` from `x`, whose velocity is `first`, unless that is `stale`: then it is found too.

    The velocity is extended off the space by `v(N(x))`, which is tangent at the foot point, so that the space is an
    invariant set of the extended equation and projecting the result keeps the order.

    The stages are a loop, which is compiled once; `written_out` they are as many copies of the field, which run faster
    where tokens are few and clouds are many.
    """
    if written_out:
        assert stale is None  # only a loop can begin earlier
        slopes: Array | tuple[Array, ...] = written_out_slopes(pair, velocity, space, x, first, t, h)
    else:
        slopes = looped_slopes(pair, velocity, space, x, first, t, h, stale)
    new = space.project(x + h * combined(pair.weights, slopes))
    return Step(new, slopes[-1], h * combined(pair.error, slopes), slopes)


def looped_slopes(
    pair: Pair,
    velocity: Callable[[Array, Array], Array],
    space: Space,
    x: Array,
    first: Array,
    t: Array,
    h: Array,
    stale: Array | None = None,
) -> Float[Array, "k n d"]:
    """Return the slopes of all stages, stage by stage in one loop."""
    table, nodes, count = jnp.asarray(pair.stages, x.dtype), jnp.asarray(pair.nodes, x.dtype), len(pair.nodes)

    def stage(i: Array, slopes: Array) -> Array:
        moved = space.project(x + h * jnp.tensordot(table[i], slopes, axes=1))
        return slopes.at[i].set(velocity(moved, t + nodes[i] * h))

    slopes = jnp.zeros((count, *x.shape), x.dtype).at[0].set(first)
    return jax.lax.fori_loop(1 if stale is None else jnp.where(stale, 0, 1), count, stage, slopes)


def written_out_slopes(
    pair: Pair, velocity: Callable[[Array, Array], Array], space: Space, x: Array, first: Array, t: Array, h: Array
) -> tuple[Float[Array, "n d"], ...]:
    """Return the slopes of all stages, each an array of its own."""
    slopes = (first,)
    for i in range(1, len(pair.nodes)):
        moved = space.project(x + h * combined(pair.stages[i, :i], slopes))
        slopes = (*slopes, velocity(moved, t + float(pair.nodes[i]) * h))
    return slopes


def combined(weights: Any, slopes: Array | tuple[Array, ...]) -> Float[Array, "n d"]:
    """Return the weighted sum of slopes."""
    if not isinstance(slopes, tuple):
        return jnp.tensordot(jnp.asarray(weights, slopes.dtype), slopes, axes=1)
    known = isinstance(weights, np.ndarray)
    terms = [(float(w) if known else w) * k for w, k in zip(weights, slopes, strict=True) if not known or w]
    return sum(terms[1:], terms[0])


def way(pair: Pair, slopes: Array | tuple[Array, ...], h: Float[Array, ""]) -> tuple[Float[Array, "n d"], ...]:
    """Return the coefficients of the pair's interpolant over a step of length `h`, of theta, theta^2 and so on.

    They are found once for a step, since reading a point off costs then as many arrays as the degree, not the stages.
    """
    return tuple(h * combined(weights, slopes) for weights in pair.within.T)


def point_within(
    space: Space, x: Float[Array, "n d"], way: tuple[Float[Array, "n d"], ...], part: Float[Array, ""]
) -> Float[Array, "n d"]:
    """Return the point at the `part` (0 to 1) of a step from `x` whose coefficients are `way`."""
    moved = way[-1]
    for coefficient in way[-2::-1]:
        moved = coefficient + part * moved
    return space.project(x + part * moved)

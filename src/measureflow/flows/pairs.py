"""Embedded Runge-Kutta pairs: tables of numbers, and one step of any of them on a space."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from measureflow.errors import BadInput
from measureflow.spaces import Space

__all__ = ["PAIRS", "Pair", "pair_of", "runge_kutta_step"]


class Pair(NamedTuple):
    """An explicit embedded pair whose last stage is the field at the new point ("first same as last")."""

    stages: Float[np.ndarray, "k k"]
    weights: Float[np.ndarray, "k"]
    error: Float[np.ndarray, "k"]
    nodes: Float[np.ndarray, "k"]
    order: int


def dormand_prince() -> Pair:
    """Return the pair 5(4) of Dormand and Prince (1980), seven stages, six evaluations a step."""
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
    return Pair(
        square(rows),
        np.array(weights),
        np.subtract(weights, fourth),
        np.array([0, 0.2, 0.3, 0.8, 8 / 9, 1, 1]),
        5,
    )


def dopri8() -> Pair:
    """Return the pair 8(7) of Prince and Dormand, whose table comes from diffrax; fourteen stages."""
    from diffrax import Dopri8  # imported when used: it is slow to import

    table = Dopri8.tableau
    rows = [[], *(np.asarray(row).tolist() for row in table.a_lower)]
    nodes = np.concatenate([[0.0], np.asarray(table.c)])
    return Pair(square(rows), np.asarray(table.b_sol), np.asarray(table.b_error), nodes, 8)


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
) -> tuple[Float[Array, "n d"], Float[Array, "n d"], Float[Array, "n d"]]:
    """Take one step of length `h` from `x`, whose velocity is `first`.

    The velocity is extended off the space by `v(N(x))`, which is tangent at the foot point, so that the space is an
    invariant set of the extended equation and projecting the result keeps the order.

    Returns:
        the new point (on the space), its velocity and the estimated error.
    """
    table, weights = jnp.asarray(pair.stages, x.dtype), jnp.asarray(pair.weights, x.dtype)
    nodes, count = jnp.asarray(pair.nodes, x.dtype), len(pair.nodes)

    def stage(i: Array, slopes: Array) -> Array:
        moved = space.project(x + h * jnp.tensordot(table[i], slopes, axes=1))
        return slopes.at[i].set(velocity(moved, t + nodes[i] * h))

    slopes = jnp.zeros((count, *x.shape), x.dtype).at[0].set(first)
    slopes = jax.lax.fori_loop(1, count, stage, slopes)
    new = space.project(x + h * jnp.tensordot(weights, slopes, axes=1))
    error = h * jnp.tensordot(jnp.asarray(pair.error, x.dtype), slopes, axes=1)
    return new, slopes[-1], error

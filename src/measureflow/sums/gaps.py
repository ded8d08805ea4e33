"""Sums over differences of points: squared distances and weighted gaps, precise however near the points are."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["squared_distances", "weighted_gaps"]

# Up to this dimension the coordinates are written out one by one, so that the loops run along the tokens in vector
# registers; beyond it they are a loop of their own, twice as fast as a sum over the last axis. The differences are
# stored in neither case: on the way back they are computed again.
WRITTEN_OUT = 8


def squared_distances(x: Float[Array, "m d"], y: Float[Array, "n d"]) -> Float[Array, "m n"]:
    """Return `|x_i - y_j|^2`."""
    if x.shape[1] > WRITTEN_OUT:
        return wide_distances(x, y)
    squares = [(x[:, c, None] - y[None, :, c]) ** 2 for c in range(x.shape[1])]
    return sum(squares[1:], squares[0])


def wide_distances(x: Float[Array, "m d"], y: Float[Array, "n d"]) -> Float[Array, "m n"]:
    """Return `|x_i - y_j|^2`, a coordinate at a time."""

    @jax.checkpoint
    def add(squares: Array, pair: tuple[Array, Array]) -> tuple[Array, None]:
        across, along = pair
        return squares + (across[:, None] - along[None, :]) ** 2, None

    zero = jnp.zeros((x.shape[0], y.shape[0]), jnp.result_type(x, y))
    return jax.lax.scan(add, zero, (x.T, y.T))[0]


def weighted_gaps(weights: Float[Array, "m n"], x: Float[Array, "m d"], y: Float[Array, "n d"]) -> Float[Array, "m d"]:
    """Return `sum_j w_ij (y_j - x_i)`."""
    if x.shape[1] > WRITTEN_OUT:
        return wide_gaps(weights, x, y)
    columns = [jnp.sum(weights * (y[None, :, c] - x[:, c, None]), axis=1) for c in range(x.shape[1])]
    return jnp.stack(columns, axis=1)


def wide_gaps(weights: Float[Array, "m n"], x: Float[Array, "m d"], y: Float[Array, "n d"]) -> Float[Array, "m d"]:
    """Return `sum_j w_ij (y_j - x_i)`, a coordinate at a time."""

    @jax.checkpoint
    def column(pair: tuple[Array, Array]) -> Array:
        across, along = pair
        return jnp.sum(weights * (along[None, :] - across[:, None]), axis=1)

    return jax.lax.map(column, (x.T, y.T)).T

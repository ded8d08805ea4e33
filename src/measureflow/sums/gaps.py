"""Sums over differences of points: squared distances and weighted gaps, precise however near the points are."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["squared_distances", "weighted_gaps"]

# Up to this dimension the coordinates are written out one by one, so that the loops run along the tokens in vector
# registers; beyond it the compiler fuses the differences into the sum. They are stored in neither case.
WRITTEN_OUT = 8


def squared_distances(x: Float[Array, "m d"], y: Float[Array, "n d"]) -> Float[Array, "m n"]:
    """Return `|x_i - y_j|^2`."""
    if x.shape[1] > WRITTEN_OUT:
        gaps = x[:, None, :] - y[None, :, :]
        return jnp.sum(gaps * gaps, axis=-1)
    squares = [(x[:, c, None] - y[None, :, c]) ** 2 for c in range(x.shape[1])]
    return sum(squares[1:], squares[0])


def weighted_gaps(weights: Float[Array, "m n"], x: Float[Array, "m d"], y: Float[Array, "n d"]) -> Float[Array, "m d"]:
    """Return `sum_j w_ij (y_j - x_i)`."""
    if x.shape[1] > WRITTEN_OUT:
        return jnp.sum(weights[:, :, None] * (y[None, :, :] - x[:, None, :]), axis=1)
    columns = [jnp.sum(weights * (y[None, :, c] - x[:, c, None]), axis=1) for c in range(x.shape[1])]
    return jnp.stack(columns, axis=1)

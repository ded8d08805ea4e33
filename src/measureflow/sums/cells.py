"""Cells: points in an order in which those that follow each other are near, cut into blocks, and how far blocks are."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

__all__ = ["Cells", "halvings", "order_in_cells"]


class Cells(eqx.Module):
    """A ball and a box around each block of points.

    The arrays are NumPy's as well as JAX's: `xp` is the module that they belong to, here and below.
    """

    centre: Float[Array, "b d"]
    radius: Float[Array, "b"]
    low: Float[Array, "b d"]
    high: Float[Array, "b d"]

    @classmethod
    def around(cls, points: Any, xp: Any = jnp) -> Cells:
        """Return the cells of blocks of points."""
        low, high = xp.min(points, axis=1), xp.max(points, axis=1)
        centre = 0.5 * (low + high)
        return cls(centre, xp.sqrt(xp.max(xp.sum((points - centre[:, None]) ** 2, axis=2), axis=1)), low, high)

    def __getitem__(self, index: Any) -> Cells:
        return jax.tree.map(lambda a: a[index], self)

    def apart(self, other: Cells, xp: Any = jnp) -> Float[Array, "b"]:
        """Return a bound from below on the distance between points of these cells and of the other, one, cell.

        It is the larger of that of the boxes and that of the balls, less what rounding may have added.
        """
        sides = xp.maximum(xp.maximum(self.low - other.high, other.low - self.high), 0)
        boxes = xp.sqrt(xp.sum(sides**2, axis=-1))
        balls = xp.sqrt(xp.sum((self.centre - other.centre) ** 2, axis=-1)) - self.radius - other.radius
        size = xp.max(xp.abs(self.centre)) + xp.max(xp.abs(other.centre)) + xp.max(self.radius) + other.radius
        slack = (4 + self.centre.shape[-1]) * float(np.finfo(self.centre.dtype).eps)
        return xp.maximum(xp.maximum(boxes, balls) * (1 - slack) - slack * size, 0)


def halvings(n: int, size: float) -> int:
    """Return how often n points are halved so that about `size` are left in a block."""
    return max(0, round(np.log2(max(n, 1) / size)))


def order_in_cells(points: Any, levels: int, xp: Any = jnp) -> Any:
    """Return an order of points whose `2**levels` equal parts are compact: each is halved across its widest side.

    `2**levels` must divide n.
    """
    n, d = points.shape
    index = xp.arange(n)
    for level in range(levels):
        groups = points[index].reshape(2**level, -1, d)
        low = xp.min(groups, axis=1)
        span = xp.max(groups, axis=1) - low
        widest = xp.argmax(span, axis=1)[:, None]
        along = xp.take_along_axis(groups - low[:, None], widest[:, :, None], axis=2)[..., 0]
        size = xp.take_along_axis(span, widest, axis=1)
        order = ranked(along / xp.where(size > 0, size, 1), xp)
        index = xp.take_along_axis(index.reshape(2**level, -1), order, axis=1).reshape(-1)
    return index


def ranked(values: Any, xp: Any = jnp) -> Any:
    """Return the order of the values, >= 0, along the last axis; those equal in single precision keep theirs.

    Integers that hold value and place are sorted several times faster than pairs of them.
    """
    if xp is jnp and not jax.config.read("jax_enable_x64"):
        return jnp.argsort(values, axis=-1)
    single = xp.asarray(values, xp.float32)
    # bits of numbers >= 0 are in the order of the numbers
    bits = single.view(xp.int32) if xp is np else jax.lax.bitcast_convert_type(single, jnp.int32)
    keys = (xp.asarray(bits, xp.int64) << 32) | xp.arange(values.shape[-1])
    return xp.sort(keys, axis=-1) & 0xFFFFFFFF

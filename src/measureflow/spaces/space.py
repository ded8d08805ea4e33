"""What a space must know: how tokens may move, and what "straight", "near" and "uniform" mean there."""

from __future__ import annotations

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from measureflow.errors import BadInput

__all__ = ["Space", "as_dimension", "is_traced", "norm"]


def is_traced(*values: object) -> bool:
    """Tell whether any leaf is a JAX tracer, where values cannot be looked at and checks must be of shapes only."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(values))


class Space(eqx.Module):
    """A manifold in R^d on which tokens live. Points and tangent vectors are arrays with last axis `d`."""

    d: eqx.AbstractVar[int]

    @abc.abstractmethod
    def tangent(self, x: Float[Array, "*b d"], v: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """Project an ambient vector `v` on the tangent space at `x`."""

    @abc.abstractmethod
    def difference(self, x: Float[Array, "*b d"], y: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """Project the *point* `y` on the tangent space at `x`, from differences alone.

        Equal to `tangent(x, y)` (on Euclidean space: to `y - x`), with full relative precision where `y` is near `x`.
        """

    @abc.abstractmethod
    def project(self, x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """Return the point of the space nearest to `x`."""

    @abc.abstractmethod
    def exp(self, x: Float[Array, "*b d"], v: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """Follow the geodesic from `x` with initial velocity `v` for unit time."""

    @abc.abstractmethod
    def retract(self, x: Float[Array, "*b d"], v: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """Step from `x` by `v` and return to the space: first-order like `exp`, and cheaper."""

    @abc.abstractmethod
    def log(self, x: Float[Array, "*b d"], y: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """Return the tangent vector at `x` whose geodesic reaches `y` in unit time."""

    @abc.abstractmethod
    def distance(self, x: Float[Array, "*b d"], y: Float[Array, "*b d"]) -> Float[Array, "*b"]:
        """Return the geodesic distance (radians on the sphere)."""

    @abc.abstractmethod
    def frame(self, x: Float[Array, "*b d"]) -> Float[Array, "*b d k"]:
        """Return an orthonormal basis of the tangent space at `x`, as the columns of a matrix."""

    @abc.abstractmethod
    def defect(self, x: Float[Array, "*b d"]) -> Float[Array, ""]:
        """Return how far the farthest of the points lies off the space."""

    @abc.abstractmethod
    def uniform(self, key: Array, n: int) -> Float[Array, "n d"]:
        """Draw `n` independent points of the uniform law."""

    @abc.abstractmethod
    def with_dimension(self, d: int) -> Space:
        """Return the space of the same kind in R^d (used by the span reduction)."""

    def validate(self, points: Array, name: str = "points") -> None:
        """Raise `BadInput` unless `points` are finite points of this space; traced arrays are checked by shape only."""
        if points.ndim == 0 or points.shape[-1] != self.d:
            raise BadInput(
                f"{name} have shape {tuple(points.shape)}; {self!r} needs a last axis of length d = {self.d}. "
                f"Transpose them or change the space."
            )
        if is_traced(points):
            return
        values = np.asarray(points)
        bad = ~np.isfinite(values)
        if bad.any():
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            raise BadInput(f"{name}[{', '.join(map(str, where))}] is {values[where]}; every coordinate must be finite.")
        rounding = max(1e-6, 2 * float(jnp.finfo(points.dtype).eps))  # points in half precision are on no sphere
        rows = values.reshape(-1, self.d).astype(jnp.promote_types(points.dtype, jnp.float32))
        if len(rows):  # filled up with copies of the first: a program for each power of two, not for each number
            missing = (1 << len(rows).bit_length()) - len(rows)
            rows = np.concatenate([rows, np.broadcast_to(rows[:1], (missing, self.d))])
        off = float(_defect(self, jnp.asarray(rows, rows.dtype)))
        if off > rounding:
            raise BadInput(
                f"{name} lie up to {off:.3g} off {self!r} (at most {rounding:.2g} is taken for rounding). "
                f"Use space.project(points) to move them onto it."
            )


@eqx.filter_jit
def _defect(space: Space, points: Array) -> Array:
    """Compute the defect in one program: operation by operation each would be compiled for itself."""
    return space.defect(points)


def as_dimension(d: Any, least: int, name: str) -> int:
    """Return `d` as an integer, or raise `BadInput` unless it is one of at least `least`."""
    if isinstance(d, bool) or not isinstance(d, (int, np.integer)) or d < least:
        raise BadInput(f"{name}(d={d!r}): the dimension must be an integer of at least {least}.")
    return int(d)


def norm(v: Float[Array, "*b d"]) -> Float[Array, "*b"]:
    """Return the Euclidean norm, with a zero (not NaN) derivative at the origin and no underflow for tiny vectors."""
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(v), axis=-1, keepdims=True))
    safe = jnp.where(largest > 0, largest, 1.0)
    square = jnp.sum((v / safe) ** 2, axis=-1)
    positive = square > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1.0)), 0.0) * safe[..., 0]

"""Flat space R^d, where tokens live before a normalisation, and where hidden states of a trained network are."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from measureflow.spaces.space import Space, as_dimension, norm

__all__ = ["Euclidean"]


class Euclidean(Space):
    """The vector space R^d, for any `d >= 1`.

    Example:
        >>> import measureflow as mf
        >>> mf.Euclidean(2)
        Euclidean(d=2)
    """

    d: int = eqx.field(static=True)

    def __init__(self, d: int) -> None:
        self.d = as_dimension(d, 1, "Euclidean")

    def tangent(self, x: Float[Array, "*b d"], v: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """Return `v`: every direction is tangent."""
        return v

    def difference(self, x: Float[Array, "*b d"], y: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """Return `y - x`."""
        return y - x

    def project(self, x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """Return `x`."""
        return x

    def exp(self, x: Float[Array, "*b d"], v: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """Return `x + v`."""
        return x + v

    def retract(self, x: Float[Array, "*b d"], v: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """Return `x + v`."""
        return x + v

    def log(self, x: Float[Array, "*b d"], y: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """Return `y - x`."""
        return y - x

    def distance(self, x: Float[Array, "*b d"], y: Float[Array, "*b d"]) -> Float[Array, "*b"]:
        """Return `|x - y|`."""
        return norm(x - y)

    def frame(self, x: Float[Array, "*b d"]) -> Float[Array, "*b d d"]:
        """Return the coordinate axes."""
        return jnp.broadcast_to(jnp.eye(self.d, dtype=x.dtype), (*x.shape, self.d))

    def defect(self, x: Float[Array, "*b d"]) -> Float[Array, ""]:
        """Return 0: no vector is off the space."""
        return jnp.zeros((), dtype=x.dtype)

    def uniform(self, key: Array, n: int) -> Float[Array, "n d"]:
        """Draw `n` independent uniform points of the cube $[-1, 1]^d$: flat space itself carries no uniform law."""
        return jax.random.uniform(key, (n, self.d), dtype=float, minval=-1.0, maxval=1.0)

    def with_dimension(self, d: int) -> Euclidean:
        """Return `Euclidean(d)`."""
        return Euclidean(d)

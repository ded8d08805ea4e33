"""The unit sphere of R^d, where layer normalisation puts the tokens."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from measureflow.spaces.space import Space, check_dimension

__all__ = ["Sphere"]


def _norm(v: Array) -> Array:
    """Euclidean norm with a zero (not NaN) derivative at the origin, and no underflow for tiny vectors."""
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(v), axis=-1, keepdims=True))
    safe = jnp.where(largest > 0, largest, 1.0)
    square = jnp.sum((v / safe) ** 2, axis=-1)
    positive = square > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1.0)), 0.0) * safe[..., 0]


class Sphere(Space):
    r"""The unit sphere $S^{d-1}$ of $R^d$: points are unit vectors of length `d`, for any `d >= 2`.

    Example:
        >>> import measureflow as mf
        >>> mf.Sphere(3)
        Sphere(d=3)
    """

    d: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        check_dimension(self.d, 2, "Sphere")

    def tangent(self, x: Float[Array, "*b d"], v: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        r"""Project `v` on the tangent space: $P_x v = v - \langle x, v\rangle x$."""
        return v - jnp.sum(x * v, axis=-1, keepdims=True) * x

    def difference(self, x: Float[Array, "*b d"], y: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        r"""Return $P_x y = (y - x) + \tfrac12 |x-y|^2 x$, exact to rounding relative to $|x-y|$."""
        gap = y - x
        return gap + 0.5 * jnp.sum(gap * gap, axis=-1, keepdims=True) * x

    def project(self, x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """Return `x/|x|`; the origin has no nearest point and gives NaN."""
        return x / _norm(x)[..., None]

    def exp(self, x: Float[Array, "*b d"], v: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        r"""Return $\cos|v|\, x + \sin|v|\, v/|v|$."""
        length = _norm(v)[..., None]
        return self.project(jnp.cos(length) * x + jnp.sinc(length / jnp.pi) * v)

    def retract(self, x: Float[Array, "*b d"], v: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        r"""Return $(x+v)/|x+v|$, the normalisation that a layer performs."""
        return self.project(x + v)

    def log(self, x: Float[Array, "*b d"], y: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """Return the tangent vector at `x` towards `y`, as long as their angle; antipodal points have no unique one
        and give zero."""
        direction = self.difference(x, y)
        length = _norm(direction)
        angle = self.distance(x, y)
        scale = jnp.where(length > 0, angle / jnp.where(length > 0, length, 1.0), 0.0)
        return scale[..., None] * direction

    def distance(self, x: Float[Array, "*b d"], y: Float[Array, "*b d"]) -> Float[Array, "*b"]:
        r"""Return the angle $2\,\mathrm{atan2}(|x-y|, |x+y|)$, precise near 0 and near $\pi$."""
        return 2.0 * jnp.arctan2(_norm(x - y), _norm(x + y))

    def defect(self, x: Float[Array, "*b d"]) -> Float[Array, ""]:
        """Return the largest `| |x| - 1 |`."""
        return jnp.max(jnp.abs(_norm(x) - 1.0), initial=0.0)

    def uniform(self, key: Array, n: int) -> Float[Array, "n d"]:
        """Draw `n` independent uniform points: normalised Gaussian vectors."""
        return self.project(jax.random.normal(key, (n, self.d), dtype=float))

    def with_dimension(self, d: int) -> Sphere:
        """Return `Sphere(d)`."""
        return Sphere(d)

"""The unit sphere of R^d, where layer normalisation puts the tokens."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from measureflow.spaces.space import Space, as_dimension, norm

__all__ = ["Sphere"]

# Taylor coefficients in the squared angle r, or the squared chord s: below 0.01 they are exact to rounding, and unlike
# sin(r)/r they have derivatives at 0
NEAR = 1e-2
COSINE = (1.0, -1 / 2, 1 / 24, -1 / 720, 1 / 40320, -1 / 3628800)
SINC = (1.0, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880, -1 / 39916800)
ANGLE_BY_SINE = (1.0, 1 / 6, 1 / 30, 1 / 140, 1 / 630, 1 / 2772)


class Sphere(Space):
    r"""The unit sphere $S^{d-1}$ of $R^d$: points are unit vectors of length `d`, for any `d >= 2`.

    Example:
        >>> import measureflow as mf
        >>> mf.Sphere(3)
        Sphere(d=3)
    """

    d: int = eqx.field(static=True)

    def __init__(self, d: int) -> None:
        self.d = as_dimension(d, 2, "Sphere")

    def tangent(self, x: Float[Array, "*b d"], v: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        r"""Project `v` on the tangent space: $P_x v = v - \langle x, v\rangle x$."""
        return v - jnp.sum(x * v, axis=-1, keepdims=True) * x

    def difference(self, x: Float[Array, "*b d"], y: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        r"""Return $P_x y = (y - x) + \tfrac12 |x-y|^2 x$, exact to rounding relative to $|x-y|$."""
        gap = y - x
        return gap + 0.5 * jnp.sum(gap * gap, axis=-1, keepdims=True) * x

    def project(self, x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """Return `x/|x|`; the origin has no nearest point and gives NaN."""
        return x / norm(x)[..., None]

    def exp(self, x: Float[Array, "*b d"], v: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        r"""Return $\cos|v|\, x + \sin|v|\, v/|v|$."""
        square = jnp.sum(v * v, axis=-1, keepdims=True)
        near = square < NEAR
        length = jnp.sqrt(jnp.where(near, 1.0, square))
        cosine = jnp.where(near, series(COSINE, square), jnp.cos(length))
        sinc = jnp.where(near, series(SINC, square), jnp.sin(length) / length)
        return self.project(cosine * x + sinc * v)

    def retract(self, x: Float[Array, "*b d"], v: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        r"""Return $(x+v)/|x+v|$, the normalisation that a layer performs."""
        return self.project(x + v)

    def log(self, x: Float[Array, "*b d"], y: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """Return the tangent vector at `x` towards `y`, as long as their angle; antipodal points have no unique one
        and give zero."""
        # P_x y = -P_x(-y): the differences are taken on the side where they are small
        near = jnp.sum(x * y, axis=-1, keepdims=True) >= 0
        direction = self.tangent(x, jnp.where(near, self.difference(x, y), -self.difference(x, -y)))
        chord = jnp.sum((x - y) ** 2, axis=-1)
        sine = norm(direction)
        regular = (chord >= NEAR) & (sine > 0)
        far = jnp.where(regular, self.distance(x, y) / jnp.where(regular, sine, 1.0), 0.0)
        return jnp.where(chord < NEAR, series(ANGLE_BY_SINE, chord), far)[..., None] * direction

    def distance(self, x: Float[Array, "*b d"], y: Float[Array, "*b d"]) -> Float[Array, "*b"]:
        r"""Return the angle $2\,\mathrm{atan2}(|x-y|, |x+y|)$, precise near 0 and near $\pi$."""
        return 2.0 * jnp.arctan2(norm(x - y), norm(x + y))

    def frame(self, x: Float[Array, "*b d"]) -> Float[Array, "*b d k"]:
        """Return the `d - 1` columns of a reflection whose remaining column is `x` up to sign."""
        # the reflection that moves x to the first axis, on the side where nothing cancels
        u = x.at[..., 0].add(jnp.where(x[..., 0] >= 0, 1.0, -1.0))
        shrink = 1.0 + jnp.abs(x[..., 0])[..., None, None]
        mirror = jnp.eye(self.d, dtype=x.dtype) - u[..., :, None] * u[..., None, :] / shrink
        return mirror[..., :, 1:]

    def defect(self, x: Float[Array, "*b d"]) -> Float[Array, ""]:
        """Return the largest `| |x| - 1 |`."""
        return jnp.max(jnp.abs(norm(x) - 1.0), initial=0.0)

    def uniform(self, key: Array, n: int) -> Float[Array, "n d"]:
        """Draw `n` independent uniform points: normalised Gaussian vectors."""
        return self.project(jax.random.normal(key, (n, self.d), dtype=float))

    def with_dimension(self, d: int) -> Sphere:
        """Return `Sphere(d)`."""
        return Sphere(d)


def series(coefficients: tuple[float, ...], square: Array) -> Array:
    """Return the power series, inside its reach; the constant term beyond, so that nothing overflows there."""
    inside = jnp.where(square < NEAR, square, 0.0)
    result = jnp.full_like(inside, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = result * inside + coefficient
    return result

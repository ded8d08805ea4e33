"""Grids for densities: where a density is known, its harmonics, and the slope and divergence that they give exactly."""

from __future__ import annotations

import abc
import functools
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

__all__ = ["Circle", "Grid", "Meridian", "Sphere2", "associated_legendre", "gauss", "legendre", "sides"]


class Grid(eqx.Module):
    """Points of a sphere, and the harmonics up to `degree` that are known from values there.

    Harmonics are orthonormal under the uniform probability. Coefficients stand for the modes with m >= 0 of a real
    function; `multiplicity` counts the others in a square sum.
    """

    degree: eqx.AbstractVar[int]

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Numbers of points along the grid's axes."""

    @property
    @abc.abstractmethod
    def names(self) -> tuple[str, ...]:
        """Names of the grid's axes."""

    @property
    @abc.abstractmethod
    def weights(self) -> Float[np.ndarray, "*m"]:
        """Probabilities of the quadrature: they sum to 1."""

    @property
    @abc.abstractmethod
    def degrees(self) -> Float[np.ndarray, "*k"]:
        """The degree of each coefficient."""

    @property
    @abc.abstractmethod
    def multiplicity(self) -> Float[np.ndarray, "*k"]:
        """How many modes each coefficient stands for."""

    @abc.abstractmethod
    def finer(self, size: int) -> Grid:
        """Return the grid of the same kind and degree with at least `size` points along its first axis."""

    @abc.abstractmethod
    def product_size(self) -> int:
        """Return the size of the grid on which three factors of this degree are integrated exactly."""

    @abc.abstractmethod
    def points(self, axis: Float[Array, "d"]) -> Float[Array, "m d"]:
        """Return the grid's points, one row for each value; `axis` is the direction of angle 0, or the pole."""

    @abc.abstractmethod
    def frames(self, axis: Float[Array, "d"]) -> Float[Array, "c m d"]:
        """Return the unit tangent vectors at the points along which slopes are taken."""

    @abc.abstractmethod
    def analyse(self, values: Float[Array, "*m"]) -> Num[Array, "*k"]:
        """Return the coefficients of a function."""

    @abc.abstractmethod
    def synthesise(self, modes: Num[Array, "*k"]) -> Float[Array, "*m"]:
        """Return the values of a function."""

    @abc.abstractmethod
    def slopes(self, modes: Num[Array, "*k"]) -> Float[Array, "c *m"]:
        """Return the components of the gradient."""

    @abc.abstractmethod
    def divergence(self, flux: Float[Array, "c *m"]) -> Num[Array, "*k"]:
        r"""Return the coefficients of a divergence, $-\int \langle F, \nabla Y\rangle$: exactly 0 at degree 0."""

    @abc.abstractmethod
    def fitted(self, modes: Num[Array, "*k"], degree: int) -> Num[Array, "*k"]:
        """Return the coefficients up to another degree: cut off, or filled up with zeros."""


class Circle(Grid):
    """Equal angles `2 pi j / size` on the circle; harmonics are `e^{ik theta}`."""

    size: int = eqx.field(static=True)
    degree: int = eqx.field(static=True)

    @property
    def shape(self) -> tuple[int, ...]:
        """One axis."""
        return (self.size,)

    @property
    def names(self) -> tuple[str, ...]:
        """The angle."""
        return ("angle",)

    @property
    def angles(self) -> Float[np.ndarray, "m"]:
        """The angles, from 0 on."""
        return 2.0 * np.pi * np.arange(self.size) / self.size

    @property
    def weights(self) -> Float[np.ndarray, "m"]:
        """Equal."""
        return np.full(self.size, 1.0 / self.size)

    @property
    def degrees(self) -> Float[np.ndarray, "k"]:
        """0, 1, 2, ..."""
        return np.arange(self.degree + 1.0)

    @property
    def multiplicity(self) -> Float[np.ndarray, "k"]:
        """Each stands for k and -k."""
        return np.where(self.degrees == 0, 1.0, 2.0)

    def finer(self, size: int) -> Circle:
        """Return more angles; an even number of them, which transforms faster."""
        return Circle(size=size + size % 2, degree=self.degree)

    def product_size(self) -> int:
        """Return 3K + 1: of three factors of degree K no mode falls back on degree 0."""
        return 3 * self.degree + 1

    def points(self, axis: Float[Array, "d"]) -> Float[Array, "m d"]:
        """Return the points; the axis has angle 0."""
        cosine, sine = np.cos(self.angles)[:, None], np.sin(self.angles)[:, None]
        return jnp.asarray(cosine * axis + sine * turned(axis))

    def frames(self, axis: Float[Array, "d"]) -> Float[Array, "c m d"]:
        """Return the direction of growing angle."""
        cosine, sine = np.cos(self.angles)[:, None], np.sin(self.angles)[:, None]
        return jnp.asarray(cosine * turned(axis) - sine * axis)[None]

    def analyse(self, values: Float[Array, "m"]) -> Num[Array, "k"]:
        """Return Fourier coefficients."""
        return jnp.fft.rfft(values, norm="forward")[: self.degree + 1]

    def synthesise(self, modes: Num[Array, "k"]) -> Float[Array, "m"]:
        """Return the Fourier sum."""
        return jnp.fft.irfft(self.fitted(modes, self.size // 2), self.size, norm="forward")

    def slopes(self, modes: Num[Array, "k"]) -> Float[Array, "c m"]:
        """Return the derivative by the angle."""
        return self.synthesise(jnp.multiply(1j * self.degrees, modes))[None]

    def divergence(self, flux: Float[Array, "c m"]) -> Num[Array, "k"]:
        """Return `ik F_k`."""
        return jnp.multiply(1j * self.degrees, self.analyse(flux[0]))

    def fitted(self, modes: Num[Array, "k"], degree: int) -> Num[Array, "k"]:
        """Return the first coefficients."""
        return jnp.pad(modes[: degree + 1], (0, max(0, degree + 1 - modes.shape[0])))


class Meridian(Grid):
    """Gauss-Legendre heights of S² for what is symmetric about an axis; harmonics are `sqrt(2l+1) P_l`."""

    size: int = eqx.field(static=True)
    degree: int = eqx.field(static=True)

    @property
    def shape(self) -> tuple[int, ...]:
        """One axis."""
        return (self.size,)

    @property
    def names(self) -> tuple[str, ...]:
        """The height over the equator."""
        return ("height",)

    @property
    def heights(self) -> Float[np.ndarray, "m"]:
        """The nodes, from the south pole to the north."""
        return gauss(self.size)[0]

    @property
    def weights(self) -> Float[np.ndarray, "m"]:
        """The Gauss-Legendre weights."""
        return gauss(self.size)[1]

    @property
    def degrees(self) -> Float[np.ndarray, "k"]:
        """0, 1, 2, ..."""
        return np.arange(self.degree + 1.0)

    @property
    def multiplicity(self) -> Float[np.ndarray, "k"]:
        """One each."""
        return np.ones(self.degree + 1)

    def finer(self, size: int) -> Meridian:
        """Return more heights."""
        return Meridian(size=size, degree=self.degree)

    def product_size(self) -> int:
        """Return the number of nodes that integrate degree 3L exactly."""
        return (3 * self.degree + 2) // 2

    def points(self, axis: Float[Array, "d"]) -> Float[Array, "m d"]:
        """Return the points of one meridian."""
        side, _ = sides(axis)
        return jnp.asarray(self.heights[:, None] * axis + np.sqrt(1.0 - self.heights**2)[:, None] * side)

    def frames(self, axis: Float[Array, "d"]) -> Float[Array, "c m d"]:
        """Return the direction away from the north pole."""
        side, _ = sides(axis)
        return jnp.asarray(self.heights[:, None] * side - np.sqrt(1.0 - self.heights**2)[:, None] * axis)[None]

    def analyse(self, values: Float[Array, "m"]) -> Num[Array, "k"]:
        """Return Legendre coefficients."""
        return legendre(self.size, self.degree)[0][:, :, 0].T @ (self.weights * values)

    def synthesise(self, modes: Num[Array, "k"]) -> Float[Array, "m"]:
        """Return the Legendre sum."""
        return legendre(self.size, self.degree)[0][:, :, 0] @ modes

    def slopes(self, modes: Num[Array, "k"]) -> Float[Array, "c m"]:
        """Return the derivative by the polar angle."""
        return (legendre(self.size, self.degree)[1][:, :, 0] @ modes)[None]

    def divergence(self, flux: Float[Array, "c m"]) -> Num[Array, "k"]:
        """Return the weak divergence."""
        return -(legendre(self.size, self.degree)[1][:, :, 0].T @ (self.weights * flux[0]))

    def fitted(self, modes: Num[Array, "k"], degree: int) -> Num[Array, "k"]:
        """Return the first coefficients."""
        return jnp.pad(modes[: degree + 1], (0, max(0, degree + 1 - modes.shape[0])))


class Sphere2(Grid):
    r"""Gauss-Legendre heights times equal longitudes on S²; harmonics are $\tilde P_{lm}(z) e^{im\phi}$, m >= 0."""

    size: int = eqx.field(static=True)
    around: int = eqx.field(static=True)
    degree: int = eqx.field(static=True)

    @property
    def shape(self) -> tuple[int, ...]:
        """Heights and longitudes."""
        return (self.size, self.around)

    @property
    def names(self) -> tuple[str, ...]:
        """The height over the equator and the longitude."""
        return ("height", "longitude")

    @property
    def heights(self) -> Float[np.ndarray, "m"]:
        """The nodes, from the south pole to the north."""
        return gauss(self.size)[0]

    @property
    def longitudes(self) -> Float[np.ndarray, "m"]:
        """The angles about the axis."""
        return 2.0 * np.pi * np.arange(self.around) / self.around

    @property
    def weights(self) -> Float[np.ndarray, "p q"]:
        """The Gauss-Legendre weights, shared equally around."""
        return np.repeat(gauss(self.size)[1][:, None] / self.around, self.around, axis=1)

    @property
    def degrees(self) -> Float[np.ndarray, "k k"]:
        """l, in the row of each l."""
        return np.repeat(np.arange(self.degree + 1.0)[:, None], self.degree + 1, axis=1)

    @property
    def multiplicity(self) -> Float[np.ndarray, "k k"]:
        """Each stands for m and -m; there is none with m > l."""
        count = np.where(np.arange(self.degree + 1) == 0, 1.0, 2.0)
        return np.tril(np.repeat(count[None, :], self.degree + 1, axis=0))

    def finer(self, size: int) -> Sphere2:
        """Return more heights, and twice as many longitudes."""
        return Sphere2(size=size, around=2 * size, degree=self.degree)

    def product_size(self) -> int:
        """Return the number of heights that integrate degree 3L exactly; twice as many longitudes do too."""
        return (3 * self.degree + 2) // 2

    def points(self, axis: Float[Array, "d"]) -> Float[Array, "m d"]:
        """Return the points, longitudes running fastest."""
        z, sine, cosine, across = self.angles()
        first, second = sides(axis)
        around = cosine[..., None] * first + across[..., None] * second
        return jnp.reshape(z[..., None] * axis + sine[..., None] * around, (-1, 3))

    def frames(self, axis: Float[Array, "d"]) -> Float[Array, "c m d"]:
        """Return the directions away from the north pole and towards the east."""
        z, sine, cosine, across = self.angles()
        first, second = sides(axis)
        around = cosine[..., None] * first + across[..., None] * second
        south = z[..., None] * around - sine[..., None] * axis
        east = jnp.broadcast_to(cosine[..., None] * second - across[..., None] * first, south.shape)
        return jnp.stack([south.reshape(-1, 3), east.reshape(-1, 3)])

    def angles(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return height, its sine, and cosine and sine of the longitude, each to be broadcast over the grid."""
        z = self.heights[:, None]
        return z, np.sqrt(1.0 - z * z), np.cos(self.longitudes)[None, :], np.sin(self.longitudes)[None, :]

    def analyse(self, values: Float[Array, "p q"]) -> Num[Array, "k k"]:
        """Return the coefficients: Fourier along the parallels, then Legendre."""
        return self.integrated(legendre(self.size, self.degree)[0], values)

    def synthesise(self, modes: Num[Array, "k k"]) -> Float[Array, "p q"]:
        """Return the sum of the harmonics."""
        return self.summed(legendre(self.size, self.degree)[0], modes)

    def slopes(self, modes: Num[Array, "k k"]) -> Float[Array, "c p q"]:
        """Return the derivatives towards the south and the east."""
        _, slope, side = legendre(self.size, self.degree)
        return jnp.stack([self.summed(slope, modes), self.summed(side, 1j * modes)])

    def divergence(self, flux: Float[Array, "c p q"]) -> Num[Array, "k k"]:
        """Return the weak divergence."""
        _, slope, side = legendre(self.size, self.degree)
        return -self.integrated(slope, flux[0]) + 1j * self.integrated(side, flux[1])

    def integrated(self, table: np.ndarray, values: Float[Array, "p q"]) -> Num[Array, "k k"]:
        """Return the integrals of the values against the conjugate of a table of functions."""
        rows = jnp.fft.rfft(values, axis=1, norm="forward")[:, : self.degree + 1]
        return jnp.einsum("ilm,im->lm", table, gauss(self.size)[1][:, None] * rows)

    def summed(self, table: np.ndarray, modes: Num[Array, "k k"]) -> Float[Array, "p q"]:
        """Return the sum of a table of functions."""
        rows = jnp.einsum("ilm,lm->im", table, modes)
        wide = jnp.pad(rows, ((0, 0), (0, self.around // 2 - self.degree)))
        return jnp.fft.irfft(wide, self.around, axis=1, norm="forward")

    def fitted(self, modes: Num[Array, "k k"], degree: int) -> Num[Array, "k k"]:
        """Return the coefficients of the lower degrees."""
        more = max(0, degree + 1 - modes.shape[0])
        return jnp.pad(modes[: degree + 1, : degree + 1], ((0, more), (0, more)))


def turned(axis: Float[Array, "d"]) -> Float[Array, "d"]:
    """Return a direction of the plane turned by a right angle."""
    return jnp.stack([-axis[1], axis[0]])


def sides(axis: Float[Array, "d"]) -> tuple[Float[Array, "d"], Float[Array, "d"]]:
    """Return two directions across an axis of R^3; of the third coordinate axis they are the first two."""
    # the rotation that takes e_3 to the axis without turning about anything but their common normal
    x, y, z = axis
    sign = jnp.where(z < 0, -1.0, 1.0)
    a = -1.0 / (sign + z)
    b = x * y * a
    first = jnp.stack([1.0 + sign * x * x * a, sign * b, -sign * x])
    second = jnp.stack([b, sign + y * y * a, -y])
    return first, second


@functools.cache
def gauss(size: int) -> tuple[Float[np.ndarray, "m"], Float[np.ndarray, "m"]]:
    """Return nodes and weights of Gauss-Legendre quadrature; the weights sum to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(size)
    return nodes, weights / weights.sum()


def associated_legendre(z: Float[np.ndarray, "n"], degree: int) -> Float[np.ndarray, "n k k"]:
    r"""Return $\tilde P_{lm}(z)$, normalised so that the harmonics are orthonormal under the uniform probability.

    Indices are node, l, m. For `degree` below about 1,500: beyond it the recursion over l would start from underflow.
    """
    sine = np.sqrt(1.0 - z * z)
    table = np.zeros((len(z), degree + 1, degree + 1))
    table[:, 0, 0] = 1.0
    for m in range(1, degree + 1):
        table[:, m, m] = np.sqrt((2 * m + 1) / (2 * m)) * sine * table[:, m - 1, m - 1]
    orders = np.arange(degree + 1)
    for k in range(1, degree + 1):  # all orders m < k at once
        m = orders[:k]
        ahead = np.sqrt((4 * k * k - 1) / (k * k - m * m))
        table[:, k, :k] = ahead * z[:, None] * table[:, k - 1, :k]
        if k > 1:
            behind = np.sqrt((2 * k + 1) * np.maximum((k - 1) ** 2 - m * m, 0) / ((2 * k - 3) * (k * k - m * m)))
            table[:, k, :k] -= behind * table[:, k - 2, :k]
    return table


@functools.cache
def legendre(size: int, degree: int) -> tuple[Any, Any, Any]:
    r"""Return at the Gauss nodes $\tilde P_{lm}$, its derivative by the polar angle, $m\tilde P_{lm}/\sin\theta$."""
    z, _ = gauss(size)
    sine = np.sqrt(1.0 - z * z)[:, None, None]
    table = associated_legendre(z, degree)
    degrees, orders = np.arange(degree + 1)[:, None], np.arange(degree + 1)[None, :]
    square = np.maximum(degrees**2 - orders**2, 0)
    factor = np.sqrt((2 * degrees + 1) * square / np.maximum(2 * degrees - 1, 1))
    below = np.concatenate([np.zeros((size, 1, degree + 1)), table[:, :-1]], axis=1)
    slope = (degrees * z[:, None, None] * table - factor * below) / sine
    return table, slope, orders * table / sine

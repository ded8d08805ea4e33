"""Densities on the circle and on S²: a measure with no atoms of its own, known by its values on a grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from measureflow.errors import BadInput
from measureflow.measures.grids import Circle, Grid, Meridian, Sphere2, gauss, sides
from measureflow.measures.inversion import angles_of, heights_of, longitudes_of
from measureflow.measures.measure import Measure, measure_kind
from measureflow.measures.seeds import as_key
from measureflow.measures.tokens import Tokens, as_array
from measureflow.spaces import Space, Sphere, is_traced

__all__ = ["Density"]

#: points along an axis of the grid where nothing is said: circle, meridian, whole sphere
USUAL = {"circle": 256, "meridian": 64, "sphere": 32}


@measure_kind
class Density(Measure):
    r"""The measure $d\mu = f\, d\sigma$ with $\sigma$ the uniform *probability* of the circle or of S².

    So `f = 1` is the uniform law, everywhere in this library. On `Sphere(2)` the values stand at equal angles; on
    `Sphere(3)` either at Gauss-Legendre heights (`(m,)`: symmetric about `axis`) or on heights times longitudes
    (`(p, q)`). Between the points `f` is the sum of the harmonics that they determine.

    Main arguments:
        space: `Sphere(2)` or `Sphere(3)`.
        values: `(m,)` or, on S², `(p, q)`: numbers >= 0 of mean 1 in the quadrature of the grid.

    Other arguments:
        axis: the direction of angle 0, or of height 1 (default: the first coordinate axis on the circle, the last on
            S²).

    Raises:
        BadInput: values that are NaN, negative, of the wrong shape, or not of mass 1; another space.

    Example:
        >>> import measureflow as mf
        >>> density = mf.Density.uniform(mf.Sphere(2), mode=3, amplitude=0.1)
        >>> density, round(density.mass, 12)
        (Density(256 angles, Sphere(d=2)), 1.0)
    """

    space: Space
    values: Float[Array, "*m"]
    axis: Float[Array, "d"]
    grid: Grid = eqx.field(static=True)

    def __init__(self, space: Space, values: Any, *, axis: Any = None) -> None:
        check_space(space)
        values = as_array(values, "values", "an array of numbers", "Density").astype(float)
        self.space = space
        self.grid = grid_of(space, values.shape)
        self.axis = as_axis(space, axis)
        if is_traced(values):
            self.values = values
            return
        known = np.asarray(values)
        if not np.isfinite(known).all():
            raise BadInput(f"Density: a value is {known[~np.isfinite(known)][0]}; values must be finite.")
        if known.min() < -1e-12 * np.abs(known).max():
            raise BadInput(f"Density: a value is {known.min():g}; a density is >= 0.")
        mass = float((self.grid.weights * known).sum())
        if abs(mass - 1.0) > 1e-6:
            raise BadInput(
                f"Density: the mass is {mass:.6g} with respect to the uniform probability (uniform is 1 everywhere); "
                f"divide the values by it."
            )
        self.values = jnp.asarray(known / mass, float)  # in NumPy: an eager operation of JAX is a program to compile

    @staticmethod
    def of(space: Space, function: Callable[[Any], Any], *, size: Any = None, axis: Any = None) -> Density:
        """Return the density proportional to a function of the points, `(m, d)` to `(m,)`.

        Arguments:
            size: points along each axis of the grid (default 256 on the circle, 64 heights, or 32 heights and 64
                longitudes).
            axis: on S², the axis about which the function is symmetric; `None` is a grid of the whole sphere.

        Example:
            >>> import jax.numpy as jnp, measureflow as mf
            >>> mf.Density.of(mf.Sphere(3), lambda x: jnp.exp(x[:, 0]), size=16)
            Density(16 heights x 32 longitudes, Sphere(d=3))
        """
        check_space(space)
        grid = grid_with(space, size, whole=axis is None)
        direction = as_axis(space, axis)
        try:
            values = np.asarray(function(grid.points(direction)), float).reshape(grid.shape)
        except (TypeError, ValueError) as error:
            raise BadInput(f"Density.of: the function does not take (m, {space.d}) to (m,) ({error}).") from None
        mass = float((grid.weights * values).sum())
        if not mass > 0:
            raise BadInput(f"Density.of: the function has integral {mass:g}; a density has a positive one.")
        return Density(space, values / mass, axis=direction)

    @staticmethod
    def uniform(
        space: Space, *, mode: Any = None, amplitude: float = 0.0, size: Any = None, axis: Any = None
    ) -> Density:
        r"""Return the uniform law, or $1 + \text{amplitude}\cdot Y$ with one harmonic.

        Arguments:
            mode: k for $\cos k\theta$ on the circle, l for $P_l(z)$ about the axis on S², or (l, m) for the real part
                of a harmonic of the whole sphere, scaled so that its largest value is near 1.
            size, axis: as in `of`; on S² the grid is a meridian unless `mode` is a pair.
        """
        check_space(space)
        grid = grid_with(space, size, whole=isinstance(mode, (tuple, list)))
        values = np.ones(grid.shape)
        if mode is not None:
            index = checked_mode(mode, grid)
            modes = np.zeros(grid.degrees.shape, complex if isinstance(grid, (Circle, Sphere2)) else float)
            modes[index] = 1.0
            shape = np.asarray(grid.synthesise(jnp.asarray(modes)))
            values = values + float(amplitude) * shape / top_of(grid, index, shape)
        return Density(space, values, axis=axis)

    @staticmethod
    def von_mises_fisher(space: Space, *, kappa: float, centre: Any = None, size: Any = None) -> Density:
        r"""Return the law $\propto e^{\kappa\langle c, x\rangle}$; on S² on a meridian about its centre."""
        check_space(space)
        if not (np.isfinite(kappa) and kappa >= 0):
            raise BadInput(f"Density.von_mises_fisher: kappa is {kappa}; a concentration is a finite number >= 0.")
        middle = as_axis(space, centre)
        return Density.of(space, lambda x: jnp.exp(kappa * (x @ middle - 1.0)), size=size, axis=middle)

    @staticmethod
    def mixture(parts: Sequence[Density], weights: Any = None) -> Density:
        """Return the mean of densities on one grid, with the given masses (default: equal)."""
        if not isinstance(parts, Sequence) or not parts or any(not isinstance(part, Density) for part in parts):
            raise BadInput("Density.mixture: give a non-empty list of densities.")
        first = parts[0]
        if any(part.grid != first.grid or not np.allclose(part.axis, first.axis) for part in parts):
            raise BadInput("Density.mixture: the densities stand on several grids or axes; make them with one size=.")
        shares = np.full(len(parts), 1.0 / len(parts)) if weights is None else np.asarray(weights, float)
        if shares.shape != (len(parts),) or (shares < 0).any() or abs(shares.sum() - 1) > 1e-6:
            raise BadInput(f"Density.mixture: weights are {weights}; give {len(parts)} masses >= 0 that sum to 1.")
        values = sum(share * part.values for share, part in zip(shares, parts, strict=True))
        return Density(first.space, values, axis=first.axis)

    @property
    def axes(self) -> dict[str, tuple[str, ...]]:
        """The values on the grid, and its axis."""
        return {"values": self.grid.names, "axis": ("coordinate",)}

    def held(self) -> dict[str, Any]:
        """Return the grid."""
        return {"grid": self.grid}

    def coordinates(self) -> dict[str, Any]:
        """Return angles, or heights and longitudes."""
        grid = self.grid
        if isinstance(grid, Circle):
            return {"angle": grid.angles}
        found: dict[str, Any] = {"height": gauss(grid.shape[0])[0]}
        return {**found, "longitude": grid.longitudes} if isinstance(grid, Sphere2) else found

    def said(self) -> str:
        """Return what it is on which grid."""
        return f"a density at {points_of(self.grid)}"

    @property
    def modes(self) -> Num[Array, "*k"]:
        """Coefficients in the orthonormal harmonics of the grid, those with m >= 0; the first is the mass."""
        return self.grid.analyse(self.values)

    @property
    def mass(self) -> float:
        """Total mass: 1 to rounding."""
        return float(jnp.sum(self.grid.weights * self.values))

    @property
    def smallest(self) -> float:
        """Smallest value on the grid: not below 0 but for what the grid does not resolve."""
        return float(jnp.min(self.values))

    @property
    def tail(self) -> Float[Array, ""]:
        """Size of the upper third of the harmonics beside the whole: near rounding where the grid resolves."""
        return tail_of(self.grid, self.modes)

    def moments(self, degree: int) -> Num[Array, "*k"]:
        r"""Return the integrals of the conjugate orthonormal harmonics up to `degree`.

        On the circle $\int e^{-ik\theta} d\mu$; on a meridian $\int \sqrt{2l+1} P_l d\mu$; on the whole sphere
        $\int \overline{Y_{lm}} d\mu$, m >= 0. Angles and heights are those about `axis`.
        """
        return self.grid.fitted(self.modes, int(degree))

    def atoms(self) -> tuple[Float[Array, "n d"], Float[Array, "n"]]:
        """Return the points and weights of a quadrature of `mu`; a meridian is turned about its axis."""
        whole = self.whole
        return whole.grid.points(whole.axis), jnp.reshape(whole.grid.weights * whole.values, -1)

    @property
    def whole(self) -> Density:
        """The same density on a grid of its whole space: itself, or a meridian turned about its axis."""
        if not isinstance(self.grid, Meridian):
            return self
        size = self.grid.size
        values = jnp.broadcast_to(self.values[:, None], (size, 2 * size))
        return self.replace(values=values, grid=Sphere2(size=size, around=2 * size, degree=self.grid.degree))

    def resampled(self, size: int) -> Density:
        """Return the sum of the harmonics on a grid of another size, cut off where that has less."""
        grid = grid_with(self.space, size, whole=isinstance(self.grid, Sphere2))
        return self.replace(values=grid.synthesise(self.grid.fitted(self.modes, grid.degree)), grid=grid)

    def sample(self, n: int, *, seed: Any = 0) -> Tokens:
        """Draw `n` independent tokens, by inverting the distribution function of the sum of harmonics.

        Example:
            >>> import measureflow as mf
            >>> mf.Density.uniform(mf.Sphere(2), mode=1, amplitude=0.5).sample(100, seed=0)
            Tokens(n=100, Sphere(d=2))
        """
        n = checked_count(n)
        u = np.asarray(jax.random.uniform(as_key(seed), (2, n), dtype=float))
        modes = np.asarray(self.modes)
        if isinstance(self.grid, Circle):
            return self.at_angles(angles_of(modes, u[0]))
        whole = np.asarray(self.whole.modes)
        z = heights_of(np.real(whole[:, 0]), u[0])
        phi = 2 * np.pi * u[1] if isinstance(self.grid, Meridian) else longitudes_of(whole, z, u[1])
        first, second = (np.asarray(side) for side in sides(self.axis))
        sine = np.sqrt(1.0 - z * z)
        points = z[:, None] * np.asarray(self.axis) + sine[:, None] * (
            np.cos(phi)[:, None] * first + np.sin(phi)[:, None] * second
        )
        return Tokens(self.space, points)

    def quantiles(self, n: int) -> Tokens:
        """Return `n` tokens on the circle at the quantiles `(i + 1/2)/n`, from the angle of the axis on: no draw is
        nearer to the density."""
        if not isinstance(self.grid, Circle):
            raise BadInput(f"quantiles are those of an angle, and this density lives on {self.space!r}; use sample.")
        n = checked_count(n)
        return self.at_angles(angles_of(np.asarray(self.modes), (np.arange(n) + 0.5) / n))

    def at_angles(self, theta: np.ndarray) -> Tokens:
        """Return tokens of the circle at angles from the axis."""
        axis = np.asarray(self.axis)
        side = np.array([-axis[1], axis[0]])
        return Tokens(self.space, np.cos(theta)[:, None] * axis + np.sin(theta)[:, None] * side)

    def __repr__(self) -> str:
        batch = self.batch
        where = f"batch {batch}, " if batch else ""
        return f"Density({where}{points_of(self.grid)}, {self.space!r})"


def points_of(grid: Grid) -> str:
    """Say how many points a grid has along each axis."""
    return " x ".join(f"{size} {name}s" for size, name in zip(grid.shape, grid.names, strict=True))


def tail_of(grid: Grid, modes: Num[Array, "*k"]) -> Float[Array, ""]:
    """Return the root of the share that the upper third of the degrees has in the square sum."""
    square = grid.multiplicity * jnp.abs(modes) ** 2
    high = jnp.sum(jnp.where(grid.degrees > 2.0 * grid.degree / 3.0, square, 0.0))
    return jnp.sqrt(high / jnp.sum(square))


def check_space(space: Any) -> None:
    """Raise `BadInput` unless a density can live on the space."""
    if not isinstance(space, Sphere) or space.d not in (2, 3):
        raise BadInput(f"Density: space is {space!r}; a density lives on mf.Sphere(2) or mf.Sphere(3).")


def grid_of(space: Space, shape: tuple[int, ...]) -> Grid:
    """Return the grid of values of a shape."""
    if any(size < 4 for size in shape) or len(shape) not in ((1,) if space.d == 2 else (1, 2)):
        wanted = "(m,) angles" if space.d == 2 else "(m,) heights or (p, q) heights and longitudes"
        raise BadInput(f"Density: values have shape {shape}; on {space!r} they are {wanted}, at least 4 each way.")
    if space.d == 2:
        return Circle(size=shape[0], degree=(shape[0] - 1) // 2)
    if len(shape) == 1:
        return Meridian(size=shape[0], degree=shape[0] - 1)
    return Sphere2(size=shape[0], around=shape[1], degree=min(shape[0] - 1, (shape[1] - 1) // 2))


def grid_with(space: Space, size: Any, *, whole: bool) -> Grid:
    """Return the grid with `size` points along its first axis; on S² a meridian or the whole sphere."""
    if size is None:
        size = USUAL["circle" if space.d == 2 else "sphere" if whole else "meridian"]
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 4:
        raise BadInput(f"Density: size is {size!r}; it must be a number of grid points, at least 4.")
    size = int(size)
    return grid_of(space, (size,) if space.d == 2 or not whole else (size, 2 * size))


def checked_mode(mode: Any, grid: Grid) -> Any:
    """Return the index of a mode among the coefficients."""
    index = tuple(mode) if isinstance(mode, (tuple, list)) else (mode,)
    whole = all(isinstance(k, (int, np.integer)) and not isinstance(k, bool) for k in index)
    fits = len(index) == len(grid.shape) and whole and 1 <= index[0] <= grid.degree
    if not fits or (len(index) == 2 and not 0 <= index[1] <= index[0]):
        raise BadInput(
            f"Density.uniform: mode is {mode!r}; on {points_of(grid)} it is a degree in 1 .. {grid.degree}"
            f"{' with an order m in 0 .. l' if len(grid.shape) == 2 else ''}."
        )
    return index


def top_of(grid: Grid, index: tuple[int, ...], shape: np.ndarray) -> float:
    """Return the largest value of a harmonic: known for cosines and Legendre polynomials, else seen on the grid."""
    if isinstance(grid, Circle):
        return 2.0
    return float(np.sqrt(2 * index[0] + 1)) if isinstance(grid, Meridian) else float(np.abs(shape).max())


def as_axis(space: Space, axis: Any) -> Float[Array, "d"]:
    """Return a direction as a unit vector."""
    if axis is None:
        return jnp.asarray(np.eye(space.d)[0 if space.d == 2 else 2])
    if is_traced(axis):
        return space.project(jnp.asarray(axis))
    try:
        vector = np.asarray(axis, float)
    except (TypeError, ValueError):
        vector = np.full(1, np.nan)
    size = float(np.linalg.norm(vector))
    if vector.shape != (space.d,) or not np.isfinite(size) or size == 0.0:
        raise BadInput(f"Density: axis is {axis!r}; give a direction, {space.d} numbers that are not all 0.")
    return jnp.asarray(vector / size)


def checked_count(n: Any) -> int:
    """Return a number of tokens."""
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise BadInput(f"Density: n is {n!r}; a number of tokens is an integer of at least 1.")
    return int(n)

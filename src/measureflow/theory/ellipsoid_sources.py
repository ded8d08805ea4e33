r"""The equation of constant potential in any dimension, tested by sources outside the ellipsoid.

Let $\Phi$ be the decaying solution of $\Delta u = u$ about the origin, $\Phi(z) = |z|^{1-d/2} K_{d/2-1}(|z|)$. The
measure $\nu = E_0[e^{-\tau/2};\, D^{-1}B_\tau \in \cdot\,]$ on the sphere is the one with
$\int \Phi(Dy - z)\,d\nu(y) = \Phi(z)$ for every z outside the ellipsoid $D B_1$ (Feynman-Kac for
$\Phi(\cdot - z)$): the mass of the origin, swept onto the boundary. Unlike the equation of constant potential itself
this one is well conditioned, for sources about two least axes away.

What is symmetric under all reflections depends on $t_i = y_i^2$ alone, a point of the simplex; the density is a
polynomial of these.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
from jaxtyping import Float
from scipy.special import betaincinv, eval_jacobi, k0, k1, kv, roots_jacobi

__all__ = ["Octant", "SweptMass", "swept_mass"]

#: sources for each coefficient; their distance in least axes; kernel entries that are held at once
SOURCES, LIFT, HELD = 3, 2.0, 1 << 22


@dataclasses.dataclass(frozen=True)
class Octant:
    """A Gauss rule of the uniform probability for functions of the squares of the coordinates, exact up to degree
    `4 size - 2`."""

    points: Float[np.ndarray, "m d"]
    weights: Float[np.ndarray, "m"]

    @staticmethod
    def of(d: int, size: int) -> Octant:
        """Return the product rule: each square has, as a share of what the ones before leave, a Beta law."""
        shares, weights = [], []
        for j in range(1, d):
            nodes, mass = roots_jacobi(size, (d - j) / 2 - 1, -0.5)
            shares.append((1 + nodes) / 2)
            weights.append(mass / mass.sum())
        share = np.stack([axis.ravel() for axis in np.meshgrid(*shares, indexing="ij")], axis=1)
        weight = np.stack([axis.ravel() for axis in np.meshgrid(*weights, indexing="ij")], axis=1)
        return Octant(np.sqrt(squares(share)), weight.prod(axis=1))


def squares(shares: Float[np.ndarray, "m d-1"]) -> Float[np.ndarray, "m d"]:
    """Return the squares of the coordinates, each a share of what the ones before leave of 1."""
    left = np.cumprod(1.0 - shares, axis=1)
    before = np.concatenate([np.ones((len(shares), 1)), left], axis=1)
    return before * np.concatenate([shares, np.ones((len(shares), 1))], axis=1)


def spread_points(count: int, d: int) -> Float[np.ndarray, "m d"]:
    """Return evenly spread points of the part of the sphere with positive coordinates, the same in every run."""
    root = 1.5
    for _ in range(40):  # the root of x^d = x + 1, whose powers fill a cube evenly
        root = (1.0 + root) ** (1.0 / d)
    cube = (0.5 + np.arange(1, count + 1)[:, None] * root ** -np.arange(1.0, d)) % 1.0
    shares = [betaincinv(0.5, (d - j) / 2, cube[:, j - 1]) for j in range(1, d)]
    return np.sqrt(squares(np.stack(shares, axis=1)))


def powers_of(d: int, degree: int) -> np.ndarray:
    """Return the powers of the shares in each polynomial."""
    return np.array([k for k in itertools.product(range(degree + 1), repeat=d - 1) if sum(k) <= degree])


def polynomials(points: Float[np.ndarray, "m d"], degree: int) -> Float[np.ndarray, "m k"]:
    """Return the polynomials in the squares up to a degree, orthogonal under the uniform probability."""
    d = points.shape[1]
    powers = powers_of(d, degree)
    values, left = np.ones((len(points), len(powers))), np.ones(len(points))
    for j in range(d - 1):
        share = np.where(left > 1e-300, points[:, j] ** 2 / np.maximum(left, 1e-300), 0.0)
        above = powers[:, j + 1 :].sum(axis=1)
        scale = (1.0 - share)[:, None] ** above
        values *= scale * eval_jacobi(powers[:, j], (d - j - 1) / 2 - 1 + 2 * above, -0.5, 2.0 * share[:, None] - 1.0)
        left = left - points[:, j] ** 2
    return values


def yukawa(distance: np.ndarray, d: int) -> np.ndarray:
    """Return the decaying solution of `Delta u = u` at a distance from its source, up to a factor."""
    if d == 2:
        return k0(distance)
    if d == 3:
        return np.exp(-distance) / distance
    return k1(distance) / distance if d == 4 else distance ** (1 - d / 2) * kv(d / 2 - 1, distance)


@dataclasses.dataclass(frozen=True)
class SweptMass:
    """The killed Brownian mass that leaves the ellipsoid, as a density on the sphere: in the axes of the form.

    Attributes:
        eigenvalues: of the form; `degree`: of the polynomial in the squares.
        coefficients: of the polynomials, for the density of mass 1.
        mass: the mass that leaves alive; octant: a rule that integrates the density.
    """

    eigenvalues: Float[np.ndarray, "d"]
    degree: int
    coefficients: Float[np.ndarray, "k"]
    mass: float
    octant: Octant

    def density(self, points: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "m"]:
        """Return the density beside the uniform probability, of mass 1."""
        return polynomials(points, self.degree) @ self.coefficients

    @property
    def tail(self) -> float:
        """The largest coefficient of the highest degree."""
        highest = powers_of(len(self.eigenvalues), self.degree).sum(axis=1) == self.degree
        return float(np.abs(self.coefficients[highest]).max())

    def potential(self, points: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "m"]:
        r"""Return $\int e^{\langle x, Dy\rangle} d\mu(y)$; the mean over reflections of y is a product of cosh."""
        own = self.octant.weights * self.density(self.octant.points)
        kernel = np.ones((len(points), len(own)))
        for scale, x, y in zip(self.eigenvalues, points.T, self.octant.points.T, strict=True):
            kernel *= np.cosh(scale * np.outer(x, y))
        return kernel @ own


def swept_mass(eigenvalues: Float[np.ndarray, "d"], degree: int) -> SweptMass:
    """Return the killed mass by least squares over the sources, its density a polynomial of a degree in the squares."""
    d = len(eigenvalues)
    octant = Octant.of(d, min(2 * degree + 4, degree + 12))
    table = octant.weights[:, None] * polynomials(octant.points, degree)
    sources = spread_points(SOURCES * table.shape[1] + 8, d) * np.hypot(eigenvalues, LIFT * eigenvalues.min())
    signs = np.array(list(itertools.product([1.0, -1.0], repeat=d)))
    boundary = octant.points * eigenvalues
    rows, step = [], max(1, HELD // len(table))
    for k in range(0, len(sources), step):
        near = sources[k : k + step]
        # no source is near the boundary, so that this form of the distance keeps its digits
        squares_of_both = (near**2).sum(axis=1)[:, None] + (boundary**2).sum(axis=1)
        gaps = [np.sqrt(squares_of_both - 2.0 * (near * sign) @ boundary.T) for sign in signs]
        pull = sum(yukawa(gap, d) for gap in gaps) / len(signs)
        # beside what the source makes at the origin: every equation then has the right side 1
        rows.append(pull / yukawa(np.linalg.norm(near, axis=1), d)[:, None] @ table)
    found = np.linalg.lstsq(np.concatenate(rows), np.ones(len(sources)), rcond=1e-15)[0]
    mass = float(table.sum(axis=0) @ found)
    return SweptMass(eigenvalues, degree, found / mass, mass, octant)

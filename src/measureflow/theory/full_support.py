r"""The minimiser of full support: of all measures on the sphere the one of least energy, for a positive definite form.

Three independent ways lead to it: Fourier modes (circle), sources outside the ellipsoid (any low dimension), and
Brownian paths that leave the ellipsoid (any dimension). What the first two find is enclosed by `bounds_of_minimum`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from measureflow.errors import BadInput
from measureflow.measures import Density, Measure, Tokens
from measureflow.spaces import Sphere
from measureflow.theory.checks import as_matrix, as_numbers
from measureflow.theory.circle_modes import modes_of_constant_potential, modes_that_resolve
from measureflow.theory.ellipsoid_sources import Octant, SweptMass, swept_mass
from measureflow.theory.forms import as_form, as_positive_form

__all__ = [
    "FullSupportMinimiser",
    "bounds_of_minimum",
    "full_support_by_modes",
    "full_support_by_sources",
    "full_support_minimiser",
]

#: points and weights
Atoms = tuple[np.ndarray, np.ndarray]
#: degrees in the squares that are tried in turn, by dimension
DEGREES = {2: (8, 16, 32, 64), 3: (5, 8, 12, 16), 4: (3, 5)}
#: the potential is constant to this much where a degree is enough, beside its size
ENOUGH = 1e-9
#: the coefficients of the density that may be left out, beside its mean
SMALL = 1e-5
#: where the potential varies by more than this, beside its size, nothing is said of the minimiser
TRUSTED = 0.03
#: beyond this the kernel spans more than the digits of a double
SOLVED = 60.0


@dataclasses.dataclass(frozen=True)
class FullSupportMinimiser:
    r"""The measure of least energy of a positive definite form.

    Main attributes:
        energy: $E_2 = \iint e^{\langle x, Dy\rangle} d\mu d\mu$ of it: the minimum.
        bounds: the least and the largest value of its potential on a grid; the true minimum lies between those of the
            sphere.
        measure: a `Density` on the circle and on S²; beyond, weighted `Tokens` that integrate it.
        covariance: $\int y y^T d\mu$; the mean is 0.

    Other attributes:
        form: D. method: `"modes"` or `"sources"`. density: a function of points `(m, d)`, beside the uniform law.
        atoms: points and weights of a quadrature.
        modes: on the circle, by Fourier: $\int e^{2ik\varphi} d\mu$, with the angle from the first coordinate axis.
    """

    form: Float[np.ndarray, "d d"]
    energy: float
    bounds: tuple[float, float]
    measure: Measure
    covariance: Float[np.ndarray, "d d"]
    method: str
    density: Callable[[Any], np.ndarray] = dataclasses.field(repr=False, compare=False)
    atoms: tuple[np.ndarray, np.ndarray] = dataclasses.field(repr=False, compare=False)
    modes: np.ndarray | None = dataclasses.field(default=None, repr=False)

    def potential(self, points: Any) -> Float[np.ndarray, "m"]:
        r"""Return $Z_\mu(x) = \int e^{\langle x, Dy\rangle} d\mu(y)$ at points of the sphere: the constant `energy`."""
        return potential(self.form, *self.atoms, points)


def potential(form: np.ndarray, atoms: np.ndarray, weights: np.ndarray, points: Any) -> Float[np.ndarray, "m"]:
    """Return the potential of weighted points."""
    return np.exp(as_numbers("points", points) @ form @ atoms.T) @ weights


def bounds_of_minimum(form: Any, measure: Measure, *, points: Any) -> tuple[float, float]:
    r"""Return numbers between which the least energy of a positive definite form lies, from any probability measure.

    $$ \min_x Z_\mu(x) \;\le\; \min E_2 = \int Z_\mu \, d\mu_D \;\le\; \max_x Z_\mu(x),
       \qquad Z_\mu(x) = \int e^{\langle x, Dy\rangle} d\mu(y) $$

    The middle is symmetric in the two measures, and the potential of $\mu_D$ is constant. Derived; for the energy of
    [arXiv:2501.03096](https://arxiv.org/abs/2501.03096).

    Arguments:
        points: `(m, d)` unit vectors over which the extremes are taken; enough to find them.

    Raises:
        BadInput: a form that is not symmetric and positive definite.

    Example:
        >>> import numpy as np, measureflow as mf
        >>> from measureflow import theory
        >>> corners = mf.Tokens(mf.Sphere(2), [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
        >>> low, high = theory.bounds_of_minimum(np.eye(2), corners, points=corners.points)
        >>> low <= theory.extremal_energy(np.eye(2)).minimum <= high
        False
        >>> angles = np.linspace(0, np.pi, 33)
        >>> around = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        >>> low, high = theory.bounds_of_minimum(np.eye(2), corners, points=around)
        >>> low <= theory.extremal_energy(np.eye(2)).minimum <= high
        True
    """
    points = as_matrix("points", points, columns=len(as_positive_form(form)[0]))
    atoms, weights = (np.asarray(part) for part in measure.atoms())
    values = potential(as_form(form), atoms, weights, points)
    return float(values.min()), float(values.max())


def full_support_minimiser(form: Any) -> FullSupportMinimiser:
    r"""Return the measure of least energy of a positive definite form, unique, with a positive analytic density.

    $$ \mu_D(A) = \frac{E_0[e^{-\tau/2}\, 1\{D^{-1}B_\tau \in A\}]}{E_0[e^{-\tau/2}]}, \qquad
       \min E_2 = \frac{1}{E_0[e^{-\tau/2}]} $$

    with Brownian motion from the centre of the ellipsoid $D B_1$ up to its exit at $\tau$: its potential is constant.
    Derived, for [arXiv:2501.03096](https://arxiv.org/abs/2501.03096). By Fourier modes on the circle, where they are
    enough, otherwise by sources; `bounds` says how well.

    Raises:
        BadInput: a form that is not symmetric and positive definite, d > 4, an eigenvalue above 60, or eigenvalues too
            far apart (a ratio above 28 on the circle, some 12 on S², 5 in dimension 4): use `full_support_by_exits`.

    Example:
        >>> import numpy as np
        >>> from measureflow import theory
        >>> found = theory.full_support_minimiser(np.diag([1.0, 2.0]))
        >>> round(found.energy, 9), found.measure
        (1.438195707, Density(256 angles, Sphere(d=2)))
    """
    eigenvalues, _ = as_positive_form(form)
    narrow = len(eigenvalues) == 2 and eigenvalues[1] <= 12.0 * eigenvalues[0]
    return full_support_by_modes(form) if narrow else full_support_by_sources(form)


def full_support_by_modes(form: Any) -> FullSupportMinimiser:
    r"""Return the minimiser on the circle from the equation of constant potential in Fourier modes.

    $\sum_n K_{mn} c_n = \text{const}\cdot\delta_{m0}$ on even modes, with
    $K_{mn} = I_{(m+n)/2}(\tfrac{a+b}2)\, I_{(m-n)/2}(\tfrac{a-b}2)$ for the eigenvalues a, b. K is ill-conditioned
    beyond any double; it is eliminated in some hundred decimals. Derived, for
    [arXiv:2501.03096](https://arxiv.org/abs/2501.03096). The energy is right to rounding, also at a ratio of the
    eigenvalues of 50; the density to 1e-8 below a ratio of 5, and beyond 12 it no longer makes the potential constant.

    Raises:
        BadInput: as `full_support_minimiser`, or d is not 2.

    Example:
        >>> import numpy as np
        >>> from measureflow import theory
        >>> found = theory.full_support_by_modes(np.diag([1.0, 1.3]))
        >>> (2 * found.modes[1:3].real).round(9).tolist()  # density 1 + c_1 cos 2 phi + c_2 cos 4 phi + ...
        [0.538172152, 0.07754581]
    """
    eigenvalues, axes = checked(form, most=2)
    low, high = (float(value) for value in eigenvalues)
    count = modes_that_resolve(low, high)
    energy, own = modes_of_constant_potential(low, high, count)
    own = own[: max(2, np.count_nonzero(np.abs(own) > 1e-16))]  # the rest is below rounding, beside the mode 0
    orders = 2 * np.arange(len(own))
    modes = own * np.exp(1j * orders * np.arctan2(axes[1, 0], axes[0, 0]))

    def density(points: Any) -> np.ndarray:
        angles = np.arctan2(*as_numbers("points", points).T[::-1])
        waves = np.exp(-1j * np.outer(angles, orders)) * modes
        return 2.0 * waves.real.sum(axis=1) - 1.0

    measure, atoms = as_density(2, density, 256 if len(own) < 60 else 512)
    second = 0.5 * np.eye(2) + 0.5 * np.array([[modes[1].real, modes[1].imag], [modes[1].imag, -modes[1].real]])
    values = potential(as_form(form), *atoms, atoms[0][::2])
    bounds = float(values.min()), float(values.max())
    return FullSupportMinimiser(as_form(form), energy, bounds, measure, second, "modes", density, atoms, modes)


def full_support_by_sources(form: Any) -> FullSupportMinimiser:
    r"""Return the minimiser from sources outside the ellipsoid, in dimension 2, 3 or 4.

    With $\Phi(z) = |z|^{1-d/2} K_{d/2-1}(|z|)$, the measure $\nu = \mu_D / \min E_2$ solves
    $\int \Phi(Dy - z)\,d\nu(y) = \Phi(z)$ for every z outside $D B_1$: least squares over many z, for a density that is
    a polynomial in the squares of the coordinates about the axes of the form. Derived, for
    [arXiv:2501.03096](https://arxiv.org/abs/2501.03096). The degree grows until the potential is constant to 1e-9 (see
    `bounds`) and the last coefficients are below 1e-5: reached up to a ratio of some 3 of the eigenvalues on S² and 10
    on the circle; the energy, an integral of the potential, is much better than that.

    Beyond a ratio of 28 on the circle, some 12 on S² and 5 in dimension 4 the potential varies by more than 3 %, and
    the energy may be far off: an error names the Brownian paths, which have no such limit.

    Raises:
        BadInput: as `full_support_minimiser`.

    Example:
        >>> import numpy as np
        >>> from measureflow import theory
        >>> found = theory.full_support_by_sources(np.diag([1.0, 0.8, 1.0]))
        >>> round(found.energy, 7), round(float(np.sinh(1.0)), 7)  # below that of the identity
        (1.1463284, 1.1752012)
    """
    eigenvalues, axes = checked(form, most=max(DEGREES))
    for degree in DEGREES[len(eigenvalues)]:
        swept = swept_mass(eigenvalues, degree)
        coarse = Octant.of(len(eigenvalues), degree + 4)
        values = swept.potential(coarse.points)
        bounds = float(values.min()), float(values.max())
        # the potential hardly sees the highest modes of the density: they are looked at themselves
        if bounds[1] - bounds[0] < ENOUGH * bounds[1] and swept.tail < SMALL:
            break
    if not bounds[1] - bounds[0] < TRUSTED * bounds[1]:
        raise BadInput(
            f"theory: with eigenvalues {eigenvalues.round(4).tolist()} the sources leave a potential between "
            f"{bounds[0]:.4g} and {bounds[1]:.4g}; the form is too narrow for them. Use full_support_by_exits."
        )
    shares = coarse.weights * swept.density(coarse.points)
    energy = float(shares @ values)
    covariance = (axes * (shares @ coarse.points**2)) @ axes.T

    def density(points: Any) -> np.ndarray:
        return swept.density(np.abs(as_numbers("points", points) @ axes))

    d = len(eigenvalues)
    measure, atoms = as_density(d, density, 256 if d == 2 else 2 * degree + 8) if d < 4 else as_atoms(swept, axes)
    return FullSupportMinimiser(as_form(form), energy, bounds, measure, covariance, "sources", density, atoms)


def checked(form: Any, most: int) -> tuple[Float[np.ndarray, "d"], Float[np.ndarray, "d d"]]:
    """Return eigenvalues and axes of a positive form that a solver can do."""
    eigenvalues, axes = as_positive_form(form)
    if len(eigenvalues) > most:
        cure = "full_support_by_sources" if most == 2 and len(eigenvalues) <= max(DEGREES) else "full_support_by_exits"
        raise BadInput(f"theory: the form has d = {len(eigenvalues)}; this way goes up to {most}. Use {cure}.")
    if eigenvalues[-1] > SOLVED:
        raise BadInput(
            f"theory: the form has the eigenvalue {eigenvalues[-1]:.4g}; up to {SOLVED:g} the minimiser is known to "
            f"many digits. Use full_support_by_exits."
        )
    return eigenvalues, axes


def as_density(d: int, density: Callable[[Any], np.ndarray], size: int) -> tuple[Density, Atoms]:
    """Return the density on a grid, and the grid's atoms; what the solver does not resolve and falls below 0 is 0.

    The grid is that of `Density`, made in NumPy: its own operations are programs to compile.
    """
    if d == 2:
        angles, shape = 2.0 * np.pi * np.arange(size) / size, (size,)
        points, weights = np.stack([np.cos(angles), np.sin(angles)], axis=1), np.full(size, 1.0 / size)
    else:
        (heights, mass), around = np.polynomial.legendre.leggauss(size), np.pi * np.arange(2 * size) / size
        shape, sines = (size, 2 * size), np.sqrt(1.0 - heights**2)
        circle = np.stack([np.cos(around), np.sin(around)], axis=1)
        flat = sines[:, None, None] * circle
        points = np.concatenate([flat, np.broadcast_to(heights[:, None, None], (*shape, 1))], axis=2).reshape(-1, 3)
        weights = np.repeat(mass / (mass.sum() * 2 * size), 2 * size)
    values = np.maximum(density(points), 0.0)
    shares = weights * values
    return Density(Sphere(d), (values / shares.sum()).reshape(shape)), (points, shares / shares.sum())


def as_atoms(swept: SweptMass, axes: np.ndarray) -> tuple[Tokens, Atoms]:
    """Return weighted tokens that integrate the density: a coarse rule in every part of the sphere."""
    octant = Octant.of(len(axes), swept.degree + 2)
    shares = np.maximum(octant.weights * swept.density(octant.points), 0.0)
    signs = np.stack(np.meshgrid(*[[1.0, -1.0]] * len(axes), indexing="ij"), axis=-1).reshape(-1, len(axes))
    points = (signs[:, None] * octant.points).reshape(-1, len(axes)) @ axes.T
    weights = np.tile(shares / (shares.sum() * len(signs)), len(signs))
    return Tokens(Sphere(len(axes)), points, weights), (points, weights)

r"""The extreme values of the energy of a symmetric form over all measures on the sphere, and who attains them.

$E_2(\mu) = \iint e^{\langle x, Dy\rangle} d\mu(x) d\mu(y)$ is what the layer-normalised flow with V = D raises and with
V = -D lowers; the energy of the theory is half of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from measureflow.errors import BadInput
from measureflow.measures import Density, Measure, Tokens
from measureflow.spaces import Sphere
from measureflow.theory.ellipsoid_exits import full_support_by_exits
from measureflow.theory.forms import as_form, principal_axes
from measureflow.theory.full_support import DEGREES, SOLVED, full_support_minimiser
from measureflow.theory.uniform_measure import funk_hecke_coefficients

__all__ = ["ExtremalEnergy", "Extremisers", "WhichCase", "extremal_energy"]

#: logarithms of the two candidates for the maximum that differ by less than this are equal
TIE = 1e-12
#: exp of more than this is no double
LARGEST = 700.0


class WhichCase(NamedTuple):
    """Which case holds: `maximum` is `"dirac"`, `"antipodal pair"` or `"either"`, `minimum` is `"dirac"`, `"kernel"` or
    `"full support"`."""

    maximum: str
    minimum: str


@dataclasses.dataclass(frozen=True)
class Extremisers:
    """The measures that attain an extreme value, all of them.

    Attributes:
        kind: `"dirac"`: at any unit vector z of the span of `axes`; `"antipodal pair"`: half at z and half at -z;
            `"kernel"`: any measure on the unit sphere of the span; `"full support"`: `measure` alone (the span is all).
        axes: `(d, k)`: an orthonormal basis of an eigenspace.
        measure: one of them; of full support beyond S², weighted draws from it.
    """

    kind: str
    axes: Float[np.ndarray, "d k"]
    measure: Measure


@dataclasses.dataclass(frozen=True)
class ExtremalEnergy:
    r"""The largest and the least $E_2$ of a symmetric form.

    Attributes:
        form: D. maximum, minimum: the values.
        case: which case holds for each.
        maximisers, minimisers: who attains them; two kinds of maximisers where they tie.
        error: of the minimum: 0 for a closed form, half of an enclosure, or three standard errors.
    """

    form: Float[np.ndarray, "d d"]
    maximum: float
    minimum: float
    case: WhichCase
    maximisers: tuple[Extremisers, ...]
    minimisers: Extremisers
    error: float


def extremal_energy(form: Any, *, paths: int = 20_000, seed: int = 0) -> ExtremalEnergy:
    r"""Return the extreme values of $\iint e^{\langle x, Dy\rangle} d\mu\,d\mu$ over all measures on the sphere.

    $$ \max E_2 = \begin{cases} e^{\lambda_{\max}} & \lambda_{\min} \ge 0 \\
                  \max(e^{\lambda_{\max}}, \cosh\lambda_{\min}) & \lambda_{\min} < 0 \end{cases} \qquad
       \min E_2 = \begin{cases} e^{\lambda_{\min}} & \lambda_{\min} < 0 \\ 1 & \lambda_{\min} = 0 \\
                  1 / E_0[e^{-\tau/2}] & \lambda_{\min} > 0 \end{cases} $$

    The maximum is attained by a Dirac at an eigenvector of $\lambda_{\max}$, or by an antipodal pair along one of
    $\lambda_{\min}$; the minimum by a Dirac, by what lives on the kernel, or by the minimiser of full support alone
    (`full_support_minimiser`), uniform for a multiple of the identity. Derived, for every symmetric D and any d, for
    [arXiv:2501.03096](https://arxiv.org/abs/2501.03096). An eigenvalue within 1e-12 of 0, beside the largest, is 0.

    Main arguments:
        form: D, a symmetric `(d, d)` matrix.

    Other arguments:
        paths, seed: of the Brownian estimate, which serves definite forms in d > 4 or with an eigenvalue above 60.

    Raises:
        BadInput: a matrix that is not square, finite and symmetric, or an eigenvalue beyond 700.

    Example:
        >>> import numpy as np
        >>> from measureflow import theory
        >>> found = theory.extremal_energy(np.diag([-1.0, 0.4]))
        >>> found.case.maximum, round(found.maximum, 6), found.case.minimum, round(found.minimum, 6)
        ('antipodal pair', 1.543081, 'dirac', 0.367879)
        >>> theory.extremal_energy(np.diag([1.0, 2.0])).minimisers.measure
        Density(256 angles, Sphere(d=2))
    """
    matrix = as_form(form)
    eigenvalues, axes = principal_axes(matrix)
    if np.abs(eigenvalues).max() > LARGEST:
        raise BadInput(
            f"theory: the form has the eigenvalue {eigenvalues[np.abs(eigenvalues).argmax()]:.6g}; e to that is no "
            f"double. Scale the form down to {LARGEST:g}."
        )
    maximum, maximisers = largest(eigenvalues, axes)
    minimum, minimisers, error = least(matrix, eigenvalues, axes, paths, seed)
    kinds = {one.kind for one in maximisers}
    case = WhichCase("either" if len(kinds) > 1 else kinds.pop(), minimisers.kind)
    return ExtremalEnergy(matrix, maximum, minimum, case, maximisers, minimisers, error)


def largest(eigenvalues: np.ndarray, axes: np.ndarray) -> tuple[float, tuple[Extremisers, ...]]:
    """Return the maximum and who attains it."""
    low, high = float(eigenvalues[0]), float(eigenvalues[-1])
    pair = abs(low) + math.log1p(math.exp(-2.0 * abs(low))) - math.log(2.0)  # log cosh
    one = Extremisers("dirac", eigenspace(eigenvalues, axes, high), at_axis(axes[:, -1]))
    two = Extremisers("antipodal pair", eigenspace(eigenvalues, axes, low), at_axis(axes[:, 0], pair=True))
    if low >= 0 or high > pair + TIE:
        return math.exp(high), (one,)
    return math.cosh(low), (two,) if pair > high + TIE else (one, two)


def least(
    form: np.ndarray, eigenvalues: np.ndarray, axes: np.ndarray, paths: int, seed: int
) -> tuple[float, Extremisers, float]:
    """Return the minimum, who attains it, and the error of its value."""
    low, high = float(eigenvalues[0]), float(eigenvalues[-1])
    if low <= 0:
        kind = "dirac" if low < 0 else "kernel"
        return math.exp(low), Extremisers(kind, eigenspace(eigenvalues, axes, low), at_axis(axes[:, 0])), 0.0
    kind, d = "full support", len(eigenvalues)
    if high - low <= TIE * high:
        energy = float(funk_hecke_coefficients([0], beta=low, d=d)[0])
        return energy, Extremisers(kind, axes, uniform_law(d, paths, seed)), 0.0
    if d <= max(DEGREES) and high <= SOLVED:
        with contextlib.suppress(BadInput):  # the form is too narrow for the solvers: Brownian paths know no such limit
            found = full_support_minimiser(form)
            return found.energy, Extremisers(kind, axes, found.measure), 0.5 * (found.bounds[1] - found.bounds[0])
    exits = full_support_by_exits(form, paths=paths, seed=seed)
    return exits.energy, Extremisers(kind, axes, exits.measure), 3.0 * exits.standard_error


def uniform_law(d: int, count: int, seed: int) -> Measure:
    """Return the uniform law: a density on the circle and on S², draws from it beyond."""
    if d <= 3:
        return Density(Sphere(d), np.ones(256 if d == 2 else (32, 64)))
    points = np.random.default_rng(seed).normal(size=(count, d))
    return Tokens(Sphere(d), points / np.linalg.norm(points, axis=1, keepdims=True))


def eigenspace(eigenvalues: np.ndarray, axes: np.ndarray, value: float) -> Float[np.ndarray, "d k"]:
    """Return a basis of the eigenvectors whose eigenvalue is within rounding of a value."""
    return axes[:, np.abs(eigenvalues - value) <= 1e-10 * max(1e-300, float(np.abs(eigenvalues).max()))]


def at_axis(axis: np.ndarray, *, pair: bool = False) -> Tokens:
    """Return a token at a unit vector, or half of the mass there and half opposite."""
    return Tokens(Sphere(len(axis)), np.stack([axis, -axis]) if pair else axis[None])

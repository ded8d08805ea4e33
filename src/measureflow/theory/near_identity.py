"""The minimiser of full support where it has a closed form: near multiples of the identity, and for small forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from measureflow.theory.checks import as_count, as_dimension, as_matrix, as_numbers, in_interval
from measureflow.theory.forms import as_form, as_positive_form
from measureflow.theory.uniform_measure import funk_hecke_coefficients

__all__ = [
    "covariance_of_small_form",
    "density_of_small_form",
    "first_order_density",
    "minimum_of_small_form",
    "slope_of_minimiser_at_identity",
]

#: the largest argument of cosh that matters
LARGEST = 700.0


def slope_of_minimiser_at_identity(*, kappa: float, d: int) -> float:
    r"""Return how the minimiser leaves the uniform law as its form leaves a multiple of the identity.

    $$ D = \kappa(I + \epsilon M), \qquad
       \mu_D = \sigma\left(1 + \epsilon\alpha\,(\langle x, Mx\rangle - \tfrac{\operatorname{tr}M}d)\right)
       + O(\epsilon^2), \qquad \alpha = -\kappa\,\frac{I_{d/2}(\kappa)}{I_{d/2+1}(\kappa)} $$

    Derived from the constancy of the potential, for [arXiv:2501.03096](https://arxiv.org/abs/2501.03096); the released
    code integrates with the weight $\sin^{d-1}$ where $\sin^{d-2}$ belongs.

    Raises:
        BadInput: kappa <= 0 or d < 2.

    Example:
        >>> from measureflow import theory
        >>> [round(theory.slope_of_minimiser_at_identity(kappa=1.0, d=d), 7) for d in (2, 3)]
        [-4.1633061, -5.1406468]
    """
    kappa = in_interval("kappa", kappa, 0.0, math.inf)
    first, second = funk_hecke_coefficients([1, 2], beta=kappa, d=as_dimension(d), shifted=True)
    return float(-kappa * first / second)


def first_order_density(form: Any, points: Any) -> Float[np.ndarray, "m"]:
    r"""Return the minimiser's density at points, to first order about the nearest multiple of the identity.

    $1 + \alpha\,(\langle x, Dx\rangle/\kappa - 1)$ with $\kappa = \operatorname{tr}D/d$ and the slope
    $\alpha$ of `slope_of_minimiser_at_identity`. Its error is of second order in $D/\kappa - I$. Derived, for
    [arXiv:2501.03096](https://arxiv.org/abs/2501.03096).

    Raises:
        BadInput: a form that is not symmetric and positive definite.

    Example:
        >>> import numpy as np
        >>> from measureflow import theory
        >>> theory.first_order_density(np.diag([1.0, 1.1]), [[1.0, 0.0], [0.0, 1.0]]).round(3).tolist()
        [1.199, 0.801]
    """
    as_positive_form(form)
    matrix = as_form(form)
    points = as_matrix("points", points, columns=len(matrix))
    kappa = float(np.trace(matrix)) / len(matrix)
    slope = slope_of_minimiser_at_identity(kappa=kappa, d=len(matrix))
    return 1.0 + slope * (np.einsum("mi,ij,mj->m", points, matrix, points) / kappa - 1.0)


def covariance_of_small_form(form: Any) -> Float[np.ndarray, "d d"]:
    r"""Return the limit $\int yy^T d\mu_{\kappa D} \to D^{-2}/\operatorname{tr} D^{-2}$ as $\kappa \to 0$.

    Every centred measure with this covariance is optimal up to $O(\kappa^4)$: the landscape is flat. Derived, for
    [arXiv:2501.03096](https://arxiv.org/abs/2501.03096); the error is $O(\kappa^2)$.

    Raises:
        BadInput: a form that is not symmetric and positive definite.

    Example:
        >>> import numpy as np
        >>> from measureflow import theory
        >>> theory.covariance_of_small_form(np.diag([1.0, 2.0])).tolist()
        [[0.8, 0.0], [0.0, 0.2]]
    """
    eigenvalues, axes = as_positive_form(form)
    inverse = (axes * eigenvalues**-2) @ axes.T
    return inverse / np.trace(inverse)


def minimum_of_small_form(form: Any) -> float:
    r"""Return $\min E_2 = 1 + \tfrac12 / \operatorname{tr} D^{-2} + O(|D|^4)$.

    Derived, for [arXiv:2501.03096](https://arxiv.org/abs/2501.03096).

    Raises:
        BadInput: a form that is not symmetric and positive definite.

    Example:
        >>> import numpy as np
        >>> from measureflow import theory
        >>> small = 0.1 * np.diag([1.0, 2.0])
        >>> abs(theory.minimum_of_small_form(small) - theory.extremal_energy(small).minimum) < 1e-5
        True
    """
    eigenvalues, _ = as_positive_form(form)
    return 1.0 + 0.5 / float((eigenvalues**-2).sum())


def density_of_small_form(ratio: float, angles: Any, *, modes: int = 0) -> Float[np.ndarray, "m"]:
    r"""Return the limit density on the circle of $\mu_{\kappa D}$, D = diag(1, ratio), as $\kappa \to 0$.

    $$ 1 + 2\sum_{k \ge 1} \frac{s^k}{\cosh 2k\xi} \cos 2k\varphi, \qquad \tanh\xi = \min(\rho, 1/\rho), \quad
       s = \operatorname{sign}(\rho - 1) $$

    The harmonic measure of an ellipse seen from its centre, in the eccentric angle: there the harmonic function
    $\operatorname{Re} T_{2k}(z/c)$ is $\cosh 2k\xi\cos 2k\varphi$. Derived, for
    [arXiv:2501.03096](https://arxiv.org/abs/2501.03096).

    Arguments:
        modes: how many (default: up to rounding).

    Raises:
        BadInput: a ratio that is not positive, or no count of modes.

    Example:
        >>> import numpy as np
        >>> from measureflow import theory
        >>> angles = 2 * np.pi * np.arange(64) / 64
        >>> density = theory.density_of_small_form(2.0, angles)
        >>> round(float(2 * (density * np.cos(2 * angles)).mean()), 12)  # 2 (rho^2 - 1) / (rho^2 + 1)
        1.2
    """
    ratio, modes = in_interval("ratio", ratio, 0.0, math.inf), as_count("modes", modes, 0)
    angles = as_numbers("angles", angles)
    if ratio == 1.0:
        return np.ones_like(angles)
    xi, sign = math.atanh(min(ratio, 1.0 / ratio)), np.sign(ratio - 1.0)
    if not modes and xi < 1.0:  # two peaks: Poisson's formula has few terms there, and the modes many
        places = np.remainder(angles - (0.0 if sign > 0 else math.pi / 2) + math.pi / 2, math.pi) - math.pi / 2
        copies = np.abs(places[..., None] - math.pi * np.arange(-8, 9))
        away = np.exp(-0.5 * math.pi * copies / xi)
        return math.pi / xi * (away / (1.0 + away * away)).sum(axis=-1)
    k = np.arange(1, (modes or math.ceil(20.0 / xi)) + 1)
    heights = 2.0 * sign**k / np.cosh(np.minimum(2.0 * k * xi, LARGEST))
    return 1.0 + np.cos(2.0 * np.multiply.outer(angles, k)) @ heights

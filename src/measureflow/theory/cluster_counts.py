r"""How many clusters there are at first: the modes of the kernel density of uniform tokens."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ive

from measureflow.theory.checks import as_beta, in_interval

__all__ = ["expected_modes_on_circle", "expected_modes_on_sphere"]


def expected_modes_on_circle(beta: float) -> float:
    r"""Return how many modes the kernel density of uniform tokens on the circle has on average, as n grows.

    $$ \mathbb E\,\#\text{modes} = \sqrt{\frac{\sum_{k\ge1} k^4 I_k(\beta)^2}{\sum_{k\ge1} k^2 I_k(\beta)^2}}
       \;\approx\; \sqrt{3\beta/2} $$

    for the kernel $e^{\beta\cos}$: the Kac-Rice formula for the maxima of the Gaussian field that the fluctuations
    become; relative error of the sums below 1e-12. Derived, beside
    [arXiv:2412.09080](https://arxiv.org/abs/2412.09080) for the line.

    Raises:
        BadInput: beta is 0.

    Example:
        >>> from measureflow import theory
        >>> [round(theory.expected_modes_on_circle(beta), 3) for beta in (10.0, 50.0, 200.0, 1000.0)]
        [3.859, 8.653, 17.317, 38.728]
    """
    beta = in_interval("beta", as_beta(beta), 0.0, math.inf)
    k = np.arange(1.0, 8.0 * math.sqrt(beta) + 30.0)
    power = ive(k, beta) ** 2
    return float(math.sqrt((k**4 * power).sum() / (k**2 * power).sum()))


def expected_modes_on_sphere(beta: float) -> float:
    r"""Return how many modes the kernel density of uniform tokens on $S^2$ has on average, as n grows.

    $$ \mathbb E\,\#\text{modes} \approx \frac{\beta}{\sqrt3} $$

    for the kernel $e^{\beta\langle x,y\rangle}$: maxima of a plane Gaussian field of covariance $e^{-\beta r^2/4}$, with
    a density of $\beta/(4\pi\sqrt3)$; relative error $O(1/\beta)$ from the sphere's curvature. Derived; for the circle
    see `expected_modes_on_circle`.

    Raises:
        BadInput: beta is 0.

    Example:
        >>> from measureflow import theory
        >>> round(theory.expected_modes_on_sphere(30.0), 2)
        17.32
    """
    return in_interval("beta", as_beta(beta), 0.0, math.inf) / math.sqrt(3.0)

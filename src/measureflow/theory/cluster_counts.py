r"""How many clusters there are at first: the modes of the kernel density of uniform tokens."""

from __future__ import annotations

import math

from measureflow.theory.checks import as_beta, in_interval

__all__ = ["expected_modes_on_sphere"]


def expected_modes_on_sphere(beta: float) -> float:
    r"""Return how many modes the kernel density of uniform tokens on $S^2$ has on average, as n grows.

    $$ \mathbb E\,\#\text{modes} \approx \frac{\beta}{\sqrt3} $$

    for the kernel $e^{\beta\langle x,y\rangle}$: maxima of a plane Gaussian field of covariance $e^{-\beta r^2/4}$,
    of density $\beta/(4\pi\sqrt3)$; relative error $O(1/\beta)$ from the sphere's curvature. Derived, by the
    count of peaks of such fields; the same count on the circle gives sqrt(3 beta/2).

    Raises:
        BadInput: beta is 0.

    Example:
        >>> from measureflow import theory
        >>> round(theory.expected_modes_on_sphere(30.0), 2)
        17.32
    """
    return in_interval("beta", as_beta(beta), 0.0, math.inf) / math.sqrt(3.0)

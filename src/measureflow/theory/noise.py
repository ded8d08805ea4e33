r"""Noise against attraction: when the uniform law ceases to be stable, and what stands in its place just beyond."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import root_scalar

from measureflow.errors import BadInput
from measureflow.theory.checks import as_beta, as_dimension, as_number, as_times, in_interval
from measureflow.theory.uniform_measure import bessel_ratio, funk_hecke_coefficients

__all__ = [
    "cosine_of_brownian_motion",
    "critical_kappa",
    "order_parameter_near_onset",
    "tricritical_beta",
]


def critical_kappa(*, beta: float, d: int) -> float:
    r"""Return `kappa_#`, beyond which the uniform law is unstable under USA with noise $\sqrt{2/\kappa}\,dW$.

    $$ \kappa_\# = \frac{\beta}{a_1(\beta)} = \frac{\beta^{d/2}}{2^{d/2-1}\,\Gamma(d/2)\, I_{d/2}(\beta)},
       \qquad \kappa_\# \to d \text{ as } \beta \to 0 $$

    The first of the rates of `growth_rates_around_uniform` to change sign, since $a_1 > a_2 > \dots$.
    [arXiv:2512.01868](https://arxiv.org/abs/2512.01868), section 7, and
    [arXiv:2606.05140](https://arxiv.org/abs/2606.05140), whose coupling is $K = \kappa/2$ (unit Brownian noise).

    Raises:
        BadInput: beta < 0, d < 2.

    Example:
        >>> from measureflow import theory
        >>> round(theory.critical_kappa(beta=2.0, d=2), 6), theory.critical_kappa(beta=0.0, d=5)
        (1.257358, 5.0)
    """
    beta, d = as_beta(beta), as_dimension(d)
    if beta < 1e-9:  # the relative correction is beta^2 / (2 (d + 2))
        return float(d)
    return float(beta / funk_hecke_coefficients(1, beta=beta, d=d))


def tricritical_beta(*, d: int) -> float:
    r"""Return `beta_*`: up to it the uniform law gives way continuously at `kappa_#`, beyond it by a jump before.

    $$ \frac{I_{d/2+1}(\beta_*)}{I_{d/2}(\beta_*)} = \frac1d $$

    The ratio rises from 0 to 1, so the root is the only one; it is found to rounding.
    [arXiv:2606.05140](https://arxiv.org/abs/2606.05140).

    Raises:
        BadInput: d < 2.

    Example:
        >>> from measureflow import theory
        >>> [round(theory.tricritical_beta(d=d), 6) for d in (2, 3, 8)]
        [2.446918, 1.816155, 1.266553]
    """
    d = as_dimension(d)
    half = d / 2.0

    def excess(beta: float) -> float:
        return float(bessel_ratio(half, beta)) - 1.0 / d

    # Amos: the ratio lies above beta / (d/2 + 1 + sqrt((d/2 + 1)^2 + beta^2)), which is 1/d at this beta
    high = 2.0 * (half + 1.0) * d / (d * d - 1.0) + 1e-9
    return float(root_scalar(excess, bracket=(1e-3, high), xtol=1e-15).root)


def order_parameter_near_onset(kappa: float, *, beta: float) -> float:
    r"""Return $|\int e^{i\theta}d\mu|$ of the polarised state on the circle just beyond a continuous transition.

    With $c_k = 2\kappa I_k(\beta)/\beta$ and the field $h_1 = c_1 m_1$ of the first mode

    $$ \frac1{c_1} - \frac12 = h_1^2\left[\frac{c_2}{32\,(1 - c_2/2)} - \frac1{16}\right], $$

    up to terms in $h_1^4$: the relative error of $m_1$ is of the order of $\kappa/\kappa_\# - 1$. The bracket is
    negative exactly where $\beta < \beta_*$. Derived, for [arXiv:2606.05140](https://arxiv.org/abs/2606.05140); as
    $\beta \to 0$ it is the Kuramoto law $m_1^2 \approx 2(1 - 2/\kappa)$ to the same order.

    Raises:
        BadInput: kappa below `kappa_#` or at it, or a beta at which the transition is not continuous.

    Example:
        >>> from measureflow import theory
        >>> kappa = 1.01 * theory.critical_kappa(beta=1.0, d=2)
        >>> round(theory.order_parameter_near_onset(kappa, beta=1.0), 6)
        0.168995
    """
    beta = as_beta(beta)
    onset, last = critical_kappa(beta=beta, d=2), tricritical_beta(d=2)
    kappa = as_number("kappa", kappa)
    if not (np.isfinite(kappa) and kappa > onset):
        raise BadInput(f"theory: kappa is {kappa}; the polarised state branches off at {onset:.6g}: take more.")
    if not beta < last:
        raise BadInput(f"theory: beta is {beta}; the transition is continuous below {last:.6g} only.")
    first, second = 2.0 / onset, 0.0
    if beta >= 1e-9:
        first, second = 2.0 * funk_hecke_coefficients([1, 2], beta=beta, d=2) / beta
    one, two = kappa * first, kappa * second
    bracket = two / (32.0 * (1.0 - two / 2.0)) - 1.0 / 16.0
    return float(np.sqrt((1.0 / one - 0.5) / bracket) / one)


def cosine_of_brownian_motion(times: Any, *, kappa: float, d: int) -> Float[np.ndarray, "s"]:
    r"""Return $E\langle x_t, x_0\rangle = e^{-(d-1)t/\kappa}$ of noise alone, $dX = \sqrt{2/\kappa}\,dW$ on the sphere.

    The Laplacian has eigenvalue $-(d-1)$ on linear functions; the Fokker-Planck equation is
    $\partial_t\mu = -\mathrm{div}(\mu X[\mu]) + \kappa^{-1}\Delta\mu$, with the sign that
    [arXiv:2512.01868](https://arxiv.org/abs/2512.01868) (v1) has on the other side.

    Raises:
        BadInput: a negative time, kappa <= 0, d < 2.

    Example:
        >>> from measureflow import theory
        >>> theory.cosine_of_brownian_motion([0.0, 1.0], kappa=2.0, d=3).round(6).tolist()
        [1.0, 0.367879]
    """
    kappa = in_interval("kappa", kappa, 0.0, np.inf, closed=True)
    return np.exp(-(as_dimension(d) - 1) * as_times(times) / kappa)

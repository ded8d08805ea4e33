r"""Around the uniform measure: which spherical harmonics grow, and how fast."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import gammaln, ive

from measureflow.errors import BadInput
from measureflow.theory.checks import as_beta, as_count, as_dimension, as_model, as_numbers, in_interval

__all__ = [
    "dominant_degree",
    "funk_hecke_coefficients",
    "growth_rates_around_uniform",
    "mean_field_exponent",
    "switching_betas",
]

#: order from which on Bessel functions are taken in the limit of large orders
LARGE = 200.0
#: coefficients in p^2 of Debye's polynomials u_1, ..., u_5 over p, ..., p^5, and their denominators (DLMF 10.41.10)
DEBYE = (
    ((3.0, -5.0), 24.0),
    ((81.0, -462.0, 385.0), 1152.0),
    ((30375.0, -369603.0, 765765.0, -425425.0), 414720.0),
    ((4465125.0, -94121676.0, 349922430.0, -446185740.0, 185910725.0), 39813120.0),
    (
        (1519035525.0, -49286948607.0, 284499769554.0, -614135872350.0, 566098157625.0, -188699385875.0),
        6688604160.0,
    ),
)


def funk_hecke_coefficients(degrees: Any, *, beta: float, d: int, shifted: bool = False) -> Float[np.ndarray, "k"]:
    r"""Return the eigenvalues `a_k(beta)` of the kernel $e^{\beta\langle x,y\rangle}$ on harmonics of
    degree `k` in $R^d$.

    $$ a_k(\beta) = \Gamma(\tfrac d2)\,(2/\beta)^{d/2-1}\,I_{k+d/2-1}(\beta) $$

    with respect to the uniform probability on the sphere (d = 2: $I_k$). `shifted=True` multiplies by
    $e^{-\beta}$, which never overflows. The Funk-Hecke formula, as used in
    [arXiv:2410.23228](https://arxiv.org/abs/2410.23228); relative error below 1e-12 where the coefficient
    is not subnormal (`inf` beyond the largest float).

    Raises:
        BadInput: a negative degree, d < 2, beta < 0.

    Example:
        >>> from measureflow import theory
        >>> theory.funk_hecke_coefficients([0, 1], beta=1.0, d=3).round(6).tolist()
        [1.175201, 0.367879]
    """
    degrees, beta = as_degrees(degrees), as_beta(beta)
    d = as_dimension(d)
    if beta == 0.0:
        return np.where(degrees == 0, 1.0, 0.0)
    with np.errstate(over="ignore"):
        return np.exp(log_coefficients(degrees, beta, d) - beta * shifted)


def log_coefficients(degrees: Float[np.ndarray, "..."], beta: float, d: int) -> Float[np.ndarray, "..."]:
    r"""Return $\log a_k(\beta)$ for beta > 0.

    With $\nu = k + d/2 - 1$ it is $k\log(\beta/2) - \log(d/2)_k + \log F_\nu$, where
    $F_\nu = \Gamma(\nu+1)(2/\beta)^\nu I_\nu(\beta)$ is found by its power series, by the Bessel function, or in the
    limit of large orders, each where it has all digits.
    """
    order = degrees + d / 2.0 - 1.0
    # log of the rising factorial: its terms are summed, since the difference of two large gammaln has lost their digits
    terms = np.log((d / 2.0 + np.arange(int(degrees.max(initial=0)))) * (2.0 / beta))
    front = -np.concatenate([[0.0], np.cumsum(terms)])[degrees.astype(int)]
    quarter = beta * beta / 4.0
    series, term = np.ones_like(order), np.ones_like(order)
    for m in range(1, 17):
        term = term * (np.minimum(quarter / (order + m), 1.0) / m)
        series = series + term
    large = large_order(np.maximum(order, LARGE), beta)
    with np.errstate(divide="ignore"):
        found = gammaln(order + 1.0) + order * np.log(2.0 / beta) + np.log(ive(order, beta)) + beta
    return front + np.where(quarter < 0.5 * (order + 1.0), np.log(series), np.where(order >= LARGE, large, found))


def large_order(order: Float[np.ndarray, "..."], beta: float) -> Float[np.ndarray, "..."]:
    r"""Return $\log\Gamma(\nu+1)(2/\beta)^\nu I_\nu(\beta)$ by Debye's expansion and Stirling's series.

    Five terms, of relative error $\nu^{-6}$. With $w = \sqrt{1 + z^2} - 1$, $z = \beta/\nu$, the exponent is
    $\nu(w - \log(1 + w/2))$, in which nothing cancels.
    """
    square = (beta / order) ** 2
    root = np.sqrt(1.0 + square)
    excess = square / (1.0 + root)
    p = 1.0 / root
    total = np.ones_like(order)
    for j, (powers, scale) in enumerate(DEBYE, start=1):
        total = total + p**j * np.polynomial.polynomial.polyval(p * p, powers) / (scale * order**j)
    stirling = 1 / (12 * order) - 1 / (360 * order**3) + 1 / (1260 * order**5)
    return stirling + order * (excess - np.log1p(excess / 2)) - 0.25 * np.log1p(square) + np.log(total)


def growth_rates_around_uniform(
    degrees: Any, *, beta: float, d: int, model: str = "softmax", kappa: float = np.inf
) -> Float[np.ndarray, "k"]:
    r"""Return the rates `lambda_k` at which a perturbation of degree `k` of the uniform measure grows.

    $$ \lambda_k = k(k+d-2)\left[\frac{a_k(\beta)}{\beta} - \frac1\kappa\right] \;\text{(USA)}, \qquad
       \lambda_k = k(k+d-2)\left[\frac{a_k(\beta)}{\beta a_0(\beta)} - \frac1\kappa\right] \;\text{(SA)} $$

    `kappa` is the noise parameter ($\sqrt{2/\kappa}\,dW$; infinite: none). Derived, in line with
    [arXiv:2410.23228](https://arxiv.org/abs/2410.23228), whose notebook has the USA rates too small by
    $1/\pi$.

    Raises:
        BadInput: beta = 0 (the rates are those of its limit), a negative degree, d < 2, kappa <= 0.

    Example:
        >>> from measureflow import theory
        >>> rates = theory.growth_rates_around_uniform([1, 2, 3], beta=5.0, d=2, model="unnormalised")
        >>> rates.round(6).tolist()
        [4.867128, 14.004492, 18.59607]
    """
    beta, d = as_beta(beta), as_dimension(d)
    if beta == 0.0:
        raise BadInput("theory: beta is 0; the growth rates need beta > 0 (take a small one for the limit).")
    degrees, kappa = as_degrees(degrees), in_interval("kappa", kappa, 0.0, np.inf, closed=True)
    shift = log_coefficients(np.zeros(()), beta, d) if as_model(model) == "softmax" else 0.0
    with np.errstate(over="ignore"):
        pull = np.exp(log_coefficients(degrees, beta, d) - shift) / beta
    return degrees * (degrees + d - 2) * (pull - 1.0 / kappa)


def dominant_degree(*, beta: float, d: int) -> int:
    r"""Return the degree that grows fastest around the uniform measure: `argmax_k k(k+d-2) a_k(beta)`.

    The same for SA and USA; about $\sqrt{2\beta}$ on the circle. Derived, in line with
    [arXiv:2410.23228](https://arxiv.org/abs/2410.23228).

    Example:
        >>> from measureflow import theory
        >>> theory.dominant_degree(beta=5.0, d=2), theory.dominant_degree(beta=7.0, d=2)
        (3, 4)
    """
    beta, d = as_beta(beta), as_dimension(d)
    reach = int(3 * np.sqrt(2.0 * beta + d * d) + 10)
    degrees = np.arange(1, reach)
    return int(degrees[np.argmax(growth_rates_around_uniform(degrees, beta=beta, d=d))])


def switching_betas(count: int, *, d: int) -> Float[np.ndarray, "k"]:
    r"""Return the first `count` values of beta at which the dominant degree goes from k to k + 1, k = 1, 2, ...

    They solve $k(k+d-2)\, I_{k+d/2-1}(\beta) = (k+1)(k+d-1)\, I_{k+d/2}(\beta)$; the ratio of the two Bessel
    functions rises with beta, so that each is found by bisection, to rounding. Derived, in line with
    [arXiv:2410.23228](https://arxiv.org/abs/2410.23228).

    Raises:
        BadInput: count < 1, d < 2.

    Example:
        >>> from measureflow import theory
        >>> theory.switching_betas(3, d=2).round(5).tolist()
        [1.04446, 3.16543, 6.2113]
    """
    count, d = as_count("count", count), as_dimension(d)
    k = np.arange(1, count + 1)
    order, wanted = k + d / 2.0 - 1.0, k * (k + d - 2.0) / ((k + 1.0) * (k + d - 1.0))
    # Amos: r = I_(v+1)/I_v lies above beta / (v + 1 + sqrt((v + 1)^2 + beta^2)), which passes any r < 1
    low, high = np.zeros(len(k)), 2.0 * wanted * (order + 1.0) / (1.0 - wanted**2)
    for _ in range(60):
        middle = 0.5 * (low + high)
        below = bessel_ratio(order, middle) < wanted
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return 0.5 * (low + high)


def mean_field_exponent(*, d: int) -> float:
    r"""Return p such that n independent tokens are within $n^p$ of their mean field in $W_1$, on the sphere of R^d.

    -1/2 on the circle (and, up to a logarithm, on $S^2$), $-1/(d-1)$ beyond: the rate at which an empirical measure
    comes near its law, which the flow keeps for a fixed time since it is Lipschitz in the measure,
    $W_1(\mu_t, \nu_t) \le e^{Ct} W_1(\mu_0, \nu_0)$ ([arXiv:2312.10794](https://arxiv.org/abs/2312.10794), section 4).

    Raises:
        BadInput: d < 2.

    Example:
        >>> from measureflow import theory
        >>> theory.mean_field_exponent(d=2)
        -0.5
    """
    return -1.0 / max(2, as_dimension(d) - 1)


def bessel_ratio(order: Any, x: Any) -> Float[np.ndarray, "..."]:
    r"""Return $I_{\nu+1}(x)/I_\nu(x)$ for x > 0, also where the two underflow: there by its continued fraction.

    It starts far out from the bound of Amos, whose relative error falls like $\nu^{-2}$, and each step shrinks what is
    left; it would take many where x is much larger than the order, but there nothing underflows.
    """
    order, x = np.asarray(order, float), np.asarray(x, float)
    upper, lower = ive(order + 1.0, x), ive(order, x)
    if (upper > 1e-250).all():
        return upper / lower
    last = order + 200.0
    ratio = x / (last + 1.0 + np.hypot(last + 1.0, x))
    for k in range(199, -1, -1):
        ratio = x / (2.0 * (order + k + 1.0) + x * ratio)
    return np.where(upper > 1e-250, upper / np.maximum(lower, 1e-250), ratio)


def as_degrees(degrees: Any) -> Float[np.ndarray, "..."]:
    """Return degrees of harmonics."""
    degrees = as_numbers("degrees", degrees)
    if (degrees < 0).any() or (degrees != np.round(degrees)).any():
        raise BadInput(f"theory: degrees are {degrees.tolist()}; they are integers >= 0.")
    return degrees

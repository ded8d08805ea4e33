"""How many: peaks of a kernel density, centres that gather a causal text, hemispheres that hold all tokens."""

from __future__ import annotations

import numpy as np
from scipy.special import bdtr, betainc, ive

from measureflow.theory.checks import as_beta, as_count, as_dimension, in_interval

__all__ = [
    "PARKING",
    "cap_mass",
    "chance_of_a_common_hemisphere",
    "expected_parked_centres",
    "expected_peaks_of_kernel_density",
    "expected_strong_centres",
]

#: Rényi's parking constant $\int_0^\infty \exp(-2\int_0^t \frac{1-e^{-u}}{u}du)\,dt$
PARKING = 0.747597920253411


def expected_peaks_of_kernel_density(*, beta: float) -> float:
    r"""Return how many local maxima $\sum_j e^{\beta\cos(\theta-\theta_j)}$ has, for many independent uniform angles.

    $$ E\,\#\text{peaks} = \sqrt{\frac{\sum_k k^4 I_k(\beta)^2}{\sum_k k^2 I_k(\beta)^2}} \approx \sqrt{3\beta/2} $$

    by the Kac-Rice formula for the Gaussian field that the sum tends to. Relative error below 1e-12, at beta = 0 the
    limit 1. Derived; the circle's counterpart of the law $\sqrt{\beta\log\beta}$ of
    [arXiv:2412.09080](https://arxiv.org/abs/2412.09080) for Gaussian samples on the line.

    Raises:
        BadInput: beta < 0.

    Example:
        >>> from measureflow import theory
        >>> [round(theory.expected_peaks_of_kernel_density(beta=beta), 3) for beta in (10.0, 50.0, 200.0)]
        [3.859, 8.653, 17.317]
    """
    beta = as_beta(beta)
    if beta < 1e-6:  # the second mode adds 15 beta^2 / 32
        return 1.0
    k = np.arange(1, int(12.0 * np.sqrt(beta)) + 20)
    power = (k * ive(k, beta)) ** 2
    return float(np.sqrt((k**2 @ power) / power.sum()))


def cap_mass(angle: float, *, d: int) -> float:
    r"""Return the share of the sphere of R^d within an angle in $(0, \pi]$ of a point.

    $\tfrac12 I_{\sin^2\delta}(\tfrac{d-1}2, \tfrac12)$ up to $\pi/2$: $\delta/\pi$ on the circle,
    $(1-\cos\delta)/2$ on $S^2$. Source: the geometry behind the counts of
    [arXiv:2411.04990](https://arxiv.org/abs/2411.04990).

    Raises:
        BadInput: an angle outside the interval, d < 2.

    Example:
        >>> from measureflow import theory
        >>> round(theory.cap_mass(0.1, d=2), 6), round(theory.cap_mass(1.0, d=3), 6)
        (0.031831, 0.229849)
    """
    angle, d = in_interval("angle", angle, 0.0, np.pi, closed=True), as_dimension(d)
    small = 0.5 * float(betainc((d - 1) / 2.0, 0.5, np.sin(angle) ** 2))
    return small if angle <= np.pi / 2 else 1.0 - small


def expected_strong_centres(n: int, *, angle: float, d: int) -> float:
    r"""Return how many of n independent uniform tokens have none before them within an angle.

    $$ E\,\# = \frac{1-(1-p)^n}{p}, \qquad p = \text{mass of a cap of that angle} $$

    The strong Rényi centres of [arXiv:2411.04990](https://arxiv.org/abs/2411.04990) in the order of the text; with an
    angle $c\beta^{-1/2}$ some $\beta^{(d-1)/2}$. Exact.

    Raises:
        BadInput: n < 1, an angle outside $(0, \pi]$, d < 2.

    Example:
        >>> from measureflow import theory
        >>> round(theory.expected_strong_centres(2000, angle=0.05, d=2), 2)
        62.83
    """
    n, share = as_count("n", n), cap_mass(angle, d=d)
    if share < 1e-300:  # in hundreds of dimensions no cap holds two tokens
        return float(n)
    return float(-np.expm1(n * np.log1p(-share)) / share) if share < 1.0 else 1.0


def expected_parked_centres(*, angle: float) -> float:
    r"""Return how many centres a long text leaves on the circle if a token is one when no *centre* is within an angle.

    $$ E\,\# \to 0.74759\ldots \cdot \frac{2\pi}{\delta} $$

    Rényi's parking problem, whose constant is that of intervals of length $\delta$ on a line: correct to the order of
    one centre. The ordinary centres of [arXiv:2411.04990](https://arxiv.org/abs/2411.04990); n tokens fall short of it
    by an amount like $(2\pi/\delta)^2/n$.

    Raises:
        BadInput: an angle outside $(0, \pi]$.

    Example:
        >>> from measureflow import theory
        >>> round(theory.expected_parked_centres(angle=0.05), 2)
        93.95
    """
    return float(PARKING * 2.0 * np.pi / in_interval("angle", angle, 0.0, np.pi, closed=True))


def chance_of_a_common_hemisphere(n: int, *, d: int) -> float:
    r"""Return the probability that n independent uniform tokens lie in one open hemisphere of the sphere of R^d.

    $$ P = 2^{-(n-1)} \sum_{k=0}^{d-1} \binom{n-1}{k} $$

    and 1 for $n \le d$. Wendel's theorem, as in Theorem 6.7 of [arXiv:2312.10794](https://arxiv.org/abs/2312.10794);
    it holds for every law that is symmetric under $x \to -x$ and has no mass on hyperplanes. Exact to rounding.

    Raises:
        BadInput: n < 1, d < 2.

    Example:
        >>> from measureflow import theory
        >>> theory.chance_of_a_common_hemisphere(6, d=3), theory.chance_of_a_common_hemisphere(3, d=3)
        (0.5, 1.0)
    """
    n, d = as_count("n", n), as_dimension(d)
    return 1.0 if n <= d else float(bdtr(d - 1, n - 1, 0.5))

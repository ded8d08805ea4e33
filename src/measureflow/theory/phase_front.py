r"""The front of a phase diagram in high dimension: how far from the limit curve pairs of tokens meet.

Uniform tokens of $S^{d-1}$ are orthogonal up to cosines $\varepsilon_{ij}(0)$ that are uncorrelated and of variance
$1/d$. Linearised about the equiangular solution $\gamma(t)$, the Gram equation carries them along: with
$a = e^{\beta\gamma}/(e^\beta+(n-1)e^{\beta\gamma})$ and $r_i = \sum_j\varepsilon_{ij}$,

$$ \dot\varepsilon_{ij} = 2\lambda\,\varepsilon_{ij} + \kappa\,(r_i+r_j), \qquad
   \lambda = a[(1-\gamma)\beta - 1 - (n-1)\gamma], \qquad
   \kappa = a(1-\gamma)[1-\beta a(1-\gamma e^{\beta(1-\gamma)})] $$

Permutations of the tokens part it into three modes: the mean ($r_i$ all equal, rate $2\lambda+2(n-1)\kappa$), one value
for each token ($\varepsilon_{ij}=v_i+v_j$, $\sum v=0$, rate $2\lambda+(n-2)\kappa$), and the rest ($r=0$, rate
$2\lambda$), of 1, $n-1$ and $n(n-3)/2$ dimensions.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from jaxtyping import Float

from measureflow.errors import BadInput
from measureflow.theory.checks import as_beta, as_count, as_numbers, in_interval
from measureflow.theory.equiangular import gap_of_equiangular_tokens, speed_of_equiangular_tokens

__all__ = [
    "error_of_phase_front",
    "growth_of_overlap_fluctuations",
    "rates_of_overlap_fluctuations",
    "width_of_phase_front",
]

#: nodes of the quadrature along the equiangular solution
NODES = 256


def rates_of_overlap_fluctuations(gamma: Any, *, n: int, beta: float) -> Float[np.ndarray, "3 ..."]:
    r"""Return the rates of the mean, the token-wise and the remaining fluctuations of the cosines about the common
    cosine `gamma` under SA, with the constants above.

    The first is the derivative of the right-hand side of (6.7) of
    [arXiv:2312.10794](https://arxiv.org/abs/2312.10794); the others are derived here from the Gram equation.

    Raises:
        BadInput: beta < 0, fewer than 2 tokens.

    Example:
        >>> from measureflow import theory
        >>> theory.rates_of_overlap_fluctuations(1.0, n=5, beta=3.0).tolist()  # at consensus all decay at rate 2
        [-2.0, -2.0, -2.0]
    """
    gamma, n, beta = as_numbers("gamma", gamma), as_count("n", n, 2), as_beta(beta)
    if (np.abs(gamma) > 1 + 1e-9).any():
        raise BadInput(f"theory: gamma is {gamma.tolist()}; a cosine lies in [-1, 1].")
    gap = 1.0 - gamma
    # the weights of another token and of the own one, beside e^beta: nothing overflows
    share = np.exp(-beta * gap)
    weight, own = share / (1.0 + (n - 1) * share), 1.0 / (1.0 + (n - 1) * share)
    alone = weight * (gap * beta - 1.0 - (n - 1) * gamma)
    shared = weight * gap * (1.0 - beta * (weight - gamma * own))
    return np.stack([2 * alone + 2 * (n - 1) * shared, 2 * alone + (n - 2) * shared, 2 * alone])


def growth_of_overlap_fluctuations(times: Any, *, n: int, beta: float) -> Float[np.ndarray, "3 s"]:
    r"""Return the factors by which the three modes of the cosines' fluctuations have grown since the start.

    $$ g_k(t) = e^{\int_0^t \mu_k}, \qquad
       d\operatorname{Var}\rho_{ij}(t) \to \sum_k \frac{\dim_k}{N}\,g_k(t)^2, \qquad N = \tfrac{n(n-1)}2 $$

    of n uniform tokens on $S^{d-1}$ as d grows, with the rates $\mu_k$ of `rates_of_overlap_fluctuations` along the
    equiangular curve from 0, and the dimensions above. Derived here; relative error below 1e-9 for beta up to 50.

    Raises:
        BadInput: a negative or infinite time, beta < 0, fewer than 2 tokens.

    Source: the curve is that of [arXiv:2312.10794](https://arxiv.org/abs/2312.10794), theorem 6.9.

    Example:
        >>> from measureflow import theory
        >>> theory.growth_of_overlap_fluctuations([1.0], n=8, beta=0.0).round(4).T.tolist()
        [[2.284, 1.0187, 0.556]]
    """
    n, beta = as_count("n", n, 2), as_beta(beta)
    gaps = gap_of_equiangular_tokens(times, n=n, beta=beta, start=0.0)
    if not gaps.size:
        raise BadInput("theory: times are []; give at least one.")
    return np.exp(np.stack([logarithms_of_growth(float(gap), n, beta) for gap in np.atleast_1d(gaps)], axis=1))


def logarithms_of_growth(gap: float, n: int, beta: float) -> Float[np.ndarray, "3"]:
    """Return the integrals of the three rates from orthogonal tokens until the common cosine is `1 - gap`."""
    # z = log(gap / (gamma + 1/(n-1))) resolves both ends: the start, 1/n from where nothing moves, and consensus
    nodes, weights = legendre()
    first, last = math.log(n - 1), math.log(gap) - math.log(1.0 - gap + 1.0 / (n - 1))
    z = 0.5 * (first + last) + 0.5 * (last - first) * nodes
    gaps = n / (n - 1) / (1.0 + np.exp(-z))
    lift = n / (n - 1) - gaps
    speed = speed_of_equiangular_tokens(1.0 - gaps, n=n, beta=beta)
    # dt = d gamma / speed and d gamma = -gap lift (n-1)/n dz
    clock = 0.5 * (first - last) * weights * gaps * lift * (n - 1) / n / speed
    return rates_of_overlap_fluctuations(1.0 - gaps, n=n, beta=beta) @ clock


def width_of_phase_front(*, n: int, beta: float, delta: float = 1e-3) -> float:
    r"""Return $\lim_{d\to\infty}\sqrt d\,\operatorname{sd}(\tau)$, where $\tau$ is the time at which two of n uniform
    tokens of $S^{d-1}$ reach the cosine $1-\delta$ under SA.

    $$ d\operatorname{Var}\tau \to \frac1{\dot\gamma(T)^2} \sum_k \frac{\dim_k}{N}\, e^{2\int_0^T \mu_k}, \qquad
       T = T_\delta(\beta,n), \quad N = \tfrac{n(n-1)}2 $$

    with the rates $\mu_k$ and dimensions of the three modes above. Derived here (linear response); $\tau$ is Gaussian
    to this order, with mean $T$. Relative error below 1e-8 for beta up to 50.

    Raises:
        BadInput: delta outside `(0, 1)`, beta < 0, fewer than 2 tokens.

    Source: the limit is that of [arXiv:2312.10794](https://arxiv.org/abs/2312.10794), theorem 6.9; its width is not
    there.

    Example:
        >>> from measureflow import theory
        >>> round(theory.width_of_phase_front(n=2, beta=0.0), 6)  # artanh(rho) moves at speed 1: the width is 1
        1.0
    """
    n, beta = as_count("n", n, 2), as_beta(beta)
    delta = in_interval("delta", delta, 0.0, 1.0)
    if beta > 300.0:
        raise BadInput(f"theory: beta is {beta}; the width of a front is beyond a double there. Take at most 300.")
    grown = logarithms_of_growth(delta, n, beta)
    shares = np.array([1.0, n - 1.0, n * (n - 3) / 2]) / (n * (n - 1) / 2)
    if n == 2:
        shares, grown = shares[:1], grown[:1]
    total = sum(share * math.exp(2 * one) for share, one in zip(shares, grown, strict=True))
    return math.sqrt(total) / float(speed_of_equiangular_tokens(1.0 - delta, n=n, beta=beta))


@functools.cache
def legendre() -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights on [-1, 1]; to find them takes longer than to use them."""
    return np.polynomial.legendre.leggauss(NODES)


def error_of_phase_front(d: Any, *, n: int, beta: float, delta: float = 1e-3) -> Float[np.ndarray, "..."]:
    r"""Return $E|\tau - T_\delta| \approx \sqrt{2/\pi}\, w / \sqrt d$, the distance of the front
    $P(\rho_{12}(t) \ge 1-\delta)$ from a jump at the limit curve (its area), with `w = width_of_phase_front`.

    Derived here; right to leading order in $d^{-1/2}$.

    Example:
        >>> from measureflow import theory
        >>> theory.error_of_phase_front([100, 400], n=2, beta=0.0).round(4).tolist()
        [0.0798, 0.0399]
    """
    width = width_of_phase_front(n=n, beta=beta, delta=delta)
    return math.sqrt(2 / math.pi) * width / np.sqrt(as_numbers("d", d))

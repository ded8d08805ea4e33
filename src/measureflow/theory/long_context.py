r"""Long contexts: one layer of attention whose inverse temperature grows with the number of tokens.

Equiangular tokens have the critical scale $\log n$; independent keys, as the nearest one must stand out, $n^{2/(d-1)}$.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import gammaln

from measureflow.errors import BadInput
from measureflow.theory.checks import as_beta, as_dimension, as_finite, in_interval
from measureflow.theory.nearest_keys import KeyProcess

__all__ = [
    "cosine_after_attention",
    "critical_beta_of_nearest_key",
    "critical_gamma",
    "critical_gammas_of_blocks",
    "gap_after_attention",
    "limit_of_cosine_after_attention",
    "limits_of_cosines_of_blocks",
    "participation_of_keys",
]

#: beyond this logarithm of the expected weight of all keys together attention averages
AVERAGED = math.log(1e11)
#: from this scale on, in units of d - 1, the nearest key takes all
COPIED = 1e12


def critical_gamma(*, cosine: float) -> float:
    r"""Return $\gamma_c = 1/(1-\rho)$: with $\beta_n = \gamma\log n$ a layer averages below it and copies above it.

    Theorem of [arXiv:2510.05554](https://arxiv.org/abs/2510.05554) for equiangular tokens of cosine $\rho$ in (0, 1).

    Raises:
        BadInput: a cosine outside (0, 1).

    Example:
        >>> from measureflow import theory
        >>> round(theory.critical_gamma(cosine=0.4), 6)
        1.666667
    """
    return 1.0 / (1.0 - in_interval("cosine", cosine, 0.0, 1.0))


def cosine_after_attention(*, n: float, cosine: float, beta: float | None = None, gamma: float | None = None) -> float:
    r"""Return the cosine of two outputs $y_i = \sum_j A_{ij}x_j$ of softmax attention on n equiangular tokens.

    With $a = 1/(1+(n-1)e^{-\beta(1-\rho)})$ the weight of a token on itself and $c = (1-a)/(n-1)$ on each other,

    $$ \cos = \frac{a^2\rho + 2ac\,(1+(n-2)\rho) + c^2[(n-2)+((n-1)^2-(n-2))\rho]}
                   {a^2 + 2ac\,(n-1)\rho + c^2[(n-1)+(n-1)(n-2)\rho]} $$

    Exact at finite n, to rounding; computed as $1 - (1-\rho)(a-c)^2/|y|^2$, so that it stays so at any n. Derived, for
    [arXiv:2510.05554](https://arxiv.org/abs/2510.05554).

    Arguments:
        n: how many tokens, at least 2; any size.
        cosine: $\rho$ of every pair, in $(-1/(n-1), 1]$.
        beta, gamma: the inverse temperature, or $\gamma$ of $\beta = \gamma\log n$: one of the two.

    Raises:
        BadInput: fewer than 2 tokens, a cosine that n tokens cannot have, both or neither of beta and gamma.

    Example:
        >>> from measureflow import theory
        >>> [round(theory.cosine_after_attention(n=n, cosine=0.4, gamma=5 / 3), 6) for n in (1e2, 1e4)]
        [0.731477, 0.727315]
    """
    return 1.0 - gap_after_attention(n=n, cosine=cosine, beta=beta, gamma=gamma)


def gap_after_attention(*, n: float, cosine: float, beta: float | None = None, gamma: float | None = None) -> float:
    r"""Return 1 less the cosine of `cosine_after_attention` with a small relative error, also where it is tiny.

    $(1-\rho)(a-c)^2/|y|^2$, which falls like $n^{-2(1-\gamma(1-\rho))}$ below $\gamma_c$; above it the cosine nears
    $\rho$ like $n^{-(\gamma(1-\rho)-1)}$. Derived, for [arXiv:2510.05554](https://arxiv.org/abs/2510.05554). Arguments
    and errors as there.

    Example:
        >>> from measureflow import theory
        >>> float(f"{theory.gap_after_attention(n=1e9, cosine=0.4, gamma=4 / 3):.3e}")
        0.000365
    """
    n = as_finite("n", n, 2.0)
    rho = in_interval("cosine", cosine, -1.0 / (n - 1), 1.0, closed=True)
    if (beta is None) == (gamma is None):
        raise BadInput("theory: give one of beta= and gamma= (beta = gamma log n).")
    beta = as_beta(beta) if gamma is None else as_finite("gamma", gamma, 0.0) * math.log(n)
    others = (n - 1) * math.exp(-beta * (1.0 - rho))
    own, each = 1.0 / (1.0 + others), others / (1.0 + others) / (n - 1)
    # |y|^2 - <y, y'> = (1 - rho)(a - c)^2, and |y|^2 = (1 - rho)(a^2 + (n-1) c^2) + rho
    square = (1.0 - rho) * (own**2 + (n - 1) * each**2) + rho
    return float((1.0 - rho) * (own - each) ** 2 / square)


def limit_of_cosine_after_attention(*, cosine: float, gamma: float) -> float:
    r"""Return the cosine of two outputs as n grows with $\beta_n = \gamma\log n$.

    $$ \cos \to 1 \;(\gamma<\gamma_c), \qquad \frac{4\rho}{1+3\rho} \;(\gamma=\gamma_c), \qquad
       \rho \;(\gamma>\gamma_c), \qquad \gamma_c = \frac1{1-\rho} $$

    Theorem of [arXiv:2510.05554](https://arxiv.org/abs/2510.05554).

    Raises:
        BadInput: a cosine outside (0, 1), a negative gamma.

    Example:
        >>> from measureflow import theory
        >>> [round(theory.limit_of_cosine_after_attention(cosine=0.4, gamma=g), 6) for g in (1.0, 5 / 3, 2.0)]
        [1.0, 0.727273, 0.4]
    """
    critical, gamma = critical_gamma(cosine=cosine), as_beta(gamma)
    if math.isclose(gamma, critical, rel_tol=1e-12):
        return 4.0 * cosine / (1.0 + 3.0 * cosine)
    return 1.0 if gamma < critical else float(cosine)


def critical_gammas_of_blocks(*, between: float, inside: float, size: float) -> tuple[float, float]:
    r"""Return the two $\gamma$ at which tokens in blocks cease to average over all, and over their block.

    Blocks of $n^\alpha$ tokens have the cosine $\rho_2$ inside and $\rho_1 < \rho_2$ between them. A token gives
    itself, its block and all others weights in the ratio $1 : n^{\alpha-\gamma(1-\rho_2)} : n^{1-\gamma(1-\rho_1)}$, so

    $$ \gamma_1 = \frac{1-\alpha}{\rho_2-\rho_1}, \qquad \gamma_2 = \frac{\alpha}{1-\rho_2} $$

    if $\gamma_1 < \gamma_2$; else a token goes from all to itself, and both are $1/(1-\rho_1)$. Derived, as an exact
    instance of the phase in between that [arXiv:2510.05554](https://arxiv.org/abs/2510.05554) finds for nearly equal
    overlaps.

    Main arguments:
        between, inside: $0 < \rho_1 < \rho_2 < 1$. size: $\alpha$ in (0, 1).

    Raises:
        BadInput: a cosine or a size outside its interval.

    Example:
        >>> from measureflow import theory
        >>> [round(g, 6) for g in theory.critical_gammas_of_blocks(between=0.3, inside=0.7, size=0.6)]
        [1.0, 2.0]
    """
    between = in_interval("between", between, 0.0, 1.0)
    inside, size = in_interval("inside", inside, between, 1.0), in_interval("size", size, 0.0, 1.0)
    first, second = (1.0 - size) / (inside - between), size / (1.0 - inside)
    if first >= second:
        first = second = 1.0 / (1.0 - between)
    return first, second


def limits_of_cosines_of_blocks(*, between: float, inside: float, size: float, gamma: float) -> tuple[float, float]:
    r"""Return the cosines of two outputs of one block, and of two blocks, as n grows with $\beta_n = \gamma\log n$.

    $$ (1, 1)\;(\gamma<\gamma_1), \quad \Bigl(1, \tfrac{4\rho_1}{\rho_2+3\rho_1}\Bigr)\;(\gamma_1), \quad
       \Bigl(1, \tfrac{\rho_1}{\rho_2}\Bigr), \quad
       \Bigl(\tfrac{4\rho_2}{1+3\rho_2}, \tfrac{4\rho_1}{1+3\rho_2}\Bigr)\;(\gamma_2), \quad
       (\rho_2, \rho_1)\;(\gamma>\gamma_2) $$

    with the $\gamma_1 < \gamma_2$ of `critical_gammas_of_blocks`; without a phase in between, the first and the last of
    them, and $(\rho_2+3\rho_1, 4\rho_1)/(1+3\rho_1)$ at $\gamma_c = 1/(1-\rho_1)$. Derived, for
    [arXiv:2510.05554](https://arxiv.org/abs/2510.05554): the output is the mean of all tokens, or of the block, or the
    token, and at a border half of each. Arguments and errors as there.

    Example:
        >>> from measureflow import theory
        >>> blocks = {"between": 0.3, "inside": 0.7, "size": 0.6}
        >>> [round(cosine, 6) for cosine in theory.limits_of_cosines_of_blocks(**blocks, gamma=1.5)]
        [1.0, 0.428571]
    """
    first, second = critical_gammas_of_blocks(between=between, inside=inside, size=size)
    gamma = as_beta(gamma)
    at_first, at_second = (math.isclose(gamma, border, rel_tol=1e-12) for border in (first, second))
    if at_first and at_second:
        square = (1.0 + 3.0 * between) / 4.0  # half the token and half the mean of all
        return (inside + 3.0 * between) / 4.0 / square, between / square
    if at_first:
        return 1.0, 4.0 * between / (inside + 3.0 * between)
    if at_second:
        return 4.0 * inside / (1.0 + 3.0 * inside), 4.0 * between / (1.0 + 3.0 * inside)
    if gamma < first:
        return 1.0, 1.0
    return (1.0, between / inside) if gamma < second else (inside, between)


def cap_constant(d: int) -> float:
    """Return C in the mass `C r^(d-1)` of a small cap of angle r on the unit sphere of R^d."""
    return math.exp(gammaln(d / 2.0) - gammaln((d - 1) / 2.0)) / (math.sqrt(math.pi) * (d - 1))


def critical_beta_of_nearest_key(*, n: float, d: int) -> float:
    r"""Return the inverse temperature at which single keys begin to stand out among n independent uniform ones.

    $$ \beta_n = 2\,(nC)^{2/(d-1)}, \qquad C = \frac{\Gamma(d/2)}{(d-1)\sqrt\pi\,\Gamma((d-1)/2)}, $$

    where a cap of small angle r has mass $Cr^{d-1}$, so that one key is expected where $\beta(1-\cos r) < 1$. The scale
    $n^{2/(d-1)}$ is that of [arXiv:2605.08505](https://arxiv.org/abs/2605.08505): well below it attention is a local
    average, at it finitely many nearest keys share the weight, above it the nearest takes all. The constant is derived.

    Raises:
        BadInput: fewer than one key, d < 2.

    Example:
        >>> from measureflow import theory
        >>> theory.critical_beta_of_nearest_key(n=1000, d=3)  # n / 2 on the sphere of R^3
        500.0
    """
    n, d = in_interval("n", n, 0.0, np.inf), as_dimension(d)
    return 2.0 * (n * cap_constant(d)) ** (2.0 / (d - 1))


def participation_of_keys(scale: float, *, d: int) -> float:
    r"""Return the limit of $E\sum_j A_{ij}^2$ over n independent uniform keys at $\beta = \text{scale}\cdot\beta_n$.

    The logits below the largest possible one, $s = \beta(1-\cos r)$, tend to a Poisson process with
    $\Lambda(s) = (s/\text{scale})^{(d-1)/2}$ points below s, and then

    $$ E\sum_j A_{ij}^2 = -\int_0^\infty t\,\Phi''(t)\,e^{-\Phi(t)}\,dt, \qquad
       \Phi(t) = \int_0^\infty \big(1-e^{-te^{-s}}\big)\,d\Lambda(s). $$

    From 0 (averaging) to 1 (the nearest key takes all). Relative error below 1e-9: with h = (d-1)/2, the limits
    $2^{-h}\,\text{scale}^h/\Gamma(h+1)$ where that is below $10^{-11}2^{-h}$, and 1 from a scale of $10^{12}(d-1)$ on.
    Derived, for [arXiv:2605.08505](https://arxiv.org/abs/2605.08505); at finite n the law is off by $O(n^{-2/(d-1)})$.

    Raises:
        BadInput: a scale that is not positive, d < 2.

    Example:
        >>> from measureflow import theory
        >>> [round(theory.participation_of_keys(scale, d=3), 4) for scale in (0.1, 1.0, 10.0)]
        [0.0508, 0.4385, 0.9066]
    """
    scale, d = in_interval("scale", scale, 0.0, np.inf), as_dimension(d)
    process = KeyProcess(scale, (d - 1) / 2.0)
    if process.log_weight > AVERAGED:
        return math.exp(-process.half * math.log(2.0) - process.log_weight)
    return process.participation() if scale < COPIED * (d - 1) else 1.0

r"""Dynamic metastability: separated caps, how long tokens stay in them, and from when on they have collapsed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from measureflow.errors import BadInput
from measureflow.theory.checks import as_beta, as_count, as_dimension, as_number, as_numbers, in_interval

__all__ = [
    "bounds_of_collapse",
    "largest_overlap_of_caps",
    "margin_of_separation",
    "metastable_window",
    "spread_of_projected_gaussians",
]


def largest_overlap_of_caps(centres: Any, epsilon: float) -> float:
    r"""Return $\alpha(\varepsilon)$, the largest inner product between points of two of the caps
    $\mathcal S_q(2\varepsilon) = \{x: \langle x, w_q\rangle \ge 1-2\varepsilon\}$.

    $$ \alpha(\varepsilon) = \max_{q\ne q'} \cos\big(\psi_{qq'} - 2\arccos(1-2\varepsilon)\big) $$

    for centres at the angles $\psi_{qq'}$ (1 where the caps meet); 0 for a single cap. For orthogonal centres it is
    $4(1-2\varepsilon)\sqrt{\varepsilon(1-\varepsilon)}$, of the order $4\sqrt\varepsilon$.
    [arXiv:2410.06833](https://arxiv.org/abs/2410.06833), section 2; the cosine is derived.

    Raises:
        BadInput: centres that are not unit vectors `(k, d)`, epsilon outside `(0, 1/2)`.

    Example:
        >>> import numpy as np
        >>> from measureflow import theory
        >>> round(theory.largest_overlap_of_caps(np.eye(3)[:2], 0.005), 7)
        0.2793134
    """
    centres = as_directions(centres)
    reach = 2.0 * math.acos(1.0 - 2.0 * in_interval("epsilon", epsilon, 0.0, 0.5))
    if len(centres) == 1:
        return 0.0
    first, second = np.triu_indices(len(centres), 1)
    # angles from chords: an inverse cosine would lose half of the digits of near centres
    chords = np.linalg.norm(centres[first] - centres[second], axis=1)
    nearest = float(2.0 * np.arcsin(np.minimum(chords / 2.0, 1.0)).min())
    return math.cos(max(nearest - reach, 0.0))


def margin_of_separation(n: int, *, beta: float, epsilon: float, overlap: float) -> float:
    r"""Return the margin $\gamma$ by which n tokens in caps of the given overlap are $(\beta,\varepsilon)$-separated.

    $$ \gamma = 1 - \alpha - 8\varepsilon - \frac1\beta\log\frac{2n^2}{\varepsilon} $$

    They are separated where it is positive. [arXiv:2410.06833](https://arxiv.org/abs/2410.06833), section 2; for the
    mean-field version of the theorem `n` is the number of caps.

    Raises:
        BadInput: beta is 0, no tokens, epsilon outside `(0, 1/2)`, an overlap that is no cosine.

    Example:
        >>> from measureflow import theory
        >>> round(theory.margin_of_separation(10, beta=20.0, epsilon=0.005, overlap=0.2793134), 7)
        0.1508549
    """
    beta, n = positive(beta), as_count("n", n)
    epsilon = in_interval("epsilon", epsilon, 0.0, 0.5)
    overlap = as_overlap(overlap)
    return 1.0 - overlap - 8.0 * epsilon - math.log(2.0 * n * n / epsilon) / beta


def bounds_of_collapse(n: int, *, beta: float, epsilon: float, overlap: float) -> tuple[float, float]:
    r"""Return the two numbers below which $\lambda$ must lie, in the bound $2e^{-\lambda\beta}$ on collapsed caps.

    $$ \lambda < e^{(1-\alpha)\beta}\,\frac{(\beta-1)\varepsilon}{\beta^2n^2e}\,(1-e^{-\gamma\beta}), \qquad
       \lambda < 1-\alpha-8\varepsilon-\frac1\beta\log\frac{2n^2}{1-8\varepsilon} $$

    The first is printed with the reciprocal of its middle factor, which lets $T_1$ pass $T_2$; in this form
    `lambda` equal to it makes both times the same. It is infinite where it overflows.
    [arXiv:2410.06833](https://arxiv.org/abs/2410.06833), main theorem, corrected.

    Raises:
        BadInput: `beta <= 1`, no tokens, epsilon outside `(0, 1/16)`, an overlap that is no cosine.

    Example:
        >>> from measureflow import theory
        >>> bounds = theory.bounds_of_collapse(10, beta=20.0, epsilon=0.005, overlap=0.2793134)
        >>> [round(bound, 4) for bound in bounds]
        [1.5114, 0.4137]
    """
    beta, n, epsilon = theorem_arguments(beta, n, epsilon)
    margin = margin_of_separation(n, beta=beta, epsilon=epsilon, overlap=overlap)
    share = (1.0 - 1.0 / beta) * epsilon / (beta * n * n * math.e)
    first = exponential((1.0 - overlap) * beta + math.log(share)) * -math.expm1(-margin * beta)
    second = 1.0 - overlap - 8.0 * epsilon - math.log(2.0 * n * n / (1.0 - 8.0 * epsilon)) / beta
    return first, second


def metastable_window(n: int, *, beta: float, epsilon: float, overlap: float, rate: float) -> tuple[float, float]:
    r"""Return $T_1$ and $T_2$: between them tokens of one cap are within $|x_i-x_j|^2 \le 2e^{-\lambda\beta}$.

    $$ T_1 = 2n\,e^{8\varepsilon\beta} + \frac{e\,n\,\lambda\beta^2}{\beta-1}, \qquad
       T_2 = \frac{\varepsilon}{n}\,e^{(1-\alpha)\beta} $$

    Up to $T_2$ a token that starts in $\mathcal S_q(\varepsilon)$ stays in $\mathcal S_q(2\varepsilon)$. The times are
    those of USA* (kernel $e^{\beta(\langle x,y\rangle-1)}$), and hold for SA too. `rate` is $\lambda$, below both of
    `bounds_of_collapse`; a time that overflows is infinite. [arXiv:2410.06833](https://arxiv.org/abs/2410.06833), main
    theorem: bounds, and loose ones.

    Raises:
        BadInput: `beta <= 1`, no tokens, epsilon outside `(0, 1/16)`, an overlap that is no cosine, a rate that is not
            positive.

    Example:
        >>> from measureflow import theory
        >>> window = theory.metastable_window(10, beta=20.0, epsilon=0.005, overlap=0.2793134, rate=0.3)
        >>> [round(time, 1) for time in window]
        [216.2, 909.4]
    """
    beta, n, epsilon = theorem_arguments(beta, n, epsilon)
    rate = in_interval("rate", rate, 0.0, math.inf)
    overlap = as_overlap(overlap)
    collapsed = exponential(8.0 * epsilon * beta + math.log(2.0 * n)) + math.e * n * rate * beta * (beta / (beta - 1.0))
    return collapsed, exponential((1.0 - overlap) * beta + math.log(epsilon / n))


def spread_of_projected_gaussians(n: int, *, d: int, noise: float) -> float:
    r"""Return the cap size $\varepsilon$ that holds n projected Gaussian tokens with probability $1-2e^{-d}$.

    $$ \varepsilon = \frac{6\delta\sqrt d}{1+\delta\sqrt d} + \delta\sqrt{2d\log n} $$

    for tokens $N(w_q + \delta z)$, z standard normal in $R^d$ and $w_q$ a unit vector: a mixture
    $\frac1r\sum_q N(\sqrt r\,w_q, \sigma^2 I)$ projected to the sphere, $\delta = \sigma/\sqrt r > 0$.
    [arXiv:2410.06833](https://arxiv.org/abs/2410.06833), section 4; a bound.

    Raises:
        BadInput: no tokens, `d < 2`, a noise that is not positive.

    Example:
        >>> from measureflow import theory
        >>> round(theory.spread_of_projected_gaussians(10, d=16, noise=1e-3), 5)
        0.03249
    """
    n, noise = as_count("n", n), in_interval("noise", noise, 0.0, math.inf)
    d = as_dimension(d)
    root = noise * math.sqrt(d)
    return 6.0 * root / (1.0 + root) + noise * math.sqrt(2.0 * d * math.log(n))


def theorem_arguments(beta: float, n: int, epsilon: float) -> tuple[float, int, float]:
    """Return beta > 1, a count and epsilon in (0, 1/16), as the main theorem wants them."""
    beta = in_interval("beta", as_beta(beta), 1.0, math.inf)
    return beta, as_count("n", n), in_interval("epsilon", epsilon, 0.0, 1.0 / 16.0)


def as_overlap(overlap: float) -> float:
    """Return the largest cosine between two caps."""
    if not abs(as_number("overlap", overlap)) <= 1.0:
        raise BadInput(f"theory: overlap is {overlap}; it is a cosine, in [-1, 1].")
    return float(overlap)


def exponential(exponent: float) -> float:
    """Return the exponential of a number, infinite where it overflows."""
    with np.errstate(over="ignore"):
        return float(np.exp(exponent))


def positive(beta: float) -> float:
    """Return an inverse temperature that is not 0."""
    return in_interval("beta", as_beta(beta), 0.0, math.inf)


def as_directions(centres: Any) -> Float[np.ndarray, "k d"]:
    """Return unit vectors."""
    centres = as_numbers("centres", centres)
    if centres.ndim != 2 or not np.allclose(np.linalg.norm(centres, axis=-1), 1.0, atol=1e-9):
        raise BadInput(f"theory: centres have shape {centres.shape}; they must be unit vectors (k, d).")
    return centres

r"""How clusters emerge from the uniform law: when the selected mode has grown, and where its peaks stand."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from measureflow.errors import BadInput
from measureflow.theory.checks import as_count, as_numbers, in_interval
from measureflow.theory.uniform_measure import dominant_degree, growth_rates_around_uniform

__all__ = ["emergence_time", "selected_peaks"]


def emergence_time(*, amplitude: float, beta: float, d: int, model: str = "softmax", kappa: float = np.inf) -> float:
    r"""Return the time in which the fastest mode grows from an amplitude to 1, at the rate of the linear phase.

    $$ t^* = \frac{\log(1/A)}{\lambda_{k_{\max}}}, \qquad A \approx n^{-1/2}: \quad
       t^* \approx \frac{\log n}{2\lambda_{k_{\max}}} $$

    for n independent uniform tokens, whose own amplitude is $|\frac1n\sum_j e^{-ik\theta_j}|$ on the circle. Structure
    shows from then on. Derived for the linear phase of [arXiv:2410.23228](https://arxiv.org/abs/2410.23228); correct up
    to the time O(1/lambda) of the last, nonlinear stretch.

    Raises:
        BadInput: an amplitude outside (0, 1), beta <= 0, d < 2, or noise under which nothing grows.

    Example:
        >>> from measureflow import theory
        >>> [round(theory.emergence_time(amplitude=2e4**-0.5, beta=beta, d=2, model="unnormalised"), 4)
        ...  for beta in (5.0, 7.0)]
        [0.2663, 0.0425]
    """
    degrees = np.arange(1, dominant_degree(beta=beta, d=d) + 1)
    rate = growth_rates_around_uniform(degrees, beta=beta, d=d, model=model, kappa=kappa).max()
    if not rate > 0:
        raise BadInput(f"theory: no mode grows at beta {beta} and kappa {kappa}; take a larger kappa (less noise).")
    return float(-np.log(in_interval("amplitude", amplitude, 0.0, 1.0)) / rate)


def selected_peaks(angles: Any, *, degree: int) -> Float[np.ndarray, "k"]:
    r"""Return where the peaks of one Fourier mode of tokens on the circle stand, in $[0, 2\pi)$, in order.

    $$ \delta_m = \frac{2\pi m - \arg\hat\mu_k}{k}, \qquad \hat\mu_k = \frac1n\sum_j e^{-ik\theta_j} $$

    The centres of the clusters that emerge, as far as the mode keeps its phase: the red lines of the figures of
    [arXiv:2410.23228](https://arxiv.org/abs/2410.23228).

    Raises:
        BadInput: no angles, degree < 1.

    Example:
        >>> import numpy as np
        >>> from measureflow import theory
        >>> theory.selected_peaks([0.1, 0.1 + np.pi], degree=2).round(4).tolist()
        [0.1, 3.2416]
    """
    angles, k = as_numbers("angles", angles), as_count("degree", degree)
    if not angles.size:
        raise BadInput("theory: there are no angles; give those of at least one token.")
    first = -np.angle(np.exp(-1j * k * angles).mean()) / k
    return np.sort((first + 2.0 * np.pi * np.arange(k) / k) % (2.0 * np.pi))

r"""A turning ring of tokens on a great circle of the sphere: which of its ripples grow, in its plane and out of it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Complex
from scipy.special import ive

from measureflow.theory.checks import as_finite
from measureflow.theory.uniform_measure import as_degrees

__all__ = ["RingRates", "rates_of_ring"]


class RingRates(NamedTuple):
    """Rates of ripples $e^{im\\varphi}$ of a turning ring, seen from its tokens: the real part is the growth.

    Attributes:
        within: of ripples along the ring. out: of ripples out of its plane.
    """

    within: Complex[np.ndarray, "k"]
    out: Complex[np.ndarray, "k"]


def rates_of_ring(degrees: Any, *, twist: float, kappa: float = 0.0) -> RingRates:
    r"""Return how ripples of the uniform ring on the equator of $S^2$ grow under $D = \kappa + \epsilon A$, V = -Id.

    $$ \sigma_{out} = \frac{\operatorname{Re}K_1 - K_m}{K_0}, \qquad
       \sigma_{within} = \frac1{K_0}\Bigl[\frac m2(K_{m+1} - K_{m-1}) + im\,\Omega K_m\Bigr], \qquad
       \Omega = -\frac{\operatorname{Im}K_1}{K_0} $$

    with $K_m = I_{|m|}(r)e^{-im\delta}$ and $\kappa + i\epsilon = re^{i\delta}$, the Fourier coefficients of
    the weights $e^{\kappa\cos t - \epsilon\sin t}$, t from query to key. $\Omega$ is the speed of the ring
    (`rotation_of_ring`), A its generator; logits are $\langle x, Dy\rangle$.

    For $\kappa = 0$ the largest growth out of the plane is that of m = 2, $I_2(\epsilon)/I_0(\epsilon) \approx
    \epsilon^2/8$, and in the plane that of m = 3, about $\frac3{16}\epsilon^2$: three clusters are selected.

    Arguments:
        degrees: m, integers >= 0. twist: epsilon. kappa: the symmetric part.

    Source: derived, by linearising the flow about the ring; the asymmetric neighbour of
        [arXiv:2501.03096](https://arxiv.org/abs/2501.03096). Three clusters, and $I_2/I_0$ for m = 2, were reported by
        released code.

    Raises:
        BadInput: a degree that is negative or no integer, a twist or kappa that is infinite.

    Example:
        >>> from measureflow import theory
        >>> found = theory.rates_of_ring([2, 3], twist=0.6)
        >>> [round(float(rate.real), 6) for rate in (found.out[0], found.within[1])]
        [0.042457, 0.060526]
    """
    m, twist, kappa = as_degrees(degrees), as_finite("twist", twist), as_finite("kappa", kappa)
    size, angle = math.hypot(kappa, twist), -math.atan2(twist, kappa)

    def weight(degree: Any) -> Any:
        return ive(np.abs(degree), size) * np.exp(1j * degree * angle)

    whole, first = weight(0.0), weight(1.0)
    out = (first.real - weight(m)) / whole
    turned = 1j * m * (first.imag / whole) * weight(m)
    return RingRates((0.5 * m * (weight(m + 1) - weight(m - 1)) - turned) / whole, out)

r"""How far independent tokens are from the law they are drawn from, on the circle and on an interval.

The quantile function of n samples is $Q(u + B(u)/\sqrt n)$ with a Brownian bridge B, to leading order, so that
$n W_2^2$ tends to $\int Q'^2 B^2 du$; on the circle the matching may turn, which takes the weighted mean of B away.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from measureflow.errors import BadInput
from measureflow.theory.checks import as_numbers

__all__ = ["mean_square_distance_of_samples"]

#: angles at which integrals are summed
FINE = 4096


def mean_square_distance_of_samples(density: Any, *, closed: bool = True) -> float:
    r"""Return the limit of $n\,E\,W_2^2(\mu_n, \mu)$ for n independent samples of a law on the circle.

    With the quantile function Q, $w = Q'^2$ and the distance along the circle,

    $$ n\,E\,W_2^2 \to \int_0^1 u(1-u)\,w(u)\,du
       - \frac{\iint (\min(u,v) - uv)\,w(u)\,w(v)\,du\,dv}{\int w}. $$

    The first term alone is the limit on the interval from 0 to $2\pi$ with the same density (`closed=False`), where
    the matching cannot turn. $E B(u)B(v) = \min(u,v) - uv$ is the covariance of the Brownian bridge. It needs a
    density that is positive: elsewhere the distance decays more slowly than $n^{-1/2}$.

    Source: derived, for the mean-field limit of [arXiv:2501.03096](https://arxiv.org/abs/2501.03096); the first term is
    classical.

    Arguments:
        density: values at equal angles from 0 on, up to a factor. closed: whether 0 and $2\pi$ are one point.

    Raises:
        BadInput: values that are not positive, or fewer than 2.

    Example:
        >>> import math
        >>> from measureflow import theory
        >>> uniform = [1.0, 1.0, 1.0, 1.0]
        >>> round(theory.mean_square_distance_of_samples(uniform) / math.pi**2, 6)
        0.333333
        >>> round(theory.mean_square_distance_of_samples(uniform, closed=False) / math.pi**2, 6)
        0.666667
    """
    values = as_numbers("density", density)
    if values.ndim != 1 or len(values) < 2 or not values.min() > 0:
        raise BadInput("theory: the density must have two values or more, all positive.")
    fine = np.fft.irfft(np.fft.rfft(values), FINE * math.ceil(len(values) / FINE))
    step = 2.0 * np.pi / len(fine)
    fine /= fine.sum() * step
    f = np.append(fine, fine[0])

    def along(integrand: np.ndarray) -> np.ndarray:
        return np.append(0.0, np.cumsum(0.5 * step * (integrand[1:] + integrand[:-1])))

    # du = f dtheta and Q' = 1/f, so that w du = dtheta / f
    below, weight = along(f), along(1.0 / f)
    line = along(below * (1.0 - below) / f)[-1]
    if not closed:
        return float(line)
    # the double integral of min(u, v) is that of the square of what lies beyond
    turned = along(f * (weight[-1] - weight) ** 2)[-1] - along(below / f)[-1] ** 2
    return float(line - turned / weight[-1])

r"""Two tokens, or two clusters with masses: the cosine between them, and the time until they merge.

In the coordinate $z = \ln\frac{1-u}{1+u}$ of the cosine $u$, with $E = e^{\beta(1-u)}$, SA reads
$\dot z = -2\,[a_2/(a_1E+a_2) + a_1/(a_2E+a_1)]$ and USA $\dot z = -2e^{\beta u}$: a clock (see `clocks`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from measureflow.errors import BadInput
from measureflow.theory.checks import as_beta, as_masses, as_model, as_numbers, as_times, in_interval
from measureflow.theory.clocks import Clock, never_moves

__all__ = [
    "asymptotic_merge_time",
    "cosine_of_two_clusters",
    "cosine_of_two_tokens",
    "gap_of_two_clusters",
    "merge_time",
    "speed_of_two_clusters",
]

EQUAL = (0.5, 0.5)


def cosine_of_two_tokens(times: Any, *, beta: float, start: float, model: str = "softmax") -> Float[np.ndarray, "s"]:
    r"""Return the cosine of two tokens of equal mass.

    $$ \text{SA: } \dot u = \frac{2(1-u^2)e^{\beta u}}{e^\beta+e^{\beta u}}, \qquad
       \text{USA: } \dot u = (1-u^2)e^{\beta u} $$

    Derived from the models (2.2) and (2.5) of [arXiv:2312.10794](https://arxiv.org/abs/2312.10794); at
    `beta = 0`, $u = \tanh(t + \operatorname{artanh} u_0)$. `start` lies in `(-1, 1]`; the error is that of
    `cosine_of_two_clusters`.

    Example:
        >>> from measureflow import theory
        >>> float(theory.cosine_of_two_tokens([1.0], beta=0.0, start=0.0).round(12)[0])  # tanh(1)
        0.761594155956
    """
    return cosine_of_two_clusters(times, beta=beta, start=start, masses=EQUAL, model=model)


def cosine_of_two_clusters(
    times: Any, *, beta: float, start: float, masses: Any = EQUAL, model: str = "softmax"
) -> Float[np.ndarray, "s"]:
    r"""Return the cosine `u(t)` between two clusters of masses `a_1 + a_2 = 1`, each collapsed to a point.

    $$ \text{SA: } \dot u
       = (1-u^2)\left[\frac{a_2}{a_1e^{\beta(1-u)}+a_2} + \frac{a_1}{a_2e^{\beta(1-u)}+a_1}\right], \qquad
       \text{USA: } \dot u = (1-u^2)e^{\beta u} $$

    Derived from [arXiv:2312.10794](https://arxiv.org/abs/2312.10794) for weighted tokens (under USA the
    masses drop out). `start` lies in `(-1, 1]`, `times >= 0`, any `beta >= 0`: nothing overflows. The error
    is below 1e-12 plus what a relative change of $(4+\beta)10^{-15}$ in a time does; at t = 2e18 a double
    cannot tell moments 256 apart, while the final approach takes a time of order 1, so there the second
    part is all.

    Raises:
        BadInput: a start outside the interval, a negative or infinite time, beta < 0, masses that are not two
            positive numbers of sum 1.

    Example:
        >>> from measureflow import theory
        >>> u = theory.cosine_of_two_clusters([0.0, 1e7, 2e18], beta=40.0, start=0.0, masses=(0.25, 0.75))
        >>> u.round(4).tolist()
        [0.0, 0.0, 1.0]
    """
    return 1.0 - gap_of_two_clusters(times, beta=beta, start=start, masses=masses, model=model)


def gap_of_two_clusters(
    times: Any, *, beta: float, start: float, masses: Any = EQUAL, model: str = "softmax"
) -> Float[np.ndarray, "s"]:
    r"""Return `1 - u(t)` between two clusters with a small relative error, also when `u` rounds to 1.

    The equation, source, arguments and errors of `cosine_of_two_clusters`.

    Example:
        >>> from measureflow import theory
        >>> gap = theory.gap_of_two_clusters([50.0, 51.0], beta=1.0, start=0.5)
        >>> round(float(gap[0] / gap[1]), 6)  # e^2
        7.389056
    """
    times, start = as_times(times), in_interval("start", start, -1.0, 1.0, closed=True)
    if start == 1.0:
        return np.zeros_like(times)
    clock = _clock(as_beta(beta), start, _two(masses), as_model(model))
    if clock is None:
        return np.full_like(times, 1.0 - start)
    flat = np.atleast_1d(times).ravel()
    return np.where(flat == 0.0, 1.0 - start, _gap(clock.at(flat))).reshape(times.shape)


def speed_of_two_clusters(
    u: Any, *, beta: float, masses: Any = EQUAL, model: str = "softmax"
) -> Float[np.ndarray, "s"]:
    r"""Return `du/dt` at the cosine `u`: the right-hand sides of `cosine_of_two_clusters`, exact to rounding.

    Source: derived from [arXiv:2312.10794](https://arxiv.org/abs/2312.10794).

    Example:
        >>> from measureflow import theory
        >>> float(theory.speed_of_two_clusters(0.0, beta=0.0, masses=(0.2, 0.8)))
        1.0
    """
    u, beta = as_numbers("u", u), as_beta(beta)
    one, two = _two(masses)
    with np.errstate(over="ignore"):
        if as_model(model) == "unnormalised":
            return (1.0 - u * u) * np.exp(beta * u)
        rise = np.exp(beta * (1.0 - u))
        return (1.0 - u * u) * (two / (one * rise + two) + one / (two * rise + one))


def merge_time(*, beta: float, start: float, masses: Any = EQUAL, end: float = 0.9, model: str = "softmax") -> float:
    r"""Return the time in which the cosine of two clusters grows from `start` to `end`.

    The integral of $1/\dot u$ of `cosine_of_two_clusters` by quadrature in the log domain: relative error
    below 1e-12, `inf` beyond the range of a double. Source: derived from
    [arXiv:2312.10794](https://arxiv.org/abs/2312.10794).

    Raises:
        BadInput: `start < end` inside `(-1, 1)` is violated, beta < 0, masses that are not two of sum 1.

    Example:
        >>> from measureflow import theory
        >>> case = dict(beta=20.0, start=0.2, masses=(0.25, 0.75))
        >>> round(theory.merge_time(**case) / theory.asymptotic_merge_time(**case), 3)
        1.028
    """
    beta, start = as_beta(beta), in_interval("start", start, -1.0, 1.0)
    end = in_interval("end", end, start, 1.0)
    clock = _clock(beta, start, _two(masses), as_model(model))
    if clock is None:
        return math.inf
    log_time = clock.log_time(_coordinate(end))
    return math.exp(log_time) if log_time < 709.0 else math.inf


def asymptotic_merge_time(*, beta: float, start: float, masses: Any = EQUAL, model: str = "softmax") -> float:
    r"""Return the leading order, as `beta` grows, of the time in which two clusters merge.

    $$ T \approx \frac{e^{\beta(1-u_0)}}{\beta(1-u_0^2)\,(a_2/a_1+a_1/a_2)} \;\text{(SA)}, \qquad
       T \approx \frac{e^{-\beta u_0}}{\beta(1-u_0^2)} \;\text{(USA)} $$

    Relative error $2u_0/(\beta(1-u_0^2)) + O(\beta^{-2})$. Source: derived from
    [arXiv:2312.10794](https://arxiv.org/abs/2312.10794); it replaces the printed merging law of
    [arXiv:2512.01868](https://arxiv.org/abs/2512.01868), which leaves the masses out.

    Raises:
        BadInput: beta is not positive, a start outside `(-1, 1)`, masses that are not two of sum 1.

    Example:
        >>> from measureflow import theory
        >>> round(theory.asymptotic_merge_time(beta=20.0, start=0.0) / 1e7, 3)
        1.213
    """
    if as_beta(beta) == 0.0:
        raise BadInput("theory: beta is 0; the asymptotic merge time holds for large beta. Use merge_time.")
    start, (one, two) = in_interval("start", start, -1.0, 1.0), _two(masses)
    if as_model(model) == "softmax":
        exponent, pull = beta * (1.0 - start), two / one + one / two
    else:
        exponent, pull = -beta * start, 1.0
    log_time = exponent - math.log(beta * (1.0 - start * start) * pull)
    return math.exp(log_time) if log_time < 709.0 else math.inf


def _two(masses: Any) -> tuple[float, float]:
    """Return the two masses."""
    one, two = as_masses(masses, 2)
    return float(one), float(two)


def _gap(z: np.ndarray) -> np.ndarray:
    """Return `1 - u` at the coordinate `z`."""
    with np.errstate(over="ignore"):
        return 2.0 / (1.0 + np.exp(-z))


def _coordinate(u: float) -> float:
    """Return the coordinate of the cosine `u`."""
    return math.log1p(-u) - math.log1p(u)


def _clock(beta: float, start: float, masses: tuple[float, float], model: str) -> Clock | None:
    """Return the clock of the model from `start`, or `None` where no double-precision time moves the
    clusters."""
    one, two = (math.log(mass) for mass in masses)

    def exponent(z: np.ndarray) -> np.ndarray:
        return beta * _gap(z)

    def softmax(z: np.ndarray) -> np.ndarray:
        rise = exponent(z)
        pull_on_one = two - np.logaddexp(one + rise, two)
        pull_on_two = one - np.logaddexp(two + rise, one)
        return -math.log(2.0) - np.logaddexp(pull_on_one, pull_on_two)

    def unnormalised(z: np.ndarray) -> np.ndarray:
        return exponent(z) - beta - math.log(2.0)

    wait = softmax if model == "softmax" else unnormalised
    top = _coordinate(start)
    if never_moves(float(wait(np.array(top)))):
        return None
    return Clock(wait, exponent, top=top, bottom=-math.log(1e18 * (1.0 + beta)))

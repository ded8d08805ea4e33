r"""Equiangular tokens: all pairs share one cosine, and the n-body system becomes one scalar equation.

In the coordinate $z = \ln\frac{\varepsilon}{s}$, $\varepsilon = 1-\rho$, $s = \rho + \frac1{n-1}$, the
equations (3.A) and (3.B) below read $\dot z = -2n/(e^{\beta\varepsilon}+n-1)$ for SA and $\dot z =
-2e^{\beta(1-\varepsilon)}$ for USA: a clock (see `clocks`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import root_scalar

from measureflow.errors import BadInput
from measureflow.theory.checks import as_beta, as_count, as_model, as_number, as_numbers, as_times, in_interval
from measureflow.theory.clocks import Clock, never_moves

__all__ = [
    "beta_of_clustering_time",
    "clustering_time",
    "cosine_of_equiangular_tokens",
    "gap_of_equiangular_tokens",
    "speed_of_equiangular_tokens",
]


def cosine_of_equiangular_tokens(
    times: Any, *, n: int, beta: float, start: float, model: str = "softmax"
) -> Float[np.ndarray, "s"]:
    r"""Return the cosine `rho(t)` shared by all pairs of `n` equiangular tokens of equal mass.

    $$ \text{SA: } \dot\rho = \frac{2 e^{\beta\rho}(1-\rho)((n-1)\rho+1)}{e^\beta+(n-1)e^{\beta\rho}}, \qquad
       \text{USA: } \dot\rho = \tfrac2n e^{\beta\rho}(1-\rho)((n-1)\rho+1) $$

    [arXiv:2312.10794](https://arxiv.org/abs/2312.10794), (6.7) and (6.8) (the USA form with the constants
    corrected). `start` lies in `(-1/(n-1), 1]`, `times >= 0`, any `beta >= 0`: nothing overflows. Solved by
    quadrature in a coordinate that keeps digits near 1; the error is below 1e-12 plus what a relative
    change of $(4+\beta)10^{-15}$ in a time does (so below 1e-12 absolute for times up to 50 and beta up to
    10).

    Raises:
        BadInput: a start outside the interval, a negative or infinite time, beta < 0, fewer than 2 tokens.

    Example:
        >>> from measureflow import theory
        >>> theory.cosine_of_equiangular_tokens([0.0, 5.89761], n=32, beta=3.0, start=0.0).round(5).tolist()
        [0.0, 0.999]
    """
    return 1.0 - gap_of_equiangular_tokens(times, n=n, beta=beta, start=start, model=model)


def gap_of_equiangular_tokens(
    times: Any, *, n: int, beta: float, start: float, model: str = "softmax"
) -> Float[np.ndarray, "s"]:
    r"""Return `1 - rho(t)` of `n` equiangular tokens with a small relative error, also when `rho` rounds to
    1.

    The equation, source, arguments and errors of `cosine_of_equiangular_tokens`; relative error below 1e-12
    plus what a relative change of $(4+\beta)10^{-15}$ in a time does.

    Example:
        >>> from measureflow import theory
        >>> gap = theory.gap_of_equiangular_tokens([60.0, 61.0], n=8, beta=2.0, start=0.1)
        >>> round(float(gap[0] / gap[1]), 6)  # e^2: 1 - rho falls at rate 2
        7.389056
    """
    times, n, beta = as_times(times), as_count("n", n, 2), as_beta(beta)
    start = in_interval("start", start, -1.0 / (n - 1), 1.0, closed=True)
    if start == 1.0:
        return np.zeros_like(times)
    clock = _clock(n, beta, start, as_model(model))
    if clock is None:
        return np.full_like(times, 1.0 - start)
    flat = np.atleast_1d(times).ravel()
    gap = np.where(flat == 0.0, 1.0 - start, _gap(clock.at(flat), n))
    return gap.reshape(times.shape)


def speed_of_equiangular_tokens(rho: Any, *, n: int, beta: float, model: str = "softmax") -> Float[np.ndarray, "s"]:
    r"""Return `d rho / dt` at the common cosine `rho`: the right-hand sides of
    `cosine_of_equiangular_tokens`.

    Exact to rounding; [arXiv:2312.10794](https://arxiv.org/abs/2312.10794), (6.7). For USA the result
    overflows to infinity where $e^{\beta\rho}$ does.

    Example:
        >>> from measureflow import theory
        >>> float(theory.speed_of_equiangular_tokens(0.0, n=10, beta=0.0))
        0.2
    """
    rho, n, beta = as_numbers("rho", rho), as_count("n", n, 2), as_beta(beta)
    gap = 1.0 - rho
    shape = 2.0 * gap * ((n - 1) * rho + 1.0)
    with np.errstate(over="ignore"):
        if as_model(model) == "softmax":
            return shape / (np.exp(beta * gap) + n - 1)
        return shape * np.exp(beta * rho) / n


def clustering_time(
    beta: Any, *, n: int, delta: float = 1e-3, start: float = 0.0, model: str = "softmax"
) -> Float[np.ndarray, "..."]:
    r"""Return the time `T_delta(beta, n)` at which equiangular tokens reach the cosine `1 - delta`.

    $$ T_\delta(\beta,n)
       = \int_{\rho_0}^{1-\delta} \frac{e^{\beta(1-\rho)}+n-1}{2(1-\rho)((n-1)\rho+1)}\,d\rho $$

    for SA, with $\rho_0 =$ `start`; `beta` is a number or an array. $T$ against $\beta$ is the limit curve
    $\Gamma_\infty$ of the phase diagrams in [arXiv:2312.10794](https://arxiv.org/abs/2312.10794), section
    6. Relative error below 1e-12; `inf` where the time is beyond the range of a double (near `beta = 720`).

    Raises:
        BadInput: delta outside `(0, 1 - start)`, a start outside `(-1/(n-1), 1)`, beta < 0, fewer than 2
            tokens.

    Example:
        >>> from measureflow import theory
        >>> theory.clustering_time([0, 4, 9], n=32, delta=1e-3).round(5).tolist()
        [5.18626, 6.9535, 178.73093]
    """
    betas = as_numbers("beta", beta)
    with np.errstate(over="ignore"):
        times = [np.exp(_log_clustering_time(b, n, delta, start, model)) for b in betas.ravel()]
    return np.reshape(times, betas.shape)


def beta_of_clustering_time(
    time: float, *, n: int, delta: float = 1e-3, start: float = 0.0, model: str = "softmax"
) -> float:
    r"""Return the `beta` at which equiangular tokens need the time `time` to reach the cosine `1 - delta`.

    The inverse of `clustering_time`, which grows with `beta` for SA: the limit curve $\Gamma_\infty$ read
    the other way ([arXiv:2312.10794](https://arxiv.org/abs/2312.10794), section 6). Error below 1e-10.

    Raises:
        BadInput: a time shorter than `clustering_time(0)`: no `beta >= 0` is that fast; a model other than
            softmax.

    Example:
        >>> from measureflow import theory
        >>> round(theory.beta_of_clustering_time(15.0, n=32), 4)
        5.8941
    """
    as_model(model, ("softmax",))
    shortest = _log_clustering_time(0.0, n, delta, start, model)
    time = as_number("time", time)
    if not (math.isfinite(time) and time > 0 and math.log(time) >= shortest):
        raise BadInput(f"theory: time is {time}; {n} tokens need at least {math.exp(shortest):.6g} (at beta = 0).")

    def excess(beta: float) -> float:
        return _log_clustering_time(beta, n, delta, start, model) - math.log(time)

    high = 1.0
    while excess(high) < 0:
        high *= 2.0
    return float(root_scalar(excess, bracket=(0.0, high), method="brentq", xtol=1e-13, rtol=1e-14).root)


def _gap(z: np.ndarray, n: int) -> np.ndarray:
    """Return `1 - rho` at the coordinate `z`."""
    with np.errstate(over="ignore"):
        return n / (n - 1) / (1.0 + np.exp(-z))


def _coordinate(gap: float, lift: float) -> float:
    """Return the coordinate of the gap `1 - rho`, with `lift = rho + 1/(n-1)`."""
    return math.log(gap) - math.log(lift)


def _clock(n: int, beta: float, start: float, model: str) -> Clock | None:
    """Return the clock of the model from `start`, or `None` where no double-precision time moves the
    tokens."""

    def exponent(z: np.ndarray) -> np.ndarray:
        return beta * _gap(z, n)

    def softmax(z: np.ndarray) -> np.ndarray:
        return np.logaddexp(exponent(z), math.log(n - 1)) - math.log(2 * n)

    def unnormalised(z: np.ndarray) -> np.ndarray:
        return exponent(z) - beta - math.log(2.0)

    wait = softmax if model == "softmax" else unnormalised
    top = _coordinate(1.0 - start, start + 1.0 / (n - 1))
    if never_moves(float(wait(np.array(top)))):
        return None
    return Clock(wait, exponent, top=top, bottom=-math.log(1e18 * (1.0 + beta)))


def _log_clustering_time(beta: float, n: int, delta: float, start: float, model: str) -> float:
    """Return the logarithm of `clustering_time`."""
    n, beta = as_count("n", n, 2), as_beta(beta)
    start = in_interval("start", start, -1.0 / (n - 1), 1.0)
    delta = in_interval("delta", delta, 0.0, 1.0 - start)
    clock = _clock(n, beta, start, as_model(model))
    if clock is None:
        return math.inf
    return clock.log_time(_coordinate(delta, 1.0 - delta + 1.0 / (n - 1)))

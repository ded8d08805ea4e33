r"""Normalisation schemes: the two numbers (cosine, radius) of equiangular tokens, their clocks and their first speeds.

A token is $x = r\theta$, and $\dot\theta = s^{-1} P_\theta A$ with $A = \sum_j \mathrm{softmax}_j(\beta\langle\theta,
\theta_j\rangle)\,\theta_j$ (arXiv:2510.22026; arXiv:2512.01868, section 6.2):

| scheme | $s$ | $\dot r$ |
|---|---|---|
| `"post"` | 1 | 0 |
| `"pre"` | $r$ | $\langle\theta, A\rangle$ |
| `"mix"` | 1, from `switch` on $r$ | 0, from `switch` on $\langle\theta, A\rangle$ |
| `"peri"` | $r\lvert A\rvert$ | $\langle\theta, A\rangle/\lvert A\rvert$ |
| `"ngpt"` | $\lvert A\rvert/\alpha_t$ | 0 |
| `"sqrt"` | $\sqrt{t+1}$ | 0 |
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.integrate import quad, solve_ivp

from measureflow.errors import BadInput
from measureflow.theory.checks import (
    as_beta,
    as_count,
    as_dimension,
    as_finite,
    as_model,
    as_number,
    as_numbers,
    as_times,
    in_interval,
)
from measureflow.theory.uniform_measure import funk_hecke_coefficients

__all__ = [
    "SCHEMES",
    "bound_on_initial_output",
    "clock_of_normalisation",
    "cone_of_local_rates",
    "gap_and_radius_of_normalised_tokens",
    "initial_speed_of_normalised_tokens",
    "output_of_equiangular_tokens",
    "rate_of_variance",
    "speed_factor",
    "speed_of_uniform_tokens",
]

SCHEMES = ("post", "pre", "mix", "peri", "ngpt", "sqrt")

Alpha = float | Callable[[float], float]


def output_of_equiangular_tokens(
    rho: Any, *, n: int, beta: float
) -> tuple[Float[np.ndarray, "s"], Float[np.ndarray, "s"]]:
    r"""Return $\langle\theta, A\rangle$ and $|A|$ of `n` equiangular tokens with common cosine `rho`.

    $$ \langle\theta, A\rangle = w_0 + (n-1)\rho w, \qquad
       |A|^2 = w_0^2 + 2 w_0 w (n-1)\rho + w^2\,[(n-1) + (n-1)(n-2)\rho] $$

    with $w_0 = e^\beta/Z$, $w = e^{\beta\rho}/Z$, $Z = e^\beta + (n-1)e^{\beta\rho}$.

    Source: derived from [arXiv:2512.01868](https://arxiv.org/abs/2512.01868), section 6.2.

    Raises:
        BadInput: a cosine that n tokens cannot have, beta < 0, fewer than 2 tokens.

    Example:
        >>> from measureflow import theory
        >>> [float(part) for part in theory.output_of_equiangular_tokens(1.0, n=8, beta=2.0)]
        [1.0, 1.0]
    """
    n, beta = as_count("n", n, 2), as_beta(beta)
    gap = 1.0 - as_cosines(rho, n)
    return along_and_size(beta * gap, np.maximum(n - (n - 1) * gap, 0.0), n)


def along_and_size(exponent: Any, lift: Any, n: int) -> tuple[Any, Any]:
    r"""Return $\langle\theta, A\rangle$ and $|A|$ from $\beta(1-\rho)$ and $1 + (n-1)\rho$.

    With the sum S of the tokens, $A \propto (1-q)\theta + qS$ for $q = e^{-\beta(1-\rho)}$: nothing overflows, and
    nothing cancels.
    """
    share, rest = np.exp(-exponent), -np.expm1(-exponent)
    total = 1.0 + (n - 1) * share
    size = np.sqrt(rest**2 + share * lift * (2.0 * rest + n * share))
    return (rest + share * lift) / total, size / total


def speed_factor(
    scheme: str, *, radius: Any = 1.0, size: Any = 1.0, depth: Any = 0.0, alpha: float = 1.0, switch: float = math.inf
) -> Any:
    r"""Return `s`, by which the velocity of a token of `radius` is divided whose output has the `size` $|A|$.

    Source: the table of this module, [arXiv:2510.22026](https://arxiv.org/abs/2510.22026).

    Raises:
        BadInput: an unknown scheme, a radius or size that is not positive, a negative depth, alpha or switch.

    Example:
        >>> from measureflow import theory
        >>> theory.speed_factor("peri", radius=2.0, size=0.5), theory.speed_factor("ngpt", size=0.5, alpha=2.0)
        (1.0, 0.25)
    """
    for name, values in (("radius", radius), ("size", size)):
        if not (as_numbers(name, values) > 0).all():
            raise BadInput(f"theory: {name} is {values}; it must be > 0.")
    as_times(depth)
    if not (as_numbers("alpha", alpha) >= 0).all():
        raise BadInput(f"theory: alpha is {alpha}; it must be >= 0.")
    switch = as_switch(switch)
    factors = {
        "post": lambda: 1.0,
        "pre": lambda: radius,
        "mix": lambda: np.where(np.asarray(depth) < switch, 1.0, radius),
        "peri": lambda: radius * size,
        "ngpt": lambda: size / alpha if np.all(alpha) else size * infinite_at_zero(alpha),
        "sqrt": lambda: np.sqrt(1.0 + np.asarray(depth)),
    }
    return factors[as_model(scheme, SCHEMES)]()


def gap_and_radius_of_normalised_tokens(
    times: Any,
    *,
    scheme: str,
    n: int,
    beta: float,
    start: float,
    radius: float = 1.0,
    alpha: Alpha = 1.0,
    switch: float = math.inf,
) -> tuple[Float[np.ndarray, "s"], Float[np.ndarray, "s"]]:
    r"""Return `1 - rho(t)` and the radius `r(t)` of `n` equiangular tokens under a normalisation scheme.

    $$ \dot\rho = \frac{2 w}{s}\,(1-\rho)\,((n-1)\rho + 1), \qquad
       w = \frac{e^{\beta\rho}}{e^\beta + (n-1)e^{\beta\rho}} $$

    with `s` and $\dot r$ of the table of this module. Solved in the coordinate $\ln\frac{1-\rho}{\rho+1/(n-1)}$, so
    that the gap keeps its digits; relative error below 1e-10 for times up to 1e4.

    Arguments:
        times: increasing, >= 0.
        scheme: one of `theory.SCHEMES`.
        n, beta, start: number of tokens, inverse temperature, first cosine in `(-1/(n-1), 1)`.
        radius: the first radius (`"pre"`, `"mix"`, `"peri"`).
        alpha: of `"ngpt"`, a number or a function of time; switch: of `"mix"`.

    Source: derived from [arXiv:2510.22026](https://arxiv.org/abs/2510.22026).

    Raises:
        BadInput: an unknown scheme, no times or times that do not increase, a start outside the interval, a radius that
            is not positive, a negative alpha or switch, beta < 0, fewer than 2 tokens.

    Example:
        >>> from measureflow import theory
        >>> gap, r = theory.gap_and_radius_of_normalised_tokens([50., 100.], scheme="pre", n=16, beta=2.0, start=0.3)
        >>> round(float(gap[0] / gap[1]), 1), bool((r > 40.0).all())  # 1 - rho falls like t^-2
        (4.0, True)
    """
    times, n, beta = as_times(times), as_count("n", n, 2), as_beta(beta)
    start = in_interval("start", start, -1.0 / (n - 1), 1.0)
    scheme, radius = as_model(scheme, SCHEMES), in_interval("radius", radius, 0.0, math.inf)
    alpha, switch = as_alpha(alpha), as_switch(switch)
    if times.ndim != 1 or not times.size or (np.diff(times) <= 0).any():
        raise BadInput(f"theory: times are {times.tolist()}; they must increase, in one axis, one or more.")

    def rate(t: float, state: Any) -> Any:
        z, r = float(state[0]), float(state[1])
        below = math.exp(min(z, 0.0)) / (1.0 + math.exp(-abs(z)))
        # `along_and_size` in plain numbers: this is called often
        exponent, lift = beta * n / (n - 1) * below, n * math.exp(min(-z, 0.0)) / (1.0 + math.exp(-abs(z)))
        share, rest = math.exp(-exponent), -math.expm1(-exponent)
        total = 1.0 + (n - 1) * share
        along = (rest + share * lift) / total
        size = math.sqrt(rest**2 + share * lift * (2.0 * rest + n * share)) / total
        grows = scheme in ("pre", "peri") or (scheme == "mix" and t >= switch)
        s = r if grows else math.sqrt(t + 1.0) if scheme == "sqrt" else 1.0
        s *= size if scheme in ("peri", "ngpt") else 1.0
        factor = alpha(t) if scheme == "ngpt" else 1.0
        return [-2.0 * n * share / total * factor / s, (along / size if scheme == "peri" else along) if grows else 0.0]

    state = np.array([math.log((1.0 - start) / (start + 1.0 / (n - 1))), radius])
    if not times[-1]:
        return np.array([1.0 - start]), np.array([radius])
    ends = [switch, times[-1]] if scheme == "mix" and 0 < switch < times[-1] else [times[-1]]
    found, now = [], 0.0
    for end in ends:
        seen = times[(times > now) | (now == 0.0)]
        seen = seen[seen <= end]
        at = np.union1d(seen, end)
        solved = solve_ivp(rate, (now, end), state, t_eval=at, method="DOP853", rtol=1e-12, atol=1e-13)
        found.append(solved.y[:, : len(seen)])
        state, now = solved.y[:, -1], end
    z, r = np.concatenate(found, axis=1)
    return gap_at(z, n), r


def gap_at(z: Any, n: int) -> Any:
    """Return `1 - rho` at the coordinate."""
    with np.errstate(over="ignore"):
        return n / (n - 1) / (1.0 + np.exp(-z))


def clock_of_normalisation(
    times: Any, *, scheme: str, radius: float = 1.0, alpha: Alpha = 1.0, switch: float = math.inf
) -> Float[np.ndarray, "s"]:
    r"""Return the clock $\tau(t)$ of a scheme near consensus, where $1-\rho \sim C e^{-2\tau}$.

    `t` for Post-LN, $\int\alpha$ for nGPT, $2(\sqrt{t+1}-1)$ for sqrt-scaling, and where radii grow, like
    $r_0 + t$, $\ln(1 + t/r_0)$: there the gap falls like $t^{-2}$. Mix-LN runs as Post-LN up to its switch.

    Source: [arXiv:2510.22026](https://arxiv.org/abs/2510.22026), the table of rates (the row of nGPT with
    $\alpha_t$ in the place of $1/\alpha_t$).

    Raises:
        BadInput: an unknown scheme, a negative time, a radius that is not positive, a negative alpha or switch.

    Example:
        >>> from measureflow import theory
        >>> [float(theory.clock_of_normalisation([8.0], scheme=s, alpha=0.5)[0].round(3)) for s in theory.SCHEMES]
        [8.0, 2.197, 8.0, 2.197, 4.0, 4.0]
    """
    times, switch, radius = as_times(times), as_switch(switch), in_interval("radius", radius, 0.0, math.inf)
    if as_model(scheme, SCHEMES) == "ngpt":
        if not callable(alpha):
            return as_finite("alpha", alpha, 0.0) * times
        alpha = as_alpha(alpha)
        return np.reshape([quad(alpha, 0.0, t, limit=200)[0] for t in times.ravel()], times.shape)
    if scheme == "sqrt":
        return 2.0 * (np.sqrt(1.0 + times) - 1.0)
    before = {"post": times, "mix": np.minimum(times, switch)}.get(scheme, np.zeros_like(times))
    return before + np.log1p((times - before) / radius)


def rate_of_variance(
    times: Any, *, scheme: str, radius: float = 1.0, alpha: Alpha = 1.0, switch: float = math.inf
) -> Float[np.ndarray, "s"]:
    r"""Return the rate $-\frac{d}{dt}\ln\mathrm{Var}$ of tokens in a narrow cone at depth `t`: $2/s$ at $|A| = 1$.

    $\mathrm{Var} = 1 - |\bar\theta|^2$. 2 for Post-LN, $2/r$ where radii grow, $2/\sqrt{t+1}$ for sqrt-scaling and
    $2\alpha_t$ for nGPT, for which the paper prints $1/\alpha_t$. `radius` is the radius at that depth.

    Source: [arXiv:2510.22026](https://arxiv.org/abs/2510.22026), the theorem on the local cone; the constant 2 is
    derived here.

    Raises:
        BadInput: as `clock_of_normalisation`.

    Example:
        >>> from measureflow import theory
        >>> float(theory.rate_of_variance(0.0, scheme="ngpt", alpha=0.25))
        0.5
    """
    times = as_times(times)
    values = np.vectorize(as_alpha(alpha), otypes=[float])(times) if callable(alpha) else as_finite("alpha", alpha, 0.0)
    s = speed_factor(scheme, radius=radius, size=1.0, depth=times, alpha=values, switch=switch)
    return 2.0 / s * np.ones_like(times)


def cone_of_local_rates(n: int, beta: float) -> float:
    r"""Return the largest $\delta$ of the local cone: $\langle\theta_j, \theta_k\rangle \ge 1 - \delta$ with
    $\delta < \min(1, \beta^{-2})/(100 n^2)$.

    The paper asks for $\delta < 1/(100 n^2\beta^2)$ alone, which for small `beta` admits an antipodal pair, where
    nothing moves.

    Source: [arXiv:2510.22026](https://arxiv.org/abs/2510.22026), the theorem on the local cone, with its hypothesis
    completed.

    Example:
        >>> from measureflow import theory
        >>> theory.cone_of_local_rates(2, 0.01)
        0.0025
    """
    n, beta = as_count("n", n, 2), as_beta(beta)
    return (1.0 / max(1.0, beta) / n) ** 2 / 100.0


def initial_speed_of_normalised_tokens(*, scheme: str, n: int, beta: float, alpha: float = 1.0) -> float:
    r"""Return $\dot\rho$ of orthogonal tokens at r = 1: $2/(e^\beta+n-1)$, where `s` counts $|A|$
    $2\alpha/\sqrt{e^{2\beta}+n-1}$.

    The first for `"post"`, `"pre"`, `"mix"`, `"sqrt"`, the second for `"peri"` (with $\alpha = 1$) and `"ngpt"`.

    Source: derived from [arXiv:2510.22026](https://arxiv.org/abs/2510.22026).

    Example:
        >>> from measureflow import theory
        >>> speeds = (theory.initial_speed_of_normalised_tokens(scheme=s, n=64, beta=2.0) for s in ("post", "ngpt"))
        >>> [round(v, 6) for v in speeds]
        [0.028414, 0.184429]
    """
    n, beta, alpha = as_count("n", n, 2), as_beta(beta), as_finite("alpha", alpha, 0.0)
    share = math.exp(-beta)
    if as_model(scheme, SCHEMES) in ("peri", "ngpt"):
        return 2.0 * (alpha if scheme == "ngpt" else 1.0) * share / math.sqrt(1.0 + (n - 1) * share**2)
    return 2.0 * share / (1.0 + (n - 1) * share)


def speed_of_uniform_tokens(*, scheme: str, n: int, d: int, beta: float, alpha: float = 1.0) -> float:
    r"""Return the first speed $|\dot\theta|$ (root mean square) of `n` independent uniform tokens in $R^d$.

    $$ |P_\theta A|^2 \approx \frac{(n-1)(d-1)\, a_1(2\beta)/2\beta}{Z^2}, \quad
       \langle\theta, A\rangle \approx \frac{e^\beta + (n-1)\,a_1(\beta)}{Z}, \quad Z = e^\beta + (n-1)\,a_0(\beta) $$

    with the Funk-Hecke coefficients `a_k`: under Post-LN and Pre-LN tokens start slowly, like $n^{-1/2}$, under Peri-LN
    and nGPT the outputs are normalised and they start with a speed near 1. All outputs lie near the tokens' mean, whose
    length fluctuates by the relative amount $1/\sqrt{2d}$.

    Source: derived here; the bound is [arXiv:2510.22026](https://arxiv.org/abs/2510.22026), initial velocity.

    Example:
        >>> from measureflow import theory
        >>> speeds = (theory.speed_of_uniform_tokens(scheme=s, n=400, d=128, beta=1.0) for s in ("post", "peri"))
        >>> [round(v, 3) for v in speeds]
        [0.05, 0.96]
    """
    n, beta, d = as_count("n", n, 2), as_beta(beta), as_dimension(d)
    # everything beside e^beta, so that nothing overflows
    mean, slope = funk_hecke_coefficients([0, 1], beta=beta, d=d, shifted=True)
    spread = 1 - 1 / d
    if beta > 1e-9:  # the relative correction is 2 beta^2 / (d + 2)
        spread = (d - 1) * funk_hecke_coefficients([1], beta=2 * beta, d=d, shifted=True)[0] / (2 * beta)
    total = 1.0 + (n - 1) * mean
    across, along = math.sqrt((n - 1) * spread) / total, (1.0 + (n - 1) * slope) / total
    size = math.hypot(across, along)
    return float(across / speed_factor(scheme, size=size, alpha=alpha))


def bound_on_initial_output(n: int, d: int, *, constant: float = 128.0) -> float:
    r"""Return the bound $C(\sqrt{\ln n/n} + \ln n/d)$ on every $|A_j(0)|$ of uniform tokens.

    With probability $1 - n^{-c}$ for $\beta = 1$, $|Q^TK|, |V| \le 1$ and $d \le n\ln n \le e^{\sqrt d}$; C = 128
    serves for c = 1.

    Source: [arXiv:2510.22026](https://arxiv.org/abs/2510.22026), the theorem on the initial velocity.

    Example:
        >>> from measureflow import theory
        >>> round(theory.bound_on_initial_output(1000, 200, constant=1.0), 4)
        0.1177
    """
    n, d, constant = as_count("n", n, 2), as_dimension(d), in_interval("constant", constant, 0.0, math.inf)
    return constant * (math.sqrt(math.log(n) / n) + math.log(n) / d)


def infinite_at_zero(alpha: Any) -> Float[np.ndarray, "..."]:
    """Return the inverse of step sizes, infinite where they are 0: there nothing moves."""
    with np.errstate(divide="ignore"):
        return np.divide(1.0, alpha)


def as_cosines(rho: Any, n: int) -> Float[np.ndarray, "..."]:
    """Return common cosines of n tokens; rounding beyond the ends of the interval is cut off."""
    rho = as_numbers("rho", rho)
    least = -1.0 / (n - 1)
    if (rho < least - 1e-12).any() or (rho > 1.0 + 1e-12).any():
        raise BadInput(f"theory: rho is {rho.tolist()}; {n} tokens have a common cosine in [{least:.6g}, 1].")
    return np.clip(rho, least, 1.0)


def as_alpha(alpha: Any) -> Callable[[float], float]:
    """Return the step sizes of nGPT as a function of time whose values are finite and not negative."""
    if callable(alpha):
        return lambda t: as_finite("alpha", alpha(t), 0.0)
    constant = as_finite("alpha", alpha, 0.0)
    return lambda t: constant


def as_switch(switch: Any) -> float:
    """Return the depth at which Mix-LN switches; infinite: never."""
    if not as_number("switch", switch) >= 0:
        raise BadInput(f"theory: switch is {switch}; it is a depth, >= 0 (inf: never).")
    return float(switch)

"""Phase diagrams: the probability that two of n uniform tokens have met, over beta, time and dimension.

Clouds are drawn in their own span (a uniform cloud of any dimension is a triangular matrix there), so that a million
dimensions cost as much as n.
"""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.exploration import Findings, exploration
from measureflow.claims.published import normalised_steps
from measureflow.claims.runge_kutta import classical_step
from measureflow.paths.style import MUTED, THEORY, shades

__all__ = ["DELTA", "attention", "clouds", "drawn", "share_met", "shares", "stepped"]

#: two tokens have met where their cosine is at least 1 - DELTA
DELTA = 1e-3
#: tokens of the small instances, the replicas that one program moves, and its number of times
SMALL, REPLICAS, TIMES = 8, 512, 61


def clouds(rng: np.random.Generator, replicas: int, *, n: int, d: int) -> Float[np.ndarray, "r n k"]:
    """Draw uniform clouds of the sphere of R^d, in coordinates of their span where d > n (Bartlett's decomposition).

    For d < n there are n coordinates too, the last of them zero: clouds of all dimensions are moved by one program.
    """
    if d > n:
        points = np.tril(rng.normal(size=(replicas, n, n)), -1)
        diagonal = np.arange(n)
        points[:, diagonal, diagonal] = np.sqrt(rng.chisquare(d - diagonal, size=(replicas, n)))
    else:
        points = np.concatenate([rng.normal(size=(replicas, n, d)), np.zeros((replicas, n, n - d))], axis=2)
    return points / np.linalg.norm(points, axis=-1, keepdims=True)


def share_met(mu: Any) -> Any:
    """Return the share of pairs whose cosine is at least 1 - DELTA; the rounding of a cosine is far below DELTA."""
    close = jnp.sum(mu.points @ mu.points.T >= 1.0 - DELTA)
    return (close - mu.n) / (mu.n * (mu.n - 1.0))


@eqx.filter_jit
def together(points: Any) -> mf.Tokens:
    """Return clouds as tokens with a leading axis."""
    return eqx.filter_vmap(lambda x: mf.Tokens(mf.Sphere(x.shape[-1]), x))(points)


def shares(
    points: Any, field: mf.Field, times: Any, *, varies: bool = False, solver: mf.Adaptive | None = None
) -> Float[np.ndarray, "r s"]:
    """Return the share of pairs that have met, of every cloud at every time, by flows with error control."""
    record = {"met": share_met}
    moved = mf.flows.ensemble(together(points), field, save=times, record=record, varies=varies, solver=solver)
    if not moved.resolved.all():
        raise ArithmeticError(f"{int((~moved.resolved).sum())} of {len(points)} clouds were not resolved")
    return moved.recorded["met"]


def attention(beta: float, weighting: str = "softmax") -> mf.SelfAttention:
    """Return SA or USA by matrix products: fast on many small clouds."""
    return mf.SelfAttention(beta, weighting=weighting, sum=mf.sums.Products())


def met(x: Float[np.ndarray, "r n d"]) -> Float[np.ndarray, "r"]:
    """Return the share of pairs of unit vectors whose cosine is at least 1 - DELTA; rounding is far below DELTA."""
    n = x.shape[1]
    close = (x @ x.swapaxes(1, 2) >= 1.0 - DELTA).sum(axis=(1, 2))
    return (close - n) / (n * (n - 1))


def stepped(
    points: Any, beta: float, times: Any, *, scheme: str, step: float = 0.1, weighting: str = "softmax", B: Any = None,
    V: Any = None,
) -> Float[np.ndarray, "r s"]:  # fmt: skip
    """Return the shares that have met by fixed steps in plain NumPy: `"euler"`, normalised as published, or `"rk4"`.

    Times are moved to the nearest step. B and V are matrices of the form and of the values, one for each cloud.
    """
    wanted = np.round(np.asarray(times) / step).astype(int)
    if scheme == "euler":
        form, value = beta if B is None else beta * B, 1.0 if V is None else V
        states = normalised_steps(points, step, wanted, form=form, value=value, softmax=weighting == "softmax")
        return np.stack([met(x) for x in states], axis=1)
    x, n, seen = np.array(points), points.shape[1], []

    def output(x: np.ndarray) -> np.ndarray:
        logits = beta * (x if B is None else x @ B) @ x.swapaxes(1, 2)
        weights = np.exp(logits - logits.max(-1, keepdims=True) if weighting == "softmax" else logits)
        weights /= weights.sum(-1, keepdims=True) if weighting == "softmax" else n
        return weights @ (x if V is None else x @ V)

    def speed(x: np.ndarray) -> np.ndarray:
        pull = output(x)
        return pull - (pull * x).sum(-1, keepdims=True) * x

    for k in range(wanted[-1] + 1):
        if k in wanted:
            seen += [met(x)] * int((wanted == k).sum())
        x = classical_step(speed, x, step)
        x /= np.linalg.norm(x, axis=-1, keepdims=True)
    return np.stack(seen, axis=1)


def area_between(share: Float[np.ndarray, "r s"], times: Any) -> Float[np.ndarray, "r"]:
    """Return the area between each cloud's share that has met and a jump at the middle one of the times."""
    middle = len(times) // 2
    before = np.trapezoid(share[:, : middle + 1], times[: middle + 1], axis=1)
    return before + np.trapezoid(1.0 - share[:, middle:], times[middle:], axis=1)


def around_front(beta: float, d: float, n: int, middle: float) -> np.ndarray:
    """Return times about the middle that reach eight times as far as the front is wide."""
    reach = min(8 * float(theory.error_of_phase_front(d, n=n, beta=beta, delta=DELTA)), 0.98 * middle)
    return middle + np.linspace(-reach, reach, TIMES)


@claim(
    "2312.10794",
    "theorem 6.9 and figure 3",
    covers=["V7"],
    status="derived",
    states={
        "exponent": lambda: -0.5,
        "width": lambda n, beta: theory.width_of_phase_front(n=n, beta=beta, delta=DELTA),
        "time": lambda n, beta: float(theory.clustering_time(beta, n=n, delta=DELTA)),
    },
)
def the_front_of_the_phase_diagram_comes_to_the_limit_curve_like_the_root_of_the_dimension(case: Case) -> None:
    """The front P(rho >= 1 - delta) is at the time of Gamma_infinity, up to an area that falls like d^(-1/2), with the
    width that the linearised Gram equation gives."""
    large = case.tier != "smoke"
    n, dims = case.given("n", 2 * SMALL if large else SMALL), case.given("d", (2**12, 2**20))
    beta, replicas = case.draw("beta", 1.0, 4.0 if large else 3.0), case.given("replicas", REPLICAS)
    case.require("there are clouds enough for a standard error", replicas >= 50)
    case.require("there are two dimensions, the larger one last, of no fewer than n", n <= dims[0] < dims[-1] and n > 1)
    middle = float(theory.clustering_time(beta, n=n, delta=DELTA))
    areas, errors = [], []
    for d in dims:
        points = case.measure(drawn, case.seed, replicas, n, d)
        times = around_front(beta, d, n, middle)
        share = case.measure(shares, points, attention(beta), times)
        area = area_between(share, times)
        areas.append(float(area.mean()))
        errors.append(float(area.std() / area.mean()) / math.sqrt(replicas))
    span = math.log(dims[-1] / dims[0])
    slope = math.log(areas[-1] / areas[0]) / span
    because = f"six standard errors of the mean over {replicas} clouds"
    within = 6 * math.hypot(errors[0], errors[-1]) / span
    exponent = case.statement.exponent()
    case.compare(slope, exponent, within=within, because=because, name="exponent of the area in d")
    # the mean time of meeting of each cloud: where its share would jump
    meeting = times[-1] - np.trapezoid(share, times, axis=1)
    error = float(meeting.std()) / math.sqrt(replicas)
    stated = case.statement.time(n, beta)
    within = 6 * error + areas[-1] ** 2
    case.compare(meeting.mean(), stated, within=within, because=because + ", and its square", name="time of the front")
    # for a normal law the mean distance from the middle is sqrt(2/pi) deviations
    measured = math.log(areas[-1] * math.sqrt(dims[-1] * math.pi / 2))
    predicted = math.log(case.statement.width(n, beta))
    case.compare(measured, predicted, within=6 * errors[-1], because=because, name="logarithm of the width")


def drawn(seed: int, replicas: int, n: int, d: int) -> np.ndarray:
    """Draw clouds; those of different dimensions share what they can."""
    return clouds(np.random.default_rng(seed), replicas, n=n, d=d)


the_front = the_front_of_the_phase_diagram_comes_to_the_limit_curve_like_the_root_of_the_dimension


@the_front.mutation("exponent")
def as_a_mean_of_dimensions() -> float:
    """1/d: the rate of the second-order terms."""
    return -1.0


@the_front.mutation("exponent")
def no_approach() -> float:
    """The front does not come nearer."""
    return 0.0


@the_front.mutation("width")
def one_common_cosine(n: int, beta: float) -> float:
    """All pairs fluctuate together: the equation (6.7) of the common cosine for each pair on its own."""
    return 1.0 / float(theory.speed_of_equiangular_tokens(0.0, n=n, beta=beta))


@the_front.mutation("width")
def frozen_fluctuations(n: int, beta: float) -> float:
    """The first cosines are taken over to the front as they are."""
    return 1.0 / float(theory.speed_of_equiangular_tokens(1.0 - DELTA, n=n, beta=beta))


@the_front.mutation("time")
def clock_of_published_steps(n: int, beta: float) -> float:
    """The published scheme's clock, whose normalised Euler steps of 0.1 are slow by 5 %."""
    return 0.1 / math.log(1.1) * float(theory.clustering_time(beta, n=n, delta=DELTA))


@the_front.mutation("time")
def temperature_lost(n: int, beta: float) -> float:
    """The closed form of beta = 0 at every beta."""
    return float(theory.clustering_time(0.0, n=n, delta=DELTA))


@the_front.mutation("time")
def squared_distance_for_the_gap(n: int, beta: float) -> float:
    """delta is taken for the squared distance, twice 1 - rho."""
    return float(theory.clustering_time(beta, n=n, delta=DELTA / 2))


@the_front.figure
def front_in_three_dimensions(case: Case, ax: Any) -> None:
    """Draw the front of small and large dimensions about the time of the limit curve, and the normal law of theory."""
    from scipy.stats import norm

    beta, n, replicas = (case.instance[name] for name in ("beta", "n", "replicas"))
    middle = float(theory.clustering_time(beta, n=n, delta=DELTA))
    ax.axvline(middle, color=MUTED, lw=1, label=r"time of $\Gamma_\infty$")
    for d, shade in zip((2 * n, 32 * n, 512 * n), shades(3), strict=True):
        times = around_front(beta, d, n, middle)
        share = case.measure(shares, case.measure(drawn, case.seed, replicas, n, d), attention(beta), times)
        ax.plot(times, share.mean(axis=0), color=shade, label=f"$d={d}$")
        width = theory.width_of_phase_front(n=n, beta=beta, delta=DELTA) / math.sqrt(d)
        ax.plot(times, norm.cdf((times - middle) / width), "--", color=THEORY, lw=1.2)
    ax.plot([], [], "--", color=THEORY, label="linear response")
    ax.set(xlabel="time $t$", ylabel=r"$P(\rho \geq 1-\delta)$", title=rf"$n={n}$, $\beta={beta:.2f}$")
    ax.legend()


@exploration("2312.10794", "section 6, critical exponents near the limit curve", covers=["P18"])
def how_wide_is_the_front_in_dimension_d(case: Case) -> dict[str, Any]:
    """How does the width of the front of a phase diagram fall with the dimension, and is there an exponent but -1/2?

    Linear response about the equiangular solution gives d^(-1/2) with a coefficient (theory.width_of_phase_front) for
    fixed n, beta and d to infinity. Open: uniformity in beta and n, where the coefficient grows like e^beta / n, so
    that a front of width d^(-1/2) needs d far above e^(2 beta) / n^2.
    """
    n = case.given("n", {"smoke": 8}.get(case.tier, 32))
    beta, replicas = case.draw("beta", 2.0, 4.0), case.given("replicas", REPLICAS)
    middle = float(theory.clustering_time(beta, n=n, delta=DELTA))
    powers = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
    dims = list(case.given("d", {"smoke": (16, 256, 4096)}.get(case.tier, powers)))
    measured = []
    for d in dims:
        times = around_front(beta, d, n, middle)
        share = shares(drawn(case.seed, replicas, n, d), attention(beta), times).mean(axis=0)
        measured.append(quartile_width(times, share))
    predicted = theory.width_of_phase_front(n=n, beta=beta, delta=DELTA) / np.sqrt(dims)
    slopes = np.diff(np.log(measured)) / np.diff(np.log(dims))
    return {
        "n": n,
        "beta": beta,
        "dimensions": dims,
        "width": measured,
        "linear response": predicted.tolist(),
        "ratio": (np.array(measured) / predicted).tolist(),
        "local exponents": slopes.tolist(),
    }


def quartile_width(times: np.ndarray, share: np.ndarray) -> float:
    """Return the distance of the quartiles of the front in deviations of a normal law; NaN where they are not seen."""
    rising = np.maximum.accumulate(share) + 1e-12 * np.arange(len(share))
    if rising[0] > 0.25 or rising[-1] < 0.75:
        return math.nan
    low, high = np.interp([0.25, 0.75], rising, times)
    return float(high - low) / 1.3489795003921634


@how_wide_is_the_front_in_dimension_d.figure
def widths(findings: Findings, ax: Any) -> Any:
    """Draw the measured width over the dimension and the line of linear response."""
    from measureflow.paths.style import ACCENT, THEORY

    found = findings.found
    ax.loglog(found["dimensions"], found["width"], "o", color=ACCENT[0], ms=8, label="flows")
    line = "--" if len(found["dimensions"]) > 1 else "_"
    ax.loglog(found["dimensions"], found["linear response"], line, color=THEORY, label="linear response: $d^{-1/2}$")
    title = rf"$n={found['n']}$, $\beta={found['beta']:.2f}$"
    ax.set(xlabel="dimension $d$", ylabel="width of the front in time", title=title)
    ax.legend()
    return ax

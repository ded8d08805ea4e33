"""Equiangular tokens: the scalar equation they follow, and the limit curve of the phase diagrams."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import N, follow, gaps, gram
from measureflow.paths.style import ACCENT, THEORY


def frame(n: int, start: float) -> mf.Tokens:
    """Return equiangular tokens, and massless ones on top of them up to the common shape."""
    size = max(n, N)
    weights = np.where(np.arange(size) < n, 1.0 / n, 0.0)
    return mf.Tokens(mf.Sphere(n), np.resize(np.asarray(mf.equiangular(n=n, cosine=start).points), (size, n)), weights)


def cosines_along(case: Case, model: str, n: int, *, beta: float, start: float) -> tuple[np.ndarray, np.ndarray]:
    """Return times until the curve is at 0.999, and the cosines of all pairs of tokens, `(pairs, times)`."""
    times = np.linspace(0.0, 1.0, 17) * float(theory.clustering_time(beta, n=n, start=start, model=model))
    points = follow(case, frame(n, start), mf.SelfAttention(beta, weighting=model), times)[:, :n]
    return times, gram(points)[:, ~np.eye(n, dtype=bool)].T


def compare_with_curve(case: Case, model: str, n: int, *, beta: float, start: float) -> None:
    """Compare the cosines of equiangular tokens with the curve that is stated, until it is at 0.999."""
    case.require("the cosine is one of n equiangular tokens, and not 1 yet", -1 / (n - 1) < start < 0.999)
    times, cosines = cosines_along(case, model, n, beta=beta, start=start)
    predicted = case.predict(times, n=n, beta=beta, start=start)
    speeds = theory.speed_of_equiangular_tokens(predicted, n=n, beta=beta, model=model)
    grown = max(float(speeds.max() / speeds[0]), 1.0)
    because = f"rtol 1e-12 a step, and 1e-12 of the prediction, grown {grown:.3g}-fold while the cosine departs"
    name = f"cosine of a pair, {model}, n = {n}"
    case.compare(cosines, predicted, within=1e-12 * grown, because=because, name=name, over={"t": times})


def usa_curve(times: Any, *, n: int, beta: float, start: float) -> Any:
    """Return the common cosine under USA."""
    return theory.cosine_of_equiangular_tokens(times, n=n, beta=beta, start=start, model="unnormalised")


@claim("2312.10794", "(6.7)", covers=["V5", "3.2"], states=theory.cosine_of_equiangular_tokens)
def equiangular_tokens_follow_one_scalar_equation(case: Case) -> None:
    """Tokens that start equiangular stay so under SA, from any cosine above -1/(n-1), and their common cosine solves
    one scalar equation."""
    n, beta = case.given("n", N), case.draw("beta", 1.0, 5.0)
    case.require("there are two tokens and more", n >= 2)
    compare_with_curve(case, "softmax", n, beta=beta, start=case.draw("start", -0.9 / (n - 1), 0.6))
    if case.tier != "smoke":  # a shape of its own
        below = case.draw("start below 0", -0.9 / 3, -0.1 / 3)
        compare_with_curve(case, "softmax", 4, beta=beta, start=below)


@claim("2312.10794", "(6.8)", covers=["3.2"], id="2312.10794/equiangular-usa", states=usa_curve)
def equiangular_tokens_follow_another_equation_without_a_denominator(case: Case) -> None:
    """Under USA the common cosine solves (6.8) with 2/n in front, from any cosine above -1/(n-1)."""
    n, beta, below = case.given("n", 3), case.draw("beta", 1.0, 5.0), case.draw("(n-1) start", -0.9, -0.1)
    case.require("there are two tokens and more", n >= 2)
    compare_with_curve(case, "unnormalised", n, beta=beta, start=below / (n - 1))
    if case.tier != "smoke":
        compare_with_curve(case, "unnormalised", 4, beta=beta, start=below / 3)
        compare_with_curve(case, "unnormalised", N, beta=beta, start=case.draw("start", -0.9 / (N - 1), 0.6))


equiangular = equiangular_tokens_follow_one_scalar_equation
under_usa = equiangular_tokens_follow_another_equation_without_a_denominator


def cosine_of(speed: Callable[[Any], Any], times: Any, start: float) -> np.ndarray:
    """Integrate a scalar equation, for the mutations."""
    # LSODA: at large beta the time is long beside the rate at which what a mutation states comes to rest
    solved = solve_ivp(
        lambda _, rho: speed(rho), (0.0, float(times[-1])), [start], method="LSODA", t_eval=times, rtol=1e-9, atol=1e-10
    )
    return solved.y[0]


@equiangular.mutation
def factor_two_lost(times: Any, *, n: int, beta: float, start: float) -> Any:
    """The factor 2 of the right-hand side is lost: only one of the two tokens moves."""
    return theory.cosine_of_equiangular_tokens(np.asarray(times) / 2, n=n, beta=beta, start=start)


@equiangular.mutation
def one_token_too_many(times: Any, *, n: int, beta: float, start: float) -> Any:
    """n stands where n - 1 belongs."""
    own = np.exp(beta)

    def speed(rho: Any) -> Any:
        raised = np.exp(beta * rho)
        return 2 * raised * (1 - rho) * (n * rho + 1) / (own + n * raised)

    return cosine_of(speed, times, start)


@equiangular.mutation
def own_weight_not_raised(times: Any, *, n: int, beta: float, start: float) -> Any:
    """The token's own weight in the denominator is 1 in place of e^beta."""

    def speed(rho: Any) -> Any:
        raised = np.exp(beta * rho)
        return 2 * raised * (1 - rho) * ((n - 1) * rho + 1) / (1 + (n - 1) * raised)

    return cosine_of(speed, times, start)


@equiangular.mutation
def normalisation_forgotten(times: Any, *, n: int, beta: float, start: float) -> Any:
    """The equation of USA, with its clock divided by e^beta."""
    return usa_curve(np.exp(-beta) * np.asarray(times), n=n, beta=beta, start=start)


@under_usa.mutation
def sign_of_the_start(times: Any, *, n: int, beta: float, start: float) -> Any:
    """The start is taken without its sign."""
    return usa_curve(times, n=n, beta=beta, start=abs(start))


@under_usa.mutation
def one_over_n_lost(times: Any, *, n: int, beta: float, start: float) -> Any:
    """2 in place of 2/n."""
    return usa_curve(n * np.asarray(times), n=n, beta=beta, start=start)


@under_usa.mutation
def denominator_of_sa(times: Any, *, n: int, beta: float, start: float) -> Any:
    """The equation of SA, with its clock times e^beta."""
    return theory.cosine_of_equiangular_tokens(np.exp(beta) * np.asarray(times), n=n, beta=beta, start=start)


def draw_curve(case: Case, ax: Any, model: str, start: float, label: str) -> None:
    """Draw the cosines of all pairs over the curve."""
    beta, n = case.instance["beta"], case.instance["n"]
    times, cosines = cosines_along(case, model, n, beta=beta, start=start)
    ax.plot(np.tile(times, len(cosines)), cosines.ravel(), "o", color=ACCENT[0], ms=5, label="all pairs of tokens")
    fine = np.linspace(0.0, times[-1], 200)
    ax.plot(fine, case.predict(fine, n=n, beta=beta, start=start), "--", color=THEORY, label=label)
    ax.set(xlabel="time $t$", ylabel=r"cosine $\rho$", title=rf"$n={n}$, $\beta={beta:.2f}$")
    ax.legend()


@equiangular.figure
def curve_over_particles(case: Case, ax: Any) -> None:
    """Draw the cosines of all pairs over the curve of SA."""
    draw_curve(case, ax, "softmax", case.instance["start"], "(6.7)")


@under_usa.figure
def curve_of_usa_over_particles(case: Case, ax: Any) -> None:
    """Draw the cosines of all pairs over the curve of USA, from below 0."""
    start = case.instance["(n-1) start"] / (case.instance["n"] - 1)
    draw_curve(case, ax, "unnormalised", start, "(6.8)")


@claim(
    "2312.10794",
    "section 6, the limit curve",
    covers=["V6"],
    states={"time": theory.clustering_time, "beta": theory.beta_of_clustering_time},
)
def orthogonal_tokens_cluster_at_the_time_of_the_limit_curve(case: Case) -> None:
    """n orthogonal tokens reach the cosine 1 - delta at T_delta(beta, n), and no other beta has that time."""
    n, beta, delta = case.given("n", N), case.draw("beta", 0.5, 4.0), case.draw("delta", 1e-4, 1e-2, log=True)
    last = max(24, math.ceil(1.2 * float(theory.clustering_time(beta, n=n, delta=delta))))
    times = np.linspace(0.0, last, 10 * last + 1)
    gap = gaps(follow(case, mf.equiangular(n=n, cosine=0.0), mf.SelfAttention(beta), times))
    case.require("the tokens clustered within the run", bool(gap.min() < delta))
    near = (gap > delta / 100) & (gap < 100 * delta)
    crossing = CubicSpline(times[near], np.log(gap[near])).solve(np.log(delta), extrapolate=False)
    measured = float(crossing[0])
    because = "a cubic spline of log(1 - rho) over steps of 0.1: 0.1^4 times its fourth derivative"
    predicted = case.statement.time(beta, n=n, delta=delta)
    case.compare(measured, predicted, within=1e-6, because=because, name="time")
    # dT/dbeta is at least 0.1 for what is drawn, so an error of 1e-6 in T is one of at most 1e-5 in beta
    inverse = case.statement.beta(measured, n=n, delta=delta)
    case.compare(beta, inverse, within=1e-5, because=because + ", over dT/dbeta >= 0.1", name="beta")


@orthogonal_tokens_cluster_at_the_time_of_the_limit_curve.figure
def limit_curve(case: Case, ax: Any) -> None:
    """Draw the limit curve and the case's own point on it."""
    n, beta, delta = (case.instance[name] for name in ("n", "beta", "delta"))
    betas = np.linspace(0.0, max(9.0, 1.2 * beta), 200)
    ax.plot(case.statement.time(betas, n=n, delta=delta), betas, "--", color=THEORY, label=r"$\Gamma_\infty$")
    measured = [shown.measured for shown in case.comparisons if shown.name == "time"]
    ax.plot(measured, [beta], "o", color=ACCENT[0], ms=9, label="particles")
    exponent = math.floor(math.log10(delta))
    head = rf"$n={n}$, $\beta={beta:.2f}$, $\delta={delta / 10**exponent:.1f}\cdot 10^{{{exponent}}}$"
    ax.set(xlabel="time $t$", ylabel=r"$\beta$", xscale="log", title=head)
    ax.legend()


@orthogonal_tokens_cluster_at_the_time_of_the_limit_curve.mutation("time")
def one_half_lost(beta: float, *, n: int, delta: float) -> Any:
    """The factor 1/2 of the integral is lost."""
    return 2 * theory.clustering_time(beta, n=n, delta=delta)


@orthogonal_tokens_cluster_at_the_time_of_the_limit_curve.mutation("time")
def self_attention_left_out(beta: float, *, n: int, delta: float) -> Any:
    """Tokens do not attend to themselves: the exponential in the numerator is missing."""
    return theory.clustering_time(0.0, n=n, delta=delta) * (n - 1) / n


@orthogonal_tokens_cluster_at_the_time_of_the_limit_curve.mutation("time")
def squared_distance_for_gap(beta: float, *, n: int, delta: float) -> Any:
    """delta is read as a squared distance: the threshold is 1 - delta/2."""
    return theory.clustering_time(beta, n=n, delta=delta / 2)


@orthogonal_tokens_cluster_at_the_time_of_the_limit_curve.mutation("beta")
def curve_of_n_plus_one(time: float, *, n: int, delta: float) -> Any:
    """The curve of n + 1 tokens is read."""
    return theory.beta_of_clustering_time(time, n=n + 1, delta=delta)

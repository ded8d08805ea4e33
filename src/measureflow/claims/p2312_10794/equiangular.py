"""Equiangular tokens: the scalar equation they follow, and the limit curve of the phase diagrams."""

from __future__ import annotations

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


@claim("2312.10794", "(6.7)", covers=["V5"], states=theory.cosine_of_equiangular_tokens)
def equiangular_tokens_follow_one_scalar_equation(case: Case) -> None:
    """Tokens that start equiangular stay so, and their common cosine solves one scalar equation."""
    beta, start = case.draw("beta", 1.0, 5.0), case.draw("start", 0.0, 0.6)
    frame = mf.equiangular(n=N, cosine=start)
    times = np.linspace(0.0, 4.0, 17)
    cosines = gram(follow(case, frame, mf.SelfAttention(beta), times))[:, ~np.eye(N, dtype=bool)]
    predicted = case.predict(times, n=N, beta=beta, start=start)
    because = "rtol 1e-12 over t = 4 and 1e-12 of the prediction, grown tenfold while the cosine departs"
    case.compare(cosines, predicted[:, None], within=1e-11, because=because)


def cosine_of(speed: Callable[[Any], Any], times: Any, start: float) -> np.ndarray:
    """Integrate a scalar equation, for the mutations."""
    solved = solve_ivp(lambda _, rho: speed(rho), (0.0, float(times[-1])), [start], t_eval=times, rtol=1e-9, atol=1e-10)
    return solved.y[0]


@equiangular_tokens_follow_one_scalar_equation.mutation
def factor_two_lost(times: Any, *, n: int, beta: float, start: float) -> Any:
    """The factor 2 of the right-hand side is lost: only one of the two tokens moves."""
    return theory.cosine_of_equiangular_tokens(np.asarray(times) / 2, n=n, beta=beta, start=start)


@equiangular_tokens_follow_one_scalar_equation.mutation
def one_token_too_many(times: Any, *, n: int, beta: float, start: float) -> Any:
    """n stands where n - 1 belongs."""
    return theory.cosine_of_equiangular_tokens(times, n=n + 1, beta=beta, start=start)


@equiangular_tokens_follow_one_scalar_equation.mutation
def own_weight_not_raised(times: Any, *, n: int, beta: float, start: float) -> Any:
    """The token's own weight in the denominator is 1 in place of e^beta."""

    def speed(rho: Any) -> Any:
        raised = np.exp(beta * rho)
        return 2 * raised * (1 - rho) * ((n - 1) * rho + 1) / (1 + (n - 1) * raised)

    return cosine_of(speed, times, start)


@equiangular_tokens_follow_one_scalar_equation.mutation
def normalisation_forgotten(times: Any, *, n: int, beta: float, start: float) -> Any:
    """The equation of USA, with its clock divided by e^beta."""
    clock = np.exp(-beta) * np.asarray(times)
    return theory.cosine_of_equiangular_tokens(clock, n=n, beta=beta, start=start, model="unnormalised")


@equiangular_tokens_follow_one_scalar_equation.figure
def curve_over_particles(case: Case, ax: Any) -> Any:
    """Draw the cosines of all pairs over the curve."""
    beta, start = case.instance["beta"], case.instance["start"]
    times = np.linspace(0.0, 4.0, 17)
    frame = mf.equiangular(n=N, cosine=start)
    points = follow(case, frame, mf.SelfAttention(beta), times)
    ax.plot(times, gram(points)[:, *np.triu_indices(N, 1)], "o", color="0.6", ms=5)
    fine = np.linspace(0.0, 4.0, 200)
    ax.plot(fine, case.predict(fine, n=N, beta=beta, start=start), "--", color="black", label="(6.7)")
    ax.set(xlabel="time $t$", ylabel=r"cosine $\rho$", title=rf"$n={N}$, $\beta={beta:.2f}$")
    ax.legend()
    return ax


@claim(
    "2312.10794",
    "section 6, the limit curve",
    covers=["V6"],
    states={"time": theory.clustering_time, "beta": theory.beta_of_clustering_time},
)
def orthogonal_tokens_cluster_at_the_time_of_the_limit_curve(case: Case) -> None:
    """n orthogonal tokens reach the cosine 1 - delta at T_delta(beta, n), and no other beta has that time."""
    beta, delta = case.draw("beta", 0.5, 4.0), case.draw("delta", 1e-4, 1e-2, log=True)
    frame = mf.equiangular(n=N, cosine=0.0)
    times = np.linspace(0.0, 24.0, 241)
    gap = gaps(follow(case, frame, mf.SelfAttention(beta), times))
    case.require("the tokens clustered within the run", bool(gap.min() < delta))
    near = (gap > delta / 100) & (gap < 100 * delta)
    crossing = CubicSpline(times[near], np.log(gap[near])).solve(np.log(delta), extrapolate=False)
    measured = float(crossing[0])
    because = "a cubic spline of log(1 - rho) over steps of 0.1: 0.1^4 times its fourth derivative"
    predicted = case.statement.time(beta, n=N, delta=delta)
    case.compare(measured, predicted, within=1e-6, because=because, name="time")
    # dT/dbeta is at least 0.1 here, so an error of 1e-6 in T is one of at most 1e-5 in beta
    inverse = case.statement.beta(measured, n=N, delta=delta)
    case.compare(beta, inverse, within=1e-5, because=because + ", over dT/dbeta >= 0.1", name="beta")


@orthogonal_tokens_cluster_at_the_time_of_the_limit_curve.figure
def limit_curve(case: Case, ax: Any) -> Any:
    """Draw the limit curve and the case's own point on it."""
    betas, delta = np.linspace(0.0, 9.0, 200), case.instance["delta"]
    ax.plot(case.statement.time(betas, n=N, delta=delta), betas, "--", color="black", label=r"$\Gamma_\infty$")
    measured = [shown for shown in case.comparisons if shown.name == "time"]
    ax.plot([shown.measured for shown in measured], [case.instance["beta"]], "o", color="0.4", label="particles")
    ax.set(xlabel="time $t$", ylabel=r"$\beta$", xscale="log", title=rf"$n={N}$, $\delta={delta:.1e}$")
    ax.legend()
    return ax


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

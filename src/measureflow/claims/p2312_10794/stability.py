"""How far two runs drift apart: bounds that do not know how many tokens there are."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import linprog

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import N, cloud, follow, masses, normalised
from measureflow.paths.style import ACCENT, THEORY

TIMES = np.linspace(0.0, 3.0, 7)


def apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the largest distance between a token and its twin, at each time."""
    return np.linalg.norm(one - other, axis=-1).max(axis=-1)


@claim(
    "2312.10794",
    "section 4, stability",
    covers=["V26"],
    status="derived",
    states=lambda beta: theory.growth_of_twins(beta=beta),
)
def twin_runs_part_at_a_bounded_rate(case: Case) -> None:
    """Two runs of SA part no faster than e^((3 + 2 beta)t) in the largest distance, for any number of tokens."""
    n, d, beta = case.given("n", N), case.given("d", 3), case.draw("beta", 4.0, 10.0)
    case.require("there are tokens, in two dimensions and more", n >= 1 and d >= 2)
    case.require("there are three tokens and more, and beta is positive", n >= 3 and beta > 0)
    # a light token half-way between two opposite clusters is where twins part fastest that we know of: at the rate beta
    frame, _ = np.linalg.qr(case.generator("frame").normal(size=(d, d)))
    signs = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    points = signs[:, None] * frame[0]
    points[-1] = frame[1]
    twin = points.copy()
    twin[-1] = normalised(frame[1] + 1e-6 * frame[0])
    shares = np.where(np.arange(n) < n - 2 + n % 2, 1.0, 1e-9)  # as heavy on one side as on the other
    times = TIMES * (3.0 / beta)
    field = mf.SelfAttention(beta)
    law = [mf.Tokens(mf.Sphere(d), start, shares / shares.sum()) for start in (points, twin)]
    one, other = (follow(case, tokens, field, times) for tokens in law)
    grown = np.log(apart(one, other) / apart(one, other)[0])
    because = "rtol 1e-12 over distances of 1e-6"
    name, over = "logarithm of the growth of the largest distance", {"t": times}
    case.at_most(grown, case.predict(beta) * times, within=1e-3, because=because, name=name, over=over)


@twin_runs_part_at_a_bounded_rate.mutation
def rate_that_knows_no_beta(beta: float) -> float:
    """A rate of 1.1, the largest that random starts had shown up to beta = 8."""
    return 1.1


@twin_runs_part_at_a_bounded_rate.mutation
def nothing_grows(beta: float) -> float:
    """The flow would bring all runs together: no rate."""
    return 0.0


@twin_runs_part_at_a_bounded_rate.mutation
def contraction(beta: float) -> float:
    """The sign is wrong."""
    return -(3 + 2 * beta)


def transport(one: np.ndarray, other: np.ndarray, given: np.ndarray, taken: np.ndarray) -> float:
    """Return W_1 of the chord between two weighted clouds of as many points, by linear programming."""
    n = len(one)
    cost = np.linalg.norm(one[:, None] - other[None], axis=-1).ravel()
    rows = np.kron(np.eye(n), np.ones(n))
    columns = np.kron(np.ones(n), np.eye(n))
    solved = linprog(cost, A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([given, taken]), method="highs")
    return float(solved.fun)


@claim(
    "2312.10794",
    "section 3, Dobrushin's estimate",
    covers=["1.7"],
    status="derived",
    id="2312.10794/dobrushin",
    states=lambda beta: theory.dobrushin_constant(beta=beta),
)
def measures_part_at_a_bounded_rate(case: Case) -> None:
    """Two measures under SA part in W_1 no faster than e^(Ct), C = beta + 2 + (1 + 2 beta) e^(2 beta)."""
    n, d, beta = case.given("n", N), case.given("d", 3), case.draw("beta", 0.2, 1.0)
    case.require("there are tokens, in two dimensions and more", n >= 1 and d >= 2)
    case.require(
        "there are tokens at both poles, as many at either, and beta is not negative", n % 2 == 0 < n and beta >= 0
    )
    frame, _ = np.linalg.qr(case.generator("frame").normal(size=(d, d)))
    signs = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    # two poles meet on the side to which they lean: one measure goes one way and the other the opposite one
    clouds = [
        normalised(signs[:, None] * frame[0] + side * frame[1] + case.generator(f"near {side}").normal(0, 0.02, (n, d)))
        for side in (0.15, -0.15)
    ]
    shares = [np.where(signs > 0, 0.5 + lean, 0.5 - lean) / (n // 2) for lean in (0.01, -0.01)]
    field = mf.SelfAttention(beta)
    paths = [
        follow(case, mf.Tokens(mf.Sphere(d), cloud, share), field, np.array([0.0, 0.5, 4.0]))
        for cloud, share in zip(clouds, shares, strict=True)
    ]
    times = np.array([0.0, 0.5, 4.0])
    distances = np.array([case.measure(transport, one, other, *shares) for one, other in zip(*paths, strict=True)])
    grown = np.log(distances / distances[0])
    because = "a linear program to 1e-9 and rtol 1e-12"
    name, over = "logarithm of the growth of W_1", {"t": times}
    case.at_most(grown, case.predict(beta) * times, within=1e-3, because=because, name=name, over=over)


@measures_part_at_a_bounded_rate.figure
def growth_of_the_distance(case: Case, ax: Any) -> None:
    """Draw by how much the distance of two measures has grown, and the bound."""
    n, beta, seen = case.instance["n"], case.instance["beta"], case.curves[0]
    ax.plot(seen.places, np.exp(seen.measured), "o-", color=ACCENT[0], lw=1, label="two measures that lean apart")
    fine = np.linspace(0.0, seen.places[-1], 100)
    ax.plot(fine, np.exp(np.minimum(case.predict(beta) * fine, 500.0)), "--", color=THEORY, label="$e^{Ct}$, at most")
    ax.set(
        xlabel="time $t$", ylabel="$W_1(t)/W_1(0)$", title=rf"$n={n}$, $\beta={beta:.2f}$, $C={case.predict(beta):.1f}$"
    )
    ax.set_ylim(0.0, 2.5 * float(np.exp(seen.measured).max()))
    ax.legend()


@measures_part_at_a_bounded_rate.mutation
def measures_never_part(beta: float) -> float:
    """No rate: the flow would not increase the distance."""
    return 0.0


@measures_part_at_a_bounded_rate.mutation
def contraction_of_measures(beta: float) -> float:
    """The sign is wrong."""
    return -theory.dobrushin_constant(beta=beta)


@claim(
    "2312.10794",
    "section 4, small beta",
    covers=["1.7", "Thm 4.2"],
    status="derived",
    id="2312.10794/small-beta",
    states=lambda times, beta: theory.distance_to_no_temperature(times, beta=beta),
)
def small_beta_is_near_no_temperature(case: Case) -> None:
    """From one start SA at beta stays within beta (e^(3t) - 1)/3 of SA at 0: for any n, d and masses."""
    n, d, beta = case.given("n", N), case.given("d", 3), case.draw("beta", 1e-4, 0.5, log=True)
    case.require("there are tokens, in two dimensions and more", n >= 1 and d >= 2)
    case.require("beta is positive, and not of the size of an error of the solver", beta >= 1e-5)
    tokens = cloud(case, d=d, n=n, weights=masses(case, n))
    moved, still = (follow(case, tokens, mf.SelfAttention(value), TIMES) for value in (beta, 0.0))
    distances = apart(moved, still)[1:]
    bound = case.predict(TIMES[1:], beta)
    because, over = "rtol 1e-12 over beta of at least 1e-4", {"t": TIMES[1:]}
    name = "largest distance from the run at beta = 0, over beta"
    case.at_most(distances / beta, bound / beta, within=1e-6, because=because, name=name, over=over)


@small_beta_is_near_no_temperature.mutation
def second_order_in_beta(times: Any, beta: float) -> Any:
    """beta^2 in place of beta."""
    return theory.distance_to_no_temperature(times, beta=beta**2 / 50)


@small_beta_is_near_no_temperature.mutation
def sign_of_the_exponent(times: Any, beta: float) -> Any:
    """e^(-3t) in place of e^(3t)."""
    return beta * np.expm1(-3 * np.asarray(times)) / 3

"""Claims of arXiv:2605.10931, concentration of mean-field transformers at low temperature: how near its limit it is."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import MAX_STEPS
from measureflow.claims.p2509_25040 import drift
from measureflow.claims.runge_kutta import classical_step
from measureflow.paths.style import MUTED, THEORY, shades

#: tokens that stand for a density, and steps of the drift between two
SIZE, STEPS = 256, 50


def distances_from_the_drift(
    beta: float, x: np.ndarray, weights: np.ndarray, form: np.ndarray, value: np.ndarray, times: tuple[float, ...]
) -> np.ndarray:
    """Return W_2 between what attention and what its limit at beta = infinity make of a density, at each time."""
    tokens = mf.Tokens(mf.Sphere(2), x, weights)
    field = mf.SelfAttention(beta, query=form, value=value)
    solver = mf.Adaptive(rtol=1e-8, atol=1e-10, coarsen=False, max_steps=MAX_STEPS)
    path = mf.flow(tokens, field, until=times[-1], save=np.array([0.0, *times]), solver=solver)
    found, before = [], 0.0
    for time, points in zip(times, np.asarray(path.points)[1:], strict=True):
        for _ in range(STEPS):
            x = classical_step(lambda y: drift(y, form, value), x, (time - before) / STEPS)
            x = x / np.linalg.norm(x, axis=1, keepdims=True)
        before = time
        # tokens keep their order on the circle, so that the best plan takes each to itself, but for a shift of all
        found.append(np.sqrt(weights @ ((points - x) ** 2).sum(axis=1)))
    return np.array(found)


def printed_bound(beta: float) -> float:
    """Return the printed bound's dependence on beta."""
    return float(np.sqrt(np.log(beta + 1) / beta))


@claim(
    "2605.10931",
    "bound in beta",
    covers=["6.2"],
    status="derived",
    id="2605.10931/rate",
    states={"slope": lambda: -1.0, "bound": printed_bound},
)
def smooth_densities_are_within_one_over_beta_of_their_limit(case: Case) -> None:
    """A smooth density of full support on the circle is within O(1/beta) of what the drift P_x V Bx/|Bx| makes of it,
    in W_2 and at any fixed time: within the printed sqrt(log(beta + 1)/beta), which is not attained.

    Derived here: the velocities differ by a smooth field over beta, and what is carried by either stays smooth. The
    distance is that of tokens from themselves, which keep their order, an upper bound and of the same order.
    """
    beta, times = case.draw("beta", 80.0, 100.0), case.given("t", (1.0, 2.0))
    case.require("the times are positive, in order and of order one", times[0] > 0 and times[-1] <= 3)
    case.require("the times are in order", bool(np.all(np.diff(times) > 0)))
    case.require("beta is large, and the tokens are dense for it", 40 <= beta <= 120)
    betas = beta * np.array([1.0, 2.0, 4.0])
    found = distances(case, betas, times)
    slopes = np.diff(np.log2(found), axis=0)
    because = "two slopes extrapolated to infinite beta: terms of order (5/beta)^2"
    within, over = 0.02 * max(1.0, 80.0 / beta) ** 2, {"t": times}
    case.compare(2 * slopes[1] - slopes[0], case.statement.slope(), within=within, because=because,
                 name="slope of log W_2 in log beta", over=over)  # fmt: skip
    shares = found[1:] / found[:-1]
    bounds = [case.statement.bound(2 * one) / case.statement.bound(one) for one in betas[:-1]]
    because = "a fiftieth of what is compared, for terms of the next order"
    case.at_most(shares.max(axis=1), bounds, within=0.01, because=because, name="W_2 at twice the beta, over W_2",
                 over={"beta": betas[:-1]})  # fmt: skip


def distances(case: Case, betas: np.ndarray, times: tuple[float, ...]) -> np.ndarray:
    """Return W_2 from the limit `(betas, times)`, for a density and matrices of the instance."""
    far = case.given("matrices to the identity", 0.15)
    angles = 2 * np.pi * np.arange(SIZE) / SIZE
    shares, phases = case.generator("shares").uniform(0.1, 0.3, 2), case.generator("phases").uniform(0, 6, 2)
    weights = 1 + shares[0] * np.cos(angles + phases[0]) + shares[1] * np.cos(2 * angles + phases[1])
    form, value = np.eye(2) + case.generator("matrices").uniform(-far, far, (2, 2, 2))
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    case.require("B keeps all directions apart from 0", float(np.linalg.norm(x @ form.T, axis=1).min()) > 0.5)
    density = weights / weights.sum()
    return np.array([
        case.measure(distances_from_the_drift, float(one), x, density, form, value, times) for one in betas
    ])  # fmt: skip


@smooth_densities_are_within_one_over_beta_of_their_limit.figure
def distances_over_beta(case: Case, ax: Any) -> Any:
    """Draw the distances from the limit over beta at each time, with the stated slope and the printed bound."""
    betas = case.instance["beta"] * np.array([1.0, 2.0, 4.0])
    found = distances(case, betas, case.instance["t"])
    for k, (time, colour) in enumerate(zip(case.instance["t"], shades(len(case.instance["t"])), strict=True)):
        ax.loglog(betas, found[:, k], "o", color=colour, label=f"$W_2$ at $t = {time:g}$")
        stated = found[-1, k] * (betas / betas[-1]) ** case.statement.slope()
        ax.loglog(betas, stated, "--", color=THEORY, label="" if k else r"stated: $\propto1/\beta$")
    bounds = np.array([case.statement.bound(one) for one in betas])
    ax.loglog(
        betas, bounds / bounds[0] * found[0, -1], ":", color=MUTED, label=r"printed: $\sqrt{\log(\beta+1)/\beta}$"
    )
    ax.set(xlabel=r"$\beta$", ylabel="distance from the limit", title="a density of full support on the circle")
    ax.legend()
    return ax


@smooth_densities_are_within_one_over_beta_of_their_limit.mutation("slope")
def root_attained_as_printed() -> float:
    """The printed root is what one sees, its logarithm left out."""
    return -0.5


@smooth_densities_are_within_one_over_beta_of_their_limit.mutation("slope")
def distance_that_stays() -> float:
    """beta does not matter."""
    return 0.0


@smooth_densities_are_within_one_over_beta_of_their_limit.mutation("bound")
def bound_of_second_order(beta: float) -> float:
    """1/beta^2, as if the mean of the kernel were exact."""
    return beta**-2

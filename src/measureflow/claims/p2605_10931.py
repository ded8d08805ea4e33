"""Claims of arXiv:2605.10931, concentration of mean-field transformers at low temperature: how near its limit it is."""

from __future__ import annotations

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import MAX_STEPS
from measureflow.claims.p2509_25040 import drift
from measureflow.claims.runge_kutta import classical_step

#: tokens that stand for a density, times at which they are seen, and steps of the drift between two
SIZE, TIMES, STEPS = 256, (1.0, 2.0), 50


def distances_from_the_drift(
    beta: float, x: np.ndarray, weights: np.ndarray, form: np.ndarray, value: np.ndarray
) -> np.ndarray:
    """Return W_2 between what attention and what its limit at beta = infinity make of a density, at each time."""
    tokens = mf.Tokens(mf.Sphere(2), x, weights)
    field = mf.SelfAttention(beta, query=form, value=value)
    solver = mf.Adaptive(rtol=1e-8, atol=1e-10, coarsen=False, max_steps=MAX_STEPS)
    path = mf.flow(tokens, field, until=TIMES[-1], save=np.array([0.0, *TIMES]), solver=solver)
    found, before = [], 0.0
    for time, points in zip(TIMES, np.asarray(path.points)[1:], strict=True):
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
    beta = case.draw("beta", 80.0, 100.0)
    angles = 2 * np.pi * np.arange(SIZE) / SIZE
    shares, phases = case.generator("shares").uniform(0.1, 0.3, 2), case.generator("phases").uniform(0, 6, 2)
    weights = 1 + shares[0] * np.cos(angles + phases[0]) + shares[1] * np.cos(2 * angles + phases[1])
    form, value = np.eye(2) + case.generator("matrices").uniform(-0.15, 0.15, (2, 2, 2))
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    case.require("B keeps all directions apart from 0", float(np.linalg.norm(x @ form.T, axis=1).min()) > 0.5)
    betas = beta * np.array([1.0, 2.0, 4.0])
    found = np.array(
        [case.measure(distances_from_the_drift, one, x, weights / weights.sum(), form, value) for one in betas]
    )
    slopes = np.diff(np.log2(found), axis=0)
    because = "two slopes extrapolated to infinite beta: terms of order (5/beta)^2"
    case.compare(2 * slopes[1] - slopes[0], case.statement.slope(), within=0.02, because=because, name="slope")
    shares = found[1:] / found[:-1]
    bounds = [case.statement.bound(2 * one) / case.statement.bound(one) for one in betas[:-1]]
    because = "a fiftieth of what is compared, for terms of the next order"
    case.at_most(shares.max(axis=1), bounds, within=0.01, because=because, name="printed bound")


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

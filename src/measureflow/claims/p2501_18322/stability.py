"""Stability on compact supports: how fast two laws may part under attention, with the constant of the moving ball."""

from __future__ import annotations

import numpy as np
from scipy.integrate import quad
from scipy.optimize import linear_sum_assignment

from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.runge_kutta import classical_step

#: tokens of a law, their dimension, how long they are followed and in how many steps of a unit of time
N, D, UNTIL, STEPS = 6, 2, 1.0, 40
#: pairs of random laws
PAIRS = 40


def moved(points: np.ndarray, form: np.ndarray, value: np.ndarray, until: float) -> np.ndarray:
    """Return clouds after the time, by Runge and Kutta's steps."""

    def velocity(x: np.ndarray) -> np.ndarray:
        return theory.gibbs_law(x @ form.T @ np.swapaxes(x, 1, 2), 1.0) @ x @ value.T

    steps = STEPS * max(1, int(np.ceil(until)))
    h = until / steps
    for _ in range(steps):
        points = classical_step(velocity, points, h)
    return points


def distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return W_2 between clouds of equal tokens."""
    costs = ((one[:, :, None] - other[:, None]) ** 2).sum(axis=-1)
    return np.sqrt([cost[linear_sum_assignment(cost)].mean() for cost in costs])


def growth(form: np.ndarray, value: np.ndarray, radius: float, until: float) -> float:
    """Return the integral of L(R(s)) with the radius R_0 e^(|V| s) of a ball that no token leaves."""
    speed = np.linalg.norm(value, 2)

    def constant(t: float) -> float:
        return theory.lipschitz_of_measures(form=form, value=value, radius=radius * np.exp(speed * t), p=2)

    return float(quad(constant, 0.0, until)[0])


@claim(
    "2501.18322",
    "stability on compact supports",
    covers=["5.1", "1.2"],
    status="derived",
    states=growth,
    id="2501.18322/stability",
)
def laws_part_no_faster_than_the_constant_of_their_ball(case: Case) -> None:
    """W_2(mu_t, nu_t) <= exp(int_0^t L(R(s)) ds) W_2(mu_0, nu_0) with R(s) = R_0 e^(|V| s): for random laws, for laws
    near each other, and for single points along V's top direction, which come near it where |A| R^2 is small."""
    rng, radius, until = case.generator("laws"), case.given("R", 0.3), case.given("until", UNTIL)
    n, d, pairs = case.given("n", N), case.given("d", D), case.given("pairs", PAIRS)
    form, value = rng.normal(size=(2, d, d))
    form *= case.given("norm of A", 0.2) / np.linalg.norm(form, 2)
    value = (lambda symmetric: symmetric / np.linalg.norm(symmetric, 2))(value @ value.T)
    clouds = rng.normal(size=(2, pairs, n, d))
    clouds *= radius / np.maximum(np.linalg.norm(clouds, axis=-1, keepdims=True), 1.0)
    clouds[1, : pairs // 2] = clouds[0, : pairs // 2] + 1e-3 * (clouds[1, : pairs // 2] - clouds[0, : pairs // 2])
    top = np.linalg.eigh(value)[1][:, -1]
    clouds[:, -1] = np.array([0.5, -0.5])[:, None, None] * radius * top
    one, other = (case.measure(moved, cloud, form, value, until) for cloud in clouds)
    before = distances(*clouds)
    grown = np.log(distances(one, other) / before)
    because, name = "Runge and Kutta's 40 steps, right to 1e-6", "log of the growth of W_2"
    stated, over = case.predict(form, value, radius, until), {"W_2 at the start": before}
    case.at_most(grown, stated, within=1e-2, because=because, name=name, over=over)


parting = laws_part_no_faster_than_the_constant_of_their_ball


@parting.mutation
def half_the_constant(form: np.ndarray, value: np.ndarray, radius: float, until: float) -> float:
    """The rate of W_2^2 is taken for that of W_2 the wrong way round: half of it."""
    return 0.5 * growth(form, value, radius, until)


@parting.mutation
def law_held(form: np.ndarray, value: np.ndarray, radius: float, until: float) -> float:
    """Only the derivative by the point counts, |V||A|R^2, as if the law stood still."""
    size = np.linalg.norm(value, 2) * np.linalg.norm(form, 2) * radius**2
    return float(quad(lambda t: size * np.exp(2.0 * np.linalg.norm(value, 2) * t), 0.0, until)[0])

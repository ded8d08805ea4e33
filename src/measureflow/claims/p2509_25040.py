"""Claims of arXiv:2509.25040, on the multiscale dynamics of attention: how the nearest pair of clusters merges.

The law is quoted in [arXiv:2512.01868](https://arxiv.org/abs/2512.01868), without masses and in a clock that stands
still; stated here is the form that follows from the equations.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import MAX_STEPS, speeds
from measureflow.fields import NearestPair, Paced, Unnormalised

SOLVER = mf.Adaptive(rtol=1e-9, atol=1e-11, coarsen=False, max_steps=MAX_STEPS)


def clusters(case: Case) -> tuple[mf.Tokens, float, float]:
    """Return five clusters on the circle, beta, and the cosine of the first two, the nearest pair by far."""
    start, beta = case.draw("cosine of the pair", 0.7, 0.8), case.draw("beta", 80.0, 120.0)
    angles = np.array([0.0, np.arccos(start), 2.2, 3.4, 4.6])
    masses = np.array([case.draw("smaller mass", 0.05, 0.1), 0.3, 0.2, 0.2, 0.2])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return mf.Tokens(mf.Sphere(2), points, masses / masses.sum()), beta, start


def speeds_of_a_pair(masses: np.ndarray) -> dict[str, np.ndarray]:
    """Return the factors of `P y_j` and `P y_i` in the velocities of tokens i and j, in the clock of the pair."""
    one, two = masses
    return {"SA": np.array([two / one, one / two]), "USA*": np.array([two, one])}


@claim("2509.25040", "pair merging, velocities", covers=["E8"], status="erratum", states=speeds_of_a_pair)
def nearest_pair_pulls_by_its_masses(case: Case) -> None:
    """In the clock dt = e^(beta (1 - rho)) ds the nearest pair moves by y_i' = (a_j/a_i) P y_j, and all others rest."""
    tokens, beta, cosine = clusters(case)
    points, masses = np.asarray(tokens.points), np.asarray(tokens.weights)
    clock = np.exp(beta * (1.0 - cosine))
    pulls = np.stack([points[1] - cosine * points[0], points[0] - cosine * points[1]])
    size = np.sqrt(1.0 - cosine**2)
    for name, weighting in (("SA", "softmax"), ("USA*", Unnormalised(shifted=True))):
        found = clock * speeds(case, mf.SelfAttention(beta, weighting=weighting), tokens)
        stated = case.statement.speeds_of_a_pair(masses[:2])[name][:, None] * pulls
        because = "a_j/a_i e^(-beta (1 - rho)) in the denominator, at most 7e-7, and the pull of the other clusters"
        within = 1e-4 * np.abs(stated).max()
        case.compare(found[:2], stated, within=within, because=because, name=f"{name}: the pair")
        case.at_most(np.abs(found[2:]), 0.0, within=1e-4 * size, because=because, name=f"{name}: the others")


@nearest_pair_pulls_by_its_masses.mutation
def masses_ignored_as_printed(masses: np.ndarray) -> dict[str, np.ndarray]:
    """The printed form: the masses are left out."""
    return {"SA": np.ones(2), "USA*": np.ones(2)}


@nearest_pair_pulls_by_its_masses.mutation
def masses_exchanged(masses: np.ndarray) -> dict[str, np.ndarray]:
    """The heavier cluster moves faster."""
    return speeds_of_a_pair(masses[::-1])


@nearest_pair_pulls_by_its_masses.mutation
def models_exchanged(masses: np.ndarray) -> dict[str, np.ndarray]:
    """SA and USA* change places."""
    stated = speeds_of_a_pair(masses)
    return {"SA": stated["USA*"], "USA*": stated["SA"]}


def cosine_in_the_moving_clock(times: np.ndarray, start: float, masses: np.ndarray, beta: float) -> np.ndarray:
    """Return the cosine of the pair under SA, `tanh(artanh u_0 + (a_2/a_1 + a_1/a_2) s)`."""
    one, two = masses
    return np.tanh(np.arctanh(start) + (two / one + one / two) * times)


@claim(
    "2509.25040",
    "pair merging, clock",
    covers=["E8"],
    status="erratum",
    states=cosine_in_the_moving_clock,
    id="2509.25040/clock",
)
def nearest_pair_closes_in_a_moving_clock(case: Case) -> None:
    """The clock of the pair moves with it: there its cosine is a hyperbolic tangent, with the masses in its rate."""
    tokens, beta, cosine = clusters(case)
    masses = np.asarray(tokens.weights)[:2]
    pull = masses[1] / masses[0] + masses[0] / masses[1]
    end = (np.arctanh(0.95) - np.arctanh(cosine)) / pull
    pace = NearestPair(beta, 0.1)
    times = np.linspace(0.0, end, 9) / np.log(beta)  # the pace has the factor log beta
    field = Paced(mf.SelfAttention(beta), pace)
    path = case.measure(mf.flow, tokens, field, until=times[-1], save=times, solver=SOLVER, reduce=False)
    case.require("the flow ran to its end", path.status == "reached")
    points = np.asarray(path.points)
    measured = (points[:, 0] * points[:, 1]).sum(axis=-1)
    predicted = case.predict(times * np.log(beta), cosine, masses, beta)
    because = "a_j/a_i e^(-beta (1 - rho)) in the denominator, which is felt towards the end"
    case.compare(measured[:-2], predicted[:-2], within=1e-3, because=because)


@nearest_pair_closes_in_a_moving_clock.mutation
def clock_stands_as_printed(times: np.ndarray, start: float, masses: np.ndarray, beta: float) -> np.ndarray:
    """The printed clock is that of the start: the pair accelerates by e^(beta (rho - rho_0)) and closes in 1/beta."""
    one, two = masses
    t = times * np.exp(beta * (1.0 - start))
    return theory.cosine_of_two_clusters(t, beta=beta, start=start, masses=masses / (one + two))


@nearest_pair_closes_in_a_moving_clock.mutation
def masses_left_out_as_printed(times: np.ndarray, start: float, masses: np.ndarray, beta: float) -> np.ndarray:
    """The masses are left out: both move at unit rate."""
    return cosine_in_the_moving_clock(times, start, np.ones(2), beta)


@nearest_pair_closes_in_a_moving_clock.mutation
def one_of_them_frozen(times: np.ndarray, start: float, masses: np.ndarray, beta: float) -> np.ndarray:
    """Only the lighter one moves, and by the inverse of its mass."""
    return np.tanh(np.arctanh(start) + times / masses[0])


@nearest_pair_closes_in_a_moving_clock.figure
def closing(case: Case, ax: Any) -> Any:
    """Draw the cosine of the pair in the moving clock, and in the printed one that stands still."""
    _, beta, start = clusters(case)
    masses = np.array([0.2, 0.8])
    times = np.linspace(0.0, 0.4, 200)
    ax.plot(times, cosine_in_the_moving_clock(times, start, masses, beta), color="0.1", label="moving clock")
    ax.plot(times, clock_stands_as_printed(times, start, masses, beta), "--", color="0.5", label="clock of the start")
    ax.set(xlabel="rescaled time $s$", ylabel="cosine of the pair", title=rf"$\beta={beta:.0f}$, masses 1 : 4")
    ax.legend()
    return ax

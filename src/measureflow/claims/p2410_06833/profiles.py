"""Between the jumps: how the energy rises within a step, and how slowly the rise becomes a jump."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.p2410_06833.steps import ANGLES, SOLVER, tokens_at

#: saved times of a step, and the share of a step's limit about its jump that is left out
FINE, SHARE = 24, 0.1


def profile(times: np.ndarray, stair: theory.Stair, beta: float) -> np.ndarray:
    """Return the share of a step's height that is reached after the rescaled time since the meeting before."""
    rise = theory.rise_within_a_step(times, beta=beta, start=stair.angle, masses=stair.masses)
    return np.asarray(rise) / stair.jump


def blur(beta: float) -> float:
    """Return how far from 0 or 1 the share of a step's height is, a tenth of its limit from its jump."""
    return float(1.0 - 2.0 ** -(beta**-SHARE))


def of_steps(run: mf.flows.Stairs, stairs: list[theory.Stair], start: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the times since the last meeting and the shares of the height, of each step."""
    found, level, begin = [], start, 0.0
    for k, stair in enumerate(stairs):
        rows = slice(k * FINE, (k + 1) * FINE)
        found.append((run.times[rows] - begin, (run.energy[rows] - level) / stair.jump))
        level, begin = level + stair.jump, begin + run.lengths[k]
    return found


def farthest_from_a_step(times: np.ndarray, shares: np.ndarray, limit: float) -> float:
    """Return how far the shares are from 0 before and from 1 after their jump, which is where they are one half."""
    fine = np.linspace(times[0], times[-1], 4001)
    smooth = CubicSpline(times, shares)(fine)
    jump = fine[np.argmax(smooth > 0.5)]
    outside = np.abs(fine - jump) > SHARE * limit
    return float(np.abs(smooth - (fine > jump))[outside].max())


@claim(
    "2410.06833",
    "section 5, convergence of the energy",
    covers=["4.5"],
    status="derived",
    tier="standard",
    states={"profile": profile, "blur": blur},
    id="2410.06833/profile",
)
def energy_becomes_a_staircase_as_slowly_as_a_power_of_beta(case: Case) -> None:
    """Between meetings the energy rises by 2ab exp(-2 beta T^2/(1+T^2)), T = tan(u_0/2) beta^(-cs), and so tends to a
    step: a tenth of a step from where half of it is climbed it is within 1 - 2^(-beta^(-1/10)) of the step, no less.

    The jump, in this sense, comes before the meeting, by a share log(2 log 2 log beta)/log beta of the step.
    """
    angles = ANGLES + case.generator("angles").uniform(-0.02, 0.02, 5)
    drawn = case.generator("masses").uniform(0.7, 1.3, 5)
    masses = drawn / drawn.sum()
    for name, beta in (("beta 120", case.draw("beta", 110.0, 130.0)), ("beta 300", case.draw("larger", 280.0, 320.0))):
        stairs = theory.staircase(angles, beta=beta, masses=masses)
        case.require("the nearest pair is so by far", max(stair.rivalry for stair in stairs) < 2e-3)
        run = case.measure(mf.flows.stairs, tokens_at(angles, masses), beta, save=FINE, solver=SOLVER)
        case.require("all pairs met", run.status == "reached")
        for k, (times, shares) in enumerate(of_steps(run, stairs, float((masses**2).sum()))):
            because = "the other pairs pull by at most 2e-3 of the nearest one's pull, early in the step"
            stated = case.statement.profile(times, stairs[k], beta)
            case.compare(shares, stated, within=3e-3, because=because, name=f"{name}, step {k + 1}")
            far = farthest_from_a_step(times, shares, stairs[k].limit)
            because = "a spline through 24 points of a step, and T^2 beside 1"
            case.compare(far, case.statement.blur(beta), within=6e-3, because=because, name=f"{name}, step {k + 1}")
    beta, start = 1e3, case.draw("start", 0.6, 1.2)
    pair = np.array([0.3, 0.7, 0.0, 0.0, 0.0])
    tokens = tokens_at(np.array([0.0, start, 2.0, 2.5, 3.0]), pair, present=pair > 0)
    run = case.measure(mf.flows.stairs, tokens, beta, save=FINE, solver=SOLVER)
    case.require("the pair met", run.status == "reached")
    stair = theory.staircase([0.0, start], beta=beta, masses=pair[:2])[0]
    shares = (run.energy[:FINE] - (pair**2).sum()) / stair.jump
    stated = case.statement.profile(run.times[:FINE], stair, beta)
    case.compare(shares, stated, within=1e-6, because="rtol 1e-9 of an angle, times beta u^2", name="a pair alone")


@energy_becomes_a_staircase_as_slowly_as_a_power_of_beta.mutation("profile")
def straight_line(times: np.ndarray, stair: theory.Stair, beta: float) -> np.ndarray:
    """The energy rises in a straight line."""
    return np.asarray(times) / stair.length


@energy_becomes_a_staircase_as_slowly_as_a_power_of_beta.mutation("profile")
def both_angles_move_twice(times: np.ndarray, stair: theory.Stair, beta: float) -> np.ndarray:
    """T falls like beta^(-2cs), as if c were the rate of each of the two."""
    return profile(2.0 * np.asarray(times), stair, beta)


@energy_becomes_a_staircase_as_slowly_as_a_power_of_beta.mutation("profile")
def step_at_the_meeting(times: np.ndarray, stair: theory.Stair, beta: float) -> np.ndarray:
    """The limit stands for the value: nothing rises before the meeting."""
    return np.zeros(len(times))


@energy_becomes_a_staircase_as_slowly_as_a_power_of_beta.mutation("blur")
def inverse_of_beta(beta: float) -> float:
    """The steps become sharp like 1/beta."""
    return 1.0 - 2.0 ** -(1.0 / beta)

"""Between the jumps: how the energy rises within a step, and how slowly the rise becomes a jump."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.p2410_06833.steps import SOLVER, pair_alone, placed, tokens_at
from measureflow.paths.style import ACCENT, THEORY

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
    angles, masses = placed(case)
    for name, beta in (("beta", case.draw("beta", 110.0, 130.0)), ("larger beta", case.draw("larger", 280.0, 320.0))):
        stairs = theory.staircase(angles, beta=beta, masses=masses)
        case.require("the nearest pair is so by far", max(stair.rivalry for stair in stairs) < 2e-3)
        run = case.measure(mf.flows.stairs, tokens_at(angles, masses), beta, save=FINE, solver=SOLVER)
        case.require("all pairs met", run.status == "reached")
        for k, (times, shares) in enumerate(of_steps(run, stairs, float((masses**2).sum()))):
            because = "the other pairs pull by at most 2e-3 of the nearest one's pull, early in the step"
            stated = case.statement.profile(times, stairs[k], beta)
            case.compare(shares, stated, within=3e-3, because=because,
                         name=f"{name}, step {k + 1}, share of its height", over={"s": times})  # fmt: skip
            far = farthest_from_a_step(times, shares, stairs[k].limit)
            because = "a spline through 24 points of a step, and T^2 beside 1"
            case.compare(far, case.statement.blur(beta), within=6e-3, because=because,
                         name=f"{name}, step {k + 1}, distance from a step")  # fmt: skip
    times, shares, stair, beta = rise_of_a_pair(case)
    stated, within = case.statement.profile(times, stair, beta), 1e-6 * max(1.0, beta / 1e3)
    case.compare(shares, stated, within=within, because="rtol 1e-9 of an angle, times beta u^2",
                 name="a pair alone, share of the height", over={"s": times})  # fmt: skip


def rise_of_a_pair(case: Case) -> tuple[np.ndarray, np.ndarray, theory.Stair, float]:
    """Return the times until two tokens alone meet, the shares of the height reached then, their step, and beta."""
    beta, start, share = case.given("beta of a pair", 1e3), case.draw("start", 0.6, 1.2), case.given("mass of one", 0.3)
    case.require("the tokens have masses", 0 < share < 1)
    run = case.measure(mf.flows.stairs, pair_alone(share, start), beta, save=FINE, solver=SOLVER)
    case.require("the pair met", run.status == "reached")
    pair = np.array([share, 1.0 - share])
    stair = theory.staircase([0.0, start], beta=beta, masses=pair)[0]
    return run.times[:FINE], (run.energy[:FINE] - (pair**2).sum()) / stair.jump, stair, beta


@energy_becomes_a_staircase_as_slowly_as_a_power_of_beta.figure
def sharper_steps(case: Case, ax: Any) -> Any:
    """Draw the rise within the first step at each beta, in shares of its length and height."""
    angles, masses = placed(case)
    for beta, colour in zip((case.instance["beta"], case.instance["larger"]), ACCENT, strict=False):
        stairs = theory.staircase(angles, beta=beta, masses=masses)
        run = case.measure(mf.flows.stairs, tokens_at(angles, masses), beta, save=FINE, solver=SOLVER)
        times, shares = of_steps(run, stairs, float((masses**2).sum()))[0]
        draw_rise(case, ax, times, shares, stairs[0], beta, colour)
    draw_rise(case, ax, *rise_of_a_pair(case), ACCENT[2])
    ax.plot([], [], "--", color=THEORY, label="stated")
    ax.set(xlabel="share of the step's time", ylabel="share of the step's height",
           title=f"first step of {len(angles)} tokens, and a pair alone")  # fmt: skip
    ax.legend()
    return ax


def draw_rise(
    case: Case, ax: Any, times: np.ndarray, shares: np.ndarray, stair: theory.Stair, beta: float, colour: str
) -> None:
    """Draw the measured shares of a step's height and the stated curve."""
    fine = np.linspace(0.0, stair.length, 200)
    ax.plot(times / stair.length, shares, "o", ms=4, color=colour, label=rf"$\beta = {beta:.3g}$")
    ax.plot(fine / stair.length, case.statement.profile(fine, stair, beta), "--", color=THEORY, lw=1.2)


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

"""The staircase: in the clock of the nearest pair, when pairs meet, how high the steps are, and which clock it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.integrate import cumulative_simpson, simpson

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import MAX_STEPS, speeds
from measureflow.fields import NearestPair, Paced, Unnormalised
from measureflow.flows import Meeting
from measureflow.paths.style import ACCENT, MUTED, THEORY

#: angles whose pairs meet one after the other, each long before the next
ANGLES = (0.0, 0.3, 1.1, 1.6, 2.9)
SAVED = 8
SOLVER = mf.Adaptive(rtol=1e-9, atol=1e-11, coarsen=False, max_steps=MAX_STEPS)


def tokens_at(angles: Any, masses: Any = None, present: Any = None) -> mf.Tokens:
    """Return tokens at angles on the circle."""
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return mf.Tokens(mf.Sphere(2), points, masses, present=present)


def placed(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Return angles and masses, well prepared: whoever is nearest meets alone."""
    near, spread = np.array(case.given("angles", ANGLES)), case.given("spread of the masses", 0.3)
    case.require("there are two tokens or more, all of positive mass", len(near) > 1 and 0 <= spread < 1)
    angles = near + case.generator("angles").uniform(-0.02, 0.02, len(near))
    masses = case.generator("masses").uniform(1.0 - spread, 1.0 + spread, len(near))
    return angles, masses / masses.sum()


def instance(case: Case) -> tuple[np.ndarray, np.ndarray, float]:
    """Return angles, masses and beta."""
    return *placed(case), case.draw("beta", 120.0, 200.0)


def title_of(case: Case) -> str:
    """Return the numbers of an instance, for a picture."""
    return rf"$n = {len(case.instance['angles'])}$, $\beta = {case.instance['beta']:.3g}$, random masses"


def run(case: Case, tokens: mf.Tokens, beta: float) -> mf.flows.Stairs:
    """Return the staircase of a run, remembered; one that broke off decides nothing."""
    found = case.measure(mf.flows.stairs, tokens, beta, save=SAVED, solver=SOLVER)
    case.require("all pairs met", found.status == "reached")
    return found


def lengths(angles: np.ndarray, masses: np.ndarray, beta: float) -> np.ndarray:
    """Return the predicted lengths of the steps."""
    return np.array([step.length for step in theory.staircase(angles, beta=beta, masses=masses)])


@claim("2410.06833", "section 5, staircase", covers=["V16"], status="derived", states=lengths)
def steps_have_the_lengths_of_their_pairs(case: Case) -> None:
    """In the clock of the nearest pair each pair meets after 1/(2c) (1 + O(1/log beta)), c its mass."""
    angles, masses, beta = instance(case)
    rivalry = max(step.rivalry for step in theory.staircase(angles, beta=beta, masses=masses))
    case.require("the nearest pair is so by far", rivalry < 2e-3)
    found = run(case, tokens_at(angles, masses), beta)
    because = "the other pairs pull by at most 2e-3 of the nearest one's pull; r_beta^2 is left out"
    stated, over = case.predict(angles, masses, beta), {"step": 1 + np.arange(len(found.lengths))}
    case.compare(found.lengths, stated, within=1e-2, relative=True, because=because, name="length of a step", over=over)


@steps_have_the_lengths_of_their_pairs.mutation
def limit_taken_for_the_value(angles: np.ndarray, masses: np.ndarray, beta: float) -> np.ndarray:
    """The correction 1/log beta is left out."""
    return np.array([step.limit for step in theory.staircase(angles, beta=beta, masses=masses)])


@steps_have_the_lengths_of_their_pairs.mutation
def masses_as_if_equal(angles: np.ndarray, masses: np.ndarray, beta: float) -> np.ndarray:
    """Clusters are counted as one token each."""
    steps = theory.staircase(angles, beta=beta, masses=masses)
    one = 1.0 / len(angles)
    return np.array([theory.length_of_a_step(beta=beta, start=step.angle, masses=(one, one)) for step in steps])


@steps_have_the_lengths_of_their_pairs.mutation
def double_logarithm_lost(angles: np.ndarray, masses: np.ndarray, beta: float) -> np.ndarray:
    """The collision radius is taken as beta^(-1/2)."""
    steps = theory.staircase(angles, beta=beta, masses=masses)
    return np.array([step.length - step.limit * np.log(np.log(beta)) / np.log(beta) for step in steps])


def climbed(angles: np.ndarray, masses: np.ndarray, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the predicted times and energies of all steps, with what rises within them."""
    times, energies, begin, level = [], [], 0.0, float((masses**2).sum())
    for step in theory.staircase(angles, beta=beta, masses=masses):
        within = np.linspace(0.0, step.length, 60)
        rise = theory.rise_within_a_step(within, beta=beta, start=step.angle, masses=step.masses)
        times.append(begin + within)
        energies.append(level + rise)
        begin, level = begin + step.length, level + step.jump
    return np.concatenate(times), np.concatenate(energies)


@steps_have_the_lengths_of_their_pairs.figure
def climbing(case: Case, ax: Any) -> Any:
    """Draw the energy along the rescaled time over the predicted staircase."""
    angles, masses, beta = instance(case)
    for factor, colour in ((0.25, ACCENT[2]), (1.0, ACCENT[0])):
        found = case.measure(mf.flows.stairs, tokens_at(angles, masses), factor * beta, save=40, solver=SOLVER)
        ax.plot(found.times, found.energy, color=colour, label=rf"$\beta = {factor * beta:.3g}$")
    ax.plot(*climbed(angles, masses, beta), "--", color=THEORY, lw=1.4, label=rf"predicted, $\beta = {beta:.3g}$")
    lengths = case.predict(angles, masses, beta)
    ends = np.cumsum([0.0, *lengths])
    levels = (masses**2).sum() + np.cumsum([0.0, *heights(angles, masses, beta)])
    ax.step(np.append(ends, ends[-1] + 0.3), np.append(levels, levels[-1]), ":", where="post", color=MUTED,
            label="levels at the meetings")  # fmt: skip
    ax.set(xlabel="rescaled time $s$", ylabel=r"energy $\bar E$", title=title_of(case))
    ax.legend()
    return ax


def heights(angles: np.ndarray, masses: np.ndarray, beta: float) -> np.ndarray:
    """Return the predicted heights of the steps."""
    return np.array([step.jump for step in theory.staircase(angles, beta=beta, masses=masses)])


@claim("2410.06833", "section 5, heights", covers=["V16", "E5"], status="erratum", states=heights, id="2410.06833/E5")
def steps_have_the_heights_of_their_pairs(case: Case) -> None:
    """When clusters of masses a and b meet, the energy in (0, 1] rises by 2ab (the printed one by O(1/beta))."""
    angles, masses, beta = instance(case)
    found = run(case, tokens_at(angles, masses), beta)
    nearest = np.array([step.angle for step in theory.staircase(angles, beta=beta, masses=masses)]).min()
    because = "before they meet, a pair has e^(-beta (1 - cos)) of its joint energy; fourfold, so as to have a margin"
    within = 4.0 * np.exp(-beta * (1.0 - np.cos(nearest))) + 1e-6
    stated, over = case.predict(angles, masses, beta), {"step": 1 + np.arange(len(found.jumps))}
    case.compare(found.jumps, stated, within=within, relative=True, because=because, name="height", over=over)


@steps_have_the_heights_of_their_pairs.figure
def levels_of_the_energy(case: Case, ax: Any) -> Any:
    """Draw the energy along the rescaled time, and the levels that the heights lead to."""
    angles, masses, beta = instance(case)
    found = case.measure(mf.flows.stairs, tokens_at(angles, masses), beta, save=40, solver=SOLVER)
    ax.plot(found.times, found.energy, color=ACCENT[0], label="energy")
    levels = (masses**2).sum() + np.cumsum([0.0, *case.predict(angles, masses, beta)])
    for k, level in enumerate(levels):
        ax.axhline(level, color=THEORY, ls="--", lw=1.2, label="" if k else r"$\sum_i a_i^2$, then $+2ab$ each")
    ax.set(xlabel="rescaled time $s$", ylabel=r"energy $\bar E$", title=title_of(case))
    ax.legend(loc="upper left", frameon=True, framealpha=1.0, edgecolor="none")
    return ax


@steps_have_the_heights_of_their_pairs.mutation
def energy_as_printed(angles: np.ndarray, masses: np.ndarray, beta: float) -> np.ndarray:
    """The printed energy, at most 1/(2 beta): in the limit there are no steps."""
    return heights(angles, masses, beta) / (2.0 * beta)


@steps_have_the_heights_of_their_pairs.mutation
def pairs_counted_once(angles: np.ndarray, masses: np.ndarray, beta: float) -> np.ndarray:
    """Each pair is counted once: half the height."""
    return heights(angles, masses, beta) / 2.0


@steps_have_the_heights_of_their_pairs.mutation
def heights_of_single_tokens(angles: np.ndarray, masses: np.ndarray, beta: float) -> np.ndarray:
    """Clusters are counted as one token each."""
    return np.full(len(angles) - 1, 2.0 / len(angles) ** 2)


def pair_alone(share: float, start: float) -> mf.Tokens:
    """Return two tokens at an angle, in a program for five."""
    masses = np.array([share, 1.0 - share, 0.0, 0.0, 0.0])
    return tokens_at(np.array([0.0, start, 2.0, 2.5, 3.0]), masses, present=masses > 0)


@claim("2410.06833", "section 5, time-scale lemma", covers=["E4"], status="erratum", states=theory.crossing_time)
def two_tokens_cross_in_half_the_inverse_rate(case: Case) -> None:
    """Two clusters alone, of joint mass c, meet after 1/(2c) in the limit, with the stated correction before it."""
    beta, start = case.draw("beta", 300.0, 600.0), case.draw("start", 0.6, 1.2)
    share = case.given("mass of one", 0.3)
    case.require("the tokens have masses", 0 < share < 1)
    case.require("the tokens have not met", theory.collision_radius(beta) < start)
    found = run(case, pair_alone(share, start), beta)
    because = "the chord stands for the angle at the collision radius: r_beta^2/24 of a logarithm of 2"
    radius = theory.collision_radius(beta)
    within = max(1e-4, radius**2 / (8.0 * np.log(start / radius)))
    stated = case.predict(1.0, beta=beta, start=start)
    case.compare(found.lengths[0], stated, within=within, relative=True, because=because, name="time to the meeting")


@two_tokens_cross_in_half_the_inverse_rate.figure
def crossing(case: Case, ax: Any) -> Any:
    """Draw how the time to the meeting tends to 1/2 as beta grows."""
    share, start = case.instance["mass of one"], case.instance["start"]
    betas = case.instance["beta"] * np.geomspace(0.02, 4.0, 9)
    betas = [float(b) for b in betas if b > 2 and theory.collision_radius(float(b)) < 0.9 * start]
    runs = [case.measure(mf.flows.stairs, pair_alone(share, start), b, save=SAVED, solver=SOLVER) for b in betas]
    found = [one.lengths[0] if one.status == "reached" else np.nan for one in runs]
    fine = np.geomspace(betas[0], betas[-1], 60)
    stated = [case.predict(1.0, beta=float(beta), start=start) for beta in fine]
    ax.semilogx(fine, stated, "--", color=THEORY, label="stated")
    ax.semilogx(betas, found, "o", color=ACCENT[0], label="measured")
    ax.axhline(0.5, color=MUTED, lw=1, ls=":", label="limit, $1/2c$")
    ax.set(xlabel=r"$\beta$", ylabel="rescaled time to the meeting",
           title=f"$u_0 = {start:.2g}$, masses {share:g} and {1 - share:g}")  # fmt: skip
    ax.legend()
    return ax


@two_tokens_cross_in_half_the_inverse_rate.mutation
def two_over_the_rate_as_printed(rate: float, *, beta: float, start: float) -> float:
    """The printed form, 2/c in place of 1/(2c)."""
    return 4.0 * theory.crossing_time(rate, beta=beta, start=start)


@two_tokens_cross_in_half_the_inverse_rate.mutation
def limit_alone(rate: float, *, beta: float, start: float) -> float:
    """The correction is left out."""
    return 0.5 / rate


@two_tokens_cross_in_half_the_inverse_rate.mutation
def angle_for_its_half(rate: float, *, beta: float, start: float) -> float:
    """sin u is replaced by u."""
    return float(np.log(start / theory.collision_radius(beta)) / (rate * np.log(beta)))


def pace_of_the_nearest(squares: np.ndarray, beta: float) -> np.ndarray:
    """Return dt/ds for squared distances `(s, pairs)` of the pairs that have not met."""
    return np.log(beta) * np.exp(0.5 * beta * squares.min(axis=-1))


def both_clocks(case: Case, angles: np.ndarray, masses: np.ndarray, beta: float) -> tuple[mf.Path, mf.Path]:
    """Return the flow and the rescaled flow up to the first meeting, the latter saved up to nine tenths of it."""
    tokens, field = tokens_at(angles, masses), mf.SelfAttention(beta, weighting=Unnormalised(shifted=True))
    meeting, pace = Meeting(theory.collision_radius(beta)), NearestPair(beta, 0.5 * theory.collision_radius(beta))
    given: dict[str, Any] = {"until": meeting, "solver": SOLVER, "reduce": False}
    times = np.linspace(0.0, 0.9 * lengths(angles, masses, beta)[0], 65)
    own = case.measure(mf.flow, tokens, field, save=[0.0], **given)
    return own, case.measure(mf.flow, tokens, Paced(field, pace), save=times, **given)


@claim("2410.06833", "section 5, reparametrisation", covers=["E6"], status="erratum", states=pace_of_the_nearest)
def clock_is_that_of_the_nearest_pair(case: Case) -> None:
    """The clock log beta min e^(beta (1 - cos)), along the rescaled path, adds up to the time of the flow itself."""
    angles, masses, beta = instance(case)
    case.require("64 intervals resolve the clock", beta <= 300)
    own, paced = both_clocks(case, angles, masses, beta)
    case.require("the first pair met", own.status == "reached")
    case.require("the rescaled flow met too", paced.status == "reached")
    times = np.asarray(paced.times)[:-1]
    speed = case.predict(squares_of_pairs(paced), beta)
    rest = float(paced.times[-1] - paced.times[-2]) * speed[-2:].mean()
    because = "Simpson's rule on 64 intervals, and one trapezoid over the last tenth, where the clock is slowest"
    case.compare(simpson(speed[:-1], x=times) + rest, float(own.times[-1]), within=2e-2, relative=True, because=because,
                 name="time to the first meeting")  # fmt: skip


def squares_of_pairs(path: mf.Path) -> np.ndarray:
    """Return the squared distances `(s, pairs)` along a path."""
    points = np.asarray(path.points)
    first, second = np.triu_indices(points.shape[1], 1)
    return ((points[:, first] - points[:, second]) ** 2).sum(axis=-1)


@clock_is_that_of_the_nearest_pair.figure
def two_clocks(case: Case, ax: Any) -> Any:
    """Draw the time of the flow that the clock adds up to, and when the flow itself has its first meeting."""
    angles, masses, beta = instance(case)
    own, paced = both_clocks(case, angles, masses, beta)
    passed = cumulative_simpson(case.predict(squares_of_pairs(paced), beta)[:-1], x=paced.times[:-1], initial=0.0)
    ax.plot(paced.times[:-1], passed, color=ACCENT[0], label="the clock, added up")
    ax.axhline(float(own.times[-1]), color=THEORY, ls="--", label="first meeting of the flow itself")
    ax.axvline(float(paced.times[-1]), color=MUTED, ls=":", label="first meeting in the rescaled time")
    ax.set(xlabel="rescaled time $s$", ylabel="$t$", title=title_of(case))
    ax.legend()
    return ax


@clock_is_that_of_the_nearest_pair.mutation
def maximum_as_printed(squares: np.ndarray, beta: float) -> np.ndarray:
    """The printed form: the maximum over the pairs."""
    return np.log(beta) * np.exp(0.5 * beta * squares.max(axis=-1))


@clock_is_that_of_the_nearest_pair.mutation
def at_the_start_only(squares: np.ndarray, beta: float) -> np.ndarray:
    """The clock is that of the pair's first distance: it is not taken along the path."""
    return np.full(len(squares), pace_of_the_nearest(squares, beta)[0])


@clock_is_that_of_the_nearest_pair.mutation
def log_beta_lost(squares: np.ndarray, beta: float) -> np.ndarray:
    """The factor log beta is lost."""
    return pace_of_the_nearest(squares, beta) / np.log(beta)


def velocity_of_angles(angles: np.ndarray, beta: float) -> np.ndarray:
    """Return the velocities of the angles, n^-2 sum_j e^(beta (cos - 1)) sin."""
    apart = angles[None, :] - angles[:, None]
    return (np.exp(beta * (np.cos(apart) - 1.0)) * np.sin(apart)).sum(axis=1) / len(angles) ** 2


@claim("2410.06833", "circle equation", covers=["E7"], status="erratum", states=velocity_of_angles)
def angles_move_with_one_over_n_squared(case: Case) -> None:
    """The gradient of the energy by an angle, which is 1/n of the USA* velocity, has the factor 1/n^2."""
    beta, n = case.draw("beta", 1.0, 30.0), case.given("n", 5)
    angles = case.generator("angles").uniform(0.0, 2 * np.pi, n)
    field = mf.SelfAttention(beta, weighting=Unnormalised(shifted=True))
    across = np.stack([-np.sin(angles), np.cos(angles)], axis=1)
    measured = (speeds(case, field, tokens_at(angles)) * across).sum(axis=1) / len(angles)
    stated = case.predict(angles, beta)
    within = 1e-12 * np.abs(stated).max() + 1e-15
    because, over = f"rounding of {n} terms", {"angle": angles}
    case.compare(measured, stated, within=within, because=because, name="velocity of USA* over n", over=over)
    step = 1e-30j  # the imaginary part of a shifted energy is its derivative, without cancellation
    shifted, pairs = angles + step * np.eye(n), 2.0 * n**2
    energy = np.exp(beta * (np.cos(shifted[:, :, None] - shifted[:, None, :]) - 1.0)).sum(axis=(1, 2)) / (pairs * beta)
    because = f"rounding of {n * n} terms"
    case.compare(energy.imag / 1e-30, stated, within=within, because=because, name="gradient by an angle", over=over)


@angles_move_with_one_over_n_squared.mutation
def one_over_n_squared_dropped_as_printed(angles: np.ndarray, beta: float) -> np.ndarray:
    """The printed 'in other words': 1/n^2 is dropped."""
    return velocity_of_angles(angles, beta) * len(angles) ** 2


@angles_move_with_one_over_n_squared.mutation
def one_over_n(angles: np.ndarray, beta: float) -> np.ndarray:
    """1/n stands in place of 1/n^2: the velocity of USA*, not the gradient by one angle."""
    return velocity_of_angles(angles, beta) * len(angles)

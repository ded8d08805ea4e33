"""Independent particles: how large their modes are at first, how long these take to show, and which is the largest."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.integrate import quad
from scipy.special import iv

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.runge_kutta import classical_step
from measureflow.paths.style import ACCENT, MUTED, THEORY

__all__ = ["SAVED", "N", "angles_along"]

#: particles of every flow on the circle, and times at which one is seen: one shape, so that the program is shared
N, SAVED = 240, 9
#: particles and repetitions of what is followed by steps of order 4, so many to an e-folding
RUNS, FINE = 16, 5
#: modes of a start, of which one is the fastest, and those that the kernel still pulls with
FIRST, PULLING = np.arange(1, 8), np.arange(1, 13)
#: amplitudes at which a mode shows, and at which modes are compared: up to there each grows almost on its own
SHOWN, COMPARED = 0.05, 0.1


def angles_along(
    angles: np.ndarray, weights: np.ndarray | None, beta: float, end: float, rtol: float
) -> tuple[Any, Any, Any]:
    """Return the times, angles and status of a flow of N particles under USA, seen SAVED times up to its end."""
    tokens = mf.Tokens(mf.Sphere(2), np.stack([np.cos(angles), np.sin(angles)], axis=1), weights)
    field = mf.SelfAttention(beta, weighting="unnormalised")
    solver = mf.Adaptive(rtol=rtol, atol=rtol / 100, coarsen=False, max_steps=5000)
    times = np.linspace(0.0, end, SAVED)
    path = mf.flow(tokens, field, until=end, save=times, solver=solver)
    points = np.asarray(path.points)
    return times, np.arctan2(points[..., 1], points[..., 0]), path.status


def rates_on_the_circle(degrees: np.ndarray, beta: float) -> np.ndarray:
    """Return the rates of the linear phase of USA on the circle."""
    return theory.growth_rates_around_uniform(degrees, beta=beta, d=2, model="unnormalised")


def time_to_show(size: float, rate: float) -> float:
    """Return when a mode that begins at `size` and grows at `rate` shows."""
    return float(np.log(SHOWN / size) / rate)


def modes_along(angles: np.ndarray, beta: float, foldings: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the first modes, in absolute value, of particles `(r, n)` after every step, and their last angles."""
    rates, pull = rates_on_the_circle(FIRST, beta), 2 / beta * PULLING * iv(PULLING, beta)

    def turns_and_modes(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        turns = np.exp(1j * theta)
        power, modes = np.ones_like(turns), []
        for _ in PULLING:
            power *= turns
            modes.append(power.mean(axis=1).conj())
        return turns, np.array(modes)

    def velocity(theta: np.ndarray) -> np.ndarray:
        turns, modes = turns_and_modes(theta)
        total = np.zeros_like(turns)
        for weight, mode in zip(pull[::-1], modes[::-1], strict=True):  # Horner's rule
            total = (total + 1j * weight * mode[:, None]) * turns
        return np.real(total)

    steps = int(np.ceil(FINE * foldings))
    found = [np.abs(turns_and_modes(angles)[1][: len(FIRST)])]
    for _ in range(steps):
        angles = classical_step(velocity, angles, foldings / rates.max() / steps)
        found.append(np.abs(turns_and_modes(angles)[1][: len(FIRST)]))
    return np.array(found), angles


def when_shown(times: np.ndarray, sizes: np.ndarray) -> float:
    """Return when sizes first pass the mark, by a line through their logarithms; infinity where they do not."""
    after = int((sizes > SHOWN).argmax())
    if after == 0:
        return np.inf
    low, high = np.log(sizes[after - 1 : after + 1])
    return float(times[after - 1] + (np.log(SHOWN) - low) / (high - low) * (times[after] - times[after - 1]))


def odds_of_the_fastest(grown: float, rates: np.ndarray) -> float:
    r"""Return the probability that the fastest mode is the largest when its mean square has grown to `grown` / n.

    Squares of n independent particles' modes, times n, are independent with the law $e^{-x}$, so that it is
    $\int_0^\infty e^{-x} \prod_j (1 - e^{-x g^{1-\lambda_j/\lambda_k}}) \, dx$, g the number `grown`.
    """
    powers = grown ** (1 - np.delete(rates, rates.argmax()) / rates.max())
    return float(quad(lambda x: np.exp(-x) * np.prod(-np.expm1(-x * powers)), 0.0, 60.0, limit=200)[0])


def modes_of_independent(seed: int, repetitions: int, n: int) -> np.ndarray:
    """Return the first modes, in absolute value, of n independent uniform particles, repeated."""
    generator, found = np.random.default_rng(seed), []
    for _ in range(0, repetitions, 500):  # a part that stays in the processor's cache
        turns = np.exp(1j * generator.uniform(0, 2 * np.pi, (500, n)))
        power, sizes = turns.copy(), []
        for _ in FIRST:
            sizes.append(np.abs(power.mean(axis=1)))
            power *= turns
        found.append(np.stack(sizes, axis=1))
    return np.concatenate(found)


@claim(
    "2410.23228",
    "linear phase, particles",
    covers=["V12"],
    status="derived",
    id="2410.23228/V12-particles",
    states={"amplitude": lambda n: n**-0.5, "time": time_to_show, "odds": odds_of_the_fastest},
)
def independent_particles_show_their_fastest_mode_at_its_time(case: Case) -> None:
    """n independent particles begin with modes of root mean square n^(-1/2); under USA on the circle the fastest, k,
    shows when it has grown from what it was at lambda_k, and the others have grown too: that it is the largest by
    then has a probability below 1.

    Derived here: squares of modes are exponential and independent, and mode j beats mode k while the mean square of
    mode k has grown by g at the odds of e^(-x g^(1 - lambda_j/lambda_k)). "Mode k_max is selected" is the limit of n to
    infinity, which is slow: 0.68 at n = 2,000 and 0.75 at 20,000 for beta = 5, were growth linear up to amplitude 1.
    """
    beta, few, many = case.draw("beta", 4.5, 5.5), case.given("n", 250), case.given("n that move", 2400)
    case.require("sums of their turns are normal, and few show at once", few >= 250 and many >= 1200)
    degree, rates = theory.dominant_degree(beta=beta, d=2), rates_on_the_circle(FIRST, beta)
    case.require("the fastest mode is one of those followed, and 12 modes pull", degree < FIRST[-1] and beta <= 8)
    sizes = case.measure(modes_of_independent, case.seed, 20_000, few)
    root = np.sqrt((sizes**2).mean())
    because = "six standard errors of 140,000 exponential variables"
    case.compare(root, case.statement.amplitude(few), within=0.016, relative=True, because=because,
                 name="root mean square of a mode")  # fmt: skip
    grown = COMPARED**2 * many
    largest = (sizes * grown ** (rates / rates.max() / 2)).argmax(axis=1) == degree - 1
    because = "eight standard errors of 20,000 trials; sums of 250 turns are normal to 1/250"
    odds = case.statement.odds(grown, rates)
    case.compare(largest.mean(), odds, within=0.027, because=because, name="odds that the fastest is the largest")
    start = case.generator("particles").uniform(0, 2 * np.pi, (RUNS, many))
    foldings, rate = np.log(SHOWN * many**0.5) + 1.2, float(rates[degree - 1])
    modes, _ = case.measure(modes_along, start, beta, foldings)
    times = np.linspace(0.0, foldings / rate, len(modes))
    late = [
        rate * (when_shown(times, size) - case.statement.time(size[0], rate))
        for size in modes[:, degree - 1].T
        if size[0] < SHOWN  # else it shows at once
    ]
    because = "e-foldings, the median of 16: products of two modes below 0.05 add up to 0.1 in a single one"
    case.compare(np.median(late), 0.0, within=0.14, because=because, name="time to show")
    _, ends = case.measure(modes_along, start[:1, :N], beta, foldings)
    times, angles, status = case.measure(angles_along, start[0, :N], None, beta, foldings / rate, 1e-8)
    case.require("the flow ran to its end", status == "reached")
    apart = np.abs(np.exp(1j * angles[-1]) - np.exp(1j * ends[0])).max()
    because = "steps of a fifth of an e-folding, to the fourth power, and modes beyond 12"
    case.compare(apart, 0.0, within=5e-3, because=because, name="steps against the library's flow")


@independent_particles_show_their_fastest_mode_at_its_time.figure
def modes_in_time(case: Case, ax: Any) -> Any:
    """Draw the fastest mode of every run over its e-foldings, and growth at its rate from the typical size."""
    beta, many = case.instance["beta"], case.instance["n that move"]
    degree, start = (
        theory.dominant_degree(beta=beta, d=2),
        case.generator("particles").uniform(0, 2 * np.pi, (RUNS, many)),
    )
    foldings = np.log(SHOWN * many**0.5) + 1.2
    modes, _ = case.measure(modes_along, start, beta, foldings)
    along, first = np.linspace(0.0, foldings, len(modes)), case.statement.amplitude(many)
    for k, sizes in enumerate(modes[:, degree - 1].T):
        ax.semilogy(
            along, sizes, color=ACCENT[1], lw=0.8, alpha=0.7, label="" if k else f"mode {degree} of {RUNS} runs"
        )
    ax.semilogy(along, first * np.exp(along), "--", color=THEORY, label=r"$n^{-1/2}e^{\lambda t}$")
    ax.axhline(SHOWN, color=MUTED, lw=1, ls=":", label="it shows")
    ax.set(xlabel=r"e-foldings $\lambda t$", ylabel="size", title=rf"$n = {many}$, $\beta = {beta:.3g}$")
    ax.legend()
    return ax


@independent_particles_show_their_fastest_mode_at_its_time.mutation("amplitude")
def amplitude_of_a_grid(n: int) -> float:
    """1/n, the root forgotten."""
    return 1.0 / n


@independent_particles_show_their_fastest_mode_at_its_time.mutation("time")
def rate_smaller_by_pi_as_in_the_notebook(size: float, rate: float) -> float:
    """The plotted rate lacks a factor pi."""
    return np.pi * time_to_show(size, rate)


@independent_particles_show_their_fastest_mode_at_its_time.mutation("odds")
def fastest_mode_selected_as_printed(grown: float, rates: np.ndarray) -> float:
    """The fastest mode is always the largest."""
    return 1.0


@independent_particles_show_their_fastest_mode_at_its_time.mutation("odds")
def rates_of_the_others_ignored(grown: float, rates: np.ndarray) -> float:
    """Only the fastest grows, and the others stay what they were: it is nearly always the largest."""
    return odds_of_the_fastest(grown, np.where(rates == rates.max(), rates, 0.0))


@independent_particles_show_their_fastest_mode_at_its_time.mutation("odds")
def all_modes_alike(grown: float, rates: np.ndarray) -> float:
    """Nothing is selected."""
    return 1.0 / len(rates)


def largest_when_grown(seed: int, repetitions: int, n: int, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Return which mode is the largest when the fastest has grown to 0.1 in the root mean square, by the motion of
    particles and by the linear law from the same start.
    """
    foldings, rates = np.log(COMPARED * n**0.5), rates_on_the_circle(FIRST, beta)
    moved, linear, generator = [], [], np.random.default_rng(seed)
    for _ in range(0, repetitions, 50):
        modes, _ = modes_along(generator.uniform(0, 2 * np.pi, (50, n)), beta, foldings)
        linear.append((modes[0].T * np.exp(foldings * rates / rates.max())).argmax(axis=1))
        moved.append(modes[-1].argmax(axis=0))
    return np.concatenate(moved) + 1, np.concatenate(linear) + 1


@claim(
    "2410.23228",
    "linear phase, selected mode of particles",
    covers=["V12"],
    status="derived",
    tier="standard",
    id="2410.23228/V12-odds",
    states=odds_of_the_fastest,
)
def fastest_mode_of_particles_is_the_largest_at_these_odds(case: Case) -> None:
    """When the fastest mode of n independent particles has grown to 0.1, it is the largest at odds well below 1.

    Counted on particles that moved under USA. What the linear law says of the same starts is known from many more,
    so that only the difference of the two is left to chance.
    """
    beta, n, repetitions = case.draw("beta", 4.5, 5.5), case.given("n", 1000), 2400
    case.require("sums of their turns are normal", n >= 250)
    degree, rates = theory.dominant_degree(beta=beta, d=2), rates_on_the_circle(FIRST, beta)
    grown = COMPARED**2 * n
    moved, linear = case.measure(largest_when_grown, case.seed, repetitions, n, beta)
    change = (moved == degree).astype(float) - (linear == degree)
    sizes = case.measure(modes_of_independent, case.seed, 30_000, n)
    expected = ((sizes * grown ** (rates / rates.max() / 2)).argmax(axis=1) == degree - 1).mean()
    because = "six standard errors of 0.005, and what products of two modes near 0.1 change"
    name = "odds that the fastest is the largest"
    case.compare(expected + change.mean(), case.predict(grown, rates), within=0.033, because=because, name=name)


@fastest_mode_of_particles_is_the_largest_at_these_odds.figure
def odds_over_n(case: Case, ax: Any) -> Any:
    """Draw the stated odds over the number of particles, and what was counted."""
    beta, n, (curve,) = case.instance["beta"], case.instance["n"], case.curves
    rates, numbers = rates_on_the_circle(FIRST, beta), n * np.geomspace(0.1, 1e4, 60)
    stated = [case.predict(COMPARED**2 * one, rates) for one in numbers]
    ax.semilogx(numbers, stated, "--", color=THEORY, label="stated")
    ax.errorbar([n], curve.measured, curve.within, fmt="o", color=ACCENT[0], capsize=4, label="counted, and tolerance")
    ax.axhline(1.0, color=MUTED, lw=1, ls=":", label="the fastest is always the largest")
    ax.set(xlabel="$n$", ylabel="odds of the fastest mode", title=rf"$\beta = {beta:.3g}$", ylim=(0.0, 1.05))
    ax.legend()
    return ax


for near_miss in (fastest_mode_selected_as_printed, rates_of_the_others_ignored):
    fastest_mode_of_particles_is_the_largest_at_these_odds.mutation(near_miss)

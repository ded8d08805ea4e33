"""Independent tokens and the law they are drawn from: how far apart they are on average, on circle and interval."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.paths.style import ACCENT, THEORY

ANGLES = 2 * np.pi * np.arange(64) / 64
#: samples of a cloud, and clouds
N, CLOUDS = 128, 3000
#: the next order of n E W_2^2, relative and times n, is below these: at 48 to 384 samples from laws that are drawn here
#: it is 0.6 on the circle and -0.5 to -3.5 on the interval, up to the noise
NEXT = {"circle": 1.0, "interval": 4.0}
#: values of the tables of the quantile function and its integrals, a turn
FINE = 4096


class Law:
    """A law on the circle by tables: F, its inverse Q over three turns, and the integrals of Q and of its square."""

    def __init__(self, density: np.ndarray) -> None:
        f = np.fft.irfft(np.fft.rfft(density), FINE)
        below = np.append(0.0, np.cumsum(0.5 * (f + np.roll(f, -1))))
        self.below, self.angles = below / below[-1], 2 * np.pi * np.arange(FINE + 1) / FINE
        self.at = np.arange(-FINE, 2 * FINE + 1) / FINE
        q = np.interp(self.at % 1.0, self.below, self.angles) + 2 * np.pi * np.floor(self.at)
        self.quantiles, ahead, behind = q, q[1:], q[:-1]
        self.first = np.append(0.0, np.cumsum(ahead + behind)) / (2 * FINE)
        self.second = np.append(0.0, np.cumsum(ahead**2 + ahead * behind + behind**2)) / (3 * FINE)


def squares(
    density: np.ndarray, closed: bool, seed: int, n: int, clouds: int
) -> tuple[float, float, np.ndarray, float]:
    """Return n times the mean of W_2^2 over clouds, its standard error, and one cloud with its own W_2^2.

    The i-th of n samples in order takes the quantiles from i/n + a to (i + 1)/n + a; on the circle the cost is convex
    in the turn a, and Newton's method finds the least.
    """
    law, rng = Law(density), np.random.default_rng(seed)
    sums = rng.exponential(size=(clouds, n + 1)).cumsum(axis=1)
    uniform = sums[:, :-1] / sums[:, -1:]  # samples in order
    x = np.interp(uniform, law.below, law.angles)
    turn = np.zeros((clouds, 1))
    nodes = np.arange(n + 1) / n

    def slope(turn: np.ndarray) -> np.ndarray:
        ends = np.interp(nodes + turn, law.at, law.quantiles)
        return ((ends[:, 1:] - x) ** 2 - (ends[:, :-1] - x) ** 2).sum(axis=1, keepdims=True)

    for _ in range(2 if closed else 0):
        here, step = slope(turn), 1e-3
        turn = turn - step * here / (slope(turn + step) - here)
    first, second = (np.diff(np.interp(nodes + turn, law.at, table)) for table in (law.first, law.second))
    found = second.sum(axis=1) - 2.0 * (x * first).sum(axis=1) + (x**2).mean(axis=1)
    mean, error = controlled(n * found, uniform, law, closed)
    return mean, error, x[0], float(found[0])


def controlled(found: np.ndarray, uniform: np.ndarray, law: Law, closed: bool) -> tuple[float, float]:
    """Return a mean and its standard error, with a control variate: a quadratic form of the ordered uniform samples,
    whose mean is known from their covariance i(n + 1 - j)/((n + 1)^2 (n + 2)), takes most of the noise away."""
    n = uniform.shape[1]
    place, h = np.arange(1, n + 1) / (n + 1), 1e-3
    ahead, behind = (np.interp(place + side, law.at, law.quantiles) for side in (h, -h))
    weight, off = ((ahead - behind) / (2 * h)) ** 2, uniform - place
    covariance = (np.minimum.outer(place, place) - np.outer(place, place)) / (n + 2)
    form = off**2 @ weight - covariance.diagonal() @ weight
    if closed:
        form -= ((off @ weight) ** 2 - weight @ covariance @ weight) / weight.sum()
    left = found - (found - found.mean()) @ form / (form @ form) * form
    return float(left.mean()), float(left.std() / np.sqrt(len(left)))


@claim(
    "2501.03096",
    "mean-field limit, independent tokens",
    covers=["T23"],
    status="derived",
    states=theory.mean_square_distance_of_samples,
    id="2501.03096/T23-samples",
)
def independent_tokens_are_as_far_from_their_law_as_a_bridge_says(case: Case) -> None:
    """n E W_2^2 between n independent tokens of a law on the circle and the law tends to the mean of a Brownian bridge
    weighted by Q'^2, less what a turn of the matching gains: half of it for the uniform law."""
    first, second = case.draw("first mode", 0.4, 0.7), case.draw("second mode", -0.15, 0.15)
    density = 1.0 + first * np.cos(ANGLES) + second * np.sin(2 * ANGLES)
    n, clouds = case.given("n", N), case.given("clouds", CLOUDS)
    case.require("the density is positive", bool(density.min() > 0))
    found = {
        name: case.measure(squares, density, closed, case.seed, n, clouds)
        for name, closed in (("circle", True), ("interval", False))
    }
    _, _, cloud, own = found["circle"]
    tokens = mf.Tokens(mf.Sphere(2), np.stack([np.cos(cloud), np.sin(cloud)], axis=1))
    exact = float(case.measure(mf.measures.wasserstein, tokens, mf.Density(mf.Sphere(2), density))) ** 2
    because = f"tables of {FINE} angles"
    case.compare(own, exact, within=1e-3, relative=True, because=because, name="one cloud, by the library")
    for name, (mean, error, _, _) in found.items():
        case.instance[f"standard error, {name}"] = error
        within = 2.0 * (6.0 * error + NEXT[name] / n * mean)
        because = f"six standard errors of {clouds:,} clouds and the next order {NEXT[name]:g}/{n}, twice"
        stated = case.predict(density, closed=name == "circle")
        case.compare(mean, stated, within=within, because=because, name=f"n E W_2^2, {name}")


independent = independent_tokens_are_as_far_from_their_law_as_a_bridge_says


@independent.figure
def means_beside_the_bridge(case: Case, ax: Any) -> None:
    """Draw the means over clouds with their standard errors, and the formula of the bridge."""
    names = ("circle", "interval")
    for place, (name, curve) in enumerate(zip(names, case.curves[1:], strict=True)):
        error, label = 6.0 * case.instance[f"standard error, {name}"], "mean over clouds, 6 standard errors"
        ax.errorbar([place], curve.measured, yerr=error, fmt="o", color=ACCENT[0], ms=8, capsize=5,
                    label=label if place == 0 else None)  # fmt: skip
        ax.hlines(curve.stated, place - 0.3, place + 0.3, color=THEORY, ls="--", label=None if place else "stated")
    ax.set_xticks(range(2), names)
    ax.set(ylabel=r"$n\,E\,W_2^2$", xlim=(-0.6, 1.6))
    ax.set_ylim(bottom=0.0)
    about = (case.instance["n"], case.instance["clouds"], case.instance["first mode"], case.instance["second mode"])
    ax.set_title("n = {}, {} clouds, modes {:.2g} and {:.2g}".format(*about), fontsize=11, loc="left")
    ax.legend(fontsize=9, loc="upper left")


@independent.mutation
def the_matching_never_turns(density: np.ndarray, *, closed: bool = True) -> float:
    """The line's formula on the circle."""
    return theory.mean_square_distance_of_samples(density, closed=False)


@independent.mutation
def quantiles_instead_of_samples(density: np.ndarray, *, closed: bool = True) -> float:
    """The spread of the arcs alone, Q'^2 / (12 n^2): what n quantiles have (n = 128)."""
    return float((2 * np.pi) ** 2 * np.mean(1.0 / density) / (12.0 * N))


@independent.mutation
def slope_not_squared(density: np.ndarray, *, closed: bool = True) -> float:
    """w = Q' in turns: a factor 2 pi / Q' is lost."""
    return theory.mean_square_distance_of_samples(density, closed=closed) / (2 * np.pi)

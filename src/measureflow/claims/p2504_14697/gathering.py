"""How fast densities with a mean gather at one point, for beta near 0 and of both signs."""

from __future__ import annotations

from typing import Any

import numpy as np

from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.runge_kutta import classical_step
from measureflow.paths.style import ACCENT, THEORY

#: cells of an even density on the circle or of a zonal one on S^2: half of them ever smaller towards the antipode, and
#: the degree at which the kernel's expansion ends
CELLS, DEGREE = 240, 14


def zonal_run(mean: float, beta: float, d: int, times: tuple[float, ...]) -> np.ndarray:
    """Return W_2 of the density 1 + d R cos(theta) from the point it gathers at, under USA at some times.

    The mass of a cell moves with its middle. Near the antipode cells are as small as e^-14, so that what has not left
    it by then is told.
    """
    away = np.concatenate([np.exp(np.linspace(-14.0, -1.0, CELLS // 2)), np.linspace(np.exp(-1.0), np.pi, CELLS // 2)])
    edges = np.unique(np.append(0.0, away))
    middle = np.pi - 0.5 * (edges[1:] + edges[:-1])
    size = np.diff(edges) * (np.sin(middle) if d == 3 else 1.0)
    shares = size * (1 + d * mean * np.cos(middle))
    shares /= shares.sum()
    k = np.arange(1, DEGREE + 1)
    count = 2.0 * np.ones(DEGREE) if d == 2 else 2.0 * k + 1
    # the coefficient of degree k has the parity of k in beta
    strength = count * theory.funk_hecke_coefficients(k, beta=abs(beta), d=d) * np.sign(beta) ** k / beta

    def harmonics(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return P_k(cos theta) and its derivative by theta."""
        if d == 2:
            turns = np.outer(k, theta)
            return np.cos(turns), -k[:, None] * np.sin(turns)
        heights, values, slopes = np.cos(theta), [np.ones_like(theta)], [np.zeros_like(theta)]
        values.append(heights)
        slopes.append(np.ones_like(theta))
        for j in range(1, DEGREE):
            values.append(((2 * j + 1) * heights * values[j] - j * values[j - 1]) / (j + 1))
            slopes.append(slopes[j - 1] + (2 * j + 1) * values[j])
        return np.stack(values[1:]), -np.sin(theta) * np.stack(slopes[1:])

    def velocity(theta: np.ndarray) -> np.ndarray:
        values, slopes = harmonics(theta)
        return (strength * (values @ shares)) @ slopes

    found, theta, now, step = [], middle, 0.0, 0.1
    for time in times:
        while now < time - 1e-9:
            theta = classical_step(velocity, theta, step)
            now += step
        found.append(np.sqrt(shares @ (2 * np.sin(theta / 2)) ** 2))
    return np.array(found)


#: two times between which a rate is read; at a negative beta, where two rates are closer, later ones
TIMES, LATER = (9.0, 12.0), (14.0, 17.0)


@claim(
    "2504.14697",
    "main theorem",
    covers=["5.1"],
    status="derived",
    id="2504.14697/rate",
    states={
        "bound": lambda: 1 / 100,
        "rate": lambda beta, d: min((d - 1) * np.exp(-beta) / 2, np.exp(beta)),
    },
)
def densities_gather_at_a_point_as_fast_as_the_slower_of_two_ends(case: Case) -> None:
    """For a density with a mean and a small |beta| W_2(mu_t, delta) <= C e^(-t/100) under USA.

    How fast it is really is derived here: tokens leave the antipode at the rate e^(-beta), so that of a density there
    a mass e^(-(d-1) e^(-beta) t) has not left, and W_2 is the root of it; those that have left near the point at the
    rate e^beta. The slower one is seen: the antipode for beta > log((d-1)/2)/2, the point below.
    """
    mean, times, later = case.draw("R", 0.1, 0.2), case.given("t", TIMES), case.given("t, beta < 0", LATER)
    case.require("there are two times each, in order", len(times) == len(later) == 2)
    case.require("the times are in order", 0 < times[0] < times[1] and 0 < later[0] < later[1])
    for name, d, beta, (first, last) in (
        ("a positive beta", case.choose("d", [2, 3]), case.draw("beta", 0.3, 0.5), times),
        ("a negative beta on the circle", 2, -case.draw("-beta, d = 2", 0.45, 0.55), later),
        ("a negative beta on S^2", 3, -case.draw("-beta, d = 3", 0.2, 0.3), later),
    ):
        case.require("on the circle or on S^2", d in (2, 3))
        case.require("the density has a mean and is positive", 0 < d * mean < 1)
        case.require("|beta| is small, and not 0", 0 < abs(beta) <= 1)
        ends = (d - 1) * np.exp(-beta) / 2, np.exp(beta)
        case.require("one of the two ends is slower by far", abs(ends[0] - ends[1]) * first > 2.0)
        case.require(
            "cells are as small as what is left at the antipode", ends[0] > ends[1] or np.exp(-beta) * last < 14
        )
        times = (first, last)
        distances = case.measure(zonal_run, mean, beta, d, times)
        case.require("it gathers at one point", bool(distances[-1] < 0.3))
        rate = float(np.log(distances[0] / distances[1]) / (times[1] - times[0]))
        because = "the mean is 1 to 1e-3 by then, and cells are 11 % of their distance from the antipode"
        case.at_least(rate, case.statement.bound(), within=0.02, because=because, name=f"least rate in W_2, {name}")
        case.compare(rate, case.statement.rate(beta, d), within=0.02, because=because, name=f"rate in W_2, {name}")


@densities_gather_at_a_point_as_fast_as_the_slower_of_two_ends.figure
def gathering(case: Case, ax: Any) -> Any:
    """Draw the distances from the point along time, and the stated rates."""
    mean, of = case.instance["R"], case.instance
    runs = ((of["d"], of["beta"]), (2, -of["-beta, d = 2"]), (3, -of["-beta, d = 3"]))
    times = np.linspace(0.0, max(*of["t"], *of["t, beta < 0"]), 35)
    for (d, beta), colour in zip(runs, ACCENT, strict=True):
        found = case.measure(zonal_run, mean, beta, d, tuple(float(t) for t in times))
        late, rate = times > 0.5 * times[-1], case.statement.rate(beta, d)
        ax.semilogy(times, found, color=colour, label=rf"$d = {d}$, $\beta = {beta:.2f}$")
        stated = found[-1] * np.exp(rate * (times[-1] - times[late]))
        ax.semilogy(times[late], stated, "--", color=THEORY, label="stated rates" if colour == ACCENT[-1] else "")
    ax.set(xlabel="$t$", ylabel="$W_2$ distance from a point", title=f"$1+dR\\cos\\theta$, $R = {mean:.2f}$")
    ax.legend()
    return ax


rate = densities_gather_at_a_point_as_fast_as_the_slower_of_two_ends


@rate.mutation("bound")
def rate_of_finitely_many_tokens() -> float:
    """1, which finitely many tokens near consensus exceed."""
    return 1.0


@rate.mutation("rate")
def nothing_waits_at_the_antipode(beta: float, d: int) -> float:
    """e^beta, as of finitely many tokens, of which none starts at the antipode."""
    return float(np.exp(beta))


@rate.mutation("rate")
def antipode_always_decides(beta: float, d: int) -> float:
    """What has not left the antipode is always the slower one."""
    return float((d - 1) * np.exp(-beta) / 2)


@rate.mutation("rate")
def sign_of_beta_forgotten(beta: float, d: int) -> float:
    """|beta| in the place of beta."""
    return float(min((d - 1) * np.exp(-abs(beta)) / 2, np.exp(abs(beta))))


@rate.mutation("rate")
def rate_of_the_mass(beta: float, d: int) -> float:
    """The mass that has not left is given for its root."""
    return float(min((d - 1) * np.exp(-beta), np.exp(beta)))

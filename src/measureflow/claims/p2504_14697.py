"""Claims of arXiv:2504.14697, quantitative clustering in mean-field transformer models."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.exploration import exploration
from measureflow.claims.instances import N, cloud, masses, speeds
from measureflow.claims.runge_kutta import classical_step


@claim(
    "2504.14697",
    "stationary measures",
    covers=["5.1"],
    status="derived",
    id="2504.14697/opposite-points",
    states={
        "softmax": lambda plus, minus, beta: (
            minus / (plus * np.exp(2 * beta) + minus) + plus / (minus * np.exp(2 * beta) + plus)
        ),
        "unnormalised": lambda plus, minus, beta: np.exp(-beta),
    },
)
def opposite_points_are_unstable(case: Case) -> None:
    """Masses a and b at opposite points part at the rate b/(a e^(2 beta) + b) + a/(b e^(2 beta) + a) > 0 under SA, and
    at e^(-beta) under USA, whatever the masses."""
    share, beta = case.draw("mass at x", 0.3, 0.7), case.draw("beta", 0.3, 2.0)
    # six tokens on the circle, four without mass on top of the first: the shape that other saddles have
    weights = np.array([share, 1 - share, 0.0, 0.0, 0.0, 0.0])
    angles = case.draw("turn", 0.0, 6.0) + np.pi * np.array([0, 1, 0, 0, 0, 0])
    tokens = mf.Tokens(mf.Sphere(2), np.stack([np.cos(angles), np.sin(angles)], axis=1), weights)
    for model in ("softmax", "unnormalised"):
        field = mf.SelfAttention(beta, weighting=model)
        jacobian = np.asarray(case.measure(mf.observe.jacobian, tokens, field=field))[:2, :2]
        measured = float(np.linalg.eigvals(jacobian).real.max())
        stated = getattr(case.statement, model)(share, 1 - share, beta)
        because = "rounding of sums of size 1, and of e^beta under USA"
        case.compare(measured, stated, within=1e-12, because=because, name=model)


@opposite_points_are_unstable.mutation("softmax")
def attracting(plus: float, minus: float, beta: float) -> float:
    """The sign is wrong: two opposite points would be stable."""
    weight = np.exp(2 * beta)
    return -(minus / (plus * weight + minus) + plus / (minus * weight + plus))


@opposite_points_are_unstable.mutation("softmax")
def rate_of_the_cosine(plus: float, minus: float, beta: float) -> float:
    """The rate of 1 + rho is given for that of the angle."""
    weight = np.exp(2 * beta)
    return 2 * (minus / (plus * weight + minus) + plus / (minus * weight + plus))


@opposite_points_are_unstable.mutation("softmax")
def exponent_halved(plus: float, minus: float, beta: float) -> float:
    """The logits of opposite points differ by 2 beta; beta stands in its place."""
    weight = np.exp(beta)
    return minus / (plus * weight + minus) + plus / (minus * weight + plus)


@opposite_points_are_unstable.mutation("unnormalised")
def pull_of_the_lighter_point(plus: float, minus: float, beta: float) -> float:
    """The lighter mass times e^(-beta): one of the two points alone moves."""
    return float(min(plus, minus) * np.exp(-beta))


def shortfall(points: np.ndarray, shares: np.ndarray, beta: float) -> float:
    """Return how far the energy is below e^beta/(2 beta), that of one point, from differences."""
    gaps = 0.5 * ((points[:, None] - points[None]) ** 2).sum(axis=-1)
    return float(-shares @ np.expm1(-beta * gaps) @ shares * np.exp(beta) / (2 * beta))


def constant_in_a_cap(beta: float, angle: float) -> float:
    """Return c in |grad E|^2 >= 2c (max E - E) on a cap of half the aperture `angle`."""
    nearest = np.cos(2 * angle)
    return float(nearest**2 * np.exp(beta * (2 * nearest - 1)))


@claim(
    "2504.14697",
    "inequality of Polyak and Lojasiewicz near one point",
    covers=["7.3"],
    status="derived",
    id="2504.14697/gradient-inequality",
    states={"constant": constant_in_a_cap, "local": lambda beta: float(np.exp(beta))},
)
def in_a_cap_the_slope_bounds_what_is_missing_of_the_energy(case: Case) -> None:
    """For a law on a cap of angle r < pi/4 under USA, int |X|^2 dmu >= 2c (max E - E), c = cos^2(2r) e^(beta (2 cos 2r
    - 1)); as the cap shrinks 2c = 2 e^beta is attained.

    Derived here: the velocity along the mean m is half the integral of e^(beta <x,y>) (1 - <x,y>) <x + y, m>, at least
    cos(2r) e^(beta cos 2r) (1 - |m|^2); |P_x m|^2 has at most the mean |m|^2 (1 - |m|^2); and max E - E is at most
    e^beta (1 - |m|^2)/2. Cauchy and Schwarz do the rest.
    """
    beta, angle = case.draw("beta", 2.0, 4.0), case.draw("angle of the cap", 0.3, 0.5)
    case.require("the cap is narrower than pi/4", angle < np.pi / 4)
    field, shares = mf.SelfAttention(beta, weighting="unnormalised"), masses(case)
    # half of the tokens at one end of the cap and half at the other: where the bound is nearly attained
    rim = angle * np.where(np.arange(N) % 2 == 0, 1.0, -1.0)
    ends = np.stack([np.cos(rim), np.sin(rim), np.zeros(N)], axis=1)
    starts = {
        "a cap": (np.asarray(cloud(case, angle=angle).points), shares),
        "its ends": (ends, np.full(N, 1 / N)),
        "a narrow cap": (np.asarray(cloud(case, angle=1e-3).points), shares),
    }
    ratio = {}
    for name, (points, weights) in starts.items():
        moved = speeds(case, field, mf.Tokens(mf.Sphere(3), points, weights))
        ratio[name] = np.log(float(weights @ (moved**2).sum(axis=1)) / shortfall(points, weights, beta) / 2)
    stated = np.log(case.statement.constant(beta, angle))
    because = "rounding; a bound"
    for name in ("a cap", "its ends"):
        case.at_least(ratio[name], stated, within=0.02, because=because, name=f"log of the ratio in {name}")
    because = "terms of beta r^2 = 4e-6, and rounding of differences of 1e-3"
    stated = np.log(case.statement.local(beta))
    case.compare(ratio["a narrow cap"], stated, within=1e-4, because=because, name="log of the ratio near one point")


@in_a_cap_the_slope_bounds_what_is_missing_of_the_energy.mutation("constant")
def local_constant_in_the_whole_cap(beta: float, angle: float) -> float:
    """e^beta, the constant near one point, in the whole cap."""
    return float(np.exp(beta))


@in_a_cap_the_slope_bounds_what_is_missing_of_the_energy.mutation("constant")
def energy_of_another_scale(beta: float, angle: float) -> float:
    """e^beta (1 - |m|^2)/2, what is missing of the energy at most, is taken for (1 - |m|^2)/2."""
    return constant_in_a_cap(beta, angle) * float(np.exp(beta))


@in_a_cap_the_slope_bounds_what_is_missing_of_the_energy.mutation("local")
def rate_of_softmax(beta: float) -> float:
    """1, as under SA and its metric."""
    return 1.0


@in_a_cap_the_slope_bounds_what_is_missing_of_the_energy.mutation("local")
def half_of_it(beta: float) -> float:
    """The 2 of 2c is counted twice: the energy would be missing at half the rate of squared distances."""
    return float(np.exp(beta)) / 2


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
    strength = count * theory.funk_hecke_coefficients(k, beta=beta, d=d) / beta

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

    found, theta, now, step = [], middle, 0.0, 0.05
    for time in times:
        while now < time - 1e-9:
            theta = classical_step(velocity, theta, step)
            now += step
        found.append(np.sqrt(shares @ (2 * np.sin(theta / 2)) ** 2))
    return np.array(found)


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
def densities_gather_at_a_point_as_fast_as_they_leave_its_antipode(case: Case) -> None:
    """For a density with a mean and a small beta W_2(mu_t, delta) <= C e^(-t/100) under USA.

    How fast it is really is derived here: tokens leave the antipode at the rate e^(-beta), so that of a density there
    a mass e^(-(d-1) e^(-beta) t) has not left, and W_2 is the root of it: slower than finitely many tokens, e^(beta).
    """
    beta, d, mean = case.draw("beta", 0.3, 0.5), case.choose("d", [2, 3]), case.draw("R", 0.15, 0.3)
    case.require("the density is positive", d * mean < 1)
    times = (9.0, 12.0)
    distances = case.measure(zonal_run, mean, beta, d, times)
    case.require("it gathers at one point", bool(distances[-1] < 0.3))
    rate = float(np.log(distances[0] / distances[1]) / (times[1] - times[0]))
    because = "the mean is 1 to 1e-3 by then, and cells are 11 % of their distance from the antipode"
    case.at_least(rate, case.statement.bound(), within=0.02, because=because, name="bound")
    case.compare(rate, case.statement.rate(beta, d), within=0.02, because=because, name="rate")


@densities_gather_at_a_point_as_fast_as_they_leave_its_antipode.mutation("bound")
def rate_of_finitely_many_tokens() -> float:
    """1, which finitely many tokens near consensus exceed."""
    return 1.0


@densities_gather_at_a_point_as_fast_as_they_leave_its_antipode.mutation("rate")
def nothing_waits_at_the_antipode(beta: float, d: int) -> float:
    """e^beta, as of finitely many tokens, of which none starts at the antipode."""
    return float(np.exp(beta))


@densities_gather_at_a_point_as_fast_as_they_leave_its_antipode.mutation("rate")
def rate_of_the_mass(beta: float, d: int) -> float:
    """The mass that has not left is given for its root."""
    return float((d - 1) * np.exp(-beta))


@exploration("2504.14697", "large beta", covers=["P12"])
def at_which_beta_does_a_density_cease_to_make_one_cluster(case: Case) -> dict[str, Any]:
    """Up to which beta does a density on the circle with a mean converge to one point, before any plateau?

    For |beta| < beta_0(mu_0) it does (USA), and for a large beta a circle has several clusters. The study takes
    quantiles of 1 + 2R cos(theta), follows SA to t = 20 and finds the least beta with more than one cluster there:
    an upper estimate of a beta_0 that has no closed form, and one time in place of all.
    """
    n, until, found = 64, 20.0, []
    means = [0.1, 0.4] if case.tier == "smoke" else [0.05, 0.1, 0.2, 0.3, 0.4, 0.45, 0.49]
    shares = (np.arange(n) + 0.5) / n
    grid = np.linspace(-np.pi, np.pi, 20_001)
    for mean in means:
        angles = np.interp(shares, (grid + np.pi) / (2 * np.pi) + mean * np.sin(grid) / np.pi, grid)
        start = mf.Tokens(mf.Sphere(2), np.stack([np.cos(angles), np.sin(angles)], axis=1))

        def several(beta: float, start: mf.Tokens = start) -> bool:
            path = mf.flow(start, mf.SelfAttention(beta), until=until, save=[until], solver=mf.Adaptive(coarsen=False))
            return int(mf.observe.clusters(path[-1], delta=1 - np.cos(0.3)).count) > 1

        low, high = 0.5, 40.0
        for _ in range(6 if case.tier == "smoke" else 12):
            middle = float(np.sqrt(low * high))
            low, high = (low, middle) if several(middle) else (middle, high)
        found.append(high)
    return {"R": means, "least beta with several clusters at t = 20": found}

"""The quasi-linear phase: one mode has grown, and the density is nearly periodic."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import iv

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.p2410_23228.clustering_phase import beta_of_the_fastest
from measureflow.paths.style import ACCENT, MUTED, THEORY

#: Fourier modes of an even density on the circle
MODES = 24


def moments_when_grown(k: int, other: int, beta: float, seed: float, trace: float) -> np.ndarray:
    r"""Return the moments of an even density under USA when its k-th has grown to 0.3, from `seed`.

    The mode `other` begins at `trace`, all others at 0. In closed form
    $m_j' = (j/\beta)\sum_i i I_i(\beta) m_i (m_{j-i} - m_{j+i})$.
    """
    index = np.arange(1, MODES + 1)
    pull = index * iv(index, beta) / beta
    below, above = np.abs(index[:, None] - index), index[:, None] + index

    def motion(_: float, m: np.ndarray) -> np.ndarray:
        padded = np.concatenate([[1.0], m, np.zeros(MODES)])
        return index * ((padded[below] - padded[above]) @ (pull * m))

    def grown(_: float, m: np.ndarray) -> float:
        return float(m[k - 1] - 0.3)

    grown.terminal = True  # type: ignore[attr-defined]  (SciPy reads it off the function)
    start = np.zeros(MODES)
    start[k - 1], start[other - 1] = seed, trace
    until = 3 * np.log(1 / seed) / (k * k * iv(k, beta) / beta)
    run = solve_ivp(motion, (0.0, until), start, method="DOP853", rtol=1e-11, atol=1e-26, events=grown)
    return run.y_events[0][0]


def share_of_the_fastest(j: int, k: int, beta: float) -> float:
    """Return the rate of mode j around the uniform law over that of mode k."""
    one, fastest = theory.growth_rates_around_uniform([j, k], beta=beta, d=2, model="unnormalised")
    return float(one / fastest)


@claim(
    "2410.23228",
    "quasi-linear phase",
    covers=["6.1"],
    status="derived",
    id="2410.23228/quasi-linear",
    states={
        "exponent": share_of_the_fastest,
        "periodic": lambda k: np.arange(1, MODES + 1) % k == 0,
    },
)
def densities_are_nearly_periodic_once_one_mode_has_grown(case: Case) -> None:
    """Densities of period 2 pi/k keep it under USA; and when the fastest mode k has grown from delta, another mode j
    has grown by delta^(-lambda_j/lambda_k) only, so that the density is near a periodic one.

    Derived here: while the k-th moment is small both grow at the rates of the linear phase, and what is left of the
    time is no longer for a smaller delta.
    """
    k = case.choose("k", [3, 4])
    beta = beta_of_the_fastest(case, k, case.draw("place between the switching values", 0.2, 0.8))
    j = k + case.choose("step to the other mode", [-1, 1, 1])
    case.require("the other mode is another one", j >= 1 and j % k != 0 and max(j, k) < MODES // 2)
    trace, seeds = 1e-14, case.given("delta", (1e-5, 1e-7))
    case.require("the seeds are small, two, and in order", len(seeds) == 2 and 1e-3 > seeds[0] > seeds[1] > 1e-10)
    found = [case.measure(moments_when_grown, k, j, beta, seed, trace) for seed in seeds]
    alone = case.measure(moments_when_grown, k, j, beta, seeds[0], 0.0)
    because = "they are 0 from the start to the end"
    within = 1e-12
    astray = np.abs(alone[~case.statement.periodic(k)]).max()
    case.compare(astray, 0.0, within=within, because=because, name="other moments of a periodic density")
    grown = [abs(moments[j - 1]) / trace for moments in found]
    exponent = np.log(grown[1] / grown[0]) / np.log(seeds[0] / seeds[1])
    because = "terms of relative order delta while moments are small, and rtol 1e-11"
    case.compare(exponent, case.statement.exponent(j, k, beta), within=2e-4, because=because, name="exponent")


@densities_are_nearly_periodic_once_one_mode_has_grown.figure
def growth_of_another_mode(case: Case, ax: Any) -> Any:
    """Draw by how much another mode has grown when the fastest is at 0.3, over where the fastest began."""
    k, trace = case.instance["k"], 1e-14
    beta = beta_of_the_fastest(case, k, case.instance["place between the switching values"])
    j = k + case.instance["step to the other mode"]
    seeds = np.geomspace(case.instance["delta"][0], case.instance["delta"][1], 7)
    grown = np.array([case.measure(moments_when_grown, k, j, beta, float(s), trace)[j - 1] / trace for s in seeds])
    draw_growth(
        ax, seeds, grown, case.statement.exponent(j, k, beta), rf"mode {j} beside mode {k}, $\beta = {beta:.3g}$"
    )
    return ax


def draw_growth(ax: Any, seeds: np.ndarray, grown: np.ndarray, exponent: float, title: str) -> None:
    """Draw growths over the seed of the fastest mode, and the stated power through the last of them."""
    ax.loglog(seeds, np.abs(grown), "o", color=ACCENT[0], label="growth of the other mode")
    power = rf"stated: $\delta^{{-{exponent:.3f}}}$"
    ax.loglog(seeds, abs(grown[-1]) * (seeds / seeds[-1]) ** -exponent, "--", color=THEORY, label=power)
    ax.loglog(
        seeds, abs(grown[-1]) * seeds[-1] / seeds, ":", color=MUTED, label=r"growth of the fastest, $\propto1/\delta$"
    )
    ax.set(xlabel=r"$\delta$", ylabel="factor of growth", title=title)
    ax.legend()


@densities_are_nearly_periodic_once_one_mode_has_grown.mutation("exponent")
def all_modes_keep_pace(j: int, k: int, beta: float) -> float:
    """All modes grow as the fastest does: nothing selects a period."""
    return 1.0


@densities_are_nearly_periodic_once_one_mode_has_grown.mutation("exponent")
def rates_of_bessel_functions_alone(j: int, k: int, beta: float) -> float:
    """The factor k^2 of the rates is left out."""
    return float(iv(j, beta) / iv(k, beta))


@densities_are_nearly_periodic_once_one_mode_has_grown.mutation("periodic")
def period_of_the_next_mode(k: int) -> np.ndarray:
    """The period is 2 pi/(k + 1)."""
    return np.arange(1, MODES + 1) % (k + 1) == 0


#: angles or heights of a density that is followed by the library's flow: as in the linear phase
PLACES = {2: 64, 3: 24}
#: the moment that the fastest mode would have at the end by the linear law
END = 0.03


def zonal_moments(values: np.ndarray, d: int) -> np.ndarray:
    """Return the means of the first zonal harmonics, 1 to 8, of a density on the circle or on S^2."""
    if d == 2:
        return np.fft.rfft(values)[1:9].real / len(values)
    heights, weights = np.polynomial.legendre.leggauss(len(values))
    return np.polynomial.legendre.legvander(heights, 8)[:, 1:].T @ (weights * values) / 2


def zonal_when_grown(d: int, beta: float, seed: float, odd: int, trace: float) -> tuple[np.ndarray, str]:
    """Return moments of a density under USA that began with the second at `seed` and an odd one at `trace`.

    It ends when the second would be END if it grew at its rate: at one stage of its growth for all seeds.
    """
    if d == 2:
        harmonics = 2 * np.cos(np.outer(2 * np.pi * np.arange(PLACES[2]) / PLACES[2], np.arange(4)))
    else:
        heights = np.polynomial.legendre.leggauss(PLACES[3])[0]
        harmonics = np.polynomial.legendre.legvander(heights, 3) * (2 * np.arange(4) + 1)
    density = mf.Density(mf.Sphere(d), 1 + seed * harmonics[:, 2] + trace * harmonics[:, odd])
    rate = theory.growth_rates_around_uniform([2], beta=beta, d=d, model="unnormalised")[0]
    end = float(np.log(END / seed) / rate)
    solver = mf.Adaptive(rtol=1e-8, atol=1e-11, max_steps=5000)
    path = mf.flow(density, mf.SelfAttention(beta, weighting="unnormalised"), until=end, save=[0.0, end], solver=solver)
    return zonal_moments(np.asarray(path.values)[-1], d), path.status


def share_of_the_second(j: int, beta: float, d: int) -> float:
    """Return the rate of degree j around the uniform law over that of degree 2."""
    one, second = theory.growth_rates_around_uniform([j, 2], beta=beta, d=d, model="unnormalised")
    return float(one / second)


def beta_of_degree_two(case: Case, d: int) -> float:
    """Return a beta for which degree 2 is the fastest."""
    low, high = theory.switching_betas(2, d=d)
    beta = low + case.draw("place between the switching values", 0.3, 0.8) * (high - low)
    case.require("degree 2 is the fastest", theory.dominant_degree(beta=beta, d=d) == 2)
    return beta


@claim(
    "2410.23228",
    "quasi-linear phase, d = 3",
    covers=["6.1"],
    status="derived",
    id="2410.23228/quasi-linear-sphere",
    states={"exponent": share_of_the_second, "even": lambda: np.arange(1, 9) % 2 == 0},
)
def zonal_densities_are_nearly_even_once_degree_two_has_grown(case: Case) -> None:
    """Where degree 2 is the fastest, on S^2 (beta from 1.82 to 4.42) and on the circle, even densities stay even under
    USA; and when degree 2 has grown from delta, an odd degree j has grown by delta^(-lambda_j/lambda_2) only.

    Derived here, as on the circle: while all is small each degree grows at its rate, and what comes after takes as
    long for every delta. The library's flow of a density is followed.
    """
    d, j = case.choose("d", [3, 2, 3]), case.choose("j", [1, 3])
    case.require("on the circle or on S^2", d in PLACES)
    case.require("the other degree is an odd one, 1 or 3", j in (1, 3))
    beta = beta_of_degree_two(case, d)
    trace, seeds = 1e-6, case.given("delta", (1e-4, 1e-5))
    case.require("the seeds are small, two, and in order", len(seeds) == 2 and 1e-3 >= seeds[0] > seeds[1] > 1e-7)
    runs = [case.measure(zonal_when_grown, d, beta, seed, j, trace) for seed in seeds]
    runs.append(case.measure(zonal_when_grown, d, beta, seeds[0], j, 0.0))
    case.require("the flow ran to its end", all(status == "reached" for _, status in runs))
    one, two, alone = (moments for moments, _ in runs)
    astray = np.abs(alone[~case.statement.even()]).max()
    because = "rounding, which grows by 300"
    case.compare(astray, 0.0, within=1e-10, because=because, name="odd moments of an even density")
    exponent = np.log(two[j - 1] / one[j - 1]) / np.log(seeds[0] / seeds[1])
    because = "terms of relative order delta while moments are small, and squares of what the trace has grown to"
    case.compare(exponent, case.statement.exponent(j, beta, d), within=2e-3, because=because, name="exponent")


@zonal_densities_are_nearly_even_once_degree_two_has_grown.figure
def growth_of_an_odd_degree(case: Case, ax: Any) -> Any:
    """Draw by how much an odd degree has grown when the second has, over where the second began."""
    d, j, trace = case.instance["d"], case.instance["j"], 1e-6
    beta, seeds = beta_of_degree_two(case, d), np.geomspace(case.instance["delta"][0], case.instance["delta"][1], 5)
    runs = [case.measure(zonal_when_grown, d, beta, float(seed), j, trace)[0] for seed in seeds]
    grown = np.array([abs(moments[j - 1]) / trace for moments in runs])
    title = rf"degree {j} beside degree 2, $d = {d}$, $\beta = {beta:.3g}$"
    draw_growth(ax, seeds, grown, case.statement.exponent(j, beta, d), title)
    return ax


@zonal_densities_are_nearly_even_once_degree_two_has_grown.mutation("exponent")
def rates_of_the_next_dimension(j: int, beta: float, d: int) -> float:
    """The rates of the circle stand for those of S^2, and of S^2 for those of the circle."""
    return share_of_the_second(j, beta, 5 - d)


@zonal_densities_are_nearly_even_once_degree_two_has_grown.mutation("exponent")
def all_degrees_keep_pace(j: int, beta: float, d: int) -> float:
    """All degrees grow as the second does: nothing makes a density even."""
    return 1.0


@zonal_densities_are_nearly_even_once_degree_two_has_grown.mutation("even")
def odd_densities_stay_odd() -> np.ndarray:
    """What is kept is that the density less 1 is odd."""
    return np.arange(1, 9) % 2 == 1

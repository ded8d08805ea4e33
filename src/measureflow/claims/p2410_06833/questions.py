"""Open questions about metastability: uniform data, the staircase of the unmodified flow, and bands of the energy."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration
from measureflow.claims.instances import normalised
from measureflow.claims.p2410_06833.energy_clock import (
    Meeting,
    four_tokens,
    length_under_sa,
    length_under_usa,
    meetings,
    run,
    step_lengths,
)
from measureflow.paths.style import ACCENT, MUTED, THEORY, shades

#: values of beta for lifetimes by tier and dimension, and for bands
BETAS = {"smoke": {2: (4.0, 9.0)}}
BANDS = {"smoke": (4.0, 9.0)}
#: values of beta for staircases
STEEP = {"smoke": (20.0, 80.0), "standard": (20.0, 80.0, 320.0), "full": (20.0, 80.0, 160.0, 320.0, 640.0)}


def uniform(case: Case, n: int, d: int, draw: int) -> mf.Tokens:
    """Return uniform tokens."""
    points = normalised(case.generator(f"uniform {d} {draw}").normal(size=(n, d)))
    return mf.Tokens(mf.Sphere(d), points)


@exploration("2410.06833", "section 4, uniform data", covers=["P1"], id="2410.06833/P1")
def lifetimes_of_plateaus_from_uniform_tokens(case: Case) -> dict[str, Any]:
    """How many clusters does the first plateau of uniform tokens have, and how long do plateaus last, in fixed d?

    The metastability theorem covers separated tokens only, which uniform ones on the circle are with probability at
    most c^(n-1) (claim 2410.06833/circle). SA on the circle and on S^2; a plateau is a stretch of one number of
    clusters over which time grows tenfold. For comparison the modes of a kernel density,
    sqrt(3 beta/2) on the circle and beta/sqrt(3) on S^2.
    """
    n = case.given("n", {"smoke": 12, "standard": 100, "full": 200}[case.tier])
    draws = case.given("draws", {"smoke": 4, "standard": 40, "full": 200}[case.tier])
    save = 50 if case.tier == "smoke" else 200
    found: dict[str, Any] = {"tokens": n, "draws": draws}
    dims = case.given("d", {"smoke": (2,)}.get(case.tier, (2, 3)))
    for d in dims:
        for beta in case.given(
            f"betas in dimension {d}", BETAS.get(case.tier, {2: (4.0, 9.0, 16.0)}).get(d, (4.0, 9.0))
        ):
            field, until = mf.SelfAttention(beta), float(np.exp(1.5 * beta) * 100)
            paths = [mf.flow(uniform(case, n, d, k), field, until=until, save=save) for k in range(draws)]
            near = {"delta": 0.125 / beta, "ratio": 10.0}  # half of beta^(-1/2): merges are seen much later than that
            first = [mf.observe.plateaus(path, **near).counts[:1] for path in paths]
            lives = mf.observe.plateaus(paths, **near)
            modes = {2: np.sqrt(1.5 * beta), 3: theory.expected_modes_on_sphere(beta)}
            found[f"d = {d}, beta = {beta:g}"] = {
                "clusters of the first plateau": float(np.concatenate(first).mean()),
                "modes of a density": float(modes.get(d, np.nan)),
                "median lifetime, from, to, by clusters": {
                    int(count): [float(value) for value in row]
                    for count, *row in zip(lives.counts, lives.median, lives.low, lives.high, strict=True)
                },
            }
    return found


@lifetimes_of_plateaus_from_uniform_tokens.figure
def lifetimes(findings: Findings, ax: Any) -> None:
    """Draw the lifetimes of plateaus over the number of clusters, and what a density would have of them at first."""
    rows = {name: row for name, row in findings.found.items() if isinstance(row, dict)}
    for (name, row), colour, marker in zip(
        rows.items(), shades(len(rows), high=0.7), "osD^v" * len(rows), strict=False
    ):
        lives = row["median lifetime, from, to, by clusters"]
        counts = np.array([int(count) for count in lives])
        middle, low, high = np.array(list(lives.values()), float).T
        seen = np.isfinite(middle)  # the last state has no end
        spread = np.array([middle - low, high - middle])[:, seen]
        spread = np.where(np.isfinite(spread) & (spread < middle[seen]), spread, 0.0)  # an end that is not known
        said = name.replace("beta", r"$\beta$")
        label = f"{said}: first plateau of {row['clusters of the first plateau']:.1f}"
        ax.errorbar(counts[seen], middle[seen], yerr=spread, fmt=marker + "-", color=colour, capsize=3, label=label)
        if np.isfinite(row["modes of a density"]):
            ax.axvline(row["modes of a density"], color=colour, ls="--", lw=1.2)
    ax.plot([], [], "--", color=MUTED, label="modes of a kernel density")
    ax.set(yscale="log", xlabel="clusters of the plateau", ylabel="lifetime, median and its interval")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_title(f"{findings.found['tokens']} uniform tokens, {findings.found['draws']} draws")
    ax.legend()


@exploration("2410.06833", "section 5, unmodified dynamics", covers=["P8"], id="2410.06833/P8")
def staircase_of_the_unmodified_flow(case: Case) -> dict[str, Any]:
    r"""Does the energy of unmodified SA and USA, in any d, become a staircase in the clock log beta / |grad E|?

    Stated for modified USA on the circle with the clock of the nearest pair (claim 2410.06833/V16); for others the
    clock log beta / |grad E| is proposed. In it the speed is log beta. Derived: a pair alone, of masses a and b, meets
    after $u\sqrt{ab/(a+b)}/\log\beta$ under USA* (claim 2410.06833/clock-of-the-energy), after
    $u\sqrt{ab(a^3+b^3)}/((a^2+b^2)\log\beta)$ under SA as beta grows; and its jump, from a tenth to nine tenths of the
    height, has the share $1.687\,\beta^{-1/2}/u$ of this: not O(1). Measured for four tokens, and for the first three
    of them, are the lengths of the steps and (but for the smoke tier) of the jumps over these laws, and the share of
    the time to one cluster in which the energy is not within 0.01 of a sum of squares of masses: 0 for a staircase.
    """
    small = case.tier == "smoke"
    betas, sizes = case.given("betas", STEEP[case.tier]), case.given("n", (3, 4))
    case.require("n is 2, 3 or 4", set(sizes) <= {2, 3, 4})
    case.require("betas are above 1, for a clock", min(betas) > 1)
    found: dict[str, Any] = {}
    for d, model in [(3, "SA"), (2, "USA*"), (2, "SA"), (3, "USA*")][: 2 if small else 4]:
        for beta, n in [(beta, n) for beta in betas for n in sizes]:
            masses = (np.arange(4) < n) / n
            tokens = mf.Tokens(mf.Sphere(d), four_tokens(d), masses, present=masses > 0)
            path = run(tokens, beta, model, 61 if small else 301)
            energy, times = np.asarray(mf.observe.energy(path, beta=beta)), np.asarray(path.times)
            end = float(times[np.argmax(energy > 0.999)]) if energy.max() > 0.999 else float("inf")
            between = np.abs(energy[:, None] - levels(n)).min(axis=1) > 0.01
            law = length_under_sa if model == "SA" else length_under_usa
            stairs = meetings(four_tokens(d)[:n], masses[:n], model)
            seen = step_lengths(path)
            laws = np.array([law(stair, beta) for stair in stairs[: len(seen)]])
            findings = {
                "one cluster at": end,
                "share between levels": float(between[times <= end].mean()),
                "steps over the law": (seen / laws).tolist(),
            }
            if not small:
                findings["jumps over the law"] = jumps(times, energy, stairs[: len(seen)], laws, beta)
            if (beta, n) == (max(betas), max(sizes)):
                # for a picture: the energy, and the staircase of the law
                findings |= {"clock": times.tolist(), "energy": energy.tolist()}
                every = np.array([law(stair, beta) for stair in stairs])
                heights = np.cumsum([2.0 * stair.one * stair.two for stair in stairs])
                findings["stairs of the law"] = [np.cumsum(every).tolist(), (1.0 - heights[-1] + heights).tolist()]
            found[f"d = {d}, {model}, n = {n}, beta = {beta:g}"] = findings
    return found


@staircase_of_the_unmodified_flow.figure
def staircases(findings: Findings, ax: Any) -> None:
    """Draw the energy of the largest beta in its clock, for every model, beside the staircase of the law."""
    rows = {name: row for name, row in findings.found.items() if "energy" in row}
    for (name, row), colour, height in zip(rows.items(), shades(len(rows), high=0.6), range(len(rows)), strict=True):
        moments, levels_after = (np.array(part) for part in row["stairs of the law"])
        first = row["energy"][0]
        ax.plot(row["clock"], np.array(row["energy"]) + height, color=colour)
        said = name.replace("beta", r"$\beta$")
        between = f"between levels for {row['share between levels']:.0%} of the time"
        ax.annotate(f"{said}\n{between}", (0.005, 0.9 + height), va="top", fontsize=10, color=colour)
        ends = [0.0, *moments, max(max(row["clock"]), moments[-1])]
        ax.step(
            ends, np.array([first, *levels_after, levels_after[-1]]) + height, "--", where="post", color=THEORY, lw=1.4
        )
    ax.plot([], [], color=MUTED, label="energy of the flow")
    ax.plot([], [], "--", color=THEORY, label="each pair as if alone: steps of the law")
    ticks = [(height + level, f"{level:g}") for height in range(len(rows)) for level in (0, 0.5)]
    ax.set_yticks(*zip(*ticks, strict=True))
    ax.set(xlabel=r"clock $s$, $ds = |\nabla E|\,dt\,/\log\beta$", ylabel="energy (models one above the other)")
    ax.set(xlim=(0, None), ylim=(0, len(rows) + 0.05))
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)


def jumps(times: np.ndarray, energy: np.ndarray, stairs: list[Meeting], laws: np.ndarray, beta: float) -> list[float]:
    """Return how long the energy takes from a tenth to nine tenths of each jump, over what a pair alone takes."""
    climbed, level, found = (
        np.maximum.accumulate(energy),
        1.0 - sum(2.0 * stair.one * stair.two for stair in stairs),
        [],
    )
    for stair, law in zip(stairs, laws, strict=True):
        height = 2.0 * stair.one * stair.two
        begin, end = np.interp([level + 0.1 * height, level + 0.9 * height], climbed, times)
        share = (np.sqrt(2 * np.log(10.0)) - np.sqrt(2 * np.log(10.0 / 9.0))) / np.sqrt(beta) / stair.angle
        found.append(float((end - begin) / (share * law)))
        level += height
    return found


def levels(n: int) -> np.ndarray:
    """Return every sum of squares of the masses of a partition of n equal tokens."""
    sums = {0: {0}}
    for whole in range(1, n + 1):
        sums[whole] = {part**2 + rest for part in range(1, whole + 1) for rest in sums[whole - part]}
    return np.array(sorted(sums[n])) / n**2


@exploration("2410.06833", "section 4, energy levels", covers=["P9"], id="2410.06833/P9")
def bands_of_the_energy(case: Case) -> dict[str, Any]:
    """Is a band of the energy metastable: does a flow from uniform tokens stay in it for a time exponential in beta?

    For each draw, the longest time that the energy takes through a band of width 1/50 which it also leaves; the median
    over draws against beta, on the circle (and from the standard tier on S^2), and the slope of its logarithm. A slope
    that does not fall off with beta speaks for metastability of bands of this width; two clusters of cosine u last
    e^(beta (1 - u)).
    """
    n = case.given("n", {"smoke": 12, "standard": 64, "full": 128}[case.tier])
    draws = case.given("draws", {"smoke": 4, "standard": 24, "full": 100}[case.tier])
    betas, width = case.given("betas", BANDS.get(case.tier, (4.0, 8.0, 12.0, 16.0))), case.given("width", 0.02)
    case.require("there are two betas at least, for a slope", len(betas) > 1)
    save = 50 if case.tier == "smoke" else 200
    found: dict[str, Any] = {"tokens": n, "draws": draws, "width": width}
    for d in case.given("d", {"smoke": (2,)}.get(case.tier, (2, 3))):
        medians = []
        for beta in betas:
            field, until = mf.SelfAttention(beta), float(np.exp(2.0 * beta) * 100)
            paths = [mf.flow(uniform(case, n, d, k), field, until=until, save=save) for k in range(draws)]
            dwells = [longest_in_a_band(np.asarray(path.times), np.asarray(path.energy), width) for path in paths]
            medians.append(float(np.median(dwells)))
        found[f"d = {d}: median of the longest dwell"] = dict(zip(map(str, betas), medians, strict=True))
        found[f"d = {d}: slope of its logarithm in beta"] = float(np.polyfit(betas, np.log(medians), 1)[0])
    return found


@bands_of_the_energy.figure
def dwells(findings: Findings, ax: Any) -> None:
    """Draw the median of the longest dwell over beta, beside that of two clusters at a right angle."""
    found = findings.found
    rows = {name[4]: row for name, row in found.items() if isinstance(row, dict)}
    for (d, row), marker, colour in zip(rows.items(), "os", ACCENT[:2], strict=False):
        betas = np.array([float(beta) for beta in row])
        slope = found[f"d = {d}: slope of its logarithm in beta"]
        label = rf"on $S^{{{int(d) - 1}}}$: $e^{{{slope:.2f}\,\beta}}$"
        ax.plot(betas, list(row.values()), marker + "-", color=colour, label=label)
    start = min(next(iter(row.values())) for row in rows.values())
    for power, style, what in ((1, "--", "two clusters at a right angle"), (2, ":", "two opposite clusters")):
        label = rf"$e^{{{power if power > 1 else ''}\beta}}$: {what}"
        ax.plot(betas, start * np.exp(power * (betas - betas[0])), style, color=THEORY, label=label)
    ax.set(yscale="log", xlabel=r"$\beta$", ylabel=f"longest time in a band of energy {found['width']:g}, median")
    ax.set_title(f"{found['tokens']} uniform tokens, {found['draws']} draws")
    ax.legend()


def longest_in_a_band(times: np.ndarray, energy: np.ndarray, width: float) -> float:
    """Return the longest dwell of a rising energy in a band `[e, e + width]` that it also leaves."""
    first = np.arange(len(times))
    leaves = np.searchsorted(np.maximum.accumulate(energy), energy + width, side="right")
    seen = (leaves < len(times)) & (times > 0)
    dwell = np.where(seen, times[np.minimum(leaves, len(times) - 1)] - times[first], 0.0)
    return float(max(dwell.max(), times[1]))

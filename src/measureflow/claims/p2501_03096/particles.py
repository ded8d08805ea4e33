"""Particles and their limit: as near at a fixed time as at the start, up to how the limit is spread."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import cloud, speeds
from measureflow.paths.style import ACCENT, THEORY

ANGLES = 2 * np.pi * np.arange(64) / 64
N, UNTIL = 48, 1.0


def distance(n: int, density: np.ndarray) -> float:
    """Return the distance W_2 of n quantiles from a density on the circle, to leading order.

    The mass 1/n about a quantile is spread over an arc of length 2 pi / (n f): W_2^2 is its variance on average.
    """
    return float(2 * np.pi / n * np.sqrt((1.0 / density).mean() / 12.0))


def copies(count: int) -> float:
    """Return by how much a field grows where every token is repeated: not at all."""
    return 1.0


@claim(
    "2501.03096",
    "mean-field limit",
    covers=["T23"],
    id="2501.03096/T23",
    status="derived",
    states={"distance": distance, "copies": copies},
)
def particles_stay_as_near_to_their_limit_as_at_the_start(case: Case) -> None:
    """n quantiles of a density on the circle, moved by SA, are at time t at the distance W_2 of n quantiles of the
    density that solves the continuity equation: the rate of the start is kept. Repeated tokens are the same measure."""
    n, (limit, path) = case.given("n", N), both_moved(case)
    case.require("density and tokens were followed to the end", {limit.status, path.status} == {"reached"})
    for k, name in enumerate(("start", "end")):
        density = np.asarray(limit.values)[k]
        case.require("the density is resolved and positive", density.min() > 0.05)
        measured = float(case.measure(mf.measures.wasserstein, path[k], limit[k]))
        because = f"the next order of {n} quantiles, and solver rtol 1e-8"
        stated = case.statement.distance(n, density)
        within = 2e-3 * max(1.0, N / n) ** 2
        case.compare(measured, stated, within=within, relative=True, because=because, name=f"W_2 at the {name}")
    tokens = cloud(case)
    twice = mf.Tokens(tokens.space, np.tile(np.asarray(tokens.points), (2, 1)))
    for weighting in ("softmax", "unnormalised"):
        head = mf.SelfAttention(case.instance["kappa"], weighting=weighting)
        one, both = (speeds(case, head, mu)[:8] for mu in (tokens, twice))
        stated = case.statement.copies(2) * one
        case.compare(both, stated, within=1e-14, because="rounding of sums of 16 terms", name=f"copies, {weighting}")


def both_moved(case: Case) -> tuple[mf.Path, mf.Path]:
    """Return the paths of a density on the circle, and of its quantiles."""
    kappa, sign = case.draw("kappa", 0.5, 1.0), case.choose("V/D", [1.0, -1.0])
    first, second = case.draw("first mode", 0.5, 0.6), case.draw("second mode", -0.1, 0.1)
    start = mf.Density(mf.Sphere(2), 1.0 + first * np.cos(ANGLES) + second * np.sin(2 * ANGLES))
    field, until = mf.SelfAttention(kappa, value=sign), case.given("until", UNTIL)
    solver = mf.Adaptive(rtol=1e-8, atol=1e-10, coarsen=False, max_steps=5000)
    options = {"until": until, "save": np.array([0.0, until]), "solver": solver}
    limit = case.measure(mf.flow, start, field, **options)
    return limit, case.measure(mf.flow, case.measure(quantiles, start, case.given("n", N)), field, **options)


def quantiles(density: mf.Density, n: int) -> mf.Tokens:
    """Return tokens at quantiles."""
    return density.quantiles(n)


@particles_stay_as_near_to_their_limit_as_at_the_start.figure
def densities_and_tokens(case: Case, ax: Any) -> None:
    """Draw the density at the start and at the end, and one over the gaps of the tokens that moved with it."""
    (limit, path), until = both_moved(case), case.instance["until"]
    for k, (colour, t) in enumerate(zip(ACCENT, (0.0, until), strict=False)):
        ax.plot(ANGLES, np.asarray(limit.values)[k], "--", color=THEORY, lw=1.3, label="density" if k else None)
        points = np.asarray(path.points)[k]
        angles = np.sort(np.arctan2(points[:, 1], points[:, 0]) % (2 * np.pi))
        gaps = np.diff(np.append(angles, angles[0] + 2 * np.pi))
        ax.plot((angles + 0.5 * gaps) % (2 * np.pi), 2 * np.pi / (len(angles) * gaps), "o", color=colour, ms=5,
                label=f"tokens, t = {t:g}")  # fmt: skip
    ax.set(xlabel="angle", ylabel=r"density; tokens: $2\pi / (n\,\Delta\theta)$")
    about = (case.instance["n"], case.instance["kappa"], case.instance["V/D"])
    ax.set_title("n = {}, kappa = {:.3g}, V/D = {:+g}".format(*about), fontsize=11, loc="left")
    ax.legend(fontsize=9)


@particles_stay_as_near_to_their_limit_as_at_the_start.mutation("distance")
def as_independent_tokens(n: int, density: np.ndarray) -> float:
    """n^(-1/2), the rate of independent tokens."""
    return distance(n, density) * n**0.5


@particles_stay_as_near_to_their_limit_as_at_the_start.mutation("distance")
def at_the_borders(n: int, density: np.ndarray) -> float:
    """Tokens at the ends of their arcs: 1/3 in place of 1/12."""
    return 2.0 * distance(n, density)


@particles_stay_as_near_to_their_limit_as_at_the_start.mutation("distance")
def as_if_uniform(n: int, density: np.ndarray) -> float:
    """Every arc is 2 pi/n long."""
    return distance(n, np.ones_like(density))


@particles_stay_as_near_to_their_limit_as_at_the_start.mutation("copies")
def sums_for_means(count: int) -> Any:
    """Sums over tokens in place of means: repeated tokens pull twice."""
    return float(count)

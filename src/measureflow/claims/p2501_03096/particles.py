"""Particles and their limit: as near at a fixed time as at the start, up to how the limit is spread."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import cloud, speeds

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
    kappa, sign = case.draw("kappa", 0.5, 1.0), case.choose("V/D", [1.0, -1.0])
    first, second = case.draw("first mode", 0.5, 0.6), case.draw("second mode", -0.1, 0.1)
    start = mf.Density(mf.Sphere(2), 1.0 + first * np.cos(ANGLES) + second * np.sin(2 * ANGLES))
    field = mf.SelfAttention(kappa, value=sign)
    solver = mf.Adaptive(rtol=1e-8, atol=1e-10, coarsen=False, max_steps=5000)
    options = {"until": UNTIL, "save": np.array([0.0, UNTIL]), "solver": solver}
    limit = case.measure(mf.flow, start, field, **options)
    path = case.measure(mf.flow, case.measure(quantiles, start, N), field, **options)
    case.require("density and tokens were followed to the end", {limit.status, path.status} == {"reached"})
    for k, name in enumerate(("start", "end")):
        density = np.asarray(limit.values)[k]
        case.require("the density is resolved and positive", density.min() > 0.05)
        measured = float(case.measure(mf.measures.wasserstein, path[k], limit[k]))
        because = f"the next order of {N} quantiles, and solver rtol 1e-8"
        stated = case.statement.distance(N, density)
        case.compare(measured, stated, within=2e-3, relative=True, because=because, name=f"W_2 at the {name}")
    tokens = cloud(case)
    twice = mf.Tokens(tokens.space, np.tile(np.asarray(tokens.points), (2, 1)))
    for weighting in ("softmax", "unnormalised"):
        head = mf.SelfAttention(kappa, weighting=weighting)
        one, both = (speeds(case, head, mu)[:8] for mu in (tokens, twice))
        stated = case.statement.copies(2) * one
        case.compare(both, stated, within=1e-14, because="rounding of sums of 16 terms", name=f"copies, {weighting}")


def quantiles(density: mf.Density, n: int) -> mf.Tokens:
    """Return tokens at quantiles."""
    return density.quantiles(n)


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

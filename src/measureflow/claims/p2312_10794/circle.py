"""The circle: tokens end in one point there too, at every beta above -0.16, and below -2/3 they need not."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import N, follow
from measureflow.claims.p2312_10794.clustering import clusters_at_the_end, count
from measureflow.fields import Unnormalised
from measureflow.paths.style import ACCENT, THEORY

#: the ranges of beta for three tokens near the corners of a triangle: on both sides of -2/3, and at a positive beta
TRIANGLE = {"stable": (-1.5, -0.8), "just not": (-0.6, -0.52), "far from it": (0.4, 0.6)}
MODELS = {"SA": "softmax", "USA": Unnormalised(shifted=True)}


def ranges(n: int) -> dict[str, tuple[float, float]]:
    """Return those for n tokens drawn on the whole circle: by 2507.22857, 2405.18273, 2507.22857 and Theorem 5.1."""
    return {"below 0": (-0.15, -0.05), "up to 1": (0.3, 1.0), "above": (3.0, 6.0), "large": (2.0 * n**2, 2.5 * n**2)}


def on_circle(case: Case, angles: np.ndarray, weights: Any = None) -> mf.Tokens:
    """Return tokens of the circle.

    At the smoke tier it is a great circle of S^2, whose third coordinate stays 0 to the last bit, since sums of zeros
    are: so that its flows are run by the programs of other claims.
    """
    angles = angles + case.draw("turn", 0.0, 6.0)
    points = np.stack([np.cos(angles), np.sin(angles)] + [0 * angles] * (case.tier == "smoke"), axis=1)
    return mf.Tokens(mf.Sphere(points.shape[1]), points, weights)


def clusters_left(case: Case, tokens: mf.Tokens, beta: float, model: str) -> int:
    """Return how many clusters are left at a beta of any sign."""
    if beta >= 0:
        return clusters_at_the_end(case, tokens, mf.SelfAttention(beta, weighting=MODELS[model]))
    # <Qx, Ky> = -2<x, y>: a negative beta; matrices, as claims with any Q and K have them
    query, key = -2.0 * np.eye(tokens.d), np.eye(tokens.d)
    weighting = "softmax" if model == "SA" else "unnormalised"
    field = mf.SelfAttention(-beta / 2, query=query, key=key, weighting=weighting)
    points = follow(case, tokens, field, np.array([400.0]), rtol=1e-10)[-1]
    case.require("the tokens stay on the circle", not points[:, 2:].any())
    return count(points)


@claim(
    "2312.10794",
    "Theorems 4.1 to 5.1, d = 2",
    covers=["3.3", "Thm 4.3", "Thm 5.1", "V13"],
    id="2312.10794/circle",
    states={"uniform": lambda beta, n: 1, "triangle": lambda beta: 3 if beta < -2 / 3 else 1},
)
def tokens_on_the_circle_end_in_one_cluster_down_to_a_negative_beta(case: Case) -> None:
    """On the circle uniform tokens end in one cluster under SA and USA, at beta from -0.15 to beyond n^2; three tokens
    near the corners of a triangle stay three clusters at beta < -2/3, and nowhere above."""
    n = case.given("n", N)
    case.require("there are tokens", n >= 1)
    angles = case.generator("angles").uniform(0, 2 * np.pi, n)
    for name, (low, high) in ranges(n).items():
        beta = case.draw(f"beta {name}", low, high)
        case.require("beta is at least -0.16, where tokens are known to meet", beta >= -0.16)
        for model in MODELS:
            found = clusters_left(case, on_circle(case, angles), beta, model)
            stated = case.statement.uniform(beta, n)
            case.compare(found, stated, within=0.05, because="they are integers", name=f"uniform, {name}, {model}")
    # massless tokens on top of the three keep the shape; a step of each of at most 0.1
    near = 2 * np.pi / 3 * np.arange(N) + np.resize(case.generator("near").uniform(-0.1, 0.1, 3), N)
    weights = np.where(np.arange(N) < 3, 1 / 3, 0.0)
    for name, (low, high) in TRIANGLE.items():
        beta = case.draw(f"beta of the triangle, {name}", low, high)
        near_switch = -0.12 < beta + 2 / 3 < 0.04
        case.require("beta is not near -2/3, where few starts keep a triangle, and others take long", not near_switch)
        for model in MODELS:
            found = clusters_left(case, on_circle(case, near, weights), beta, model)
            stated = case.statement.triangle(beta)
            case.compare(found, stated, within=0.05, because="they are integers", name=f"triangle, {name}, {model}")


the_circle = tokens_on_the_circle_end_in_one_cluster_down_to_a_negative_beta


@the_circle.figure
def clusters_over_beta(case: Case, ax: Any) -> None:
    """Draw how many clusters are left of the triangle and of uniform tokens, over beta, and what is stated."""
    left = {one.name: one.measured for one in case.comparisons}
    starts = {
        "triangle": ("^", "beta of the triangle, ", TRIANGLE),
        "uniform": ("o", "beta ", ranges(case.instance["n"])),
    }
    for start, (marker, named, kinds) in starts.items():
        for model, shade, size in (("SA", ACCENT[0], 10), ("USA", ACCENT[1], 5)):
            seen = [(case.instance[named + kind], left[f"{start}, {kind}, {model}"]) for kind in kinds]
            ax.plot(*zip(*seen, strict=True), marker, color=shade, ms=size, label=f"{start}, {model}")
    fine = np.linspace(-1.6, 0.8, 500)
    ax.plot(fine, [case.statement.triangle(beta) for beta in fine], "--", color=THEORY, label="stated near a triangle")
    ax.set(xlabel=r"$\beta$", ylabel="clusters left", title="tokens on the circle", xscale="symlog", yticks=[1, 2, 3])
    ax.legend()


@the_circle.mutation("uniform")
def opposite_points(beta: float, n: int) -> int:
    """Tokens gather at two opposite points."""
    return 2


@the_circle.mutation("uniform")
def first_plateau(beta: float, n: int) -> int:
    """The metastable clusters are taken for the end: about sqrt(3 beta/2) of them, and no more than tokens."""
    return int(np.clip(np.sqrt(1.5 * max(beta, 0.0)), 1, n))


@the_circle.mutation("triangle")
def one_cluster_at_every_beta(beta: float) -> int:
    """All tokens meet at any negative beta."""
    return 1


@the_circle.mutation("triangle")
def polygon_at_every_beta(beta: float) -> int:
    """The polygon is stable at any beta."""
    return 3


@the_circle.mutation("triangle")
def switch_at_one_half(beta: float) -> int:
    """The switch lies at -1/2, the cosine of 120 degrees."""
    return 3 if beta < -1 / 2 else 1

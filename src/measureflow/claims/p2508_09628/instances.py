"""What the claims on hardmax share: tokens of a cube, a form, and how they are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.paths.style import FAINT, MUTED

#: the common shape: tokens in the plane
TOKENS, D = 12, 2


def shape(case: Case) -> tuple[int, int]:
    """Return how many tokens there are, and their dimension."""
    n, d = case.given("n", TOKENS), case.given("d", D)
    case.require("there are more tokens than dimensions, and two of these or more", n > d >= 2)
    return n, d


def spread(case: Case) -> mf.Tokens:
    """Draw tokens of the cube [-1, 1]^d."""
    n, d = shape(case)
    return mf.Tokens(mf.Euclidean(d), case.generator("tokens").uniform(-1, 1, (n, d)))


def form_of(case: Case) -> np.ndarray:
    """Draw a symmetric positive definite form."""
    _, d = shape(case)
    condition = case.given("condition", 9.0)
    case.require("the condition of the form is at least 1", condition >= 1)
    axes, _ = np.linalg.qr(case.generator("form").normal(size=(d, d)))
    root = np.sqrt(condition)
    return (axes * np.geomspace(1 / root, root, d)) @ axes.T


def draw_hull(ax: Any, points: np.ndarray) -> None:
    """Draw tokens, by their first two coordinates, and for d = 2 their hull."""
    if points.shape[1] == 2:
        corners = points[np.asarray(mf.observe.hull(mf.Tokens(mf.Euclidean(2), points)).vertices)]
        order = np.argsort(np.arctan2(*(corners - corners.mean(axis=0)).T[::-1]))
        ax.fill(*corners[order].T, color=FAINT, alpha=0.5, lw=0)
    ax.plot(*points.T[:2], "o", color=MUTED, ms=5)
    ax.set(xlabel="$z_1$", ylabel="$z_2$")
    ax.set_aspect("equal", "datalim")

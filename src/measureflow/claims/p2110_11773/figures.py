"""The toy figure: links between two groups of points under softmax, and after Sinkhorn's iterations."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.figures import figure
from measureflow.paths.style import ACCENT, INK, MUTED
from measureflow.paths.style import figure as empty

#: of the published script: points of each group, dimension, scale of the score, seed, iterations
GROUP, DIM, SCALE, SEED, ITERATIONS = 5, 2, 20.0, 4, 100


@figure("2110.11773", "toy", title="links become a matching", id="2110.11773/toy")
def links_become_a_matching(case: Case) -> Any:
    """5 + 5 points in the plane, scale 20, seed 4, 100 iterations: under Sinkhorn the links are nearly a matching.

    The two groups are the queries and the keys of five tokens, each drawn normal; a link is as wide as its weight. Of
    softmax several queries look at one key, and some keys at none; all columns of Sinkhorn sum to one. The published
    points are not known: ours are drawn with the same seed by another generator.
    """
    group, scale = case.given("n", GROUP), case.given("scale", SCALE)
    iterations = case.given("iterations", ITERATIONS)
    rng = np.random.default_rng(case.given("seed of the points", SEED))
    queries, keys = rng.normal(size=(2, group, DIM))
    # tokens that are unit vectors, so that query and key matrices hold the points as columns
    tokens = mf.Tokens(mf.Euclidean(group), np.eye(group))
    drawing = empty(12.6, 4.6)
    drawing.suptitle(f"who attends to whom: queries (circles) and keys (squares) of {group} tokens")
    for axes, count in zip(drawing.subplots(1, 3), (1, 5, 2 * iterations + 1), strict=True):
        weighting = mf.fields.Sinkhorn(iterations=count)
        field = mf.SelfAttention(scale, query=queries.T, key=keys.T, weighting=weighting)
        weights = np.asarray(field.weights(tokens.points, tokens))
        for i, j in np.ndindex(group, group):
            ends = np.stack([queries[i], keys[j]])
            axes.plot(*ends.T, color=ACCENT[1], lw=4.0 * weights[i, j], alpha=0.8, solid_capstyle="butt", zorder=1)
        axes.scatter(*queries.T, s=60, color=ACCENT[0], zorder=2)
        axes.scatter(*keys.T, s=60, marker="s", facecolors="white", edgecolors=INK, zorder=2)
        off = np.abs(weights.sum(axis=0) - 1).max()
        name = "softmax" if count == 1 else f"Sinkhorn, {count} half steps"
        axes.set_title(f"{name}\ncolumns off by {off:.2g}")
        axes.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
        axes.tick_params(colors=MUTED)
    return drawing

"""Convex hulls of tokens: who stands at a corner, how large the hull is, and whether it shrinks. On the host."""

from __future__ import annotations

import itertools
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float

from measureflow.errors import BadInput
from measureflow.measures.gaussians import numbers
from measureflow.observables.along import measure_of

__all__ = ["Hull", "distance_to_hull", "hull"]


class Hull(eqx.Module):
    """The convex hull of the tokens with mass, of a measure or along a path.

    Attributes:
        vertices: `(*s, n)` which tokens are vertices: further than `within` from the hull of the others. Of tokens at
            one place the first stands for all.
        area: `(*s)` area of the hull in the plane; NaN in other dimensions.
        excess: `(*s)` how far the hull sticks out of the one before: 0 where hulls shrink. NaN at the first state.
    """

    vertices: Bool[np.ndarray, "*s n"]
    area: Float[np.ndarray, "*s"]
    excess: Float[np.ndarray, "*s"]


def hull(subject: Any, *, within: float = 1e-9) -> Hull:
    r"""Return the convex hull of tokens of any dimension, of a measure or at every kept state of a path.

    Distances to a hull are found exactly (an active-set method, not an approximation by directions), with an error of
    some roundings of the tokens' size. The cost is n small least-squares problems for each state.

    Arguments:
        within: a token counts as a vertex where it is so far, in units of the tokens' spread, from the hull of the
            others.

    Raises:
        BadInput: no tokens; batched paths.

    Example:
        >>> import measureflow as mf
        >>> square = mf.Tokens(mf.Euclidean(2), [[0, 0], [1, 0], [1, 1], [0, 1], [0.5, 0.5]])
        >>> found = mf.observe.hull(square)
        >>> found.vertices.tolist(), float(found.area)
        ([True, True, True, True, False], 1.0)
    """
    mu = measure_of(subject)
    if len(mu.batch) > 1:
        raise BadInput("hull: pick one path of the batch with jax.tree.map(lambda leaf: leaf[k], path).")
    points = np.asarray(mu.points, float)
    counts = np.asarray(mu.present) & (np.asarray(mu.weights) > 0)
    if not mu.batch:
        corners = vertices_of(points, counts, within)
        return Hull(corners, np.asarray(area_of(points[corners])), np.asarray(np.nan))
    corners = np.stack([vertices_of(x, here, within) for x, here in zip(points, counts, strict=True)])
    area = np.array([area_of(x[at]) for x, at in zip(points, corners, strict=True)])
    kept = [x[at] for x, at in zip(points, corners, strict=True)]
    excess = [distance_to_hull(later, earlier).max() for earlier, later in itertools.pairwise(kept)]
    return Hull(corners, area, np.array([np.nan, *excess]))


def distance_to_hull(queries: Any, points: Any) -> Float[np.ndarray, "m"]:
    r"""Return the distance of each query from the convex hull of the points, 0 inside.

    The point w of the hull of $y_j - x$ nearest to 0 comes from one non-negative least-squares problem,
    $\min |\sum_j u_j (y_j - x, 1) - (0, 1)|$, as $w = \sum_j u_j (y_j - x) / \sum_j u_j$ (Lawson and Hanson 1974, on
    least distance programming).

    Example:
        >>> from measureflow.observables import distance_to_hull
        >>> distance_to_hull([[2.0, 0.5], [0.5, 0.5]], [[0, 0], [1, 0], [1, 1], [0, 1]]).round(12).tolist()
        [1.0, 0.0]
    """
    from scipy.optimize import nnls

    queries, points = (
        np.atleast_2d(numbers(given, f"distance_to_hull: {name}"))
        for name, given in (("queries", queries), ("points", points))
    )
    if queries.shape[1] != points.shape[1] or not len(points):
        raise BadInput(f"distance_to_hull: queries have shape {queries.shape} and points {points.shape}.")
    aim = np.append(np.zeros(points.shape[1]), 1.0)
    distances = np.zeros(len(queries))
    for k, x in enumerate(queries):
        away = points - x
        size = np.abs(away).max()
        if not size > 0:
            continue
        share, _ = nnls(np.vstack([away.T / size, np.ones(len(points))]), aim)
        distances[k] = size * np.linalg.norm((share / share.sum()) @ (away / size))
    return distances


def vertices_of(points: np.ndarray, counts: np.ndarray, within: float) -> np.ndarray:
    """Return which of the points that count are vertices of their hull."""
    found = np.zeros(len(points), bool)
    if not counts.any():
        return found
    left = list(np.flatnonzero(counts))
    size = max(float(np.ptp(points[counts], axis=0).max()), np.finfo(float).tiny)
    # what is in the hull of the others leaves it as it is: dropped at once, so that of equal points one stays
    for k in list(reversed(left)):
        others = [j for j in left if j != k]
        if others and distance_to_hull(points[k], points[others])[0] <= within * size:
            left = others
    found[left] = True
    return found


def area_of(corners: np.ndarray) -> float:
    """Return the area of a polygon in the plane with these corners; NaN in other dimensions."""
    if corners.shape[1] != 2:
        return float("nan")
    if len(corners) < 3:
        return 0.0
    from_middle = corners - corners.mean(axis=0)
    x, y = corners[np.argsort(np.arctan2(from_middle[:, 1], from_middle[:, 0]))].T
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))

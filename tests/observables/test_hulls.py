"""Convex hulls in any dimension: who stands at a corner, how large they are, what sticks out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import ConvexHull

import measureflow as mf
from measureflow.observables import distance_to_hull, hull


@pytest.mark.parametrize("d", [2, 3, 5])
def test_vertices_and_area_are_those_of_qhull(d):
    points = np.random.default_rng(d).normal(size=(25, d))
    found, expected = hull(mf.Tokens(mf.Euclidean(d), points)), ConvexHull(points)
    assert set(np.flatnonzero(found.vertices)) == set(expected.vertices)
    if d == 2:
        assert float(found.area) == pytest.approx(expected.volume, rel=1e-12)
    else:
        assert np.isnan(found.area)


def test_distances_are_those_of_a_box_and_zero_inside():
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 2) for z in (0, 3)], float)
    queries = np.random.default_rng(0).uniform(-2, 5, (40, 3))
    expected = np.linalg.norm(queries - np.clip(queries, 0, [1, 2, 3]), axis=1)
    np.testing.assert_allclose(distance_to_hull(queries, corners), expected, atol=1e-12)
    for size in (1e-150, 1e100):
        np.testing.assert_allclose(distance_to_hull(size * queries, size * corners), size * expected, rtol=1e-9)


def test_of_tokens_at_one_place_one_is_a_vertex_and_tracers_do_not_count():
    points = [[0, 0], [1, 0], [1, 0], [0, 1], [9, 9], [0.2, 0.2]]
    mu = mf.Tokens(mf.Euclidean(2), points, [0.2, 0.2, 0.2, 0.2, 0.0, 0.2])
    assert hull(mu).vertices.tolist() == [True, True, False, True, False, False]


def test_along_a_path_hulls_of_rescaled_tokens_shrink_and_those_of_repelled_ones_grow():
    start = mf.Tokens(mf.Euclidean(2), np.random.default_rng(1).uniform(-1, 1, (8, 2)))
    seen = {}
    for value in (1.0, -1.0):
        path = mf.flow(start, mf.RescaledAttention(value=value), until=3.0, save=4)
        seen[value] = hull(path)
    assert np.nanmax(seen[1.0].excess) < 1e-8
    assert np.isnan(seen[1.0].excess[0])
    assert (np.diff(seen[1.0].area) < 0).all()
    assert np.nanmin(seen[-1.0].excess) > 1e-3


def test_what_has_no_hull_is_refused():
    with pytest.raises(mf.BadInput, match="one of Tokens, and this is a Gaussian"):
        hull(mf.Gaussian(np.zeros(2), np.eye(2)))
    for call, name in (
        (lambda mu: mf.observe.distance_to_hull(mu, mu.points), "distance_to_hull: queries"),
        (lambda mu: mf.observe.levels(mu, 0.1), "levels: values"),
        (mf.observe.eigenfunctionals, "eigenfunctionals: matrix"),
        (mf.observe.numerical_rank, "numerical_rank: matrices"),
    ):
        with pytest.raises(mf.BadInput, match=f"{name} is .*must be made of real numbers"):
            call(mf.uniform(mf.Sphere(3), n=4, seed=0))
    with pytest.raises(mf.BadInput, match=r"give \(\.\., m, n\)"):
        mf.observe.numerical_rank([1.0, 2.0])
    with pytest.raises(mf.BadInput, match=r"queries have shape \(1, 3\) and points \(4, 2\)"):
        distance_to_hull(np.zeros((1, 3)), np.zeros((4, 2)))

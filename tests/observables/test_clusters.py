from __future__ import annotations

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import measureflow as mf
from measureflow.observables import clusters
from measureflow.observables.clusters import first_of_graph, first_of_runs, least_neighbour


def circle(*angles, **options) -> mf.Tokens:
    angles = np.asarray(angles)
    return mf.Tokens(mf.Sphere(2), np.stack([np.cos(angles), np.sin(angles)], axis=1), **options)


def test_chain_of_five_close_tokens_is_one_cluster():
    # the rank of the thresholded Gram matrix says 4
    step = np.arccos(1 - 0.9e-3)
    found = clusters(circle(*(step * np.arange(5))), delta=1e-3)
    assert int(found.count) == 1
    assert found.membership.tolist() == [0] * 5
    assert float(found.delta) == 1e-3


def test_threshold_decides_and_is_part_of_the_result():
    tokens = circle(0.0, 0.1)
    gap = 1 - np.cos(0.1)
    assert int(clusters(tokens, delta=1.001 * gap).count) == 1
    assert int(clusters(tokens, delta=0.999 * gap).count) == 2


def test_clusters_are_numbered_by_their_first_member():
    found = clusters(circle(2.0, 0.0, 2.001, 1.0, 0.001))
    assert found.membership.tolist() == [0, 1, 0, 2, 1]
    assert int(found.count) == 3


def test_tiny_thresholds_are_exact():
    tokens = mf.Tokens(mf.Sphere(2), [[1.0, 0.0], [1.0, 1e-12], [1.0, 1e-9]])
    assert int(clusters(tokens, delta=1e-20).count) == 2


def test_absent_tokens_belong_nowhere_and_join_nothing():
    step = 0.04
    found = clusters(circle(0.0, step, 2 * step, present=[True, False, True]))
    assert int(found.count) == 2
    assert found.membership.tolist() == [0, -1, 1]


def test_token_without_mass_follows_but_neither_counts_nor_joins():
    found = clusters(circle(0.0, 0.04, 0.08, 2.0, weights=[0.5, 0.0, 0.5, 0.0]))
    assert int(found.count) == 2
    assert found.membership.tolist() == [0, 0, 1, -1]


def test_euclidean_tokens_are_joined_by_distance():
    tokens = mf.Tokens(mf.Euclidean(1), [[0.0], [0.99], [2.0]])
    assert clusters(tokens, delta=0.5).membership.tolist() == [0, 0, 1]


@given(st.integers(0, 10_000), st.integers(2, 30), st.floats(0.01, 0.5))
def test_clusters_are_connected_components(seed, n, delta):
    from scipy.sparse.csgraph import connected_components

    points = np.asarray(mf.uniform(mf.Sphere(3), 30, seed=seed).points)[:n]
    tokens = mf.Tokens(mf.Sphere(3), np.concatenate([points, np.tile(points[:1], (30 - n, 1))]))
    count, labels = connected_components(np.asarray(tokens.points @ tokens.points.T) > 1 - delta)
    found = clusters(tokens, delta)
    assert int(found.count) == count
    assert len({*zip(labels.tolist(), found.membership.tolist(), strict=True)}) == count


@pytest.mark.parametrize("kept", [4096, 0])
def test_a_long_shuffled_chain_is_one_cluster_with_the_graph_kept_or_not(monkeypatch, kept):
    monkeypatch.setattr(sys.modules["measureflow.observables.clusters"], "KEPT", kept)
    n = 600 + (kept == 0)  # another shape, so that another program is compiled
    angles = 1e-3 * np.random.default_rng(0).permutation(n)
    assert int(clusters(circle(*angles), delta=1e-6).count) == 1
    assert int(clusters(circle(*np.where(angles > 0.3, angles + 0.01, angles)), delta=1e-6).count) == 2


def test_clusters_do_not_depend_on_order_or_rotation():
    tokens = mf.uniform(mf.Sphere(3), 60, seed=2)
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    moved = mf.Tokens(tokens.space, (tokens.points @ rotation.T)[::-1])
    assert int(clusters(moved, 0.05).count) == int(clusters(tokens, 0.05).count)


def test_clusters_map_and_may_stand_beside_a_gradient():
    batch = jnp.stack([mf.uniform(mf.Sphere(3), 8, seed=seed).points for seed in range(3)])
    tokens = mf.uniform(mf.Sphere(3), 8)
    counts = jax.vmap(lambda points: clusters(tokens.replace(points=points), 0.1).count)(batch)
    assert counts.tolist() == [int(clusters(mf.Tokens(tokens.space, points), 0.1).count) for points in batch]

    def both(points):
        found = clusters(tokens.replace(points=points), 0.1)
        return points[0, 0] + found.count, found.membership

    assert jax.grad(lambda points: both(points)[0])(tokens.points)[0, 0] == 1.0


@pytest.mark.parametrize("delta", [0.0, -1e-3, np.nan, "small"])
def test_threshold_must_be_positive(delta):
    with pytest.raises(mf.BadInput, match="delta is"):
        clusters(mf.uniform(mf.Sphere(3), 4), delta)


def test_runs_on_the_circle_are_the_components_of_the_graph():
    rng = np.random.default_rng(0)
    for spread, absent in ((0.02, 0), (0.002, 7), (10.0, 0)):
        angles = np.concatenate([c + spread * rng.normal(size=20) for c in rng.uniform(-np.pi, np.pi, 9)])
        angles[:20] = np.pi + spread * rng.normal(size=20)  # one across the cut of the angle
        points = jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1)
        massive = jnp.arange(len(angles)) >= absent
        for delta in (1e-6, 1e-4, 1e-2):
            of_graph = first_of_graph(least_neighbour(points, massive, delta), massive)
            of_runs = first_of_runs(points, massive, jnp.asarray(delta))
            np.testing.assert_array_equal(of_runs[absent:], of_graph[absent:])


def test_clusters_of_thousands_of_tokens_on_the_circle():
    caps = [mf.cap(mf.Sphere(2), 2000, centre=c, angle=0.05, seed=1) for c in ([-1, 0], [0, 1], [1, 0])]
    found = mf.observe.clusters(mf.mixture(caps))
    assert int(found.count) == 3
    assert np.unique(found.membership, return_counts=True)[1].tolist() == [2000] * 3

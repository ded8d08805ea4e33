from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow import observe

S2 = mf.Sphere(3)
FIELD = mf.SelfAttention(beta=2.0)
TIMES = [0.0, 1.0, 2.0, 8.0, 24.0]
WORDS = ("to", "be", "or", "not", "to", "be", "that", "is")


@pytest.fixture(scope="module")
def path() -> mf.Path:
    tokens = mf.Tokens(S2, mf.uniform(S2, n=8, seed=0).points, labels=WORDS)
    return mf.flow(tokens, FIELD, until=24.0, save=TIMES)


def kept(path: mf.Path, keep, **options) -> mf.Path:
    return mf.flow(path[0], FIELD, until=24.0, save=TIMES, keep=keep, **options)


def test_path_is_a_sequence_of_measures(path):
    assert len(path) == 5
    assert isinstance(path[0], mf.Tokens)
    np.testing.assert_array_equal(path[-1].points, path.points[4])
    assert [mu.n for mu in path] == [8] * 5
    assert path[1].labels == path.labels == WORDS
    assert path.space == path[2].space == S2
    np.testing.assert_array_equal(path.weights, np.full((5, 8), 1 / 8))
    for k in (5, -6, np.int64(9)):
        with pytest.raises(IndexError, match=f"state {k} of a path with 5 kept states"):
            path[k]


def test_at_returns_the_kept_state_that_is_nearest_in_time(path):
    for time, k in ((0.0, 0), (0.4, 0), (0.6, 1), (5.1, 3), (1e9, 4)):
        np.testing.assert_array_equal(path.at(time).points, path.points[k])
    some = kept(path, [1, 3])
    np.testing.assert_array_equal(some.at(1e9).points, path.points[3])
    np.testing.assert_array_equal(some.at(0.0).points, path.points[1])


def test_energy_and_clusters_are_taken_along_the_times(path):
    np.testing.assert_allclose(path.energy, observe.energy(path, beta=2.0), rtol=1e-14)
    assert (np.diff(path.energy) >= 0).all()
    assert path.clusters.tolist()[0] == 8
    assert path.clusters.tolist()[-1] == 1
    assert path.membership.shape == (5, 8)
    assert path.membership[-1].tolist() == [0] * 8


def test_merges_are_a_tree_in_the_order_of_time(path):
    times = [time for time, _, _ in path.merges.in_order()]
    assert times == sorted(times)
    assert len(path.merges) == path.stats["merged"]
    assert all(0 < time < 24.0 for time in times)
    for time, token, partner in path.merges.in_order():
        after = [mu.points for mu, t in zip(path, path.times, strict=True) if t >= time]
        assert all(np.array_equal(points[token], points[partner]) for points in after)


def test_states_that_were_not_kept_are_missed_by_name(path):
    some = kept(path, "last")
    for name in ("clusters", "energy"):
        with pytest.raises(
            mf.BadInput, match=rf"1 of 5 states were kept: {name} .* record=\('{name}',\) or keep='all'"
        ):
            getattr(some, name)
    with pytest.raises(mf.BadInput, match="1 of 5 states were kept"):
        _ = some.membership


def test_energy_is_refused_where_none_is_proved(path):
    cure = r"Name a functional: mf\.observe\.energy\(path, beta=\.\.\.\)"
    unproved = [
        mf.flow(path[0], mf.SelfAttention(beta=1.0, mask="causal"), until=1.0, save=2),
        mf.flow(mf.Tokens(mf.Euclidean(3), path.points[0]), FIELD, until=1.0, save=2),
        mf.layers(path[0], [FIELD] * 2, step=0.1),
    ]
    for other in unproved:
        with pytest.raises(mf.BadInput, match=cure):
            _ = other.energy
        assert observe.energy(other.on_sphere(), beta=1.0).shape == (len(other),)


def test_directions_of_a_flat_path_lie_on_the_sphere(path):
    for size in (2.0, 1e-200, 1e200):
        flat = mf.layers(mf.Tokens(mf.Euclidean(3), size * path.points[0]), mf.SelfAttention(0.0), depth=2, step=0.5)
        sphere = flat.on_sphere()
        assert sphere.space == S2
        assert float(S2.defect(sphere.points)) < 1e-15
        np.testing.assert_allclose(sphere.points[0], path.points[0], atol=1e-15)
        np.testing.assert_array_equal(sphere.times, flat.times)
        assert sphere.on_sphere() is sphere


def test_token_at_the_origin_has_no_direction_unless_it_is_absent():
    points = [[0.0, 0.0], [1.0, 1.0]]
    zero = mf.SelfAttention(beta=1.0, value=0.0)
    there = mf.layers(mf.Tokens(mf.Euclidean(2), points), zero, depth=1, step=1.0)
    with pytest.raises(mf.BadInput, match="a token at the origin has no direction"):
        there.on_sphere()
    absent = mf.layers(mf.Tokens(mf.Euclidean(2), points, present=[False, True]), zero, depth=1, step=1.0)
    assert float(mf.Sphere(2).defect(absent.on_sphere().points)) < 1e-15


def test_xarray_has_named_axes_and_what_was_recorded(path):
    run = kept(path, "all", record=("cosine", "cosines"))
    data = run.to_xarray()
    assert dict(data.sizes) == {"depth": 5, "token": 8, "coordinate": 3, "cosines_1": 28}
    np.testing.assert_array_equal(data["points"], run.points)
    np.testing.assert_array_equal(data["cosine"], run.recorded["cosine"])
    assert data["label"].values.tolist() == list(WORDS)
    assert data.attrs["status"] == run.status
    assert data["points"].sel(depth=8.0).values.tolist() == run[3].points.tolist()
    some = kept(path, [0, 2], record="cosine").to_xarray()
    assert some["points"].dims == ("kept_depth", "token", "coordinate")
    assert some["kept_depth"].values.tolist() == [0.0, 2.0]
    assert some["cosine"].dims == ("depth",)


def test_path_says_in_two_lines_what_happened(path):
    first, second = repr(path).splitlines()
    assert first.startswith("Path: 8 tokens on S² under SelfAttention(beta=2), t = 0 .. 24, ")
    assert f"{path.stats['accepted']} steps ({path.stats['rejected']} rejected," in first
    assert first.endswith(path.status)
    assert "clusters 8 → " in second
    assert "→ 1 (t = " in second
    assert "energy" in second
    assert "sphere defect" in second
    assert repr(kept(path, "last")).count("\n") == 1
    flat = mf.layers(mf.Tokens(mf.Euclidean(3), path.points[0]), [FIELD] * 2)
    assert repr(flat).startswith("Path: 8 tokens on R^3 through 2 sub-layers, t = 0 .. 2, 2 steps, reached")


def test_path_passes_through_jax_transformations_unchanged(path):
    leaves, structure = jax.tree.flatten(path)
    again = jax.tree.unflatten(structure, leaves)
    assert again.status == path.status
    assert again.recipe == path.recipe
    through = eqx.filter_jit(lambda given: given)(path)
    np.testing.assert_array_equal(through.points, path.points)
    assert through.labels == WORDS
    assert through.status == path.status
    assert repr(through) == repr(path)


def test_batch_of_paths_has_its_axis_before_the_times():
    tokens = mf.uniform(S2, n=8, seed=0)
    batch = eqx.filter_vmap(lambda beta: mf.layers(tokens, mf.SelfAttention(beta=beta), depth=3, step=0.1))(
        jnp.array([1.0, 2.0])
    )
    assert batch.points.shape == (2, 4, 8, 3)
    assert batch.code.tolist() == [0, 0]
    assert observe.clusters(batch).count.shape == (2, 4)
    assert "batch" in repr(batch)
    one = jax.tree.map(lambda leaf: leaf[1] if eqx.is_array(leaf) else leaf, batch)
    assert one.status == "reached"
    assert len(one) == 4
    with pytest.raises(mf.BadInput, match=r"read path\.code"):
        _ = batch.status


@pytest.mark.parametrize("status", mf.paths.STATUSES)
def test_status_is_a_word(path, status):
    assert path.with_status(status).status == status

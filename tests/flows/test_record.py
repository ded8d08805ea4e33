from __future__ import annotations

import functools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow import observe
from measureflow.flows.record import as_recorders, kept_indices

S2 = mf.Sphere(3)
FIELD = mf.SelfAttention(beta=2.0)
TOKENS = mf.uniform(S2, n=8, seed=0)


def farthest(mu):
    return jnp.max(mu.points[:, 0])


def speed(mu, field):
    return jnp.linalg.norm(field(mu.points, mu), axis=1)


@functools.cache
def run(keep="all") -> mf.Path:
    keep = list(keep) if isinstance(keep, tuple) else keep
    record = {"energy": "energy", "count": "clusters", "far": farthest, "speed": speed, "groups": observe.clusters}
    return mf.flow(TOKENS, FIELD, until=9.0, save=6, record=record, keep=keep)


def test_recorded_values_are_those_of_the_states():
    path = run()
    np.testing.assert_allclose(path.recorded["energy"], path.energy, rtol=1e-14)
    np.testing.assert_allclose(path.recorded["energy"], observe.energy(path, beta=2.0), rtol=1e-14)
    assert path.recorded["count"].tolist() == path.clusters.tolist()
    np.testing.assert_array_equal(path.recorded["far"], path.points[:, :, 0].max(axis=1))
    for k in range(6):
        np.testing.assert_allclose(path.recorded["speed"][k], speed(path[k], FIELD), rtol=1e-12, atol=1e-15)
    assert path.recorded["groups"].tolist() == path.clusters.tolist()  # the first array of what was returned


def test_record_takes_a_name_a_function_a_sequence_or_a_dictionary():
    assert [r.name for r in as_recorders("energy")] == ["energy"]
    assert [r.name for r in as_recorders(farthest)] == ["farthest"]
    assert [r.name for r in as_recorders(["cosine", farthest, jax.jit(speed)])] == ["cosine", "farthest", "speed"]
    assert [r.name for r in as_recorders({"a": "cosine", "b": farthest})] == ["a", "b"]
    assert as_recorders(()) == ()
    assert [r.asks_for_field for r in as_recorders([farthest, speed, "energy"])] == [False, True, True]
    assert as_recorders([farthest]) == as_recorders([farthest])  # so that a second run compiles nothing


@pytest.mark.parametrize("keep", ["last", (0,), (1, -1), (4, 2, 2)])
def test_kept_states_are_those_asked_for_and_all_times_are_recorded(keep):
    path, whole = run(keep), run()
    wanted = {"last": [5], (0,): [0], (1, -1): [1, 5], (4, 2, 2): [2, 4]}[keep]
    assert path.kept.tolist() == wanted
    np.testing.assert_array_equal(path.points, whole.points[jnp.asarray(wanted)])
    np.testing.assert_array_equal(path.times, whole.times)
    for name, values in whole.recorded.items():
        np.testing.assert_array_equal(path.recorded[name], values)
    assert path.at(0.0).points.tolist() == path[0].points.tolist()


def test_what_was_recorded_stands_in_for_states_that_were_not_kept():
    path = run("last")
    np.testing.assert_array_equal(path.energy, run().recorded["energy"])
    with pytest.raises(
        mf.BadInput, match=r"1 of 6 states were kept: clusters along all times needs record=\('clusters'"
    ):
        _ = path.clusters


def test_observable_sees_all_tokens_in_their_own_space_and_the_field_of_its_depth():
    tall = mf.uniform(mf.Sphere(12), n=4, seed=0)
    schedule = mf.Schedule([mf.SelfAttention(beta=1.0, value=0.0), FIELD], [0.0, 1.0])
    record = {"shape": lambda mu: jnp.asarray(mu.points.shape), "fastest": lambda mu, field: speed(mu, field).max()}
    path = mf.flow(tall, schedule, until=2.0, save=[0.0, 0.5, 1.0, 2.0], record=record)
    assert "reduction" in path.stats
    assert path.recorded["shape"].tolist() == [[4, 12]] * 4
    assert (path.recorded["fastest"] > 0.01).tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("enrgy", "'enrgy'.* did you mean 'energy'"),
        (["energy", "energy"], "two observables have the same name"),
        (3, "record is 3"),
        ([3], "int is 3"),
        ({"x": None}, "x is None"),
        (lambda mu: None, "returned nothing"),
    ],
)
def test_record_that_cannot_be_read_is_refused(record, words):
    with pytest.raises(mf.BadInput, match=words):
        mf.flow(TOKENS, FIELD, until=1.0, record=record)


def test_observable_that_does_not_fit_the_field_speaks_before_any_work():
    with pytest.raises(mf.BadInput, match=r"record='energy': .*no proved energy"):
        mf.flow(TOKENS, mf.SelfAttention(beta=1.0, mask="causal"), until=1.0, record="energy")


def test_energy_of_a_field_that_changes_with_depth_is_refused_before_any_work(monkeypatch):
    monkeypatch.setattr(sys.modules["measureflow.flows.flow"], "drive", None)
    schedule = mf.Schedule([mf.SelfAttention(beta=1.0), FIELD], [0.0, 1.0])
    with pytest.raises(mf.BadInput, match=r"record='energy': .*no proved energy"):
        mf.flow(TOKENS, schedule, until=2.0, save=[2.0], record="energy")


def test_kept_indices_count_from_both_ends_and_say_where_they_end():
    assert kept_indices("all", 3).tolist() == [0, 1, 2]
    assert kept_indices("last", 3).tolist() == [2]
    assert kept_indices([-1, 0], 3).tolist() == [0, 2]
    assert kept_indices(np.array([1]), 3).tolist() == [1]
    for keep, words in (([3], "outside the 3"), ([-4], "outside the 3"), ("first", "keep is 'first'"), ([], "keep is")):
        with pytest.raises(mf.BadInput, match=words):
            kept_indices(keep, 3)
    for keep in (1, [0.5], [[0]], None):
        with pytest.raises(mf.BadInput, match="keep is"):
            kept_indices(keep, 3)

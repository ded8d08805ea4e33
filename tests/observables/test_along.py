"""Every observable along a path: the same numbers as state by state."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow import observables as observe

FIELD = mf.SelfAttention(4.0)


@pytest.fixture
def path() -> SimpleNamespace:
    states = [mf.uniform(mf.Sphere(3), 9, seed=seed) for seed in range(4)]
    measure = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    return SimpleNamespace(measure=measure, states=states, field=FIELD)


@pytest.mark.parametrize("name", observe.NAMED)
def test_path_gives_what_its_states_give(path, name):
    take = observe.named(name)
    options = {"field": FIELD} if "field" in inspect.signature(take).parameters else {}
    together = take(path, **options)
    apart = jnp.stack([take(state, **options) for state in path.states])
    assert together.shape[0] == 4
    np.testing.assert_allclose(together, apart, rtol=1e-12, atol=1e-14)


def test_clusters_and_histogram_carry_the_axis_of_the_path(path):
    found = observe.clusters(path, 0.1)
    assert (found.count.shape, found.membership.shape, found.delta.shape) == ((4,), (4, 9), ())
    histogram = observe.cosine_histogram(path, bins=8)
    assert (histogram.fraction.shape, histogram.edges.shape) == ((4, 8), (9,))


def test_batches_of_paths_keep_their_axes(path):
    batch = SimpleNamespace(measure=jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), path.measure))
    assert observe.energy(batch, 2.0).shape == (2, 4)


def test_dissipation_takes_the_paths_own_field(path):
    np.testing.assert_array_equal(observe.dissipation(path), observe.dissipation(path, field=FIELD))


def test_single_precision_states_are_read_in_double(path):
    single = path.states[0].replace(points=path.states[0].points.astype(jnp.float32))
    assert observe.cosine(single).dtype == jnp.float64


def test_what_is_no_measure_is_refused():
    with pytest.raises(mf.BadInput, match="ndarray is no measure"):
        observe.energy(np.zeros((3, 2)), 1.0)


def test_unknown_observable_names_the_nearest_one():
    with pytest.raises(mf.BadInput, match=r"'enery', .*did you mean 'energy'\?"):
        observe.named("enery")

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow import observables as observe


@pytest.fixture
def states() -> mf.Tokens:
    # hidden states: long vectors that share a direction, two of them padding
    points = 3.0 * np.random.default_rng(0).normal(size=(10, 5)) + 4.0
    return mf.Tokens(mf.Euclidean(5), points, present=np.arange(10) < 8)


def plain(states: mf.Tokens, centred: bool) -> np.ndarray:
    points = np.asarray(states.points)[np.asarray(states.present)]
    points = points - points.mean(axis=0) if centred else points
    points = points / np.linalg.norm(points, axis=1, keepdims=True)
    return (points @ points.T)[np.triu_indices(len(points), 1)]


@pytest.mark.parametrize("centred", [False, True])
def test_cosines_are_those_of_the_angles(states, centred):
    expected = plain(states, centred)
    found = np.asarray(observe.cosines(states, centred=centred))
    np.testing.assert_allclose(found[~np.isnan(found)], expected, atol=1e-14)
    assert float(observe.cosine(states, centred=centred)) == pytest.approx(expected.mean(), abs=1e-14)
    assert float(observe.smallest_cosine(states, centred=centred)) == pytest.approx(expected.min(), abs=1e-14)


@pytest.mark.parametrize("centred", [False, True])
def test_histogram_counts_each_pair_once(states, centred):
    found = observe.cosine_histogram(states, bins=16, centred=centred)
    counts, edges = np.histogram(plain(states, centred), bins=16, range=(-1, 1))
    np.testing.assert_allclose(found.fraction, counts / counts.sum(), atol=1e-15)
    np.testing.assert_allclose(found.edges, edges, atol=1e-15)


def test_centring_takes_the_shared_direction_away(states):
    assert float(observe.cosine(states)) > 0.3
    assert abs(float(observe.cosine(states, centred=True))) < 0.2


def test_equiangular_tokens_have_one_cosine():
    tokens = mf.equiangular(n=6, cosine=-0.1)
    np.testing.assert_allclose(observe.cosines(tokens), -0.1, atol=1e-14)
    assert float(observe.cosine(tokens)) == pytest.approx(-0.1, abs=1e-14)


def test_one_token_has_no_pair():
    tokens = mf.Tokens(mf.Sphere(2), [[1.0, 0.0]])
    assert np.isnan(float(observe.cosine(tokens)))
    assert observe.cosines(tokens).shape == (0,)
    assert float(jnp.sum(observe.cosine_histogram(tokens).fraction)) == 0.0


def test_cosine_extremes_fall_in_the_outer_bins():
    fraction = observe.cosine_histogram(mf.Tokens(mf.Sphere(2), [[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]]), bins=4).fraction
    np.testing.assert_allclose(fraction, [2 / 3, 0, 0, 1 / 3], atol=1e-15)


def test_order_parameter_is_kuramotos():
    angles = np.array([0.1, 0.7, 3.0])
    tokens = mf.Tokens(mf.Sphere(2), np.stack([np.cos(angles), np.sin(angles)], 1), [0.5, 0.3, 0.2])
    expected = abs(np.exp(1j * angles) @ [0.5, 0.3, 0.2])
    assert float(observe.order_parameter(tokens)) == pytest.approx(expected, abs=1e-15)
    balanced = mf.Tokens(mf.Sphere(2), [[1.0, 0.0], [-1.0, 0.0]])
    assert float(observe.order_parameter(balanced)) == 0.0
    assert np.isfinite(jax.grad(lambda p: observe.order_parameter(balanced.replace(points=p)))(balanced.points)).all()


def test_bins_must_be_a_number_of_cells(states):
    with pytest.raises(mf.BadInput, match="bins is 0"):
        observe.cosine_histogram(states, bins=0)


def test_zero_vector_has_no_direction_and_a_gradient():
    tokens = mf.Tokens(mf.Euclidean(2), [[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    assert observe.cosines(tokens).tolist() == [0.0, 0.0, 1.0]
    assert np.isfinite(jax.grad(lambda p: observe.cosine(tokens.replace(points=p)))(tokens.points)).all()


def test_overlap_is_the_cosine_of_the_first_two_tokens():
    tokens = mf.Tokens(mf.Euclidean(2), [[2.0, 0.0], [1.0, 1.0], [0.0, -3.0]])
    assert float(observe.overlap(tokens)) == pytest.approx(np.sqrt(0.5), abs=1e-15)
    with pytest.raises(mf.BadInput, match="a pair needs two"):
        observe.overlap(mf.Tokens(mf.Sphere(2), [[1.0, 0.0]]))

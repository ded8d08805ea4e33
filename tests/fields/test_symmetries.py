from __future__ import annotations

import equinox as eqx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import measureflow as mf

RNG = np.random.default_rng(3)
QUERY, KEY, VALUE = RNG.normal(size=(3, 4)), RNG.normal(size=(3, 4)), RNG.normal(size=(4, 4))
INNER, OUTER, BIAS = RNG.normal(size=(6, 4)), RNG.normal(size=(4, 6)), RNG.normal(size=6)

ISOTROPIC = {
    "SA": mf.SelfAttention(3.0),
    "USA": mf.SelfAttention(1.0, weighting="unnormalised"),
    "numbers": mf.SelfAttention(3.0, query=0.5, key=-2.0, value=-1.0),
    "L2": mf.SelfAttention(1.0, score="l2"),
    "causal": mf.SelfAttention(2.0, mask="causal"),
    "heads": mf.MultiHead([mf.SelfAttention(1.0), mf.SelfAttention(4.0, value=-0.5)]),
    "parallel": mf.SelfAttention(1.0) + mf.SelfAttention(2.0, mask="causal"),
}
velocity = eqx.filter_jit(lambda field, mu: field(mu.points, mu))


def rotation(seed: int, d: int = 4) -> np.ndarray:
    """A uniform orthogonal matrix, of either orientation."""
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))
    return q * np.sign(np.diag(r))


def cloud(seed: int, n: int = 6) -> mf.Tokens:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, 4))
    masses = rng.uniform(0.1, 1.0, n)
    points /= np.linalg.norm(points, axis=1)[:, None]
    return mf.Tokens(mf.Sphere(4), points, masses / masses.sum(), positions=rng.permutation(n))


@pytest.mark.parametrize("field", ISOTROPIC.values(), ids=ISOTROPIC.keys())
@given(seed=st.integers(0, 2**31))
@settings(max_examples=10)
def test_isotropic_fields_commute_with_rotations(field, seed):
    assert field.isotropic
    mu, turn = cloud(seed), rotation(seed + 1)
    turned = mf.Tokens(mu.space, np.asarray(mu.points) @ turn.T, mu.weights, positions=mu.positions)
    np.testing.assert_allclose(velocity(field, turned), np.asarray(velocity(field, mu)) @ turn.T, atol=2e-14)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=10)
def test_matrices_rotated_along_rotate_the_field(seed):
    mu, turn = cloud(seed), rotation(seed + 1)
    turned = mf.Tokens(mu.space, np.asarray(mu.points) @ turn.T, mu.weights, positions=mu.positions)
    for mask in (None, "causal"):
        plain = mf.SelfAttention(1.0, query=QUERY, key=KEY, value=VALUE, mask=mask)
        along = mf.SelfAttention(1.0, query=QUERY @ turn.T, key=KEY @ turn.T, value=turn @ VALUE @ turn.T, mask=mask)
        assert not plain.isotropic
        np.testing.assert_allclose(velocity(along, turned), np.asarray(velocity(plain, mu)) @ turn.T, atol=2e-13)
    plain = mf.Perceptron(INNER, OUTER, BIAS, "gelu")
    along = mf.Perceptron(INNER @ turn.T, turn @ OUTER, BIAS, "gelu")
    assert not plain.isotropic
    np.testing.assert_allclose(velocity(along, turned), np.asarray(velocity(plain, mu)) @ turn.T, atol=2e-13)


def test_matrices_left_behind_do_not():
    mu, turn = cloud(0), rotation(1)
    turned = mf.Tokens(mu.space, np.asarray(mu.points) @ turn.T, mu.weights)
    field = mf.SelfAttention(1.0, query=QUERY, key=KEY)
    assert np.abs(velocity(field, turned) - np.asarray(velocity(field, mu)) @ turn.T).max() > 0.01


@pytest.mark.parametrize(
    "field",
    [*ISOTROPIC.values(), mf.SelfAttention(1.0, query=QUERY, key=KEY, value=VALUE), mf.Perceptron(INNER, OUTER)],
    ids=[*ISOTROPIC.keys(), "matrices", "perceptron"],
)
@given(seed=st.integers(0, 2**31))
@settings(max_examples=5)
def test_fields_commute_with_permutations_that_take_the_places_along(field, seed):
    mu = cloud(seed)
    order = np.random.default_rng(seed + 1).permutation(mu.n)
    shuffled = mf.Tokens(mu.space, mu.points[order], mu.weights[order], positions=mu.positions[order])
    np.testing.assert_allclose(velocity(field, shuffled), np.asarray(velocity(field, mu))[order], atol=2e-14)


def test_a_causal_field_sees_a_permutation_that_leaves_the_places_behind():
    mu, field = cloud(0), ISOTROPIC["causal"]
    shuffled = mf.Tokens(mu.space, mu.points[::-1], mu.weights[::-1], positions=mu.positions)
    assert np.abs(np.asarray(velocity(field, shuffled))[::-1] - np.asarray(velocity(field, mu))).max() > 0.01


@pytest.mark.parametrize("name", ["SA", "USA", "L2", "causal"])
def test_isotropic_velocities_stay_in_the_span_of_the_tokens(name):
    points = np.zeros((4, 10))
    points[:, :4] = np.asarray(cloud(2, 4).points)
    mu = mf.Tokens(mf.Sphere(10), points @ rotation(5, 10).T)
    basis = np.linalg.svd(np.asarray(mu.points))[2]
    assert np.abs(np.asarray(velocity(ISOTROPIC[name], mu)) @ basis[4:].T).max() < 1e-15

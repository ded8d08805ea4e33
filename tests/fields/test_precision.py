"""A field computes in the precision of its tokens, whatever that of its own numbers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf

MATRIX = np.random.default_rng(0).normal(size=(4, 4))
FIELDS = {
    "SA": mf.SelfAttention(2.0),
    "numbers": mf.SelfAttention(2.0, query=0.5, key=2.0, value=-1.0),
    "matrices": mf.SelfAttention(2.0, query=MATRIX, key=MATRIX, value=MATRIX),
    "USA": mf.SelfAttention(2.0, weighting="unnormalised"),
    "USA*": mf.SelfAttention(2.0, weighting=mf.fields.Unnormalised(shifted=True)),
    "L2": mf.SelfAttention(2.0, score="l2"),
    "causal": mf.SelfAttention(2.0, mask="causal"),
    "perceptron": mf.Perceptron(MATRIX, MATRIX, np.ones(4)),
    "heads": mf.MultiHead([mf.SelfAttention(1.0), mf.SelfAttention(2.0, value=MATRIX)]),
    "parallel": mf.SelfAttention(1.0) + mf.Perceptron(MATRIX, MATRIX),
}


@pytest.fixture
def single(tokens) -> mf.Tokens:
    return mf.Tokens(tokens.space, np.asarray(tokens.points, np.float32), np.asarray(tokens.weights, np.float32))


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS.keys())
def test_single_precision_tokens_stay_single_without_any_promotion(field, single, tokens):
    with jax.numpy_dtype_promotion("strict"):
        shapes = jax.eval_shape(lambda: (field(single.points, single), field.output(single.points, single)))
    assert {leaf.dtype for leaf in shapes} == {jnp.dtype("float32")}
    shapes = jax.eval_shape(lambda: (field(tokens.points, tokens), field.output(tokens.points, tokens)))
    assert {leaf.dtype for leaf in shapes} == {jnp.dtype("float64")}


@pytest.mark.parametrize("name", ["SA", "USA", "USA*"])
def test_energy_of_single_precision_tokens_is_single(name, single):
    with jax.numpy_dtype_promotion("strict"):
        assert jax.eval_shape(lambda: FIELDS[name].energy(single)).dtype == jnp.float32


def test_single_precision_agrees_with_double_to_its_own_rounding(single, tokens, velocity):
    for field in FIELDS.values():
        one = velocity(field, single.points, single)
        two = velocity(field, tokens.points, tokens.replace(positions=single.positions))
        np.testing.assert_allclose(one, two, atol=2e-6 * np.abs(two).max())


@pytest.mark.parametrize("beta", [1e4, 1e6])
def test_softmax_in_single_precision_does_not_overflow(beta, single, output):
    assert np.isfinite(output(mf.SelfAttention(beta), single.points, single)).all()
    massless = single.replace(weights=single.weights.at[0].set(0.0))
    slope = jax.grad(lambda w: jnp.sum(mf.SelfAttention(beta).output(single.points, massless.replace(weights=w))))
    assert np.isfinite(slope(massless.weights)).all()

"""A checkpoint whose heads are doubly stochastic: marginals, sub-layers, single precision, and nothing trained lost."""

from __future__ import annotations

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow.fields import Sinkhorn, Softmax
from measureflow.language import export, load

TEXT = [5, 6, 7, 8, 9, 10]
weights_of = eqx.filter_jit(lambda field, x, mu: field.weights(x, mu))


@pytest.fixture(scope="module")
def model(golden):
    return load(golden / "tiny-bert")


@pytest.fixture(scope="module")
def balanced(model):
    return model.attending("sinkhorn")


def test_columns_sum_to_one_in_every_head_over_the_tokens_that_are_there(balanced):
    mu = balanced.embed(TEXT, present=np.arange(6) != 2).replace(labels=None)
    mu = mu.replace(points=mu.points.at[2].set(jnp.nan))
    field, here = balanced.fields[0], np.arange(6) != 2
    weights = np.asarray(weights_of(field, mu.points, mu))[:, here]
    np.testing.assert_allclose(weights.sum(2), 1.0, atol=1e-6)
    np.testing.assert_allclose(weights.sum(1), np.broadcast_to(here.astype(float), (3, 6)), atol=2e-5)
    off = np.asarray(weights_of(field, jnp.ones((6, 24)), mu))
    np.testing.assert_allclose(off.sum(2), 1.0, atol=1e-6)


def test_trace_is_its_fields_applied_in_turn(balanced, model):
    ours, trained = mf.trace(balanced, TEXT), mf.trace(model, TEXT)
    np.testing.assert_allclose(mf.layers(balanced.embed(TEXT), balanced.fields).points, ours.points, atol=1e-6)
    assert float(jnp.abs(ours.points - trained.points).max()) > 1e-2
    one = mf.trace(model.attending(Sinkhorn(iterations=1)), TEXT)
    np.testing.assert_array_equal(one.points, trained.points)  # one half step is softmax


def test_nothing_trained_is_touched(balanced, model):
    assert model.config.weighting == Softmax()
    assert balanced.config.weighting == Sinkhorn()
    assert balanced.attending("softmax").config == model.config
    before, after = export(model), export(balanced)
    assert before.keys() == after.keys()
    assert all((before[name] == after[name]).all() for name in before)
    assert "3 heads of Sinkhorn()" in repr(balanced)
    assert "Softmax" not in repr(model)
    with pytest.raises(mf.BadInput, match="weighting is 'sink'"):
        model.attending("sink")


def test_programs_stay_in_single_precision_and_differentiate(balanced):
    mu, field = balanced.embed(TEXT).replace(labels=None), balanced.fields[0]

    def loss(field, points):
        return jnp.sum(field.output(points, mu.replace(points=points)) ** 2)

    with jax.numpy_dtype_promotion("strict"):
        program = jax.make_jaxpr(lambda points: jax.grad(loss, argnums=1)(field, points))(mu.points)
    assert not re.search(r"f64\[\d", str(program))  # of numbers alone some are written in double precision
    slope = eqx.filter_jit(eqx.filter_grad(loss))(field, mu.points)
    assert float(jnp.abs(slope.query.weight).max()) > 0
    assert bool(jnp.isfinite(slope.query.weight).all())

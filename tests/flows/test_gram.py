from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow import theory
from measureflow.flows import gram
from measureflow.flows.gram import Overlaps

MASSES = np.arange(1.0, 7.0) / 21
TOKENS = mf.Tokens(mf.Sphere(5), mf.uniform(mf.Sphere(5), n=6, seed=0).points, MASSES)
SHARP = mf.Adaptive(rtol=1e-12, atol=1e-13, pair="dopri8", coarsen=False)
SHIFTED = mf.fields.Unnormalised(shifted=True)
HEADS = mf.MultiHead([mf.SelfAttention(beta=3.0, weighting=SHIFTED), mf.SelfAttention(beta=1.0, value=-0.5)])


def overlaps(path) -> np.ndarray:
    return np.asarray(path.points @ jnp.swapaxes(path.points, -1, -2))


@pytest.mark.parametrize("model", ["softmax", "unnormalised"])
def test_rate_is_that_of_theory(model):
    field, matrix = mf.SelfAttention(beta=3.0, weighting=model), overlaps(TOKENS)
    stated = theory.velocity_of_gram(matrix, beta=3.0, masses=MASSES, model=model)
    np.testing.assert_allclose(Overlaps(field, TOKENS).rate(jnp.asarray(matrix)), stated, rtol=0, atol=1e-14)


def test_overlaps_are_those_of_the_moving_tokens():
    field = mf.SelfAttention(beta=2.0, query=-1.0, value=-0.5, mask="causal") + HEADS
    closed = gram(TOKENS, field, until=2.0, save=4)
    full = mf.flow(TOKENS, field, until=2.0, save=4, solver=SHARP)
    np.testing.assert_allclose(overlaps(closed), overlaps(full), rtol=0, atol=1e-13)
    np.testing.assert_array_equal(closed.times, full.times)
    assert closed.status == "reached"


def test_dimension_does_not_enter_and_a_gram_matrix_will_do():
    field = mf.SelfAttention(beta=3.0)
    wide = np.zeros((6, 3000))
    wide[:, 7:12] = TOKENS.points
    runs = [
        gram(mf.Tokens(mf.Sphere(3000), wide, MASSES), field, until=2.0, save=4),
        gram(overlaps(TOKENS), field, until=2.0, save=4, masses=MASSES),
    ]
    here = gram(TOKENS, field, until=2.0, save=4)
    for run in runs:
        assert run.space == mf.Sphere(6)
        np.testing.assert_allclose(overlaps(run), overlaps(here), rtol=0, atol=1e-12)


def test_result_is_a_path_of_tokens_for_every_observable():
    path = gram(TOKENS, mf.SelfAttention(beta=3.0), until=30.0, save=5, record=("cosine", "energy"))
    np.testing.assert_allclose(path.recorded["cosine"], mf.observe.cosine(path), rtol=0, atol=1e-14)
    np.testing.assert_allclose(path.recorded["energy"], path.energy, rtol=0, atol=1e-14)
    assert (np.diff(path.energy) > 0).all()
    assert int(path.clusters[0]) == 6 > int(path.clusters[-1])
    np.testing.assert_array_equal(path.weights[-1], TOKENS.weights)
    assert path.recipe.data["verb"] == "gram"
    path.save("overlaps.zarr")
    np.testing.assert_array_equal(mf.Path.load("overlaps.zarr").points, path.points)


def test_what_does_not_close_is_refused():
    field = mf.SelfAttention(beta=3.0)
    for wrong in (mf.SelfAttention(beta=1.0, query=np.eye(5)), mf.SelfAttention(beta=1.0, score="l2"), mf.Perceptron):
        with pytest.raises(mf.BadInput, match="the equation closes for dot-product attention"):
            gram(TOKENS, wrong, until=1.0)
    with pytest.raises(mf.BadInput, match="off the Gram matrices of unit vectors by 1"):
        gram(np.array([[1.0, 2.0], [2.0, 1.0]]), field, until=1.0)
    with pytest.raises(mf.BadInput, match=r"start has shape \(2,\)"):
        gram(np.ones(2), field, until=1.0)
    with pytest.raises(mf.BadInput, match="tokens are absent"):
        gram(mf.Tokens(mf.Sphere(5), TOKENS.points, present=np.arange(6) > 0), field, until=1.0)
    with pytest.raises(mf.BadInput, match="give a time"):
        gram(TOKENS, field, until=mf.Consensus(1e-3))
    with pytest.raises(mf.BadInput, match="gram: solver is"):
        gram(TOKENS, field, until=1.0, solver=mf.Splitting(step=0.1))

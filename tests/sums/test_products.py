from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf

TOKENS = mf.Tokens(
    mf.Sphere(12),
    mf.uniform(mf.Sphere(12), n=9, seed=0).points,
    np.array([1, 2, 0, 4, 0, 1, 1, 1, 2]) / 12.0,
    present=np.arange(9) != 4,
)
FIELDS = {
    "softmax": {"beta": 9.0},
    "hot": {"beta": 1e4},
    "attending to the opposite": {"beta": 9.0, "query": -1.0},
    "unnormalised": {"beta": 3.0, "weighting": "unnormalised"},
    "shifted": {"beta": 3.0, "weighting": mf.fields.Unnormalised(shifted=True)},
    "causal": {"beta": 3.0, "mask": "causal"},
    "matrix": {"beta": 3.0, "query": np.eye(12)[::-1].copy()},
    "distances": {"beta": 3.0, "score": "l2"},
}


@eqx.filter_jit
def pulls(kernel, x, rank, mu, block):
    exact, products = mf.sums.Exact(), mf.sums.Products(block)
    mine = mu.replace(points=x) if x.shape == mu.points.shape else mu
    return tuple(way.pull(kernel, mine.points if mine is not mu else x, rank, mine) for way in (exact, products))


@pytest.mark.parametrize("name", FIELDS)
def test_products_are_the_exact_sum(name):
    kernel = mf.SelfAttention(**FIELDS[name]).kernel
    rank = TOKENS.positions if name == "causal" else None
    for x, block in ((TOKENS.points, None), (TOKENS.points, 4)):
        (pulled, total), (fast, fast_total) = pulls(kernel, x, rank, TOKENS, block)
        size = float(jnp.abs(total).max())
        np.testing.assert_allclose(fast[TOKENS.present], pulled[TOKENS.present], rtol=0, atol=5e-15 * size)
        np.testing.assert_allclose(fast_total[TOKENS.present], total[TOKENS.present], rtol=1e-13)


def test_queries_need_not_be_the_tokens_and_may_see_nothing():
    x = mf.uniform(mf.Sphere(12), n=5, seed=3).points
    (pulled, total), (fast, fast_total) = pulls(mf.SelfAttention(9.0).kernel, x, None, TOKENS, None)
    np.testing.assert_allclose(fast, pulled, atol=1e-14)
    np.testing.assert_allclose(fast_total, total, rtol=1e-14)
    nobody = TOKENS.replace(present=jnp.zeros(9, bool))
    _, (fast, fast_total) = pulls(mf.SelfAttention(9.0).kernel, x, None, nobody, None)
    assert not np.any(fast)
    assert not np.any(fast_total)


def test_slow_pull_between_clusters_keeps_its_digits_where_a_token_sees_itself():
    # two clusters of one token each, e^-200 apart: A x - x would round this pull to nothing
    tokens = mf.Tokens(mf.Sphere(12), np.eye(12)[:2])
    (pulled, _), (fast, _) = pulls(mf.SelfAttention(200.0).kernel, tokens.points, None, tokens, None)
    assert 1e-88 < float(jnp.abs(pulled).max()) < 1e-86
    np.testing.assert_allclose(fast, pulled, rtol=1e-13)


def test_gradients_are_those_of_the_exact_sum_also_by_a_mass_that_is_zero():
    def loss(points, weights, beta, way):
        tokens = TOKENS.replace(points=points, weights=weights)
        field = mf.SelfAttention(beta, sum=way)
        return jnp.sum(field(points, tokens)[TOKENS.present] * jnp.cos(jnp.arange(12.0)))

    slopes = eqx.filter_jit(jax.grad(loss, argnums=(0, 1, 2)))
    fast = slopes(TOKENS.points, TOKENS.weights, 9.0, mf.sums.Products())
    exact = slopes(TOKENS.points, TOKENS.weights, 9.0, mf.sums.Exact())
    for a, b in zip(fast, exact, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


def test_it_says_what_it_is_and_refuses_a_block_that_is_none():
    products, kernel = mf.sums.Products(), mf.SelfAttention(9.0).kernel
    assert products.settled(kernel, TOKENS) is products
    assert "by matrix products" in products.explain(kernel, TOKENS)
    assert 0 < float(products.floor(kernel, TOKENS)) < 1e-14
    assert products.attend(kernel, TOKENS.points, None, TOKENS, TOKENS.points).shape == (9, 12)
    with pytest.raises(mf.BadInput, match="block is 0"):
        mf.sums.Products(block=0)

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from hasty import hasty_jit
from pair_sums import compare, true


def text(n: int, places: np.ndarray, absent: int = 0) -> mf.Tokens:
    rng = np.random.default_rng(n)
    angles = rng.uniform(0, 2 * np.pi, n)
    masses, present = rng.uniform(size=n), np.ones(n, bool)
    present[n - absent :] = False
    masses[~present] = 0.0
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return mf.Tokens(mf.Sphere(2), points, masses / masses.sum(), positions=places, present=present)


def gap(tokens: mf.Tokens, beta: float, **words: object) -> tuple[float, float]:
    return compare(tokens, beta, 44, mask="causal", **words)


@pytest.mark.parametrize("n", [1, 32, 2500])
def test_causal_sums_agree_with_exact_ones_in_order(n):
    error, bound = gap(text(n, np.arange(n)), 9.0)
    assert error <= bound < 1e-7
    assert error < 1e-12


@pytest.mark.parametrize("words", [{}, {"weighting": "unnormalised"}])
def test_order_of_the_text_need_not_be_that_of_the_array(words):
    places = np.random.default_rng(0).integers(-50, 50, 300)
    for beta in (0.0, 1.0, 20.0):
        error, bound = gap(text(300, places, absent=7), beta, **words)
        assert error <= bound


def test_tokens_at_one_place_see_each_other():
    for places in (np.zeros(150, int), np.repeat([5, 3], 75), np.arange(150)[::-1].copy()):
        assert gap(text(150, places), 4.0)[0] < 1e-13


def test_queries_off_the_support_stand_where_they_say():
    tokens = text(100, np.random.default_rng(1).permutation(100))
    queries, places = mf.uniform(mf.Sphere(2), n=4, seed=0).points, jnp.array([99, 60, 31, -1])
    field = mf.SelfAttention(3.0, mask="causal", sum=mf.sums.Harmonic())
    out = np.asarray(field.output(queries, tokens, places))
    np.testing.assert_allclose(out, true(field, queries, tokens, places).astype(float), rtol=0, atol=1e-12)
    assert (out[-1] == 0).all()


def test_causal_velocity_and_gradient_are_those_of_exact_sums():
    tokens = text(90, np.random.default_rng(2).integers(0, 40, 90))

    def loss(points: jax.Array, beta: jax.Array, sum: mf.sums.Sum) -> jax.Array:
        mu = tokens.replace(points=points)
        return jnp.sum(jnp.sin(mf.SelfAttention(beta, mask="causal", sum=sum)(points, mu) * jnp.arange(1.0, 3.0)))

    values = [
        hasty_jit(jax.value_and_grad(lambda x, b, sum=sum: loss(x, b, sum), argnums=(0, 1)))(tokens.points, 0.6)
        for sum in (mf.sums.Harmonic(degree=12), mf.sums.Exact())
    ]
    for a, b in zip(*map(jax.tree.leaves, values), strict=True):
        assert jnp.allclose(a, b, rtol=1e-9, atol=1e-10)

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from hasty import hasty_jit
from pair_sums import compare, relative, true

DEGREE = 20


def some_tokens(d: int, n: int = 280) -> mf.Tokens:
    rng = np.random.default_rng(d)
    points = rng.normal(size=(n, d))
    points[0], points[1], points[2] = np.eye(d)[0], np.eye(d)[-1], -np.eye(d)[-1]
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    masses, present = rng.uniform(size=n), np.ones(n, bool)
    masses[3], present[-5:] = 0.0, False
    masses[~present] = 0.0
    return mf.Tokens(mf.Sphere(d), points, masses / masses.sum(), present=present, positions=rng.permutation(n) // 2)


def matrices(d: int) -> dict[str, tuple]:
    """Query and key: a form without symmetry, one that is indefinite and singular, a rotation, none at all."""
    rng = np.random.default_rng(d)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    return {
        "rectangular": (rng.normal(size=(5, d)) / 3, rng.normal(size=(5, d)) / 3),
        "singular": (turn @ np.diag(np.linspace(-1, 1, 2 * d - 1)[::2]) @ turn.T * (np.arange(d) != 0), 2.0),
        "rotation": (None, turn),
        "zero": (np.zeros((d, d)), None),
    }


@pytest.mark.parametrize("d", [2, 4])
def test_forms_agree_with_exact_sums_within_their_bound(d):
    tokens = some_tokens(d)
    for query, key in matrices(d).values():
        for beta in (0.0, 1e-12, 1.0, 3.0):
            error, bound = compare(tokens, beta, DEGREE, query=query, key=key)
            assert error <= bound < 1e-7


def test_values_have_a_matrix_of_their_own():
    tokens, value = some_tokens(2), np.random.default_rng(0).normal(size=(2, 2))
    for query, key in matrices(2).values():
        field = mf.SelfAttention(1.0, query=query, key=key, value=value, sum=mf.sums.Harmonic(degree=DEGREE))
        truth = true(field, tokens.points, tokens) @ value.T
        assert relative(np.asarray(field.output(tokens.points, tokens)), truth) < 1e-11


@pytest.mark.parametrize(("d", "weighting"), [(2, "unnormalised"), (3, "softmax")])
def test_a_form_may_be_masked_and_unnormalised(d, weighting):
    query, key = matrices(d)["rectangular"]
    error, bound = compare(some_tokens(d), 2.0, DEGREE, query=query, key=key, mask="causal", weighting=weighting)
    assert error <= bound < 1e-8


def test_degree_of_a_form_is_chosen_for_its_largest_logit():
    tokens = some_tokens(3)
    error, bound = compare(tokens, 4.0, None, query=np.diag([1.0, -0.5, 0.0]))
    assert error <= bound < 1e-9
    # 30% fewer harmonics are too few, and the bound says so
    degree = mf.sums.Harmonic().settled(mf.SelfAttention(4.0, query=np.diag([1.0, -0.5, 0.0])).kernel, tokens).degree
    short, weaker = compare(tokens, 4.0, int(0.7 * degree), query=np.diag([1.0, -0.5, 0.0]))
    assert 1e-11 < short <= weaker


def test_a_weak_direction_has_an_infinite_bound_not_wrong_digits():
    tokens = mf.Tokens(mf.Sphere(2), [[1.0, 0.0], [1.0, 0.0]])
    fast = mf.SelfAttention(1.0, query=np.diag([60.0, 0.0]), sum=mf.sums.Harmonic())
    queries = jnp.array([[0.0, 1.0], [1.0, 0.0]])
    out = fast.output(queries, tokens)
    assert jnp.isnan(out[0]).all()
    assert jnp.allclose(out[1], queries[1])
    assert fast.sum.error_bound(fast.kernel, queries, tokens) == jnp.inf


@pytest.mark.parametrize(("d", "mask"), [(2, "causal"), (3, None)])
def test_gradients_by_tokens_and_matrices_are_those_of_exact_sums(d, mask):
    tokens = some_tokens(d, n=30)
    query, key = matrices(d)["rectangular"]

    def loss(points: jax.Array, weights: jax.Array, query: jax.Array, key: jax.Array, sum: mf.sums.Sum) -> jax.Array:
        mu = tokens.replace(points=points, weights=weights)
        field = mf.SelfAttention(1.5, query=query, key=key, mask=mask, sum=sum)
        return jnp.sum(jnp.sin(field(points, mu) * jnp.arange(1.0, d + 1)))

    at = (tokens.points, tokens.weights, jnp.asarray(query), jnp.asarray(key))
    fast, exact = (
        hasty_jit(jax.grad(lambda *at, sum=sum: loss(*at, sum), argnums=(0, 1, 2, 3)))(*at)
        for sum in (mf.sums.Harmonic(degree=DEGREE), mf.sums.Exact())
    )
    for a, b in zip(fast, exact, strict=True):
        assert jnp.allclose(a, b, rtol=1e-9, atol=1e-9)

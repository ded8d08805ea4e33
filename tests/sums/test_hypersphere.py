from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from hasty import hasty_jit
from measureflow.sums.bessel import hypersphere_degree
from pair_sums import compare

SPACES = [4, 6]
DEGREE = 13


def some_tokens(d: int, n: int = 300, dtype: type = float) -> mf.Tokens:
    """Masses, one of them zero, absent tokens; clusters, poles, an antipode and axes of the spheres below."""
    rng = np.random.default_rng(d)
    points = rng.normal(size=(n, d))
    points[: n // 3] = points[0] + 1e-7 * points[: n // 3]
    points[-12], points[-11], points[-10], points[-9] = np.eye(d)[-1], -np.eye(d)[-1], np.eye(d)[0], -points[0]
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    masses, present = rng.uniform(size=n), np.ones(n, bool)
    masses[3], present[-5:] = 0.0, False
    masses[~present] = 0.0
    return mf.Tokens(mf.Sphere(d), points.astype(dtype), (masses / masses.sum()).astype(dtype), present=present)


@pytest.mark.parametrize("d", SPACES)
def test_sums_agree_with_exact_ones_within_their_bound(d):
    tokens = some_tokens(d)
    for beta in (0.0, 1e-12, 1.0, 2.0):
        error, bound = compare(tokens, beta, DEGREE)
        assert error <= bound < 1e-7
    for beta in (9.0, 100.0, 700.0):  # far too few harmonics
        error, bound = compare(tokens, beta, DEGREE)
        assert bound > 1e-3
        assert error <= bound or np.isnan(error)


@pytest.mark.parametrize("words", [{"weighting": "unnormalised"}, {"query": -1.0}])
def test_other_weightings_and_signs(words):
    error, bound = compare(some_tokens(4), 2.0, DEGREE, **words)
    assert error <= bound < 1e-8


def test_bound_holds_in_single_precision():
    tokens = some_tokens(4, dtype=np.float32)
    tokens = tokens.replace(points=jnp.asarray(tokens.points, jnp.float32), weights=jnp.asarray(tokens.weights, "f4"))
    error, bound = compare(tokens, 2.0, DEGREE)
    assert 1e-9 < error <= bound < 1e-3


def test_degree_is_the_one_that_is_needed():
    # such that the degree is the one whose program is there already
    tokens, tolerance, beta = mf.uniform(mf.Sphere(4), n=300, seed=0), 1e-8, 2.5
    degree = mf.sums.Harmonic(tolerance=tolerance).settled(mf.SelfAttention(beta).kernel, tokens).degree
    assert degree == hypersphere_degree(beta, 4, tolerance) == DEGREE
    error, bound = compare(tokens, beta, degree)
    assert error <= bound
    assert error < tolerance
    short, weaker = compare(tokens, beta, int(0.7 * degree))
    assert 10 * tolerance < short <= weaker


def test_gradients_are_those_of_exact_sums():
    tokens = some_tokens(4, n=40)

    def loss(points: jax.Array, weights: jax.Array, beta: jax.Array, sum: mf.sums.Sum) -> jax.Array:
        mu = tokens.replace(points=points, weights=weights)
        return jnp.sum(jnp.sin(mf.SelfAttention(beta, sum=sum)(points, mu) * jnp.arange(1.0, 5.0)))

    at = (tokens.points, tokens.weights, 1.5)
    fast, exact = (
        hasty_jit(jax.grad(lambda x, a, b, sum=sum: loss(x, a, b, sum), argnums=(0, 1, 2)))(*at)
        for sum in (mf.sums.Harmonic(degree=DEGREE), mf.sums.Exact())
    )
    for a, b in zip(fast, exact, strict=True):
        assert jnp.allclose(a, b, rtol=1e-9, atol=1e-9)


def test_memory_of_moments_does_not_grow_with_the_tokens():
    n = 2**17  # 140 harmonics of each are 140 MiB
    tokens = mf.Tokens(mf.Sphere(4), np.eye(4)[np.arange(n) % 4])
    field = mf.SelfAttention(1.0, sum=mf.sums.Harmonic(degree=6))
    lowered = jax.jit(lambda x, mu: field.output(x[:8], mu.replace(points=x))).lower(tokens.points, tokens)
    # buffers are assigned before machine code is made, which nobody runs here: it need not be optimised
    program = lowered.compile({"xla_backend_optimization_level": 0})
    assert program.memory_analysis().temp_size_in_bytes < n * 8 * 30

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from hasty import hasty_jit
from measureflow.sums import strips
from pair_sums import compare, true

#: a degree that no other test uses, as 11 in R^4: its programs are compiled with short strips
DEGREE = 15


@pytest.fixture(scope="module", autouse=True)
def _short_strips() -> Iterator[None]:
    """Several strips with few tokens."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strips, "MOMENTS", 10_000)
        patch.setattr(strips, "SHORTEST", 64)
        yield


def text(d: int, n: int, places: np.ndarray, absent: int = 0) -> mf.Tokens:
    rng = np.random.default_rng(n)
    points = rng.normal(size=(n, d))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    masses, present = rng.uniform(size=n), np.ones(n, bool)
    present[n - absent :] = False
    masses[~present] = 0.0
    return mf.Tokens(mf.Sphere(d), points, masses / masses.sum(), positions=places, present=present)


def test_causal_sums_on_the_sphere_agree_with_exact_ones():
    rng = np.random.default_rng(0)
    n = 333
    # in order, out of order with ties and gaps, all at one place, all before the rest
    for places in (np.arange(n), rng.integers(-20, 60, n), np.zeros(n, int), np.repeat([5, 3, 4], 111)):
        tokens = text(3, n, places, absent=7)
        for beta in (0.0, 1.0, 3.0):
            error, bound = compare(tokens, beta, DEGREE, mask="causal")
            assert error <= bound < 1e-6
            assert error < 1e-9


@pytest.mark.parametrize("n", [1, 128])
def test_a_text_may_be_shorter_than_a_strip_or_fill_it(n):
    error, bound = compare(text(3, n, np.arange(n)), 2.0, DEGREE, mask="causal")
    assert error <= bound < 1e-8


def test_larger_spheres_and_other_weightings():
    # strips know nothing of the weighting, and a softmax's denominator is checked above: one program shows both
    error, bound = compare(text(4, 200, np.arange(200)), 0.6, 11, mask="causal", weighting="unnormalised")
    assert error <= bound < 1e-8


def test_queries_off_the_support_stand_where_they_say():
    tokens = text(3, 200, np.random.default_rng(1).permutation(200))
    queries, places = mf.uniform(mf.Sphere(3), n=4, seed=0).points, jnp.array([199, 60, 31, -1])
    field = mf.SelfAttention(2.0, mask="causal", sum=mf.sums.Harmonic(degree=DEGREE))
    out = np.asarray(field.output(queries, tokens, places))
    np.testing.assert_allclose(out, true(field, queries, tokens, places).astype(float), rtol=0, atol=1e-11)
    assert (out[-1] == 0).all()


def test_causal_gradient_is_that_of_exact_sums():
    tokens = text(3, 150, np.random.default_rng(2).integers(0, 90, 150))

    def loss(points: jax.Array, beta: jax.Array, sum: mf.sums.Sum) -> jax.Array:
        mu = tokens.replace(points=points)
        return jnp.sum(jnp.sin(mf.SelfAttention(beta, mask="causal", sum=sum)(points, mu) * jnp.arange(1.0, 4.0)))

    values = [
        hasty_jit(jax.value_and_grad(lambda x, b, sum=sum: loss(x, b, sum), argnums=(0, 1)))(tokens.points, 1.5)
        for sum in (mf.sums.Harmonic(degree=DEGREE), mf.sums.Exact())
    ]
    for a, b in zip(*map(jax.tree.leaves, values), strict=True):
        assert jnp.allclose(a, b, rtol=1e-8, atol=1e-9)

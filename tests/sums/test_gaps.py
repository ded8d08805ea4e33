from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf

# narrow points are written out coordinate by coordinate, wide ones are looped over: both are sums of differences
DIMENSIONS = (1, 3, 8, 9, 40)
distances, gaps = jax.jit(mf.sums.squared_distances), jax.jit(mf.sums.weighted_gaps)


def clouds(d: int, m: int = 5, n: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(d)
    return rng.uniform(size=(m, n)), rng.normal(size=(m, d)), rng.normal(size=(n, d))


@pytest.mark.parametrize("d", DIMENSIONS)
def test_gaps_are_what_they_say(d):
    weights, x, y = clouds(d)
    differences = y[None] - x[:, None]
    np.testing.assert_allclose(distances(x, y), (differences**2).sum(axis=2), rtol=1e-14)
    np.testing.assert_allclose(gaps(weights, x, y), np.einsum("mn,mnd->md", weights, differences), atol=1e-14)


@pytest.mark.parametrize("d", DIMENSIONS)
def test_gaps_of_near_points_keep_their_digits(d):
    weights, x, y = clouds(d)
    place = 2.0 ** np.arange(d)  # powers of two, so that the near points are exact: x = p (1 + 2^-50 k)
    x, y = (place * (1 + 2.0**-50 * np.round(100 * points)) for points in (x, y))
    differences = y[None] - x[:, None]
    np.testing.assert_allclose(distances(x, y), (differences**2).sum(axis=2), rtol=1e-14)
    size = np.abs(np.einsum("mn,mnd->md", weights, np.abs(differences)))
    assert (np.abs(gaps(weights, x, y) - np.einsum("mn,mnd->md", weights, differences)) <= 1e-14 * size).all()
    np.testing.assert_array_equal(np.diag(distances(x, x)), 0.0)


@pytest.mark.parametrize("d", [3, 9])
def test_derivatives_of_gaps_are_those_of_the_dense_sums_both_ways(d):
    weights, x, y = clouds(d)

    def ours(weights, x, y):
        return jnp.sum(jnp.sin(mf.sums.weighted_gaps(weights, x, y))) + jnp.sum(
            jnp.exp(-mf.sums.squared_distances(x, y))
        )

    def dense(weights, x, y):
        differences = y[None] - x[:, None]
        return jnp.sum(jnp.sin(jnp.einsum("mn,mnd->md", weights, differences))) + jnp.sum(
            jnp.exp(-jnp.sum(differences**2, axis=2))
        )

    backward, exact = (jax.jit(jax.grad(f, argnums=(0, 1, 2)))(weights, x, y) for f in (ours, dense))
    for a, b in zip(backward, exact, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-13)
    directions = clouds(d + 100)[0], 0.3 * x, -0.7 * y
    forward = jax.jit(lambda *a: jax.jvp(ours, a, directions)[1])(weights, x, y)
    assert float(forward) == pytest.approx(
        sum(np.vdot(a, b) for a, b in zip(exact, directions, strict=True)), rel=1e-12
    )


def test_single_precision_stays_single():
    weights, x, y = (a.astype(np.float32) for a in clouds(9))
    with jax.numpy_dtype_promotion("strict"):
        shapes = jax.eval_shape(lambda: (mf.sums.weighted_gaps(weights, x, y), mf.sums.squared_distances(x, y)))
    assert [leaf.dtype for leaf in shapes] == [jnp.float32] * 2

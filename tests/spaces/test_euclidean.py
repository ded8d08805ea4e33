from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import measureflow as mf


def test_flat_space_is_vector_arithmetic():
    space = mf.Euclidean(3)
    x, v = space.uniform(jax.random.key(0), 5), space.uniform(jax.random.key(1), 5)
    np.testing.assert_array_equal(space.tangent(x, v), v)
    np.testing.assert_array_equal(space.difference(x, v), v - x)
    np.testing.assert_array_equal(space.log(x, v), v - x)
    np.testing.assert_array_equal(space.project(x), x)
    for move in (space.exp, space.retract):
        np.testing.assert_array_equal(move(x, v), x + v)
    np.testing.assert_allclose(space.distance(x, v), np.linalg.norm(x - v, axis=1), rtol=1e-15)
    assert float(space.defect(1e9 * x)) == 0.0


@pytest.mark.parametrize("gap", [1e-300, 1e-200, 1.0, 1e200])
def test_distance_neither_underflows_nor_overflows(gap):
    assert float(mf.Euclidean(2).distance(jnp.zeros(2), gap * jnp.array([3.0, 4.0]))) == pytest.approx(5 * gap)


def test_distance_has_a_derivative_at_coincident_points():
    slope = jax.grad(lambda y: mf.Euclidean(2).distance(jnp.ones(2), y))(jnp.ones(2))
    np.testing.assert_array_equal(slope, 0.0)


def test_uniform_law_fills_the_cube():
    points = np.asarray(mf.Euclidean(2).uniform(jax.random.key(3), 4000))
    for axis in points.T:
        assert stats.kstest(axis, stats.uniform(-1, 2).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(points.T)[0, 1]) < 5 / np.sqrt(4000)

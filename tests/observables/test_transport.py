"""The distance from a reference, along paths of every kind."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow.observables import wasserstein


def test_distance_is_taken_state_by_state():
    angles = np.array([0.0, 0.5, 2.0])
    start = mf.Tokens(mf.Sphere(2), np.stack([np.cos(angles), np.sin(angles)], axis=1), [0.2, 0.3, 0.5])
    path = mf.minimising_movements(start, [[1.0, 0.0], [0.0, -1.0]], step=0.5, until=1.0)
    found = wasserstein(path, path[0])
    expected = [float(mf.measures.wasserstein(path[k], path[0])) for k in range(3)]
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    assert 0 == found[0] < found[1] < found[2]
    assert float(wasserstein(path[1], path[0])) == expected[1]


def test_gaussians_have_theirs():
    one = mf.Gaussian([0.0, 0.0], 1.0)
    two = one.replace(mean=jnp.zeros((2, 2)), cov=jnp.asarray([1.0, 0.25])[:, None, None] * jnp.eye(2))
    np.testing.assert_allclose(wasserstein(two, one), [0.0, np.sqrt(2) * 0.5], atol=1e-10)


def test_bad_reference_is_refused():
    with pytest.raises(mf.BadInput, match="give a measure"):
        wasserstein(mf.uniform(mf.Sphere(2), n=3, seed=0), "there")

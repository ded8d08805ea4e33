from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

import measureflow as mf
from measureflow.measures import wasserstein_on_circle

CIRCLE = mf.Sphere(2)


def at(angles, weights=None, **options) -> mf.Tokens:
    angles = np.asarray(angles, float)
    return mf.Tokens(CIRCLE, np.stack([np.cos(angles), np.sin(angles)], axis=1), weights, **options)


def test_distance_is_that_of_the_best_assignment():
    rng = np.random.default_rng(0)
    for spread in (0.1, 3.0):
        a, b = np.pi + spread * rng.normal(size=(2, 30))  # across the cut of the angle
        cost = np.abs((a[:, None] - b[None, :] + np.pi) % (2 * np.pi) - np.pi)
        rows, columns = linear_sum_assignment(cost)
        assert float(wasserstein_on_circle(at(a), at(b))) == pytest.approx(cost[rows, columns].mean(), abs=1e-12)


def test_masses_are_moved_as_masses_and_absent_tokens_are_not():
    one = at([0.0, 1.0, 2.5], [0.5, 0.5, 0.0], present=[True, True, False])
    other = at([0.0, 1.0], [0.25, 0.75])
    assert float(wasserstein_on_circle(one, other)) == pytest.approx(0.25)
    assert float(wasserstein_on_circle(one, one)) == 0.0


def test_distance_is_symmetric_turns_with_the_circle_and_batches():
    rng = np.random.default_rng(1)
    a, b = rng.uniform(0, 6, (2, 12))
    there, back = wasserstein_on_circle(at(a), at(b)), wasserstein_on_circle(at(b), at(a))
    assert float(there) == pytest.approx(float(back), abs=1e-14)
    turned = jax.jit(jax.vmap(lambda t: wasserstein_on_circle(turn(at(a), t), turn(at(b), t))))(jnp.arange(4.0))
    np.testing.assert_allclose(turned, there, rtol=1e-12)


def turn(mu: mf.Tokens, angle) -> mf.Tokens:
    c, s = jnp.cos(angle), jnp.sin(angle)
    return mu.replace(points=mu.points @ jnp.array([[c, s], [-s, c]]))


def test_other_spaces_are_refused():
    with pytest.raises(mf.BadInput, match="is not the circle"):
        wasserstein_on_circle(mf.uniform(mf.Sphere(3), n=3, seed=0), at([0.0]))

"""Mean shift and log-partition gradients, against automatic differentiation of the densities."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from measureflow import BadInput, theory

MASSES = np.array([0.1, 0.3, 0.2, 0.25, 0.15])


def cloud(seed: int) -> np.ndarray:
    points = np.random.default_rng(seed).normal(size=(5, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def on_sphere(points, gradients):
    return gradients - (gradients * points).sum(axis=1, keepdims=True) * points


@pytest.mark.parametrize("beta", [0.0, 0.7, 30.0])
def test_mean_shift_is_the_gradient_of_the_log_density(beta):
    points = cloud(1)

    def log_density(x):
        return jnp.log(jnp.sum(MASSES * jnp.exp(-beta * ((x - points) ** 2).sum(axis=1) / 2)))

    exact = on_sphere(points, jax.vmap(jax.grad(log_density))(jnp.asarray(points)))
    assert np.abs(theory.mean_shift_velocity(points, beta=beta, masses=MASSES) - exact).max() < 1e-13 * (1 + beta)


def test_log_partition_gradient_is_its_gradient():
    points, beta = cloud(2), 1.7
    query, key = np.random.default_rng(3).normal(size=(2, 3, 3))

    def log_partition(x):
        return jnp.log(jnp.sum(MASSES * jnp.exp(beta * points @ key.T @ query @ x)))

    exact = on_sphere(points, jax.vmap(jax.grad(log_partition))(jnp.asarray(points)))
    measured = theory.gradient_of_log_partition(points, beta=beta, query=query, key=key, masses=MASSES)
    assert np.abs(measured - exact).max() < 1e-13


def test_both_agree_where_the_kernels_are_proportional():
    points = cloud(4)
    both = theory.gradient_of_log_partition(points, beta=6.0, query=np.eye(3), key=np.eye(3))
    assert np.allclose(both, theory.mean_shift_velocity(points, beta=6.0), atol=1e-13)


def test_a_large_beta_does_not_overflow():
    assert np.isfinite(theory.mean_shift_velocity(cloud(5), beta=1e6)).all()


def test_points_are_a_matrix():
    with pytest.raises(BadInput, match="must be"):
        theory.mean_shift_velocity(np.zeros(3), beta=1.0)

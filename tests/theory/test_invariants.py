"""Cross-ratios and the growth of the energy, against plain derivatives."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from measureflow import BadInput, theory


def cloud(n: int, d: int, seed: int) -> np.ndarray:
    points = np.random.default_rng(seed).normal(size=(n, d))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def attention(points, beta, masses, form, model):
    weights = masses * jnp.exp(beta * points @ form @ points.T)
    if model == "softmax":
        weights = weights / weights.sum(axis=1, keepdims=True)
    total = weights @ points @ form.T
    return total - (total * points).sum(axis=1, keepdims=True) * points


def energy(points, beta, masses, form):
    return masses @ jnp.exp(beta * points @ form @ points.T) @ masses / (2 * beta)


@pytest.mark.parametrize("d", [2, 3, 6])
def test_cross_ratios_do_not_change_along_the_field_without_temperature(d):
    points, masses = cloud(5, d, d), np.array([0.1, 0.3, 0.2, 0.25, 0.15])
    v = np.asarray(attention(points, 0.0, masses, np.eye(d), "softmax"))
    step = 1e-6
    change = theory.cross_ratios(points + step * v) - theory.cross_ratios(points - step * v)
    assert np.abs(change).max() / (2 * step) < 1e-8
    assert np.abs(theory.cross_ratios(points + 1e-3 * cloud(5, d, 9)) - theory.cross_ratios(points)).max() > 1e-4


def test_cross_ratios_of_a_path_keep_the_leading_axis():
    assert theory.cross_ratios(np.stack([cloud(6, 3, k) for k in range(4)])).shape == (4, 15)


@pytest.mark.parametrize("model", ["softmax", "unnormalised"])
@pytest.mark.parametrize("with_form", [False, True])
def test_growth_of_energy_is_its_derivative_along_the_field(model, with_form):
    d, beta = 4, 1.3
    points, masses = cloud(6, d, 5), np.array([0.1, 0.3, 0.2, 0.2, 0.05, 0.15])
    root = np.random.default_rng(6).normal(size=(d, d)) / 2
    form = root + root.T if with_form else np.eye(d)
    v = attention(points, beta, masses, form, model)
    _, growth = jax.jvp(lambda x: energy(x, beta, masses, form), (jnp.asarray(points),), (v,))
    predicted = theory.growth_of_energy(
        points, v, beta=beta, masses=masses, model=model, form=form if with_form else None
    )
    assert predicted == pytest.approx(float(growth), rel=1e-12)


def test_what_has_no_identity_is_refused():
    with pytest.raises(BadInput, match="n >= 4"):
        theory.cross_ratios(cloud(3, 3, 0))
    with pytest.raises(BadInput, match="not symmetric"):
        theory.growth_of_energy(cloud(3, 2, 0), cloud(3, 2, 1), beta=1.0, form=[[1.0, 2.0], [0.0, 1.0]])

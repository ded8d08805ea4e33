"""Rates near consensus: against the eigenvalues of the linearised systems."""

from __future__ import annotations

import numpy as np
import pytest

from measureflow import BadInput, theory


def test_rate_at_consensus_is_the_slope_of_the_equiangular_equation():
    n, beta, gap = 7, 1.7, 1e-9
    for model in ("softmax", "unnormalised"):
        speed = theory.speed_of_equiangular_tokens(1 - gap, n=n, beta=beta, model=model)
        assert speed / gap == pytest.approx(theory.rate_at_consensus(beta=beta, model=model), rel=1e-6)


def test_a_cluster_of_small_mass_contracts_at_its_mass_without_normalisation():
    assert theory.rate_at_consensus(beta=9.0, mass=0.2) == 2.0
    assert theory.rate_at_consensus(beta=9.0, mass=0.2, model="shifted") == pytest.approx(0.4)
    assert theory.rate_at_consensus(beta=1.0, mass=0.2, model="unnormalised") == pytest.approx(0.4 * np.e)


@pytest.mark.parametrize("masses", [[0.25] * 4, [0.1, 0.5, 0.15, 0.25]])
def test_causal_rates_are_the_eigenvalues_of_the_lower_triangular_average(masses):
    prefix = np.tril(np.tile(masses, (4, 1)))
    linear = np.eye(4) - prefix / prefix.sum(axis=1, keepdims=True)
    eigenvalues = np.diag(linear)[1:]  # triangular
    assert np.allclose(theory.rates_at_causal_consensus(masses), eigenvalues, rtol=1e-14)


def test_equal_causal_rates_start_at_one_half():
    assert np.allclose(theory.rates_at_causal_consensus(5), [1 / 2, 2 / 3, 3 / 4, 4 / 5], rtol=1e-15)


def test_a_layer_contracts_less_than_the_flow():
    assert theory.contraction_of_a_layer(0.1) == pytest.approx(1 / 1.1)
    assert np.exp(-0.1) < theory.contraction_of_a_layer(0.1)
    assert theory.effective_rate_of_layers(0.1) == pytest.approx(0.953, abs=5e-4)
    assert theory.effective_rate_of_layers(1e-12) == pytest.approx(1.0)


def test_hemisphere_rate_falls_with_beta_norm_and_count():
    assert theory.hemisphere_rate(5, beta=1.0, norm=2.0) == pytest.approx(np.exp(-4.0) / 10)
    assert theory.hemisphere_rate(5, beta=1.0, norm=2.0, model="unnormalised") == pytest.approx(np.exp(-2.0) / 10)


@pytest.mark.parametrize("model", ["softmax", "unnormalised"])
def test_tokens_in_a_hemisphere_come_nearer_at_that_rate_at_least(model):
    rng = np.random.default_rng(5)
    n, beta = 4, 1.3
    for _ in range(200):
        form = rng.normal(size=(3, 3))
        form /= np.linalg.norm(form, 2)
        # the limit lies in the cone of the tokens: any point of it may stand for the limit at one time
        points = rng.normal(size=(n, 3)) * 0.6 + [0.0, 0.0, 1.0]
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        limit = rng.dirichlet(np.ones(n)) @ points
        limit /= np.linalg.norm(limit)
        cosines = points @ limit
        least = cosines.argmin()
        if cosines[least] < 0.5:
            continue
        weights = np.exp(beta * points[least] @ form @ points.T)
        weights /= weights.sum() if model == "softmax" else n
        grown = weights @ (cosines - points @ points[least] * cosines[least])
        assert grown >= theory.hemisphere_rate(n, beta=beta, model=model) * (1 - cosines[least])


@pytest.mark.parametrize("step", [0.0, -1.0, float("nan")])
def test_a_layer_needs_a_positive_step(step):
    with pytest.raises(BadInput, match="step is"):
        theory.contraction_of_a_layer(step)


def test_bad_masses_and_models_are_named():
    with pytest.raises(BadInput, match="mass is 0"):
        theory.rate_at_consensus(beta=1.0, mass=0.0)
    with pytest.raises(BadInput, match="'sinkhorn'"):
        theory.rate_at_consensus(beta=1.0, model="sinkhorn")
    with pytest.raises(BadInput, match="at least 2"):
        theory.rates_at_causal_consensus(1)

"""K equal clusters on the circle: printed values, and the Jacobian of the angles."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from measureflow import BadInput, theory


@pytest.mark.parametrize(
    ("k", "beta", "value"),
    [(2, 4.0, 6.70700e-4), (3, 4.0, 2.589851e-2), (3, 9.0, 2.981828e-5), (4, 9.0, 4.441657e-3)],
)
def test_largest_eigenvalue_is_the_printed_one(k, beta, value):
    sigma = theory.eigenvalues_of_equal_clusters(k, beta=beta)
    assert sigma.max() == pytest.approx(value, rel=2e-6)
    if k == 4:
        assert sigma.argmax() == 1  # j = 2: neighbours move against each other


def test_three_unnormalised_clusters_have_one_double_eigenvalue():
    # -g(2 pi/3): the function whose zero at beta = -2/3 ends synchronisation on the circle
    beta = 0.4
    g = (-0.5 - 0.75 * beta) * np.exp(-beta / 2)
    assert np.allclose(theory.eigenvalues_of_equal_clusters(3, beta=beta, model="unnormalised"), -g, rtol=1e-13)


@pytest.mark.parametrize(
    ("model", "beta", "value"),
    [
        ("unnormalised", -0.66, 0.0069548),
        ("unnormalised", -0.67, -0.0034949),
        ("softmax", -0.66, 0.0063249),
        ("softmax", -0.67, -0.0031698),
    ],
)
def test_three_clusters_switch_stability_at_minus_two_thirds(model, beta, value):
    assert np.allclose(theory.eigenvalues_of_equal_clusters(3, beta=beta, model=model), value, atol=5.1e-8)


def test_a_strongly_negative_beta_does_not_overflow():
    # each of the two attends to the other alone: both leave the line at rate 1
    assert np.allclose(theory.eigenvalues_of_equal_clusters(2, beta=-2000.0), 2.0)


@pytest.mark.parametrize("beta", [2.5, -1.5])
@pytest.mark.parametrize("model", ["softmax", "unnormalised"])
@pytest.mark.parametrize("k", [2, 3, 5])
def test_eigenvalues_are_those_of_the_jacobian(model, k, beta):

    def speed(angles):
        difference = angles[:, None] - angles[None, :]
        weight = jnp.exp(beta * jnp.cos(difference))
        pull = -(weight * jnp.sin(difference)).sum(axis=1)
        return pull / (weight.sum(axis=1) if model == "softmax" else k)

    jacobian = jax.jacfwd(speed)(2 * jnp.pi * jnp.arange(k) / k)
    values = np.sort(np.linalg.eigvals(np.asarray(jacobian)).real)
    predicted = np.sort(np.append(theory.eigenvalues_of_equal_clusters(k, beta=beta, model=model), 0.0))
    assert np.allclose(values, predicted, atol=1e-12)


def test_one_cluster_is_no_polygon():
    with pytest.raises(BadInput, match="k is 1"):
        theory.eigenvalues_of_equal_clusters(1, beta=1.0)


def test_rates_that_a_double_holds_are_found_where_the_kernel_underflows():
    beta = 800.0  # three corners: -g(2 pi/3) = (1/2 + 3 beta/4) e^(-beta/2)
    with mpmath.workdps(30):
        rate = (mpmath.mpf(1) / 2 + mpmath.mpf(3) / 4 * beta) * mpmath.exp(-beta / 2)
        exact = -mpmath.log(1e-3) / rate
    assert theory.escape_time(3, beta=beta, noise=1e-3, model="unnormalised") == pytest.approx(float(exact), rel=1e-12)
    assert theory.escape_time(3, beta=beta, noise=1e-3) == np.inf  # some e^1200


def test_an_infinite_beta_is_refused():
    with pytest.raises(BadInput, match="beta is inf"):
        theory.eigenvalues_of_equal_clusters(3, beta=np.inf)

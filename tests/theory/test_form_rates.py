"""Rates of attention with a form: limits, thresholds, and each law against a derivative taken by differences."""

from __future__ import annotations

import math

import numpy as np
import pytest

from measureflow import BadInput, theory


def velocity(x, masses, D, V):
    """SA on the sphere, in plain NumPy."""
    kernel = np.exp(x @ D @ x.T) * masses
    pulled = kernel @ x @ V.T / kernel.sum(axis=1, keepdims=True)
    return pulled - (pulled * x).sum(axis=1, keepdims=True) * x


def rates_on_circle(angles, masses, D, V):
    """Real parts of the eigenvalues of the linearised flow of angles, by central differences."""

    def speeds(angles):
        x, t = np.stack([np.cos(angles), np.sin(angles)], 1), np.stack([-np.sin(angles), np.cos(angles)], 1)
        return (velocity(x, masses, D, V) * t).sum(axis=1)

    h = 1e-6
    steps = h * np.eye(len(angles))
    matrix = np.stack([(speeds(angles + e) - speeds(angles - e)) / (2 * h) for e in steps], axis=1)
    return np.sort(np.linalg.eigvals(matrix).real)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("mass", [0.5, 0.2])
def test_two_clusters_of_any_masses(sign, mass):
    mu, n = np.array([0.8, -0.5]), 6
    sides = np.where(np.arange(n) < 3, 0.0, np.pi)
    masses = np.where(sides == 0, mass / 3, (1 - mass) / 3)
    found = theory.rates_of_two_clusters(mu, 0, mass=mass, sign=sign)
    expected = np.sort([*np.repeat(found.within, 2), *found.between[0]])
    assert np.abs(rates_on_circle(sides, masses, np.diag(mu), sign * np.diag(mu)) - expected).max() < 1e-8


def test_balanced_clusters_obey_the_tanh_laws():
    mu = [0.9, 0.3, -0.4]
    found, held = theory.rates_of_two_clusters(mu, 0), math.tanh(0.9)
    assert np.allclose(found.within, -0.9 * held, atol=1e-15)
    for row, other in zip(found.between, mu[1:], strict=True):
        assert np.allclose(np.sort([held * (other - 0.9), other - 0.9 * held]), row, atol=1e-14)
    assert float(theory.largest_rate_of_limit("two clusters", mu, 0)) == pytest.approx(found.between.max(), abs=1e-14)


def test_all_mass_in_one_cluster_is_one_cluster():
    two, one = theory.rates_of_two_clusters([1.0, 0.4], 0, mass=1 - 1e-12), theory.rates_of_one_cluster([1.0, 0.4], 0)
    assert abs(two.within[0] - one.within[0]) < 1e-10
    assert np.abs(two.between - one.between[0]).min() < 1e-10


def test_a_null_pair_by_differences():
    mu = np.array([-1.4, 0.9])
    angle = math.atan2(math.sqrt(1.4), math.sqrt(0.9))
    for sign in (1, -1):
        found = theory.rates_of_null_pair(mu, sign=sign)
        expected = np.sort([*np.repeat(found.within, 2), *found.between[0]])
        sides = angle + np.where(np.arange(6) < 3, 0.0, np.pi)
        seen = rates_on_circle(sides, np.full(6, 1 / 6), np.diag(mu), sign * np.diag(mu))
        assert np.abs(seen - expected).max() < 1e-8


def test_borders_of_stability_are_where_the_page_has_them():
    low, high = theory.single_cluster_window()
    assert (round(low, 4), round(high, 4)) == (0.7616, 1.1997)
    for d, pairs in ((low - 1e-6, 1), (low + 1e-6, 0), (high - 1e-6, 0), (high + 1e-6, 1)):
        assert sum(kind == "two clusters" for kind, _ in theory.stable_limits([d, 1.0])) == pairs
    assert theory.stable_limits([-1.0, -2.0], sign=-1) == [("one cluster", 1)]
    assert theory.stable_limits([1.0, 2.0], sign=-1) == []


def test_rates_about_the_uniform_measure_are_kappa_times_those_of_the_identity():
    degrees = [1, 2, 5]
    for d in (2, 3, 5):
        rates = theory.rates_around_uniform_of_form(degrees, kappa=3.0, d=d, sign=-1)
        assert np.allclose(rates, -3.0 * theory.growth_rates_around_uniform(degrees, beta=3.0, d=d), rtol=1e-12)


def test_variance_solves_its_equation():
    t, h = np.array([0.5, 3.0, 50.0]), 1e-4
    s = [theory.variance_on_degenerate_form(t + k * h, eigenvalue=1.3, start=0.3) for k in (-1, 0, 1)]
    assert np.allclose((s[2] - s[0]) / (2 * h), -2 * 1.3**2 * s[1] ** 2, rtol=1e-7)
    energy = theory.energy_on_degenerate_form(1e5, eigenvalue=1.3, start=0.3)
    assert energy * 8 * 1.3**2 * 1e10 == pytest.approx(1.0, rel=1e-4)


def test_variance_of_the_next_order_solves_its_equation_too():
    shape = {"kurtosis": 1.8, "skewness": 0.6}
    t, h = np.array([0.5, 3.0, 50.0]), 1e-4
    s = [theory.variance_on_degenerate_form(t + k * h, eigenvalue=1.3, start=0.3, **shape) for k in (-1, 0, 1)]
    slope = -2 * 1.3**2 * s[1] ** 2 + (2 * 1.3**2 * 1.8 - 1.3**3 * 0.6**2) * s[1] ** 3
    assert np.allclose((s[2] - s[0]) / (2 * h), slope, rtol=1e-6)
    assert float(theory.variance_on_degenerate_form(0.0, eigenvalue=1.3, start=0.3, **shape)) == pytest.approx(0.3)


def test_polygons_turn_as_the_field_says():
    twist, kappa, turn = 0.7, 0.4, np.array([[0.0, -1.0], [1.0, 0.0]])
    for corners in (3, 4, 7):
        angles = 0.2 + 2 * np.pi * np.arange(corners) / corners
        x = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        v = velocity(x, np.full(corners, 1 / corners), kappa * np.eye(2) + twist * turn, -np.eye(2))
        assert np.allclose((v * (x @ turn.T)).sum(1), theory.rotation_of_polygon(corners, twist=twist, kappa=kappa))
    assert theory.rotation_of_polygon(400, twist=twist) == pytest.approx(theory.rotation_of_ring(twist), abs=1e-14)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: theory.rates_of_one_cluster([1.0], 0), "at least two"),
        (lambda: theory.rates_of_one_cluster([1.0, 2.0], 2), "at is 2"),
        (lambda: theory.rates_of_two_clusters([1.0, 2.0], 0, mass=1.0), "mass is 1"),
        (lambda: theory.rates_of_two_clusters([1.0, 2.0], 0, sign=2), "sign is 2"),
        (lambda: theory.rates_of_null_pair([1.0, 2.0]), "opposite sign"),
        (lambda: theory.largest_rate_of_limit("three", [1.0, 2.0], 0), "kind is 'three'"),
        (lambda: theory.rotation_of_polygon(2, twist=1.0), "corners is 2"),
        (lambda: theory.variance_on_degenerate_form(1.0, eigenvalue=-1.0, start=0.1), "eigenvalue is -1"),
        (lambda: theory.variance_on_degenerate_form(1.0, eigenvalue=1.0, start=0.6, kurtosis=2.0), "start later"),
    ],
)
def test_bad_input_is_refused(call, said):
    with pytest.raises(BadInput, match=said):
        call()

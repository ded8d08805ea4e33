"""Closed forms of the minimiser near the identity and for small forms, and the rectangle of four tokens."""

from __future__ import annotations

import numpy as np
import pytest

from measureflow import BadInput, theory


def test_slope_at_the_identity_is_that_of_the_solver():
    step = 0.02
    ends = [theory.full_support_by_modes(np.diag([1.0, 1.0 + e])).modes[1].real for e in (step, -step)]
    slope = theory.slope_of_minimiser_at_identity(kappa=1.0, d=2)
    assert (ends[0] - ends[1]) / step == pytest.approx(-slope / 2, rel=1e-3)
    moments = [theory.full_support_by_sources(np.diag([1.0, 1.0, 1.0 + e])).covariance[2, 2] for e in (step, -step)]
    slope = theory.slope_of_minimiser_at_identity(kappa=1.0, d=3)
    assert (moments[0] - moments[1]) / (2 * step) == pytest.approx(4 * slope / 45, rel=1e-3)
    assert 4 * slope / 45 == pytest.approx(-0.456946, abs=1e-6)


def test_first_order_density_errs_by_the_second_order():
    points = np.stack([np.cos(np.linspace(0, 3, 20)), np.sin(np.linspace(0, 3, 20))], axis=1)
    errors = []
    for step in (0.08, 0.04):
        form = 2.0 * np.diag([1.0, 1.0 + step])
        exact = theory.full_support_by_modes(form).density(points)
        errors.append(np.abs(exact - theory.first_order_density(form, points)).max())
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.1)


def test_small_forms_have_their_limits():
    form = np.diag([1.0, 2.0])
    tiny = theory.full_support_by_modes(0.05 * form)
    angles = 2 * np.pi * np.arange(40) / 40
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert np.abs(tiny.density(points) - theory.density_of_small_form(2.0, angles)).max() < 3e-3
    assert np.abs(tiny.covariance - theory.covariance_of_small_form(form)).max() < 5e-4
    assert tiny.energy == pytest.approx(theory.minimum_of_small_form(0.05 * form), abs=2e-6)
    assert np.abs(theory.density_of_small_form(1.0, angles) - 1).max() == 0
    by_modes = theory.density_of_small_form(2.0, angles, modes=200)
    assert np.abs(theory.density_of_small_form(2.0, angles) - by_modes).max() < 1e-13
    narrow = theory.density_of_small_form(1e6, 2e-7 * np.arange(-150, 151))  # a peak that a billion modes would show
    assert 2e-7 * narrow.sum() / (2 * np.pi) == pytest.approx(0.5, rel=1e-9)
    turned = theory.density_of_small_form(0.5, angles + np.pi / 2)
    assert np.abs(turned - theory.density_of_small_form(2.0, angles)).max() < 1e-13


@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0, 10.0])
def test_the_rectangle_is_the_least_of_all(ratio):
    found = theory.rectangle_of_four_tokens(ratio)
    energies = np.exp(found.points @ np.diag([1.0, ratio]) @ found.points.T)
    assert energies.mean() == pytest.approx(found.energy, rel=1e-14)
    angles = np.linspace(0, np.pi / 2, 2001)
    assert found.energy <= (np.cosh(np.cos(angles) ** 2) * np.cosh(ratio * np.sin(angles) ** 2)).min() + 1e-15


def test_bad_numbers_are_named():
    with pytest.raises(BadInput, match="ratio is -1"):
        theory.rectangle_of_four_tokens(-1.0)
    with pytest.raises(BadInput, match="kappa is 0"):
        theory.slope_of_minimiser_at_identity(kappa=0.0, d=2)
    with pytest.raises(BadInput, match="ratio is 0"):
        theory.density_of_small_form(0.0, [0.0])

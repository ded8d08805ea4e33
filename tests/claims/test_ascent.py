"""Gradient ascent of configurations: each closed-form gradient against differences, and that ascent ascends."""

from __future__ import annotations

import numpy as np
import pytest

from measureflow import theory
from measureflow.claims.p2312_14820.ascent import (
    ascended,
    rise_of_attention,
    rise_of_contraction,
    rise_of_l2_attention,
    rise_of_mean_square,
)

RNG = np.random.default_rng(7)
CLOUDS = 0.8 * RNG.normal(size=(3, 5, 2))
FORMS = RNG.normal(size=(3, 2, 2))


def by_differences(function, at, step=1e-5):
    """Gradients of one number for each cloud, by central differences."""
    slopes = np.empty_like(at)
    for place in np.ndindex(at.shape[1:]):
        aside = np.zeros_like(at)
        aside[(slice(None), *place)] = step
        slopes[(slice(None), *place)] = (function(at + aside) - function(at - aside)) / (2 * step)
    return slopes


@pytest.mark.parametrize("causal", [False, True])
def test_the_norm_of_the_jacobian_of_attention_has_this_gradient(causal):
    sizes, by_points, by_forms = rise_of_attention(CLOUDS, FORMS, causal)
    stated = np.linalg.norm(theory.jacobian_of_attention(CLOUDS, form=FORMS, causal=causal), 2, axis=(1, 2))
    np.testing.assert_allclose(sizes, stated, rtol=1e-13)
    found = by_differences(lambda x: rise_of_attention(x, FORMS, causal)[0], CLOUDS)
    np.testing.assert_allclose(by_points, found, atol=1e-8)
    found = by_differences(lambda forms: rise_of_attention(CLOUDS, forms, causal)[0], FORMS)
    np.testing.assert_allclose(by_forms, found, atol=1e-8)


def test_a_derivative_of_l2_attention_has_this_gradient():
    left, right = np.random.default_rng(8).normal(size=(2, *CLOUDS.shape))

    def attention(x):
        return theory.gibbs_law(-((x[:, :, None] - x[:, None]) ** 2).sum(axis=-1), 1.0) @ x

    def along(x, step=1e-4):
        moved = attention(x + step * right) - attention(x - step * right)
        return (left * moved).sum(axis=(1, 2)) / (2 * step)

    found = by_differences(along, CLOUDS, step=1e-4)
    np.testing.assert_allclose(rise_of_l2_attention(CLOUDS, left, right), found, atol=1e-6)


@pytest.mark.parametrize("by_diameter", [False, True])
def test_the_contraction_of_a_step_has_this_gradient(by_diameter):
    form = FORMS[0]
    sizes, slopes = rise_of_contraction(CLOUDS, form, by_diameter)
    assert (sizes < 1).all()  # Dobrushin's bound
    found = by_differences(lambda x: np.log(rise_of_contraction(x, form, by_diameter).sizes), CLOUDS)
    np.testing.assert_allclose(slopes, found, atol=1e-8)


def test_the_mean_square_distance_has_this_gradient():
    sizes, slopes = rise_of_mean_square(CLOUDS)
    assert (sizes < theory.largest_mean_square_of_l2_attention(5)).all()
    np.testing.assert_allclose(slopes, by_differences(lambda x: rise_of_mean_square(x).sizes, CLOUDS), atol=1e-8)


def test_ascent_never_falls_stays_in_its_set_and_comes_near_the_lemmas_bound():
    """The largest mean square distance of N tokens is phi^-1(N - 1), which ascent finds up to a local maximum."""
    before, seen = rise_of_mean_square(CLOUDS).sizes, []

    def back(x):
        return np.clip(x, -2.0, 2.0)

    def rise(x):
        seen.append(np.abs(x).max())
        return rise_of_mean_square(x)

    starts = CLOUDS.copy()
    after = rise_of_mean_square(ascended(rise, CLOUDS, 80, back)).sizes
    np.testing.assert_array_equal(CLOUDS, starts)
    assert (after >= before).all()
    assert max(seen) <= max(2.0, np.abs(CLOUDS).max())
    bound = theory.largest_mean_square_of_l2_attention(5)
    assert (after <= bound + 1e-12).all()
    assert after.max() > 0.95 * bound

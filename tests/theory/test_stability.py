"""Stability bounds: their values, and the velocity's own derivative below them."""

from __future__ import annotations

import numpy as np
import pytest

from measureflow import BadInput, theory


def test_bounds_are_the_derived_numbers():
    assert theory.growth_of_twins(beta=2.0, form=0.5, value=3.0) == 15.0
    assert theory.dobrushin_constant(beta=1.0) == pytest.approx(3.0 + 3.0 * np.exp(2.0))
    assert theory.distance_to_no_temperature(1.0, beta=0.3) == pytest.approx(0.1 * (np.exp(3.0) - 1))


def test_a_light_token_between_two_clusters_grows_at_beta_below_the_bound():
    beta, step = 7.0, 1e-6
    cosines = np.array([np.cos(np.pi / 2 - step), np.cos(np.pi / 2 + step)])
    weights = np.exp(beta * cosines)
    speed = (weights @ np.array([1.0, -1.0])) / weights.sum() * np.cos(step)
    assert speed / step == pytest.approx(beta, rel=1e-9)
    assert beta < theory.growth_of_twins(beta=beta)


def test_bad_input_names_the_value_and_the_cure():
    with pytest.raises(BadInput, match="form is -1"):
        theory.growth_of_twins(beta=1.0, form=-1)
    with pytest.raises(BadInput, match="beta is inf"):
        theory.dobrushin_constant(beta=np.inf)

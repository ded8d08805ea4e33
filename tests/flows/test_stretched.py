"""Bounds of the distance with mobility by plain distances of a stretched circle."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

import measureflow as mf
from measureflow.flows.stretched import bounds_of_distance
from measureflow.measures import wasserstein


def at(*angles: float) -> mf.Tokens:
    return mf.Tokens(mf.Sphere(2), np.stack([np.cos(angles), np.sin(angles)], axis=1))


def length(angle: float, form: np.ndarray, power: float) -> float:
    return float(np.exp(power * np.linalg.norm(form @ [np.cos(angle), np.sin(angle)])))


@pytest.mark.parametrize("form", [np.diag([1.0, 0.2]), np.diag([0.0, 2.0]), np.array([[0.3, 1.0], [1.0, -1.0]])])
def test_one_token_on_another_is_as_far_as_the_arc_is_long(form):
    for sign, found in zip((-0.5, 0.5), bounds_of_distance(at(0.4), at(1.9), form), strict=True):
        exact, _ = quad(length, 0.4, 1.9, args=(form, sign), epsabs=1e-12, limit=200)
        assert found == pytest.approx(exact, rel=1e-7)


def test_where_the_length_of_dx_is_constant_nothing_is_gained():
    one, other = at(0.1, 2.0, 4.0), at(0.5, 3.0, 5.5)
    plain = float(wasserstein(one, other))
    for form in (np.diag([1.5, -1.5]), 1.5 * np.eye(2)):
        np.testing.assert_allclose(bounds_of_distance(one, other, form), plain * np.exp([-0.75, 0.75]), rtol=1e-12)

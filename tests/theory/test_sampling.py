"""The mean distance of independent samples from their law: where the circle is cut, exact laws, what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from measureflow import theory
from measureflow.errors import BadInput

ANGLES = 2 * np.pi * np.arange(48) / 48
DENSITY = 1.0 + 0.6 * np.cos(ANGLES) - 0.2 * np.sin(2 * ANGLES)


def test_where_the_circle_is_cut_does_not_matter_and_the_interval_has_its_ends():
    turned = np.roll(DENSITY, 17)
    on_circle = theory.mean_square_distance_of_samples(DENSITY)
    assert theory.mean_square_distance_of_samples(turned) == pytest.approx(on_circle, rel=1e-6)
    assert theory.mean_square_distance_of_samples(3.0 * DENSITY[::-1]) == pytest.approx(on_circle, rel=1e-6)
    lines = [theory.mean_square_distance_of_samples(one, closed=False) for one in (DENSITY, turned)]
    assert abs(lines[0] - lines[1]) > 0.1
    assert min(lines) > on_circle  # a turn can only help


def test_the_double_integral_is_that_of_the_bridges_covariance():
    """Summed over all pairs of quantiles, as the formula is written."""
    u = (np.arange(2000) + 0.5) / 2000
    fine = 2 * np.pi * np.arange(200_001) / 200_000
    below = fine + 0.6 * np.sin(fine) + 0.1 * (np.cos(2 * fine) - 1.0)
    q = np.interp(u, below / (2 * np.pi), fine)
    w = (2 * np.pi / (1.0 + 0.6 * np.cos(q) - 0.2 * np.sin(2 * q))) ** 2
    covariance = np.minimum(u[:, None], u) - np.outer(u, u)
    line = (u * (1 - u) * w).mean()
    assert theory.mean_square_distance_of_samples(DENSITY, closed=False) == pytest.approx(line, rel=1e-4)
    circle = line - w @ covariance @ w / w.sum() / len(u)
    assert theory.mean_square_distance_of_samples(DENSITY) == pytest.approx(circle, rel=1e-4)


@pytest.mark.parametrize("density", [[1.0, 0.0, 1.0], [1.0], [1.0, math.nan], [[1.0, 2.0]]])
def test_a_density_that_is_none_is_refused(density):
    with pytest.raises(BadInput, match=r"all positive|all must be finite"):
        theory.mean_square_distance_of_samples(density)

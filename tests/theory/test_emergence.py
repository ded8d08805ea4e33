"""Emergence: printed times, where the peaks of a mode stand, and when nothing grows."""

from __future__ import annotations

import numpy as np
import pytest

from measureflow import BadInput, theory


@pytest.mark.parametrize(("beta", "time"), [(5.0, 0.266), (7.0, 0.0425)])
def test_emergence_times_are_the_printed_ones(beta, time):
    found = theory.emergence_time(amplitude=2e4**-0.5, beta=beta, d=2, model="unnormalised")
    assert found == pytest.approx(time, abs=6e-4)


def test_peaks_of_equal_clusters_are_the_clusters():
    centres = 0.4 + 2 * np.pi * np.arange(5) / 5
    angles = np.concatenate([centres - 0.01, centres + 0.01])
    assert np.allclose(theory.selected_peaks(angles, degree=5), np.sort(centres % (2 * np.pi)))


def test_nothing_emerges_under_much_noise():
    with pytest.raises(BadInput, match="take a larger kappa"):
        theory.emergence_time(amplitude=0.01, beta=1.0, d=3, kappa=0.1)
    with pytest.raises(BadInput, match="no angles"):
        theory.selected_peaks([], degree=2)

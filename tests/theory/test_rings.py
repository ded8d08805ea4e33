"""Ripples of a turning ring: their rates against those of a flow in plain NumPy, and against what is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import iv

from measureflow import BadInput, theory

N = 16
ANGLES = 2 * np.pi * np.arange(N) / N


def speeds(angles, heights, form):
    """Angular and vertical speeds of tokens on the sphere under V = -Id."""
    flat = np.sqrt(1 - heights**2)
    x = np.stack([flat * np.cos(angles), flat * np.sin(angles), heights], axis=1)
    kernel = np.exp(x @ form @ x.T)
    pulled = -kernel @ x / kernel.sum(axis=1, keepdims=True)
    v = pulled - (pulled * x).sum(axis=1, keepdims=True) * x
    return (v[:, 1] * np.cos(angles) - v[:, 0] * np.sin(angles)) / flat, v[:, 2]


@pytest.mark.parametrize("kappa", [0.0, 0.7])
def test_ripples_grow_at_the_rates_of_differences(kappa):
    twist, h = 0.9, 1e-6
    form = np.diag([kappa] * 3) + twist * np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    degrees = np.arange(1, 6)
    stated = theory.rates_of_ring(degrees, twist=twist, kappa=kappa)
    for m, within, out in zip(degrees, *stated, strict=True):
        wave = h * np.cos(m * ANGLES)
        along = [speeds(ANGLES + side * wave, 0 * ANGLES, form)[0] for side in (1, -1)]
        up = [speeds(ANGLES, side * wave, form)[1] for side in (1, -1)]
        for (ahead, behind), rate in ((along, within), (up, out)):
            found = 2 * (np.exp(-1j * m * ANGLES) * (ahead - behind)).mean() / (2 * h)
            assert abs(found - rate) < 1e-8


def test_without_a_symmetric_part_two_ripples_out_of_the_plane_and_three_in_it_grow_first():
    for twist in (0.1, 1.0, 3.0):
        found = theory.rates_of_ring(np.arange(12), twist=twist)
        assert (found.out.real.argmax(), found.within.real.argmax()) == (2, 3)
        assert found.out[2].real == pytest.approx(iv(2, twist) / iv(0, twist))
        assert found.out[1] == pytest.approx(1j * theory.rotation_of_ring(twist), abs=1e-15)  # a tilt stays one


def test_what_is_no_ring_is_refused():
    with pytest.raises(BadInput, match=r"degrees are 0\.5"):
        theory.rates_of_ring(0.5, twist=1.0)
    with pytest.raises(BadInput, match="twist is inf"):
        theory.rates_of_ring(1, twist=math.inf)

"""The limits of small bandwidth: gradients of the mixture's density, and one Gaussian by hand."""

from __future__ import annotations

import numpy as np
import pytest

import measureflow as mf
from measureflow import theory

MIXTURE = {"means": [[0.5, -1.0], [-1.0, 0.3]], "deviations": [0.7, 1.2], "masses": [0.3, 0.7]}


def density(x):
    return sum(
        mass * np.exp(-((x - np.array(mean)) ** 2).sum() / (2 * s**2)) / (2 * np.pi * s**2)
        for mean, s, mass in zip(MIXTURE["means"], MIXTURE["deviations"], MIXTURE["masses"], strict=True)
    )


def test_the_drifts_are_gradients_of_the_density_and_of_its_logarithm():
    x, h = np.array([0.4, 0.2]), 1e-5
    found = {
        name: theory.drift_of_small_bandwidth(x[None], weighting=name, **MIXTURE)[0]
        for name in ("sinkhorn", "softmax", "unnormalised")
    }
    slope = np.array([(density(x + h * e) - density(x - h * e)) / (2 * h) for e in np.eye(2)])
    np.testing.assert_allclose(found["unnormalised"], slope, rtol=1e-8)
    np.testing.assert_allclose(found["softmax"], slope / density(x), rtol=1e-8)
    np.testing.assert_allclose(found["sinkhorn"], 0.5 * slope / density(x), rtol=1e-8)


def test_far_from_every_component_the_nearest_decides():
    found = theory.drift_of_small_bandwidth([[100.0, 0.0]], weighting="softmax", **MIXTURE)
    assert found[0, 0] == pytest.approx(-101.0 / 1.44)


def test_what_is_no_mixture_is_refused():
    with pytest.raises(mf.BadInput, match="deviations are"):
        theory.drift_of_small_bandwidth([[0.0]], means=[[0.0]], deviations=[0.0])
    with pytest.raises(mf.BadInput, match="points have shape"):
        theory.drift_of_small_bandwidth([0.0], means=[[0.0]], deviations=[1.0])
    with pytest.raises(mf.BadInput, match="weighting is 'hardmax'"):
        theory.drift_of_small_bandwidth([[0.0]], means=[[0.0]], deviations=[1.0], weighting="hardmax")

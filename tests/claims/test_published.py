"""The published scheme: its steps are the library's layers, for any number of clouds, and what stands is left alone."""

from __future__ import annotations

import numpy as np
import pytest

import measureflow as mf
from measureflow.claims.instances import normalised
from measureflow.claims.published import normalised_steps, overlay, rings

RNG = np.random.default_rng(0)
CLOUDS = normalised(RNG.normal(size=(3, 5, 3)))
FORM, VALUE = RNG.normal(size=(2, 3, 3))


@pytest.mark.parametrize("weighting", ["softmax", "unnormalised"])
def test_published_steps_are_layers(weighting):
    field = mf.SelfAttention(1.0, query=FORM.T, value=VALUE.T, weighting=weighting)
    ends = normalised_steps(CLOUDS, 0.1, [0, 2, 4], form=FORM, value=VALUE, softmax=weighting == "softmax")
    for points, mine in zip(CLOUDS, np.moveaxis(ends, 1, 0), strict=True):
        path = mf.layers(mf.Tokens(mf.Sphere(3), points), field, depth=4, step=0.1)
        np.testing.assert_allclose(mine, np.asarray(path.points)[[0, 2, 4]], atol=1e-13)


def test_every_cloud_may_have_a_form_of_its_own_and_one_that_stands_is_left():
    still = np.tile([1.0, 0.0, 0.0], (5, 1))
    clouds, forms = np.stack([CLOUDS[0], still]), np.stack([FORM, np.eye(3)])
    both = normalised_steps(clouds, 0.1, 7, form=forms, value=forms)
    np.testing.assert_array_equal(both[1], still)
    np.testing.assert_allclose(both[0], normalised_steps(CLOUDS[0], 0.1, 7, form=FORM, value=FORM), atol=1e-14)
    np.testing.assert_array_equal(normalised_steps(still, 0.1, [1, 3, 9]), np.stack([still] * 3))


def test_the_published_variant_has_one_entry_in_the_legend():
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    overlay(ax, np.arange(4), RNG.normal(size=(4, 3)))
    rings(ax, *CLOUDS[0, :, :2].T, label=None)
    assert ax.get_legend_handles_labels()[1] == ["published steps"]
    assert {line.get_linestyle() for line in ax.lines} == {"--"}

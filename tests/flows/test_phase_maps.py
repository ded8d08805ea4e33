"""Phase maps: cells that can be run again, what is undecided, and what is stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import measureflow as mf
from measureflow.flows import PhaseMap, phase_map
from measureflow.flows.rest import come_to_rest

VALUES = np.array([-1.5, -0.4, 0.7, 1.6])
ATTRACTION = phase_map(VALUES, VALUES, n=8)


def test_clusters_are_at_the_eigenvector_of_the_extreme_eigenvalue():
    for i, j in ((0, 1), (1, 0), (2, 0), (3, 1)):
        assert ATTRACTION.decided[i, j]
        allowed = {int(np.argmin([VALUES[i], VALUES[j]])), int(np.argmax([VALUES[i], VALUES[j]]))}
        assert ATTRACTION.axis[i, j] in allowed
    assert ATTRACTION.label(0, 1) == "two clusters at e_1"
    assert ATTRACTION.label(1, 0) == "two clusters at e_2"


def test_a_cell_is_run_again_by_the_flow_itself():
    cell = (2, 3)
    again = mf.flow(ATTRACTION.tokens(*cell), ATTRACTION.field(*cell), until=mf.Stationary(1e-8), save=2)
    height = np.abs(np.asarray(again.points[-1])[:, ATTRACTION.axis[cell]])
    assert height.min() > 1 - 1e-6
    assert int(again.clusters[-1]) == ATTRACTION.clusters[cell]
    recipe = ATTRACTION.recipe(*cell)
    assert recipe["form"] == [0.7, 1.6]
    assert recipe["seed"] == [0, 2, 3]


def test_a_cloud_that_is_at_rest_only_to_the_last_digit_goes_on():
    """All tokens at the eigenvector of the smaller eigenvalue: a saddle, which no rounding leaves."""
    at, form = np.tile([0.0, 1.0], (1, 8, 1)), np.diag([1.0, 0.5])[None]
    stuck = come_to_rest(at, form, form)
    assert stuck.rested.all()
    np.testing.assert_array_equal(stuck.points, at)
    pushed = come_to_rest(at, form, form, push=1e-4)
    assert pushed.rested.all()
    np.testing.assert_allclose(np.abs(pushed.points[0, :, 0]), 1.0, atol=1e-7)


def test_what_is_not_at_rest_when_time_is_up_is_undecided():
    early = phase_map(VALUES, VALUES, n=8, until=0.5)
    assert not early.decided.any()
    assert (early.times == 0.5).all()
    assert early.label(0, 1).endswith("(undecided)")
    assert (early.speeds > 1e-8).all()


def test_repulsion_by_a_positive_form_makes_no_two_clusters_at_eigenvectors():
    found = phase_map(VALUES, VALUES, n=8, sign=-1)
    for i, j in ((2, 2), (2, 3), (3, 3)):
        assert found.label(i, j).split(" (")[0] in {"spread", "several clusters"}
    assert found.label(0, 1) == "one cluster at e_1"


def test_a_stored_map_is_the_same(tmp_path):
    file = tmp_path / "map.npz"
    ATTRACTION.save(file)
    again = PhaseMap.load(file)
    for name, value in vars(ATTRACTION).items():
        assert np.array_equal(getattr(again, name), value), name
    file.write_bytes(b"no map")
    with pytest.raises(mf.BadInput, match="cannot be read"):
        PhaseMap.load(file)
    with pytest.raises(mf.BadInput, match=r"must be \.npz"):
        ATTRACTION.save(tmp_path / "map.zarr")


def test_bad_input_is_refused():
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"first": [np.nan], "second": [0.0]}, "finite"),
        ({"first": [1.0], "second": [0.0], "n": 1}, "n is 1"),
        ({"first": [1.0], "second": [0.0], "sign": 3}, "sign is 3"),
        ({"first": [1.0], "second": [0.0], "weighting": "linear"}, "weighting is 'linear'"),
    ]
    for arguments, said in wrong:
        with pytest.raises(mf.BadInput, match=said):
            phase_map(**arguments)

from __future__ import annotations

import numpy as np
import pytest

import measureflow as mf
from measureflow.fields import Interpolated

TOKENS = mf.Tokens(mf.Euclidean(2), np.random.default_rng(0).normal(size=(5, 2)))
FIELDS = [mf.SelfAttention(1.0 + k, value=np.eye(2) * (k - 1.0)) for k in range(3)]
TIMES = [0.0, 0.25, 1.0]


def out(field):
    return np.asarray(field.output(TOKENS.points, TOKENS))


def test_outputs_lie_on_straight_lines_between_those_of_the_fields():
    field = Interpolated(FIELDS, TIMES)
    for t, one in zip(TIMES, FIELDS, strict=True):
        np.testing.assert_allclose(out(field.at(t)), out(one), rtol=0, atol=1e-15)
    np.testing.assert_allclose(out(field.at(0.4)), 0.8 * out(FIELDS[1]) + 0.2 * out(FIELDS[2]), rtol=0, atol=1e-15)
    np.testing.assert_array_equal(out(field.at(7.0)), out(field.at(1.0)))
    np.testing.assert_array_equal(out(field), out(FIELDS[0]))


def test_it_changes_with_depth_and_flows_land_on_its_corners():
    field = Interpolated(FIELDS, TIMES)
    assert not field.autonomous
    assert not field.positional
    assert field.breaks == (0.25, 1.0)
    assert repr(field) == "Interpolated(3 of SelfAttention, t = 0 .. 1)"
    assert Interpolated([mf.SelfAttention(1.0, mask="causal")] * 2, [0.0, 1.0]).positional


@pytest.mark.parametrize(
    ("fields", "times", "words"),
    [
        ([FIELDS[0]], [0.0], "at least two fields"),
        (FIELDS, [0.0, 1.0], "2 times for 3 fields"),
        (FIELDS, [0.0, 0.5, 0.5], "increasing"),
        (FIELDS, [0.1, 0.5, 0.6], "first one 0"),
        ([FIELDS[0], mf.SelfAttention(1.0)], [0.0, 1.0], "place 1 is not of the kind"),
        ([FIELDS[0], mf.Perceptron(np.eye(2), np.eye(2))], [0.0, 1.0], r"mf\.Schedule takes fields of any kinds"),
    ],
)
def test_interpolations_that_make_no_sense_are_refused(fields, times, words):
    with pytest.raises(mf.BadInput, match=words):
        Interpolated(fields, times)

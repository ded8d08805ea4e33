"""A field in another clock: the same direction, at the pace of the measure."""

from __future__ import annotations

import numpy as np
import pytest

import measureflow as mf
from measureflow import BadInput
from measureflow.fields import NearestPair, Paced, SpeedOfEnergy

ANGLES = np.array([0.0, 0.5, 1.2, 2.6])
TOKENS = mf.Tokens(mf.Sphere(2), np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1))
FIELD = mf.SelfAttention(9.0)


def test_the_nearest_pair_sets_the_clock():
    fast = np.asarray(Paced(FIELD, NearestPair(9.0))(TOKENS.points, TOKENS))
    own = np.asarray(FIELD(TOKENS.points, TOKENS))
    np.testing.assert_allclose(fast, own * np.log(9.0) * np.exp(9.0 * (1 - np.cos(0.5))), rtol=1e-12)


def test_a_pair_within_the_radius_and_a_token_without_mass_do_not_set_the_clock():
    own = FIELD(TOKENS.points, TOKENS)
    assert float(NearestPair(9.0, 0.6)(TOKENS, own)) == pytest.approx(np.log(9.0) * np.exp(9.0 * (1 - np.cos(0.7))))
    light = TOKENS.replace(weights=np.array([0.5, 0.0, 0.25, 0.25]))
    assert float(NearestPair(9.0)(light, own)) == pytest.approx(np.log(9.0) * np.exp(9.0 * (1 - np.cos(1.2))))


def test_the_clock_stands_where_all_have_met_or_nothing_moves():
    one = TOKENS.replace(points=np.tile([1.0, 0.0], (4, 1)))
    own = FIELD(one.points, one)
    assert float(NearestPair(9.0)(one, own)) == 0.0
    assert float(SpeedOfEnergy(9.0)(one, 0.0 * own)) == 0.0


def test_the_speed_of_energy_is_log_beta_at_any_scale():
    for scale in (1.0, 1e-250):
        own = scale * np.asarray(FIELD(TOKENS.points, TOKENS))
        speed = float(SpeedOfEnergy(9.0)(TOKENS, own)) * own
        assert np.sqrt((speed**2).sum(axis=1).mean()) == pytest.approx(np.log(9.0))


def test_a_paced_field_keeps_what_its_field_knows():
    paced = Paced(FIELD, SpeedOfEnergy(9.0))
    assert (paced.autonomous, paced.isotropic, paced.positional, paced.energy_sign) == (True, True, False, 1)
    assert float(paced.energy(TOKENS)) == float(FIELD.energy(TOKENS))
    assert repr(paced) == "Paced(SelfAttention(beta=9), SpeedOfEnergy)"


def test_queries_off_the_tokens_move_at_the_tokens_pace():
    paced, x = Paced(FIELD, SpeedOfEnergy(9.0)), np.array([[0.0, 1.0]])
    np.testing.assert_allclose(paced(x, TOKENS), float(paced.rate(TOKENS)) * np.asarray(FIELD(x, TOKENS)))
    np.testing.assert_allclose(paced.output(x, TOKENS), float(paced.rate(TOKENS)) * np.asarray(FIELD.output(x, TOKENS)))


def test_what_cannot_be_paced_is_refused():
    with pytest.raises(BadInput, match="give a field and a pace"):
        Paced(FIELD, 2.0)
    with pytest.raises(BadInput, match="depends on depth"):
        Paced(mf.Schedule([FIELD, FIELD], times=[0.0, 1.0]), SpeedOfEnergy(9.0))
    with pytest.raises(BadInput, match="beta > 1"):
        NearestPair(1.0)


def test_a_paced_field_is_rebuilt_from_a_recipe():
    described = mf.paths.describe(Paced(FIELD, NearestPair(9.0)))
    assert mf.paths.describe(mf.paths.rebuild(described)) == described

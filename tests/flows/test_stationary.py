"""Stationary measures: what is found, how it is named, and how it is followed as the form moves."""

from __future__ import annotations

import numpy as np
import pytest

import measureflow as mf
from measureflow import theory
from measureflow.flows import continued
from measureflow.flows.limits import named_limit
from measureflow.flows.stationary import StationaryMeasure, described


def diagonal(*eigenvalues, sign=1):
    return mf.gradient_attention(np.diag(eigenvalues), sign=sign)


def test_attraction_in_the_window_of_single_clusters_finds_one_and_knows_the_saddles():
    found = mf.stationary(diagonal(1.0, 0.9), n=8, starts=20, seed=1)
    assert str(found[0].limit) == "one cluster at e_1"
    assert found[0].share == 1.0
    assert found[0].stable
    saddles = {str(state.limit): state for state in found[1:]}
    assert set(saddles) == {"two clusters at e_1", "one cluster at e_2", "two clusters at e_2"}
    assert not any(state.stable for state in saddles.values())
    rates = theory.rates_of_two_clusters([1.0, 0.9], 0)
    predicted = np.sort([*np.repeat(rates.within, 3), *rates.between[0]])[::-1]
    assert np.abs(saddles["two clusters at e_1"].rates - predicted).max() < 1e-7


def test_where_both_are_stable_the_shares_are_those_of_basins():
    found = [state for state in mf.stationary(diagonal(1.0, 0.6), n=8, starts=32) if state.share > 0]
    assert {str(state.limit) for state in found} == {"one cluster at e_1", "two clusters at e_1"}
    assert sum(state.share for state in found) == 1.0
    assert all(0 < state.error < 0.1 for state in found)


def test_descent_may_end_above_the_minimum_of_the_energy():
    found = [state for state in mf.stationary(diagonal(-0.9, 1.7, sign=-1), n=8, starts=32) if state.share > 0]
    energies = sorted(state.energy for state in found)
    assert all(state.stable for state in found)
    assert energies[0] == pytest.approx(np.exp(-0.9), abs=1e-8)
    assert 0.9 < energies[-1] < 1.0 + 1e-9


def test_limits_are_named_for_what_they_are():
    turn = 2 * np.pi * np.arange(12) / 12
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    ring = np.concatenate([circle, np.zeros((12, 1))], axis=1)
    form, tilted = np.diag([1.0, 2.0, 3.0]), np.ones(3) / np.sqrt(3)
    side = np.where(np.arange(12) < 9, 1.0, -1.0)[:, None]
    two = named_limit(side * np.eye(3)[1], form)
    assert str(two) == "two clusters at e_2"
    assert two.masses == pytest.approx([0.75, 0.25])
    assert str(named_limit(np.tile(tilted, (12, 1)), form)) == "one cluster"
    assert str(named_limit(ring, form)) == "ring"
    assert str(named_limit(circle, form[:2, :2])) == "spread"
    assert str(named_limit(circle[[0, 4, 8] * 4], form[:2, :2])) == "3 clusters"
    cross = np.concatenate([np.eye(3), -np.eye(3)])[np.arange(12) % 4]
    assert named_limit(cross, form).kind == "several clusters"
    # in the order of eigenvalues where the form is not diagonal
    R = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    assert str(named_limit(side * R[:, 2], R @ form @ R.T)) == "two clusters at e_3"


def test_tokens_without_mass_do_not_count():
    x = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert str(named_limit(x, np.diag([1.0, 0.5]), np.array([0.5, 0.5, 0.0]))) == "one cluster at e_1"


def test_four_tokens_follow_their_law_as_the_eigenvalue_moves():
    def law(c2, d):
        return np.tanh(c2) / np.tanh(d * (1 - c2)) - d

    start = np.pi / 4 + np.pi / 2 * np.arange(4)
    field = diagonal(1.0, 1.0, sign=-1)
    square = mf.Tokens(mf.Sphere(2), np.stack([np.cos(start), np.sin(start)], axis=1))
    state = described(field, square, named_limit(np.asarray(square.points), np.eye(2)))
    values = np.linspace(1.0, 4.0, 13)[1:]
    states = continued(state, [diagonal(1.0, d, sign=-1) for d in values])
    assert len(states) == len(values)
    for d, one in zip(values, states, strict=True):
        c2 = np.asarray(one.tokens.points)[:, 0] ** 2
        assert np.ptp(c2) < 1e-10
        assert abs(law(c2.mean(), d)) < 1e-8
        assert one.speed < 1e-12


def test_a_state_loses_its_stability_on_the_way_where_theory_says():
    side = np.where(np.arange(8) < 4, 1.0, -1.0)[:, None]
    tokens = mf.Tokens(mf.Sphere(2), side * np.array([1.0, 0.0]))
    state = described(diagonal(1.0, 0.7), tokens, named_limit(np.asarray(tokens.points), np.diag([1.0, 0.7])))
    assert isinstance(state, StationaryMeasure)
    low = theory.single_cluster_window()[0]
    stable = [one.stable for one in continued(state, [diagonal(1.0, low + shift) for shift in (-0.01, 0.01)])]
    assert stable == [True, False]


def test_degenerate_eigenspaces_leave_neutral_directions():
    found = mf.stationary(diagonal(1.0, 1.0), n=8, starts=4)
    assert found[0].limit.kind == "one cluster"
    assert found[0].neutral == 1
    assert found[0].stable


def test_bad_input_is_refused():
    with pytest.raises(mf.BadInput, match="say which with d="):
        mf.stationary(mf.SelfAttention(beta=1.0))
    with pytest.raises(mf.BadInput, match="unmasked"):
        mf.stationary(mf.SelfAttention(beta=1.0, mask="causal"), d=2)
    with pytest.raises(mf.BadInput, match="n is 1"):
        mf.stationary(diagonal(1.0, 2.0), n=1)

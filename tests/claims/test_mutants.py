"""Mutants of the core: put in for the length of a block, noticed by claims, and gone afterwards."""

from __future__ import annotations

import json

import numpy as np
import pytest

import measureflow as mf
from measureflow import BadInput
from measureflow.claims import MUTANTS, against_mutants, claim, mutants


def mutant(name):
    return next(one for one in MUTANTS if one.name == name)


def velocity(beta=2.0):
    tokens = mf.equiangular(n=4, cosine=0.9)
    return np.asarray(mutants_velocity(mf.SelfAttention(beta), tokens))


def mutants_velocity(field, tokens):
    from measureflow.claims.instances import velocity

    return velocity(field, tokens)


@pytest.mark.parametrize("name", ["projection dropped", "wrong sign", "beta ignored"])
def test_a_mutant_changes_compiled_code_and_leaves_nothing_behind(name):
    before, kept = velocity(), vars(mutant(name).owner)[mutant(name).attribute]
    with mutant(name).applied():
        assert np.abs(velocity() - before).max() > 1e-4
    assert np.array_equal(velocity(), before)
    assert vars(mutant(name).owner)[mutant(name).attribute] is kept


def test_a_mutant_goes_when_the_block_breaks():
    kept = vars(mutant("beta ignored").owner)["weights"]
    with pytest.raises(RuntimeError), mutant("beta ignored").applied():
        raise RuntimeError
    assert vars(mutant("beta ignored").owner)["weights"] is kept


def test_the_unshifted_exponential_shows_at_a_large_beta_only():
    with mutant("unshifted exp").applied():
        assert np.isfinite(velocity(2.0)).all()
        assert np.isnan(velocity(1000.0)).any()


def test_one_claim_against_the_mutants_that_concern_it():
    table = against_mutants("2312.10794/V28")
    outcome = {name: cell.outcome for (name, _), cell in table.cells.items()}
    assert outcome["Q and K transposed"] == "killed"
    assert outcome["projection dropped"] == "killed"
    assert outcome["unshifted exp"] == "survived"  # no large beta in it
    assert outcome["frozen stages"] == "not applicable"  # it takes no step
    assert outcome["diagonal lost"] == "not applicable"
    assert table.suspects == []
    assert set(table.holes) == {"frozen stages", "1/n missing", "diagonal lost", "unshifted exp"}
    assert "hole: no claim kills the mutant 'frozen stages'" in str(table)
    assert json.loads(json.dumps(table.to_json()))["holes"] == table.holes


@pytest.mark.slow
def test_the_short_choice_kills_every_mutant():
    table = against_mutants(mutants.SHORT)
    assert table.holes == []
    assert table.suspects == []


@pytest.mark.usefixtures("own_registry")
def test_a_claim_that_fails_unharmed_says_nothing_about_mutants():
    @claim("0000.00000", "(1)", states=lambda: 0.0)
    def velocities_vanish(case):
        case.compare(velocity(), case.predict(), within=1e-9, because="nothing")

    with pytest.raises(BadInput, match=r"0000\.00000/velocities-vanish is violated on the unharmed core"):
        against_mutants(velocities_vanish)


@pytest.mark.usefixtures("own_registry")
def test_a_claim_that_kills_nothing_is_suspect():
    @claim("0000.00000", "(2)", states=lambda: 1.0)
    def one_is_one(case):
        velocity()
        case.compare(1.0, case.predict(), within=1e-9, because="exact")

    table = against_mutants(one_is_one, mutants=[mutant("wrong sign")])
    assert table.suspects == ["0000.00000/one-is-one"]
    assert table.holes == ["wrong sign"]

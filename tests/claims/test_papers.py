"""The library's claims: consistent on instances that nobody chose, complete, and each with its source."""

from __future__ import annotations

import re

import pytest
from matplotlib.ticker import FixedLocator

import measureflow as mf
from measureflow.claims import bibliography
from measureflow.claims.checking import examine
from measureflow.claims.parameters import has
from measureflow.claims.programs import let_go

CLAIMS = mf.claims.all()
QUICK = [claim for claim in CLAIMS if claim.tier == "smoke"]
FIRST = {"V1", "V2", "V3", "V4", "V5", "V6", "V8", "V9", "V25", "V27", "V28", "V29"}


def can_be_drawn_and_changed(result):
    """Draw what was compared, look for the labels, and see that whatever was drawn is a known parameter."""
    drawing = result.plot()
    left, *_ = drawing.axes
    for name, axis in (("x", left.xaxis), ("y", left.yaxis)):
        words = [label.get_text() for label in axis.get_ticklabels()]
        fixed = isinstance(axis.get_major_locator(), FixedLocator)  # categories name themselves
        named = axis.get_label_text() or (fixed and any(re.search("[A-Za-z]", word) for word in words))
        shown = left.axison and len(words) > 0
        assert named or not shown or (name == "y" and not result.claim.picture), name
    drawing.canvas.draw()
    assert sorted(name for name in result.cases[0].taken if not has(result.claim, name)) == []


@pytest.mark.parametrize("claim", QUICK, ids=lambda claim: claim.id)
def test_claim_is_consistent_and_drawn_and_other_draws_compile_nothing(claim, compilations):
    let_go()  # now, so that nothing is dropped between the two
    result = examine(claim, seed=11)
    assert result.verdict == "consistent", str(result)
    compilations.clear()
    again = examine(claim, seed=12, draws=1)
    assert again.verdict == "consistent", str(again)
    assert compilations == []
    can_be_drawn_and_changed(result)  # from what was measured above: nothing is run again for it


def test_the_mean_field_is_covered():
    assert {item for claim in CLAIMS for item in claim.covers} >= {"V10", "V11", "V13", "V14", "V30", "T14"}


def test_normalisation_schemes_are_covered():
    assert {item for claim in CLAIMS for item in claim.covers if claim.paper == "2510.22026"} == {"V17", "E9"}


def test_the_first_twelve_predictions_are_covered():
    assert {item for claim in CLAIMS for item in claim.covers} >= FIRST


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_claim_says_what_and_where_and_rejects_something(claim):
    assert claim.statement
    assert claim.item
    assert claim.covers
    assert len(claim.mutations) >= 2
    assert bibliography.entry(claim.paper)


def test_errata_are_claims_whose_mutation_is_the_printed_form():
    errata = [claim for claim in CLAIMS if claim.status == "erratum"]
    assert errata
    for claim in errata:
        assert any("printed" in mutation.what for mutation in claim.mutations), claim.id


@pytest.mark.parametrize("claim", [claim for claim in CLAIMS if claim not in QUICK], ids=lambda claim: claim.id)
def test_claim_of_a_higher_tier_is_consistent_on_one_draw(claim):
    result = examine(claim, seed=11, draws=1, mutations=False)  # mutations are rejected where the tier is checked
    assert result.verdict == "consistent", str(result)
    can_be_drawn_and_changed(result)

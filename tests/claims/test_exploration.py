"""Open questions: studied, never decided; each asks something, and goes by its name."""

from __future__ import annotations

import dataclasses
import json

import pytest
from matplotlib.figure import Figure

import measureflow as mf
from measureflow.claims import exploration, explorations, explore
from measureflow.claims.exploration import replica

ALL = explorations()


def define(**options):
    @exploration("1111.22222", "Problem 1", **{"covers": ["P99"], **options})
    def how_long_is_a_coast(case):
        """It is not known how long a coast is."""
        return {"length": case.draw("ruler", 1.0, 2.0), "tier": case.tier, "lengths": [1.0, float("inf")]}

    return how_long_is_a_coast


@pytest.mark.usefixtures("own_registry")
def test_what_was_found_comes_without_a_verdict_on_truth():
    one = define()
    found = explore(one, tier="standard", seed=3)[0]
    assert 1.0 <= found.found["length"] == found.instance["ruler"] <= 2.0
    assert found.found["tier"] == "standard"
    row = json.loads(json.dumps(found.to_json()))
    assert row["verdict"] == "exploration"
    assert row["found"]["lengths"] == [1.0, None]
    assert "length: 1." in str(found)
    assert explore("P99", seed=3)[0].instance == found.instance
    assert explore("P99", seed=4)[0].instance != found.instance


@pytest.mark.usefixtures("own_registry")
def test_an_exploration_is_no_claim_and_goes_by_its_names():
    one = define()
    for name in ("1111.22222/P99", "p99", "how-long-is-a-coast", "1111.22222"):
        assert explore(name)[0].id == one.id
    with pytest.raises(mf.BadInput, match="no claim goes by"):
        mf.check("P99")
    with pytest.raises(mf.BadInput, match=r"no exploration goes by 'P98'; the nearest are .*P99"):
        explore("P98")


@pytest.mark.usefixtures("own_registry")
def test_bad_explorations_are_refused():
    with pytest.raises(mf.BadInput, match="which open problem"):
        define(covers=[])
    with pytest.raises(mf.BadInput, match="tier is 'big'"):
        explore(define(), tier="big")


@pytest.mark.usefixtures("own_registry")
def test_each_start_of_a_study_takes_what_the_user_set():
    @exploration("1111.22222", "Problem 2", covers=["P97"])
    def how_long_are_many_coasts(case):
        """It is not known how long coasts are."""
        return {"rulers": [replica(case, k).draw("ruler", 1.0, 2.0) for k in range(3)]}

    drawn = explore("P97", seed=3)[0]
    assert len(set(drawn.found["rulers"])) == 3
    assert drawn.instance == {}
    told = explore("P97", seed=3, parameters={"ruler": 1.5})[0]
    assert told.found["rulers"] == [1.5] * 3
    assert told.parameters == told.instance == {"ruler": 1.5}
    assert "--set ruler=1.5" in told.command


@pytest.mark.usefixtures("own_registry")
def test_a_study_that_makes_no_sense_for_a_value_says_so():
    @exploration("1111.22222", "Problem 3", covers=["P96"])
    def how_long_is_a_polygon(case):
        """It is not known how long a polygon is."""
        n = case.given("n", 3)
        case.require("n is at least 3", n >= 3)
        return {"n": n}

    assert explore("P96")[0].found == {"n": 3}
    with pytest.raises(mf.BadInput, match="needs that n is at least 3"):
        explore("P96", parameters={"n": 2})


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.id)
def test_every_exploration_has_a_parameter_and_a_picture(one):
    assert one.parameters
    assert one.picture


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.id)
def test_every_exploration_of_the_library_finds_something(one):
    found = explore(one, seed=5)[0]
    assert found.found
    json.dumps(found.to_json())
    axes = Figure().subplots()
    # a picture shows what was found, and nothing else
    dataclasses.replace(found, instance={}, parameters={}).plot(axes)
    assert axes.has_data()
    assert axes.get_xlabel()
    assert axes.get_legend()

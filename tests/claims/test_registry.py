"""Finding claims: by id, paper, covered item and name; what has no name gets the nearest ones."""

from __future__ import annotations

import pytest

from measureflow import BadInput
from measureflow.claims import all, claim, find

pytestmark = pytest.mark.usefixtures("own_registry")


def define(**options):
    @claim("1111.22222", "(1)", states=abs, **options)
    def absolute_values_are_positive(case): ...

    return absolute_values_are_positive


def test_a_claim_goes_by_id_paper_item_and_name():
    one = define(covers=["V99", "X1"])
    assert one.id == "1111.22222/V99"
    for name in (one.id, one.id.lower(), "1111.22222", "V99", "x1", "absolute-values-are-positive",
                 "absolute_values_are_positive"):  # fmt: skip
        assert find(name) == [one]
    assert define(id="mine").id == "mine"


def test_without_an_item_the_name_makes_the_id():
    assert define().id == "1111.22222/absolute-values-are-positive"


def test_lists_are_joined_and_each_claim_comes_once():
    one, two = define(covers=["V99"]), define(covers=["V98"])
    assert find(["V98", one, "1111.22222"]) == [two, one]
    assert set(map(id, find(None))) == set(map(id, all()))


def test_the_nearest_names_are_given():
    define(covers=["V99"])
    with pytest.raises(BadInput, match=r"1111\.22222/V99"):
        find("1111.22222/V98")
    with pytest.raises(BadInput, match="'nothing like it'"):
        find("nothing like it")
    with pytest.raises(BadInput, match="3 is no claim"):
        find(3)


def test_defining_again_replaces_and_a_stranger_is_refused():
    first, second = define(covers=["V99"]), define(covers=["V99"])
    assert find("V99") == [second]
    assert first is not second
    with pytest.raises(BadInput, match="has this id already"):

        @claim("1111.22222", "(2)", states=abs, covers=["V99"])
        def another(case): ...


@pytest.mark.parametrize(
    ("options", "words"),
    [({"tier": "quick"}, "tier is 'quick'"), ({"status": "true"}, "status is 'true'")],
)
def test_bad_words_are_refused(options, words):
    with pytest.raises(BadInput, match=words):
        define(**options)


def test_a_claim_states_something():
    with pytest.raises(BadInput, match="states nothing"):

        @claim("1111.22222", "(1)", states={})
        def nothing(case): ...

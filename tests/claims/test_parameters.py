"""What a user may change of a claim: found by name before it runs, of the right kind, noted, and found again."""

from __future__ import annotations

import shlex

import numpy as np
import pytest

import measureflow as mf
from measureflow import BadInput
from measureflow.claims.case import Case
from measureflow.claims.curves import MOST
from measureflow.claims.parameters import has

SIZES = {"smoke": 4, "standard": 8, "full": 16}
LOW = 0.5


def drawn_elsewhere(case: Case) -> float:
    """Return a number of the case that the check does not name itself."""
    return case.draw("angle", -LOW, 0.25)


@pytest.fixture
def toy(own_registry):
    """A claim that takes its numbers in every way there is."""

    @mf.claim("0000.00000", "(1)", states=lambda x: x, id="0000.00000/toy")
    def a_sum_is_a_sum(case):
        """A sum is a sum."""
        beta, n = case.draw("beta", 1.0, 2.0), case.given("n", SIZES[case.tier])
        kind = case.choose("kind", ["plus", "minus"])
        k, masses = case.choose("k", [2, 3, 4]), case.given("masses", (0.25, 0.75))
        several = [case.draw(f"rate of {name}", 0.0, 1.0) for name in "ab"]
        total = beta + n + k + sum(several) + sum(masses) + drawn_elsewhere(case) + len(kind)
        case.compare(np.full(5, total), case.predict(total), within=1e-9, because="the same", name="sum")

    a_sum_is_a_sum.mutation(lambda x: x + 1)
    return a_sum_is_a_sum


def test_parameters_are_named_with_where_they_come_from(toy):
    assert {one.name: one.unless_set for one in toy.parameters} == {
        "beta": "1 to 2",
        "n": "4 / 8 / 16",
        "kind": "one of plus, minus",
        "k": "one of 2, 3, 4",
        "masses": "[0.25, 0.75]",
        "rate of *": "0 to 1",
        "angle": "-0.5 to 0.25",
    }


def test_what_is_set_stands_for_what_is_drawn(toy):
    values = {"beta": 1.5, "n": 3, "kind": "minus", "k": 3, "masses": [0.5, 0.5], "rate of a": 0.0, "angle": 0.0}
    free, (result,) = mf.check(toy)[0], mf.check(toy, parameters=values)
    assert result.verdict == "consistent"
    assert all(one == result.instances[0] | {"rate of b": one["rate of b"]} for one in result.instances)
    assert result.instances[0] == values | {"masses": (0.5, 0.5), "rate of b": free.instances[0]["rate of b"]}
    assert result.measured - result.instances[0]["rate of b"] == pytest.approx(1.5 + 3 + 3 + 1 + 5, abs=1.0)


def test_what_would_never_be_drawn_is_run_and_noted(toy):
    (result,) = mf.check(toy, parameters={"beta": 7, "k": 9, "n": 5, "angle": 0.25})
    assert result.verdict == "consistent"
    assert [note.split(" is set")[0] for note in result.notes] == ["beta = 7", "n = 5", "k = 9"]
    assert "1 to 2" in result.notes[0]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"bta": 1.0}, r"has no parameter 'bta'; known: beta \(1 to 2\)"),
        ({"beta": "hot"}, "'beta' is 'hot'; it is a number"),
        ({"beta": True}, "'beta' is True; it is a number"),
        ({"beta": float("nan")}, "must be finite"),
        ({"n": 2.5}, "'n' is 2.5; it is a whole number"),
        ({"kind": "times"}, "'times'; it is one of plus, minus"),
        ({"kind": 3}, "3; it is one of plus, minus"),
        ({"masses": 1.0}, "it is of the kind of"),
        ({"masses": ["a", "b"]}, "it is a number"),
    ],
)
def test_bad_values_are_refused(toy, values, said):
    with pytest.raises(BadInput, match=said):
        mf.check(toy, parameters=values)


def test_a_name_that_one_of_several_claims_has_is_set_there_alone(toy):
    results = {one.id: one for one in mf.check([toy, "2501.03096/T6"], parameters={"angle": 0.125})}
    assert results[toy.id].parameters == {"angle": 0.125}
    assert all(one.parameters == {} for id, one in results.items() if id != toy.id)
    with pytest.raises(BadInput, match=r"none of these 2 has a parameter 'angel'; the nearest: .*angle"):
        mf.check([toy, "2501.03096/T6"], parameters={"angel": 0.1})


def test_a_result_is_found_again_by_its_recipe_and_by_its_command(toy, capsys):
    from measureflow.cli import main

    (result,) = mf.check(toy, seed=3, tier="standard", parameters={"masses": (0.5, 0.5), "kind": "minus"})
    assert result.recipe == {
        "claims": [toy.id],
        "tier": "standard",
        "seed": 3,
        "parameters": {"masses": [0.5, 0.5], "kind": "minus"},
    }
    (again,) = mf.check(result.recipe)
    assert (again.instances, again.measured) == (result.instances, result.measured)
    (other,) = mf.check(result.recipe, parameters={"kind": "plus"})
    assert other.parameters == {"masses": [0.5, 0.5], "kind": "plus"}
    assert main(shlex.split(result.command)[1:]) == 0
    assert toy.id in capsys.readouterr().out
    for wrong, said in (({"claim": []}, "no 'claim'"), ({"tier": "smoke"}, "no claims"),
                        ({"claims": ["2501.03096/T6"], "parameters": 3}, "table")):  # fmt: skip
        with pytest.raises(BadInput, match=said):
            mf.check(wrong)


@pytest.mark.parametrize("kind", ["all", "explorations", "figures"])
def test_everything_in_the_library_can_be_changed(kind):
    nothing = [one.id for one in getattr(mf.claims, kind)() if not one.parameters]
    assert nothing == []


def test_the_picture_of_a_result_shows_what_was_compared(toy, tmp_path):
    (result,) = mf.check(toy)
    drawing = result.plot()
    left, right = drawing.axes
    measured = next(line for line in left.lines if line.get_label() == "measured")
    assert np.array_equal(measured.get_ydata(), result.curves[0][0].measured)
    errors = [line.get_xdata() for line in right.lines if len(line.get_xdata()) == len(result.curves)]
    assert len(errors) == 2  # as stated, and the mutation
    assert min(errors[1]) == pytest.approx(1e9)
    file = result.plot(tmp_path / "toy.svg")
    assert result.command in file.read_text("utf-8")
    with pytest.raises(BadInput, match="ending"):
        result.plot(tmp_path / "toy.gif")


def test_few_numbers_are_drawn_across_the_draws(own_registry):
    @mf.claim("0000.00000", "(2)", states=lambda x: 2 * x, id="0000.00000/few")
    def twice(case):
        """A number and its double."""
        x = case.draw("x", 1.0, 2.0)
        case.compare(2 * x, case.predict(x), within=1e-9, because="the same", name="double")
        case.at_least(x, 1.0, within=1e-9, because="drawn so", name="x")

    twice.mutation(lambda x: x)
    (result,) = mf.check(twice)
    (left, _) = result.plot().axes
    assert [len(line.get_xdata()) for line in left.lines] == [1] * 6 + [2]
    assert (left.get_xlabel(), left.get_ylabel()) == ("stated", "measured")


def test_curves_run_over_one_axis_and_are_thinned():
    case = Case("toy", {})
    long = np.arange(3.0 * MOST)
    case.compare(long, long, within=1.0, because="the same", over={"t": long})
    (curve,) = case.curves
    assert (curve.entries, len(curve.measured), curve.axis) == (3 * MOST, MOST, "t")
    assert (curve.places[0], curve.places[-1]) == (0.0, long[-1])
    off = long + (long == 7)  # an entry that thinning alone would drop
    case.compare(off, long, within=0.25, because="one is wrong")
    worst = case.curves.pop()
    assert worst.deviation == case.comparisons[-1].deviation == 4.0
    assert 8.0 in worst.measured
    assert 7.0 not in curve.measured
    case.at_most(np.zeros((2, 3)), 1.0, within=1.0, because="small", over={"k": [1, 2, 3]})
    assert case.curves[1].places.tolist() == [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]
    for over, said in (({"k": [1, 2]}, "shape"), ({"k": 1, "t": 2}, "one axis")):
        with pytest.raises(BadInput, match=said):
            case.compare(np.zeros(3), 0.0, within=1.0, because="same", over=over)


def test_nothing_compared_is_nothing_drawn(own_registry):
    @mf.claim("0000.00000", "(3)", states=lambda x: x, id="0000.00000/unmet")
    def never(case):
        """Nothing."""
        case.require("an impossible thing", case.draw("x", 0.0, 1.0) > 2)

    (result,) = mf.check(never)
    with pytest.raises(BadInput, match="impossible"):
        result.plot()
    assert has(never, "x")

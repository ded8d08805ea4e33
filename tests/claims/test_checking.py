"""Verdicts: what makes a toy claim consistent, violated or inconclusive, and what a result says."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from matplotlib.figure import Figure

import measureflow as mf
from measureflow import BadInput
from measureflow.claims import check, claim

pytestmark = pytest.mark.usefixtures("own_registry")


def toy(true=lambda x: x**2, *, near=None, within=1e-9, error=0.0, hypothesis=True, **options):
    """A claim that states a square; `near` is its mutation, `error` what the measurement is off by."""

    @claim("0000.00000", "(1)", states=true, **options)
    def squares_are_squares(case):
        """The square of a number is the number times itself."""
        x = case.draw("x", 1.0, 2.0)
        case.require("x is positive", hypothesis if isinstance(hypothesis, bool) else hypothesis(case.index))
        case.compare(x * x + error, case.predict(x), within=within, because="rounding", name="square")

    if near is not None:
        squares_are_squares.mutation(near)
    return squares_are_squares


def lost_exponent(x):
    """The exponent is lost."""
    return x


def test_truth_with_margin_and_a_rejected_mutation_is_consistent():
    result = check(toy(near=lost_exponent))[0]
    assert result.verdict == "consistent"
    assert result.deviation < 0.5
    (one,) = result.mutation_rejected
    assert one.rejected
    assert one.deviation > 10
    assert (one.name, one.what) == ("lost_exponent", "The exponent is lost.")


def test_an_error_outside_the_tolerance_violates():
    result = check(toy(near=lost_exponent, error=2e-9))[0]
    assert result.verdict == "violated"
    assert result.deviation == pytest.approx(2.0, rel=1e-6)
    assert result.measured - result.expected == pytest.approx(2e-9, rel=1e-6)
    assert "square" in result.notes[0]


def test_an_error_of_more_than_half_the_tolerance_has_no_margin():
    result = check(toy(near=lost_exponent, error=0.7e-9))[0]
    assert result.verdict == "inconclusive"
    assert "margin of 1.4" in result.notes[0]


def test_nan_violates():
    assert check(toy(near=lost_exponent, error=math.nan))[0].verdict == "violated"


def test_a_mutation_that_is_not_rejected_in_one_of_the_draws_blinds_the_claim():
    def sometimes_right(x):
        return x**2 if x > 1.5 else x

    result = check(toy(near=sometimes_right), tier="full")[0]
    assert result.verdict == "inconclusive"
    assert "sometimes_right" in result.notes[0]
    assert not result.mutation_rejected[0].rejected


def test_a_mutation_within_ten_tolerances_is_not_rejected():
    result = check(toy(near=lambda x: x**2 + 9e-9))[0]
    assert result.mutation_rejected[0].deviation == pytest.approx(9.0, rel=1e-5)
    assert result.verdict == "inconclusive"


@pytest.mark.parametrize("near", [lambda x: math.nan, lambda x: 1 / 0])
def test_a_mutation_that_breaks_is_not_rejected_by_that(near):
    result = check(toy(near=near))[0]
    assert not result.mutation_rejected[0].rejected
    assert result.verdict == "inconclusive"


def test_a_claim_without_mutations_shows_nothing():
    result = check(toy())[0]
    assert result.verdict == "inconclusive"
    assert "no mutation" in result.notes[0]


def test_an_unmet_hypothesis_is_inconclusive_and_listed():
    result = check(toy(near=lost_exponent, hypothesis=lambda index: index != 1))[0]
    assert result.verdict == "inconclusive"
    assert result.hypotheses == {"x is positive": False}
    assert any("hypothesis not met in draw 1: x is positive" in note for note in result.notes)


def test_a_violation_is_not_hidden_by_another_draw_that_decides_nothing():
    result = check(toy(near=lost_exponent, error=1.0, hypothesis=lambda index: index != 1))[0]
    assert result.verdict == "violated"


def test_a_check_that_raises_is_inconclusive_and_says_so():
    def broken(x):
        raise RuntimeError("no such square")

    result = check(toy(broken))[0]
    assert result.verdict == "inconclusive"
    assert math.isnan(result.deviation)
    assert any("RuntimeError: no such square" in note for note in result.notes)


def test_a_check_that_compares_nothing_is_inconclusive():
    @claim("0000.00000", "(2)", states=abs)
    def empty(case):
        case.predict(1.0)

    assert check(empty)[0].verdict == "inconclusive"


def test_a_mutation_replaces_its_part_alone_and_leaves_nothing_behind():
    seen = []

    @claim("0000.00000", "(3)", states={"double": lambda x: 2 * x, "half": lambda x: x / 2})
    def two_parts(case):
        case.compare(2.0, case.statement.double(1.0), within=1e-9, because="exact", name="double")
        case.compare(0.5, case.statement.half(1.0), within=1e-9, because="exact", name="half")
        seen.append((case.statement.double(1.0), case.statement.half(1.0)))

    @two_parts.mutation("half")
    def third(x):
        return x / 3

    assert check(two_parts)[0].verdict == "consistent"
    assert set(seen) == {(2.0, 0.5), (2.0, 1 / 3)}
    assert two_parts.parts["half"](1.0) == 0.5
    with pytest.raises(BadInput, match="'double', 'half'"):
        two_parts.mutation(third)
    with pytest.raises(BadInput, match="no part 'treble'"):
        two_parts.mutation("treble")
    with pytest.raises(BadInput, match="'third' already"):
        two_parts.mutation("half")(third)


def test_the_same_seed_gives_the_same_numbers_and_another_one_others():
    one = toy(near=lost_exponent)
    assert check(one, seed=1)[0].instances == check(one, seed=1)[0].instances
    assert check(one, seed=1)[0].instances != check(one, seed=2)[0].instances


def test_tiers_set_the_number_of_draws():
    one = toy(near=lost_exponent)
    assert [len(check(one, tier=tier)[0].instances) for tier in ("smoke", "standard", "full")] == [3, 6, 12]
    with pytest.raises(BadInput, match="tier is 'quick'"):
        check(one, tier="quick")


def test_a_tier_leaves_out_dearer_claims_unless_they_are_named():
    dear = toy(near=lost_exponent, tier="full", id="0000.00000/dear")
    assert dear.id not in {claim.id for claim in mf.claims.all() if claim.tier == "smoke"}
    assert check("0000.00000/dear")[0].verdict == "consistent"


def test_results_are_plain_json():
    results = check(toy(near=lambda x: math.nan))
    text = json.dumps(results.to_json(), allow_nan=False)
    (one,) = json.loads(text)
    for name in (
        "id",
        "covers",
        "paper",
        "verdict",
        "measured",
        "expected",
        "tolerance",
        "mutation_rejected",
        "seconds",
    ):
        assert name in one
    assert one["mutation_rejected"][0]["deviation"] is None
    assert one["instances"][0]["x"] == results[0].instances[0]["x"]


def test_results_show_themselves_and_their_worst_verdict():
    good, bad = toy(near=lost_exponent), toy(near=lost_exponent, error=1.0, id="0000.00000/bad")
    both = check([good, bad])
    assert both.verdict == "violated"
    assert check(good).verdict == "consistent"
    assert "0000.00000/bad" in repr(both)
    assert "<td>violated</td>" in both._repr_html_()
    assert repr(both[:0]) == "no claims checked"


def test_progress_hears_every_claim():
    told = []
    check([toy(near=lost_exponent)], progress=lambda *news: told.append(news))
    assert told == [(0, 1, "squares are squares"), (1, 1, "")]


def test_the_picture_of_a_claim_sees_its_first_instance():
    one = toy(near=lost_exponent)

    @one.figure
    def draw(case, ax):
        ax.plot([0, case.instance["x"]])
        return ax

    result = check(one)[0]
    axes = Figure().subplots()
    assert result.plot(axes) is axes
    assert axes.lines[0].get_ydata()[1] == result.instances[0]["x"]
    without = check(toy(near=lost_exponent))[0].plot(Figure().subplots())
    assert (without.get_xlabel(), without.get_ylabel()) == ("stated", "measured")


def test_a_claim_of_your_own_field_checks_like_the_librarys():
    class Pull(mf.Field):
        """Every token is pulled to the north pole."""

        def output(self, x, mu, positions=None):
            return np.eye(mu.d)[-1] + 0 * x

    @claim("my notes", "page 1", states=lambda t, start: np.tanh(t + np.arctanh(start)))
    def heights_follow_a_hyperbolic_tangent(case):
        """A token pulled to the pole at unit strength has height `tanh(t + artanh z_0)`."""
        tokens = mf.cap(mf.Sphere(3), 4, angle=2.0, seed=case.seed)
        path = case.measure(mf.flow, tokens, Pull(), until=3.0, save=10, solver=mf.Adaptive(rtol=1e-10, atol=1e-12))
        case.require("the flow reached its end", path.status == "reached")
        predicted = case.predict(np.asarray(path.times)[:, None], np.asarray(tokens.points)[None, :, -1])
        case.compare(path.points[:, :, -1], predicted, within=1e-8, because="rtol 1e-10 over t = 3")

    @heights_follow_a_hyperbolic_tangent.mutation
    def half_the_speed(t, start):
        return np.tanh(t / 2 + np.arctanh(start))

    assert mf.check("my notes")[0].verdict == "consistent"

"""A case draws from its seed only, remembers by content, and reduces comparisons to the entry that fits worst."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from measureflow import BadInput
from measureflow.claims.case import Case, Memory, NotApplicable, fingerprint


def case(**options) -> Case:
    return Case("toy", {"half": lambda x: x / 2}, **options)


def test_draws_depend_on_seed_index_and_name_only():
    one, two = case(seed=3, index=1), case(seed=3, index=1)
    assert one.draw("beta", 1, 2) == two.draw("beta", 1, 2)
    two.rng.normal(size=10)
    two.draw("other", 0, 1)
    assert one.draw("gap", 1e-6, 1e-2, log=True) == two.draw("gap", 1e-6, 1e-2, log=True)
    assert one.seed == two.seed
    assert case(seed=4, index=1).draw("beta", 1, 2) != one.instance["beta"]
    assert case(seed=3, index=2).draw("beta", 1, 2) != one.instance["beta"]
    assert Case("other toy", {}, seed=3, index=1).draw("beta", 1, 2) != one.instance["beta"]


def test_integers_include_both_ends_and_logs_stay_inside():
    drawn = {case(index=k).draw("n", 2, 4, integer=True) for k in range(60)}
    assert drawn == {2, 3, 4}
    assert all(1e-8 <= case(index=k).draw("x", 1e-8, 1e-2, log=True) <= 1e-2 for k in range(60))


def test_three_draws_see_three_options():
    for seed in range(5):
        assert {case(seed=seed, index=k).choose("beta", [1.0, 30.0, 1000.0]) for k in range(3)} == {1.0, 30.0, 1000.0}


def test_comparison_keeps_the_entry_that_fits_worst():
    here = case()
    worst = here.compare([1.0, 2.0, 3.0], [1.0, 2.5, 3.1], within=[1.0, 1.0, 0.01], because="three scales")
    assert (worst.measured, worst.expected, worst.tolerance) == (3.0, 3.1, 0.01)
    assert here.deviation == pytest.approx(10.0)


def test_relative_tolerance_is_one_of_the_prediction():
    assert case().compare(110.0, 100.0, within=0.05, relative=True, because="5 %").deviation == pytest.approx(2.0)


def test_inequalities_count_what_is_missing():
    here = case()
    assert here.at_least([1.0, 0.7], 0.8, within=0.01, because="bound").deviation == pytest.approx(10.0)
    assert here.at_least(1.0, 0.8, within=0.01, because="bound").deviation == 0.0
    assert here.at_most([1.0, 0.9], 0.8, within=0.1, because="bound").deviation == pytest.approx(2.0)


@pytest.mark.parametrize(("measured", "predicted"), [(np.nan, 1.0), (1.0, np.nan), ([1.0, np.nan], [5.0, 1.0])])
def test_nan_is_never_a_fit(measured, predicted):
    assert np.isnan(case().compare(measured, predicted, within=1.0, because="anything").deviation)
    assert np.isnan(case().at_least(measured, predicted, within=1.0, because="anything").deviation)


def test_infinity_meets_infinity_and_misses_every_number():
    assert case().compare(np.inf, np.inf, within=1.0, because="overflow").deviation == 0.0
    assert case().compare(1.0, np.inf, within=1.0, because="overflow").deviation == np.inf


def test_a_comparison_needs_entries_a_positive_tolerance_and_a_reason():
    with pytest.raises(BadInput, match="no entries"):
        case().compare([], [], within=1.0, because="empty")
    with pytest.raises(BadInput, match="must be positive"):
        case().compare(1.0, 1.0, within=0.0, because="exact")
    with pytest.raises(BadInput, match="has a reason"):
        case().compare(1.0, 1.0, within=1.0, because="")


def test_an_unmet_hypothesis_ends_the_check_and_is_noted():
    here = case()
    here.require("holds", True)
    with pytest.raises(NotApplicable, match="fails"):
        here.require("fails", lambda: False)
    assert here.hypotheses == {"holds": True, "fails": False}


def test_measurements_are_remembered_by_content():
    calls = []

    def slow(x, *, scale):
        calls.append(scale)
        return scale * x.sum()

    memory = Memory()
    one, two = case(memory=memory), case(memory=memory)
    assert one.measure(slow, jnp.arange(3.0), scale=2.0) == two.measure(slow, jnp.arange(3.0), scale=2.0)
    assert calls == [2.0]
    two.measure(slow, jnp.arange(3.0) + 1e-16, scale=2.0)  # equal to rounding, not in every bit
    two.measure(slow, jnp.arange(4.0), scale=2.0)
    two.measure(slow, jnp.arange(3.0), scale=3.0)
    assert calls == [2.0, 2.0, 2.0, 3.0]


def test_fingerprints_tell_structures_and_keys_apart():
    assert fingerprint({"a": 1.0}) != fingerprint({"b": 1.0})
    assert fingerprint((1.0, 2.0)) != fingerprint([1.0, 2.0])
    assert fingerprint(1) != fingerprint(1.0)
    assert fingerprint(jnp.zeros(2, "float32")) != fingerprint(jnp.zeros(2, "int32"))
    assert fingerprint(jax.random.key(0)) == fingerprint(jax.random.key(0))
    assert fingerprint(jax.random.key(0)) != fingerprint(jax.random.key(1))


def test_predict_is_for_one_statement():
    assert case().predict(4.0) == 2.0
    with pytest.raises(BadInput, match=r"case\.statement\.a, case\.statement\.b"):
        Case("two", {"a": abs, "b": abs}).predict(1.0)

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

import measureflow as mf
from measureflow.flows.conditions import save_times

S2 = mf.Sphere(3)
BETA = 2.0
PAIR = mf.equiangular(S2, n=2, cosine=-0.2)
SHARP = mf.Adaptive(rtol=1e-11, atol=1e-13)


def until_overlap(value: float, start: float = -0.2) -> float:
    """Time at which two tokens pass an overlap under SA: u' = 2 (1 - u²) e^(beta u) / (e^beta + e^(beta u))."""
    found = quad(lambda u: (1 + np.exp(BETA * (1 - u))) / (2 * (1 - u * u)), start, value, epsabs=1e-12, epsrel=1e-12)
    return found[0]


@pytest.mark.parametrize("value", [0.0, 0.5, 0.999])
def test_overlap_is_located_at_its_moment(value):
    path = mf.flow(PAIR, mf.SelfAttention(beta=BETA), until=mf.Overlap(0, 1, value), solver=SHARP)
    assert path.status == "reached"
    assert float(path.times[-1]) == pytest.approx(until_overlap(value), abs=1e-8)
    assert float(path.points[-1, 0] @ path.points[-1, 1]) == pytest.approx(value, abs=1e-12)
    assert (np.diff(path.times) > 0).all()


def test_overlap_is_passed_from_above_where_tokens_part():
    path = mf.flow(PAIR, mf.SelfAttention(beta=BETA, value=-1.0), until=mf.Overlap(0, 1, -0.5), solver=SHARP)
    back = mf.flow(path[-1], mf.SelfAttention(beta=BETA), until=mf.Overlap(0, 1, -0.2), solver=SHARP)
    assert float(path.points[-1, 0] @ path.points[-1, 1]) == pytest.approx(-0.5, abs=1e-12)
    assert float(path.times[-1]) == pytest.approx(float(back.times[-1]), abs=1e-8)


def test_consensus_is_located_where_the_last_pair_comes_within_delta():
    delta = 1e-3
    path = mf.flow(PAIR, mf.SelfAttention(beta=BETA), until=mf.Consensus(delta), solver=SHARP)
    assert path.status == "reached"
    assert float(path.times[-1]) == pytest.approx(until_overlap(1 - delta), abs=1e-8)


def test_stationary_ends_the_run_at_the_first_step_that_is_slow_enough():
    field = mf.SelfAttention(beta=BETA)
    path = mf.flow(PAIR, field, until=mf.Stationary(1e-4), save=5)
    assert path.status == "stationary"
    speed = np.linalg.norm(field(path.points[-1], path[-1]), axis=1).max()
    assert 1e-8 < speed <= 1e-4
    assert len(path) == len(path.times)


def test_cap_ends_the_wait_and_says_so():
    path = mf.flow(PAIR, mf.SelfAttention(beta=BETA), until=mf.Overlap(0, 1, 0.999, cap=0.5), save=4)
    assert path.status == "stopped"
    assert float(path.times[-1]) == 0.5
    assert len(path) == 4


def test_condition_is_waited_for_between_saved_times_and_adds_its_own():
    path = mf.flow(PAIR, mf.SelfAttention(beta=BETA), until=mf.Overlap(0, 1, 0.5, cap=9.0), save=[0.25, 0.75, 9.0])
    assert path.times.tolist()[:2] == [0.25, 0.75]
    assert float(path.times[-1]) == pytest.approx(until_overlap(0.5), abs=1e-6)
    assert len(path.times) == 3


def test_condition_that_holds_from_the_start_ends_at_once():
    path = mf.flow(PAIR, mf.SelfAttention(beta=BETA), until=mf.Consensus(1.5), save=3)
    assert path.status == "reached"
    assert float(path.times[-1]) < 1e-6


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: mf.Stationary(0.0), "tol is 0.0"),
        (lambda: mf.Stationary(float("nan")), "tol is nan"),
        (lambda: mf.Stationary(1e-3, cap=-1.0), "cap is -1.0"),
        (lambda: mf.Consensus(2.0), "delta is 2.0"),
        (lambda: mf.Consensus(-1e-3), "delta is -0.001"),
        (lambda: mf.Overlap(0, 1, 0.5, cap=float("inf")), "cap is inf"),
        (lambda: mf.Overlap(0, 2, 0.5).ready(PAIR), r"no token 2; indices run over 0 \.\. 1"),
        (lambda: mf.Overlap(-1, 0, 0.5).ready(PAIR), "no token -1"),
        (lambda: mf.Overlap(0.0, 1, 0.5).ready(PAIR), r"no token 0\.0"),
        (lambda: mf.Overlap(0, 1, 1.5).ready(PAIR), r"value is 1\.5; no inner product on Sphere"),
        (lambda: mf.Overlap(0, 1, float("nan")).ready(PAIR), "value is nan"),
    ],
)
def test_condition_that_can_never_hold_is_refused(make, words):
    with pytest.raises(mf.BadInput, match=words):
        make()


def test_log_times_run_from_zero_geometrically_to_the_end():
    times = mf.log_times(1e8)
    assert (len(times), times[0], times[1], times[-1]) == (200, 0.0, 0.01, 1e8)
    ratios = times[2:] / times[1:-1]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-12)
    assert mf.log_times(0.1)[1] == pytest.approx(1e-3)  # a hundredth of a short run
    assert mf.log_times(3.0, count=2).tolist() == [0.0, 3.0]
    assert mf.log_times(1 / 3, count=50)[-1] == 1 / 3


def test_save_is_a_count_or_times():
    assert len(save_times(None, 5.0)) == 200
    assert save_times(7, 5.0).tolist() == mf.log_times(5.0, 7).tolist()
    assert save_times([0, 1, 5], 5.0).tolist() == [0.0, 1.0, 5.0]


@pytest.mark.parametrize(
    ("save", "words"),
    [
        (1, "save is 1"),
        (True, "one axis"),
        (10**12, "save is 1,000,000,000,000"),
        ("all", "save is 'all'"),
        ([1.0, 1.0], "strictly increasing"),
        ([2.0, 1.0], "strictly increasing"),
        ([-1.0, 1.0], ">= 0"),
        ([0.0, float("nan")], "finite"),
        ([[0.0, 1.0]], "one axis"),
        ([], "one axis"),
        ([0.0, 6.0], "the last time 6 lies behind until = 5"),
    ],
)
def test_saved_times_that_make_no_sense_are_refused(save, words):
    with pytest.raises(mf.BadInput, match=words):
        save_times(save, 5.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"until": 0.0}, "until is 0.0"),
        ({"until": float("inf")}, "until is inf"),
        ({"until": 5.0, "count": 2.5}, "save is 2.5"),
        ({"until": 5.0, "first": 6.0}, "first is 6.0"),
    ],
)
def test_log_times_that_make_no_sense_are_refused(arguments, words):
    with pytest.raises(mf.BadInput, match=words):
        mf.log_times(**arguments)

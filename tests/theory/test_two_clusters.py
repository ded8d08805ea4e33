"""Two clusters with masses: printed ratios, closed forms, and times far beyond any integrator."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from measureflow import BadInput, theory


def exact_merge_time(*, beta: float, start: float, masses: tuple[float, float], end: float) -> float:
    """The same integral in 40 digits, in the plain variable `u`."""
    one, two = masses
    with mpmath.workdps(40):
        b = mpmath.mpf(beta)

        def wait(u):
            rise = mpmath.exp(b * (1 - u))
            return 1 / ((1 - u * u) * (two / (one * rise + two) + one / (two * rise + one)))

        cuts = [mpmath.mpf(start) + (mpmath.mpf(end) - start) * mpmath.mpf(k) / 24 for k in range(25)]
        return float(mpmath.quad(wait, cuts))


@pytest.mark.parametrize(
    ("beta", "start", "masses", "ratio"),
    [
        (10.0, 0.2, (0.5, 0.5), 1.081),
        (20.0, 0.2, (0.5, 0.5), 1.028),
        (20.0, 0.2, (0.25, 0.75), 1.028),
        (40.0, 0.5, (0.5, 0.5), 1.038),
    ],
)
def test_ratios_of_exact_to_asymptotic_merge_time_are_those_of_the_notes(beta, start, masses, ratio):
    exact = theory.merge_time(beta=beta, start=start, masses=masses, end=0.9)
    asymptotic = theory.asymptotic_merge_time(beta=beta, start=start, masses=masses)
    assert exact / asymptotic == pytest.approx(ratio, abs=5.1e-4)


@pytest.mark.parametrize("masses", [(0.5, 0.5), (0.1, 0.9), (1e-6, 1 - 1e-6)])
@pytest.mark.parametrize(("beta", "start"), [(0.0, -0.5), (3.0, 0.0), (40.0, 0.1)])
def test_merge_time_agrees_with_mpmath(beta, start, masses):
    measured = theory.merge_time(beta=beta, start=start, masses=masses, end=0.9)
    exact = exact_merge_time(beta=beta, start=start, masses=masses, end=0.9)
    assert measured == pytest.approx(exact, rel=1e-12)


def test_relative_error_of_the_asymptotic_law_has_the_order_it_states():
    start = 0.3
    for beta in (100.0, 200.0, 400.0):
        exact = theory.merge_time(beta=beta, start=start, masses=(0.2, 0.8))
        excess = exact / theory.asymptotic_merge_time(beta=beta, start=start, masses=(0.2, 0.8)) - 1
        assert excess * beta == pytest.approx(2 * start / (1 - start**2), abs=8 / beta)


def test_two_tokens_without_temperature_follow_a_hyperbolic_tangent():
    times = np.linspace(0, 15, 40)
    measured = theory.cosine_of_two_tokens(times, beta=0.0, start=-0.7)
    assert np.abs(measured - np.tanh(times + np.arctanh(-0.7))).max() < 2e-15


@given(
    beta=st.floats(0, 30),
    start=st.floats(-0.99, 0.99),
    mass=st.floats(0.01, 0.99),
    lift=st.floats(0.01, 0.999),
)
def test_cosine_inverts_the_merge_time(beta, start, mass, lift):
    goal = start + lift * (1 - start)
    masses = (mass, 1 - mass)
    time = theory.merge_time(beta=beta, start=start, end=goal, masses=masses)
    speed = float(theory.speed_of_two_clusters(goal, beta=beta, masses=masses))
    measured = float(theory.cosine_of_two_clusters(time, beta=beta, start=start, masses=masses))
    assert abs(measured - goal) <= 1e-12 + (4 + beta) * 1e-15 * time * speed


@pytest.mark.parametrize("model", ["softmax", "unnormalised"])
def test_cosine_agrees_with_a_runge_kutta_integration(model):
    masses = (0.3, 0.7)
    times = np.linspace(0, 6 if model == "softmax" else 1, 25)
    solved = solve_ivp(
        lambda t, u: theory.speed_of_two_clusters(u, beta=2.5, masses=masses, model=model),
        (0, times[-1]), [-0.2], method="DOP853", t_eval=times, rtol=1e-13, atol=1e-13,
    )  # fmt: skip
    predicted = theory.cosine_of_two_clusters(times, beta=2.5, start=-0.2, masses=masses, model=model)
    assert np.abs(predicted - solved.y[0]).max() < 2e-12


def test_the_wait_of_two_quintillion_is_found_to_ten_digits():
    case = {"beta": 45.0, "start": -0.01, "masses": (0.25, 0.75)}
    merge = theory.merge_time(**case)
    assert 1e17 < merge < 2e18
    assert merge == pytest.approx(exact_merge_time(**case, end=0.9), rel=1e-12)
    half, late = theory.cosine_of_two_clusters([merge / 2, 2e18], **case)
    assert exact_merge_time(**case | {"end": float(half)}) == pytest.approx(merge / 2, rel=1e-10)
    assert late == 1.0


def test_times_beyond_a_double_are_infinite_and_the_clusters_stand():
    assert theory.merge_time(beta=2000.0, start=0.0) == np.inf
    assert theory.cosine_of_two_clusters([0.0, 1e308], beta=2000.0, start=0.25).tolist() == [0.25, 0.25]


def test_unnormalised_masses_drop_out():
    case = {"beta": 3.0, "start": 0.1, "model": "unnormalised"}
    assert theory.merge_time(**case, masses=(0.1, 0.9)) == theory.merge_time(**case)
    exact = np.exp(-60 * 0.3) / (60 * (1 - 0.09))
    large = {"beta": 60.0, "start": 0.3, "model": "unnormalised"}
    assert theory.asymptotic_merge_time(**large) == pytest.approx(exact, rel=1e-14)
    assert theory.merge_time(**large) == pytest.approx(exact, rel=0.02)


def test_bad_masses_are_named():
    with pytest.raises(BadInput, match=r"masses are \[0.5, 0.6\]"):
        theory.merge_time(beta=1.0, start=0.0, masses=(0.5, 0.6))
    with pytest.raises(BadInput, match="end is"):
        theory.merge_time(beta=1.0, start=0.5, end=0.2)
    with pytest.raises(BadInput, match="merge_time"):
        theory.asymptotic_merge_time(beta=0.0, start=0.0)

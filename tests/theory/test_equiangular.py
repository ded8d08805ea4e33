"""Equiangular tokens: the printed tables, an independent integrator, and an independent closed form."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from measureflow import BadInput, theory

# dynamics of arXiv:2312.10794, section 6: time to cosine 0.999 from orthogonal tokens, beta = 0 .. 9
TIMES = {
    32: [5.18626, 5.27028, 5.45839, 5.89761, 6.95350, 9.54433, 15.99531, 32.23310, 73.44568, 178.73093],
    128: [5.87940, 5.90902, 5.97867, 6.14809, 6.56955, 7.63425, 10.35302, 17.35042, 35.46747, 82.59336],
}


def exact_time(gap: float, *, n: int, beta: float, start: float) -> mpmath.mpf:
    """Time from `start` to the cosine `1 - gap`, by partial fractions and exponential integrals."""
    with mpmath.workdps(60):
        pole = mpmath.mpf(n) / (n - 1)

        def primitive(e: mpmath.mpf) -> mpmath.mpf:
            s = pole - e
            if beta == 0:
                return (mpmath.log(e) - mpmath.log(s)) / 2
            waits = mpmath.ei(beta * e) + mpmath.exp(beta * pole) * mpmath.e1(beta * s)
            return (waits + (n - 1) * (mpmath.log(e) - mpmath.log(s))) / (2 * n)

        return primitive(1 - mpmath.mpf(start)) - primitive(mpmath.mpf(gap))


@pytest.mark.parametrize("n", [32, 128])
def test_clustering_times_are_those_of_the_table(n):
    assert np.allclose(theory.clustering_time(np.arange(10), n=n, delta=1e-3), TIMES[n], rtol=0, atol=5.1e-6)


def test_inverse_curve_is_that_of_the_table():
    betas = [theory.beta_of_clustering_time(time, n=32) for time in (6, 10, 15, 20, 30)]
    assert np.allclose(betas, [3.1461, 5.1099, 5.8941, 6.3447, 6.9065], rtol=0, atol=5.1e-5)


def test_clustering_time_at_beta_zero_is_a_logarithm():
    n, delta = 17, 1e-4
    exact = 0.5 * np.log(((n - 1) * (1 - delta) + 1) / delta)
    assert float(theory.clustering_time(0.0, n=n, delta=delta)) == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize(
    ("n", "beta", "start", "gap"),
    [
        (2, 3.0, 0.2, 1e-3),
        (8, 3.0, 0.4, 1e-9),
        (32, 40.0, -0.03, 1e-3),
        (1000, 300.0, 0.0, 0.5),
        (5, 0.0, 0.0, 1e-6),
    ],
)
def test_clustering_time_agrees_with_exponential_integrals(n, beta, start, gap):
    measured = float(theory.clustering_time(beta, n=n, delta=gap, start=start))
    # 1 - gap is not a double: the coordinate is built from the rounded one
    assert measured == pytest.approx(float(exact_time(gap, n=n, beta=beta, start=start)), rel=1e-12)


@given(
    n=st.integers(2, 200),
    beta=st.floats(0, 50),
    start=st.floats(-0.9, 0.999),
    lift=st.floats(0.01, 0.999),
)
def test_cosine_inverts_the_exact_time(n, beta, start, lift):
    start = max(start, -0.9 / (n - 1))
    goal = start + lift * (1 - start)
    time = float(exact_time(1 - goal, n=n, beta=beta, start=start))
    speed = float(theory.speed_of_equiangular_tokens(goal, n=n, beta=beta))
    measured = float(theory.cosine_of_equiangular_tokens(time, n=n, beta=beta, start=start))
    assert abs(measured - goal) <= 1e-12 + (4 + beta) * 1e-15 * time * speed


@pytest.mark.parametrize("model", ["softmax", "unnormalised"])
def test_cosine_agrees_with_a_runge_kutta_integration(model):
    n, beta, start = 8, 3.0, 0.1
    times = np.linspace(0, 4 if model == "softmax" else 1.0, 20)
    solved = solve_ivp(
        lambda t, rho: theory.speed_of_equiangular_tokens(rho, n=n, beta=beta, model=model),
        (0, times[-1]), [start], method="DOP853", t_eval=times, rtol=1e-13, atol=1e-13,
    )  # fmt: skip
    predicted = theory.cosine_of_equiangular_tokens(times, n=n, beta=beta, start=start, model=model)
    assert np.abs(predicted - solved.y[0]).max() < 2e-12


def test_the_unnormalised_time_is_an_integral_that_mpmath_does_as_well():
    n, beta, delta = 6, 4.0, 1e-3
    with mpmath.workdps(30):
        exact = mpmath.quad(
            lambda r: n / (2 * mpmath.exp(beta * r) * (1 - r) * ((n - 1) * r + 1)),
            [0, 0.5, 0.9, 0.99, 1 - delta],
        )
    measured = theory.clustering_time(beta, n=n, delta=delta, model="unnormalised")
    assert float(measured) == pytest.approx(float(exact), rel=1e-12)


def test_gap_keeps_its_digits_long_after_the_cosine_has_rounded_to_one():
    times = np.array([100.0, 101.0, 300.0])
    gap = theory.gap_of_equiangular_tokens(times, n=8, beta=2.0, start=0.1)
    assert gap[2] > 0
    assert np.log(gap[0] / gap[1]) == pytest.approx(2.0, rel=1e-12)
    assert np.log(gap[0] / gap[2]) == pytest.approx(400.0, rel=1e-13)


@pytest.mark.parametrize("beta", [0.0, 1e-12, 1.0, 700.0, 1e4, 1e6])
@pytest.mark.parametrize("model", ["softmax", "unnormalised"])
def test_no_beta_overflows(beta, model):
    times = np.array([0.0, 1e-300, 1e-3, 1.0, 1e8, 1e300])
    rho = theory.cosine_of_equiangular_tokens(times, n=5, beta=beta, start=0.2, model=model)
    assert np.isfinite(rho).all()
    assert abs(rho[0] - 0.2) < 1e-15
    assert (np.diff(rho) >= 0).all()
    frozen = beta >= 1e4 and model == "softmax"
    assert abs(rho[-1] - (0.2 if frozen else 1.0)) < 1e-15


def test_consensus_stays_and_the_shape_of_times_is_kept():
    assert theory.cosine_of_equiangular_tokens(3.0, n=4, beta=1.0, start=1.0) == 1.0
    assert theory.cosine_of_equiangular_tokens([[1.0], [2.0]], n=4, beta=1.0, start=0.0).shape == (2, 1)


def test_the_bounds_printed_with_the_equation_hold():
    n, beta = 16, 2.0
    half = n * np.exp(beta) / 2
    times = half + np.array([0.0, 1.0, 5.0])
    gap = theory.gap_of_equiangular_tokens(times, n=n, beta=beta, start=0.0)
    assert (gap <= 0.5 * np.exp(-n * (times - half) / (n + np.exp(beta / 2)))).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n": 4, "beta": 1.0, "start": -0.5}, "start is -0.5"),
        ({"n": 4, "beta": -1.0, "start": 0.0}, "beta is -1.0"),
        ({"n": 1, "beta": 1.0, "start": 0.0}, "n is 1"),
        ({"n": 4, "beta": 1.0, "start": 0.0, "model": "hardmax"}, "'hardmax'"),
    ],
)
def test_bad_input_is_named(arguments, words):
    with pytest.raises(BadInput, match=words):
        theory.cosine_of_equiangular_tokens([1.0], **arguments)


def test_a_time_shorter_than_any_beta_allows_is_refused():
    with pytest.raises(BadInput, match=r"at least 5\.18626"):
        theory.beta_of_clustering_time(5.0, n=32)
    with pytest.raises(BadInput, match="a time is -1"):
        theory.cosine_of_equiangular_tokens([-1.0], n=4, beta=1.0, start=0.0)

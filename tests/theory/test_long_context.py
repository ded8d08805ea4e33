"""Long contexts: printed cosines, the plain formula, the limits, and the Poisson process of nearest keys."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from measureflow import BadInput, theory


@pytest.mark.parametrize(
    ("share", "cosines"),
    [
        (1.0, {1e2: 0.731477, 1e4: 0.727315}),
        (0.8, {1e2: 0.89633, 1e4: 0.97273, 1e6: 0.99474, 1e9: 0.99964}),
        (1.2, {1e2: 0.56816, 1e4: 0.47223, 1e6: 0.42970, 1e9: 0.40757}),
    ],
)
def test_cosines_are_the_printed_ones(share, cosines):
    for n, cosine in cosines.items():
        found = theory.cosine_after_attention(n=n, cosine=0.4, gamma=share * theory.critical_gamma(cosine=0.4))
        assert found == pytest.approx(cosine, abs=6e-6)


@pytest.mark.parametrize("size", [0.2, 0.6])
def test_blocks_have_the_limits_of_two_outputs_written_out(size):
    between, inside, n = 0.3, 0.7, 1e200
    overlaps = {"between": between, "inside": inside, "size": size}
    first, second = theory.critical_gammas_of_blocks(**overlaps)
    assert (first < second) == (size == 0.6)
    for gamma in (0.8 * first, first, (first + second) / 2, second, 1.2 * second):
        logs = np.array([0.0, size - gamma * (1 - inside), 1 - gamma * (1 - between)]) * np.log(n)
        own, block, _ = np.exp(logs - logs.max()) / np.exp(logs - logs.max()).sum()
        square = own**2 + (2 * own * block + block**2) * inside + (1 - (own + block) ** 2) * between
        cosine = (own + block) ** 2 * inside + (1 - (own + block) ** 2) * between
        assert theory.limits_of_cosines_of_blocks(**overlaps, gamma=gamma) == pytest.approx(
            (cosine / square, between / square), abs=1e-8
        )
    with pytest.raises(BadInput, match="inside"):
        theory.critical_gammas_of_blocks(between=0.7, inside=0.3, size=0.5)


@pytest.mark.parametrize(("n", "rho", "beta"), [(2, -0.5, 1.0), (7, 0.3, 4.0), (50, 0.9, 0.0)])
def test_cosine_is_that_of_the_sums_written_out(n, rho, beta):
    gram = np.where(np.eye(n, dtype=bool), 1.0, rho)
    weights = np.exp(beta * gram)
    weights /= weights.sum(axis=1, keepdims=True)
    outputs = weights @ gram @ weights.T
    exact = outputs[0, 1] / outputs[0, 0]
    assert theory.cosine_after_attention(n=n, cosine=rho, beta=beta) == pytest.approx(exact, abs=1e-14)


def test_gap_keeps_its_digits_and_falls_twice_as_fast_below_the_transition():
    gaps = [theory.gap_after_attention(n=n, cosine=0.4, gamma=1.0) for n in (1e60, 1e70)]
    assert np.log10(gaps[1] / gaps[0]) == pytest.approx(-2 * 0.4 * 10, abs=1e-6)


def test_participation_of_many_keys_is_that_of_averages():
    # far below the transition numerator and denominator do not fluctuate: 2^-a c^a / Gamma(a + 1), a = (d-1)/2 = 1
    assert theory.participation_of_keys(0.01, d=3) == pytest.approx(0.005, rel=0.02)
    assert theory.participation_of_keys(1e3, d=3) > 0.99


def test_critical_beta_has_one_key_within_reach():
    n, d = 1e6, 4
    beta = theory.critical_beta_of_nearest_key(n=n, d=d)
    assert n * theory.cap_mass(float(np.arccos(1 - 1 / beta)), d=d) == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.cosine_after_attention(n=1, cosine=0.4, gamma=1.0), "n is 1"),
        (lambda: theory.cosine_after_attention(n=4, cosine=0.4), "one of beta= and gamma="),
        (lambda: theory.cosine_after_attention(n=4, cosine=-0.9, beta=1.0), "cosine is -0.9"),
        (lambda: theory.limit_of_cosine_after_attention(cosine=1.0, gamma=1.0), "cosine is 1.0"),
        (lambda: theory.participation_of_keys(0.0, d=3), "scale is 0.0"),
    ],
)
def test_bad_input_names_the_value_and_the_cure(call, message):
    with pytest.raises(BadInput, match=message):
        call()


@pytest.mark.parametrize("scale", [0.1, 10.0])
def test_participation_on_the_sphere_is_the_integral_of_exponential_integrals(scale):
    # d = 3: Phi = Ein(t)/scale, so that one integral over w = log t is left
    with mpmath.workdps(20):

        def integrand(w):
            t = mpmath.exp(w)
            whole = mpmath.e1(t) + w + mpmath.euler if w > -6 else t - t**2 / 4 + t**3 / 18
            return (1 - (1 + t) * mpmath.exp(-t)) / scale * mpmath.exp(-whole / scale)

        edges = [-40, -12, -6, -3, 0, 3, 8, 20, *(scale * level for level in (4, 10, 50) if scale * level > 20)]
        exact = mpmath.quad(integrand, edges, maxdegree=4)
    assert theory.participation_of_keys(scale, d=3) == pytest.approx(float(exact), rel=1e-9)


@pytest.mark.parametrize(("scale", "d"), [(1.0, 20), (1.0, 12), (0.5, 9)])
def test_participation_of_many_keys_is_that_of_the_power_series(scale, d):
    half = mpmath.mpf(d - 1) / 2
    with mpmath.workdps(30):
        weight = mpmath.gamma(half + 1) * mpmath.mpf(scale) ** -half
        terms = [weight * (-1) ** (k + 1) / (mpmath.factorial(k) * mpmath.mpf(k) ** half) for k in range(1, 25)]

        def integrand(w):
            t = mpmath.exp(w)
            phi = sum(c * t**k for k, c in enumerate(terms, 1))
            return -sum(c * k * (k - 1) * t**k for k, c in enumerate(terms, 1)) * mpmath.exp(-phi)

        first = -mpmath.log(weight)
        exact = mpmath.quad(integrand, [first - 20, first - 5, first, first + 2, first + 4], maxdegree=4)
    assert theory.participation_of_keys(scale, d=d) == pytest.approx(float(exact), rel=1e-9)


def test_participation_is_finite_work_at_every_scale():
    for scale, d in ((0.01, 20), (1.0, 100)):
        half = mpmath.mpf(d - 1) / 2
        limit = mpmath.mpf(2) ** -half * mpmath.mpf(scale) ** half / mpmath.gamma(half + 1)
        assert theory.participation_of_keys(scale, d=d) == pytest.approx(float(limit), rel=1e-10, abs=0.0)
    gaps = [1.0 - theory.participation_of_keys(scale, d=2) for scale in (1e3, 1e6, 1e9)]
    assert 0 < gaps[2] < gaps[1] < gaps[0] < 2e-3
    assert theory.participation_of_keys(1e13, d=2) == 1.0

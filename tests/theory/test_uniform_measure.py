"""Harmonics around the uniform measure: printed rates and switching values, and mpmath."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from measureflow import BadInput, theory


# in 400 and more dimensions the Bessel function underflows long before the coefficient does
@pytest.mark.parametrize("d", [2, 3, 6, 17, 150, 400, 420, 1000, 100_000])
@pytest.mark.parametrize("beta", [1e-6, 0.5, 5.0, 60.0, 300.0])
def test_coefficients_agree_with_mpmath(d, beta):
    degrees = np.array([0, 1, 2, 5, 30])
    with mpmath.workdps(40):
        exact = [
            mpmath.gamma(mpmath.mpf(d) / 2) * mpmath.power(2 / mpmath.mpf(beta), mpmath.mpf(d) / 2 - 1)
            * mpmath.besseli(int(k) + mpmath.mpf(d) / 2 - 1, beta) * mpmath.exp(-mpmath.mpf(beta))
            for k in degrees
        ]  # fmt: skip
    measured = theory.funk_hecke_coefficients(degrees, beta=beta, d=d, shifted=True)
    assert np.allclose(measured, [float(x) for x in exact], rtol=1e-12, atol=1e-300)


def test_rates_are_known_where_the_coefficients_underflow():
    # a_k / a_0 at beta = 2000 in 1000 dimensions, where a_0 e^-beta is 1e-395
    order, beta = 499, mpmath.mpf(2000)
    with mpmath.workdps(40):
        ratio = [float(mpmath.besseli(order + k, beta) / mpmath.besseli(order, beta)) for k in (1, 5)]
    found = theory.growth_rates_around_uniform([1, 5], beta=2000.0, d=1000)
    assert np.allclose(found, np.array([999, 5 * 1003]) * ratio / 2000, rtol=1e-12)


def test_rates_on_the_circle_are_the_printed_ones():
    five = theory.growth_rates_around_uniform(np.arange(1, 6), beta=5.0, d=2, model="unnormalised")
    assert np.allclose(five, [4.867128, 14.004492, 18.596070, 16.346351, 10.789873], atol=5.1e-7)
    seven = theory.growth_rates_around_uniform(np.arange(1, 7), beta=7.0, d=2, model="unnormalised")
    assert np.allclose(seven, [22.2913, 70.8636, 109.5113, 116.5800, 96.0196, 64.7790], atol=5.1e-5)
    softmax = theory.growth_rates_around_uniform(np.arange(1, 6), beta=5.0, d=2)
    assert np.allclose(softmax * 27.2398718, five, rtol=1e-8)


@pytest.mark.parametrize(
    ("d", "values"),
    [
        (2, [1.04446, 3.16543, 6.21130, 10.22848, 15.23628, 21.24045, 28.24296]),
        (3, [1.8162, 4.4253, 7.9624, 12.4774]),
        (8, [5.2511, 10.5003, 16.595, 23.6427]),
        (64, [42.618, 77.737, 112.637, 148.134]),
    ],
)
def test_the_dominant_degree_switches_at_the_printed_betas(d, values):
    for k, beta in enumerate(values, start=1):
        step = 1e-3 if d < 64 else 2e-3
        assert theory.dominant_degree(beta=beta - step, d=d) == k
        assert theory.dominant_degree(beta=beta + step, d=d) == k + 1


@pytest.mark.parametrize(("beta", "kappa"), [(0.5, 1.938779), (1.0, 1.769413), (2.0, 1.257358), (5.0, 0.205460)])
def test_noise_stills_the_first_mode_at_the_printed_threshold(beta, kappa):
    def rate(k):
        return theory.growth_rates_around_uniform([1], beta=beta, d=2, model="unnormalised", kappa=k)[0]

    assert rate(kappa - 1e-6) < 0 < rate(kappa + 1e-6)


def test_bad_input_is_named():
    with pytest.raises(BadInput, match="beta is 0"):
        theory.growth_rates_around_uniform([1], beta=0.0, d=2)
    with pytest.raises(BadInput, match="d is 1"):
        theory.funk_hecke_coefficients([1], beta=1.0, d=1)
    with pytest.raises(BadInput, match="degrees are"):
        theory.funk_hecke_coefficients([-1], beta=1.0, d=3)

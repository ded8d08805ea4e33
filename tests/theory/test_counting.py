"""Counts: printed values, the parking constant, Wendel by enumeration, and bad input."""

from __future__ import annotations

import math

import mpmath
import pytest

from measureflow import BadInput, theory


@pytest.mark.parametrize(("beta", "count"), [(10, 3.859), (50, 8.653), (200, 17.317), (1000, 38.728)])
def test_peaks_of_a_kernel_density_are_the_printed_numbers(beta, count):
    assert theory.expected_peaks_of_kernel_density(beta=beta) == pytest.approx(count, abs=5.1e-4)


def test_peaks_tend_to_the_root_of_three_halves_beta_and_to_one():
    assert theory.expected_peaks_of_kernel_density(beta=1e5) == pytest.approx(math.sqrt(1.5e5), rel=1e-4)
    assert theory.expected_peaks_of_kernel_density(beta=0.0) == 1.0
    assert theory.expected_peaks_of_kernel_density(beta=1e-3) == pytest.approx(1.0, abs=1e-6)


def test_parking_constant_is_its_integral():
    with mpmath.workdps(20):
        # the integral of (1 - e^-u)/u from 0 to t, which mpmath has as a function of its own
        waits = lambda t: mpmath.euler + mpmath.log(t) + mpmath.e1(t)  # noqa: E731  (the formula in a line)
        value = mpmath.quad(lambda t: mpmath.exp(-2 * waits(t)), [0, 1, 3, 10, 100, mpmath.inf])
    assert float(value) == pytest.approx(theory.PARKING, abs=1e-14)


@pytest.mark.parametrize(("angle", "count"), [(0.05, 62.83), (0.1, 31.42)])
def test_strong_centres_on_the_circle_are_the_printed_numbers(angle, count):
    assert theory.expected_strong_centres(2000, angle=angle, d=2) == pytest.approx(count, abs=0.006)


def test_in_hundreds_of_dimensions_every_token_is_a_strong_centre():
    assert theory.expected_strong_centres(2000, angle=0.05, d=1000) == 2000


def test_strong_centres_add_up_one_token_at_a_time():
    share = theory.cap_mass(0.4, d=5)
    slow = sum((1 - share) ** k for k in range(50))
    assert theory.expected_strong_centres(50, angle=0.4, d=5) == pytest.approx(slow, rel=1e-13)


def test_caps_have_the_mass_of_their_dimension():
    assert theory.cap_mass(math.pi, d=4) == 1.0
    assert theory.cap_mass(math.pi / 2, d=4) == pytest.approx(0.5)
    assert theory.cap_mass(2.0, d=3) == pytest.approx((1 - math.cos(2.0)) / 2)


@pytest.mark.parametrize(("n", "d"), [(4, 2), (6, 3), (9, 4), (30, 8)])
def test_common_hemisphere_is_the_sum_of_binomials(n, d):
    slow = sum(math.comb(n - 1, k) for k in range(d)) / 2 ** (n - 1)
    assert theory.chance_of_a_common_hemisphere(n, d=d) == pytest.approx(slow, rel=1e-13)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.expected_strong_centres(0, angle=0.1, d=2), "n is 0"),
        (lambda: theory.cap_mass(4.0, d=2), "angle is 4.0"),
        (lambda: theory.chance_of_a_common_hemisphere(3, d=1), "d is 1"),
    ],
)
def test_bad_input_names_the_value_and_the_cure(call, message):
    with pytest.raises(BadInput, match=message):
        call()

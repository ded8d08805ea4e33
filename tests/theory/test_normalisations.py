"""Normalisation schemes: the numbers of the literature, plain matrices, and the quadrature of one equation."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from measureflow import BadInput, theory

RADIAL = ("pre", "mix", "peri")


def solved(times, scheme, n=16, beta=2.0, start=0.3, **options):
    return theory.gap_and_radius_of_normalised_tokens(times, scheme=scheme, n=n, beta=beta, start=start, **options)


def test_exponents_are_those_of_the_table():
    # 16 tokens, beta = 2, cosine 0.3 at the start; powers of the time where radii grow, up to t = 2000
    powers = {name: solved([1000.0, 2000.0], name, switch=4.0)[0] for name in RADIAL}
    assert {name: -float(np.diff(np.log2(gap))[0]) for name, gap in powers.items()} == {
        "pre": pytest.approx(2.0000, abs=1e-4),
        "mix": pytest.approx(2.004, abs=1e-3),
        "peri": pytest.approx(1.999, abs=5e-4),
    }
    for name, times, clock in (
        ("post", [6.0, 12.0], [6.0, 12.0]),
        ("ngpt", [6.0, 12.0], [6.0, 12.0]),
        ("sqrt", [24.0, 48.0], [2 * np.sqrt(25.0), 2 * np.sqrt(49.0)]),
    ):
        gap, _ = solved(times, name)
        assert -float(np.diff(np.log(gap))[0]) / (clock[1] - clock[0]) == pytest.approx(2.0, abs=1e-4), name


def test_first_speeds_are_those_of_the_table():
    speeds = {name: theory.initial_speed_of_normalised_tokens(scheme=name, n=64, beta=2.0) for name in theory.SCHEMES}
    for name, speed in speeds.items():
        assert speed == pytest.approx(0.184429 if name in ("peri", "ngpt") else 0.0284135, abs=5.1e-7), name


@pytest.mark.parametrize("rho", [-0.1, 0.0, 0.4, 0.999])
def test_outputs_are_those_of_tokens_written_out(rho):
    n, beta = 5, 1.7
    gram = np.full((n, n), rho) + (1 - rho) * np.eye(n)
    weights = np.exp(beta * gram[0])
    weights /= weights.sum()
    along, size = theory.output_of_equiangular_tokens(rho, n=n, beta=beta)
    assert float(along) == pytest.approx(weights @ gram[0], rel=1e-14)
    assert float(size) == pytest.approx(np.sqrt(weights @ gram @ weights), rel=1e-14)


@pytest.mark.parametrize(("scheme", "clock"), [("post", lambda t: t), ("sqrt", lambda t: 2 * (np.sqrt(t + 1) - 1))])
def test_schemes_without_radius_are_the_quadrature_in_their_clock(scheme, clock):
    times = np.array([0.0, 0.3, 2.0, 9.0])
    gap, radius = solved(times, scheme)
    exact = theory.gap_of_equiangular_tokens(clock(times), n=16, beta=2.0, start=0.3)
    np.testing.assert_allclose(gap, exact, rtol=1e-10)
    assert (radius == 1).all()


def test_mix_ln_is_post_ln_and_then_pre_ln_from_where_that_ended():
    times = np.array([0.0, 1.0, 3.0, 5.0, 20.0])
    gap, radius = solved(times, "mix", switch=3.0, radius=2.0)
    before, _ = solved(times[:3], "post")
    after, grown = solved(times[3:] - 3.0, "pre", start=1 - before[-1], radius=2.0)
    np.testing.assert_allclose(gap, [*before, *after], rtol=1e-9)
    np.testing.assert_allclose(radius, [2, 2, 2, *grown], rtol=1e-9)
    late, _ = solved(times, "mix", switch=50.0)
    np.testing.assert_allclose(late, solved(times, "post")[0], rtol=1e-9)


def test_radii_of_pre_ln_grow_by_the_overlap_with_the_output():
    times = np.linspace(0.0, 4.0, 401)
    gap, radius = solved(times, "pre")
    along, _ = theory.output_of_equiangular_tokens(1 - gap, n=16, beta=2.0)
    np.testing.assert_allclose(np.gradient(radius, times)[1:-1], along[1:-1], rtol=0, atol=2e-5)


@pytest.mark.parametrize("scheme", theory.SCHEMES)
def test_variance_falls_at_twice_the_speed_of_the_clock(scheme):
    t, step, alpha = 7.0, 1e-5, lambda s: 0.5 + 0.1 * s
    options = {"scheme": scheme, "alpha": alpha, "switch": 2.0}
    clock = theory.clock_of_normalisation([t - step, t + step], **options)
    radius = 1.0 + t - (2.0 if scheme == "mix" else 0.0)  # near consensus radii grow at speed 1
    rate = theory.rate_of_variance(t, radius=radius, **options)
    assert float(rate) == pytest.approx(float(np.diff(clock)[0]) / step, rel=1e-6)


def test_alpha_of_a_curve_brings_tokens_along_it():
    times = np.array([0.5, 1.0, 3.0])

    def alpha(t):
        rho = 0.2 + 0.6 * np.tanh(t)
        return float(theory.alpha_for_cosine(rho, 0.6 / np.cosh(t) ** 2, n=16, beta=2.0))

    gap, _ = solved(times, "ngpt", start=0.2, alpha=alpha)
    np.testing.assert_allclose(1 - gap, 0.2 + 0.6 * np.tanh(times), rtol=0, atol=1e-9)


def test_switch_reaches_the_target_or_says_what_can_be_reached():
    given = {"depth": 6.0, "n": 16, "beta": 2.0, "start": 0.1}
    switches = [theory.switch_for_cosine(target, **given) for target in (0.99, 0.995, 0.999)]
    assert switches == sorted(switches)
    with pytest.raises(BadInput, match=r"target is 0\.2; at depth 6 Mix-LN has cosines from 0\.9\d+ \(switch 0\) to"):
        theory.switch_for_cosine(0.2, **given)


def test_cone_is_never_wider_than_tokens_of_one_cluster():
    assert theory.cone_of_local_rates(4, 0.0) == theory.cone_of_local_rates(4, 0.5) == 1 / 1600
    assert theory.cone_of_local_rates(4, 2.0) == 1 / 6400


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: solved([1.0], "rms"), "model is 'rms'; it is one of 'post', 'pre'"),
        (lambda: solved([2.0, 1.0], "post"), r"times are \[2\.0, 1\.0\]; they must increase"),
        (lambda: solved([1.0], "post", start=1.0), "start is 1.0; it must lie in"),
        (lambda: solved([-1.0], "post"), "a time is -1.0"),
        (lambda: theory.speed_factor("layer"), "model is 'layer'"),
    ],
)
def test_bad_arguments_are_named(call, says):
    with pytest.raises(BadInput, match=says):
        call()


@pytest.mark.parametrize("scheme", theory.SCHEMES)
def test_nothing_overflows_at_any_temperature(scheme):
    gap, radius = solved([1.0, 2.0], scheme, beta=1000.0, start=0.05)
    np.testing.assert_allclose(gap, 0.95, rtol=1e-12)  # a pull of e^-950
    np.testing.assert_allclose(radius, [2.0, 3.0] if scheme in ("pre", "peri") else 1.0, rtol=1e-12)
    with mpmath.workdps(30):
        n, grown = 16, mpmath.exp(700)
        exact = 2 / mpmath.sqrt(grown**2 + n - 1) if scheme in ("peri", "ngpt") else 2 / (grown + n - 1)
    assert theory.initial_speed_of_normalised_tokens(scheme=scheme, n=16, beta=700.0) == pytest.approx(
        float(exact), rel=1e-12, abs=0.0
    )
    assert 0 < theory.speed_of_uniform_tokens(scheme=scheme, n=400, d=8, beta=800.0) < 1e-3


def test_outputs_keep_their_digits_where_tokens_nearly_cancel():
    along, size = theory.output_of_equiangular_tokens(-0.5, n=3, beta=0.0)
    assert (float(along), float(size)) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: solved([], "post"), "times are"),
        (lambda: solved([1.0], "pre", radius=0.0), "radius is 0.0"),
        (lambda: solved([1.0], "ngpt", alpha=-1.0), "alpha is -1.0"),
        (lambda: solved([1.0], "ngpt", alpha=lambda t: -t), "alpha is -"),
        (lambda: solved([1.0], "mix", switch=-1.0), "switch is -1.0"),
        (lambda: theory.clock_of_normalisation([1.0], scheme="pre", radius=0.0), "radius is 0.0"),
        (lambda: theory.output_of_equiangular_tokens(-0.6, n=3, beta=1.0), "rho is -0.6"),
    ],
)
def test_arguments_that_no_scheme_has_are_named(call, says):
    with pytest.raises(BadInput, match=says):
        call()

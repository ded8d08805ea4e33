"""The front of phase diagrams: modes of the linearised Gram equation, and what is known of the width exactly."""

from __future__ import annotations

import numpy as np
import pytest

from measureflow import BadInput, theory


@pytest.mark.parametrize(("n", "beta", "gamma"), [(3, 4.0, 0.3), (8, 1.0, 0.0), (8, 6.0, 0.8), (12, 0.0, 0.5)])
def test_each_mode_grows_at_its_rate(n, beta, gamma):
    rng = np.random.default_rng(n)
    tokenwise = rng.normal(size=n)
    tokenwise -= tokenwise.mean()
    rest = rng.normal(size=(n, n))
    rest += rest.T
    off = ~np.eye(n, dtype=bool)
    # take the mean and the token-wise part of the off-diagonal entries away
    first, second = np.triu_indices(n, 1)
    design = np.zeros((len(first), n))
    design[np.arange(len(first)), first] = design[np.arange(len(first)), second] = 1.0
    left = rest[first, second] - design @ np.linalg.lstsq(design, rest[first, second], rcond=None)[0]
    rest = np.zeros((n, n))
    rest[first, second] = rest[second, first] = left
    modes = [np.ones((n, n)) * off, np.add.outer(tokenwise, tokenwise) * off, rest]
    gram = np.full((n, n), gamma) * off + np.eye(n)
    rates = theory.rates_of_overlap_fluctuations(gamma, n=n, beta=beta)
    for mode, rate in zip(modes, rates, strict=True):
        h = 1e-5
        slope = theory.velocity_of_gram(gram + h * mode, beta=beta) - theory.velocity_of_gram(
            gram - h * mode, beta=beta
        )
        np.testing.assert_allclose(slope / (2 * h), rate * mode, atol=1e-8)


def test_fluctuations_have_grown_by_the_integral_of_their_rates():
    n, beta, end = 8, 2.0, 1.5
    nodes, weights = np.polynomial.legendre.leggauss(40)
    along = theory.cosine_of_equiangular_tokens(end * (nodes + 1) / 2, n=n, beta=beta, start=0.0)
    expected = np.exp(theory.rates_of_overlap_fluctuations(along, n=n, beta=beta) @ weights * end / 2)
    found = theory.growth_of_overlap_fluctuations([0.0, end], n=n, beta=beta)
    np.testing.assert_allclose(found, np.stack([np.ones(3), expected], axis=1), rtol=1e-9)


def test_the_mean_fluctuates_as_the_curve_starts_elsewhere():
    curves = [theory.cosine_of_equiangular_tokens([2.0], n=5, beta=3.0, start=start) for start in (1e-6, -1e-6)]
    slope = float(curves[0][0] - curves[1][0]) / 2e-6
    assert theory.growth_of_overlap_fluctuations([2.0], n=5, beta=3.0)[0, 0] == pytest.approx(slope, rel=1e-5)


def test_the_width_of_two_tokens_without_temperature_is_one():
    # artanh(rho) moves at speed 1, and starts at rho(0), of deviation d^(-1/2)
    for delta in (0.5, 1e-3, 1e-8):
        assert theory.width_of_phase_front(n=2, beta=0.0, delta=delta) == pytest.approx(1.0, rel=1e-8)


@pytest.mark.parametrize("beta", [0.5, 3.0, 8.0])
def test_the_width_of_two_tokens_is_the_wait_at_the_start(beta):
    # one equation: d tau = -d rho(0) / speed(0)
    wait = 1.0 / float(theory.speed_of_equiangular_tokens(0.0, n=2, beta=beta))
    assert theory.width_of_phase_front(n=2, beta=beta) == pytest.approx(wait, rel=1e-9)


def test_the_error_of_the_front_falls_like_the_root_of_the_dimension():
    errors = theory.error_of_phase_front([16, 64, 1024], n=8, beta=3.0)
    np.testing.assert_allclose(errors[0] / errors, [1.0, 2.0, 8.0])


@pytest.mark.parametrize("values", [{"beta": -1.0}, {"beta": 301.0}, {"n": 1}, {"delta": 0.0}, {"delta": 1.0}])
def test_bad_values_are_refused(values):
    with pytest.raises(BadInput):
        theory.width_of_phase_front(**{"n": 8, "beta": 1.0, "delta": 1e-3, **values})

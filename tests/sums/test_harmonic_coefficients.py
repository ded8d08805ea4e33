from __future__ import annotations

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from measureflow.sums import bessel
from measureflow.sums.bessel import circle_degree, harmonics_of_degree, hypersphere_degree, sphere_degree

# compiled whole: operation by operation each degree would be dozens of programs
circle_coefficients = jax.jit(bessel.circle_coefficients, static_argnums=1)
sphere_coefficients = jax.jit(bessel.sphere_coefficients, static_argnums=1)
hypersphere_coefficients = jax.jit(bessel.hypersphere_coefficients, static_argnums=(1, 2))

CONCENTRATIONS = [1e-12, 1e-3, 1.0, 9.0, 100.0, 700.0, 1e4]


@pytest.mark.parametrize("c", CONCENTRATIONS)
@pytest.mark.parametrize(
    ("coefficients", "degree"), [(circle_coefficients, circle_degree), (sphere_coefficients, sphere_degree)]
)
def test_coefficients_are_bessel_functions(c, coefficients, degree):
    top = degree(c, 1e-12)
    values, tail = (np.asarray(part).tolist() for part in coefficients(jnp.asarray(c), top))
    sphere = coefficients is sphere_coefficients
    order = mpmath.mpf("0.5") if sphere else mpmath.mpf(0)

    def bessel(k: int) -> mpmath.mpf:
        return mpmath.besseli(k + order, c) * mpmath.exp(-c)

    def term(k: int, value: mpmath.mpf) -> mpmath.mpf:
        return (2 * k + 1) * mpmath.sqrt(mpmath.pi / (2 * c)) * value if sphere else value

    with mpmath.workdps(40):
        for k in {0, 1, top // 2, top}:
            assert abs(float(values[k] / term(k, bessel(k))) - 1) < (4 * k + 40) * np.finfo(float).eps
        # each by mpmath takes a while: downwards two of them give all
        above, value, left_out = bessel(top + 60), bessel(top + 59), mpmath.mpf(0)
        for k in range(top + 59, top, -1):
            left_out += term(k, value) * (1 if sphere else 2)
            above, value = value, above + 2 * (k + order) / c * value
        assert left_out * (1 - 1e-9) <= float(tail)
        assert float(tail) <= 2 * left_out + 1e-300


@pytest.mark.parametrize("coefficients", [circle_coefficients, sphere_coefficients])
def test_at_zero_only_the_mean_is_left(coefficients):
    values, tail = coefficients(jnp.asarray(0.0), 5)
    assert values.tolist() == [1.0, 0, 0, 0, 0, 0]
    assert tail == 0


@pytest.mark.parametrize("coefficients", [circle_coefficients, sphere_coefficients])
@pytest.mark.parametrize("c", [0.0, 1e-4, 0.02, 3.0, 50.0])
def test_coefficients_have_their_derivative(coefficients, c):
    # e^{c(t-1)} at t = 1 and at t = 0.3: sums of the coefficients against cosines or Legendre polynomials
    _, slopes = jax.jvp(lambda c: coefficients(c, 80)[0], (jnp.asarray(c),), (jnp.ones(()),))
    if coefficients is circle_coefficients:
        modes = np.cos(np.arange(81) * np.arccos(0.3)) * np.where(np.arange(81) > 0, 2, 1)
    else:
        modes = np.array([np.polynomial.legendre.legval(0.3, np.eye(81)[l]) for l in range(81)])
    assert np.sum(slopes * modes) == pytest.approx(-0.7 * np.exp(-0.7 * c), rel=1e-11, abs=1e-13)


@pytest.mark.parametrize("coefficients", [circle_coefficients, sphere_coefficients])
@pytest.mark.parametrize("c", [9.0, 300.0, 1e4, 1e6])
def test_too_low_a_degree_spoils_the_tail_more_than_the_coefficients(coefficients, c):
    exact = np.asarray(coefficients(jnp.asarray(c), int(12 * np.sqrt(c)) + 80)[0])
    for degree in {1, 5, int(np.sqrt(c)), int(2 * np.sqrt(c)), int(4 * np.sqrt(c))}:
        values, tail = coefficients(jnp.asarray(c), degree)
        assert np.abs(np.asarray(values) - exact[: degree + 1]).sum() <= 1e-2 * tail + 1e-13


@pytest.mark.parametrize("d", [2, 3, 4, 5, 6])
def test_coefficients_on_larger_spheres_are_bessel_functions_too(d):
    concentrations, top = [9.0, 100.0, 300.0], hypersphere_degree(300.0, d, 1e-10)
    values, tails = (np.asarray(part) for part in hypersphere_coefficients(jnp.asarray(concentrations), top, d))
    with mpmath.workdps(40):
        for i, c in enumerate(concentrations):
            half = mpmath.mpf(d) / 2 - 1

            def truth(l: int, c: float = c, half: mpmath.mpf = half) -> mpmath.mpf:
                bessel = mpmath.besseli(l + half, c) * mpmath.exp(-c) * (2 / mpmath.mpf(c)) ** half
                return harmonics_of_degree(d, l) * mpmath.gamma(half + 1) * bessel

            for l in {0, 1, top // 2, top}:
                assert abs(float(mpmath.mpf(values[l, i]) / truth(l)) - 1) < (4 * l + 40) * np.finfo(float).eps
            left_out = mpmath.fsum(truth(l) for l in range(top + 1, top + 60))
            assert left_out * (1 - mpmath.mpf("1e-9")) <= tails[i]
        mean = values[0, 2]
        assert 1e-14 * mean < tails[2] <= 0.3e-10 * mean


def test_coefficients_on_larger_spheres_are_whole_at_zero():
    values, tail = hypersphere_coefficients(jnp.zeros(()), 3, 5)
    assert values.tolist() == [1.0, 0, 0, 0]
    assert tail == 0

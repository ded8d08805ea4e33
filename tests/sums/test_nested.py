from __future__ import annotations

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from measureflow.sums.bessel import harmonics_of_degree
from measureflow.sums.nested import bands, count, ladder, members

DEGREE = 7


def points(d: int) -> np.ndarray:
    """Poles, near poles, axes of every sphere below, and a few at random."""
    x = np.random.default_rng(d).normal(size=(9, d))
    axes = np.eye(d)
    x[0], x[1], x[2], x[3] = axes[-1], -axes[-1] + 1e-9 * axes[0], axes[0], -axes[1]
    x[4] = axes[-1] + 1e-170 * axes[0]
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("d", [2, 3, 4, 5, 6])
def test_harmonics_of_one_degree_add_up_to_a_gegenbauer_polynomial_everywhere(d):
    x = points(d)
    total = np.zeros((DEGREE + 1, len(x), len(x)))
    made = jax.jit(lambda x: bands(x, DEGREE))(x)
    for m, (rows, below) in zip(members(DEGREE, d), made, strict=True):
        products = jnp.einsum("mla,mlb,mha,mhb->lab", rows, rows, below, below)
        total[-rows.shape[1] :] += products
        assert rows.shape[0] == below.shape[0] == len(m)
    cosine = np.clip(x @ x.T, -1, 1)
    # C_l(t) / C_l(1) upwards from 1 and t
    truth = [np.ones_like(cosine), cosine]
    for l in range(1, DEGREE):
        truth.append(((2 * l + d - 2) * cosine * truth[l] - l * truth[l - 1]) / (l + d - 2))
    assert np.abs(total - np.array(truth)).max() < 1e-14 * 40


@pytest.mark.parametrize("d", [3, 4, 5, 6])
def test_coefficients_of_the_functions_of_an_angle_are_exact_to_rounding(d):
    degree, theta = 40, mpmath.mpf("0.7")
    table = ladder(d, degree)
    with mpmath.workdps(40):
        for l, m in [(0, 0), (1, 0), (1, 1), (17, 4), (40, 0), (40, 1), (40, 23), (40, 40)]:
            half = mpmath.mpf(d) / 2 - 1
            # norms of F_lm: the square over the sphere is N_m / N_l of the square sum 1
            k, order = l - m, half + m

            def weight(t, order=order, k=k):
                return mpmath.gegenbauer(k, order, t) ** 2 * (1 - t * t) ** (order - 0.5)

            mean = mpmath.quad(weight, [-1, 0, 1]) / mpmath.quad(
                lambda t, half=half: (1 - t * t) ** (half - 0.5), [-1, 1]
            )
            share = mpmath.mpf(harmonics_of_degree(d - 1, m)) / harmonics_of_degree(d, l)
            truth = mpmath.sin(theta) ** m * mpmath.gegenbauer(k, order, mpmath.cos(theta)) * mpmath.sqrt(share / mean)
            wave = mpmath.cos if m % 2 == 0 else mpmath.sin
            got = mpmath.fsum(mpmath.mpf(a) * wave(p * theta) for p, a in enumerate(table[l, m]))
            assert abs(got - truth) < 1e-14


def test_count_is_that_of_polynomials():
    assert [count(d, 10) for d in (2, 3, 4)] == [21, 121, 506]

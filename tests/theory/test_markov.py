from __future__ import annotations

import math

import numpy as np
import pytest

from measureflow import BadInput, theory

RNG = np.random.default_rng(0)
SCORES, MASSES = RNG.normal(size=(3, 6)), np.arange(1.0, 7.0) / 21


def test_gibbs_law_is_the_minimum_of_the_free_energy_and_others_miss_by_their_entropy():
    law = theory.gibbs_law(SCORES, MASSES)
    np.testing.assert_allclose(law.sum(axis=1), 1.0, rtol=1e-15)
    least = theory.free_energy(law, SCORES, MASSES)
    np.testing.assert_allclose(least, -np.log(np.exp(SCORES) @ MASSES), rtol=0, atol=1e-13)
    others = RNG.dirichlet(np.ones(6), size=3)
    gap = (others * np.log(others / law)).sum(axis=1)
    np.testing.assert_allclose(theory.free_energy(others, SCORES, MASSES) - least, gap, rtol=0, atol=1e-13)


def test_free_energy_is_infinite_off_the_support():
    assert theory.free_energy([0.5, 0.5], [0.0, 0.0], [1.0, 0.0]) == math.inf
    assert theory.free_energy([1.0, 0.0], [2.0, 0.0], [1.0, 0.0]) == -2.0


def test_large_scores_do_not_overflow():
    np.testing.assert_allclose(
        theory.gibbs_law([1e4, 1e4 - 1.0], [0.5, 0.5]), [1 / (1 + math.exp(-1)), 1 / (1 + math.e)]
    )


@pytest.mark.parametrize(("n", "value"), [(2, 0.27846), (5, 0.71782), (20, 1.52346), (100, 2.62865), (1000, 4.42050)])
def test_lemma_of_l2_attention_has_the_values_of_the_table(n, value):
    found = theory.largest_mean_square_of_l2_attention(n)
    assert found == pytest.approx(value, abs=6e-6)
    assert found * math.exp(found + 1) == pytest.approx(n - 1)


def test_constants_of_l2_attention_scale_with_their_weights():
    plain = theory.lipschitz_of_l2_attention(6)
    weighted = theory.lipschitz_of_l2_attention(6, inner=np.diag([2.0, 1.0]), outer=np.diag([1.0, 3.0]))
    assert weighted == pytest.approx(6.0 * plain)
    assert theory.lipschitz_of_l2_attention(6, norm="frobenius") == pytest.approx(math.sqrt(6) * plain)
    assert theory.lipschitz_of_l2_attention(6, norm="coordinate", d=4) == pytest.approx(2 * (plain - 1) + 1)


def test_weighted_l2_attention_stays_below_its_constant():
    inner, outer = RNG.normal(size=(2, 2, 2))
    bound = theory.lipschitz_of_l2_attention(5, norm="frobenius", inner=inner, outer=outer)

    def out(x):
        moved = x @ inner.T
        weights = np.exp(-((moved[:, None] - moved[None]) ** 2).sum(axis=-1))
        return (weights / weights.sum(axis=1, keepdims=True) @ moved @ outer.T).ravel()

    worst = 0.0
    for _ in range(200):
        x, h = RNG.normal(size=(5, 2)) * RNG.uniform(0.1, 2.0), 1e-5
        rows = [(out(x + h * e.reshape(5, 2)) - out(x - h * e.reshape(5, 2))) / (2 * h) for e in np.eye(10)]
        worst = max(worst, np.linalg.norm(np.stack(rows, axis=1), 2))
    assert 0.1 * bound < worst < bound


def test_diameter_contracts_by_both_rules_alike_for_two_opposite_tokens():
    assert theory.contraction_of_diameter(oscillation=2.0) == pytest.approx(math.tanh(1.0))
    assert theory.contraction_of_diameter(form=1.0, diameter=2.0) == pytest.approx(math.tanh(1.0))
    assert theory.contraction_of_diameter(oscillation=3.0) < -math.expm1(-3.0)


def test_general_kernel_on_the_ball_has_the_constants_of_linear_values():
    """With a(x, y) = y.Ax and v(y) = Vy on the ball of radius R."""
    size, value, radius = 0.7, 1.3, 1.1
    found = theory.lipschitz_of_markov_kernel(
        oscillation=2 * size * radius**2, score=(size * radius, size * radius), value=value, diameter=2 * value * radius
    )
    alpha = size * radius**2
    assert found.measure == pytest.approx(value * (1 + 2 * alpha) * math.exp(2 * alpha))
    assert found.query == pytest.approx(value * alpha)  # the largest covariance of the ball, R^2


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: theory.contraction_of_diameter(), "oscillation= alone, or"),
        (lambda: theory.contraction_of_diameter(oscillation=1.0, form=1.0, diameter=1.0), "oscillation= alone, or"),
        (lambda: theory.contraction_of_diameter(oscillation=-1.0), "oscillation is -1"),
        (lambda: theory.gibbs_law([0.0, 1.0], [-1.0, 2.0]), "masses are"),
        (lambda: theory.lipschitz_of_l2_attention(3, norm="max"), "norm is 'max'"),
        (lambda: theory.lipschitz_of_l2_attention(3, norm="coordinate", inner=2.0), "leave inner and outer out"),
        (lambda: theory.lipschitz_of_markov_kernel(oscillation=1, score=(1, -1), value=1, diameter=1), "score is -1"),
    ],
)
def test_kernels_that_make_no_sense_are_refused(call, words):
    with pytest.raises(BadInput, match=words):
        call()

"""Noise: printed critical values, mpmath, the two sides of the transition, and branches that solve their equation."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from measureflow import BadInput, theory


@pytest.mark.parametrize(
    ("beta", "kappa"), [(0.5, 1.938779), (1, 1.769413), (2, 1.257358), (5, 0.205460), (10, 0.003744)]
)
def test_critical_kappa_on_the_circle_is_the_printed_one(beta, kappa):
    assert theory.critical_kappa(beta=beta, d=2) == pytest.approx(kappa, abs=5.1e-7)


@pytest.mark.parametrize("d", [2, 3, 9])
def test_critical_kappa_agrees_with_mpmath_and_tends_to_the_dimension(d):
    with mpmath.workdps(30):
        half = mpmath.mpf(d) / 2
        exact = 3**half / (2 ** (half - 1) * mpmath.gamma(half) * mpmath.besseli(half, 3))
    assert theory.critical_kappa(beta=3.0, d=d) == pytest.approx(float(exact), rel=1e-12)
    assert theory.critical_kappa(beta=1e-8, d=d) == pytest.approx(d, rel=1e-7)


@pytest.mark.parametrize(("d", "beta"), [(2, 2.446918), (3, 1.816155), (4, 1.575257), (8, 1.266553), (64, 1.031494)])
def test_tricritical_beta_is_the_printed_one(d, beta):
    assert theory.tricritical_beta(d=d) == pytest.approx(beta, abs=5.1e-7)


@pytest.mark.parametrize(("beta", "solved", "normal"), [(0.0, 0.140255, 0.139326), (1.0, 0.169211, 0.168995)])
def test_order_parameters_near_onset_are_the_printed_ones(beta, solved, normal):
    kappa = 1.01 * theory.critical_kappa(beta=beta, d=2)
    state = theory.stationary_states(beta=beta, kappa=kappa, d=2)[-1]
    assert state.order_parameter == pytest.approx(solved, abs=5.1e-7)
    assert theory.order_parameter_near_onset(kappa, beta=beta) == pytest.approx(normal, abs=5.1e-7)


@pytest.mark.parametrize(("beta", "coexistence", "spinodal"), [(3, 0.991, 0.989), (4, 0.955, 0.944), (6, 0.877, 0.854)])
def test_first_order_side_has_the_printed_ratios(beta, coexistence, spinodal):
    found = theory.transition(beta=beta, d=2)
    assert not found.continuous
    assert found.coexistence / found.onset == pytest.approx(coexistence, abs=6e-4)
    assert found.spinodal / found.onset == pytest.approx(spinodal, abs=6e-4)


def test_below_the_tricritical_beta_the_three_values_are_one():
    found = theory.transition(beta=2.0, d=2)
    assert found.continuous
    assert found.onset == found.coexistence == found.spinodal


@pytest.mark.parametrize(("beta", "d", "share"), [(4.0, 2, 0.97), (1.0, 8, 30.0), (8.0, 3, 0.8)])
def test_states_solve_the_gibbs_equation_on_another_grid(beta, d, share):
    kappa = share * theory.critical_kappa(beta=beta, d=d)
    state = theory.stationary_states(beta=beta, kappa=kappa, d=d)[-1]
    # the field at heights of its own: an integral of the kernel over the circle of latitude is a mean over its angle
    nodes, weights = np.polynomial.legendre.leggauss(800)
    polar = np.pi * (nodes + 1) / 2
    t, law = np.cos(polar), weights * np.sin(polar) ** (d - 2)
    law = law / law.sum()
    density = np.interp(t, state.heights[np.argsort(state.heights)], state.density[np.argsort(state.heights)])
    masses = law * density
    turn = np.pi * (np.polynomial.legendre.leggauss(200)[0] + 1) / 2
    around = np.polynomial.legendre.leggauss(200)[1] * np.sin(turn) ** max(d - 3, 0)
    if d == 2:
        turn, around = np.array([0.0, np.pi]), np.array([1.0, 1.0])
    around = around / around.sum()
    checks = np.array([-0.5, 0.0, 0.6, 0.9])
    products = checks[:, None, None] * t[:, None] + (
        np.sqrt(1 - checks**2)[:, None, None] * np.sqrt(1 - t**2)[:, None] * np.cos(turn)
    )
    field = kappa / beta * np.einsum("cma,m,a->c", np.exp(beta * products), masses / masses.sum(), around)
    found = np.interp(
        checks, state.heights[np.argsort(state.heights)], np.log(state.density)[np.argsort(state.heights)]
    )
    assert np.allclose(np.diff(found), np.diff(field), rtol=2e-2, atol=2e-2)  # linear interpolation between nodes


def test_polarised_branch_exchanges_stability_at_its_fold_alone():
    branch = theory.branch_of_stationary_states(beta=5.0, d=2, top=0.95)
    assert (np.diff(branch.stable.astype(int)) != 0).sum() == 1
    turn = int(np.argmin(branch.kappas))
    assert abs(int(np.argmax(branch.stable)) - turn) <= 1
    # along a branch dF/dkappa is minus the interaction: the free energy has a cusp at the fold and falls beyond
    assert branch.free_energies[turn] == pytest.approx(branch.free_energies.max(), rel=1e-2)


def test_higher_branches_on_the_circle_have_equal_humps():
    branch = theory.branch_of_stationary_states(beta=6.0, d=2, degree=3, top=0.5)
    state = branch.states[-1]
    assert branch.kappas[0] == pytest.approx(6.0 / theory.funk_hecke_coefficients(3, beta=6.0, d=2), rel=1e-4)
    assert np.abs(np.delete(state.moments, slice(2, None, 3))).max() < 1e-12
    assert not state.stable  # the uniform law has lost two modes before


def test_brownian_cosine_is_that_of_the_wrapped_normal_on_the_circle():
    kappa, t = 3.0, 0.7
    angles = np.linspace(-30, 30, 200_001)
    law = norm(scale=np.sqrt(2 * t / kappa)).pdf(angles)
    mean = float((law * np.cos(angles)).sum() * (angles[1] - angles[0]))
    assert theory.cosine_of_brownian_motion(t, kappa=kappa, d=2) == pytest.approx(mean, abs=1e-10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.critical_kappa(beta=-1.0, d=2), "beta is -1.0"),
        (lambda: theory.tricritical_beta(d=1), "d is 1"),
        (lambda: theory.order_parameter_near_onset(1.0, beta=1.0), "branches off at 1.76941"),
        (lambda: theory.order_parameter_near_onset(9.0, beta=3.0), "continuous below 2.44692"),
        (lambda: theory.stationary_states(beta=9.0, kappa=1e9, d=2), "too narrow"),
        (lambda: theory.branch_of_stationary_states(beta=1.0, d=2, degree=99), "degree is 99"),
        (lambda: theory.branch_of_stationary_states(beta=1.0, d=2, top=1.5), "top is 1.5"),
    ],
)
def test_bad_input_names_the_value_and_the_cure(call, message):
    with pytest.raises(BadInput, match=message):
        call()


def test_tricritical_beta_is_found_in_high_dimensions():
    # I_(v+1)/I_v = (x/2)/(v+1) (1 - x^2/(4 (v+1)(v+2)) + ..) with v = d/2: the root is 1 + 2/d + O(d^-2)
    for d in (200, 10_000):
        assert theory.tricritical_beta(d=d) == pytest.approx(1.0 + 2.0 / d, abs=3.0 / d**2)
    found = theory.transition(beta=1.5, d=200)
    assert found.spinodal < found.coexistence < found.onset


@pytest.mark.parametrize("beta", [2.0, 4.0, 8.0])
def test_transition_in_high_dimensions_comes_to_its_limit(beta):
    # a share p of the tokens at height sqrt(s) and the others at 0 have, for each of d dimensions, the free energy
    # -p log(1 - s)/2 - (k p^2 / 2 beta)(e^(beta s) - 1) at kappa = k d. A state p = 1 is lost where s has no minimum
    # any more, at s = 1 - 1/beta, or before where tokens leave it one by one for the height 0 (for beta > 7.4).
    def leaves(s):
        return -0.5 * beta * (1 - s) * np.log1p(-s) + np.expm1(-beta * s)

    fold = 1 - 1 / beta
    if leaves(fold) > 0:
        fold = brentq(leaves, fold, 1 - 1e-9)
    s = np.linspace(1e-6, 1 - 1e-6, 2_000_001)
    limits = np.exp(-beta * fold) / (1 - fold), (-beta * np.log1p(-s) / np.expm1(beta * s)).min()
    errors = []
    for d in (250, 1000):
        found = theory.transition(beta=beta, d=d)
        errors.append(np.abs([found.spinodal / (d * limits[0]) - 1, found.coexistence / (d * limits[1]) - 1]))
    assert errors[1].max() < 2.0 / 1000
    assert errors[0].max() / errors[1].max() == pytest.approx(4.0, rel=0.1)


def test_no_other_branch_is_entered():
    # a step once landed on the uniform law, which is stationary at every kappa, and went on there for ever
    found = theory.transition(beta=8.0, d=63)
    assert found.spinodal < found.coexistence < 0.1 * found.onset


def test_switching_betas_do_not_underflow():
    first = theory.switching_betas(1, d=10_000)[0]  # r = x/(v+1+sqrt((v+1)^2+x^2)) = 1/2 at x = 4 (v+1)/3
    assert first == pytest.approx(4 / 3 * 5001, rel=1e-3)

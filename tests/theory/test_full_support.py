"""The minimiser of full support: three ways that agree, the tabulated values, and what its potential says."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

import measureflow as mf
from measureflow import BadInput, theory

#: of the notes: E_2, c_1, c_2, least and largest density for D = diag(1, b), by Fourier in 160 digits
TABLE = {
    0.9: (1.23656262402, -0.2175851945, 0.012218838, 0.793999, 1.230511),
    1.1: (1.29303727519, 0.1984818121, 0.010208723, 0.811241, 1.209226),
    1.5: (1.37630694626, 0.808402046, 0.1832213968, 0.342585, 2.040591),
    2.0: (1.438195706936, 1.2578506014, 0.5025236032, 0.110554, 3.036366),
    3.0: (1.493579852085, 1.6548210390, 1.045875773, 0.010267, 4.924682),
}


@pytest.mark.parametrize("b", TABLE)
def test_modes_are_those_of_the_notes(b):
    found = theory.full_support_by_modes(np.diag([1.0, b]))
    energy, first, second, least, largest = TABLE[b]
    assert found.energy == pytest.approx(energy, abs=2e-11)
    assert 2 * found.modes[1:3].real == pytest.approx([first, second], abs=2e-9)
    values = found.density(np.eye(2))
    assert [values.min(), values.max()] == pytest.approx([least, largest], abs=1e-6)


def test_modes_solve_the_first_condition_in_mpmath():
    a, b, x = 1.0, 1.7, 0.6
    found = theory.full_support_by_modes(np.diag([a, b]))
    with mpmath.workdps(30):

        def density(phi):
            waves = (mpmath.mpf(float(mode.real)) * mpmath.cos(2 * k * phi) for k, mode in enumerate(found.modes) if k)
            return 1 + 2 * sum(waves)

        def kernel(phi):
            return mpmath.exp(a * mpmath.cos(x) * mpmath.cos(phi) + b * mpmath.sin(x) * mpmath.sin(phi))

        value = mpmath.quad(lambda phi: density(phi) * kernel(phi), mpmath.linspace(0, 2 * mpmath.pi, 5))
    assert float(value / (2 * mpmath.pi)) == pytest.approx(found.energy, abs=1e-13)


def test_the_identity_has_the_uniform_law():
    for found in (theory.full_support_by_modes(np.eye(2)), theory.full_support_by_sources(np.eye(2))):
        assert found.energy == pytest.approx(1.2660658777520084, abs=1e-13)
        assert np.abs(np.asarray(found.measure.values) - 1).max() < 1e-6


def test_sources_agree_with_modes_on_the_circle_and_turn_with_the_form():
    turn = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    form = turn @ np.diag([1.0, 2.0]) @ turn.T
    one, two = theory.full_support_by_modes(form), theory.full_support_by_sources(form)
    angles = np.linspace(0, 2 * np.pi, 50)
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert two.energy == pytest.approx(one.energy, abs=1e-10)
    assert np.abs(one.density(points) - two.density(points)).max() < 1e-6
    assert np.abs(one.covariance - two.covariance).max() < 1e-9
    assert np.abs(one.potential(points) - one.energy).max() < 1e-12
    plain = theory.full_support_by_modes(np.diag([1.0, 2.0]))
    assert np.abs(plain.density(points @ turn) - one.density(points)).max() < 1e-12


@pytest.mark.parametrize("eigenvalues", [(1.0, 0.25, 1.0), (1.0, 2.0, 3.0)])
def test_sources_give_the_values_of_the_notes_on_the_sphere(eigenvalues):
    found = theory.full_support_by_sources(np.diag(eigenvalues))
    energy, moments = {0.25: (1.02795, [0.0549, 0.8902, 0.0549]), 2.0: (1.403664, [0.7532, 0.1731, 0.0737])}[
        eigenvalues[1]
    ]
    assert found.energy == pytest.approx(energy, abs=1e-6)
    assert np.diag(found.covariance) == pytest.approx(moments, abs=6e-5)
    points = np.random.default_rng(0).normal(size=(60, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    assert np.abs(found.potential(points) - found.energy).max() < 1e-7
    assert found.bounds[1] - found.bounds[0] < 5e-8
    atoms, weights = (np.asarray(part) for part in found.measure.atoms())
    assert np.abs(atoms - found.atoms[0]).max() < 1e-14
    assert np.abs(weights - found.atoms[1]).max() < 1e-14


@pytest.mark.parametrize("eigenvalues", [(1.0, 2.0), (1.0, 0.25, 1.0), (1.0, 1.1, 1.05, 1.1)])
def test_brownian_exits_agree_with_the_solvers(eigenvalues):
    form = np.diag(eigenvalues)
    exits, solved = theory.full_support_by_exits(form, paths=4000, seed=5), theory.full_support_minimiser(form)
    assert abs(exits.energy - solved.energy) < 4.5 * exits.standard_error
    moments = np.diag(solved.covariance)[np.argsort(eigenvalues)]
    assert (np.abs(exits.second_moments - moments) < 4.5 * exits.errors + 1e-6).all()
    assert exits.standard_error < 6e-3
    assert theory.full_support_by_exits(form, paths=4000, seed=5).energy == exits.energy


def test_brownian_exits_of_a_ball_have_no_error():
    found = theory.full_support_by_exits(2.0 * np.eye(3), paths=50, seed=0)
    assert found.energy == pytest.approx(np.sinh(2.0) / 2.0, rel=1e-4)
    assert found.standard_error < 1e-12


def test_any_measure_encloses_the_minimum():
    form = np.diag([1.0, 2.0, 3.0])
    points = np.random.default_rng(1).normal(size=(400, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    for k in (1, 8, 60):
        low, high = theory.bounds_of_minimum(form, mf.Tokens(mf.Sphere(3), points[:k]), points=points)
        assert low < 1.403663 < high


def test_narrow_and_large_forms_say_how_well_they_are_known():
    narrow = theory.full_support_minimiser(np.diag([1.0, 20.0]))
    assert narrow.method == "sources"
    assert narrow.bounds[0] - 1e-6 < narrow.energy < narrow.bounds[1] + 1e-6
    for narrow in ([1.0, 30.0], [1.0, 10.0, 20.0]):
        with pytest.raises(BadInput, match=r"too narrow.*full_support_by_exits"):
            theory.full_support_minimiser(np.diag(narrow))
    # the energy of the modes is right where their density is not: below that of two points at the ends of an axis
    energies = [theory.full_support_by_modes(np.diag([1.0, ratio])).energy for ratio in (20.0, 30.0)]
    assert 1.54196 < energies[0] < energies[1] < np.cosh(1.0)
    fallen_back = theory.extremal_energy(np.diag([1.0, 10.0, 20.0]), paths=4000)
    assert abs(fallen_back.minimum - 1.538) < 0.05
    with pytest.raises(BadInput, match=r"eigenvalue 80.*full_support_by_exits"):
        theory.full_support_minimiser(np.diag([1.0, 80.0]))
    with pytest.raises(BadInput, match=r"eigenvalue -1.*extremal_energy"):
        theory.full_support_minimiser(np.diag([1.0, -1.0]))
    with pytest.raises(BadInput, match=r"d = 3.*full_support_by_sources"):
        theory.full_support_by_modes(np.diag([1.0, 2.0, 3.0]))

"""Extreme values of the energy: every case of the classification, against measures that know nothing of it."""

from __future__ import annotations

import numpy as np
import pytest

import measureflow as mf
from measureflow import BadInput, theory


def turned(eigenvalues, seed=0):
    axes, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(eigenvalues),) * 2))
    return (axes * np.asarray(eigenvalues)) @ axes.T, axes


def energy(form, points, weights=None):
    weights = np.full(len(points), 1 / len(points)) if weights is None else np.asarray(weights)
    return weights @ np.exp(points @ form @ points.T) @ weights


CASES = [
    ([0.5, 1.0, 2.0], "dirac", "full support", np.exp(2.0)),
    ([-1.0, 0.3, 0.4], "antipodal pair", "dirac", np.cosh(1.0)),
    ([-1.0, 0.3, 0.5], "dirac", "dirac", np.exp(0.5)),
    ([-3.0, -2.0], "antipodal pair", "dirac", np.cosh(3.0)),
    ([0.0, 0.0, 1.5], "dirac", "kernel", np.exp(1.5)),
    ([-2.0, 0.0, 0.0], "antipodal pair", "dirac", np.cosh(2.0)),
]


@pytest.mark.parametrize(("eigenvalues", "top", "bottom", "maximum"), CASES)
def test_extremisers_attain_what_random_measures_never_pass(eigenvalues, top, bottom, maximum):
    form, _ = turned(eigenvalues)
    found = theory.extremal_energy(form)
    assert (found.case.maximum, found.case.minimum) == (top, bottom)
    assert found.maximum == pytest.approx(maximum, rel=1e-13)
    generator = np.random.default_rng(1)
    for _ in range(300):
        points = generator.normal(size=(5, len(form)))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        value = energy(form, points, generator.dirichlet(np.full(5, 0.3)))
        assert found.minimum - 1e-12 <= value <= found.maximum * (1 + 1e-12)
    for one, extreme in [(found.maximisers[0], found.maximum), (found.minimisers, found.minimum)]:
        points, weights = (np.asarray(part) for part in one.measure.atoms())
        assert energy(form, points, weights) == pytest.approx(extreme, rel=1e-8)


def test_a_tie_has_two_kinds_of_maximisers():
    found = theory.extremal_energy(np.diag([-1.0, np.log(np.cosh(1.0))]))
    assert found.case.maximum == "either"
    assert {one.kind for one in found.maximisers} == {"dirac", "antipodal pair"}


def test_eigenspaces_are_whole():
    found = theory.extremal_energy(turned([-1.0, -1.0, 0.2])[0])
    assert found.maximisers[0].axes.shape == found.minimisers.axes.shape == (3, 2)
    assert theory.extremal_energy(-np.eye(4)).maximisers[0].axes.shape == (4, 4)


def test_multiples_of_the_identity_have_closed_forms_in_any_dimension():
    assert theory.extremal_energy(np.eye(2)).minimum == pytest.approx(1.2660658778, abs=1e-10)
    for scale in (0.3, 4.0):
        assert theory.extremal_energy(scale * np.eye(3)).minimum == pytest.approx(np.sinh(scale) / scale, rel=1e-13)
    found = theory.extremal_energy(2.0 * np.eye(6), paths=4000)
    points, weights = (np.asarray(part) for part in found.minimisers.measure.atoms())
    assert energy(2.0 * np.eye(6), points, weights) == pytest.approx(found.minimum, rel=2e-3)


def test_beyond_the_solvers_the_minimum_is_an_estimate_that_says_its_error():
    form = np.diag([1.0, 1.1, 1.2, 1.3, 1.4])
    found = theory.extremal_energy(form, paths=2000, seed=2)
    again = theory.extremal_energy(form, paths=2000, seed=3)
    assert 0 < found.error < 8e-3
    assert abs(found.minimum - again.minimum) < found.error + again.error


def test_minimum_rises_with_every_eigenvalue_and_falls_to_one():
    low = theory.extremal_energy(np.diag([1.0, 2.0])).minimum
    assert theory.extremal_energy(np.diag([1.1, 2.0])).minimum > low
    assert theory.extremal_energy(np.diag([1.0, 2.1])).minimum > low
    assert theory.extremal_energy(np.diag([0.01, 1.0])).minimum == pytest.approx(1.0, abs=1e-4)


def test_bad_forms_are_named_with_their_cure():
    with pytest.raises(BadInput, match=r"D - D\^T has an entry 0\.5.*symmetric part"):
        theory.extremal_energy([[1.0, 0.5], [0.0, 1.0]])
    with pytest.raises(BadInput, match=r"shape \(2, 3\)"):
        theory.extremal_energy(np.ones((2, 3)))
    with pytest.raises(BadInput, match="entry nan"):
        theory.extremal_energy([[np.nan, 0.0], [0.0, 1.0]])
    with pytest.raises(BadInput, match="eigenvalue 800"):
        theory.extremal_energy(np.diag([800.0, 1.0]))


def test_extremisers_are_measures_that_fields_and_observables_take():
    form = np.diag([1.0, 2.0])
    found = theory.extremal_energy(form).minimisers.measure
    assert isinstance(found, mf.Density)
    assert found.smallest == pytest.approx(0.110554, abs=1e-6)

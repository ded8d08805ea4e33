from __future__ import annotations

import jax
import numpy as np
import pytest

import measureflow as mf
from measureflow import theory
from measureflow.fields.gaussians import sinkhorn_conditional, sinkhorn_to_distances, sinkhorn_to_products

DRAW = np.random.default_rng(0)
QUERY, KEY, VALUE = DRAW.normal(size=(3, 2, 2)) / 2
ROOT = DRAW.normal(size=(2, 2))
LAW = mf.Gaussian([0.3, -0.2], ROOT @ ROOT.T)
PLAIN = mf.SelfAttention(beta=0.8, query=QUERY, key=KEY, value=VALUE)
SQUARED = mf.SelfAttention(beta=0.8, query=QUERY, key=KEY, value=VALUE, score="l2")


def quadrature(order: int = 80) -> mf.Tokens:
    """The law as tokens at the nodes of a Gauss-Hermite rule."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(order)
    grid = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2)
    masses = np.outer(weights, weights).ravel()
    return mf.Tokens(mf.Euclidean(2), np.asarray(LAW.mean) + grid @ ROOT.T, masses / masses.sum())


@pytest.mark.parametrize("field", [PLAIN, SQUARED, mf.SelfAttention(beta=0.5, query=-1.0), PLAIN + SQUARED])
def test_attention_to_a_gaussian_is_the_integral(field):
    x = DRAW.normal(size=(5, 2))
    shift, slope = field.affine(LAW)
    np.testing.assert_allclose(field(x, LAW), field(x, quadrature()), rtol=0, atol=1e-9)
    np.testing.assert_allclose(field(x, LAW), shift + x @ slope.T, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(field.output(x, LAW), field(x, LAW))  # flat space


def test_heads_add_and_schedules_choose():
    both = [PLAIN, SQUARED]
    for found in (mf.MultiHead(both).affine(LAW), (PLAIN + SQUARED).affine(LAW)):
        for part, one, other in zip(found, PLAIN.affine(LAW), SQUARED.affine(LAW), strict=True):
            np.testing.assert_allclose(part, one + other, rtol=0, atol=1e-15)
    schedule = mf.Schedule(both, [0.0, 1.0])
    np.testing.assert_array_equal(schedule.affine(LAW)[1], PLAIN.affine(LAW)[1])
    np.testing.assert_array_equal(schedule.at(1.5).affine(LAW)[1], SQUARED.affine(LAW)[1])


def test_a_perceptron_has_no_closed_form():
    with pytest.raises(mf.BadInput, match="has no closed form under a Gaussian"):
        mf.Perceptron(np.eye(2), np.eye(2)).affine(LAW)


def test_a_perceptron_without_activation_is_affine():
    drift = mf.Perceptron(QUERY, VALUE, bias=[0.5, -1.0], activation="identity")
    x = DRAW.normal(size=(4, 2))
    shift, slope = (PLAIN + drift).affine(LAW)
    np.testing.assert_allclose(shift + x @ slope.T, PLAIN(x, LAW) + drift(x, quadrature(2)), rtol=0, atol=1e-14)


def doubly_stochastic(logits: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """The plan of the logits whose rows and columns have the masses."""
    weights = np.exp(logits)
    columns = np.ones(len(masses))
    for _ in range(300):
        rows = 1 / (weights @ (columns * masses))
        columns = 1 / (weights.T @ (rows * masses))
    return rows[:, None] * weights * columns * np.outer(masses, masses)


FORM = KEY.T @ QUERY


@pytest.mark.parametrize(("closed", "beta"), [(sinkhorn_to_products, 0.8), (sinkhorn_to_distances, 0.4)])
def test_sinkhorn_attention_to_a_gaussian_is_the_coupling(closed, beta):
    atoms = quadrature(20)
    points, masses = np.asarray(atoms.points), np.asarray(atoms.weights)
    plan = doubly_stochastic(points @ (0.8 * FORM).T @ points.T, masses)
    pulled = (plan / masses[:, None]) @ points @ VALUE.T
    shift, slope = closed(LAW, beta, QUERY, KEY, VALUE)
    heavy = masses > 1e-6  # at the rim a rule of 20 nodes knows little of the law
    np.testing.assert_allclose((shift + points @ slope.T)[heavy], pulled[heavy], rtol=0, atol=1e-7)
    np.testing.assert_allclose(shift + slope @ LAW.mean, VALUE @ np.asarray(LAW.mean), rtol=0, atol=1e-15)
    coupling = theory.sinkhorn_coupling_of_gaussian(LAW.cov, 0.8 * FORM)
    np.testing.assert_allclose(slope @ LAW.cov, VALUE @ coupling.T, rtol=0, atol=1e-14)


def test_sinkhorn_attention_needs_no_inverse():
    flat = mf.Gaussian([0.0, 0.0], np.outer([1.0, 2.0], [1.0, 2.0]))
    _, slope = sinkhorn_to_products(flat, 1.0, QUERY, KEY, np.eye(2))
    off = np.array([2.0, -1.0])
    assert np.abs(off @ slope).max() < 1e-15  # the law stays on its line
    along, phi = np.array([1.0, 2.0]), float(np.array([1.0, 2.0]) @ FORM @ np.array([1.0, 2.0]))
    np.testing.assert_allclose(slope @ along, theory.sinkhorn_gamma(phi) * along, rtol=1e-13)


@pytest.mark.parametrize("cov", [np.asarray(LAW.cov), np.outer([1.0, 2.0], [1.0, 2.0]), np.eye(2)])
def test_conditional_covariance_solves_its_equation_and_has_a_derivative(cov):
    def left(found: np.ndarray, cov: np.ndarray, form: np.ndarray) -> np.ndarray:
        return found + found @ form @ cov @ form.T @ found

    found = np.asarray(sinkhorn_conditional(cov, FORM))
    np.testing.assert_allclose(left(found, cov, FORM), cov, rtol=0, atol=1e-14)
    moved, turned = np.array([[0.3, -0.1], [-0.1, 0.4]]), np.array([[0.2, 0.7], [-0.5, 0.1]])
    _, slope = jax.jvp(sinkhorn_conditional, (cov, FORM), (moved, turned))
    there = found + 1e-6 * np.asarray(slope)  # solves the equation to second order
    found = left(there, cov + 1e-6 * moved, FORM + 1e-6 * turned)
    np.testing.assert_allclose(found, cov + 1e-6 * moved, rtol=0, atol=1e-9)

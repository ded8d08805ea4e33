from __future__ import annotations

import numpy as np
import pytest

import measureflow as mf

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

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

import measureflow as mf

RNG = np.random.default_rng(2)
INNER, OUTER, BIAS = RNG.normal(size=(6, 4)), RNG.normal(size=(4, 6)), RNG.normal(size=6)
ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0.0),
    "gelu": lambda x: x * special.ndtr(x),
    "tanh": np.tanh,
    "silu": lambda x: x * special.expit(x),
    "identity": lambda x: x,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_perceptron_is_two_matrices_and_an_activation(name, tokens, queries, output, velocity):
    for bias in (None, BIAS):
        field = mf.Perceptron(INNER, OUTER, bias, activation=name)
        inside = INNER @ queries.T + (0.0 if bias is None else bias[:, None])
        expected = (OUTER @ ACTIVATIONS[name](inside)).T
        np.testing.assert_allclose(output(field, queries, tokens), expected, rtol=1e-13, atol=1e-14)
        tangent = expected - np.sum(expected * queries, axis=1)[:, None] * queries
        np.testing.assert_allclose(velocity(field, queries, tokens), tangent, atol=1e-14)


def test_perceptron_does_not_look_at_the_measure(tokens, queries, output):
    field = mf.Perceptron(INNER, OUTER)
    other = mf.uniform(mf.Sphere(4), 3, seed=8)
    np.testing.assert_array_equal(output(field, queries, tokens), output(field, queries, other))
    assert not field.positional
    assert field.autonomous


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((INNER, OUTER.T), r"inner \(6, 4\), outer \(6, 4\), bias None; they must be \(k, d\), \(d, k\) and \(k,\)"),
        ((INNER, OUTER, BIAS[:3]), r"bias \(3,\); they must be"),
        ((BIAS, OUTER), r"inner \(6,\), outer"),
        ((2.0, 3.0), r"inner \(\), outer \(\)"),
        ((INNER, OUTER, None, "swish"), "activation is 'swish'; it must be one of 'relu', 'gelu'"),
        ((INNER, OUTER, None, ["relu"]), "activation is"),
        (("wide", OUTER), "inner is 'wide'; it must be"),
        ((None, OUTER), "inner is None; it must be"),
        ((INNER, OUTER, "b"), "bias is 'b'; it must be"),
        ((INNER, np.where(OUTER[1, 2] == OUTER, np.nan, OUTER)), r"Perceptron: outer\[1, 2\] is nan; every entry must"),
    ],
)
def test_perceptron_refuses_what_does_not_fit(arguments, says):
    with pytest.raises(mf.BadInput, match=says):
        mf.Perceptron(*arguments)


def test_perceptron_refuses_tokens_of_another_dimension():
    mu = mf.uniform(mf.Sphere(3), 4)
    with pytest.raises(mf.BadInput, match=r"inner has shape \(6, 4\) and the tokens are in R\^3"):
        mf.Perceptron(INNER, OUTER)(mu.points, mu)

"""Attention with a form that is a gradient flow: how it is made, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import measureflow as mf

FORM = np.array([[1.0, 0.4, 0.0], [0.4, -0.7, 0.2], [0.0, 0.2, 0.3]])
DRAW = np.random.default_rng(0).normal(size=(5, 3))
TOKENS = mf.Tokens(mf.Sphere(3), DRAW / np.linalg.norm(DRAW, axis=1, keepdims=True))


@pytest.mark.parametrize("weighting", ["softmax", "unnormalised"])
@pytest.mark.parametrize("sign", [1, -1])
def test_velocity_is_plus_or_minus_the_gradient_of_the_partition_function(sign, weighting):
    x = np.asarray(TOKENS.points)
    kernel = np.exp(x @ FORM @ x.T) / 5
    Z = kernel.sum(axis=1, keepdims=True)
    ambient = sign * kernel @ x @ FORM / (Z if weighting == "softmax" else 1.0)
    tangent = ambient - (ambient * x).sum(axis=1, keepdims=True) * x
    field = mf.gradient_attention(FORM, sign=sign, weighting=weighting)
    assert np.abs(field(TOKENS.points, TOKENS) - tangent).max() < 1e-14
    assert field.energy_sign == sign


def test_a_path_of_it_has_an_energy_that_moves_one_way_at_every_step():
    path = mf.flow(TOKENS, mf.gradient_attention(FORM, sign=-1), until=5.0, save=20)
    assert (np.diff(path.energy) < 0).all()
    assert float(path.stats["largest_energy_increase"]) < 1e-14
    doubled = np.exp(1.0) * path.energy  # the reporting energy is e^-1 times the integral of e^(x.Dy)
    assert np.abs(doubled - 2 * mf.observe.raw_energy(path, field=path.field)).max() < 1e-14


def test_an_asymmetric_form_moves_tokens_without_an_energy():
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    field = mf.SelfAttention(beta=1.0, query=(FORM + turn).T, value=-1.0)
    path = mf.flow(TOKENS, field, until=1.0, save=3)
    assert field.energy_sign == 0
    with pytest.raises(mf.BadInput, match="energy"):
        _ = path.energy


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"form": [[1.0, 0.5], [0.0, 1.0]]}, r"form\[0, 1\] is 0.5 and form\[1, 0\] is 0; .*query=form.T"),
        ({"form": [1.0, 2.0]}, r"shape \(2,\)"),
        ({"form": [[1.0, np.nan], [np.nan, 1.0]]}, "finite"),
        ({"form": np.eye(2), "sign": 0}, "sign is 0"),
        ({"form": np.eye(2), "weighting": "hardmax"}, "hardmax"),
        ({"form": np.eye(2), "weighting": "linear"}, "weighting is 'linear'"),
        ({"form": np.eye(2), "weighting": "sinkhorn"}, "weighting is 'sinkhorn'"),
    ],
)
def test_what_is_no_gradient_flow_is_refused(arguments, said):
    with pytest.raises(mf.BadInput, match=said):
        mf.gradient_attention(**arguments)

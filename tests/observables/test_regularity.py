from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import measureflow as mf
from measureflow import theory
from measureflow.observables import jacobian, lipschitz, stretch

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(5, 2))
MASSES = np.arange(1.0, 6.0) / 15
EQUAL = mf.Tokens(mf.Euclidean(2), POINTS)
QUERY, VALUE = RNG.normal(size=(2, 2, 2))
FIELD = mf.SelfAttention(1.3, query=QUERY, value=VALUE)
#: the Jacobian by NumPy alone
MATRIX = theory.jacobian_of_attention(POINTS, form=1.3 * QUERY, value=VALUE)


def by_svd(tokens: mf.Tokens, field: mf.Field) -> float:
    """The same from the whole matrix, in the norm weighted by the masses."""
    root = np.sqrt(np.repeat(np.asarray(tokens.weights), np.asarray(tokens.space.frame(tokens.points)).shape[2]))
    return float(np.linalg.norm(root[:, None] * np.asarray(jacobian(tokens, field=field)) / root, 2))


def test_constant_is_the_largest_singular_value_of_the_jacobian():
    found = stretch(EQUAL, FIELD)
    assert float(found.constant) == pytest.approx(np.linalg.norm(MATRIX, 2), rel=1e-10)
    assert float(found.residual) < 1e-8
    direction = np.asarray(found.direction)
    pushed = np.asarray(mf.observe.jacobian_product(EQUAL, found.direction, field=FIELD))
    assert np.linalg.norm(pushed) / np.linalg.norm(direction) == pytest.approx(float(found.constant), rel=1e-9)


def test_masses_weigh_the_norm():
    heavy = mf.Tokens(mf.Euclidean(2), POINTS, MASSES)
    assert float(lipschitz(heavy, FIELD)) == pytest.approx(by_svd(heavy, FIELD), rel=1e-9)
    plain = np.linalg.norm(np.asarray(jacobian(heavy, field=FIELD)), 2)
    assert abs(plain - by_svd(heavy, FIELD)) > 1e-3


def test_a_token_split_in_two_can_only_be_stretched_more():
    split = mf.Tokens(mf.Euclidean(2), np.concatenate([POINTS, POINTS[:1]]), np.array([0.1, 0.2, 0.2, 0.2, 0.2, 0.1]))
    assert float(lipschitz(split, FIELD)) >= np.linalg.norm(MATRIX, 2) - 1e-9


def test_tokens_without_mass_or_absent_do_not_count():
    wide = np.concatenate([POINTS, [[40.0, 0.0]]])
    want = np.linalg.norm(MATRIX, 2)
    light = mf.Tokens(mf.Euclidean(2), wide, np.append(np.full(5, 0.2), 0.0))
    absent = mf.Tokens(mf.Euclidean(2), wide, present=np.arange(6) < 5)
    assert float(lipschitz(light, FIELD)) == pytest.approx(want, rel=1e-9)
    assert float(lipschitz(absent, FIELD)) == pytest.approx(want, rel=1e-9)


def test_on_the_sphere_directions_are_tangent():
    tokens = mf.uniform(mf.Sphere(3), n=5, seed=0)
    found = stretch(tokens, mf.SelfAttention(2.0))
    assert float(found.constant) == pytest.approx(by_svd(tokens, mf.SelfAttention(2.0)), rel=1e-9)
    assert np.abs((np.asarray(found.direction) * np.asarray(tokens.points)).sum(1)).max() < 1e-12


def test_along_a_path_there_is_one_constant_for_each_state_of_the_field_there():
    field = mf.fields.Interpolated([mf.SelfAttention(1.0), mf.SelfAttention(3.0)], [0.0, 1.0])
    path = mf.layers(EQUAL, field, depth=2, step=0.5)
    found = np.asarray(lipschitz(path))
    for k, share in enumerate((0.0, 0.5, 1.0)):
        one, three = (theory.jacobian_of_attention(path.points[k], form=beta * np.eye(2)) for beta in (1.0, 3.0))
        assert found[k] == pytest.approx(np.linalg.norm((1 - share) * one + share * three, 2), rel=1e-7)


def test_layer_of_step_h_is_the_identity_and_h_times_the_field():
    found = float(lipschitz(EQUAL, FIELD, step=0.3))
    assert found == pytest.approx(np.linalg.norm(np.eye(10) + 0.3 * MATRIX, 2), rel=1e-9)


def test_token_norm_is_a_sum_of_rows_on_the_line_and_at_most_one_elsewhere():
    line = mf.Tokens(mf.Euclidean(1), POINTS[:, :1])
    rows = np.abs(theory.jacobian_of_attention(POINTS[:, :1], form=[[1.0]])).sum(axis=1).max()
    assert float(lipschitz(line, mf.SelfAttention(1.0), norm="token")) == pytest.approx(rows, rel=1e-10)
    upper = np.linalg.norm(MATRIX.reshape(5, 2, 5, 2), 2, axis=(1, 3)).sum(axis=1).max()
    found = float(lipschitz(EQUAL, FIELD, norm="token"))
    assert 0.8 * upper < found <= upper + 1e-12


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: lipschitz(EQUAL), "give field="),
        (lambda: lipschitz(EQUAL, FIELD, norm="max"), "norm is 'max'"),
        (lambda: lipschitz(mf.uniform(mf.Sphere(3), 3, seed=0), mf.SelfAttention(1.0), step=0.1), "Euclidean"),
        (lambda: lipschitz(EQUAL, mf.Schedule([FIELD, FIELD], [0.0, 1.0])), "changes with depth"),
        (lambda: lipschitz(POINTS, FIELD), "no measure"),
    ],
)
def test_constants_of_nothing_are_refused(call, words):
    with pytest.raises(mf.BadInput, match=words):
        call()


@pytest.mark.slow
def test_layers_of_a_real_checkpoint_stay_below_their_local_bound():
    try:
        model = mf.load("all-minilm-l6-v2")
    except mf.BadInput as absent:
        pytest.skip(f"no model on this machine: {absent}")
    path = mf.trace(model, "A transformer moves a measure.", record=())
    field: Any = model.fields[0]
    exact = float(lipschitz(path[0], field.bare, rtol=1e-4))
    points = np.asarray(path.points[0], float)
    bound = sum(theory.local_lipschitz_of_attention(points, **head._asdict()) for head in field.forms)
    assert 0.1 < exact < bound

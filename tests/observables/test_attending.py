"""Who attends to whom along a path; ranks, leaders, levels, and the free tokens behind rescaled ones."""

from __future__ import annotations

import numpy as np
import pytest

import measureflow as mf
from measureflow.observables import attention, eigenfunctionals, leaders, levels, numerical_rank, unscaled

VALUE = np.array([[0.9, 0.3], [-0.2, 0.5]])


@pytest.fixture(scope="module")
def path() -> mf.Path:
    start = mf.Tokens(mf.Euclidean(2), np.random.default_rng(1).uniform(-1, 1, (6, 2)))
    return mf.flow(start, mf.RescaledAttention(value=VALUE), until=2.0, save=[0.0, 1.0, 2.0])


def test_attention_is_taken_at_each_depth(path):
    found = attention(path)
    for k, t in enumerate((0.0, 1.0, 2.0)):
        np.testing.assert_allclose(found[k], path.field.at(t).weights(path.points[k], path[k]), atol=1e-14)
    np.testing.assert_allclose(found.sum(axis=-1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(attention(path[0], path.field), found[0], atol=1e-14)


def test_free_tokens_come_back(path):
    free = mf.flow(path[0], mf.SelfAttention(1.0, value=VALUE), until=2.0, save=[0.0, 1.0, 2.0])
    logs, directions = unscaled(path)
    np.testing.assert_allclose(np.exp(logs)[..., None] * directions, free.points, atol=1e-6)


def test_rank_counts_what_is_above_the_threshold():
    matrices = np.stack([np.diag([1.0, 1e-3, 1e-9]), np.ones((3, 3))])
    assert numerical_rank(matrices).tolist() == [2, 1]
    assert numerical_rank(matrices[0], within=1e-2).tolist() == 1


def test_leaders_look_at_themselves_alone():
    mu = mf.Tokens(mf.Euclidean(2), [[2.0, 0.0], [-1.0, 1.0], [0.5, 0.2], [-1.0, 1.0]])
    hard = mf.RescaledAttention(weighting="hardmax")
    assert leaders(mu, hard).tolist() == [True, False, False, False]  # two at one place share
    assert leaders(mu, mf.SelfAttention(weighting="hardmax")).tolist() == [True, False, False, False]


def test_eigenfunctionals_are_left_eigenvectors_in_order():
    roots, rows = eigenfunctionals(VALUE)
    np.testing.assert_allclose(rows @ VALUE, roots[:, None] * rows, atol=1e-14)
    assert abs(roots[0]) >= abs(roots[1])
    turn, _ = eigenfunctionals([[0.0, -1.0], [1.0, 0.0]])
    assert np.iscomplexobj(turn)


def test_levels_split_at_gaps():
    assert levels([3.0, 1.0, 1.05, 2.0], within=0.1) == [1.025, 2.0, 3.0]
    assert levels([], within=0.1) == []


def test_what_does_not_fit_is_refused(path):
    for make, says in (
        (lambda: attention(path[0], mf.Perceptron(np.eye(2), np.eye(2))), "Perceptron has no weights"),
        (lambda: attention(path[0]), "attention depends on a field"),
        (lambda: unscaled(mf.layers(path[0], mf.SelfAttention(1.0), depth=1, step=0.1)), "only that of mf.Rescaled"),
        (lambda: eigenfunctionals(np.ones((2, 3))), r"the matrix has shape \(2, 3\); give a square one"),
    ):
        with pytest.raises(mf.BadInput, match=says):
            make()

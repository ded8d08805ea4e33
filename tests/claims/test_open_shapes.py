"""Limits of rescaled tokens are counted as clusters of their places, and several heads are the mean of each."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.p2305_05465 import open_shapes
from measureflow.claims.p2305_05465.open_shapes import RESOLUTION, Heads, distinct, limit_shapes_of_rescaled_tokens


def test_a_chain_of_three_places_is_one_limit():
    chain = 0.9 * RESOLUTION * np.arange(3)[:, None]
    assert distinct(chain) == 1
    assert distinct(np.append(chain, [[1.0]], axis=0)) == 2
    assert distinct(1.1 * RESOLUTION * np.arange(3)[:, None]) == 3


def test_runs_that_break_off_are_counted_and_left_out(monkeypatch):
    monkeypatch.setattr(open_shapes, "stepped", lambda *_: {"limits": 1, "moving": 0.0})
    runs = iter([None, {"limits": 2, "moving": 0.5}, None] * 7)
    monkeypatch.setattr(open_shapes, "followed", lambda *_: next(runs))
    found = limit_shapes_of_rescaled_tokens.study(Case("broken", {}))
    assert found["two: limits"] == [2]
    assert found["two: moving"] == [0.5]
    assert found["two: broken off"] == 2


def test_heads_swing_and_are_averaged():
    rng = np.random.default_rng(0)
    value, forms, swing = np.diag([1.0, 0.5, -0.5]), rng.normal(size=(2, 3, 3)), rng.normal(size=(2, 3, 3))
    tokens = mf.Tokens(mf.Euclidean(3), rng.normal(size=(6, 3)))
    heads = [mf.RescaledAttention(value=value, query=form.T, bounded=True) for form in forms]
    field = Heads(tuple(heads), tuple(map(jnp.asarray, forms)), tuple(map(jnp.asarray, swing)))
    t = 0.7
    each = [
        mf.RescaledAttention(value=value, query=(form + np.sin(t) * S).T, bounded=True, depth=t).output(
            tokens.points, tokens
        )
        for form, S in zip(forms, swing, strict=True)
    ]
    assert np.allclose(field.at(t).output(tokens.points, tokens), (each[0] + each[1]) / 2, atol=1e-14)

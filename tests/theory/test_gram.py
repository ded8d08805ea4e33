"""The Gram closure and the span: against tokens moved one by one, in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from measureflow import BadInput, theory


def cloud(n: int, d: int, seed: int) -> np.ndarray:
    points = np.random.default_rng(seed).normal(size=(n, d))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def velocity(points: np.ndarray, beta: float, masses: np.ndarray, model: str) -> np.ndarray:
    """The definition, token by token, with plain loops."""
    out = np.zeros_like(points)
    for i, x in enumerate(points):
        weights = np.array([a * np.exp(beta * (x @ y)) for a, y in zip(masses, points, strict=True)])
        if model == "softmax":
            weights = weights / weights.sum()
        total = sum(w * y for w, y in zip(weights, points, strict=True))
        out[i] = total - (x @ total) * x
    return out


@pytest.mark.parametrize("model", ["softmax", "unnormalised"])
@pytest.mark.parametrize("masses", [None, [0.1, 0.2, 0.05, 0.4, 0.25]])
def test_gram_velocity_is_that_of_the_tokens(model, masses):
    points, beta = cloud(5, 4, 1), 1.8
    v = velocity(points, beta, np.full(5, 0.2) if masses is None else np.array(masses), model)
    moved = v @ points.T + points @ v.T
    predicted = theory.velocity_of_gram(points @ points.T, beta=beta, masses=masses, model=model)
    assert np.abs(predicted - moved).max() < 1e-14 * max(1.0, np.abs(moved).max())


def test_unit_diagonal_is_kept():
    points = cloud(6, 3, 2)
    assert np.abs(np.diag(theory.velocity_of_gram(points @ points.T, beta=5.0))).max() < 1e-15


@pytest.mark.parametrize("shape", [(4, 9), (9, 4)])
def test_span_coordinates_keep_all_inner_products(shape):
    points = cloud(*shape, 3)
    short = theory.span_coordinates(points)
    assert short.shape == (shape[0], min(shape))
    assert np.abs(short @ short.T - points @ points.T).max() < 1e-14


def test_shapes_are_checked():
    with pytest.raises(BadInput, match=r"\(2, 3\)"):
        theory.velocity_of_gram(np.zeros((2, 3)), beta=1.0)
    with pytest.raises(BadInput, match=r"\(3,\)"):
        theory.span_coordinates(np.zeros(3))

"""What the claims on regularity share: tokens of the ball, and norms of many small Jacobians."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from measureflow import theory

__all__ = ["balls", "in_ball", "sized", "stretches"]


def balls(rng: np.random.Generator, count: int, n: int, d: int) -> Float[np.ndarray, "k n d"]:
    """Return clouds of uniform tokens of the unit ball."""
    points = rng.normal(size=(count, n, d))
    points /= np.linalg.norm(points, axis=-1, keepdims=True)
    return points * rng.uniform(size=(count, n, 1)) ** (1.0 / d)


def in_ball(points: np.ndarray) -> np.ndarray:
    """Return the points, those outside of the unit ball moved to its sphere."""
    return points / np.maximum(np.linalg.norm(points, axis=-1, keepdims=True), 1.0)


def sized(rng: np.random.Generator, d: int, norm: float) -> Float[np.ndarray, "d d"]:
    """Return a random matrix of a given spectral norm, as likely of one sign as of no symmetry at all."""
    matrix = rng.normal(size=(d, d))
    matrix = matrix if rng.uniform() < 0.5 else rng.choice([-1.0, 1.0]) * matrix @ matrix.T
    return norm * matrix / np.linalg.norm(matrix, 2)


def stretches(points: np.ndarray, form: np.ndarray, causal: bool = False) -> Float[np.ndarray, "k"]:
    """Return the exact Lipschitz constants of attention with V = I at many clouds."""
    return np.linalg.norm(theory.jacobian_of_attention(points, form=form, causal=causal), 2, axis=(-2, -1))

"""What the claims on regularity share: tokens of the ball, norms of many small Jacobians, and a climb to the worst."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from measureflow import theory

__all__ = ["balls", "climbed", "in_ball", "sized", "stretches"]


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


def climbed(
    size: Callable[[np.ndarray], np.ndarray],
    points: np.ndarray,
    rng: np.random.Generator,
    steps: int,
    back: Callable[[np.ndarray], np.ndarray] = in_ball,
) -> np.ndarray:
    """Return clouds at which `size` is large: random moves of each that raise it, longer where they succeed."""
    best, reach = size(points), np.full(len(points), 0.5)
    for _ in range(steps):
        moved = back(points + reach[:, None, None] * rng.normal(size=points.shape))
        new = size(moved)
        better = new > best
        points, best = np.where(better[:, None, None], moved, points), np.where(better, new, best)
        reach = np.where(better, 1.5 * reach, 0.87 * reach)  # one success in about four keeps the reach
    return points

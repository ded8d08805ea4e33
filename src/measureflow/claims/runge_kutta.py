"""The classical step of order 4 in NumPy: a second way to follow tokens, independent of the library's flows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["classical_step"]


def classical_step(velocity: Callable[[np.ndarray], np.ndarray], x: np.ndarray, h: float) -> np.ndarray:
    """Return where a step of size h takes x."""
    one = velocity(x)
    two = velocity(x + h / 2 * one)
    three = velocity(x + h / 2 * two)
    return x + h / 6 * (one + 2 * two + 2 * three + velocity(x + h * three))

"""What a prediction accepts: the checks of its arguments, each error naming the value and the cure."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from measureflow.errors import BadInput

__all__ = ["as_beta", "as_count", "as_dimension", "as_masses", "as_model", "as_times", "in_interval"]

MODELS = ("softmax", "unnormalised")


def as_times(times: Any) -> Float[np.ndarray, "s"]:
    """Return times as a float array; they must be finite and not negative."""
    times = np.asarray(times, float)
    if not np.isfinite(times).all() or (times < 0).any():
        wrong = times[~(np.isfinite(times) & (times >= 0))].flat[0]
        raise BadInput(f"theory: a time is {wrong}; times must be finite and >= 0.")
    return times


def as_beta(beta: Any) -> float:
    """Return an inverse temperature; it must be finite and not negative."""
    beta = float(beta)
    if not (math.isfinite(beta) and beta >= 0):
        raise BadInput(f"theory: beta is {beta}; it is an inverse temperature and must be finite and >= 0.")
    return beta


def as_count(name: str, value: Any, least: int = 1) -> int:
    """Return a whole number that is at least `least`."""
    if int(value) != value or value < least:
        raise BadInput(f"theory: {name} is {value}; give a whole number, at least {least}.")
    return int(value)


def as_dimension(d: Any) -> int:
    """Return the dimension of the space around a sphere."""
    if int(d) != d or d < 2:
        raise BadInput(f"theory: d is {d}; the sphere of R^d needs d >= 2.")
    return int(d)


def as_model(model: str, models: tuple[str, ...] = MODELS) -> str:
    """Return the name of a model if it is one of `models`."""
    if model not in models:
        raise BadInput(f"theory: model is {model!r}; it is one of {', '.join(map(repr, models))}.")
    return model


def as_masses(masses: Any, n: int | None = None) -> Float[np.ndarray, "n"]:
    """Return masses; they must be positive and sum to 1."""
    masses = np.asarray(masses, float)
    if masses.ndim != 1 or not np.isfinite(masses).all() or (masses <= 0).any() or abs(masses.sum() - 1) > 1e-9:
        raise BadInput(f"theory: masses are {masses.tolist()}; they must be positive and sum to 1.")
    if n is not None and masses.size != n:
        raise BadInput(f"theory: {masses.size} masses for {n} tokens; give one each.")
    return masses


def in_interval(name: str, value: Any, low: float, high: float, *, closed: bool = False) -> float:
    """Return a number in `(low, high]` (`closed`) or `(low, high)`."""
    value = float(value)
    if not (low < value < high or (closed and value == high)):
        raise BadInput(f"theory: {name} is {value}; it must lie in ({low:.6g}, {high:.6g}{']' if closed else ')'}.")
    return value

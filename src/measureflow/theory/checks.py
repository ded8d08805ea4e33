"""What a prediction accepts: the checks of its arguments, each error naming the value and the cure."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from measureflow.errors import BadInput

__all__ = [
    "as_beta",
    "as_count",
    "as_dimension",
    "as_finite",
    "as_masses",
    "as_matrix",
    "as_model",
    "as_number",
    "as_numbers",
    "as_times",
    "in_interval",
]

MODELS = ("softmax", "unnormalised")


def as_number(name: str, value: Any) -> float:
    """Return a number as a float; which numbers will do is for the caller to say."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise BadInput(f"theory: {name} is {value!r}; give a number.") from None


def as_finite(name: str, value: Any, least: float = -math.inf) -> float:
    """Return a finite number that is at least `least`."""
    number = as_number(name, value)
    if not (math.isfinite(number) and number >= least):
        bound = "" if math.isinf(least) else f" and >= {least:g}"
        raise BadInput(f"theory: {name} is {value}; it must be finite{bound}.")
    return number


def as_numbers(name: str, values: Any) -> Float[np.ndarray, "..."]:
    """Return an array of finite numbers."""
    try:
        numbers = np.asarray(values, float)
    except (TypeError, ValueError, OverflowError):
        raise BadInput(f"theory: {name} is no array of numbers; give numbers, in rows of one length.") from None
    if not np.isfinite(numbers).all():
        raise BadInput(f"theory: {name} has the entry {numbers[~np.isfinite(numbers)].flat[0]}; all must be finite.")
    return numbers


def as_matrix(
    name: str, values: Any, *, rows: int | None = None, columns: int | None = None, square: bool = False
) -> Float[np.ndarray, "m k"]:
    """Return a matrix of finite numbers, of a size where one is asked for."""
    matrix = as_numbers(name, values)
    sizes = matrix.shape
    if len(sizes) != 2 or not matrix.size or (square and sizes[0] != sizes[1]):
        raise BadInput(f"theory: {name} has shape {sizes}; it must be a {'square ' if square else ''}matrix.")
    if rows not in (None, sizes[0]) or columns not in (None, sizes[1]):
        raise BadInput(f"theory: {name} has shape {sizes}; it must be ({rows or 'm'}, {columns or 'k'}).")
    return matrix


def as_times(times: Any) -> Float[np.ndarray, "s"]:
    """Return times as a float array; they must be finite and not negative."""
    try:
        times = np.asarray(times, float)
    except (TypeError, ValueError, OverflowError):
        raise BadInput(f"theory: times are {times!r}; give numbers.") from None
    if not np.isfinite(times).all() or (times < 0).any():
        wrong = times[~(np.isfinite(times) & (times >= 0))].flat[0]
        raise BadInput(f"theory: a time is {wrong}; times must be finite and >= 0.")
    return times


def as_beta(beta: Any) -> float:
    """Return an inverse temperature; it must be finite and not negative."""
    beta = as_number("beta", beta)
    if not (math.isfinite(beta) and beta >= 0):
        raise BadInput(f"theory: beta is {beta}; it is an inverse temperature and must be finite and >= 0.")
    return beta


def as_count(name: str, value: Any, least: int = 1) -> int:
    """Return a whole number that is at least `least`."""
    number = as_number(name, value)
    if not (math.isfinite(number) and number == math.floor(number) and number >= least):
        raise BadInput(f"theory: {name} is {value}; give a whole number, at least {least}.")
    return int(value)


def as_dimension(d: Any) -> int:
    """Return the dimension of the space around a sphere."""
    number = as_number("d", d)
    if not (math.isfinite(number) and number == math.floor(number) and number >= 2):
        raise BadInput(f"theory: d is {d}; the sphere of R^d needs a whole number d >= 2.")
    return int(d)


def as_model(model: str, models: tuple[str, ...] = MODELS) -> str:
    """Return the name of a model if it is one of `models`."""
    if model not in models:
        raise BadInput(f"theory: model is {model!r}; it is one of {', '.join(map(repr, models))}.")
    return model


def as_masses(masses: Any, n: int | None = None) -> Float[np.ndarray, "n"]:
    """Return masses; they must be positive and sum to 1."""
    masses = as_numbers("masses", masses)
    if masses.ndim != 1 or (masses <= 0).any() or abs(masses.sum() - 1) > 1e-9:
        raise BadInput(f"theory: masses are {masses.tolist()}; they must be positive and sum to 1.")
    if n is not None and masses.size != n:
        raise BadInput(f"theory: {masses.size} masses for {n} tokens; give one each.")
    return masses


def in_interval(name: str, value: Any, low: float, high: float, *, closed: bool = False) -> float:
    """Return a number in `(low, high]` (`closed`) or `(low, high)`."""
    value = as_number(name, value)
    if not (low < value < high or (closed and value == high)):
        raise BadInput(f"theory: {name} is {value}; it must lie in ({low:.6g}, {high:.6g}{']' if closed else ')'}.")
    return value

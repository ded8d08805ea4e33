"""Matrices of a field: a `(k, d)` matrix, a number for a multiple of the identity, or `None` for the identity."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from measureflow.errors import BadInput
from measureflow.spaces import is_traced

__all__ = ["Matrix", "apply", "as_matrix", "as_numbers", "check_finite", "full", "is_scalar", "product"]

#: a (k, d) matrix, a number for a multiple of the identity, or None for the identity
Matrix = Array | None


def as_numbers(values: Any, name: str, wanted: str) -> Array:
    """Return an array of real numbers, or raise `BadInput`."""
    try:
        seen = is_traced(values) or isinstance(values, jax.Array)
        array = jnp.asarray(values) if seen else np.asarray(values)
        if not (jnp.issubdtype(array.dtype, jnp.integer) or jnp.issubdtype(array.dtype, jnp.floating)):
            raise TypeError
    except (TypeError, ValueError):
        raise BadInput(f"{name} is {values!r}; it must be {wanted}.") from None
    return jnp.asarray(array, float)


def as_matrix(matrix: Any, name: str) -> Matrix:
    """Return a matrix or a number as an array; `None` stays `None` (the identity)."""
    if matrix is None:
        return None
    array = as_numbers(matrix, name, "None, a number or a matrix")
    if array.ndim not in (0, 2):
        raise BadInput(f"{name} has shape {array.shape}; it must be a number (multiple of the identity) or a matrix.")
    check_finite(array, name)
    return array


def check_finite(array: Array, name: str) -> None:
    """Raise `BadInput` where an entry can be seen to be NaN or infinite."""
    if is_traced(array) or np.isfinite(np.asarray(array)).all():
        return
    if array.ndim == 0:
        raise BadInput(f"{name} is {float(array)}; it must be finite.")
    where = tuple(int(i) for i in np.argwhere(~np.isfinite(np.asarray(array)))[0])
    raise BadInput(f"{name}[{', '.join(map(str, where))}] is {float(array[where])}; every entry must be finite.")


def apply(matrix: Matrix, x: Array) -> Array:
    """Return `x` under the matrix: rows of `x` are points; a number scales, `None` leaves."""
    if matrix is None:
        return x
    return matrix.astype(x.dtype) * x if matrix.ndim == 0 else x @ matrix.astype(x.dtype).T


def full(matrix: Matrix, d: int) -> Array:
    """Return the matrix with all its entries, where a number or `None` stands for a multiple of the identity."""
    if matrix is None or matrix.ndim == 0:
        return jnp.eye(d) * (1.0 if matrix is None else matrix)
    return matrix


def is_scalar(matrix: Matrix) -> bool:
    """Tell whether the matrix is a multiple of the identity by its kind (not by its entries)."""
    return matrix is None or matrix.ndim == 0


def product(a: Any, b: Any) -> Any:
    """Return the product of two matrices or numbers."""
    return a * b if np.ndim(a) == 0 or np.ndim(b) == 0 else a @ b

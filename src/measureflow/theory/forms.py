"""Symmetric forms: what the predictions about the energy of a form accept, and its eigenvalues with their axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from measureflow.errors import BadInput
from measureflow.theory.checks import as_numbers

__all__ = ["as_form", "as_positive_form", "principal_axes"]

#: what counts as rounding beside the largest entry or eigenvalue
ROUNDING = 1e-12


def as_form(form: Any) -> Float[np.ndarray, "d d"]:
    """Return a symmetric form; it must be a square matrix of finite numbers that equals its transpose."""
    matrix = as_numbers("form", form)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
        raise BadInput(f"theory: the form has shape {matrix.shape}; give a (d, d) matrix with d >= 2.")
    if not np.isfinite(matrix).all():
        raise BadInput(f"theory: the form has an entry {matrix[~np.isfinite(matrix)][0]}; all must be finite.")
    skew = float(np.abs(matrix - matrix.T).max())
    if skew > ROUNDING * max(1.0, float(np.abs(matrix).max())):
        raise BadInput(
            f"theory: the form is not symmetric (D - D^T has an entry {skew:.3g}), so it has no energy; take its "
            f"symmetric part (form + form.T) / 2."
        )
    return 0.5 * (matrix + matrix.T)


def principal_axes(form: Float[np.ndarray, "d d"]) -> tuple[Float[np.ndarray, "d"], Float[np.ndarray, "d d"]]:
    """Return eigenvalues in rising order, those within rounding of 0 as 0, and eigenvectors as columns."""
    eigenvalues, axes = np.linalg.eigh(form)
    small = np.abs(eigenvalues) <= ROUNDING * np.abs(eigenvalues).max()
    return np.where(small, 0.0, eigenvalues), axes


def as_positive_form(form: Any) -> tuple[Float[np.ndarray, "d"], Float[np.ndarray, "d d"]]:
    """Return the eigenvalues and axes of a positive definite form."""
    eigenvalues, axes = principal_axes(as_form(form))
    if eigenvalues[0] <= 0:
        raise BadInput(
            f"theory: the form has the eigenvalue {eigenvalues[0]:.6g}; a minimiser of full support needs all of them "
            f"> 0. extremal_energy covers every symmetric form."
        )
    return eigenvalues, axes

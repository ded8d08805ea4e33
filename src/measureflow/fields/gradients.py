"""Attention that is a gradient flow: a symmetric form for the logits, and plus or minus that form for the values."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from measureflow.errors import BadInput
from measureflow.fields.attention import SelfAttention
from measureflow.fields.matrices import as_numbers, check_finite
from measureflow.fields.weightings import Softmax, Unnormalised, Weighting
from measureflow.spaces import is_traced

__all__ = ["gradient_attention"]


def gradient_attention(form: Any, *, sign: int = 1, weighting: str | Weighting = "softmax") -> SelfAttention:
    r"""Return attention with a symmetric form D and values V = ±D: on the sphere, a gradient flow of one energy.

    $$ v(x; \mu) = \pm P_x \frac{\int D y\, e^{\langle x, D y\rangle}\, d\mu(y)}
                             {\int e^{\langle x, D y\rangle}\, d\mu(y)} = \pm\nabla\log Z_\mu(x), \qquad
       E(\mu) = \tfrac12\int\!\!\int e^{\langle x, D y\rangle}\, d\mu\, d\mu $$

    With softmax weights the metric has the mobility $\mu/Z_\mu$; `"unnormalised"` leaves the denominator out and is the
    gradient flow of the same energy for the plain Wasserstein metric, with the same states of rest. The temperature is
    inside the form. It is `mf.SelfAttention(beta=1.0, query=D, value=±D)`.

    Main arguments:
        form: `(d, d)`, symmetric.
        sign: 1 ascends (tokens attract one another along D), -1 descends.

    Other arguments:
        weighting: `"softmax"` or `"unnormalised"`.

    Raises:
        BadInput: a form that is not square, finite and symmetric; a sign that is neither 1 nor -1; another weighting.

    Source: [arXiv:2501.03096](https://arxiv.org/abs/2501.03096).

    Example:
        >>> import measureflow as mf
        >>> field = mf.gradient_attention([[1.0, 0.0], [0.0, -2.0]], sign=-1)
        >>> path = mf.flow(mf.uniform(mf.Sphere(2), n=12, seed=0), field, until=40.0, save=5)
        >>> abs(path.points[-1, :, 1]).round(6).min().item()  # all at one eigenvector of the smallest eigenvalue
        1.0
    """
    matrix = as_numbers(form, "form", "a symmetric matrix")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise BadInput(f"form has shape {matrix.shape}; it must be a square matrix.")
    check_finite(matrix, "form")
    if not is_traced(matrix):
        check_symmetric(np.asarray(matrix))
    if sign not in (1, -1):
        raise BadInput(f"sign is {sign!r}; it must be 1 (the energy rises) or -1 (it falls).")
    field = SelfAttention(1.0, query=matrix, value=jnp.asarray(float(sign)) * matrix, weighting=weighting)
    if not isinstance(field.kernel.weighting, (Softmax, Unnormalised)):  # Sinkhorn's is the flow of another energy
        raise BadInput(f"weighting is {weighting!r}; a gradient flow is known for 'softmax' and 'unnormalised'.")
    return field


def check_symmetric(form: np.ndarray) -> None:
    """Raise `BadInput` where a form is not symmetric to rounding."""
    gap = np.abs(form - form.T)
    if gap.max(initial=0.0) > 1e-12 * np.abs(form).max(initial=0.0):
        i, j = (int(k) for k in np.unravel_index(gap.argmax(), gap.shape))
        raise BadInput(
            f"form[{i}, {j}] is {form[i, j]:g} and form[{j}, {i}] is {form[j, i]:g}; a gradient flow needs a symmetric "
            f"form. Take (form + form.T) / 2, or mf.SelfAttention(beta=1.0, query=form.T, value=...), without energy."
        )

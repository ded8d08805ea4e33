"""The spectra of trained heads: which directions a head's values grow, and whether its query-key form is definite."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Complex, Float

from measureflow.errors import BadInput
from measureflow.theory.checks import as_numbers

__all__ = ["HeadSpectra", "spectra_of_heads"]


class HeadSpectra(NamedTuple):
    """Eigenvalues of `V_h`, those that are not zero by construction, and all eigenvalues of the form `B_h`, by head."""

    value: Complex[np.ndarray, "h k"]
    form: Float[np.ndarray, "h d"]


def spectra_of_heads(query: Any, key: Any, value: Any, output: Any, heads: int) -> HeadSpectra:
    r"""Return the spectra of $V_h = W_O^h W_V^h$ and $B_h = \frac{1}{2\sqrt k}(W_Q^{hT} W_K^h + W_K^{hT} W_Q^h)$.

    With these V and $Q^TK$ a head is one of the models of the theorems: a real, simple, largest eigenvalue of $V_h$
    that is positive makes tokens gather on at most three hyperplanes. Columns of tokens are multiplied from the left,
    as a linear layer of a checkpoint stores its weight; rows of query, key and value belong to heads of width
    `k = rows / heads`, and so do the columns of output.

    Source: figures on ALBERT of [arXiv:2305.05465](https://arxiv.org/abs/2305.05465).

    Example:
        >>> import numpy as np
        >>> from measureflow import theory
        >>> found = theory.spectra_of_heads(np.eye(4), np.eye(4), 2 * np.eye(4), np.eye(4), heads=2)
        >>> found.value.real.tolist(), found.form.round(3).tolist()
        ([[2.0, 2.0], [2.0, 2.0]], [[0.0, 0.0, 0.707, 0.707], [0.0, 0.0, 0.707, 0.707]])
    """
    named = {"query": query, "key": key, "value": value, "output": output}
    query, key, value, output = (as_numbers(name, matrix) for name, matrix in named.items())
    rows, d = query.shape if query.ndim == 2 else (0, 0)
    if rows < 1 or key.shape != (rows, d) or value.shape != (rows, d) or output.shape != (d, rows):
        shapes = ", ".join(f"{name} {np.shape(matrix)}" for name, matrix in named.items())
        raise BadInput(f"theory: {shapes}; query, key and value are (rows, d), and output is (d, rows).")
    if isinstance(heads, bool) or not isinstance(heads, int) or heads < 1 or rows % heads:
        raise BadInput(f"theory: heads is {heads!r}; {rows} rows are shared by a number of heads that divides them.")
    width = rows // heads
    values, forms = [], []
    for h in range(heads):
        own = slice(h * width, (h + 1) * width)
        # of V_h only so many eigenvalues are not 0: those of the product the other way round
        values.append(np.linalg.eigvals(value[own] @ output[:, own]).astype(complex))
        form = query[own].T @ key[own] / np.sqrt(width)
        forms.append(np.linalg.eigvalsh(0.5 * (form + form.T)))
    return HeadSpectra(np.stack(values), np.stack(forms))

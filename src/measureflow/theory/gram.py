r"""The Gram matrix closes: with Q = K = V = I the overlaps move by themselves, and tokens stay in their
first span."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from measureflow.errors import BadInput
from measureflow.theory.checks import as_beta, as_masses, as_model, as_numbers

__all__ = ["span_coordinates", "velocity_of_gram"]


def velocity_of_gram(gram: Any, *, beta: float, masses: Any = None, model: str = "softmax") -> Float[np.ndarray, "n n"]:
    r"""Return the time derivative of the Gram matrix $G_{ij} = \langle x_i, x_j\rangle$ of tokens on a
    sphere.

    $$ \dot G = AG + (AG)^T - (q1^T + 1q^T)\circ G, \qquad q_i = \sum_k A_{ik}G_{ik} $$

    with $A_{ij} = a_je^{\beta G_{ij}}/\sum_k a_ke^{\beta G_{ik}}$ (SA) or $A_{ij} = a_je^{\beta G_{ij}}$
    (USA), for Q = K = V = I. `masses` default to equal ones. Derived from
    [arXiv:2312.10794](https://arxiv.org/abs/2312.10794), (2.2) and (2.5); exact to rounding, at a cost that
    does not depend on the dimension. USA overflows where $e^\beta$ does.

    Raises:
        BadInput: a matrix that is not square, beta < 0, masses that do not sum to 1.

    Example:
        >>> import numpy as np
        >>> from measureflow import theory
        >>> theory.velocity_of_gram([[1.0, 0.0], [0.0, 1.0]], beta=0.0).tolist()  # n = 2: 1 - u^2
        [[0.0, 1.0], [1.0, 0.0]]
    """
    gram, beta = as_numbers("gram", gram), as_beta(beta)
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1]:
        raise BadInput(f"theory: the Gram matrix has shape {gram.shape}; it must be (n, n).")
    n = len(gram)
    masses = np.full(n, 1.0 / n) if masses is None else as_masses(masses, n)
    if as_model(model) == "softmax":
        attention = masses * np.exp(beta * (gram - gram.max(axis=1, keepdims=True)))
        attention /= attention.sum(axis=1, keepdims=True)
    else:
        attention = masses * np.exp(beta * gram)
    pulled = attention @ gram
    loss = (attention * gram).sum(axis=1)
    return pulled + pulled.T - (loss[:, None] + loss[None, :]) * gram


def span_coordinates(points: Any) -> Float[np.ndarray, "n r"]:
    r"""Return coordinates of the tokens in their own span: `r = min(n, d)` numbers each, with the same Gram
    matrix.

    With $X^T = QR$ the rows of $R^T$ have the inner products of the rows of $X$; since the tokens never
    leave the span of the first ones (Q = K = V = I), the flow in these coordinates is the flow itself.
    Derived from [arXiv:2312.10794](https://arxiv.org/abs/2312.10794), (2.2); Gram matrices agree to
    rounding.

    Example:
        >>> import numpy as np
        >>> from measureflow import theory
        >>> points = np.random.default_rng(0).normal(size=(3, 50))
        >>> short = theory.span_coordinates(points)
        >>> short.shape, bool(np.allclose(short @ short.T, points @ points.T))
        ((3, 3), True)
    """
    points = as_numbers("points", points)
    if points.ndim != 2:
        raise BadInput(f"theory: points have shape {points.shape}; they must be (n, d).")
    return np.linalg.qr(points.T)[1].T

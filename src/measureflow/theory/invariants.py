r"""What the flow keeps, and what it only ever raises: cross-ratios at beta = 0, and the growth of the
energy."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float

from measureflow.errors import BadInput
from measureflow.theory.checks import as_beta, as_masses, as_matrix, as_model, as_numbers

__all__ = ["cross_ratios", "growth_of_energy"]


def cross_ratios(points: Any) -> Float[np.ndarray, "*b q"]:
    r"""Return the cross-ratios of all quadruples `i < j < k < l` of tokens, which the flow at `beta = 0`
    conserves.

    $$ \frac{(1-\rho_{ij})(1-\rho_{kl})}{(1-\rho_{ik})(1-\rho_{jl})} $$

    for tokens on a sphere of any dimension and any masses, under SA and USA with Q = K = V = I. Derived
    (the Möbius structure of Watanabe and Strogatz) for [arXiv:2312.10794](https://arxiv.org/abs/2312.10794)
    at $\beta=0$, section 4. `points` is `(..., n, d)`; $1-\rho$ is taken as $|x-y|^2/2$, so close tokens
    keep their digits.

    Raises:
        BadInput: fewer than 4 tokens.

    Example:
        >>> import numpy as np
        >>> from measureflow import theory
        >>> square = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
        >>> theory.cross_ratios(square).round(12).tolist()
        [0.25]
    """
    points = as_numbers("points", points)
    n = points.shape[-2] if points.ndim >= 2 else 0
    if n < 4:
        raise BadInput(f"theory: points have shape {points.shape}; a cross-ratio needs (..., n, d) with n >= 4 tokens.")
    difference = points[..., :, None, :] - points[..., None, :, :]
    gap = 0.5 * (difference**2).sum(axis=-1)
    i, j, k, l = np.array(list(combinations(range(n), 4))).T
    return gap[..., i, j] * gap[..., k, l] / (gap[..., i, k] * gap[..., j, l])


def growth_of_energy(
    points: Any, velocities: Any, *, beta: float, masses: Any = None, model: str = "softmax", form: Any = None
) -> float:
    r"""Return `dE/dt` of the energy of attention, from the speeds of the tokens.

    $$ E_\beta = \frac1{2\beta}\sum_{ij} a_ia_je^{\beta\langle x_i,Bx_j\rangle}, \qquad
       \frac{dE_\beta}{dt} = \sum_i a_i z_i |\dot x_i|^2 $$

    with $z_i = \sum_k a_k e^{\beta\langle x_i,Bx_k\rangle}$ under SA and $z_i = 1$ under USA,

    for $Q^TK = B$ symmetric and $V = B$ (`form`, default the identity); with $V = -B$ the sign changes.
    `points` and `velocities` are `(n, d)`. [arXiv:2312.10794](https://arxiv.org/abs/2312.10794), section 3
    (weighted tokens: derived); exact to rounding, infinite where $e^\beta$ overflows.

    Raises:
        BadInput: beta < 0, a form that is not symmetric, masses that do not sum to 1.

    Example:
        >>> from measureflow import theory
        >>> x, v = [[1.0, 0.0], [0.0, 1.0]], [[0.0, 0.5], [0.5, 0.0]]
        >>> theory.growth_of_energy(x, v, beta=0.0)
        0.25
    """
    points, beta = as_matrix("points", points), as_beta(beta)
    n, d = points.shape
    velocities = as_matrix("velocities", velocities, rows=n, columns=d)
    masses = np.full(n, 1.0 / n) if masses is None else as_masses(masses, n)
    form = np.eye(d) if form is None else as_matrix("form", form, rows=d, columns=d)
    if not np.allclose(form, form.T, rtol=0, atol=1e-12 * (1.0 + np.abs(form).max())):
        raise BadInput("theory: the form is not symmetric; only V = +-Q^T K symmetric has a dissipation identity.")
    speeds = masses * (velocities**2).sum(axis=1)
    if as_model(model) == "unnormalised":
        return float(speeds.sum())
    with np.errstate(over="ignore"):
        return float(speeds @ (np.exp(beta * points @ form @ points.T) @ masses))

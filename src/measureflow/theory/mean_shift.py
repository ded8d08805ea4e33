r"""Attention climbs a density: the velocity as a gradient of a logarithm, and its reading as mean shift."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from measureflow.theory.checks import as_beta, as_masses, as_matrix

__all__ = ["gradient_of_log_partition", "mean_shift_velocity"]


def mean_shift_velocity(points: Any, *, beta: float, masses: Any = None) -> Float[np.ndarray, "n d"]:
    r"""Return $\nabla\log p$ on the sphere at every token, for the Gaussian kernel density `p` of the tokens.

    $$ p(x) = \sum_j a_j e^{-\beta|x-x_j|^2/2}, \qquad \nabla\log p(x) = \beta\,P_x\,(m(x)-x), \quad
       m(x) = \frac{\sum_j a_j e^{-\beta|x-x_j|^2/2}\,x_j}{p(x)} $$

    the gradient form of blurring mean shift with bandwidth $\beta^{-1/2}$. It is `beta` times the SA
    velocity; the shift-vector form $P_x(m(x)-x)$ is the SA velocity itself. Section 5.3 of
    [arXiv:2512.01868](https://arxiv.org/abs/2512.01868) names the two without the factor; derived. Exact to
    rounding.

    Raises:
        BadInput: points that are not (n, d), beta < 0, masses that do not sum to 1.

    Example:
        >>> from measureflow import theory
        >>> theory.mean_shift_velocity([[1.0, 0.0], [0.0, 1.0]], beta=0.5).round(6).tolist()
        [[0.0, 0.18877], [0.18877, 0.0]]
    """
    points, masses, beta = _cloud(points, masses, beta)
    difference = points[None, :, :] - points[:, None, :]  # (i, j): x_j - x_i
    logits = -0.5 * beta * (difference**2).sum(axis=-1)
    kernel = masses * np.exp(logits - logits.max(axis=1, keepdims=True))
    shift = np.einsum("ij,ijd->id", kernel, difference) / kernel.sum(axis=1, keepdims=True)
    return beta * (shift - (shift * points).sum(axis=1, keepdims=True) * points)


def gradient_of_log_partition(
    points: Any, *, beta: float, query: Any, key: Any, masses: Any = None
) -> Float[np.ndarray, "n d"]:
    r"""Return $\nabla \log Z(x)$ on the sphere at every token, $Z(x) = \sum_j a_j e^{\beta\langle
    Qx,Kx_j\rangle}$.

    $$ \nabla\log Z(x) = \beta\,P_x \frac{\sum_j a_j e^{\beta\langle Qx,Kx_j\rangle}\,Q^TKx_j}{Z(x)} $$

    It is `beta` times the SA velocity with value matrix $V = Q^TK$, for any Q and K. The printed form (3.7)
    of [arXiv:2312.10794](https://arxiv.org/abs/2312.10794) has $\beta^{-1}$ inside the logarithm, where it
    does nothing: the factor belongs in front. Exact to rounding.

    Raises:
        BadInput: points that are not (n, d), beta < 0, masses that do not sum to 1.

    Example:
        >>> import numpy as np
        >>> from measureflow import theory
        >>> x, one = [[1.0, 0.0], [0.0, 1.0]], np.eye(2)
        >>> theory.gradient_of_log_partition(x, beta=0.5, query=one, key=one).round(6).tolist()
        [[0.0, 0.18877], [0.18877, 0.0]]
    """
    points, masses, beta = _cloud(points, masses, beta)
    query = as_matrix("query", query, columns=points.shape[1])
    form = query.T @ as_matrix("key", key, rows=len(query), columns=points.shape[1])
    images = points @ form.T  # Q^T K x_j
    logits = beta * points @ images.T
    kernel = masses * np.exp(logits - logits.max(axis=1, keepdims=True))
    ascent = kernel @ images / kernel.sum(axis=1, keepdims=True)
    return beta * (ascent - (ascent * points).sum(axis=1, keepdims=True) * points)


def _cloud(points: Any, masses: Any, beta: Any) -> tuple[np.ndarray, np.ndarray, float]:
    """Return points, masses and beta, checked."""
    points = as_matrix("points", points)
    n = len(points)
    return points, np.full(n, 1.0 / n) if masses is None else as_masses(masses, n), as_beta(beta)

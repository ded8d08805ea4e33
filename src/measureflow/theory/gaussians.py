r"""Gaussians under softmax attention with V = I: the inverse covariance falls linearly, and may reach zero.

Linear attention does to the second moment what softmax attention does to the covariance.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from measureflow.errors import BadInput
from measureflow.theory.checks import as_count, as_matrix, as_numbers, as_times

__all__ = [
    "blow_up_profile_of_gaussian",
    "blow_up_time_of_gaussian",
    "covariance_of_gaussian",
    "decay_of_gaussian",
    "limit_of_gaussian",
    "limit_rank_of_gaussian",
    "tokens_under_linear_attention",
]


def covariance_of_gaussian(times: Any, cov: Any, form: Any) -> Float[np.ndarray, "*s d d"]:
    r"""Return the covariance of a Gaussian under softmax attention with V = I.

    $$ S(t) = (S_0^{-1} - t\,(D + D^T))^{-1}, \qquad D = \beta\,Q^TK $$

    for logits $\langle x, Dy\rangle$. A singular $S_0 = LL^T$ keeps its rank: $S = L(I - t L^T(D + D^T)L)^{-1}L^T$.
    Derived from [arXiv:2501.18322](https://arxiv.org/abs/2501.18322); exact to rounding.

    Raises:
        BadInput: a time at or behind the blow-up, a negative time, a covariance that is none, shapes that differ.

    Example:
        >>> from measureflow import theory
        >>> theory.covariance_of_gaussian(1.0, [[0.25]], [[1.0]]).tolist()  # s / (1 - 2 s t)
        [[0.5]]
    """
    times, root, pull = as_times(times), *parts_of(cov, form)
    end = blow_up_time_of_gaussian(cov, form)
    if (times >= end).any():
        raise BadInput(f"theory: a time is {times.max():g} and the covariance explodes at {end:g}; stop before it.")
    middle = np.eye(root.shape[1]) - times[..., None, None] * pull
    return root @ np.linalg.solve(middle, np.broadcast_to(root.T, (*times.shape, *root.T.shape)))


def blow_up_time_of_gaussian(cov: Any, form: Any) -> float:
    r"""Return the time at which the covariance of a Gaussian explodes under softmax attention with V = I.

    $$ t^* = 1/\lambda_{max}(S_0^{1/2}(D + D^T)S_0^{1/2}) $$

    with $D = \beta\,Q^TK$; `inf` where the largest eigenvalue is not positive. Derived from
    [arXiv:2501.18322](https://arxiv.org/abs/2501.18322); exact to rounding.

    Example:
        >>> from measureflow import theory
        >>> theory.blow_up_time_of_gaussian([[0.25]], [[1.0]])
        2.0
    """
    _, pull = parts_of(cov, form)
    largest = float(np.linalg.eigvalsh(pull)[-1])
    return 1.0 / largest if largest > 0 else math.inf


def blow_up_profile_of_gaussian(cov: Any, form: Any) -> Float[np.ndarray, "d"]:
    r"""Return the vector `w` along which the covariance of a Gaussian explodes under softmax attention with V = I.

    $$ (t^* - t)\,S(t) \to ww^T, \qquad w = \sqrt{t^*}\,Lu $$

    with $S_0 = LL^T$ and the top unit eigenvector u of $L^T(D + D^T)L$; its sign is free (the largest entry is
    positive here). Derived from [arXiv:2501.18322](https://arxiv.org/abs/2501.18322).

    Raises:
        BadInput: the covariance does not explode.

    Example:
        >>> from measureflow import theory
        >>> theory.blow_up_profile_of_gaussian([[2.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.5]]).tolist()
        [0.0, 1.0]
    """
    root, pull = parts_of(cov, form)
    values, vectors = np.linalg.eigh(pull)
    if not values[-1] > 0:
        raise BadInput(f"theory: D + D^T has no positive eigenvalue on the law ({values[-1]:.3g}); nothing explodes.")
    along = root @ vectors[:, -1] / math.sqrt(values[-1])
    return along * np.sign(along[np.abs(along).argmax()]) + 0.0


def decay_of_gaussian(form: Any) -> Float[np.ndarray, "d d"]:
    r"""Return the limit of `t S(t)` where $D + D^T < 0$ and $V = I$, which is $-(D + D^T)^{-1}$ for every start.

    Derived from [arXiv:2501.18322](https://arxiv.org/abs/2501.18322): $S = (S_0^{-1} - t(D + D^T))^{-1}$.

    Raises:
        BadInput: $D + D^T$ is not negative definite.

    Example:
        >>> from measureflow import theory
        >>> theory.decay_of_gaussian([[-1.0, 0.0], [0.0, -2.0]]).tolist()
        [[0.5, 0.0], [0.0, 0.25]]
    """
    form = as_matrix("form", form, square=True)
    both = form + form.T
    if not np.linalg.eigvalsh(both)[-1] < 0:
        raise BadInput("theory: D + D^T is not negative definite; the covariance does not fall to 0.")
    return np.linalg.inv(-both) + 0.0


def limit_rank_of_gaussian(d: int, rows: int) -> int:
    r"""Return the rank at which a covariance of full rank ends for $K = -Q$ of size `rows` x d and $V = I$: `d - rows`.

    That is the dimension of the kernel of $D + D^T = -2\beta Q^TQ$ for almost every Q; with floor(d/2) rows it is
    ceil(d/2). Before the limit the rank does not change. Source:
    [arXiv:2501.18322](https://arxiv.org/abs/2501.18322).

    Example:
        >>> from measureflow import theory
        >>> [theory.limit_rank_of_gaussian(d, d // 2) for d in (3, 4, 5)]
        [2, 2, 3]
    """
    return max(as_count("d", d) - as_count("rows", rows, least=0), 0)


def tokens_under_linear_attention(times: Any, points: Any, form: Any) -> Float[np.ndarray, "*s n d"]:
    r"""Return tokens of equal mass under linear attention with V = I and a symmetric form, n as it is.

    $$ x_i(t) = (I - 2t\,M_0D)^{-1/2}\,x_i(0), \qquad M_0 = \tfrac1n\sum_j x_jx_j^T, \quad D = \beta\,Q^TK $$

    which solves $\dot x = MDx$ where $M = (M_0^{-1} - 2tD)^{-1}$ is the second moment. Derived here from the model
    that [arXiv:2501.18322](https://arxiv.org/abs/2501.18322) sets beside softmax attention; exact for every law.

    Raises:
        BadInput: a form that is not symmetric, a time at or behind the blow-up of the second moment.

    Example:
        >>> from measureflow import theory
        >>> theory.tokens_under_linear_attention(0.375, [[1.0], [-1.0]], [[1.0]]).tolist()  # 1/sqrt(1 - 2t)
        [[2.0], [-2.0]]
    """
    times, points, form = as_times(times), as_matrix("points", points), as_numbers("form", form)
    second = points.T @ points / len(points)
    end = blow_up_time_of_gaussian(second, form)
    if not np.allclose(form, form.T, rtol=1e-12, atol=1e-14):
        raise BadInput("theory: the form is not symmetric; this solution is for symmetric ones.")
    if (times >= end).any():
        raise BadInput(f"theory: a time is {times.max():g} and the second moment explodes at {end:g}; stop before it.")
    # real, since it is similar to a symmetric matrix
    roots, vectors = (np.real(part) for part in np.linalg.eig(second @ form))
    shrunk = (1.0 - 2.0 * times[..., None] * roots) ** -0.5
    return (points @ np.linalg.inv(vectors).T * shrunk[..., None, :]) @ vectors.T


def limit_of_gaussian(cov: Any, form: Any) -> Float[np.ndarray, "d d"]:
    r"""Return the limit of the covariance where $D + D^T \le 0$, $V = I$ and $S_0$ is invertible.

    $$ S_\infty = U(U^TS_0^{-1}U)^{-1}U^T, \qquad \mathrm{span}\,U = \ker(D + D^T) $$

    so its rank is the dimension of that kernel; it is approached like 1/t. Derived from
    [arXiv:2501.18322](https://arxiv.org/abs/2501.18322); exact to rounding.

    Raises:
        BadInput: $D + D^T$ has a positive eigenvalue: there is no limit.

    Example:
        >>> from measureflow import theory
        >>> theory.limit_of_gaussian([[2.0, 1.0], [1.0, 2.0]], [[-1.0, 0.0], [0.0, 0.0]]).tolist()
        [[0.0, 0.0], [0.0, 1.5]]
    """
    cov, form = as_numbers("cov", cov), as_numbers("form", form)
    parts_of(cov, form)
    values, vectors = np.linalg.eigh(form + form.T)
    size = max(float(np.abs(values).max()), np.finfo(float).tiny)
    if values[-1] > 1e-12 * size:
        raise BadInput(f"theory: D + D^T has the eigenvalue {values[-1]:.3g} > 0; the covariance explodes.")
    kernel = vectors[:, values > -1e-12 * size]
    return kernel @ np.linalg.solve(kernel.T @ np.linalg.solve(cov, kernel), kernel.T) + 0.0


def parts_of(cov: Any, form: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return a root L of the covariance, with as many columns as its rank, and `L^T (D + D^T) L`."""
    cov, form = as_numbers("cov", cov), as_numbers("form", form)
    if cov.ndim != 2 or cov.shape[0] != cov.shape[1] or form.shape != cov.shape:
        raise BadInput(f"theory: cov has shape {cov.shape} and form {form.shape}; give two (d, d) matrices.")
    values, vectors = np.linalg.eigh(cov)
    if not (np.allclose(cov, cov.T, atol=1e-12 * np.abs(cov).max()) and values[0] >= -1e-12 * max(1.0, values[-1])):
        raise BadInput("theory: cov is not symmetric and positive semi-definite.")
    kept = values > 1e-14 * values[-1]
    root = vectors[:, kept] * np.sqrt(values[kept])
    return root, root.T @ (form + form.T) @ root

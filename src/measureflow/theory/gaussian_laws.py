r"""Gaussians on the line under softmax, L2 and Sinkhorn attention, and the coupling of a Gaussian with itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.linalg import expm
from scipy.special import wrightomega

from measureflow.errors import BadInput
from measureflow.theory.checks import as_finite, as_matrix, as_model, as_numbers, as_times, in_interval

__all__ = [
    "growth_bound_of_gaussian",
    "mean_under_sinkhorn_attention",
    "sinkhorn_coupling_of_gaussian",
    "sinkhorn_gamma",
    "slope_of_gaussian",
    "variance_of_gaussian",
]

LAWS = ("softmax", "l2", "sinkhorn")


def variance_of_gaussian(
    times: Any, *, start: float, form: float, value: float = 1.0, attention: str = "softmax", keys: float = 1.0
) -> Float[np.ndarray, "*s"]:
    r"""Return the variance of a Gaussian on the line, with $a = \beta kq$ (`form`) and $v$ (`value`).

    - softmax: $\dot s = 2vas^2$, so $s = s_0/(1 - 2vas_0t)$: it explodes at $1/(2vas_0)$, or falls like $1/(2|va|t)$;
    - l2: $\dot s = 4vas^2/(1 + 2\kappa s)$ with $\kappa = \beta k^2$ (`keys`), so that $u = 1/s$ solves
      $u + 2\kappa\ln u = u_0 + 2\kappa\ln u_0 - 4vat$ (Wright's omega): at last it grows like $e^{2vat/\kappa}$;
    - sinkhorn: $\dot s = 2v\,\mathrm{sign}(a)\,s\,\gamma(|a|s)$; with $\sinh\theta = 2|a|s$ it is
      $\theta - \coth\frac\theta2 = \theta_0 - \coth\frac{\theta_0}2 + 2v\,\mathrm{sign}(a)t$: growth like $e^{2vt}$.

    The laws are those of [arXiv:2501.18322](https://arxiv.org/abs/2501.18322) on the line; their solutions are derived
    here, exact to rounding (Newton's method for Sinkhorn, monotone since the left side is concave).

    Raises:
        BadInput: another attention, a variance that is not positive, a time at or behind the blow-up.

    Example:
        >>> from measureflow import theory
        >>> theory.variance_of_gaussian([0.0, 1.0], start=0.25, form=1.0).tolist()
        [0.25, 0.5]
        >>> late = theory.variance_of_gaussian([50.0, 51.0], start=0.25, form=1.0, attention="sinkhorn")
        >>> round(float(np.log(late[1] / late[0])), 6)  # no blow-up: growth at the rate 2v
        2.0
    """
    times, attention = as_times(times), as_model(attention, LAWS)
    start, form, value = in_interval("start", start, 0.0, np.inf), as_finite("form", form), as_finite("value", value)
    speed = form * value
    if attention == "softmax":
        left = 1.0 - 2.0 * speed * start * times
        if (left <= 0).any():
            raise BadInput(f"theory: a time is {times.max():g} and the variance explodes at {0.5 / (speed * start):g}.")
        return start / left
    if attention == "l2":
        scale = 2.0 * as_finite("keys", keys)
        if not scale > 0:
            raise BadInput(f"theory: keys is {keys}; beta k^2 must be > 0 (with k = 0 nothing moves).")
        inverse = scale * wrightomega((1.0 / start - 4.0 * speed * times) / scale - np.log(scale * start))
        return 1.0 / np.real(inverse)
    if speed == 0:
        return np.full(times.shape, start)
    size = abs(form)
    angle = np.arcsinh(2.0 * size * start)
    level = angle - 1.0 / np.tanh(angle / 2) + 2.0 * value * np.sign(form) * times
    return np.sinh(angle_at(level)) / (2.0 * size)


def angle_at(level: np.ndarray) -> np.ndarray:
    r"""Return the solution of $\theta - \coth(\theta/2) = $ `level`, by Newton's method from below."""
    angle = np.where(level < 0, 4.0 / (np.sqrt(level**2 + 8.0) - level), 0.5 * (level + np.sqrt(level**2 + 8.0)))
    for _ in range(60):  # a dozen are enough
        rest = level - angle + 1.0 / np.tanh(angle / 2)
        angle = angle + rest / (1.0 + 0.5 / np.sinh(angle / 2) ** 2)
    return angle


def sinkhorn_gamma(phi: Any) -> Float[np.ndarray, "*s"]:
    r"""Return the correlation of the doubly stochastic coupling of a normal law with itself.

    $$ \gamma(\phi) = \frac{2\phi}{1 + \sqrt{1 + 4\phi^2}} = \tanh(\tfrac12\operatorname{arsinh} 2\phi) $$

    for the logit $axy$ on a law of variance s, $\phi = as$; it lies in (-1, 1). Derived from
    [arXiv:2501.18322](https://arxiv.org/abs/2501.18322).

    Example:
        >>> from measureflow import theory
        >>> float(theory.sinkhorn_gamma(0.75).round(12))
        0.535183758488
    """
    return np.tanh(0.5 * np.arcsinh(2.0 * as_numbers("phi", phi)))


def sinkhorn_coupling_of_gaussian(cov: Any, form: Any) -> Float[np.ndarray, "d d"]:
    r"""Return `Cov(x, y)` of the doubly stochastic coupling of $N(m, S)$ with itself.

    Under the logits $\langle y, Ax\rangle$ it is

    $$ C = S^{1/2}\,U\,\gamma(\phi)\,W^TS^{1/2}, \qquad S^{1/2}A^TS^{1/2} = U\phi W^T $$

    No inverse is taken: S and A may be singular. It does not depend on the mean, and solves
    $S^{-1}C = A^T(S - C^TS^{-1}C)$. Derived from [arXiv:2501.18322](https://arxiv.org/abs/2501.18322).

    Raises:
        BadInput: shapes that differ, a covariance that is none.

    Example:
        >>> from measureflow import theory
        >>> theory.sinkhorn_coupling_of_gaussian([[2.0]], [[0.375]]).round(12).tolist()  # 2 gamma(0.75)
        [[1.070367516976]]
    """
    cov, form = as_numbers("cov", cov), as_numbers("form", form)
    if cov.ndim != 2 or cov.shape[0] != cov.shape[1] or form.shape != cov.shape:
        raise BadInput(f"theory: cov has shape {cov.shape} and form {form.shape}; give two (d, d) matrices.")
    values, vectors = np.linalg.eigh(cov)
    if not np.allclose(cov, cov.T, rtol=1e-12, atol=1e-14) or values[0] < -1e-12 * max(1.0, values[-1]):
        raise BadInput("theory: cov is not symmetric and positive semi-definite.")
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    left, phi, right = np.linalg.svd(root @ form.T @ root)
    return root @ (left * sinkhorn_gamma(phi)) @ right @ root


def slope_of_gaussian(
    cov: Any, *, query: Any, key: Any, value: Any, beta: float = 1.0, attention: str = "softmax"
) -> Float[np.ndarray, "d d"]:
    r"""Return the slope `B` of the affine velocity of a centred Gaussian, $\dot S = BS + SB^T$, with $A = \beta K^TQ$.

    - softmax: $VSA$;
    - l2: $2V(I + 2\beta SK^TK)^{-1}SA$, where beta multiplies both terms of $-\beta|Qx - Ky|^2$;
    - sinkhorn: $VC^TS^{-1}$ with the coupling C, for an invertible S.

    Source: [arXiv:2501.18322](https://arxiv.org/abs/2501.18322).

    Raises:
        BadInput: another attention, or a matrix that must be inverted and cannot be.

    Example:
        >>> from measureflow import theory
        >>> theory.slope_of_gaussian([[2.0]], query=[[1.0]], key=[[0.5]], value=[[1.0]], attention="l2").tolist()
        [[1.0]]
    """
    cov = as_matrix("cov", cov, square=True)
    d = len(cov)
    query = as_matrix("query", query, columns=d)
    key, value = as_matrix("key", key, rows=len(query), columns=d), as_matrix("value", value, columns=d)
    beta = as_finite("beta", beta)
    form, attention = beta * key.T @ query, as_model(attention, LAWS)
    if attention == "softmax":
        return value @ cov @ form
    if attention == "l2":
        drawn = np.eye(len(cov)) + 2.0 * beta * cov @ key.T @ key
        return 2.0 * value @ solved("I + 2 beta S K^T K", drawn, cov @ form)
    return value @ solved("cov", cov, sinkhorn_coupling_of_gaussian(cov, form)).T


def solved(name: str, matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the solution of linear equations whose matrix must be invertible."""
    try:
        return np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        raise BadInput(f"theory: {name} is singular; this slope needs it invertible.") from None


def mean_under_sinkhorn_attention(times: Any, mean: Any, value: Any) -> Float[np.ndarray, "*s d"]:
    r"""Return the mean of tokens under doubly stochastic attention: $m(t) = e^{Vt}m_0$ for every law and every n.

    Since all columns sum to one, $\sum_i\sum_j P_{ij}Vx_j = V\sum_jx_j$. Derived from
    [arXiv:2501.18322](https://arxiv.org/abs/2501.18322).

    Example:
        >>> from measureflow import theory
        >>> theory.mean_under_sinkhorn_attention(1.0, [1.0], [[np.log(2.0)]]).round(12).tolist()
        [2.0]
    """
    times, mean, value = as_times(times), as_numbers("mean", mean), as_numbers("value", value)
    if mean.ndim != 1 or value.shape != mean.shape * 2:
        raise BadInput(f"theory: mean has shape {mean.shape} and value {value.shape}; give (d,) and (d, d).")
    return expm(times[..., None, None] * value) @ mean


def growth_bound_of_gaussian(*, value: Any, attention: str, query: Any = None, key: Any = None) -> float:
    r"""Return a rate at which $\ln|S|$ never grows faster, for attention under which no covariance explodes.

    - sinkhorn: $2\|V\|$, since $\dot S = VC^T + CV^T$ and $|C| \le |S|$;
    - l2 with an invertible K: $2\|V\|\|K^{-1}\|\|Q\|$, since $B = VK^{-1}\,2\beta KSK^T(I + 2\beta KSK^T)^{-1}\,Q$.

    Derived from [arXiv:2501.18322](https://arxiv.org/abs/2501.18322); softmax and linear attention have no such rate.

    Raises:
        BadInput: another attention, or L2 with a K that is not invertible.

    Example:
        >>> from measureflow import theory
        >>> theory.growth_bound_of_gaussian(value=[[1.5]], attention="sinkhorn")
        3.0
    """
    size = 2.0 * float(np.linalg.norm(as_matrix("value", value), 2))
    if as_model(attention, LAWS[1:]) == "sinkhorn":
        return size
    key = as_numbers("key", key)
    if key.ndim != 2 or key.shape[0] != key.shape[1] or not np.linalg.svd(key, compute_uv=False)[-1] > 1e-14:
        raise BadInput("theory: key is not an invertible (d, d) matrix; under L2 attention the bound needs one.")
    return size * float(np.linalg.norm(np.linalg.inv(key), 2) * np.linalg.norm(as_matrix("query", query), 2))

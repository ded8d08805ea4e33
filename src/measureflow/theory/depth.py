r"""Residual layers against the equation that they discretise: error bounds, and what training a linear net conserves.

Layers are $x_{k+1} = x_k + h\,\varphi(x_k, t_k)$ and the flow $\dot x = \varphi(x, t)$, over a depth $T = Nh$; the
papers have $T = 1$ and $h = 1/N$.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from measureflow.errors import BadInput
from measureflow.theory.checks import as_count, as_finite, as_numbers, in_interval

__all__ = [
    "LinearNet",
    "conserved_matrices",
    "error_of_euler_layers",
    "error_of_reconstruction",
    "error_of_rough_layers",
    "least_loss_of_linear_net",
    "symmetric_eigenvalues_along_depth",
    "train_linear_net",
]


def error_of_euler_layers(*, lipschitz: float, bend: float, step: float, until: float = 1.0) -> float:
    r"""Return a bound on the distance between Euler layers and the flow that they discretise.

    $$ \max_k|x_k - x(t_k)| \le \frac{e^{LT}-1}{2L}\,h\,\sup|\partial_t\varphi + D_x\varphi\,\varphi| $$

    Where the weights jump from layer to layer the derivative is of order N, and the bound does not vanish with h.

    Arguments:
        lipschitz: L, in x. bend: the supremum, that of $|\ddot x|$ along the flow. step, until: h and T.

    Source: derived (local defects and a discrete Gronwall inequality); of this form in
        [arXiv:2205.14612](https://arxiv.org/abs/2205.14612).

    Example:
        >>> import math
        >>> from measureflow import theory
        >>> round(theory.error_of_euler_layers(lipschitz=0.0, bend=math.pi * 64, step=1 / 64), 6)  # pi/2, for any N
        1.570796
    """
    step, bend = as_finite("step", step, 0.0), as_finite("bend", bend, 0.0)
    return 0.5 * step * bend * _growth(lipschitz, until)


def error_of_reconstruction(*, lipschitz: float, speed: float, step: float, until: float = 1.0) -> float:
    r"""Return a bound on the error of activations that are reconstructed from the last ones by Euler steps backwards.

    $$ \max_k|\tilde x_k - x_k| \le (e^{LT}-1)\,C_\varphi\,h, \qquad
       \tilde x_k = \tilde x_{k+1} - h\,\varphi(\tilde x_{k+1}, t_k) $$

    Smoothness in depth is not needed. `speed` is the supremum $C_\varphi$ of $|\varphi|$ along the layers.

    Source: derived; the scheme is that of [arXiv:2205.14612](https://arxiv.org/abs/2205.14612).

    Example:
        >>> from measureflow import theory
        >>> round(theory.error_of_reconstruction(lipschitz=1.0, speed=2.0, step=1 / 64), 4)
        0.0537
    """
    step, speed, growth = as_finite("step", step, 0.0), as_finite("speed", speed, 0.0), _growth(lipschitz, until)
    return step * speed * lipschitz * growth if lipschitz else 0.0


def error_of_rough_layers(*, lipschitz: float, speed: float, step: float, until: float = 1.0) -> float:
    r"""Return a bound on the distance between Euler layers and their flow that needs no smoothness in depth.

    $$ \max_k|x_k - x(t_k)| \le (2e^{LT} - 1)\,C_\varphi\,h $$

    where the *field* is joined between layers by straight lines, $\varphi(x, t) = (1-s)f_k(x) + s f_{k+1}(x)$, as
    `mf.fields.Interpolated` does it. The weights may jump by O(1) from layer to layer. Joined otherwise (weights inside
    of an activation, or a wave that vanishes at the layers) the distance need not vanish.

    Arguments:
        lipschitz: L, in x. speed: the supremum $C_\varphi$ of $|\varphi|$. step, until: h and T.

    Source: derived for [arXiv:2205.14612](https://arxiv.org/abs/2205.14612), by Abel summation. A trapezium over a
        layer errs by $LCh^2/2$, so $z_k = x(t_k) - \frac h2 f_k(x(t_k))$ obeys $z_{k+1} = z_k + hf_k(z_k)$ up to
        $\frac32LCh^2$, and stays within $\frac12Ch$ of the flow; Gronwall.

    Example:
        >>> from measureflow import theory
        >>> theory.error_of_rough_layers(lipschitz=0.0, speed=1.0, step=1 / 64)  # (f_N - f_0)/2N is attained
        0.015625
    """
    step, speed, _ = as_finite("step", step, 0.0), as_finite("speed", speed, 0.0), _growth(lipschitz, until)
    return step * speed * (2.0 * math.exp(min(lipschitz * until, 709.0)) - 1.0)


class LinearNet(NamedTuple):
    """A trained linear residual net.

    Attributes:
        weights: `(N, d, d)`, the last ones. loss: the last loss. steps: how many steps were taken.
        history: `(s, N, d, d)` weights at the steps `kept`.
    """

    weights: Float[np.ndarray, "N d d"]
    loss: float
    steps: int
    history: Float[np.ndarray, "s N d d"]
    kept: tuple[int, ...]


def train_linear_net(
    target: Any, depth: int, *, rate: float, tolerance: float = 1e-5, most: int = 100_000, keep: Any = ()
) -> LinearNet:
    r"""Train a linear residual net on a matrix by gradient descent, from weights of zero.

    $$ \Pi_N = \prod_k (I + \theta_k/N), \qquad \ell = \|\Pi_N - B\|_F^2, \qquad
       \theta_k \leftarrow \theta_k - r\,\nabla_{\theta_k}\ell $$

    In the clock of [arXiv:2205.14612](https://arxiv.org/abs/2205.14612) a step of rate r takes a time r/N.

    Arguments:
        target: B, `(d, d)`. depth: N. rate: r. tolerance: the loss at which to stop; most: steps at most.
        keep: steps at which the weights are kept.

    Raises:
        BadInput: a target that is not square, a rate that is not positive or too large to descend, a negative
            tolerance.

    Example:
        >>> import numpy as np
        >>> from measureflow import theory
        >>> net = theory.train_linear_net(np.diag([1.5, 0.5]), 8, rate=1.0, tolerance=1e-10)
        >>> bool(np.ptp(net.weights, axis=0).max() < 1e-12)  # a symmetric positive target: equal in depth
        True
    """
    target, depth, most = as_numbers("target", target), as_count("depth", depth), as_count("most", most, 0)
    rate, tolerance = in_interval("rate", rate, 0.0, math.inf), as_finite("tolerance", tolerance, 0.0)
    if target.ndim != 2 or target.shape[0] != target.shape[1]:
        raise BadInput(f"theory: the target has shape {target.shape}; give a square matrix.")
    d, wanted, kept, loss, step = (
        len(target),
        {as_count("keep", k, 0) for k in as_numbers("keep", keep).ravel()},
        {},
        math.inf,
        0,
    )
    weights = np.zeros((depth, d, d))
    for step in range(most + 1):
        with np.errstate(over="ignore", invalid="ignore"):  # an explosion is said in words, below
            before, after = _products(np.eye(d) + weights / depth)
            misfit = before[-1] - target
            loss = float((misfit * misfit).sum())
        if step in wanted:
            kept[step] = weights.copy()
        if not math.isfinite(loss):
            raise BadInput(f"theory: the loss exploded after {step} steps; give a smaller rate than {rate}.")
        if loss <= tolerance or step == most:
            break
        # d Pi = after dF before, with F the factor of a layer
        slope = 2.0 * np.swapaxes(after, 1, 2) @ misfit @ np.swapaxes(before[:-1], 1, 2) / depth
        weights = weights - rate * slope
    history = np.stack(list(kept.values())) if kept else np.zeros((0, depth, d, d))
    return LinearNet(weights, loss, step, history, tuple(kept))


def least_loss_of_linear_net(target: Any) -> float:
    r"""Return the loss that training a deep linear residual net from weights of zero cannot get below.

    $$ \inf_{\det \Pi > 0} \|\Pi - B\|_F^2 = \begin{cases} 0 & \det B \ge 0 \\
       \sigma_{min}(B)^2 & \det B < 0 \end{cases} $$

    From zero the layers stay balanced (`conserved_matrices`), so a singular value s of their product has a factor
    $s^{2-2/N}$ in its speed and does not cross 0: the determinant keeps its sign. Where B reverses orientation, its
    least singular value is pushed out of the product, $s' = -\frac2N s^{2-2/N}(s + \sigma_{min})$ for steps of
    rate 1: the loss comes down to its plateau like $\sigma_{min}^2 + 2\sigma_{min}s$, algebraically.

    Source: derived, for [arXiv:2205.14612](https://arxiv.org/abs/2205.14612), whose figure draws its target from
        I + Gaussian: a third of such draws have a negative determinant.

    Raises:
        BadInput: a target that is not square.

    Example:
        >>> from measureflow import theory
        >>> theory.least_loss_of_linear_net([[1.0, 0.0], [0.0, -0.5]]), theory.least_loss_of_linear_net([[2.0]])
        (0.25, 0.0)
    """
    target = as_numbers("target", target)
    if target.ndim != 2 or target.shape[0] != target.shape[1]:
        raise BadInput(f"theory: the target has shape {target.shape}; give a square matrix.")
    return float(np.linalg.svd(target, compute_uv=False)[-1] ** 2) if np.linalg.det(target) < 0 else 0.0


def conserved_matrices(weights: Any) -> Float[np.ndarray, "m d d"]:
    r"""Return what gradient flow conserves in a linear residual net, between neighbouring layers.

    $$ (I+\theta_{k+1}/N)^T(I+\theta_{k+1}/N) - (I+\theta_k/N)(I+\theta_k/N)^T $$

    From equal symmetric weights, zero among them, it is and stays 0.

    Source: derived, for [arXiv:2205.14612](https://arxiv.org/abs/2205.14612).

    Example:
        >>> import numpy as np
        >>> from measureflow import theory
        >>> float(np.abs(theory.conserved_matrices(np.zeros((4, 2, 2)))).max())
        0.0
    """
    weights = as_layers(weights)
    factors = np.eye(weights.shape[-1]) + weights / len(weights)
    turned = np.swapaxes(factors, 1, 2)
    return turned[1:] @ factors[1:] - factors[:-1] @ turned[:-1]


def symmetric_eigenvalues_along_depth(weights: Any) -> Float[np.ndarray, "N d"]:
    r"""Return the eigenvalues of the symmetric part $S_k$ of each layer: for deep trained nets the same in every layer.

    With $\theta = S + \Omega$, and from weights of zero, $dS/ds = [\Omega, S]$ in the limit of deep nets.

    Source: derived from `conserved_matrices`, for [arXiv:2205.14612](https://arxiv.org/abs/2205.14612).

    Example:
        >>> import numpy as np
        >>> from measureflow import theory
        >>> theory.symmetric_eigenvalues_along_depth(np.array([[[0.0, 2.0], [0.0, 0.0]]])).tolist()
        [[-1.0, 1.0]]
    """
    weights = as_layers(weights)
    return np.linalg.eigvalsh(0.5 * (weights + np.swapaxes(weights, 1, 2)))


def as_layers(weights: Any) -> Float[np.ndarray, "N d d"]:
    """Return the weights of a net, a square matrix for each layer."""
    weights = as_numbers("weights", weights)
    if weights.ndim != 3 or weights.shape[1] != weights.shape[2] or not weights.size:
        raise BadInput(f"theory: weights have shape {weights.shape}; give (N, d, d).")
    return weights


def _products(factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the product of the layers before each one (and of all), and that of the layers after each."""
    depth, d, _ = factors.shape
    before, after = np.empty((depth + 1, d, d)), np.empty((depth, d, d))
    before[0], after[-1] = np.eye(d), np.eye(d)
    for k in range(depth):
        before[k + 1] = factors[k] @ before[k]
    for k in range(depth - 1, 0, -1):
        after[k - 1] = after[k] @ factors[k]
    return before, after


def _growth(lipschitz: float, until: float) -> float:
    """Return `(e^{LT} - 1)/L`, which is T for L = 0."""
    lipschitz, until = as_finite("lipschitz", lipschitz, 0.0), in_interval("until", until, 0.0, math.inf)
    if lipschitz * until > 709.0:
        return math.inf
    return math.expm1(lipschitz * until) / lipschitz if lipschitz > 0 else until

r"""How much softmax attention can stretch: its Jacobian, upper bounds, and the tokens that come near them.

Throughout $f(X)_i = V\sum_j P_{ij} x_j$ with logits $\langle x_j, A x_i\rangle$, $A = \beta K^TQ$, and tokens in a ball
of radius R. A matrix may be given by its spectral norm where only that counts.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from measureflow.errors import BadInput
from measureflow.theory.checks import as_count, as_finite, as_matrix, as_number, as_numbers

__all__ = [
    "adversarial_tokens",
    "jacobian_of_attention",
    "lipschitz_at_large_radius",
    "lipschitz_of_adversarial_tokens",
    "lipschitz_of_attention",
    "lipschitz_of_causal_attention",
    "lipschitz_of_measures",
    "local_lipschitz_of_attention",
    "norms_of_prefix_means",
]


def jacobian_of_attention(
    points: Any, *, form: Any, value: Any = None, causal: bool = False
) -> Float[np.ndarray, "*s k k"]:
    r"""Return the Jacobian of softmax attention, `n d` rows, token by token; leading axes of `points` are a batch.

    $$ (Df[e])_i = V\Bigl[\sum_j P_{ij}e_j + C_i A e_i + \sum_j P_{ij}(x_j-m_i)\,\langle Ax_i, e_j\rangle\Bigr] $$

    with $m_i = \sum_j P_{ij}x_j$ and the covariance $C_i$ of row i. `causal` lets token i see the first i alone.

    Arguments:
        form: the `(d, d)` matrix A of the logits $\langle x_j, Ax_i\rangle$, or one for each cloud. value: V, the
            identity if None.

    Source: [arXiv:2312.14820](https://arxiv.org/abs/2312.14820); derived by differentiating the softmax.

    Example:
        >>> from measureflow import theory
        >>> theory.jacobian_of_attention([[1.0], [-1.0]], form=[[0.0]]).tolist()  # plain means
        [[0.5, 0.5], [0.5, 0.5]]
    """
    x, form = as_numbers("points", points), as_numbers("form", form)
    if x.ndim < 2 or form.shape[-2:] != (x.shape[-1], x.shape[-1]):
        raise BadInput(f"theory: points have shape {x.shape} and the form {form.shape}; give (..., n, d) and (d, d).")
    (n, d), weights = x.shape[-2:], _rows(x, form, causal)
    centred = x[..., None, :, :] - (weights @ x)[..., :, None, :]
    spread = np.einsum("...ij,...ijc,...ije->...ice", weights, centred, centred, optimize=True)
    queries = x @ np.swapaxes(form, -1, -2)
    blocks = np.einsum("...ij,...ijc,...ie->...icje", weights, centred, queries, optimize=True)
    blocks += np.einsum("...ij,ce->...icje", weights, np.eye(d))
    own = np.arange(n)
    blocks[..., own, :, own, :] += np.moveaxis(spread @ form[..., None, :, :], -3, 0)
    if value is not None:
        blocks = np.einsum("ac,...icje->...iaje", as_matrix("value", value, rows=d, columns=d), blocks)
    return blocks.reshape(*x.shape[:-2], n * d, n * d)


def lipschitz_of_measures(*, form: Any, value: Any = 1.0, radius: float, n: int | None = None, p: float = 1.0) -> float:
    r"""Return a bound on the Lipschitz constant of $\mu\mapsto(\Gamma_\mu)_\#\mu$ in $W_p$, for measures in the ball.

    $$ p \ge 1:\; \|V\|(1+3\alpha)\,e^{2\alpha}, \qquad
       p = 2:\; \|V\|\,[\alpha + (1+2\alpha)\min(\cosh\alpha, \sqrt n)], \qquad \alpha = \|A\|R^2 $$

    The second also holds for n tokens in the Frobenius norm (give `n`), and is the smaller one for every alpha.

    Arguments:
        form, value: the matrices A and V, or their spectral norms. n: number of equal tokens; None for any measure.
        p: 2 for the second bound; any other p >= 1 for the first.

    Source: derived. The integrand centred at its mean has Lipschitz constant $(1+2\alpha)\max G$ (first), and
        Kantorovich's inequality bounds $\sqrt{\int G^2}/\int G$ by $\cosh\alpha$ along a $W_2$ geodesic (second);
        [arXiv:2312.14820](https://arxiv.org/abs/2312.14820) is believed to have the first.

    Raises:
        BadInput: a radius or norm that is negative or infinite, p < 1, n < 1.

    Example:
        >>> from measureflow import theory
        >>> round(theory.lipschitz_of_measures(form=1.0, radius=1.5, p=2), 2)
        28.63
    """
    size, alpha = _norm("value", value), _norm("form", form) * _radius(radius) ** 2
    p = as_number("p", p)
    if not (math.isfinite(p) and p >= 1):
        raise BadInput(f"theory: p is {p}; transport distances have p >= 1.")
    if p != 2:
        return size * (1.0 + 3.0 * alpha) * _exp(2.0 * alpha)
    spread = 0.5 * (_exp(alpha) + _exp(-alpha))
    many = spread if n is None else min(spread, math.sqrt(as_count("n", n)))
    return size * (alpha + (1.0 + 2.0 * alpha) * many)


def lipschitz_of_attention(n: int, *, form: Any, value: Any = 1.0, radius: float, printed: bool = False) -> float:
    r"""Return a bound on the Lipschitz constant of attention on n tokens of the ball, in the Frobenius norm.

    $$ \sqrt3\,\|V\|\,\bigl(\|A\|^2R^4(n+1) + n\bigr)^{1/2}, \qquad \text{printed: } 4n+1 \text{ for } n+1 $$

    It holds under a causal mask too. The constants of several heads add.

    Source: [arXiv:2312.14820](https://arxiv.org/abs/2312.14820) (4n + 1, from $|x_j-m_i| \le 2R$); n + 1 is derived:
        the variance of a law in the ball is at most $R^2$.

    Raises:
        BadInput: n < 1, a radius or norm that is negative or infinite.

    Example:
        >>> from measureflow import theory
        >>> round(theory.lipschitz_of_attention(3, form=0.0, radius=1.0), 12)  # the mean alone: sqrt(3 n)
        3.0
    """
    n, alpha = as_count("n", n), _norm("form", form) * _radius(radius) ** 2
    factor = 4 * n + 1 if printed else n + 1
    return math.sqrt(3.0) * _norm("value", value) * math.sqrt(alpha * alpha * factor + n)


def local_lipschitz_of_attention(points: Any, *, form: Any, value: Any = 1.0, shift: Any = None) -> float:
    r"""Return the bound of `lipschitz_of_attention` at given tokens: it knows where they are, not only how far out.

    $$ \sqrt3\,\|V\|\,\bigl(\delta^2(r'^2 + n r^2) + n\bigr)^{1/2}, \qquad
       r = \max_i|Ax_i + c|,\; r' = \max_j|A^Tx_j|,\; \delta = \tfrac1{\sqrt2}\max_{ij}|x_i-x_j| $$

    Arguments:
        form, value: the matrix A; V or its spectral norm. shift: c of the logits $\langle x_j, Ax_i + c\rangle$, as the
            bias of a trained query makes them.

    Source: derived as `lipschitz_of_attention`, with $C_iA = (A^TC_i)^T$ and a variance of at most half the squared
        diameter. The code released with [arXiv:2312.14820](https://arxiv.org/abs/2312.14820) has $r' = r$ (right for
        symmetric A only), the diameter for delta, and no factor $\sqrt3$.

    Example:
        >>> from measureflow import theory
        >>> round(theory.local_lipschitz_of_attention([[3.0, 0.0]], form=[[1.0, 0.0], [0.0, 1.0]]), 6)
        1.732051
    """
    x = as_matrix("points", points)
    n, d = x.shape
    form = as_matrix("form", form, rows=d, columns=d)
    here = np.linalg.norm(x @ form.T + (0.0 if shift is None else as_numbers("shift", shift)), axis=1).max()
    there = np.linalg.norm(x @ form, axis=1).max()
    square = (x * x).sum(axis=1)
    wide = max(0.5 * float((square[:, None] + square - 2.0 * x @ x.T).max()), 0.0)
    return float(math.sqrt(3.0) * _norm("value", value) * math.sqrt(wide * (there**2 + n * here**2) + n))


def adversarial_tokens(n: int, *, form: Any, radius: float) -> Float[np.ndarray, "n d"]:
    r"""Return n tokens of the ball that attention stretches by about $\sqrt n$: one against all others.

    $x_1 = -Ru$, $x_j = Ru$ for a unit eigenvector u of A with the lowest eigenvalue $\lambda < 0$; or, where
    $\lambda_{max}/8$ is larger than $-\lambda_{min}$, $x_1 = Ru$, $x_j = Ru/2$ with that of the largest. Real
    eigenvalues only.

    Source: [arXiv:2312.14820](https://arxiv.org/abs/2312.14820), in the form of its released code.

    Raises:
        BadInput: no real eigenvalue other than 0.

    Example:
        >>> from measureflow import theory
        >>> theory.adversarial_tokens(3, form=[[-1.0]], radius=2.0).ravel().tolist()
        [-2.0, 2.0, 2.0]
    """
    n, radius = as_count("n", n, 2), _radius(radius)
    _, direction, negative = _worst(form)
    first, others = (-1.0, 1.0) if negative else (1.0, 0.5)
    return radius * np.outer(np.where(np.arange(n) == 0, first, others), direction)


def lipschitz_of_adversarial_tokens(n: int, *, form: Any, value: Any = None, radius: float) -> float:
    r"""Return how much attention stretches at `adversarial_tokens`, at least: a lower bound on every upper one.

    $$ |Vu|\,\sqrt{n-1}\;p\,(1 + 2\gamma R^2(1-p)), \qquad p = \bigl(1+(n-1)e^{-2\gamma R^2}\bigr)^{-1}, \qquad
       \gamma = \max(-\lambda_{min}, \lambda_{max}/8) $$

    It grows like $\sqrt n$ up to $n \approx e^{2\gamma R^2}$ and then no longer: there it is about
    $\frac12 e^{\gamma R^2}(1+\gamma R^2)$, the growth of the bound in $W_2$.

    Source: derived, after [arXiv:2312.14820](https://arxiv.org/abs/2312.14820).

    Raises:
        BadInput: no real eigenvalue other than 0, n < 2.

    Example:
        >>> from measureflow import theory
        >>> round(theory.lipschitz_of_adversarial_tokens(200, form=[[-1.0]], radius=1.5), 3)
        18.007
    """
    n, alpha = as_count("n", n, 2), _radius(radius) ** 2
    gamma, direction, _ = _worst(form)
    seen = 1.0 / (1.0 + (n - 1) * math.exp(-2.0 * gamma * alpha))
    stretch = (
        1.0 if value is None else float(np.linalg.norm(as_matrix("value", value, columns=len(direction)) @ direction))
    )
    return stretch * math.sqrt(n - 1) * seen * (1.0 + 2.0 * gamma * alpha * (1.0 - seen))


def lipschitz_at_large_radius(points: Any, *, form: Any, value: Any = 1.0) -> float:
    r"""Return the limit of the local constant at $RX$ as R grows, for tokens without ties.

    $$ \|V\|\,\sqrt{\max_j \#\{i : \arg\max_k \langle x_k, Ax_i\rangle = j\}} \le \|V\|\sqrt n $$

    Attention becomes hard: each token copies one other, and the one that is copied most counts.

    Source: derived; the growth like $\sqrt n$ is in [arXiv:2312.14820](https://arxiv.org/abs/2312.14820).

    Example:
        >>> from measureflow import theory
        >>> theory.lipschitz_at_large_radius([[1.0], [0.5], [0.2], [3.0]], form=[[1.0]])
        2.0
    """
    x = as_matrix("points", points)
    d = x.shape[1]
    chosen = (x @ as_matrix("form", form, rows=d, columns=d).T @ x.T).argmax(axis=1)
    return _norm("value", value) * math.sqrt(np.bincount(chosen).max())


def lipschitz_of_causal_attention(*, form: Any, value: Any = 1.0, radius: float, p: float = 2.0) -> float:
    r"""Return a bound on the Lipschitz constant of causal attention for laws on $[0,1]\times B_R$, in $d_p$, p > 1.

    $$ \|V\|\Bigl[\alpha + \frac p{p-1}(1+2\alpha)e^{2\alpha}\Bigr], \qquad
       d_p^p = \int_0^1 W_p^p(\mu_s, \nu_s)\,ds, \qquad \alpha = \|A\|R^2 $$

    for laws that share the marginal of positions; $p/(p-1)$ is the constant of Hardy's inequality for prefix means,
    and for p = 1 there is none.

    Source: derived; the setting is that of [arXiv:2312.14820](https://arxiv.org/abs/2312.14820).

    Raises:
        BadInput: p <= 1, a radius or norm that is negative or infinite.

    Example:
        >>> from measureflow import theory
        >>> theory.lipschitz_of_causal_attention(form=0.0, radius=1.0)  # prefix means
        2.0
    """
    p = as_number("p", p)
    if not (math.isfinite(p) and p > 1):
        raise BadInput(f"theory: p is {p}; prefix means are bounded for p > 1 only.")
    alpha = _norm("form", form) * _radius(radius) ** 2
    return _norm("value", value) * (alpha + p / (p - 1.0) * (1.0 + 2.0 * alpha) * _exp(2.0 * alpha))


def norms_of_prefix_means(n: int) -> tuple[float, float]:
    r"""Return the $\ell_1$ and the $\ell_2$ norm of the means over prefixes: causal attention without scores.

    $\|C\|_1 = 1 + \frac12 + \dots + \frac1n$ grows for ever, $\|C\|_2 < 2$ (Hardy).

    Source: derived for [arXiv:2312.14820](https://arxiv.org/abs/2312.14820).

    Example:
        >>> from measureflow import theory
        >>> [round(norm, 2) for norm in theory.norms_of_prefix_means(100)]
        [5.19, 1.63]
    """
    count = np.arange(1, as_count("n", n) + 1)
    means = np.tri(len(count)) / count[:, None]
    return float((1.0 / count).sum()), float(np.linalg.norm(means, 2))


def _rows(x: np.ndarray, form: np.ndarray, causal: bool) -> np.ndarray:
    """Return the attention matrix: row i over what token i sees."""
    logits = x @ np.swapaxes(x @ form, -1, -2)
    if causal:
        logits = np.where(np.tri(x.shape[-2], dtype=bool), logits, -np.inf)
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def _worst(form: Any) -> tuple[float, np.ndarray, bool]:
    """Return gamma, the unit eigenvector that has it, and whether its eigenvalue is negative."""
    roots, vectors = np.linalg.eig(as_matrix("form", form, square=True))
    real = np.abs(np.imag(roots)) <= 1e-12 * (1.0 + np.abs(roots))
    gain = np.where(real, np.where(np.real(roots) < 0, -np.real(roots), np.real(roots) / 8.0), 0.0)
    k = int(gain.argmax())
    if not gain[k] > 0:
        raise BadInput("theory: the form has no real eigenvalue other than 0; these adversarial tokens need one.")
    direction = np.real(vectors[:, k])
    return float(gain[k]), direction / np.linalg.norm(direction), bool(np.real(roots[k]) < 0)


def _norm(name: str, matrix: Any) -> float:
    """Return the spectral norm of a matrix; a number is one already."""
    matrix = as_numbers(name, matrix)
    size = float(np.linalg.norm(matrix, 2)) if matrix.ndim == 2 else as_number(name, matrix)
    if not size >= 0:
        raise BadInput(f"theory: {name} is {size}; give a matrix, or its spectral norm, finite and >= 0.")
    return size


def _radius(radius: Any) -> float:
    """Return a radius."""
    return as_finite("radius", radius, 0.0)


def _exp(x: float) -> float:
    """Return `e^x`, infinite where it overflows."""
    return math.exp(x) if x < 709.0 else math.inf

"""Attention under a Gaussian: the integrals in closed form, which make the velocity an affine function."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from measureflow.fields.kernel import AttentionKernel
from measureflow.fields.matrices import Matrix, full
from measureflow.fields.scores import L2, Dot
from measureflow.fields.weightings import Linear, Sinkhorn, Softmax
from measureflow.measures import Gaussian

__all__ = ["attention_on_gaussian", "sinkhorn_conditional"]

Affine = tuple[Float[Array, "d"], Float[Array, "d d"]]


def attention_on_gaussian(mu: Gaussian, kernel: AttentionKernel, value: Matrix) -> Affine | None:
    r"""Return `b` and `B` of the velocity $v(x) = b + Bx$ under $N(m, S)$, or `None` where it is not affine.

    Softmax and linear attention to inner products, softmax to squared distances, Sinkhorn to either; no mask.

    Source: [arXiv:2501.18322](https://arxiv.org/abs/2501.18322); the means are derived here.
    """
    closed = CLOSED.get((type(kernel.weighting), type(kernel.score)))
    truncated = isinstance(kernel.weighting, Sinkhorn) and kernel.weighting.iterations is not None
    if closed is None or kernel.mask is not None or truncated:
        return None
    query, key, value = (full(matrix, mu.d) for matrix in (kernel.query, kernel.key, value))
    return closed(mu, kernel.beta, query, key, value)


def softmax_to_products(mu: Gaussian, beta: Array, query: Array, key: Array, value: Array) -> Affine:
    r"""Return $b = Vm$ and $B = \beta\,V S K^T Q$.

    The query x weighs the law by $e^{\langle a, y\rangle}$ with $a = \beta K^TQx$, and its mean becomes $m + Sa$.
    """
    # S meets K first: where it has died along the keys, rounding must not bring back what the form does not see
    return value @ mu.mean, value @ (beta * mu.cov @ key.T @ query)


def softmax_to_distances(mu: Gaussian, beta: Array, query: Array, key: Array, value: Array) -> Affine:
    r"""Return `b` and `B` under the score $-|Qx - Ky|^2$, whose weights are Gaussian themselves.

    $$ b = V(I + 2\beta SK^TK)^{-1}m, \qquad B = 2\beta\,V(I + 2\beta SK^TK)^{-1}S K^TQ $$
    """
    drawn = jnp.eye(mu.d) + 2.0 * beta * mu.cov @ key.T @ key
    pulled = 2.0 * beta * mu.cov @ key.T @ query
    both = jnp.linalg.solve(drawn, jnp.concatenate([mu.mean[:, None], pulled], axis=1))
    return value @ both[:, 0], value @ both[:, 1:]


def linear_to_products(mu: Gaussian, beta: Array, query: Array, key: Array, value: Array) -> Affine:
    r"""Return $b = 0$ and $B = \beta\,V (S + mm^T) K^T Q$: the second moment is all that linear attention sees."""
    second = mu.cov + jnp.outer(mu.mean, mu.mean)
    return jnp.zeros_like(mu.mean), value @ (beta * second @ key.T @ query)


def sinkhorn_to_products(mu: Gaussian, beta: Array, query: Array, key: Array, value: Array) -> Affine:
    r"""Return $B = V G A$ and $b = Vm - Bm$, with $A = \beta K^TQ$ and the conditional covariance G of the coupling.

    The doubly stochastic coupling of $N(m, S)$ with itself is normal with $\mathrm{Cov}(x, y) = C = S A^T G$, so that
    the mean of y given x is $m + C^TS^{-1}(x - m) = m + GA(x - m)$: softmax attention to a law of covariance G, with
    nothing to invert. See `sinkhorn_conditional`.
    """
    form = beta * key.T @ query
    slope = value @ (beta * sinkhorn_conditional(mu.cov, form) @ key.T @ query)
    return value @ mu.mean - slope @ mu.mean, slope


def sinkhorn_to_distances(mu: Gaussian, beta: Array, query: Array, key: Array, value: Array) -> Affine:
    r"""Return the same with 2A: of $-|Qx - Ky|^2 = 2\langle Qx, Ky\rangle - \dots$ scaling takes all the rest."""
    return sinkhorn_to_products(mu, 2.0 * beta, query, key, value)


@jax.custom_jvp
def sinkhorn_conditional(cov: Float[Array, "d d"], form: Float[Array, "d d"]) -> Float[Array, "d d"]:
    r"""Return $G = S\,h(NS)$ with $N = ASA^T$ and $h(x) = 2/(1 + \sqrt{1 + 4x})$: the positive root of $G + GNG = S$.

    It is the covariance of y given x under the coupling of $N(m, S)$ with itself that maximises $E\langle y, Ax\rangle$
    less relative entropy. Of a root $S = LL^T$ and $L^TA^TL = U\phi W^T$ it is $G = LW\,h(\phi^2)\,W^TL^T$, where S and
    A may be singular. The derivative solves $\dot G + \dot G NG + GN\dot G = \dot S - G\dot NG$: singular values may
    coincide.

    Derived from [arXiv:2501.18322](https://arxiv.org/abs/2501.18322).
    """
    values, vectors = jnp.linalg.eigh(cov)
    root = vectors * jnp.sqrt(jnp.maximum(values, 0.0))
    _, phi, axes = jnp.linalg.svd(root.T @ form.T @ root)
    turned = root @ axes.T
    return turned * (2.0 / (1.0 + jnp.sqrt(1.0 + 4.0 * phi**2))) @ turned.T


@sinkhorn_conditional.defjvp
def sinkhorn_conditional_along(primals: Any, tangents: Any) -> tuple[Array, Array]:
    """Return G and its derivative, from the linear equation that the derivative solves."""
    (cov, form), (cov_dot, form_dot) = primals, tangents
    found = sinkhorn_conditional(cov, form)
    half = form_dot @ cov @ form.T
    reach, reach_dot = form @ cov @ form.T, half + half.T + form @ cov_dot @ form.T
    both, one = found @ reach, jnp.eye(cov.shape[0])
    operator = jnp.kron(one, one) + jnp.kron(one, both) + jnp.kron(both, one)
    moved = jnp.linalg.solve(operator, (cov_dot - found @ reach_dot @ found).ravel())
    return found, moved.reshape(cov.shape)


CLOSED = {
    (Softmax, Dot): softmax_to_products,
    (Softmax, L2): softmax_to_distances,
    (Linear, Dot): linear_to_products,
    (Sinkhorn, Dot): sinkhorn_to_products,
    (Sinkhorn, L2): sinkhorn_to_distances,
}

"""Attention under a Gaussian: the integrals in closed form, which make the velocity an affine function."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from measureflow.measures import Gaussian

__all__ = ["attention_on_gaussian"]


def attention_on_gaussian(
    mu: Gaussian,
    beta: Float[Array, ""],
    query: Float[Array, "k d"],
    key: Float[Array, "k d"],
    value: Float[Array, "d d"],
    *,
    squared: bool,
) -> tuple[Float[Array, "d"], Float[Array, "d d"]]:
    r"""Return `b` and `B` of the softmax velocity $v(x) = b + Bx$ under $N(m, S)$.

    With the dot score the query x weighs the law by $e^{\langle a, y\rangle}$, $a = \beta K^TQx$, whose mean is
    $m + Sa$:

    $$ b = Vm, \qquad B = \beta\,V S K^T Q. $$

    With the score $-|Qx - Ky|^2$ (`squared`) the weights are Gaussian themselves:

    $$ b = V(I + 2\beta SK^TK)^{-1}m, \qquad B = 2\beta\,V(I + 2\beta SK^TK)^{-1}S K^TQ. $$

    Source: [arXiv:2501.18322](https://arxiv.org/abs/2501.18322); the means are derived here.
    """
    pulled = beta * mu.cov @ key.T @ query
    if not squared:
        return value @ mu.mean, value @ pulled
    drawn = jnp.eye(mu.d) + 2.0 * beta * mu.cov @ key.T @ key
    both = jnp.linalg.solve(drawn, jnp.concatenate([mu.mean[:, None], 2.0 * pulled], axis=1))
    return value @ both[:, 0], value @ both[:, 1:]

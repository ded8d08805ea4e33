"""Ranks: in how many directions the tokens of a measure spread."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from measureflow.measures import Tokens
from measureflow.observables.along import along

__all__ = ["effective_rank", "participation_rank"]


def effective_rank(subject: Any, *, centred: bool = False) -> Float[Array, "*s"]:
    r"""Return the exponential of the entropy of the normalised singular values, $\exp(-\sum_k p_k \log p_k)$.

    $p_k = \sigma_k/\sum_l \sigma_l$ with $\sigma_k$ the singular values of the matrix with rows $\sqrt{a_i}\,
    x_i$: the definition of Roy and Vetterli (EUSIPCO 2007). It is 1 for tokens on one line through 0 and d
    for an isotropic cloud. `centred=True` first takes away the mean $\sum_i a_i x_i$. Other definitions:
    `participation_rank`.

    Example:
        >>> import measureflow as mf
        >>> from measureflow.observables import effective_rank
        >>> round(float(effective_rank(mf.equiangular(n=5, cosine=0.0))), 12)
        5.0
    """
    return along(entropy_rank, subject, centred=centred)


def participation_rank(subject: Any, *, centred: bool = False) -> Float[Array, "*s"]:
    r"""Return the participation ratio $(\sum_k \sigma_k^2)^2/\sum_k \sigma_k^4$ of the same singular values.

    It weighs variances where `effective_rank` weighs lengths, so that small directions count for less; they
    agree where all singular values are equal. No decomposition is made.
    """
    return along(variance_rank, subject, centred=centred)


def rows(mu: Tokens, centred: bool) -> Array:
    """Return the matrix with rows `sqrt(a_i) x_i`."""
    points = mu.points - mu.weights @ mu.points if centred else mu.points
    heavy = mu.weights > 0
    root = jnp.where(heavy, jnp.sqrt(jnp.where(heavy, mu.weights, 1.0)), 0.0)
    return root[:, None] * points


def entropy_rank(mu: Tokens, centred: bool) -> Array:
    """Return the effective rank of one measure; 0 for a cloud at the origin."""
    matrix = rows(mu, centred)
    scale = jnp.max(jnp.abs(matrix))
    values = jnp.linalg.svd(matrix / jnp.where(scale > 0, scale, 1.0), compute_uv=False)
    share = values / jnp.where(scale > 0, jnp.sum(values), 1.0)
    some = share > 0
    entropy = -jnp.sum(jnp.where(some, share * jnp.log(jnp.where(some, share, 1.0)), 0.0))
    return jnp.where(scale > 0, jnp.exp(entropy), 0.0)


def variance_rank(mu: Tokens, centred: bool) -> Array:
    """Return the participation ratio, from the smaller Gram matrix; 0 for a cloud at the origin."""
    matrix = rows(mu, centred)
    scale = jnp.max(jnp.abs(matrix))
    matrix = matrix / jnp.where(scale > 0, scale, 1.0)
    gram = matrix.T @ matrix if mu.n >= mu.d else matrix @ matrix.T
    trace = jnp.trace(gram)
    return jnp.where(scale > 0, trace * trace / jnp.where(scale > 0, jnp.sum(gram * gram), 1.0), 0.0)

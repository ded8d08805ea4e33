"""How far an attention matrix is from doubly stochastic: its column sums, and the error of its marginals."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from measureflow.fields import Field
from measureflow.measures import Tokens
from measureflow.observables.along import measure_of
from measureflow.observables.attending import attention

__all__ = ["column_sums", "marginal_error"]


def column_sums(subject: Any, field: Field | None = None) -> Float[Array, "*s n"]:
    r"""Return how much attention each token gets, $\sum_i a_i w_{ij} / a_j$; 1 everywhere where doubly stochastic.

    Of n tokens of equal mass it is the sum over a column of the attention matrix. A token without mass gets 1: its
    column says nothing. `subject` is a measure or a path, `field` one head; a path's own if none is given.

    Source: plotted over training in [arXiv:2110.11773](https://arxiv.org/abs/2110.11773).

    Example:
        >>> import measureflow as mf
        >>> tokens = mf.uniform(mf.Sphere(3), n=5, seed=0)
        >>> [f"{float(one):.2f}" for one in mf.observe.column_sums(tokens, mf.SelfAttention(2.0))]
        ['0.94', '1.04', '1.01', '0.99', '1.02']
    """
    matrices = attention(subject, field)
    return sums_of_columns(matrices, measure_of(subject).weights)


@eqx.filter_jit
def sums_of_columns(matrices: Array, masses: Array) -> Array:
    """Return the masses that arrive, in units of those that are there."""
    arrived = jnp.einsum("...i,...ij->...j", masses, jnp.where(masses[..., :, None] > 0, matrices, 0))
    return jnp.where(masses > 0, arrived / jnp.where(masses > 0, masses, 1), 1)


def marginal_error(subject: Any, field: Field | None = None) -> Float[Array, "*s"]:
    r"""Return the largest error of a row sum (against 1) or of a column sum (see `column_sums`).

    What `weighting="sinkhorn"` keeps below its tolerance; where it does not converge, an error, or NaN along a path.

    Example:
        >>> import measureflow as mf
        >>> tokens = mf.uniform(mf.Sphere(3), n=5, seed=0)
        >>> bool(mf.observe.marginal_error(tokens, mf.SelfAttention(9.0, weighting="sinkhorn")) < 1e-12)
        True
    """
    mu = measure_of(subject)
    matrices = attention(subject, field)
    return worst(matrices, mu.replace(labels=None))


@eqx.filter_jit
def worst(matrices: Array, mu: Tokens) -> Array:
    """Return the worse of both errors, over tokens that are present."""
    rows = jnp.where(mu.present, jnp.abs(jnp.sum(matrices, axis=-1) - 1), 0)
    columns = jnp.abs(sums_of_columns(jnp.where(mu.present[..., :, None], matrices, 0), mu.weights) - 1)
    return jnp.maximum(jnp.max(rows, axis=-1), jnp.max(columns, axis=-1))

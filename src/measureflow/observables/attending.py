"""Who attends to whom: the attention matrix along a path, its rank, its leaders; and what becomes of free tokens."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from measureflow.errors import BadInput
from measureflow.fields import Field, RescaledAttention
from measureflow.measures import Tokens
from measureflow.measures.gaussians import numbers
from measureflow.observables.along import field_of, measure_of

__all__ = ["Unscaled", "attention", "eigenfunctionals", "leaders", "levels", "numerical_rank", "unscaled"]


def attention(subject: Any, field: Field | None = None) -> Float[Array, "*s n n"]:
    """Return the attention matrix `A[i, j]`, the weight of token i on token j, of a measure or along a path.

    A field that changes with depth is taken at each kept depth of the path; for a measure give `field.at(t)`.

    Raises:
        BadInput: the field has no weights (it is no single attention), or there is none.

    Example:
        >>> import measureflow as mf
        >>> path = mf.flow(mf.uniform(mf.Euclidean(1), 6, seed=1), mf.RescaledAttention(), until=9.0, save=[0.0, 9.0])
        >>> mf.observe.numerical_rank(mf.observe.attention(path)).tolist()
        [5, 2]
    """
    field = field_of("attention", subject, field)
    if not hasattr(field, "weights"):
        raise BadInput(f"attention: {type(field).__name__} has no weights; give one head such as mf.SelfAttention.")
    mu = measure_of(subject).replace(labels=None)
    if not mu.batch:
        return weights_at(field, mu, jnp.zeros(()), alone=True)
    depths = jnp.asarray(subject.times)[jnp.asarray(subject.kept)] if hasattr(subject, "times") else None
    if depths is None and not field.autonomous:
        raise BadInput("attention: the field changes with depth; give a path, or field.at(t).")
    return weights_along(field, mu, jnp.zeros(mu.points.shape[0]) if depths is None else depths)


@eqx.filter_jit
def weights_along(field: Any, mu: Tokens, depths: Array) -> Array:
    """Return the matrices at all states, one after the other."""
    return jax.lax.map(lambda state: weights_at(field, state[0], state[1]), (mu, depths))


def weights_at(field: Any, mu: Tokens, t: Array, alone: bool = False) -> Array:
    """Return the matrix of one measure."""
    here = field if field.autonomous or alone else field.at(t)
    return here.weights(mu.points, mu)


def numerical_rank(matrices: Any, within: float = 1e-6) -> Int[np.ndarray, "*s"]:
    """Return how many singular values of each matrix are larger than `within` times the largest."""
    matrices = numbers(matrices, "numerical_rank: matrices")
    if matrices.ndim < 2:
        raise BadInput(f"numerical_rank: the matrices have shape {matrices.shape}; give (.., m, n).")
    values = np.linalg.svd(matrices, compute_uv=False)
    return (values > within * values[..., :1]).sum(axis=-1)


def leaders(subject: Any, field: Field | None = None, *, within: float = 1e-9) -> Bool[np.ndarray, "*s n"]:
    """Return which tokens attend to themselves alone: the leaders of hardmax attention, which never move.

    Example:
        >>> import measureflow as mf
        >>> tokens = mf.Tokens(mf.Euclidean(2), [[2.0, 0.0], [-1.0, 1.0], [0.5, 0.2]])
        >>> mf.observe.leaders(tokens, mf.RescaledAttention(weighting="hardmax")).tolist()
        [True, True, False]
    """
    own = np.diagonal(np.asarray(attention(subject, field)), axis1=-2, axis2=-1)
    return own >= 1.0 - within


class Unscaled(NamedTuple):
    """The tokens `x = e^{tV} z` of a path of rescaled ones: logarithm of the length `(s, n)`, direction `(s, n, d)`."""

    log_norm: Float[Array, "s n"]
    direction: Float[Array, "s n d"]


def unscaled(path: Any) -> Unscaled:
    """Return the free tokens of a path under `mf.RescaledAttention`, whose lengths no float could hold.

    Example:
        >>> import measureflow as mf
        >>> path = mf.flow(mf.uniform(mf.Euclidean(2), 4, seed=0), mf.RescaledAttention(), until=1e3, save=[1e3])
        >>> bool(abs(mf.observe.unscaled(path).log_norm - 1e3).max() < 5)
        True
    """
    field = field_of("unscaled", path, None)
    if not isinstance(field, RescaledAttention):
        raise BadInput(f"unscaled: the path runs under {field!r}; only that of mf.RescaledAttention is rescaled.")
    depths = jnp.asarray(path.times)[jnp.asarray(path.kept)]
    return Unscaled(*lifted(field, path.points, depths))


@eqx.filter_jit
def lifted(field: RescaledAttention, points: Array, depths: Array) -> tuple[Array, Array]:
    """Return lengths and directions at all depths."""
    return jax.lax.map(lambda state: field.at(state[1]).unscaled(state[0]), (points, depths))


def eigenfunctionals(matrix: Any) -> tuple[np.ndarray, np.ndarray]:
    r"""Return the eigenvalues of V and its left eigenvectors, $\varphi^*_k V = \lambda_k \varphi^*_k$, as rows of
    length 1, the largest $|\lambda_k|$ first: `points @ functional` is the coordinate $\varphi^*_k(z)$.

    Example:
        >>> from measureflow.observables import eigenfunctionals
        >>> roots, rows = eigenfunctionals([[2.0, 1.0], [0.0, -1.0]])
        >>> roots.tolist(), abs(rows[1]).round(12).tolist()
        ([2.0, -1.0], [0.0, 1.0])
    """
    matrix = numbers(matrix, "eigenfunctionals: matrix")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise BadInput(f"eigenfunctionals: the matrix has shape {matrix.shape}; give a square one.")
    roots, columns = np.linalg.eig(matrix.T)
    order = np.argsort(-np.abs(roots), kind="stable")
    roots, rows = roots[order], columns[:, order].T
    real = np.isrealobj(roots) or not np.any(np.imag(roots))
    return (np.real(roots), np.real(rows)) if real else (roots, rows)


def levels(values: Any, within: float) -> list[float]:
    """Return the distinct values among numbers, each the middle of a run without a gap larger than `within`.

    Example:
        >>> from measureflow.observables import levels
        >>> levels([0.0, 1.0, 1e-9, 1.0 + 1e-9], within=1e-6)
        [5e-10, 1.0000000005]
    """
    ordered = np.sort(numbers(values, "levels: values").ravel())
    cuts = np.flatnonzero(np.diff(ordered) > within) + 1
    return [0.5 * float(run[0] + run[-1]) for run in np.split(ordered, cuts) if len(run)]

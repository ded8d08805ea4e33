"""How fast sums are tested: a sum and its bound from one compiled program, the truth from NumPy in extended precision.

Programs are what these tests cost. A bound makes the sum that it bounds, so that one program shows both (and a test of
the harmonic sums says that it is the sum `attend` returns); a kernel of which only the exponential is known is the same
to the compiler whatever query and key it was made of.
"""

from __future__ import annotations

from typing import Any
from unittest import mock

import equinox as eqx
import jax
import numpy as np

import measureflow as mf
from measureflow.sums import harmonic


class Known(mf.sums.Kernel):
    """A kernel of which a sum sees the exponential alone."""

    known: mf.sums.Exponential

    def weights(self, x: Any, rank: Any, mu: Any) -> jax.Array:
        raise AssertionError("a fast sum looks at no row of weights")

    def exponential(self) -> mf.sums.Exponential:
        return self.known


@eqx.filter_jit
def summed_and_bounded(sum: mf.sums.Sum, kernel: Known, x: Any, rank: Any, mu: mf.Tokens, values: Any) -> Any:
    made, errors_of = [], harmonic.errors_of

    def kept(*arguments: Any) -> Any:
        made.append(errors_of(*arguments))
        return made[-1]

    with mock.patch.object(harmonic, "errors_of", kept):
        bound = sum.error_bound(kernel, x, mu, values, rank)
    return made[-1][1], bound


def fast(
    field: mf.SelfAttention, x: Any, mu: mf.Tokens, rank: Any = None, values: Any = None
) -> tuple[np.ndarray, float]:
    """Return the sum of the values (default: the points) by the field's own sum, and the bound that it gives."""
    rank = mu.positions if rank is None and field.positional else rank
    known = Known(field.kernel.exponential())
    out, bound = summed_and_bounded(field.sum.settled(field.kernel, mu), known, x, rank, mu, values)
    return np.asarray(out), float(bound)


def true(field: mf.SelfAttention, x: Any, mu: mf.Tokens, rank: Any = None, values: Any = None) -> np.ndarray:
    """Return the same sum as the papers print it, over all pairs, with digits to spare."""
    kernel = field.kernel
    beta, x, y = (np.asarray(a, np.longdouble) for a in (kernel.beta, x, mu.points))
    logits = beta * acted(kernel.query, x) @ acted(kernel.key, y).T
    seen = np.broadcast_to(np.asarray(mu.present), logits.shape)
    if field.positional:
        rank = np.asarray(mu.positions if rank is None else rank)
        seen = seen & (rank[:, None] >= np.asarray(mu.positions))
    normalised = isinstance(kernel.weighting, mf.fields.Softmax)
    if normalised:
        logits = logits - logits.max(axis=1, keepdims=True)
    elif kernel.weighting.shifted:
        logits = logits - beta
    weights = np.where(seen, np.asarray(mu.weights) * np.exp(logits), 0)
    if normalised:
        total = weights.sum(axis=1, keepdims=True)
        weights = weights / np.where(total > 0, total, 1)
    return weights @ (y if values is None else np.asarray(values, np.longdouble))


def acted(matrix: Any, x: np.ndarray) -> np.ndarray:
    """Return a matrix or a number times every row."""
    if matrix is None:
        return x
    matrix = np.asarray(matrix, np.longdouble)
    return matrix * x if matrix.ndim == 0 else x @ matrix.T


def relative(a: Any, b: Any) -> float:
    """Return the largest error beside the largest entry."""
    return float(np.max(np.abs(a - b)) / np.max(np.abs(b)))


def compare(tokens: mf.Tokens, beta: float, degree: int | None, **words: Any) -> tuple[float, float]:
    """Return the error of harmonic sums at the tokens, relative to the largest entry, and its bound."""
    field = mf.SelfAttention(beta, sum=mf.sums.Harmonic(degree=degree), **words)
    out, bound = fast(field, tokens.points, tokens)
    return relative(out, true(field, tokens.points, tokens)), bound

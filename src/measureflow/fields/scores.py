"""Scores: the logit `a(x, y)` of a query on a key, before it is weighted."""

from __future__ import annotations

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from measureflow.errors import BadInput
from measureflow.sums import squared_distances

__all__ = ["L2", "Dot", "Score", "as_score"]


class Score(eqx.Module):
    """How strongly a query looks at a key; multiplied by `beta` to give the logit."""

    @property
    def largest(self) -> float:
        """The largest score of unit vectors without query and key: what a shifted weighting takes out."""
        return 1.0

    def bounds(
        self, q: Float[Array, "m k"], k: Float[Array, "n k"]
    ) -> tuple[Float[Array, "m"], Float[Array, "m"]] | None:
        """Return what each query's scores lie between (least, largest), without the pairs; `None` if unknown.

        Bounds near the largest score spare a pass over all pairs.
        """
        return None

    @abc.abstractmethod
    def __call__(self, q: Float[Array, "m k"], k: Float[Array, "n k"]) -> Float[Array, "m n"]:
        """Return the score of every projected query `Qx` on every projected key `Ky`."""


class Dot(Score):
    r"""The inner product $\langle Qx, Ky\rangle$."""

    def __call__(self, q: Float[Array, "m k"], k: Float[Array, "n k"]) -> Float[Array, "m n"]:
        """Return `q k^T`."""
        return q @ k.T

    def bounds(self, q: Float[Array, "m k"], k: Float[Array, "n k"]) -> tuple[Float[Array, "m"], Float[Array, "m"]]:
        """Return `-|q| max|k|` and `|q| max|k|`, the inequality of Cauchy and Schwarz."""
        largest = jnp.sqrt(jnp.sum(q * q, axis=1) * jnp.max(jnp.sum(k * k, axis=1)))
        return -largest, largest


class L2(Score):
    r"""Minus the squared distance, $-|Qx - Ky|^2$, of [arXiv:2006.04710](https://arxiv.org/abs/2006.04710)."""

    @property
    def largest(self) -> float:
        """Nothing is nearer than 0."""
        return 0.0

    def __call__(self, q: Float[Array, "m k"], k: Float[Array, "n k"]) -> Float[Array, "m n"]:
        """Return `-|q_i - k_j|^2`, from differences."""
        return -squared_distances(q, k)

    def bounds(self, q: Float[Array, "m k"], k: Float[Array, "n k"]) -> tuple[Float[Array, "m"], Float[Array, "m"]]:
        """Return `-(|q| + max|k|)^2` and 0."""
        farthest = jnp.sqrt(jnp.sum(q * q, axis=1)) + jnp.sqrt(jnp.max(jnp.sum(k * k, axis=1)))
        return -(farthest**2), jnp.zeros_like(farthest)


NAMED = {"dot": Dot, "l2": L2}


def as_score(score: str | Score) -> Score:
    """Return the score of a name; an object is returned as it is."""
    if isinstance(score, Score):
        return score
    if isinstance(score, str) and score in NAMED:
        return NAMED[score]()
    raise BadInput(f"score is {score!r}; it must be one of {', '.join(map(repr, NAMED))} or an mf.fields.Score object.")

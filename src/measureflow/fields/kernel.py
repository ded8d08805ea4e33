"""The weights of attention: score, beta, mask and weighting, and what sums need to know of them."""

from __future__ import annotations

import dataclasses
import math
from types import NoneType
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from measureflow.errors import BadInput
from measureflow.fields.masks import Causal, Mask
from measureflow.fields.matrices import Matrix, apply, as_numbers, is_scalar, product
from measureflow.fields.scores import Dot, Score
from measureflow.fields.weightings import Hardmax, Sinkhorn, Softmax, Unnormalised, Weighting
from measureflow.measures import Tokens
from measureflow.spaces import is_traced
from measureflow.sums import Exponential, Kernel, Logits, Tilted

__all__ = ["AttentionKernel", "check_growth", "check_mask", "check_shapes", "checked_beta"]


class AttentionKernel(Kernel):
    r"""The weights $w(x, y_j)$ that a query puts on the atoms: score, `beta`, mask and weighting.

    `beta` is 1 for a weighting that has none. Where the weighting balances, `potential` is what it adds to the logits
    of each atom of the measure that the kernel stands `on`.
    """

    beta: Float[Array, ""]
    query: Matrix
    key: Matrix
    score: Score = eqx.field(static=True)
    weighting: Weighting = eqx.field(static=True)
    mask: Mask | None = eqx.field(static=True)
    potential: Float[Array, "n"] | None = None

    def on(self, mu: Tokens) -> AttentionKernel:
        """Return the kernel for sums over `mu`: itself, or with the potential that balances it there.

        Raises:
            BadInput: the weighting finds no potential.
        """
        if not self.weighting.balances or self.potential is not None:
            return self
        return dataclasses.replace(self, potential=self.weighting.potential(*self.between(mu)))

    def settled(self, mu: Tokens) -> AttentionKernel:
        """Return the kernel with the weighting in the form that serves `mu` best; on the host.

        Raises:
            BadInput: the weighting finds no potential.
        """
        if not self.weighting.balances:
            return self
        return dataclasses.replace(self, weighting=self.weighting.suited(*self.between(mu)))

    def between(self, mu: Tokens) -> tuple[Float[Array, "n n"], Float[Array, "n"]]:
        """Return the logits among the atoms of a measure, and their masses."""
        points, masses = mu.atoms()
        # an absent token may hold anything
        points, masses = jnp.where(mu.present[:, None], points, 0), jnp.where(mu.present, masses, 0)
        return self.logits(points, points), masses

    def logits(self, x: Float[Array, "m d"], y: Float[Array, "n d"]) -> Float[Array, "m n"]:
        """Return the logits of queries on keys, before mask and potential."""
        beta = self.beta.astype(x.dtype)  # a float32 measure stays one
        return beta * self.score(apply(self.query, x), apply(self.key, y))

    def weights(self, x: Float[Array, "m d"], rank: Int[Array, "m"] | None, mu: Tokens) -> Float[Array, "m n"]:
        """Return the rows of weights on mu's atoms; absent tokens get none."""
        points, masses = mu.atoms()
        logits, potential = self.logits(x, points), self.on(mu).potential
        if potential is not None:
            logits = logits + potential
        allowed = jnp.broadcast_to(mu.present[None, :], logits.shape)
        if self.mask is not None and rank is not None:
            allowed = allowed & self.mask(rank, mu.positions)
        return self.weighting(logits, masses, allowed, self.beta.astype(x.dtype) * self.score.largest)

    def exponential(self) -> Exponential | None:
        """Return the kernel as an exponential of the inner product, or of the form that query and key make."""
        plain = isinstance(self.score, Dot) and isinstance(self.weighting, (Softmax, Unnormalised))
        if not (plain and isinstance(self.mask, (Causal, NoneType))):
            return None
        numbers = is_scalar(self.query) and is_scalar(self.key)
        factors = [factor for factor in (self.query, self.key) if factor is not None]
        shifted = isinstance(self.weighting, Unnormalised) and self.weighting.shifted
        form, roundings = None, None
        if not numbers:
            query, key = (jnp.ones(()) if factor is None else factor for factor in (self.query, self.key))
            form = self.beta * product(query.T, key)
            rows = max(factor.shape[0] for factor in factors if factor.ndim == 2)
            sizes = [jnp.sqrt(jnp.sum(factor**2)) for factor in factors]
            roundings = (rows + 2 * form.shape[1]) * math.prod(sizes, start=self.beta)
        return Exponential(
            concentration=math.prod(factors, start=self.beta) if numbers else None,
            shift=self.beta if shifted else jnp.zeros_like(self.beta),
            normalised=isinstance(self.weighting, Softmax),
            causal=self.mask is not None,
            form=form,
            roundings=roundings,
        )

    def tilted(self, x: Float[Array, "m d"], rank: Int[Array, "m"] | None, mu: Tokens) -> Tilted | None:
        """Return the kernel's parts, where the weighting is an exponential."""
        if not isinstance(self.weighting, (Softmax, Unnormalised, Sinkhorn)):
            return None
        points, masses = mu.atoms()
        potential = self.on(mu).potential
        beta = self.beta.astype(x.dtype)
        shifted = isinstance(self.weighting, Unnormalised) and self.weighting.shifted
        queries = apply(self.query, x)
        # an absent token may hold anything
        keys = apply(self.key, jnp.where(mu.present[:, None], points, 0))
        logits = AttentionLogits(self.score, self.mask)
        if potential is not None:
            logits, keys = BalancedLogits(self.score, self.mask), jnp.concatenate([keys, potential[:, None]], axis=1)
        return Tilted(
            logits=logits,
            normalised=not isinstance(self.weighting, Unnormalised),
            symmetric=isinstance(self.score, Dot)
            and is_scalar(self.query)
            and is_scalar(self.key)
            and potential is None,
            scale=beta,
            shift=beta * self.score.largest if shifted else jnp.zeros_like(beta),
            queries=queries,
            keys=keys,
            masses=jnp.where(mu.present, masses, 0),
            complete=jnp.all(mu.present),
            rank=rank,
            positions=mu.positions,
        )


class AttentionLogits(Logits):
    """The logits of an attention kernel: `scale` times the score, behind the mask."""

    score: Score = eqx.field(static=True)
    mask: Mask | None = eqx.field(static=True)

    def __call__(self, scale: Float[Array, ""], q: Float[Array, "m k"], k: Float[Array, "n k"]) -> Float[Array, "m n"]:
        """Return the scaled scores; the inner product takes the scale with its queries, which are fewer."""
        return (scale * q) @ k.T if isinstance(self.score, Dot) else scale * self.score(q, k)

    def bounds(
        self, scale: Float[Array, ""], q: Float[Array, "m k"], k: Float[Array, "n k"]
    ) -> tuple[Float[Array, "m"], Float[Array, "m"]] | None:
        """Return the scaled bounds of the score; beta is not negative."""
        bounds = self.score.bounds(q, k)
        return None if bounds is None else (scale * bounds[0], scale * bounds[1])

    @property
    def masked(self) -> bool:
        """Whether there is a mask."""
        return self.mask is not None

    def seen(self, rank: Int[Array, "m"], position: Int[Array, "n"]) -> Bool[Array, "m n"]:
        """Return what the mask lets through."""
        assert self.mask is not None
        return self.mask(rank, position)


class BalancedLogits(AttentionLogits):
    """The same with a potential added, which stands behind the key of each atom."""

    def __call__(self, scale: Float[Array, ""], q: Float[Array, "m k"], k: Float[Array, "n k+1"]) -> Array:
        """Return the scaled scores plus the potentials."""
        return super().__call__(scale, q, k[:, :-1]) + k[:, -1]

    def bounds(
        self, scale: Float[Array, ""], q: Float[Array, "m k"], k: Float[Array, "n k+1"]
    ) -> tuple[Float[Array, "m"], Float[Array, "m"]] | None:
        """Return the bounds of the scaled score, each with that of the potentials."""
        bounds = super().bounds(scale, q, k[:, :-1])
        return None if bounds is None else (bounds[0] + jnp.min(k[:, -1]), bounds[1] + jnp.max(k[:, -1]))


def checked_beta(beta: Any, weighting: Weighting, largest_score: float = 1.0) -> Array:
    """Return beta as an array; raise `BadInput` where it is no inverse temperature.

    Where the weighting has none, `None` is 1, and hardmax has none.
    """
    if beta is None and not weighting.temperate:
        return jnp.ones(())
    if isinstance(weighting, Hardmax):
        raise BadInput(f"beta is {beta!r} and hardmax has none: it is the limit of an infinite beta. Leave beta out.")
    array = as_numbers(beta, "beta", "a number >= 0")
    if array.ndim != 0:
        raise BadInput(f"beta has shape {array.shape}; it is one number (use jax.vmap for several).")
    if is_traced(array):
        return array
    number = float(array)
    if not np.isfinite(number) or number < 0:
        raise BadInput(
            f"beta is {number}; it is an inverse temperature and must be finite and >= 0. "
            f"Repulsion is value=-1; attending to the opposite is query=-1."
        )
    if number * largest_score > weighting.largest_beta:
        raise BadInput(
            f"beta is {number:g} and e^beta overflows above {weighting.largest_beta:g}. "
            f"Use weighting=mf.fields.Unnormalised(shifted=True), or e^(beta(<x,y>-1)); its clock is slower by e^beta."
        )
    return array


def check_shapes(query: Matrix, key: Matrix, value: Matrix) -> None:
    """Raise `BadInput` unless query and key have equally many rows and value is square."""
    rows = [m.shape[0] for m in (query, key) if m is not None and m.ndim == 2]
    if len(rows) == 2 and rows[0] != rows[1]:
        raise BadInput(f"query has {rows[0]} rows and key {rows[1]}; both map into the same R^k.")
    if len(rows) == 1:
        wide = query if query is not None and query.ndim == 2 else key
        if wide is not None and wide.shape[0] != wide.shape[1]:
            raise BadInput(
                f"one of query and key is {wide.shape} and the other a number; give both as matrices (k, d)."
            )
    if value is not None and value.ndim == 2 and value.shape[0] != value.shape[1]:
        raise BadInput(f"value has shape {value.shape}; a velocity needs a square matrix (d, d).")


def check_mask(kernel: AttentionKernel) -> None:
    """Raise `BadInput` where a weighting balances rows and columns behind a mask."""
    if kernel.mask is not None and kernel.weighting.balances:
        raise BadInput(
            f"mask is {kernel.mask!r} and weighting {kernel.weighting!r}: rows and columns of a triangular matrix sum "
            f"to 1 only if it is the identity, so no token would see another. Take mask=None, or weighting='softmax'."
        )


def check_growth(kernel: AttentionKernel) -> None:
    """Raise `BadInput` where query and key raise the logits of unit vectors so that unnormalised weights overflow."""
    weighting = kernel.weighting
    if not isinstance(weighting, Unnormalised) or not isinstance(kernel.score, Dot) or is_traced(kernel):
        return
    if kernel.query is None and kernel.key is None:
        return
    query, key = (1.0 if matrix is None else np.asarray(matrix) for matrix in (kernel.query, kernel.key))
    form = product(np.transpose(query), key)
    size = float(np.abs(form) if np.ndim(form) == 0 else np.linalg.norm(form, 2))
    largest = float(kernel.beta) * (size - (1.0 if weighting.shifted else 0.0))
    if largest > 700.0:
        raise BadInput(
            f"beta is {float(kernel.beta):g} and |Q^T K| is {size:g}: the unnormalised weights reach e^{largest:g} and "
            f"overflow above e^700. Use weighting='softmax', or query and key of norm 1."
        )

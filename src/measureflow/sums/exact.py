"""The exact pair sum: blocks of queries against all atoms, in memory linear in the number of tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from measureflow.errors import BadInput
from measureflow.measures import Tokens
from measureflow.sums.gaps import weighted_gaps
from measureflow.sums.sum import Kernel, Sum

__all__ = ["Exact"]

# one block of weights holds at most this many numbers: 4 MiB in float64, which stays in a core's cache share
BLOCK_ENTRIES = 1 << 19


class Exact(Sum):
    """Sum every pair, up to rounding: error a few units in the last place times the largest entry.

    Queries are taken in blocks and the blocks are rematerialised in the backward pass, so that memory is linear in the
    number of tokens both ways.

    Arguments:
        block: queries per block; `None` chooses what fits the cache.

    Example:
        >>> import measureflow as mf
        >>> field = mf.SelfAttention(beta=9.0, sum=mf.sums.Exact(block=128))
    """

    block: int | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        number = isinstance(self.block, (int, np.integer)) and not isinstance(self.block, bool)
        if self.block is not None and not (number and self.block >= 1):
            raise BadInput(f"Exact: block is {self.block!r}; it must be a number of queries, at least 1.")

    def attend(
        self,
        kernel: Kernel,
        x: Float[Array, "m d"],
        rank: Int[Array, "m"] | None,
        mu: Tokens,
        values: Float[Array, "n v"],
    ) -> Float[Array, "m v"]:
        """Return `sum_j w(x, y_j) values_j` by a matrix product per block."""
        return self.over_blocks(lambda xs, ranks: kernel.weights(xs, ranks, mu) @ values, x, rank, mu.n)

    def pull(
        self, kernel: Kernel, x: Float[Array, "m d"], rank: Int[Array, "m"] | None, mu: Tokens
    ) -> tuple[Float[Array, "m d"], Float[Array, "m"]]:
        """Return `sum_j w (y_j - x)` and `sum_j w`, the differences taken before they are summed.

        A token's pull on itself is exactly zero, and the pull of a token at distance 1e-200 keeps its digits, which
        `sum_j w y_j - x sum_j w` would lose.
        """

        # The compiler may compute a point twice, once as query and once as atom, with different rounding: where the
        # queries are the atoms the zero of a token's gap to itself is put in, or speeds below 1e-16 would be noise.
        index = jnp.arange(x.shape[0]) if x is mu.points else None

        def rows(xs: Array, beside: tuple[Array | None, Array | None]) -> tuple[Array, Array]:
            ranks, own = beside
            weights = kernel.weights(xs, ranks, mu)
            pulling = weights if own is None else jnp.where(own[:, None] == jnp.arange(mu.n)[None, :], 0, weights)
            return weighted_gaps(pulling, xs, mu.points), jnp.sum(weights, axis=1)

        return self.over_blocks(rows, x, (rank, index), mu.n)

    def floor(self, kernel: Kernel, mu: Tokens) -> Float[Array, ""]:
        """Return 0: differences are taken before they are summed."""
        return jnp.zeros((), mu.points.dtype)

    def settled(self, kernel: Kernel, mu: Tokens) -> Exact:
        """Return this sum: nothing is chosen from values."""
        return self

    def explain(self, kernel: Kernel, mu: Tokens) -> str:
        """Say that every pair is summed."""
        return f"{self!r}: every one of {mu.n:,} x {mu.n:,} pairs, up to rounding."

    def over_blocks(self, rows: Callable[[Array, Any], Any], x: Array, beside: Any, n: int) -> Any:
        """Apply `rows` to blocks of queries (and of the arrays beside them) and join the results.

        Each block is recomputed in the backward pass.
        """
        m = x.shape[0]
        block = self.block or max(1, BLOCK_ENTRIES // max(n, 1))
        if m <= block:
            return rows(x, beside)
        count = -(-m // block)
        padding = count * block - m

        def split(a: Array) -> Array:
            # the last block is filled up with copies of the last query, whose rows are dropped below
            filled = jnp.concatenate([a, jnp.repeat(a[-1:], padding, axis=0)]) if padding else a
            return filled.reshape(count, block, *a.shape[1:])

        body = jax.checkpoint(lambda pair: rows(*pair))
        out = jax.lax.map(body, (split(x), jax.tree.map(split, beside)))
        return jax.tree.map(lambda a: a.reshape(count * block, *a.shape[2:])[:m], out)

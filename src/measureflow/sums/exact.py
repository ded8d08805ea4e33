"""The exact pair sum: blocks of queries against all atoms, in memory linear in the number of tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from measureflow.errors import BadInput
from measureflow.measures import Tokens
from measureflow.sums.blocks import joined, split
from measureflow.sums.fused import HALF, fused_sums, suits
from measureflow.sums.gaps import weighted_gaps
from measureflow.sums.sum import Kernel, Sum
from measureflow.sums.tilted import Tilted

__all__ = ["Exact"]

# one block of weights holds at most this many numbers: 4 MiB in float64, which stays in a core's cache share
BLOCK_ENTRIES = 1 << 19
# queries and atoms of a tile: on a CPU its weights stay in the cache share (4 MiB) and its products are large enough
# to run at full speed; an accelerator has to be kept busy instead
CPU_TILE = (512, 1024)
ACCELERATOR_TILE = (4096, 8192)
# beyond this dimension the gaps are summed by matrix products where that costs no digits
WIDE = 8
# such a sum is trusted where it is at least this part of what cancels in it
TRUSTED = 1 / 16


class Exact(Sum):
    """Sum every pair, up to rounding: error a few units in the last place times the largest entry.

    Pairs are taken in tiles that are computed again in the backward pass, so that memory is linear in the number of
    tokens both ways.

    Arguments:
        block: queries, and atoms, per tile; `None` chooses what suits the device.

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
        """Return `sum_j w(x, y_j) values_j` by matrix products."""
        exponential = kernel.exponential() if x.dtype in HALF else None
        if exponential is not None and suits(exponential, x, values, jax.default_backend()):
            return fused_sums(exponential, x, mu, values)
        tilted = kernel.tilted(x, rank, mu) if self.tiled(x.shape[0], mu.n) else None
        if tilted is None:
            return self.over_blocks(lambda xs, ranks: kernel.weights(xs, ranks, mu) @ values, x, rank, mu.n)
        values = jnp.where(mu.present[:, None], values, 0)
        return tilted.sums(values, self.tile(), own=x is mu.points)[0]

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

        tilted = kernel.tilted(x, rank, mu) if mu.d > WIDE and self.tiled(x.shape[0], mu.n) else None
        if tilted is None:
            return self.over_blocks(rows, x, (rank, index), mu.n)
        pulled, total, trusted = self.product_pull(tilted, x, mu)

        def corrected(xs: Array, beside: Any) -> tuple[Array, Array]:
            ranks, own, pulled, total, trusted = beside
            return jax.lax.cond(
                jnp.all(trusted),
                lambda: (pulled, total),
                lambda: self.over_blocks(rows, xs, (ranks, own), mu.n),
            )

        return self.over_blocks(corrected, x, (rank, index, pulled, total, trusted), mu.n, self.tile()[0])

    def product_pull(
        self, tilted: Tilted, x: Float[Array, "m d"], mu: Tokens
    ) -> tuple[Float[Array, "m d"], Float[Array, "m"], Bool[Array, "m"]]:
        """Return `sum_j w y_j - x sum_j w`, `sum_j w`, and which rows have lost no digits by that.

        Its rounding error is a few units of `sum_j w (|y_j| + |x|)`. Where that is at most 1/TRUSTED times the result,
        the error is 1/TRUSTED times that of the sum of differences at worst.
        """
        points = jnp.where(mu.present[:, None], mu.points, 0)
        sizes = jnp.sqrt(jnp.sum(points**2, axis=1, keepdims=True))
        own = x is mu.points
        columns = jnp.concatenate([points, jax.lax.stop_gradient(sizes)], axis=1)
        sums, norm, whole = tilted.sums(columns, self.tile(), own=own, apart=own)
        pulled = sums[:, :-1] - norm[:, None] * x
        cancelled = sums[:, -1] + norm * jnp.sqrt(jnp.sum(x * x, axis=1))
        square = jnp.sum(jax.lax.stop_gradient(pulled) ** 2, axis=1)
        trusted = square >= (TRUSTED * jax.lax.stop_gradient(cancelled)) ** 2
        return pulled, whole, trusted

    def tiled(self, m: int, n: int) -> bool:
        """Tell whether the pairs are more than one block."""
        return m * n > BLOCK_ENTRIES if self.block is None else m > self.block

    def tile(self) -> tuple[int, int]:
        """Return how many queries and atoms a tile has."""
        if self.block is not None:
            return self.block, self.block
        return CPU_TILE if jax.default_backend() == "cpu" else ACCELERATOR_TILE

    def floor(self, kernel: Kernel, mu: Tokens) -> Float[Array, ""]:
        """Return 0: differences are taken before they are summed."""
        return jnp.zeros((), mu.points.dtype)

    def settled(self, kernel: Kernel, mu: Tokens) -> Exact:
        """Return this sum: nothing is chosen from values."""
        return self

    def explain(self, kernel: Kernel, mu: Tokens) -> str:
        """Say that every pair is summed."""
        return f"{self!r}: every one of {mu.n:,} x {mu.n:,} pairs, up to rounding."

    def over_blocks(
        self, rows: Callable[[Array, Any], Any], x: Array, beside: Any, n: int, block: int | None = None
    ) -> Any:
        """Apply `rows` to blocks of queries (and of the arrays beside them) and join the results.

        Each block is recomputed in the backward pass.
        """
        m = x.shape[0]
        block = block or self.block or max(1, BLOCK_ENTRIES // max(n, 1))
        if m <= block:
            return rows(x, beside)
        count = -(-m // block)
        body = jax.checkpoint(lambda pair: rows(*pair))
        blocks = jax.tree.map(lambda a: split(a, count, -(-m // count), fill=a[-1:]), (x, beside))
        return jax.tree.map(lambda a: joined(a, m), jax.lax.map(body, blocks))

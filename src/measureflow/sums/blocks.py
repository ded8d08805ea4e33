"""Sums over many tokens in blocks that fit the cache, whose partial sums are added in a tree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

__all__ = ["at_once", "joined", "mapped_rows", "split", "summed_blocks", "tree_sum"]


def at_once() -> int | None:
    """Return how many blocks are taken together: one on a processor, whose cache they fit; many keep a GPU busy."""
    return None if jax.default_backend() == "cpu" else 64


def split(a: Array, count: int, size: int, fill: Array | None = None) -> Array:
    """Return `(count, size, ...)` blocks of the rows of `a`, filled up with zeros, or with copies of the row `fill`.

    Block s holds the rows s, s + count, s + 2 count, ...: where the rows are sharded over devices, each device holds
    its share of every block.
    """
    padding = count * size - a.shape[0]
    if padding:
        rest = (padding, *a.shape[1:])
        a = jnp.concatenate([a, jnp.zeros(rest, a.dtype) if fill is None else jnp.broadcast_to(fill, rest)])
    return jnp.swapaxes(a.reshape(size, count, *a.shape[1:]), 0, 1)


def summed_blocks(partial: Callable[..., Any], arrays: tuple[Array, ...], size: int) -> Any:
    """Return the sum of `partial(*block)` over blocks of `size` rows; zero rows must contribute nothing.

    The blocks are recomputed in the backward pass.
    """
    n = arrays[0].shape[0]
    if n <= size:
        return partial(*(split(a, 1, size)[0] for a in arrays))
    count = -(-n // size)
    blocks = tuple(split(a, count, size) for a in arrays)
    parts = jax.lax.map(jax.checkpoint(lambda block: partial(*block)), blocks, batch_size=at_once())
    return jax.tree.map(tree_sum, parts)


def mapped_rows(rows: Callable[..., Array], arrays: tuple[Array, ...], size: int) -> Array:
    """Return `rows(*arrays)` computed for blocks of `size` rows, recomputed in the backward pass."""
    n = arrays[0].shape[0]
    if n <= size:
        return rows(*arrays)
    count = -(-n // size)
    blocks = tuple(split(a, count, size) for a in arrays)
    return joined(jax.lax.map(jax.checkpoint(lambda block: rows(*block)), blocks, batch_size=at_once()), n)


def joined(blocks: Array, n: int) -> Array:
    """Return the `n` rows that `split` has put into blocks, in their order."""
    return jnp.swapaxes(blocks, 0, 1).reshape(-1, *blocks.shape[2:])[:n]


def tree_sum(parts: Array) -> Array:
    """Return the sum over the leading axis by halves: the rounding error grows with the logarithm of their number."""
    while parts.shape[0] > 1:
        half = parts.shape[0] // 2
        rest = parts[2 * half :]
        parts = (
            jnp.concatenate([parts[:half] + parts[half : 2 * half], rest])
            if rest.shape[0]
            else (parts[:half] + parts[half:])
        )
    return parts[0]

"""Sums over the first atoms only, with any expansion: running moments of long strips, and the rest by pairs.

A strip is as long as its moments, so that all of them take no more memory than a few copies of the atoms. Queries that
have seen equally many whole strips are evaluated together, by matrix products.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

__all__ = ["Strips", "strip_sums", "unit"]

#: numbers of moments per atom of a strip
MOMENTS = 8
#: the shortest strip: below it pairs cost no more than the moments
SHORTEST = 256


class Strips(NamedTuple):
    """How a strip is summed: `moments(atoms, columns)`, `whole(moments, x)`, and the weights `near(x, atoms)`."""

    moments: Callable[[Array, Array], Any]
    whole: Callable[[Any, Array], Array]
    near: Callable[[Array, Array], Array]


def strip_sums(
    how: Strips,
    x: Float[Array, "m d"],
    atoms: Float[Array, "n d"],
    columns: Float[Array, "n v"],
    seen: Int[Array, "m"],
) -> Float[Array, "m v"]:
    """Return for each query the sum over the first `seen` atoms."""
    n, width = columns.shape
    length = strip_length(how, atoms, columns)
    # one strip more than is full, so that the strip after the last full one exists
    strips = n // length + 1
    padding = ((0, strips * length - n), (0, 0))
    atoms = jnp.pad(atoms, padding).reshape(strips, length, -1)
    columns = jnp.pad(columns, padding).reshape(strips, length, width)
    block = length // 2
    strip = seen // length
    order = jnp.argsort(strip)
    counts = jnp.bincount(strip, length=strips)
    filled = -(-counts // block)
    ends, until = jnp.cumsum(filled), jnp.cumsum(counts)
    # queries fill blocks, of one strip each; the last block of a strip may have room left
    blocks = -(-x.shape[0] // block) + strips
    own = jnp.minimum(jnp.searchsorted(ends, jnp.arange(blocks), side="right"), strips - 1)
    first = (until - counts)[own] + (jnp.arange(blocks) - (ends - filled)[own]) * block
    members = order[jnp.minimum(first[:, None] + jnp.arange(block), x.shape[0] - 1)]

    def rows(given: tuple) -> Array:
        x, rest, atoms, columns, moments = given
        weights = jnp.where(jnp.arange(length) < rest[:, None], how.near(x, atoms), 0)
        near = weights @ columns
        return near if moments is None else near + how.whole(moments, x)

    before = None
    if strips > 1:
        moments = jax.lax.map(jax.checkpoint(lambda strip: how.moments(*strip)), (atoms[:-1], columns[:-1]))
        running = jax.tree.map(lambda a: jax.lax.associative_scan(jnp.add, a, axis=0), moments)
        before = jax.tree.map(lambda a: jnp.concatenate([jnp.zeros_like(a[:1]), a])[own], running)
    out = jax.lax.map(jax.checkpoint(rows), (x[members], (seen % length)[members], atoms[own], columns[own], before))
    place = jnp.zeros_like(order).at[order].set(jnp.arange(x.shape[0])) - (until - counts)[strip]
    return out[(ends - filled)[strip] + place // block, place % block]


def strip_length(how: Strips, atoms: Float[Array, "n d"], columns: Float[Array, "n v"]) -> int:
    """Return a power of two, so long that a strip's moments are `MOMENTS` numbers per atom at most."""
    shapes = jax.eval_shape(how.moments, atoms[:1], columns[:1])
    size = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))
    return max(SHORTEST, 2 ** math.ceil(math.log2(max(size, 1) / MOMENTS)))


def unit(x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
    """Return the points on the sphere; the zeros of padding stay."""
    size = jnp.sqrt(jnp.sum(x**2, axis=-1, keepdims=True))
    return x / jnp.where(size > 0, size, 1)

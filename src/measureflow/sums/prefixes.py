"""Sums over the first atoms only, on the circle: what a causal mask asks for, in `O(n K)` instead of `O(n²)`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from measureflow.sums.blocks import mapped_rows
from measureflow.sums.circle import Circle
from measureflow.sums.strips import unit

__all__ = ["prefix_sums"]

#: atoms per strip: whole strips are summed by their moments, the atoms of the last one each by each
STRIP = 32
#: atoms, and queries, that are worked on at once
BLOCK = 2048


def prefix_sums(
    circle: Circle,
    c: Float[Array, ""],
    x: Float[Array, "m 2"],
    y: Float[Array, "n 2"],
    columns: Float[Array, "n v"],
    seen: Int[Array, "m"],
) -> Float[Array, "m v"]:
    """Return for each query the sum over the first `seen` atoms, by running sums of the strips' moments."""
    n, width = columns.shape
    # one strip more than is full, so that the strip after the last full one exists
    strips = n // STRIP + 1
    padding = ((0, strips * STRIP - n), (0, 0))
    y = jnp.pad(y, padding).reshape(strips, STRIP, 2)
    columns = jnp.pad(columns, padding).reshape(strips, STRIP, width)

    def products(y: Array, columns: Array) -> Array:
        return circle.products(y.reshape(-1, 2), columns.reshape(-1, width), STRIP)

    running = jax.lax.associative_scan(jnp.add, mapped_rows(products, (y, columns), BLOCK // STRIP), axis=0)
    before = jnp.concatenate([jnp.zeros_like(running[:1]), running[:-1]])
    moments = circle.joined(before.reshape(strips * width, *before.shape[2:]))
    series = circle.series(moments, c)
    series = series.reshape(strips, width, *series.shape[1:])
    y = unit(y)

    def rows(x: Array, seen: Array) -> Array:
        strip, rest = seen // STRIP, seen % STRIP
        coarse, fine = circle.waves(x, circle.degree)
        whole = jnp.einsum("mvpq,pm,qm->mv", series[strip], coarse, fine)
        x, near = unit(x), y[strip]
        gaps = (near[..., 0] - x[:, None, 0]) ** 2 + (near[..., 1] - x[:, None, 1]) ** 2
        weights = jnp.where(jnp.arange(STRIP) < rest[:, None], jnp.exp(-0.5 * c * gaps), 0)
        return whole + jnp.einsum("ms,msv->mv", weights, columns[strip])

    return mapped_rows(rows, (x, seen), BLOCK)

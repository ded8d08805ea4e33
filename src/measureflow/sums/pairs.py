r"""The pair sums $\sum_j e^{c(\langle x, y_j\rangle - 1)} g_j$ by an expansion; derivatives are such sums.

The derivative of the kernel in x is the kernel times $c\,y$: so the derivative of a sum is a sum with other columns.
That keeps memory linear in both passes, and is smooth where the expansion's own coordinates are not (the poles of S²).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from measureflow.sums.circle import Circle
from measureflow.sums.expansion import Expansion, lifted
from measureflow.sums.prefixes import prefix_sums
from measureflow.sums.strips import Strips, strip_sums, unit

__all__ = ["lifted_sums", "plain_sums"]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def plain_sums(
    expansion: Expansion,
    c: Float[Array, ""],
    x: Float[Array, "m d"],
    y: Float[Array, "n d"],
    columns: Float[Array, "n v"],
    seen: Int[Array, "m"] | None = None,
) -> Float[Array, "m v"]:
    """Return the sums at each query; with `seen`, over the first `seen` atoms only. c >= 0."""
    if isinstance(expansion, Circle) and seen is not None:
        return prefix_sums(expansion, c, x, y, columns, seen)
    if seen is not None:

        def near(x: Array, y: Array) -> Array:
            return jnp.exp(c * (unit(x) @ unit(y).T - 1.0))

        def whole(moments: Any, x: Array) -> Array:
            return expansion.evaluate(expansion.series(moments, c), x)

        return strip_sums(Strips(expansion.moments, whole, near), x, y, columns, seen)
    return expansion.evaluate(expansion.series(expansion.moments(y, columns), c), x)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def lifted_sums(
    expansion: Expansion,
    c: Float[Array, ""],
    x: Float[Array, "m d"],
    y: Float[Array, "n d"],
    columns: Float[Array, "n v"],
    seen: Int[Array, "m"] | None = None,
) -> Float[Array, "m 1+d v"]:
    """Return the sums of the columns, and of the columns times each coordinate of the atoms.

    On circle and S² the latter cost no further pass over the atoms: their moments are neighbours of the columns' own.
    """
    if seen is not None:
        return unpacked(plain_sums(expansion, c, x, y, lifted(columns, y), seen), x.shape[1])
    series = expansion.series(expansion.lifted_moments(y, columns), c)
    return unpacked(expansion.evaluate(series, x), x.shape[1])


@plain_sums.defjvp
def plain_sums_jvp(expansion: Expansion, primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    """Return the sums and their derivative, itself made of sums."""
    c, x, y, columns, seen = primals
    dc, dx, dy, dcolumns, _ = tangents
    both = lifted_sums(expansion, c, x, y, columns, seen)
    value, moved = both[:, 0], both[:, 1:]
    turned = jnp.concatenate([dcolumns, lifted(columns, dy)[:, columns.shape[1] :]], axis=1)
    pushed = unpacked(plain_sums(expansion, c, x, y, turned, seen), x.shape[1])
    tangent = pushed[:, 0] + c * jnp.einsum("md,mdv->mv", x, pushed[:, 1:])
    tangent = tangent + c * jnp.einsum("md,mdv->mv", dx, moved)
    return value, tangent + dc * (jnp.einsum("md,mdv->mv", x, moved) - value)


@lifted_sums.defjvp
def lifted_sums_jvp(expansion: Expansion, primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    """Return the lifted sums and their derivative: those of the plain sums with the lifted columns."""
    seen = primals[-1]

    def spelled_out(c: Array, x: Array, y: Array, columns: Array) -> Array:
        return unpacked(plain_sums(expansion, c, x, y, lifted(columns, y), seen), x.shape[1])

    return jax.jvp(spelled_out, primals[:-1], tangents[:-1])


def unpacked(sums: Float[Array, "m w"], d: int) -> Float[Array, "m 1+d v"]:
    """Return the sums of lifted columns with the coordinate as an axis of its own."""
    return sums.reshape(sums.shape[0], 1 + d, -1)

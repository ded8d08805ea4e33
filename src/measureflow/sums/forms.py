r"""The pair sums $\sum_j e^{\langle x, z_j\rangle - r} g_j$ for vectors $z_j$ of any length up to r: query-key forms.

With $z = r_j u$, $|u| = 1$, each token has a concentration of its own: $e^{r_j \langle x, u\rangle}$ has the same
harmonics as $e^{r \langle x, u\rangle}$ with smaller coefficients. So a degree that is high enough for the longest is
for all, at the same bound, and a token of length 0 counts in the mean alone, whatever its direction.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from measureflow.sums.expansion import lifted
from measureflow.sums.hypersphere import Hypersphere
from measureflow.sums.pairs import unpacked
from measureflow.sums.strips import Strips, strip_sums

__all__ = ["form_sums", "longest"]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def form_sums(
    expansion: Hypersphere,
    top: Float[Array, ""],
    x: Float[Array, "m d"],
    z: Float[Array, "n d"],
    columns: Float[Array, "n v"],
    seen: Int[Array, "m"] | None = None,
) -> Float[Array, "m v"]:
    """Return the sums at each query; with `seen`, over the first `seen` atoms only. No `z` is longer than `top`."""

    def moments(z: Array, columns: Array) -> list[Array]:
        lengths = jnp.sqrt(jnp.sum(z * z, axis=1))
        return expansion.moments(z, columns, jnp.minimum(lengths, top), top)

    if seen is None:
        return expansion.evaluate(moments(z, columns), x)

    def near(x: Array, z: Array) -> Array:
        return jnp.exp(x @ z.T - top)

    return strip_sums(Strips(moments, expansion.evaluate, near), x, z, columns, seen)


@form_sums.defjvp
def form_sums_jvp(expansion: Hypersphere, primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    """Return the sums and their derivative, itself made of sums."""
    top, x, z, columns, seen = primals
    dtop, dx, dz, dcolumns, _ = tangents
    both = unpacked(form_sums(expansion, top, x, z, lifted(columns, z), seen), x.shape[1])
    value, moved = both[:, 0], both[:, 1:]
    turned = jnp.concatenate([dcolumns, lifted(columns, dz)[:, columns.shape[1] :]], axis=1)
    pushed = unpacked(form_sums(expansion, top, x, z, turned, seen), x.shape[1])
    tangent = pushed[:, 0] + jnp.einsum("md,mdv->mv", x, pushed[:, 1:]) - dtop * value
    return value, tangent + jnp.einsum("md,mdv->mv", dx, moved)


def longest(z: Float[Array, "n d"]) -> Float[Array, ""]:
    """Return the largest length, as a constant: the sums are kept in units of its exponential."""
    return jax.lax.stop_gradient(jnp.sqrt(jnp.max(jnp.sum(z * z, axis=1), initial=0.0)))

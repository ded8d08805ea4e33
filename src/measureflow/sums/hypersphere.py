r"""Harmonic sums on the unit sphere of R^d: $\sum_j e^{c(\langle x, y_j\rangle - 1)} g_j$, one moment a harmonic.

For each m the harmonics are products of `F_lm`, l = m.., with the harmonics of degree m of the sphere below
(`nested.py`): moments and series are one matrix product for each m. There are `O(L^(d-1))` of them, the least possible:
they pay up to d = 6. Unlike the products on circle and S², they know their degree, so that every token may have a
concentration of its own (`forms.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from measureflow.sums.bessel import harmonics_of_degree, hypersphere_coefficients, hypersphere_degree
from measureflow.sums.blocks import mapped_rows
from measureflow.sums.expansion import Expansion
from measureflow.sums.nested import amplification, bands, count

__all__ = ["Hypersphere"]

#: tokens per block in the cache, added by one matrix product; the rounding error of a moment grows with it
BLOCK = 256

#: one table over m, columns, degrees l and harmonics of degree m of the sphere below, for each band of m
Tables = list[Float[Array, "m v l h"]]


class Hypersphere(Expansion):
    """The expansion of the exponential kernel in harmonics of the unit sphere of R^d up to a degree."""

    d: int = eqx.field(static=True)

    @staticmethod
    def degree_for(c: float, tolerance: float, d: int, mean: float | None = None) -> int:
        """Return the degree that keeps a tolerance, relative to the kernel's mean over the uniform law or another."""
        return hypersphere_degree(c, d, tolerance, mean)

    @property
    def size(self) -> int:
        """How many harmonics there are."""
        return count(self.d, self.degree)

    def coefficients(self, c: Float[Array, "*n"]) -> tuple[Float[Array, "k *n"], Float[Array, "*n"]]:
        """Return the kernel's Gegenbauer coefficients and a bound on the tail."""
        return hypersphere_coefficients(c, self.degree, self.d)

    def moments(
        self,
        y: Float[Array, "n d"],
        columns: Float[Array, "n v"],
        lengths: Float[Array, "n"] | None = None,
        top: Float[Array, ""] | None = None,
    ) -> Tables:
        r"""Return the columns' moments of every harmonic.

        With `lengths`, each token has its own concentration, at most `top`: the moments are the series of
        $\sum_j e^{r_j \langle x, y_j\rangle - r} g_j$ already.
        """

        def partial(y: Array, g: Array, lengths: Array | None) -> Tables:
            factors = None
            if lengths is not None and top is not None:
                factors = self.coefficients(lengths[:, 0])[0] * jnp.exp(lengths[:, 0] - top)
            tables = []
            for rows, below in bands(y, self.degree):
                # the first degree follows from the number of rows
                scaled = rows if factors is None else rows * factors[-rows.shape[1] :]
                weighted = (g.T[:, None, :] * scaled[:, None]).reshape(len(rows), -1, y.shape[0])
                products = jnp.einsum("mkb,mhb->mkh", weighted, below)
                tables.append(products.reshape(len(rows), -1, rows.shape[1], below.shape[1]))
            return tables

        return compensated(partial, (y, columns, None if lengths is None else lengths[:, None]), BLOCK)

    def series(self, moments: Tables, c: Float[Array, ""]) -> Tables:
        """Return the coefficients of the sums as functions of the query."""
        values, _ = self.coefficients(c)
        return [table * values[-table.shape[2] :, None] for table in moments]

    def evaluate(self, series: Tables, x: Float[Array, "m d"]) -> Float[Array, "m v"]:
        """Return the sums at the queries."""

        def rows(x: Array) -> Array:
            total = 0.0
            for (rows, below), table in zip(bands(x, self.degree), series, strict=True):
                m, v, l, h = table.shape
                inner = jnp.einsum("mkh,mhb->mkb", table.reshape(m, v * l, h), below).reshape(m, v, l, -1)
                total = total + jnp.sum(inner * rows[:, None], axis=(0, 2))
            return jnp.asarray(total).T

        return mapped_rows(rows, (x,), BLOCK)

    def rounding(self, c: Float[Array, ""], n: int) -> Float[Array, ""]:
        r"""Return a bound on the rounding error of a sum, relative to $\sum_j |g_j|$.

        With u half an ulp of 1 and the kernel's coefficients `A_l` as weights: waves are off by 6 l u, the functions of
        one angle by (6.5 l + 3) u times `amplification` in the norm over m, for query and for atom; coefficients by
        4 l u; a moment is added up from a block's dot products, of any order, and a compensated sum; the series adds
        the harmonics of degree m <= l of the sphere below, and l of those.
        """
        u = jnp.finfo(c.dtype).eps / 2
        values, _ = self.coefficients(c)
        l = np.arange(self.degree + 1)
        features = 6.0 * l + sum(
            (amplification(e, self.degree) * (6.5 * l + 3.0) for e in range(3, self.d + 1)), 0.0 * l
        )
        below = np.array([float(harmonics_of_degree(max(self.d - 1, 2), int(k))) for k in l])
        adding = math.sqrt(2.0) * (min(n, BLOCK) + 4)
        return u * jnp.sum(values * jnp.asarray(2.0 * features + adding + below + 6.0 * l + 20.0, c.dtype))


def compensated(partial: Callable[..., Any], arrays: tuple[Array | None, ...], size: int) -> Any:
    """Return the sum of `partial(*block)` over blocks of rows, as if in twice the precision, in one block's memory.

    Zero rows must contribute nothing. The blocks are recomputed in the backward pass.
    """
    n = next(a.shape[0] for a in arrays if a is not None)
    if n <= size:
        return partial(*arrays)
    count = -(-n // size)
    padding = ((0, count * size - n), (0, 0))
    blocks = jax.tree.map(lambda a: jnp.pad(a, padding).reshape(count, size, -1), arrays)

    def add(carry: tuple[Any, Any], block: tuple) -> tuple[tuple[Any, Any], None]:
        totals, errors = carry
        parts = jax.tree.map(jnp.subtract, partial(*block), errors)
        new = jax.tree.map(jnp.add, totals, parts)
        errors = jax.tree.map(lambda new, old, part: (new - old) - part, new, totals, parts)
        return (new, errors), None

    shapes = jax.eval_shape(partial, *jax.tree.map(lambda a: a[0], blocks))
    zero = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)
    (totals, _), _ = jax.lax.scan(jax.checkpoint(add), (zero, zero), blocks)
    return totals

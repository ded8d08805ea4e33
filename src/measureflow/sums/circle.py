r"""Harmonic sums on the circle: $\sum_j e^{c(\langle x, y_j\rangle - 1)} g_j$ by Fourier moments, in `O(n K)`.

The modes are products: with k = aB + b, `cos k t` and `sin k t` are sums of products of `cos, sin (aB t)` and
`cos, sin (b t)`, so that the moments of all modes are one small matrix product, and about `2 sqrt(2K)` functions are
evaluated per token instead of `2K`. Complex numbers are pairs of reals.
"""

from __future__ import annotations

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from measureflow.sums.bessel import circle_coefficients, circle_degree
from measureflow.sums.blocks import mapped_rows, summed_blocks, tree_sum
from measureflow.sums.expansion import Expansion

__all__ = ["Circle"]

#: tokens whose products are added by one matrix product; the rounding error of a moment grows with it
STRIP = 128
#: numbers per block in the cache, as tokens at one column
BLOCK = 8192
#: series with at most this many products are written out term by term, which the compiler fuses into one loop
WRITTEN_OUT = 600


class Circle(Expansion):
    """The Fourier expansion of the exponential kernel up to a degree."""

    d: ClassVar[int] = 2

    @staticmethod
    def degree_for(c: float, tolerance: float) -> int:
        """Return the degree that keeps a tolerance."""
        return circle_degree(c, tolerance)

    def coefficients(self, c: Float[Array, ""]) -> tuple[Float[Array, "k"], Float[Array, ""]]:
        """Return the kernel's coefficients and a bound on the tail."""
        return circle_coefficients(c, self.degree)

    def cuts(self, degree: int) -> tuple[int, int]:
        """Return `(A, B)`: modes are k = a (2B+1) + b with 0 <= a <= A and |b| <= B, up to at least `degree`."""
        half = max(1, round((math.sqrt(2 * degree + 1) - 1) / 2))
        return max(0, -(-(degree - half) // (2 * half + 1))), half

    def waves(self, x: Float[Array, "n 2"], degree: int) -> tuple[Float[Array, "p n"], Float[Array, "q n"]]:
        """Return `1, cos, sin, cos, sin, ..` of the coarse and of the fine multiples of the angle."""
        coarse, fine = self.cuts(degree)
        small = powers(unit(x), fine)
        step = times(times((small[0][-1], small[1][-1]), (small[0][-1], small[1][-1])), (small[0][0], small[1][0]))
        return in_turn(powers(step, coarse)), in_turn(small)

    def columns(self, x: Float[Array, "n 2"]) -> tuple[list[Array], list[Array]]:
        """Return the waves as lists of columns, for a series that is written out in one loop over the tokens."""
        coarse, fine = self.cuts(self.degree)
        z = unit(x)
        small = listed_powers(z, fine)
        large = listed_powers(times(times(small[-1], small[-1]), z), coarse)
        one = jnp.ones_like(z[0])
        return [one, *(part for wave in large for part in wave)], [one, *(part for wave in small for part in wave)]

    def moments(self, y: Float[Array, "n 2"], columns: Float[Array, "n v"]) -> Float[Array, "2 k v"]:
        r"""Return $\sum_j g_j (\cos k\theta_j, \sin k\theta_j)$ for k = 0..degree+1."""
        width = columns.shape[1]
        strips = min(max(1, BLOCK // (STRIP * (1 + width // 2))), -(-y.shape[0] // STRIP))

        def partial(y: Array, g: Array) -> Array:
            return tree_sum(self.products(y, g, STRIP))

        return self.joined(summed_blocks(partial, (y, columns), strips * STRIP))

    def products(self, y: Float[Array, "n 2"], columns: Float[Array, "n v"], strip: int) -> Float[Array, "s v p q"]:
        """Return the moments of the products of coarse and fine waves over each strip of tokens; strips divide n."""
        coarse, fine = self.waves(y, self.degree + 1)
        width, strips = columns.shape[1], y.shape[0] // strip
        weighted = (columns.T[:, None, :] * coarse[None, :, :]).reshape(-1, strips, strip)
        products = jnp.einsum("pst,qst->spq", weighted, fine.reshape(len(fine), strips, strip))
        return products.reshape(strips, width, len(coarse), len(fine))

    def joined(self, products: Float[Array, "v p q"]) -> Float[Array, "2 k v"]:
        """Return moments of `cos k t, sin k t` from moments of the products of coarse and fine waves."""
        cc, cs, sc, ss = quarters(products)
        plus = jnp.stack([cc - ss, sc + cs])
        minus = jnp.stack([cc + ss, sc - cs])
        # k = a (2B+1) + b: b = -B..-1 from `minus`, 0..B from `plus`; in order of k this is one row after another
        rows = jnp.concatenate([minus[..., :0:-1], plus], axis=-1)
        fine = cc.shape[-1] - 1
        modes = rows.reshape(*rows.shape[:2], -1)[..., fine : fine + self.degree + 2]
        return jnp.moveaxis(modes, 1, 2)

    def lifted_moments(self, y: Float[Array, "n d"], columns: Float[Array, "n v"]) -> Float[Array, "2 k v"]:
        """Return the moments of the columns and of the columns times coordinates, at one pass over the atoms."""
        moments = self.moments(y, columns)
        shifted = self.shifted(moments)
        # the shifted moments end one degree earlier
        moments = moments[tuple(slice(size) for size in shifted[0].shape)]
        return jnp.concatenate([moments, *shifted], axis=-1)

    def shifted(self, moments: Float[Array, "2 k v"]) -> list[Float[Array, "2 k v"]]:
        """Return the moments of the columns times each coordinate of the points, one degree lower."""
        cos, sin = moments
        above = (cos[1:], sin[1:])
        below = (jnp.concatenate([cos[1:2], cos[:-2]]), jnp.concatenate([-sin[1:2], sin[:-2]]))
        first = jnp.stack([above[0] + below[0], above[1] + below[1]]) / 2
        second = jnp.stack([above[1] - below[1], below[0] - above[0]]) / 2
        return [first, second]

    def series(self, moments: Float[Array, "2 k v"], c: Float[Array, ""]) -> Float[Array, "v p q"]:
        """Return the coefficients, in products of coarse and fine waves, of the sum as a function of the query."""
        values, _ = self.coefficients(c)
        values = jnp.concatenate([values[:1], 2.0 * values[1:]])
        scaled = moments[:, : self.degree + 1] * values[None, :, None]
        coarse, fine = self.cuts(self.degree)
        row = 2 * fine + 1
        padded = jnp.pad(scaled, ((0, 0), (fine, (coarse + 1) * row - fine - self.degree - 1), (0, 0)))
        table = jnp.moveaxis(padded, 2, 0).reshape(-1, 2, coarse + 1, row)
        plus, minus = table[..., fine:], jnp.flip(table[..., : fine + 1], axis=-1)
        minus = jnp.concatenate([jnp.zeros_like(minus[..., :1]), minus[..., 1:]], axis=-1)
        cc, ss = plus[:, 0] + minus[:, 0], minus[:, 0] - plus[:, 0]
        sc, cs = plus[:, 1] + minus[:, 1], plus[:, 1] - minus[:, 1]
        return whole(cc, cs, sc, ss)

    def evaluate(self, series: Float[Array, "v p q"], x: Float[Array, "m 2"]) -> Float[Array, "m v"]:
        """Return the sums at the queries."""
        if series.size <= WRITTEN_OUT:
            coarse, fine = self.columns(x)
            return jnp.stack([written_out(table, coarse, fine) for table in series], axis=1)

        def rows(x: Array) -> Array:
            coarse, fine = self.waves(x, self.degree)
            return jnp.einsum("vpn,pn->nv", jnp.einsum("vpq,qn->vpn", series, fine), coarse)

        return mapped_rows(rows, (x,), max(256, BLOCK // (1 + series.shape[0] // 2)))

    def rounding(self, c: Float[Array, ""], n: int) -> Float[Array, ""]:
        r"""Return a bound on the rounding error of a sum, relative to $\sum_j |g_j|$.

        With u half an ulp of 1: powers of z are off by at most 6 k u each for query and atom, weighted by the
        coefficients (their mean k is at most sqrt(c)); a moment is added up from strips by dot products of any order
        and a tree; coefficients are off by 4 k u at most; the series adds `p q` terms.
        """
        u = jnp.finfo(c.dtype).eps / 2
        coarse, fine = self.cuts(self.degree)
        adding = math.sqrt(2.0) * (STRIP + math.ceil(math.log2(max(n / STRIP, 1))) + 4)
        series = 2.0 * (2 * coarse + 2 * fine + 8)
        return u * (adding + series + 16.0 * jnp.sqrt(c) + 10.0)


def times(p: tuple[Array, Array], q: tuple[Array, Array]) -> tuple[Array, Array]:
    """Return the product of two complex numbers."""
    return p[0] * q[0] - p[1] * q[1], p[0] * q[1] + p[1] * q[0]


def unit(x: Float[Array, "n 2"]) -> tuple[Array, Array]:
    """Return the points as complex numbers of modulus 1; a row of padding stays zero."""
    size = jnp.sqrt(x[:, 0] ** 2 + x[:, 1] ** 2)
    size = jnp.where(size > 0, size, 1)
    return x[:, 0] / size, x[:, 1] / size


def powers(z: tuple[Array, Array], count: int) -> tuple[Float[Array, "k n"], Float[Array, "k n"]]:
    """Return `z, z^2, .., z^count`, doubling their number each time: few roundings, and a short program."""
    known = (z[0][None], z[1][None])
    while known[0].shape[0] < count:
        last = (known[0][-1:], known[1][-1:])
        both = tuple(jnp.concatenate(pair) for pair in zip(known, times(known, last), strict=True))
        # fused into one loop, each doubling would compute the ones before it again, and compile for seconds
        known = jax.lax.optimization_barrier(both)
    return known[0][:count], known[1][:count]


def listed_powers(z: tuple[Array, Array], count: int) -> list[tuple[Array, Array]]:
    """Return `z, z^2, .., z^count`, each from two near halves."""
    out = [z] if count else []
    for k in range(2, count + 1):
        out.append(times(out[k // 2 - 1], out[k - k // 2 - 1]))
    return out


def in_turn(waves: tuple[Float[Array, "k n"], Float[Array, "k n"]]) -> Float[Array, "p n"]:
    """Return the rows `1, cos, sin, cos, sin, ..`."""
    pairs = jnp.stack(waves, axis=1).reshape(-1, waves[0].shape[-1])
    return jnp.concatenate([jnp.ones_like(waves[0], shape=(1, pairs.shape[1])), pairs])


def quarters(table: Float[Array, "*b p q"]) -> tuple[Array, Array, Array, Array]:
    """Return the cos-cos, cos-sin, sin-cos and sin-sin parts of a table over `1, cos, sin, cos, sin, ..` both ways.

    The sine of the zeroth wave is zero.
    """

    def cosines(a: Array, axis: int) -> Array:
        first, rest = jnp.split(a, [1], axis=axis)
        return jnp.concatenate([first, jnp.take(rest, np.arange(0, rest.shape[axis], 2), axis=axis)], axis=axis)

    def sines(a: Array, axis: int) -> Array:
        first, rest = jnp.split(a, [1], axis=axis)
        odd = jnp.take(rest, np.arange(1, rest.shape[axis], 2), axis=axis)
        return jnp.concatenate([jnp.zeros_like(first), odd], axis=axis)

    c, s = cosines(table, -2), sines(table, -2)
    return cosines(c, -1), sines(c, -1), cosines(s, -1), sines(s, -1)


def whole(cc: Array, cs: Array, sc: Array, ss: Array) -> Array:
    """Return the table whose quarters these are."""

    def woven(cosines: Array, sines: Array) -> Array:
        pairs = jnp.stack([cosines, sines], axis=-1).reshape(*cosines.shape[:-1], -1)
        return jnp.concatenate([pairs[..., :1], pairs[..., 2:]], axis=-1)

    top, bottom = woven(cc, cs), woven(sc, ss)
    return jnp.swapaxes(woven(jnp.swapaxes(top, -1, -2), jnp.swapaxes(bottom, -1, -2)), -1, -2)


def written_out(table: Float[Array, "p q"], coarse: list[Array], fine: list[Array]) -> Float[Array, "m"]:
    """Return `sum_pq table_pq coarse_p fine_q`, term by term."""
    total = None
    for p, outer in enumerate(coarse):
        inner = table[p, 0] * fine[0]
        for q in range(1, len(fine)):
            inner = inner + table[p, q] * fine[q]
        total = inner * outer if total is None else total + inner * outer
    assert total is not None
    return total

r"""Harmonic sums on S²: $\sum_j e^{c(\langle x, y_j\rangle - 1)} g_j$ by spherical harmonics, in `O(n L²)`.

Tokens are felt through `cos p t` (m even) or `sin p t` (m odd) times `cos m f, sin m f`, with t the angle from the
north pole and f the longitude: all moments are two matrix products, well conditioned at every c. The change to
spherical harmonics, where the kernel is diagonal, acts on the moments alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from measureflow.sums.bessel import sphere_coefficients, sphere_degree
from measureflow.sums.blocks import mapped_rows, summed_blocks, tree_sum
from measureflow.sums.circle import powers
from measureflow.sums.expansion import Expansion

__all__ = ["TwoSphere"]

#: tokens whose products are added by one matrix product; the rounding error of a moment grows with it
STRIP = 128
#: tokens per block in the cache
BLOCK = 1024


class TwoSphere(Expansion):
    """The expansion of the exponential kernel in spherical harmonics up to a degree."""

    d: ClassVar[int] = 3

    @staticmethod
    def degree_for(c: float, tolerance: float) -> int:
        """Return the degree that keeps a tolerance."""
        return sphere_degree(c, tolerance)

    def coefficients(self, c: Float[Array, ""]) -> tuple[Float[Array, "k"], Float[Array, ""]]:
        """Return the kernel's Legendre coefficients and a bound on the tail."""
        return sphere_coefficients(c, self.degree)

    def waves(self, x: Float[Array, "n 3"], degree: int) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """Return cosines and sines of the polar angle, and the waves in longitude for even and for odd m.

        Waves in longitude are first all cosines, then all sines, without that of m = 0.
        """
        across = x[:, 0] ** 2 + x[:, 1] ** 2
        size = jnp.sqrt(across + x[:, 2] ** 2)
        size = jnp.where(size > 0, size, 1)  # a row of padding
        # on the axis every longitude gives the same sums
        off_axis = across > 1e-30 * jnp.finfo(x.dtype).eps * size**2
        radius = jnp.sqrt(jnp.where(off_axis, across, 1))
        longitude = (jnp.where(off_axis, x[:, 0] / radius, 1), jnp.where(off_axis, x[:, 1] / radius, 0))
        polar = (x[:, 2] / size, jnp.where(off_axis, radius, 0) / size)
        one = jnp.ones_like(size)[None]
        p, m = powers(polar, degree), powers(longitude, degree)
        even = jnp.concatenate([one, m[0][1::2], m[1][1::2]])
        odd = jnp.concatenate([m[0][0::2], m[1][0::2]])
        return (jnp.concatenate([one, p[0]]), p[1]), (even, odd)

    def moments(self, y: Float[Array, "n 3"], columns: Float[Array, "n v"]) -> Float[Array, "2 p m v"]:
        r"""Return $\sum_j g_j \,\mathrm{trig}_m(p\theta_j) (\cos m\phi_j, \sin m\phi_j)$ for p, m = 0..degree+1."""
        width = columns.shape[1]
        strips = min(max(1, BLOCK // (STRIP * (1 + width // 4))), -(-y.shape[0] // STRIP))

        def partial(y: Array, g: Array) -> list[Array]:
            angles, turns = self.waves(y, self.degree + 1)
            products = []
            for theta, phi in zip(angles, turns, strict=True):
                weighted = (g.T[:, None, :] * phi[None, :, :]).reshape(-1, strips, STRIP)
                products.append(jnp.einsum("pst,qst->spq", theta.reshape(len(theta), strips, STRIP), weighted))
            return [tree_sum(part) for part in products]

        even, odd = summed_blocks(partial, (y, columns), strips * STRIP)
        even = even.reshape(even.shape[0], width, -1)
        odd = odd.reshape(odd.shape[0], width, -1)
        # the first wave in longitude has no sine, and neither has the first in the polar angle
        cosines = even.shape[-1] // 2 + 1
        even = jnp.concatenate([even[..., :cosines], jnp.zeros_like(even[..., :1]), even[..., cosines:]], axis=-1)
        even = even.reshape(*even.shape[:2], 2, cosines)
        odd = jnp.pad(odd, ((1, 0), (0, 0), (0, 0))).reshape(odd.shape[0] + 1, width, 2, -1)
        odd = jnp.pad(odd, ((0, 0), (0, 0), (0, 0), (0, cosines - odd.shape[-1])))
        woven = jnp.stack([even, odd], axis=-1).reshape(*even.shape[:3], -1)[..., : self.degree + 2]
        return jnp.transpose(woven, (2, 0, 3, 1))

    def lifted_moments(self, y: Float[Array, "n d"], columns: Float[Array, "n v"]) -> Float[Array, "2 p m v"]:
        """Return the moments of the columns and of the columns times coordinates, at one pass over the atoms."""
        moments = self.moments(y, columns)
        shifted = self.shifted(moments)
        # the shifted moments end one degree earlier
        moments = moments[tuple(slice(size) for size in shifted[0].shape)]
        return jnp.concatenate([moments, *shifted], axis=-1)

    def shifted(self, moments: Float[Array, "2 p m v"]) -> list[Float[Array, "2 p m v"]]:
        """Return the moments of the columns times each coordinate of the points, one degree lower."""
        even = (jnp.arange(moments.shape[2]) % 2 == 0)[None, None, :, None]

        def neighbours(a: Array) -> tuple[Array, Array]:
            """Return a at p - 1 and at p + 1, one row fewer; below p = 0 a cosine is even and a sine odd."""
            first = jnp.where(even, a[:, 1:2], -a[:, 1:2])
            return jnp.concatenate([first, a[:, :-2]], axis=1), a[:, 1:]

        below, above = neighbours(moments)
        vertical = ((below + above) / 2)[:, :, :-1]
        # times sin t: a cosine series becomes a sine series and the other way round; the result belongs to m +- 1
        across = jnp.where(even, below - above, above - below) / 2
        cos, sin = across
        cos_above, sin_above = cos[:, 1:], sin[:, 1:]
        cos_below = jnp.concatenate([cos[:, 1:2], cos[:, :-2]], axis=1)
        sin_below = jnp.concatenate([-sin[:, 1:2], sin[:, :-2]], axis=1)
        first = jnp.stack([cos_above + cos_below, sin_above + sin_below]) / 2
        second = jnp.stack([sin_above - sin_below, cos_below - cos_above]) / 2
        return [first, second, vertical]

    def series(self, moments: Float[Array, "2 p m v"], c: Float[Array, ""]) -> tuple[Array, Array]:
        """Return the coefficients of the sums as functions of the query, in waves of even and of odd m."""
        values, _ = self.coefficients(c)
        given = moments[:, : self.degree + 1, : self.degree + 1]
        double = jnp.where(jnp.arange(self.degree + 1) > 0, 2.0, 1.0).astype(c.dtype)

        def add(total: Array, table: Array, value: Array) -> Array:
            # mode by mode: the harmonic's moment, times the kernel's coefficient, times the harmonic
            moment = jnp.einsum("mp,tpmv->tmv", table, given) * (value * double)[None, :, None]
            return total + jnp.einsum("mp,tmv->tpmv", table, moment)

        total = self.over_degrees(add, jnp.zeros_like(given), values)
        even, odd = total[:, :, 0::2], total[:, 1:, 1::2]
        return jnp.concatenate([even[0], even[1, :, 1:]], axis=1), jnp.concatenate([odd[0], odd[1]], axis=1)

    def over_degrees(
        self, add: Callable[[Array, Array, Array], Array], total: Array, values: Float[Array, "k"]
    ) -> Array:
        r"""Fold `add(total, table_l, values_l)` over l = 0..degree, with the tables of $\tilde P_{lm}$.

        `table_l[m, p]` are the coefficients of $\sqrt{(l-m)!/(l+m)!}\, P_l^m(\cos\theta)$ in cos or sin of p t, by the
        three-term recurrence in l, which is stable upwards.
        """
        size = self.degree + 1
        m = jnp.arange(size, dtype=values.dtype)[:, None]
        even = jnp.arange(size)[:, None] % 2 == 0

        kept = jnp.where(even | (jnp.arange(size)[None, :] > 0), 1.0, 0.0).astype(values.dtype)  # sin 0 t is none

        def neighbours(a: Array) -> tuple[Array, Array]:
            # a constant becomes a whole cosine (or sine), not half of one
            doubled = jnp.concatenate([2.0 * a[:, :1], a[:, 1:]], axis=1)
            return jnp.pad(doubled, ((0, 0), (1, 0)))[:, :-1], jnp.pad(a, ((0, 0), (0, 1)))[:, 1:]

        def step(carry: tuple[Array, Array, Array], item: tuple[Array, Array]) -> tuple[tuple, None]:
            table, before, total = carry
            l, value = item
            total = add(total, table, value)
            below, above = neighbours(table)
            root = jnp.sqrt(jnp.maximum((l + 1 + m) * (l + 1 - m), 1.0))
            up = ((2 * l + 1) * (below + above) / 2 - jnp.sqrt(jnp.maximum((l + m) * (l - m), 0.0)) * before) / root
            # the last m of the next degree: from m to m + 1 by sin t
            across = jnp.where(even, below - above, above - below) / 2
            last = jnp.sqrt((2 * l + 1) / (2 * l + 2)) * jnp.pad(across, ((1, 0), (0, 0)))[:-1]
            new = jnp.where(m <= l, up, jnp.where(m == l + 1, last, 0.0)) * kept
            return (new, table, total), None

        first = jnp.zeros((size, size), values.dtype).at[0, 0].set(1.0)
        degrees = jnp.arange(size, dtype=values.dtype)
        (_, _, total), _ = jax.lax.scan(step, (first, jnp.zeros_like(first), total), (degrees, values))
        return total

    def evaluate(self, series: tuple[Array, Array], x: Float[Array, "m 3"]) -> Float[Array, "m v"]:
        """Return the sums at the queries."""

        def rows(x: Array) -> Array:
            angles, turns = self.waves(x, self.degree)
            total = 0.0
            for theta, phi, table in zip(angles, turns, series, strict=True):
                total = total + jnp.einsum("vqn,qn->nv", jnp.einsum("pqv,pn->vqn", table, theta), phi)
            return jnp.asarray(total)

        return mapped_rows(rows, (x,), BLOCK)

    def rounding(self, c: Float[Array, ""], n: int) -> Float[Array, ""]:
        r"""Return a bound on the rounding error of a sum, relative to $\sum_j |g_j|$.

        As on the circle, with the sums of absolute values of the harmonics' coefficients as amplification: by
        degree l, powers are off by at most 12 l u for query and for atom, the tables by 4 l u each.
        """
        u = jnp.finfo(c.dtype).eps / 2
        values, _ = self.coefficients(c)
        double = jnp.where(jnp.arange(self.degree + 1) > 0, 2.0, 1.0).astype(c.dtype)

        def add(total: Array, table: Array, value: Array) -> Array:
            return total + value * jnp.sum(double * jnp.sum(jnp.abs(table), axis=1) ** 2)

        zero = jnp.zeros((), c.dtype)
        plain = self.over_degrees(add, zero, values)
        by_degree = self.over_degrees(add, zero, values * jnp.arange(self.degree + 1, dtype=c.dtype))
        adding = math.sqrt(2.0) * (STRIP + math.ceil(math.log2(max(n / STRIP, 1))) + 4)
        return jax.lax.stop_gradient(u * (plain * (adding + 6.0 * self.degree + 20.0) + 36.0 * by_degree))

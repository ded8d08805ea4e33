r"""Harmonics of the unit sphere of R^d in nested polar angles: those of one sphere from those of the one below.

With $x = (\sin\theta\,\xi, \cos\theta)$ and $\xi$ on the sphere one dimension lower, the harmonics of degree l are
$F_{lm}(\theta)\, Y_{mh}(\xi)$ for m = 0..l, normalised so that $\sum_{m,h} (F_{lm} Y_{mh})^2 = 1$ at every point. Then

$$ \frac{C_l^\lambda(\langle x, y\rangle)}{C_l^\lambda(1)} = \sum_{m,h} F_{lm}(\theta_x) Y_{mh}(\xi_x)\,
   F_{lm}(\theta_y) Y_{mh}(\xi_y), \qquad \lambda = d/2 - 1, $$

and no sum over harmonics amplifies an error. The functions of an angle are polynomials in `cos p t` (m even) or
`sin p t` (m odd) with p - l even, so that they are matrix products, well conditioned at the poles.
"""

from __future__ import annotations

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from measureflow.sums.bessel import harmonics_of_degree
from measureflow.sums.circle import powers

__all__ = ["Band", "amplification", "bands", "count", "members"]

#: for some m, the functions of the last angle for all l from the first m on (zero for l < m), and the harmonics of
#: degree m of the sphere below (zeros behind): their products at one m are the harmonics
Band = tuple[Float[Array, "m l n"], Float[Array, "m h n"]]
#: into how many bands the m are cut: fewer waste products with zeros, more are slow to compile
BANDS = 6


def count(d: int, degree: int) -> int:
    """Return how many harmonics there are up to a degree."""
    return sum(harmonics_of_degree(d, l) for l in range(degree + 1))


def members(degree: int, d: int) -> list[np.ndarray]:
    """Return the m of each band, all even or all odd."""
    if d == 2:
        return [np.array([0]), np.array([1])]
    width = -(-(degree + 1) // BANDS)
    out = []
    for first in range(0, degree + 1, 2 * width):
        out += [np.arange(first + odd, min(first + 2 * width, degree + 1), 2) for odd in (0, 1)]
    return [m for m in out if len(m)]


def bands(x: Float[Array, "n d"], degree: int) -> list[Band]:
    """Return the harmonics up to `degree` at each point.

    The points are taken onto the unit sphere; a row of padding may be zero and gives some point.
    """
    d, n = x.shape[1], x.shape[0]
    cosines, sines = waves(x, degree)
    if d == 2:
        one = jnp.ones((1, 1, n), x.dtype)
        return [(cosines[0][None], one), (sines[0][None, 1:], one)]
    turns = jnp.stack([cosines[0], sines[0]], axis=1)
    # the harmonics of S², S³, .. up to two spheres below, of all degrees; degree and place in it by row
    known = turns.reshape(2 * (degree + 1), n)
    for e in range(3, d - 1):
        tables = [functions(e, np.arange(p, degree + 1, 2), None, cosines[e - 2], sines[e - 2]) for p in (0, 1)]
        # one row for each degree, each lower degree and each harmonic of that
        flat = jnp.concatenate([table.reshape(-1, n) for table in tables])
        lower = [of_degrees(e - 1, l) for l in range(degree + 1)]
        starts = [
            (l % 2) * tables[0].shape[0] * tables[0].shape[1] + l // 2 * tables[l % 2].shape[1]
            for l in range(degree + 1)
        ]
        rows = np.concatenate([start + low for start, low in zip(starts, lower, strict=True)])
        known = flat[rows] * known[np.concatenate([np.arange(len(low)) for low in lower])]
    out = []
    for m in members(degree, d):
        top = functions(d, None, m, cosines[-1], sines[-1])
        if d == 3:
            below = turns[m[0] : m[-1] + 1 : 2]
        else:
            orders = functions(d - 1, m, None, cosines[-2], sines[-2])
            if d == 4:
                below = (orders[:, :, None] * turns[: orders.shape[1]]).reshape(len(m), -1, n)
            else:
                rows = of_degrees(d - 2, m[-1])
                below = orders[:, rows] * known[: len(rows)]
        out.append((top, below))
    return out


def of_degrees(d: int, last: int) -> np.ndarray:
    """Return the degree of each row of the harmonics of the sphere of R^d up to a degree; on the circle two each."""
    sizes = [2 if d == 2 else harmonics_rows(d, l) for l in range(last + 1)]
    return np.repeat(np.arange(last + 1), sizes)


def harmonics_rows(d: int, l: int) -> int:
    """Return how many rows the harmonics of one degree take, with the sine of 0 on the circle."""
    return 2 if d == 2 else sum(harmonics_rows(d - 1, m) for m in range(l + 1))


def functions(
    d: int,
    degrees: np.ndarray | None,
    orders: np.ndarray | None,
    cosines: Float[Array, "p n"],
    sines: Float[Array, "p n"],
) -> Float[Array, "a b n"]:
    """Return `F_lm`: for orders m of one parity and all l >= the first, or for degrees l of one parity and all m <= the
    last. The given one is the first axis."""
    given = degrees if orders is None else orders
    assert given is not None
    top = cosines.shape[0] - 1
    table = ladder(d, top)
    free = np.arange(given[-1] + 1) if orders is None else np.arange(given[0], top + 1)
    halves = []
    for odd in (0, 1):
        part = free[odd::2]
        l, m = (given, part) if orders is None else (part, given)
        waves = (cosines if m[0] % 2 == 0 else sines) if len(m) else cosines
        if len(part):
            chosen = table[np.ix_(l, m)][:, :, l[0] % 2 :: 2]
            chosen = chosen if orders is None else np.swapaxes(chosen, 0, 1)
            halves.append(jnp.einsum("abp,pn->abn", jnp.asarray(chosen, cosines.dtype), waves[l[0] % 2 :: 2]))
    if len(halves) == 1:
        return halves[0]
    first, second = halves
    second = jnp.pad(second, ((0, 0), (0, first.shape[1] - second.shape[1]), (0, 0)))
    return jnp.stack([first, second], axis=2).reshape(len(given), -1, first.shape[-1])[:, : len(free)]


def waves(x: Float[Array, "n d"], degree: int) -> tuple[Float[Array, "e p n"], Float[Array, "e p n"]]:
    """Return `cos p t, sin p t` for p = 0..degree, for the longitude, then the polar angle of each sphere from S² up.

    Where a point lies on the axis of a sphere, any point of the one below gives the same sums: the first pole.
    """
    d, n = x.shape[1], x.shape[0]
    tiny = 1e-30 * jnp.finfo(x.dtype).eps
    squares = jnp.cumsum(x * x, axis=1)[:, 1:]
    there = squares > tiny * jnp.where(squares[:, -1:] > 0, squares[:, -1:], 1)
    lengths = jnp.sqrt(jnp.where(there, squares, 1))
    cosines = jnp.where(there, jnp.concatenate([x[:, :1], x[:, 2:]], axis=1) / lengths, 1)
    sines = jnp.concatenate([x[:, 1:2], jnp.where(there, lengths, 0)[:, :-1]], axis=1) / lengths
    sines = jnp.where(there, sines, 0)
    flat = powers((cosines.T.reshape(-1), sines.T.reshape(-1)), degree)
    cos, sin = (jnp.swapaxes(a.reshape(degree, d - 1, n), 0, 1) for a in flat)
    one = jnp.ones((d - 1, 1, n), x.dtype)
    return jnp.concatenate([one, cos], axis=1), jnp.concatenate([jnp.zeros_like(one), sin], axis=1)


@functools.cache
def ladder(d: int, degree: int) -> np.ndarray:
    r"""Return the coefficients `(l, m, p)` of $F_{lm}(\theta)$ in cos or sin of p t on the unit sphere of R^d, d >= 3.

    By the three-term recurrence of orthonormal Gegenbauer functions in l at fixed m, stable upwards, and from m to
    m + 1 by the sine.
    """
    table = np.zeros((degree + 1, degree + 1, degree + 1), np.longdouble)
    table[0, 0, 0] = 1
    dims, below = (np.array([harmonics_of_degree(e, l) for l in range(degree + 2)], np.longdouble) for e in (d, d - 1))
    even = np.arange(degree + 1)[:, None] % 2 == 0

    def neighbours(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # a constant becomes a whole wave, not half of one; sin 0 is none
        doubled = np.concatenate([2 * a[:, :1], a[:, 1:]], axis=1)
        return np.pad(doubled, ((0, 0), (1, 0)))[:, :-1] / 2, np.pad(a, ((0, 0), (0, 1)))[:, 1:] / 2

    for l in range(degree):
        m = np.arange(l + 1, dtype=np.longdouble)
        half, k = np.longdouble(d) / 2 - 1 + m, l - m
        ahead = np.sqrt((k + 1) * (k + 2 * half) / ((k + 1 + half) * (k + half))) / 2
        behind = np.sqrt(k * (k + 2 * half - 1) / ((k + half) * np.where(k > 0, k + half - 1, 1))) / 2
        lower, upper = neighbours(table[l])
        up = (np.sqrt(dims[l] / dims[l + 1]) / ahead)[:, None] * (lower + upper)[: l + 1]
        back = np.sqrt(dims[max(l - 1, 0)] / dims[l + 1]) * behind / ahead
        table[l + 1, : l + 1] = up - back[:, None] * table[max(l - 1, 0), : l + 1]
        grown = (
            (np.longdouble(d) / 2 + l)
            / (np.longdouble(d - 1) / 2 + l)
            * below[l + 1]
            / below[l]
            * dims[l]
            / dims[l + 1]
        )
        table[l + 1, l + 1] = np.sqrt(grown) * np.where(even, lower - upper, upper - lower)[l]
        table[l + 1, ~even[:, 0], 0] = 0
    return table.astype(float)


@functools.cache
def amplification(d: int, degree: int) -> np.ndarray:
    r"""Return for each l how much errors of the waves may grow in $F_{lm}$, in the norm over m."""
    return np.sqrt((np.abs(ladder(d, degree)).sum(axis=2) ** 2).sum(axis=1))

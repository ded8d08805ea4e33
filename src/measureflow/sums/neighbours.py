"""The neighbours' pair sum: where the kernel is short-ranged only near pairs are summed, and the rest is bounded."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from measureflow.errors import BadInput
from measureflow.measures import Tokens
from measureflow.sums.cells import halvings, order_in_cells
from measureflow.sums.exponential import Exponential
from measureflow.sums.near import TOGETHER, Blocks, Settings, Visited, visited
from measureflow.sums.sum import Kernel, Sum

__all__ = ["Neighbours", "cut"]

#: atoms in a block, at least: small blocks lie close around what is near
ATOMS = 32
#: of n points, blocks of `sqrt(n) / SHARE`: the bounds between all blocks then stay cheap beside the pairs
SHARE = 6
#: queries in a block, for each atom in one: what is looked up for a block is shared by them
QUERIES = 2


class Neighbours(Sum):
    r"""Sum $e^{\beta\langle x, y\rangle}$ over near pairs, and prove what is left out to be small.

    $$ A_N = \frac{1}{Z_N} \sum_{j \in N} a_j e^{c \langle x, y_j\rangle} g_j, \qquad
       |A - A_N| \le \frac{R}{Z_N} \big(\max|g| + |A_N|\big), \qquad
       R = \sum_{B \not\subset N} a(B) \max_{y \in B} e^{c \langle x, y\rangle} $$

    Atoms are sorted into compact blocks; for a block of queries these are taken nearest first until $R$, from the
    distances of boxes and balls around the blocks, is below `tolerance` times the denominator $Z_N$ of each query. So
    the bound holds for any tokens, queries and beta, also where the nearest atom is far or beta is 0: then more pairs
    are summed, in the end all. The number of pairs is found as the sum runs, under tracing too. Pairs are summed in
    difference form: `pull` keeps the digits of what it sums, and its `floor` is what is left out.

    For numbers as query and key, `score="dot"`, `weighting` softmax or unnormalised, `mask` None or `"causal"`, on
    every space. Derivatives of every order are sums over the same pairs, in memory linear in the number of tokens.

    Arguments:
        tolerance: weight that may be left out at a query, relative to the weight it has.

    Raises:
        BadInput: a kernel that is no such exponential; a tolerance that is none.

    Example:
        >>> import measureflow as mf
        >>> tokens = mf.uniform(mf.Sphere(3), n=2000, seed=0)
        >>> field = mf.SelfAttention(beta=1e3, sum=mf.sums.Neighbours())
        >>> exact = mf.SelfAttention(beta=1e3, sum=mf.sums.Exact())
        >>> bool(abs(field(tokens.points, tokens) - exact(tokens.points, tokens)).max() < 1e-12)
        True
    """

    tolerance: float = eqx.field(static=True, default=1e-14)

    def __check_init__(self) -> None:
        number = isinstance(self.tolerance, (int, float)) and not isinstance(self.tolerance, bool)
        if not number or not 0 < self.tolerance < 1:
            raise BadInput(f"Neighbours: tolerance is {self.tolerance!r}; it must lie between 0 and 1, such as 1e-14.")

    def attend(
        self,
        kernel: Kernel,
        x: Float[Array, "m d"],
        rank: Int[Array, "m"] | None,
        mu: Tokens,
        values: Float[Array, "n v"],
    ) -> Float[Array, "m v"]:
        """Return `sum_j w(x, y_j) values_j`."""
        exponential, own = self.shape_of(kernel), x is mu.points
        got = looked_up(exponential, self.allowed(x), own, x, rank, mu, values)
        return weighted(exponential, x, got)[0]

    def pull(
        self, kernel: Kernel, x: Float[Array, "m d"], rank: Int[Array, "m"] | None, mu: Tokens
    ) -> tuple[Float[Array, "m d"], Float[Array, "m"]]:
        """Return `sum_j w (y_j - x)` and `sum_j w`, the differences taken before they are summed."""
        exponential, own = self.shape_of(kernel), x is mu.points
        return weighted(exponential, x, looked_up(exponential, self.allowed(x), own, x, rank, mu, None))

    def floor(self, kernel: Kernel, mu: Tokens) -> Float[Array, ""]:
        """Return a bound on the weight times distance that `pull` leaves out at mu's own tokens."""
        exponential = self.shape_of(kernel)
        got = looked_up(exponential, self.allowed(mu.points), True, mu.points, places_of(exponential, mu), mu, None)
        moved, weight = weighted(exponential, mu.points, got)
        size = jnp.sqrt(jnp.sum(mu.points**2, axis=1))
        farthest = size + jnp.max(jnp.where(mu.present, size, 0))
        left = got.dropped * (weight * farthest + jnp.sqrt(jnp.sum(moved**2, axis=1)))
        return jax.lax.stop_gradient(jnp.max(jnp.where(mu.present, left, 0)))

    def settled(self, kernel: Kernel, mu: Tokens) -> Neighbours:
        """Return this sum: what it sums is found as it runs."""
        self.shape_of(kernel)
        return self

    def error_bound(
        self,
        kernel: Kernel,
        x: Float[Array, "m d"],
        mu: Tokens,
        values: Float[Array, "n v"] | None = None,
        rank: Int[Array, "m"] | None = None,
    ) -> Float[Array, ""]:
        r"""Return a bound on the largest error of an entry of `attend`, relative to its largest entry.

        At each query it is $(V + |A|)(R/Z + \rho)$ with V the largest value and $\rho$ the rounding of the weights: an
        exponent $-c|x-y|^2/2$ is rounded to `(d + 4) u` of itself as seen from the block's centre, $c(|y|^2-1)/2$ to
        `(d + 2) c u / 2`, and sums are added up in chunks. Costs one sum.
        """
        exponential = self.shape_of(kernel)
        if exponential.causal and rank is None:
            if x.shape[0] != mu.n:
                raise BadInput(f"Neighbours: {x.shape[0]} queries under a mask need rank=, their places in the text.")
            rank = mu.positions
        values = mu.points if values is None else values
        got = looked_up(exponential, self.allowed(x), x is mu.points, x, rank, mu, values)
        output, weight = weighted(exponential, x, got)
        massive = (mu.present & (mu.weights > 0))[:, None]
        largest = jnp.max(jnp.abs(output), axis=1)
        size = weight * jnp.max(jnp.where(massive, jnp.abs(values), 0)) + largest
        errors = size * (got.dropped + rounding(exponential, x, mu, got))
        worst = jnp.max(errors)
        least = jnp.max(largest) - worst
        return jax.lax.stop_gradient(jnp.where(least > 0, worst / jnp.where(least > 0, least, 1), jnp.inf))

    def explain(self, kernel: Kernel, mu: Tokens) -> str:
        """Say how many pairs of `mu` are summed, and how exact that is."""
        exponential = self.shape_of(kernel)
        got = looked_up(
            exponential, self.allowed(mu.points), True, mu.points, places_of(exponential, mu), mu, mu.points
        )
        share = float(jnp.mean(got.met / mu.n))
        bound = float(self.error_bound(kernel, mu.points, mu))
        return f"{self!r}: {100 * min(share, 1):.2g} % of the pairs, proven error {bound:.1e} of the largest entry."

    def allowed(self, x: Array) -> Float[Array, ""]:
        """Return the tolerance as an array: one program serves all of them."""
        return jnp.asarray(self.tolerance, x.dtype)

    def shape_of(self, kernel: Kernel) -> Exponential:
        """Return the kernel as an exponential; raise `BadInput` where it is none."""
        exponential = kernel.exponential()
        if exponential is None or exponential.concentration is None:
            raise BadInput(
                "Neighbours: this kernel is no exponential of <x,y>. It sums e^(beta <x,y>) with numbers as query and "
                "key, score 'dot', weighting 'softmax' or 'unnormalised', mask None or 'causal'. "
                "Use sum=mf.sums.Exact()."
            )
        return exponential


class Cut(eqx.Module):
    """Points in blocks, and where each point went."""

    index: Int[Array, "b s"]
    levels: int = eqx.field(static=True)

    def split(self, a: Float[Array, "n ..."], last: Any = None) -> Float[Array, "b s ..."]:
        """Return the rows in blocks; what fills up the blocks is the last row, or `last`."""
        n = a.shape[0]
        rows = a[jnp.minimum(self.index, n - 1)]
        if last is None:
            return rows
        return jnp.where((self.index < n).reshape(*self.index.shape, *([1] * (a.ndim - 1))), rows, last)

    def joined(self, blocks: Float[Array, "b s ..."], n: int) -> Float[Array, "n ..."]:
        """Return the rows in their own order."""
        flat = self.index.reshape(-1)
        back = jnp.zeros_like(flat).at[flat].set(jnp.arange(flat.shape[0]), unique_indices=True)
        return blocks.reshape(-1, *blocks.shape[2:])[back[:n]]


def atoms_per_block(n: int) -> float:
    """Return about how many of n atoms make a block."""
    return max(ATOMS, math.sqrt(n) / SHARE)


def cut(points: Any, size: float, xp: Any = jnp) -> tuple[Any, int]:
    """Return the indices of the points in compact blocks of about that size, those from n on to fill up, and how often
    the points were halved."""
    n = points.shape[0]
    levels = halvings(n, size)
    full = -(-n // 2**levels) * 2**levels
    order = order_in_cells(points[xp.minimum(xp.arange(full), n - 1)], levels, xp)
    return order.reshape(2**levels, -1), levels


@eqx.filter_jit
def looked_up(
    exponential: Exponential,
    tolerance: Float[Array, ""],
    own: bool,
    x: Float[Array, "m d"],
    rank: Array | None,
    mu: Tokens,
    values: Array | None,
) -> Visited:
    """Return what each query gets from its neighbours, in the order of the queries; without values, the gaps."""
    given = exponential.number.astype(x.dtype)
    # attending to the opposite is attending from the opposite
    sign = jax.lax.stop_gradient(jnp.where(given < 0, -1, 1).astype(x.dtype))
    # rows of padding may hold anything
    sound = mu.present | jnp.all(jnp.isfinite(mu.points), axis=1)
    points = jnp.where(sound[:, None], mu.points, mu.points[jnp.argmax(mu.present)])
    masses = jnp.where(mu.present, mu.weights, 0)
    x = points if own else x
    held = jax.lax.stop_gradient
    atoms = Cut(*cut(held(points), atoms_per_block(mu.n)))
    if own:
        together = min(QUERIES, 2**atoms.levels)
        queries = Cut(atoms.index.reshape(-1, atoms.index.shape[1] * together), atoms.levels)
    else:
        queries = Cut(*cut(held(x), QUERIES * atoms_per_block(x.shape[0])))
    causal = exponential.causal and rank is not None
    place = jnp.zeros(x.shape[0], int) if rank is None or not causal else rank
    places = mu.positions if causal else jnp.zeros(mu.n, int)
    got = visited(
        Settings(causal, own),
        tolerance,
        sign * given,
        sign,
        Blocks(queries.split(sign * x), queries.split(place)),
        Blocks(atoms.split(points), atoms.split(places)),
        atoms.split(masses, 0),
        None if values is None else atoms.split(values.astype(x.dtype)),
    )
    each = got.least[:, None] + jnp.zeros_like(got.total)
    wide = got._replace(
        least=each, met=got.met[:, None] + jnp.zeros_like(each, int), reach=got.reach[:, None] + jnp.zeros_like(each)
    )
    return jax.tree.map(lambda a: queries.joined(a, x.shape[0]), wide)


def weighted(exponential: Exponential, x: Array, got: Visited) -> tuple[Float[Array, "m v"], Float[Array, "m"]]:
    """Return the sums in the kernel's own weights, and the total weight."""
    nothing = got.total <= 0
    if exponential.normalised:
        weight = jnp.where(nothing, 0, jnp.ones_like(got.total))
        return jnp.where(nothing[:, None], 0, got.moved / jnp.where(nothing, 1, got.total)[:, None]), weight
    size, shift = jnp.abs(exponential.number).astype(x.dtype), exponential.shift.astype(x.dtype)
    held = jax.lax.stop_gradient
    # the sums and their derivatives are those of e^(c <x,y> - exponent), the exponent held fixed
    exponent = held(got.top + 0.5 * size * (jnp.sum(x * x, axis=1) - 1) + (size - shift))
    scale = jnp.where(nothing, 0, jnp.exp(exponent + (held(shift) - shift)))
    return scale[:, None] * got.moved, scale * got.total


def places_of(exponential: Exponential, mu: Tokens) -> Array | None:
    """Return the places in the text that a mask looks at."""
    return mu.positions if exponential.causal else None


def rounding(exponential: Exponential, x: Array, mu: Tokens, got: Visited) -> Float[Array, "m"]:
    """Return a bound on the relative rounding error of a query's sums and of their denominator."""
    u, d = jnp.finfo(x.dtype).eps / 2, x.shape[1]
    c = jnp.abs(exponential.number).astype(x.dtype)
    norms = jnp.max(jnp.where(mu.present, jnp.sum(mu.points**2, axis=1), 0))
    exponent = 0.5 * c * ((2 * d + 12) * got.reach**2 + (d + 3) * norms)
    adding = 2.0 * TOGETHER + 2.0 * got.met / TOGETHER + 8
    scale = 0.0 if exponential.normalised else 4 * (c + jnp.abs(exponential.shift) + jnp.abs(got.top) + 2)
    relative = u * (exponent + adding + scale)
    return jnp.where(relative < 1, relative / jnp.where(relative < 1, 1 - relative, 1), jnp.inf)

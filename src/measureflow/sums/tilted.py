r"""Sums $\sum_j e^{\ell(q_i, k_j) - t_i} g_j$ of every pair, a tile of queries and atoms at a time.

Derivatives are such sums again: $d\sum_j e_{ij} g_j = \sum_j e_{ij} (d\ell_{ij}\, g_j + dg_j)$. So no tile is kept, and
memory is linear both ways.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Bool, Float, Int

from measureflow.sums.blocks import joined, split

__all__ = ["Logits", "Tile", "Tilted"]

# the shift of a row may lie this part of the largest exponent above its largest logit: enough of the exponents is left
# for what is small beside it
ROOM = 0.7
# a logit above the shift (of an atom without mass) is cut off here, so that the derivative by its mass is finite
CUT = 0.9


class Logits(eqx.Module):
    r"""What a tile computes: the logits $\ell(q, k)$ of queries on keys, and who may be seen. Without arrays."""

    @abc.abstractmethod
    def __call__(self, scale: Float[Array, ""], q: Float[Array, "m k"], k: Float[Array, "n k"]) -> Float[Array, "m n"]:
        """Return the logits."""

    @abc.abstractmethod
    def bounds(
        self, scale: Float[Array, ""], q: Float[Array, "m k"], k: Float[Array, "n k"]
    ) -> tuple[Float[Array, "m"], Float[Array, "m"]] | None:
        """Return what each query's logits lie between (least, largest), without the pairs; `None` if unknown."""

    @abc.abstractmethod
    def seen(self, rank: Int[Array, "m"], position: Int[Array, "n"]) -> Bool[Array, "m n"]:
        """Return who is seen."""

    @property
    @abc.abstractmethod
    def masked(self) -> bool:
        """Whether anything is hidden."""


@dataclasses.dataclass(frozen=True)
class Tile:
    """What a tile is: its logits, how many queries and atoms, whether a token's pair with itself is
    left out, and whether the logit of i on j is that of j on i."""

    logits: Logits
    queries: int
    atoms: int
    cut: bool
    apart: bool = False
    symmetric: bool = False


class Tilted(eqx.Module):
    r"""The kernel $w(x_i, y_j) = a_j e^{\ell(q_i, k_j) - s}$, normalised or not, over the atoms that may be seen.

    A kernel that has this form says so by returning it from `Kernel.tilted()`.
    """

    logits: Logits = eqx.field(static=True)
    #: whether each row is divided by its sum (softmax)
    normalised: bool = eqx.field(static=True)
    scale: Float[Array, ""]
    #: whether a logit stays when query and atom change places
    symmetric: bool = eqx.field(static=True)
    #: the shift `s`, without meaning where rows are normalised
    shift: Float[Array, ""]
    queries: Float[Array, "m k"]
    #: finite for absent atoms too
    keys: Float[Array, "n k"]
    #: zero for absent atoms
    masses: Float[Array, "n"]
    #: whether no atom is absent
    complete: Bool[Array, ""]
    #: places of the queries and the atoms in the text
    rank: Int[Array, "m"] | None
    positions: Int[Array, "n"]

    def sums(
        self, values: Float[Array, "n v"], size: tuple[int, int], *, own: bool, apart: bool = False
    ) -> tuple[Float[Array, "m v"], Float[Array, "m"], Float[Array, "m"]]:
        """Return `sum_j w values_j`, `sum_j w` over the same atoms, and over all.

        Arguments:
            size: queries and atoms in a tile.
            own: whether the queries are the atoms, in order.
            apart: whether to leave out each query's own atom in the first two sums.
        """
        # on several devices each has its share of the queries
        symmetric = own and self.symmetric and not self.logits.masked and jax.device_count() == 1
        tile = Tile(self.logits, *size, cut=self.normalised, apart=apart, symmetric=symmetric)
        frozen = jax.lax.stop_gradient(self)
        fixed = jnp.broadcast_to(frozen.shift, self.queries.shape[:1])
        shift = frozen.tops(tile, own) if self.normalised else fixed
        indices = jnp.arange(self.queries.shape[0]), jnp.arange(self.keys.shape[0])
        places = ((self.rank, indices[0]), (self.positions, indices[1]))
        columns = self.masses[:, None] * values
        halves = frozen.complete & jnp.all(shift == shift[0])
        sums, norm = tilted_sums(tile, self.scale, self.queries, self.keys, shift, columns, self.masses, places, halves)
        whole = norm
        if apart:
            itself = self.masses * jnp.exp(rowwise(partial(self.logits, self.scale), self.queries, self.keys) - shift)
            if self.rank is not None and self.logits.masked:
                itself = jnp.where(rowwise(self.logits.seen, self.rank, self.positions), itself, 0)
            whole = norm + itself
        if self.normalised:
            divisor = jnp.where(whole > 0, whole, jnp.ones_like(whole))
            return sums / divisor[:, None], norm / divisor, whole / divisor
        factor = jnp.exp(frozen.shift - self.shift)  # 1, with the derivative by the shift
        return factor * sums, factor * norm, factor * whole

    def tops(self, tile: Tile, own: bool) -> Float[Array, "m"]:
        """Return a shift for each query: a bound on its largest logit where that is near enough, else that logit."""
        bounds = self.logits.bounds(self.scale, self.queries, self.keys)
        if bounds is None:
            return self.largest(tile)
        least, most = bounds
        if tile.symmetric:
            most = jnp.broadcast_to(jnp.max(most), most.shape)
        if own:
            # a query that sees its own atom has a logit at least that large
            heard = self.masses > 0
            if self.rank is not None and self.logits.masked:
                heard = heard & rowwise(self.logits.seen, self.rank, self.positions)
            logit = rowwise(partial(self.logits, self.scale), self.queries, self.keys)
            least = jnp.where(heard, logit, least)
        room = ROOM * math.log(float(jnp.finfo(most.dtype).max))
        return jax.lax.cond(jnp.all(most - least <= room), lambda: most, lambda: self.largest(tile))

    def largest(self, tile: Tile) -> Float[Array, "m"]:
        """Return each query's largest logit over the atoms with mass that it sees; 0 where there is none."""

        def part(row: tuple, atom: tuple) -> Array:
            (q, rank), (k, mass, position) = row, atom
            heard = mass[None, :] > 0
            if rank is not None and self.logits.masked:
                heard = heard & self.logits.seen(rank, position)
            # an atom without mass must not set the shift: the others could underflow beside it
            return jnp.max(self.logits(self.scale, q, k), axis=1, where=heard, initial=-jnp.inf)

        rows, atoms = (self.queries, self.rank), (self.keys, self.masses, self.positions)
        top = over_tiles(tile, part, jnp.maximum, -jnp.inf, rows, atoms)
        return jnp.where(jnp.isfinite(top), top, jnp.zeros_like(top))


def rowwise(function: Callable[[Array, Array], Array], a: Array, b: Array) -> Array:
    """Return `function` of each row of `a` and the same row of `b`."""
    return jax.vmap(lambda one, other: function(one[None], other[None])[0, 0])(a, b)


def raised(tile: Tile, logits: Array, shift: Array, here: tuple, there: tuple) -> Float[Array, "m n"]:
    """Return `e^{l - t}` of the pairs that count, zero elsewhere."""
    above = logits - shift[:, None]
    if tile.cut:
        above = jnp.minimum(above, CUT * math.log(float(jnp.finfo(logits.dtype).max)))
    terms = jnp.exp(above)
    (rank, index), (position, atom) = here, there
    if rank is not None and tile.logits.masked:
        terms = jnp.where(tile.logits.seen(rank, position), terms, 0)
    return jnp.where(index[:, None] == atom[None, :], 0, terms) if tile.apart else terms


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def tilted_sums(
    tile: Tile,
    scale: Float[Array, ""],
    q: Float[Array, "m k"],
    k: Float[Array, "n k"],
    shift: Float[Array, "m"],
    columns: Float[Array, "n v"],
    masses: Float[Array, "n"],
    places: tuple[tuple, tuple],
    halves: Bool[Array, ""],
) -> tuple[Float[Array, "m v"], Float[Array, "m"]]:
    """Return `sum_j e^{l - t} columns_j` and `sum_j e^{l - t} masses_j`. The shift is taken for a constant.

    A symmetric tile serves both sides where `halves` says that shifts and keys are alike on both.
    """
    arguments = (scale, q, k, shift, columns, masses, places)
    if not tile.symmetric:
        return all_tiles(tile, *arguments)
    return jax.lax.cond(halves, partial(half_tiles, tile), partial(all_tiles, tile), *arguments)


def all_tiles(
    tile: Tile, scale: Array, q: Array, k: Array, shift: Array, columns: Array, masses: Array, places: tuple
) -> tuple[Array, Array]:
    """Return the sums over every tile."""

    def part(row: tuple, atom: tuple) -> tuple[Array, Array]:
        (q, shift, here), (k, columns, masses, there) = row, atom
        terms = raised(tile, tile.logits(scale, q, k), shift, here, there)
        return terms @ columns, terms @ masses

    return over_tiles(tile, part, jnp.add, 0.0, (q, shift, places[0]), (k, columns, masses, places[1]))


def half_tiles(
    tile: Tile, scale: Array, q: Array, k: Array, shift: Array, columns: Array, masses: Array, places: tuple
) -> tuple[Array, Array]:
    """Return the sums over tiles, each computed once for its queries and, transposed, for its atoms."""
    n = q.shape[0]
    count = -(-n // tile.queries)
    places = jax.tree.map(lambda a: split(a, count, -(-n // count), fill=jnp.full_like(a[:1], -1)), places)
    q, k, columns, masses = (split(a, count, -(-n // count)) for a in (q, k, columns, masses))
    first, second = jnp.triu_indices(count)

    def step(s: Array, sums: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        i, j = first[s], second[s]
        here, there = (jax.tree.map(lambda a, b=b: a[b], side) for side, b in zip(places, (i, j), strict=True))
        terms = raised(tile, tile.logits(scale, q[i], k[j]), jnp.broadcast_to(shift[0], q.shape[1:2]), here, there)
        twice = (i != j).astype(terms.dtype)
        down, along, norm = sums
        down, along = down.at[i].add(terms @ columns[j]), along.at[j].add(twice * (turned[i] @ terms))
        return down, along, norm.at[i].add(terms @ masses[j]).at[j].add(twice * (masses[i] @ terms))

    # the product with the transposed tile is written as that of the transposed columns, which is twice as fast
    turned = jnp.swapaxes(columns, 1, 2)
    empty = jnp.zeros_like(columns), jnp.zeros_like(turned), jnp.zeros_like(masses)
    down, along, norm = jax.lax.fori_loop(0, first.shape[0], step, empty)
    return joined(down + jnp.swapaxes(along, 1, 2), n), joined(norm, n)


@partial(tilted_sums.defjvp, symbolic_zeros=True)
def tilted_sums_jvp(tile: Tile, primals: tuple, tangents: tuple) -> tuple[Any, Any]:
    """Return the sums and their derivative: sums over the same terms, which transpose tile by tile."""
    scale, q, k, shift, columns, masses, places, _ = primals
    moving = [*tangents[:3], *tangents[4:6]]
    still = [isinstance(t, SymbolicZero) for t in moving]
    dscale, dq, dk, dcolumns, dmasses = (None if none else t for t, none in zip(moving, still, strict=True))

    def part(row: tuple, atom: tuple) -> tuple[Array, Array]:
        (q, dq, shift, here), (k, dk, columns, dcolumns, masses, dmasses, there) = row, atom
        arguments = (scale, q, k)
        turns = tuple(jnp.zeros_like(a) if t is None else t for a, t in zip(arguments, (dscale, dq, dk), strict=True))
        logits, turned = jax.jvp(tile.logits, arguments, turns)
        terms = raised(tile, logits, shift, here, there)
        sums, norms = [], []
        if not all(still[:3]):
            turned = terms * turned
            sums, norms = [turned @ columns], [turned @ masses]
        if dcolumns is not None:
            sums.append(terms @ dcolumns)
        if dmasses is not None:
            norms.append(terms @ dmasses)
        return total(sums, terms @ jnp.zeros_like(columns)), total(norms, jnp.zeros_like(shift))

    rows = (q, dq, shift, places[0])
    tangent = over_tiles(tile, part, jnp.add, 0.0, rows, (k, dk, columns, dcolumns, masses, dmasses, places[1]))
    return tilted_sums(tile, *primals), tangent


def total(terms: list[Array], nothing: Array) -> Array:
    """Return the sum of the terms, `nothing` where there is none."""
    return sum(terms[1:], terms[0]) if terms else nothing


def over_tiles(
    tile: Tile,
    part: Callable[[Any, Any], Any],
    join: Callable[[Array, Array], Array],
    start: float,
    rows: Any,
    atoms: Any,
) -> Any:
    """Return `part(row, atom)` joined over the tiles of atoms, for every row. The tiles are recomputed on the way back.

    Rows of zeros fill up the last tiles: they must change nothing.
    """
    m, n = (jax.tree.leaves(side)[0].shape[0] for side in (rows, atoms))
    if m <= tile.queries and n <= tile.atoms:
        return part(rows, atoms)
    down, along = -(-m // tile.queries), -(-n // tile.atoms)
    blocks = jax.tree.map(lambda a: split(a, down, -(-m // down)), rows)
    strips = jax.tree.map(lambda a: split(a, along, -(-n // along)), atoms)
    kept = jax.checkpoint(part, prevent_cse=False)

    def row(block: Any) -> Any:
        first = jax.tree.map(lambda a: a[0], strips)
        empty = jax.tree.map(lambda a: jnp.full(a.shape, start, a.dtype), jax.eval_shape(part, block, first))
        return jax.lax.scan(lambda sums, strip: (jax.tree.map(join, sums, kept(block, strip)), None), empty, strips)[0]

    return jax.tree.map(lambda a: joined(a, m), jax.lax.map(row, blocks))

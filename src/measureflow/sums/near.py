r"""Sums over near pairs: $\sum_j a_j e^{c\langle z, y_j\rangle} g_j$, nearest blocks first, until the rest is small.

Queries and atoms stand in blocks that are compact in space. For a block of queries, the atoms' blocks are taken in the
order of a bound on their largest weight; the loop ends where the bound on all that is left is below the tolerance times
what each query has got. The derivatives are sums over the same pairs with other columns. A loop whose length depends on
values cannot be run backwards by JAX: so these sums, linear in their columns, are a primitive that knows its transpose.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Bool, Float, Int

from measureflow.sums.blocks import at_once
from measureflow.sums.cells import Cells, ranked
from measureflow.sums.gaps import weighted_gaps

__all__ = ["Blocks", "Settings", "Visited", "upper_exponents", "visited"]

#: atoms that are summed at once for a block of queries
TOGETHER = 256


class Settings(NamedTuple):
    """What is static: whether places are looked at, whether the queries are the atoms."""

    causal: bool
    own: bool


class Blocks(NamedTuple):
    """Points in blocks, and their places in the text."""

    points: Float[Array, "b s d"]
    places: Int[Array, "b s"]


class Visited(NamedTuple):
    """What the queries got, and what bounds the rest. Exponents are `c <z, y> - c |z|^2 / 2 - c / 2`."""

    #: sum of the weights, in units of `e^top`
    total: Float[Array, "q s"]
    #: sum of weights times values, or times gaps, in the same units
    moved: Float[Array, "q s v"]
    #: the largest exponent that was met
    top: Float[Array, "q s"]
    #: blocks of atoms whose bound reaches this were summed
    least: Float[Array, "q"]
    #: bound on the weight that was left out, relative to `total`
    dropped: Float[Array, "q s"]
    #: how many atoms each query was summed over
    met: Int[Array, "q"]
    #: how far apart, along the way over the block's centre, a query and one of them may be
    reach: Float[Array, "q"]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def visited(
    settings: Settings,
    tolerance: Float[Array, ""],
    c: Float[Array, ""],
    sign: Float[Array, ""],
    queries: Blocks,
    atoms: Blocks,
    masses: Float[Array, "b s"],
    values: Float[Array, "b s v"] | None,
) -> Visited:
    """Sum the values, or where there are none the gaps `y - sign z`, over the near atoms of each block of queries."""
    cells, around = Cells.around(queries.points), Cells.around(atoms.points)
    offsets = offsets_of(c, atoms.points)
    summed = jnp.where(masses > 0, offsets, -jnp.inf)
    heights, earliest, mass = jnp.max(offsets, axis=1), jnp.min(atoms.places, axis=1), jnp.sum(masses, axis=1)
    first = jnp.min(jnp.where(masses > 0, atoms.places, jnp.iinfo(atoms.places.dtype).max))
    count, size, d = atoms.points.shape
    chunk = chunk_of(count, size)
    ids = jnp.arange(count * size).reshape(count, size)
    farthest = jnp.max(jnp.abs(atoms.points)) + jnp.max(jnp.abs(queries.points))
    margin = 256 * float(jnp.finfo(c.dtype).eps) * (1 + farthest) ** 2

    def rows(block: tuple) -> Visited:
        z, places, cell, own = block
        upper = upper_exponents(c, cell, around, heights)
        if settings.causal:
            upper = jnp.where(earliest <= jnp.max(places), upper, -jnp.inf)
        order = in_order(upper)
        nearest = upper[order]
        rest = remaining(nearest.reshape(-1, chunk), mass[order].reshape(-1, chunk))
        live = places >= first if settings.causal else jnp.ones(places.shape, bool)

        def going(state: tuple) -> Bool[Array, ""]:
            t, top, total, _ = state
            worst = jnp.min(jnp.where(live, top + jnp.log(total), jnp.inf))
            # where the bound is NaN everything is summed
            return (t < count // chunk) & ~(rest[t] <= jnp.log(tolerance) + worst)

        def step(state: tuple) -> tuple:
            t, top, total, moved = state
            index = jax.lax.dynamic_slice_in_dim(order, t * chunk, chunk)
            y = atoms.points[index].reshape(-1, d)
            logits = exponents(c, z, y, cell.centre, summed[index].reshape(-1))
            if settings.causal:
                logits = jnp.where(atoms.places[index].reshape(-1) <= places[:, None], logits, -jnp.inf)
            peak = jnp.maximum(top, jnp.max(logits, axis=1))
            safe = jnp.where(jnp.isneginf(peak), 0, peak)
            shrink, weights = jnp.exp(top - safe), jnp.exp(logits - safe[:, None])
            massive = masses[index].reshape(-1)
            if values is None:
                others = own[:, None] != ids[index].reshape(-1) if settings.own else None
                added, shift = gaps_of(weights * massive, others, sign * z, y)
            else:
                added, shift = sums_of(weights, massive, values[index].reshape(massive.shape[0], -1))
            return t + 1, peak, total * shrink + added, moved * shrink[:, None] + shift

        width = d if values is None else values.shape[-1]
        start = jnp.zeros(z.shape[:1], z.dtype)
        begin = (jnp.zeros((), int), start - jnp.inf, start, jnp.zeros((z.shape[0], width), z.dtype))
        t, top, total, moved = jax.lax.while_loop(going, step, begin)
        inside = jnp.arange(count) < t * chunk
        dropped = jnp.where(live, jnp.exp(rest[t] - top - jnp.log(total)), 0)
        least = jnp.min(jnp.where(inside, nearest, jnp.inf))
        # the derivatives compute the bounds again, rounded in another way, and must not lose the last block
        least = least - (1e-3 + margin * (jnp.abs(least) + c))
        far = jnp.sqrt(jnp.sum((around.centre[order] - cell.centre) ** 2, axis=1)) + around.radius[order]
        reach = jnp.max(jnp.where(inside, far, 0)) + cell.radius
        return Visited(total, moved, top, least, dropped, t * chunk * size, reach)

    numbers = jnp.arange(queries.places.size).reshape(queries.places.shape)
    return over_blocks(rows, (queries.points, queries.places, cells, numbers))


def gaps_of(weights: Array, others: Array | None, x: Array, y: Array) -> tuple[Array, Array]:
    """Return the sums of the weights and of the weighted gaps; the zero of a token's gap to itself is put in."""
    pulling = weights if others is None else jnp.where(others, weights, 0)  # see Exact.pull
    return jnp.sum(weights, axis=1), weighted_gaps(pulling, x, y)


def sums_of(weights: Array, masses: Array, values: Array) -> tuple[Array, Array]:
    """Return the sums of the masses and of the values with their masses."""
    sums = product(weights, jnp.concatenate([masses[:, None], masses[:, None] * values], axis=1))
    return sums[:, 0], sums[:, 1:]


@visited.defjvp
def visited_jvp(settings: Settings, primals: tuple, tangents: tuple) -> tuple[Visited, Visited]:
    """Return the sums and their derivative, which is made of sums over the same pairs."""
    _, c, sign, queries, atoms, masses, values = primals
    _, dc, _, dqueries, datoms, dmasses, dvalues = tangents
    out = visited(settings, *primals)
    top, least = jax.lax.stop_gradient((out.top, out.least))

    def spelled_out(c: Array, z: Array, y: Array, masses: Array, values: Array | None) -> tuple[Array, Array]:
        g = y if values is None else values
        columns = masses[..., None] * jnp.concatenate([jnp.ones_like(g[..., :1]), g], axis=-1)
        args = (columns, c, z, y, top, least, queries.places, atoms.places)
        both = near_sums.bind(*args, causal=settings.causal, swapped=False)
        total, moved = both[..., 0], both[..., 1:]
        return total, moved - sign * z * total[..., None] if values is None else moved

    at = (c, queries.points, atoms.points, masses, values)
    along = (dc, dqueries.points, datoms.points, dmasses, dvalues)
    _, (total, moved) = jax.jvp(spelled_out, at, along)
    still = jax.tree.map(no_change, out)
    return out, still._replace(total=total, moved=moved)


def no_change(value: Array) -> Any:
    """Return the tangent of what is held fixed."""
    if jnp.issubdtype(value.dtype, jnp.floating):
        return jnp.zeros_like(value)
    return np.zeros(value.shape, jax.dtypes.float0)


def sums_of_near(
    columns: Float[Array, "b s w"],
    c: Float[Array, ""],
    z: Float[Array, "q r d"],
    y: Float[Array, "b s d"],
    top: Float[Array, "q r"],
    least: Float[Array, "q"],
    places: Int[Array, "q r"],
    others: Int[Array, "b s"],
    *,
    causal: bool,
    swapped: bool,
) -> Float[Array, "q r w"]:
    """Return `sum_j K_ij columns_j` over the pairs that were visited; swapped, `sum_i K_ij columns_i`."""
    offsets = offsets_of(c, y)
    heights, earliest, latest = jnp.max(offsets, axis=1), jnp.min(others, axis=1), jnp.max(places, axis=1)
    # the exponent of a pair is less its query's top and has its atom's offset; a query is a row, or swapped a column
    shifts = -top
    mine, theirs = (shifts, offsets) if not swapped else (offsets, shifts)
    rows_at, columns_at = (z, y) if not swapped else (y, z)
    here, there = Cells.around(rows_at), Cells.around(columns_at)
    count, size, d = columns_at.shape
    chunk = chunk_of(count, size)
    width = columns.shape[-1]
    largest = 0.9 * math.log(float(jnp.finfo(z.dtype).max))

    def rows(block: tuple) -> Array:
        x, shift, place, cell, height, early, late, floor = block
        if swapped:
            upper, seen, floors = upper_exponents(c, cell, there, height), early <= latest, least
        else:
            upper, seen, floors = upper_exponents(c, cell, there, heights), earliest <= late, floor
        taken = ~(upper < floors) & (seen if causal else True)
        order = in_order(jnp.where(taken, upper, -jnp.inf))
        number = jnp.sum(taken)

        def step(t: Array, out: Array) -> Array:
            index = jax.lax.dynamic_slice_in_dim(order, t * chunk, chunk)
            logits = exponents(c, x, columns_at[index].reshape(-1, d), cell.centre, theirs[index].reshape(-1))
            logits = jnp.minimum(logits + shift[:, None], largest)
            if causal:
                place_of_columns = (places if swapped else others)[index].reshape(-1)
                ordered = place[:, None] <= place_of_columns if swapped else place_of_columns <= place[:, None]
                logits = jnp.where(ordered, logits, -jnp.inf)
            inside = (t * chunk + jnp.arange(chunk) < number)[:, None, None]
            g = jnp.where(inside, columns[index], 0).reshape(-1, width)
            return out + product(jnp.exp(logits), g)

        return jax.lax.fori_loop(0, -(-number // chunk), step, jnp.zeros((x.shape[0], width), columns.dtype))

    blocks = rows_at.shape[0]
    one = jnp.zeros((blocks,), z.dtype)
    place = others if swapped else places
    height = heights if swapped else one
    early, late = (earliest, earliest) if swapped else (latest, latest)
    floor = one if swapped else least
    return over_blocks(rows, (rows_at, mine, place, here, height, early, late, floor))


near_sums = Primitive("measureflow_near_sums")
near_sums.def_impl(jax.jit(sums_of_near, static_argnames=("causal", "swapped")))
mlir.register_lowering(near_sums, mlir.lower_fun(sums_of_near, multiple_results=False))


@near_sums.def_abstract_eval
def near_sums_shape(columns: Any, c: Any, z: Any, y: Any, *_: Any, causal: bool, swapped: bool) -> Any:
    """Return the shape of the sums."""
    return columns.update(shape=(*(y if swapped else z).shape[:2], columns.shape[2]))


def near_sums_jvp(primals: tuple, tangents: tuple, *, causal: bool, swapped: bool) -> tuple[Array, Any]:
    """Return the sums and their derivative: that of the kernel in a point is the kernel times `c` times the other."""
    columns, c, z, y, *rest = primals
    dcolumns, dc, dz, dy, *_ = tangents
    here, there, dhere, dthere = (y, z, dy, dz) if swapped else (z, y, dz, dy)

    def sums(columns: Array) -> Array:
        return near_sums.bind(columns, c, z, y, *rest, causal=causal, swapped=swapped)

    def lifted(points: Array) -> Array:
        """Return the sums of the columns times each coordinate of the points beside them."""
        pairs = columns[..., :, None] * points[..., None, :]
        out = sums(pairs.reshape(*columns.shape[:2], -1))
        return out.reshape(*out.shape[:2], columns.shape[2], points.shape[2])

    parts = []
    if not isinstance(dcolumns, ad.Zero):
        parts.append(sums(dcolumns))
    if not isinstance(dthere, ad.Zero):
        parts.append(c * jnp.einsum("bsd,bswd->bsw", here, lifted(dthere)))
    if not (isinstance(dhere, ad.Zero) and isinstance(dc, ad.Zero)):
        moved = lifted(there)
        if not isinstance(dhere, ad.Zero):
            parts.append(c * jnp.einsum("bsd,bswd->bsw", dhere, moved))
        if not isinstance(dc, ad.Zero):
            parts.append(dc * jnp.einsum("bsd,bswd->bsw", here, moved))
    out = sums(columns)
    return out, sum(parts[1:], parts[0]) if parts else jnp.zeros_like(out)


def near_sums_transpose(cotangent: Any, columns: Any, *rest: Any, causal: bool, swapped: bool) -> list[Any]:
    """Return the cotangent of the columns: the same sums the other way."""
    if isinstance(cotangent, ad.Zero):
        return [ad.Zero(columns.aval), *([None] * len(rest))]
    back = near_sums.bind(cotangent, *rest, causal=causal, swapped=not swapped)
    return [back, *([None] * len(rest))]


def near_sums_batch(args: tuple, axes: tuple, *, causal: bool, swapped: bool) -> tuple[Array, int]:
    """Return the sums of a batch one after another: each ends its loops where its own values let it."""
    mapped = tuple(jnp.moveaxis(a, axis, 0) for a, axis in zip(args, axes, strict=True) if axis is not None)

    def one(batch: tuple) -> Array:
        left = iter(batch)
        whole = [a if axis is None else next(left) for a, axis in zip(args, axes, strict=True)]
        return near_sums.bind(*whole, causal=causal, swapped=swapped)

    return jax.lax.map(one, mapped), 0


ad.primitive_jvps[near_sums] = near_sums_jvp
ad.primitive_transposes[near_sums] = near_sums_transpose
batching.primitive_batchers[near_sums] = near_sums_batch


def upper_exponents(c: Any, cell: Cells, cells: Cells, heights: Any, xp: Any = jnp) -> Any:
    """Return bounds from above on the exponents between the points of a cell and of each of the others."""
    bound = heights - 0.5 * c * cells.apart(cell, xp) ** 2
    return bound + 8 * float(np.finfo(cells.centre.dtype).eps) * xp.abs(bound)


def offsets_of(c: Any, y: Any, xp: Any = jnp) -> Any:
    """Return `c (|y|^2 - 1) / 2`: what an exponent is more than `-c |z - y|^2 / 2`."""
    return 0.5 * c * (xp.sum(y * y, axis=-1) - 1)


def exponents(
    c: Array, x: Float[Array, "m d"], y: Float[Array, "n d"], centre: Float[Array, "d"], offsets: Float[Array, "n"]
) -> Float[Array, "m n"]:
    """Return `offset - c |x - y|^2 / 2` by a matrix product of points seen from the centre, where both are small."""
    x, y = x - centre, y - centre
    one = jnp.ones_like(x[:, :1])
    left = jnp.concatenate([c * x, one, -0.5 * c * jnp.sum(x * x, axis=1, keepdims=True)], axis=1)
    beside = offsets[:, None] - 0.5 * c * jnp.sum(y * y, axis=1, keepdims=True)
    return product(left, jnp.concatenate([y, beside, jnp.ones_like(beside)], axis=1).T)


def product(a: Array, b: Array) -> Array:
    """Return the matrix product in the precision of the arrays, on every device."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def remaining(upper: Float[Array, "t k"], mass: Float[Array, "t k"]) -> Float[Array, "t+1"]:
    """Return the logarithm of a bound on the weight of all chunks from the t-th on; nothing is left after the last."""
    largest = jnp.max(upper, axis=1)
    safe = jnp.where(jnp.isneginf(largest), 0, largest)
    each = largest + jnp.log(jnp.sum(mass * jnp.exp(upper - safe[:, None]), axis=1))
    tails = jax.lax.cumlogsumexp(each, reverse=True)
    return jnp.concatenate([tails, jnp.full((1,), -jnp.inf, tails.dtype)])


def in_order(upper: Float[Array, "b"]) -> Int[Array, "b"]:
    """Return the order of falling bounds."""
    largest = jnp.max(upper)
    return ranked(jnp.where(jnp.isneginf(largest), 0, largest) - upper)


def chunk_of(count: int, size: int) -> int:
    """Return how many of so many blocks are taken at once: a power of two, as their number is."""
    return min(count, 2 ** max(0, round(math.log2(TOGETHER / size))))


def over_blocks(rows: Any, blocks: Any) -> Any:
    """Return `rows` of each block: one after the other on a processor, many at once on an accelerator."""
    return jax.lax.map(rows, blocks, batch_size=at_once())

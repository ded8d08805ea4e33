"""Saved times between steps: read off each step's own interpolant, so that many saved times cost no steps."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from measureflow.flows import segment as steps
from measureflow.flows.pairs import pair_of, point_within, way
from measureflow.flows.record import Recorders, values_of
from measureflow.flows.segment import Problem, State
from measureflow.flows.solver import Adaptive

__all__ = ["read_off"]

#: attempts between two times that are landed on: more than between two saved times, since there are fewer
DENSE_STEPS = 16384


#: a value of at most this many numbers is written by comparing indices: in a batch a scatter is a loop over the lanes
SHORT = 64


class Shelf(eqx.Module):
    """What was read off so far: how many of the times are behind, and arrays with a row for each time."""

    count: Int[Array, ""]
    short: list[Array]
    long: list[Array]

    def put(self, row: Any) -> Shelf:
        """Return the shelf with the next row put in."""
        short, long = parted(row)
        index = jnp.arange(self.short[0].shape[0]) if short else None
        masked = [
            jnp.where((index == self.count).reshape(-1, *([1] * value.ndim)), value, rows)
            for value, rows in zip(short, self.short, strict=True)
        ]
        written = [rows.at[self.count].set(value) for value, rows in zip(long, self.long, strict=True)]
        return Shelf(self.count + 1, masked, written)


def parted(row: Any) -> tuple[list[Array], list[Array]]:
    """Return the leaves of a row that are short, and those that are long."""
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(row)]
    return [leaf for leaf in leaves if leaf.size <= SHORT], [leaf for leaf in leaves if leaf.size > SHORT]


def joined(row: Any, short: list[Array], long: list[Array]) -> Any:
    """Return short and long leaves in the structure of a row."""
    leaves, structure = jax.tree.flatten(row)
    short, long = list(short), list(long)
    return jax.tree.unflatten(structure, [(short if jnp.size(leaf) <= SHORT else long).pop(0) for leaf in leaves])


def long_rows(shelf: Shelf) -> list[Array]:
    """Return what a loop only writes to."""
    return shelf.long


def read_off(
    problem: Problem, times: Array | np.ndarray, recorders: Recorders, wanted: np.ndarray
) -> tuple[State, Array, dict[str, Array]]:
    """Step to the last time and read the others off; return the last state, the points at the wanted times and what is
    recorded at all.

    Jumps of the field and the last time are landed on. Every lane of a batch steps as its own accuracy asks, and none
    waits for another at a saved time.
    """
    count, field = times.shape[0], problem.field
    clock, states = jnp.asarray(times), bool((wanted < count - 1).any())
    limit = min(problem.solver.max_steps, DENSE_STEPS)

    def row(x: Array, time: Array) -> tuple[Any, ...]:
        mu = problem.tokens.replace(points=x)
        recorded = values_of(recorders, mu, field if field.autonomous else field.at(time))
        return (recorded, x) if states else (recorded,)

    def to(carry: tuple[State, Shelf], target: Array) -> tuple[tuple[State, Shelf], None]:
        def going(carry: tuple[State, Shelf]) -> Array:
            return (carry[0].code == steps.RUNNING) & (carry[0].time < target)

        def body(carry: tuple[State, Shelf]) -> tuple[State, Shelf]:
            before, shelf = carry
            after, h, slopes = steps.tried(problem, before, target, written_out=True)
            return after, shelve(problem, clock, row, shelf, before, after, h, slopes)

        state, shelf = eqxi.while_loop(
            going, body, carry, kind="checkpointed", max_steps=limit, buffers=lambda carry: long_rows(carry[1])
        )
        short = (state.code == steps.RUNNING) & (state.time < target)
        state = eqx.tree_at(lambda s: s.code, state, jnp.where(short, steps.UNRESOLVED, state.code))
        return (state, shelf), None

    begun = steps.begin(problem)
    first, at_start = row(begun.x, begun.time), clock[0] <= 0
    short, long = jax.tree.map(lambda a: jnp.zeros((count, *a.shape), a.dtype), parted(first))
    shelf = Shelf(at_start.astype(int), short, long)
    (state, shelf), _ = jax.lax.scan(to, (begun, shelf), landings(clock, field.breaks))
    last = row(state.x, state.time)

    def whole(filled: Array, first: Array, last: Array) -> Array:
        # what stands still, or stopped, is at the times that follow where it was left
        index = jnp.arange(count).reshape(-1, *([1] * jnp.ndim(first)))
        filled = jnp.where(index >= jnp.minimum(shelf.count, count - 1), last, filled)
        return jnp.where((index == 0) & at_start, first, filled)

    recorded, *points = jax.tree.map(whole, joined(first, shelf.short, shelf.long), first, last)
    return state, points[0][wanted] if states else jnp.stack([state.x] * len(wanted)), recorded


def shelve(
    problem: Problem, clock: Array, row: Any, shelf: Shelf, before: State, after: State, h: Array, slopes: Any
) -> Shelf:
    """Read all times off that lie within an accepted step; a rejected one holds none."""
    assert isinstance(problem.solver, Adaptive)
    pair, tokens, count = pair_of(problem.solver.pair), problem.tokens, clock.shape[0]
    accepted = after.accepted > before.accepted
    coefficients = way(pair, slopes, h)

    def pending(shelf: Shelf) -> Array:
        following = clock[jnp.minimum(shelf.count, count - 1)]
        return accepted & (shelf.count < count) & (following <= after.time)

    def one(shelf: Shelf) -> Shelf:
        time = clock[jnp.minimum(shelf.count, count - 1)]
        part = jnp.clip(((time - before.start) - before.offset) / h, 0, 1)
        x = point_within(tokens.space, before.x, coefficients, part)
        x = x[before.cohorts.into] if problem.coarsens else x
        x = jnp.where(tokens.present[:, None], x, before.x)
        return shelf.put(row(jnp.where(time >= after.time, after.x, x), time))

    return eqxi.while_loop(pending, one, shelf, kind="checkpointed", max_steps=count, buffers=long_rows)


def landings(clock: Array, breaks: tuple[float, ...]) -> Array:
    """Return the times on which a step must land: the jumps of the field before the last time, and that."""
    before = jnp.asarray([time for time in breaks if time > 0], clock.dtype)
    return jnp.append(jnp.minimum(before, clock[-1]), clock[-1])

"""Coarsening: tokens that have met stay together, so they become one weighted token and the fast motion is gone."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from measureflow.fields import Field, Weighting
from measureflow.measures import Tokens
from measureflow.sums import Exact, squared_distances

__all__ = ["Cohorts", "is_continuous", "may_coarsen", "merge_distance", "merge_near"]

#: tokens merge at this many tolerances: an explicit method hovers at about its tolerance, where nothing would ever meet
MERGE_TOLERANCES = 30.0
#: up to this many tokens all pairs are looked at, beyond it cells
PAIRWISE = 512
#: how cells are shifted and numbered
PRIMES, MIXING = (2.0, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0, 19.0), 0x9E3779B97F4A7C15


class Cohorts(eqx.Module):
    """Who has joined whom, at fixed shape: a token that has joined another has weight 0 and follows it.

    Attributes:
        weights: present masses.
        into: the token that each follows; itself while it moves by itself. Always an end of the chain.
        partner: the token it joined, when it joined (the edge of the merge tree), itself before.
        since: the time at which it joined, infinity before.
    """

    weights: Float[Array, "n"]
    into: Int[Array, "n"]
    partner: Int[Array, "n"]
    since: Float[Array, "n"]

    @staticmethod
    def apart(tokens: Tokens) -> Cohorts:
        """Return the beginning: every token by itself."""
        index = jnp.arange(tokens.n)
        return Cohorts(tokens.weights, index, index, jnp.full(tokens.n, jnp.inf, tokens.points.dtype))

    @property
    def alone(self) -> Array:
        """Whether each token moves by itself."""
        return self.into == jnp.arange(self.into.shape[0])


def may_coarsen(tokens: Tokens, field: Field) -> bool:
    """Tell whether merging is exact up to its distance: the field joins tokens (see `Field.joins`), and sees weights.

    Under a mask coincident tokens see different prefixes and separate; a field of one's own that ignores the weights
    would move differently once they are joined, and is found out on a few tokens here. Under hardmax a joint token
    stands a little aside of a leader that would never have moved, and another may lead there.
    """
    if not field.joins or tokens.n < 2 or not is_continuous(field):
        return False
    return is_ours(field) or sees_weights(tokens, field)


def is_ours(part: Any) -> bool:
    """Tell whether a field and all its parts (heads, summands, score, weighting, ...) are this library's own."""
    if isinstance(part, eqx.Module):
        home = type(part).__module__
        return home.startswith(("measureflow.fields", "measureflow.sums")) and all(map(is_ours, vars(part).values()))
    return all(map(is_ours, part)) if isinstance(part, (tuple, list)) else True


def is_continuous(part: Any) -> bool:
    """Tell whether no weighting in the field jumps with its logits."""
    if isinstance(part, Weighting):
        return part.continuous
    if isinstance(part, (tuple, list)):
        return all(map(is_continuous, part))
    return not isinstance(part, eqx.Module) or all(map(is_continuous, vars(part).values()))


def sees_weights(tokens: Tokens, field: Field) -> bool:
    """Tell whether a token of double mass acts as two tokens at its place, on up to four of the tokens."""
    count = min(tokens.n, 4)
    points = tokens.points[:count]
    doubled = jnp.full(count, 1.0 / (count + 1)).at[0].add(1.0 / (count + 1))
    one = Tokens(tokens.space, points, doubled)
    two = Tokens(tokens.space, jnp.concatenate([points, points[:1]]))
    try:
        first, second = (np.asarray(velocity(field, points, mu)) for mu in (one, two))
    except (TypeError, ValueError):  # a field made for this number of tokens alone
        return False
    return bool(np.allclose(first, second, rtol=1e-8, atol=1e-10 * (1.0 + np.abs(first).max())))


@eqx.filter_jit
def velocity(field: Field, points: Array, mu: Tokens) -> Array:
    """Return the velocity; compiled, since eagerly each of its operations is a program of its own."""
    return field(points, mu)


def merge_distance(solver_atol: Array, solver_rtol: Array, x: Float[Array, "n d"]) -> Array:
    """Return the distance at which contracting tokens merge; the rest is disturbed by its square."""
    size = jnp.sqrt(jnp.max(jnp.sum(x * x, axis=-1)))
    return MERGE_TOLERANCES * (solver_atol + solver_rtol * size)


def merge_near(
    tokens: Tokens,
    cohorts: Cohorts,
    old: Float[Array, "n d"],
    new: Float[Array, "n d"],
    within: Array,
    time: Array,
    count: Array | int = 0,
) -> tuple[Float[Array, "n d"], Cohorts]:
    """Join every token to one that is `within` reach and came nearer over the step `old -> new`.

    The joint token carries both masses and stands at their centre of mass. A chain joins link by link in later steps,
    since only a token that is not itself joining another takes others in. `count` is the number of the step.
    """
    index = jnp.arange(tokens.n)
    free = cohorts.alone & tokens.present
    if tokens.n <= PAIRWISE:
        partner = first_in_reach(free, old, new, within)
    else:
        partner = first_in_cell(free, old, new, within, count)
    joins = (partner != index) & (partner[partner] == partner)
    target = jnp.where(joins, partner, index)
    mass = jax.ops.segment_sum(cohorts.weights, target, tokens.n)
    shift = jax.ops.segment_sum(cohorts.weights[:, None] * (new - new[target]), target, tokens.n)
    centre = tokens.space.project(new + shift / jnp.where(mass > 0, mass, 1)[:, None])
    into = target[cohorts.into]
    weights = jnp.where(joins, 0, mass)
    since = jnp.where(joins, time, cohorts.since)
    changed = jnp.where((shift != 0).any(axis=1)[:, None], centre, new)
    return changed[into], Cohorts(weights, into, jnp.where(joins, target, cohorts.partner), since)


def first_in_reach(
    free: Bool[Array, "n"], old: Float[Array, "n d"], new: Float[Array, "n d"], within: Array
) -> Int[Array, "n"]:
    """Return for each token the first one within reach that it came nearer to, or itself: all pairs are looked at."""
    index = jnp.arange(len(free))

    def first(own: Array, _: None) -> Array:
        here, before = new[own], old[own]
        near = squared_distances(here, new) < within**2
        nearer = squared_distances(here, new) < squared_distances(before, old)
        able = near & nearer & free[None, :] & free[own][:, None] & (index[None, :] < own[:, None])
        return jnp.where(jnp.any(able, axis=1), jnp.argmax(able, axis=1), own)

    return Exact().over_blocks(first, index, None, len(free))


def first_in_cell(
    free: Bool[Array, "n"], old: Float[Array, "n d"], new: Float[Array, "n d"], within: Array, count: Array | int
) -> Int[Array, "n"]:
    """Return for each token the first one of its cell, where that is within reach and came nearer, or itself.

    Cells have the side `within` and lie elsewhere at every step, so that two tokens in reach of each other are sooner
    or later in one cell: `O(n log n)`, where pairs would cost as much as the velocity.
    """
    n, d = new.shape
    index = jnp.arange(n)
    # an irrational turn for each coordinate: the cells' corners come near every place
    turns = np.sqrt([PRIMES[k % len(PRIMES)] for k in range(d)])
    shift = jnp.mod((1 + jnp.asarray(count)) * turns, 1.0)
    cell = jnp.clip(jnp.floor(new / within + shift), -(2.0**62), 2.0**62).astype(jnp.int64)
    # one number for each cell; where two cells share one, distances tell them apart
    factors = np.array([pow(MIXING, k + 1, 1 << 64) for k in range(d)], np.uint64).astype(np.int64)
    key = jnp.sum(cell * factors, axis=1) >> 1
    key = jnp.where(free, key, jnp.iinfo(jnp.int64).max)
    order = jnp.argsort(key, stable=True)
    sorted_keys = key[order]
    begins = jnp.concatenate([jnp.ones(1, bool), sorted_keys[1:] != sorted_keys[:-1]])
    head = order[jax.lax.cummax(jnp.where(begins, index, 0))]
    partner = jnp.zeros(n, head.dtype).at[order].set(head)
    now, before = (jnp.sum((x - x[partner]) ** 2, axis=1) for x in (new, old))
    able = free & free[partner] & (now < within**2) & (now < before)
    return jnp.where(able, partner, index)

"""The roster: which row of a coarsened run each original token is, and the tree of who joined whom."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np

from measureflow.flows.coarsening import Cohorts
from measureflow.flows.hosts import gathered, on_host
from measureflow.flows.segment import Problem, State
from measureflow.paths import Merges

__all__ = ["Roster", "next_size"]

#: runs are cut down to these numbers of rows, so that few programs are compiled
SIZES = (32, 256, 1024, 16384, 262144)
#: the program of the fewest rows is compiled for runs alone that have tried so many steps: shorter ones end before
PATIENCE = 400


def next_size(n: int) -> tuple[int, int]:
    """Return how few tokens must still move for `n` rows to become at most half as many, and after how many steps.

    The number of tokens is -1 where no size is small enough.
    """
    few = max((size for size in SIZES if 2 * size <= n), default=-1)
    return few, PATIENCE if few == SIZES[0] else 0


@dataclasses.dataclass(frozen=True)
class Roster:
    """Where the original tokens are.

    Attributes:
        rows: `(n,)` the row of each original token.
        origin: `(m,)` the original token of each row.
        since, partner: `(n,)` the merge tree of the rows that were dropped, in original tokens.
    """

    rows: np.ndarray
    origin: np.ndarray
    since: np.ndarray
    partner: np.ndarray

    @classmethod
    def full(cls, n: int) -> Roster:
        """Return the roster in which every token has its own row."""
        index = np.arange(n)
        return cls(index, index, np.full(n, np.inf), index)

    def merges(self, state: State) -> Merges:
        """Return the whole tree up to now."""
        since, partner = self.noted(state)
        return Merges(jnp.asarray(since, float), jnp.asarray(partner, int))

    def noted(self, state: State) -> tuple[np.ndarray, np.ndarray]:
        """Return `since` and `partner` with the merges of the present rows added."""
        since, partner = self.since.copy(), self.partner.copy()
        when, into = on_host(state.cohorts.since), on_host(state.cohorts.partner)
        joined = np.flatnonzero(np.isfinite(when))
        since[self.origin[joined]] = when[joined]
        partner[self.origin[joined]] = self.origin[into[joined]]
        return since, partner

    def dropped(self, problem: Problem, state: State) -> tuple[Roster, Problem, State] | None:
        """Drop the rows that only follow others, where the run becomes at least a size smaller by it."""
        into = on_host(state.cohorts.into)  # in NumPy: eager operations are programs to compile
        moving = np.flatnonzero((into == np.arange(len(into))) & on_host(problem.tokens.present))
        patient = int(state.accepted) + int(state.rejected) >= PATIENCE
        sizes = SIZES if patient else SIZES[1:]
        size = next((s for s in sizes if s >= len(moving)), problem.tokens.n)
        if 2 * size > problem.tokens.n or not problem.coarsens:
            return None
        problem, state = gathered((problem, state))  # so few that every host has all of them from here on
        since, partner = self.noted(state)
        place = np.zeros(problem.tokens.n, int)
        place[moving] = np.arange(len(moving))
        # the spare rows are absent copies of the first: they neither move, pull nor count
        chosen = np.concatenate([moving, np.full(size - len(moving), moving[0])])
        here = np.arange(size) < len(moving)
        index = jnp.arange(size)
        weights = jnp.where(here, state.cohorts.weights[chosen], 0)
        tokens = problem.tokens.replace(
            points=state.x[chosen],
            weights=weights,
            positions=problem.tokens.positions[chosen],
            present=jnp.asarray(here),
        )
        cohorts = Cohorts(weights, index, index, jnp.full(size, jnp.inf, state.x.dtype))
        smaller = dataclasses.replace(
            state, x=state.x[chosen], v=jnp.where(here[:, None], state.v[chosen], 0), cohorts=cohorts
        )
        rows = place[into[self.rows]]
        return Roster(rows, self.origin[chosen], since, partner), dataclasses.replace(problem, tokens=tokens), smaller

    def problem_of(self, whole: Problem, state: State) -> Problem:
        """Return the problem of the present rows, from the whole one: for a run that goes on from a store."""
        if len(self.origin) == whole.tokens.n:
            return whole
        cohorts = state.cohorts
        here = jnp.asarray((cohorts.weights > 0) | ~cohorts.alone | (self.origin != self.origin[0])).at[0].set(True)
        tokens = whole.tokens.replace(
            points=state.x,
            weights=cohorts.weights,
            positions=whole.tokens.positions[self.origin],
            present=here & whole.tokens.present[self.origin],
        )
        return dataclasses.replace(whole, tokens=tokens)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the roster as named arrays for a store."""
        return {f"roster_{field.name}": getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Roster:
        """Return the roster that `to_arrays` wrote."""
        return cls(**{field.name: arrays[f"roster_{field.name}"] for field in dataclasses.fields(cls)})

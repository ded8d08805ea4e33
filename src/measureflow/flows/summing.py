"""Which sums a run uses: fast ones while they resolve its speeds, exact ones from then on."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from measureflow.fields import Normalised, all_exact, resolution, settled, sums_of, with_sums
from measureflow.flows.roster import next_size
from measureflow.flows.segment import RUNNING, Problem, State
from measureflow.flows.solver import Adaptive
from measureflow.measures import Tokens
from measureflow.paths import describe, rebuild
from measureflow.sums import Automatic, Exact

__all__ = ["Summing", "renewed"]

#: the error of a sum beside that of a step
SHARE = 0.1
#: what the sums resolve is looked at after so many attempts; a look costs about as much as a velocity
LOOK_AGAIN = 16


class Summing:
    """The sums of a run: chosen on the host whenever rows are dropped, and watched.

    All that is decided here depends on the state and on the number of steps, never on the clock: a run that goes on
    from a store decides the same.

    Attributes:
        field: the field as it was given.
        exact: whether the run has come to speeds that only exact sums resolve.
        said: the sums that were used and from when on, for `path.stats`; empty where all are exact throughout.
    """

    def __init__(self, whole: Problem) -> None:
        self.field = whole.field
        rtol = float(whole.solver.rtol) if isinstance(whole.solver, Adaptive) else 1e-9
        self.tolerance = SHARE * rtol
        automatic = any(isinstance(sum, Automatic) for sum in sums_of(whole.field))
        # of a sum that the user chose the error is the user's
        self.allowed = rtol if automatic else np.inf
        self.exact = False
        self.said = ""

    def chosen(self, problem: Problem, mu: Tokens) -> Problem:
        """Return the problem of the rows `mu` with the sums that are best for them."""
        field = all_exact(self.field) if self.exact else settled(self.field, mu, self.tolerance)
        return with_limits(problem, field, mu.n)

    def budget(self, problem: Problem, attempts: int, budget: int) -> int:
        """Return how many attempts a segment may make, so that it ends where the sums are looked at."""
        return budget if problem.exact else LOOK_AGAIN - attempts % LOOK_AGAIN

    def looked_at(self, problem: Problem, state: State, attempts: int) -> State:
        """Return the state with what the sums resolve of it, where it is time to look."""
        if problem.exact or attempts % LOOK_AGAIN:
            return state
        return dataclasses.replace(state, floor=floor_of(problem, state))

    def too_coarse(self, state: State) -> bool:
        """Tell whether the sums leave a larger error than they may at any speed."""
        return not float(state.floor) <= self.allowed

    def note(self, time: float, problem: Problem) -> None:
        """Say which sums are used from a time on."""
        now = ", ".join(dict.fromkeys(map(repr, sums_of(problem.field))))
        if self.said and not self.said.endswith(now):
            self.said += f"; from t = {time:.3g} {now}"
        elif not self.said and not problem.exact:
            self.said = now

    def to_arrays(self, problem: Problem) -> dict[str, np.ndarray]:
        """Return the choice as bytes for a store."""
        words = {"sums": [describe(sum) for sum in sums_of(problem.field)], "exact": self.exact, "said": self.said}
        return {"sums": np.frombuffer(json.dumps(words).encode(), np.uint8)}

    def from_arrays(self, arrays: dict[str, np.ndarray], problem: Problem) -> Problem:
        """Return the problem with the choice that `to_arrays` wrote."""
        words = json.loads(bytes(arrays["sums"]).decode())
        self.exact, self.said = words["exact"], words["said"]
        return with_limits(problem, with_sums(self.field, [rebuild(sum) for sum in words["sums"]]), problem.tokens.n)


def with_limits(problem: Problem, field: Any, n: int) -> Problem:
    """Return the problem with another field, and with what a segment must know of its sums and of its rows."""
    exact = all(isinstance(sum, Exact) for sum in sums_of(field))
    few, patience = map(jnp.asarray, next_size(n))
    return dataclasses.replace(problem, field=field, exact=exact, few=few, patience=patience)


@eqx.filter_jit
def floor_of(problem: Problem, state: State) -> Array:
    """Return a bound on the error that the sums leave in a velocity."""
    field = problem.field
    if isinstance(field, Normalised):  # its factor is that of the present depth
        field = dataclasses.replace(field, depth=state.time)
    return resolution(field, problem.measure(state.x, state.cohorts.weights)).astype(state.floor.dtype)


def renewed(state: State, other_sums: bool) -> State:
    """Return the state from which a run goes on; where the sums are others, the next step finds the velocity anew."""
    state = dataclasses.replace(state, code=jnp.full_like(state.code, RUNNING), floor=jnp.zeros_like(state.floor))
    if not other_sums:
        return state
    return dataclasses.replace(state, stale=jnp.ones((), bool), evaluations=state.evaluations + 1)

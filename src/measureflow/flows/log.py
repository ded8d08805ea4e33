"""The log of a run: what has been saved so far, in memory and, where there is a store, on disk."""

from __future__ import annotations

import time
from pathlib import Path as Folder
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from measureflow.errors import BadInput
from measureflow.fields import sums_of
from measureflow.flows.hosts import gathered, on_host, spans_hosts
from measureflow.flows.plan import Plan, begin
from measureflow.flows.roster import Roster
from measureflow.flows.segment import SHRUNK, TOO_COARSE, Problem, State, energy_statistic
from measureflow.flows.summing import Summing, renewed
from measureflow.measures import Tokens
from measureflow.paths import STATUSES, Path, PathStore

__all__ = ["Log"]

#: commits to a store are at least this far apart, and at least so many times as long as one takes
COMMIT_SECONDS = 0.5
COMMIT_PATIENCE = 10


class Log:
    """Where a run stands, and what it has saved.

    Attributes:
        state: the solver's state.
        problem, roster: the rows that still move, summed as is best for them, and where the original tokens are
            among them.
        budget: how many attempts the next segment may make; one at first, since one may take long.
        shared: whether the tokens lie on several hosts, which then must take the same way.
        finished: the path of a store that already holds the whole run.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.shared = spans_hosts(plan.problem)
        self.sums = Summing(plan.problem)
        self.problem: Problem = plan.problem
        self.roster = Roster.full(plan.problem.tokens.n)
        self.times: list[float] = []
        self.states: list[Tokens] = []
        self.kept: list[int] = []
        self.recorded: dict[str, list[Any]] = {recorder.name: [] for recorder in plan.recorders}
        self.store: PathStore | None = None
        self.finished: Path | None = None
        self.on_disk = 0
        self.last_on_disk: float | None = None
        self.states_on_disk = 0
        self.seconds = 0.0
        self.budget = 1
        self.next_commit = time.perf_counter() + COMMIT_SECONDS
        self.state: State = self.begin() if plan.store is None else self.resume(Folder(plan.store))

    @property
    def saved(self) -> int:
        """How many times have been saved."""
        return self.on_disk + len(self.times)

    @property
    def attempts(self) -> int:
        """Steps tried so far."""
        return int(self.state.accepted) + int(self.state.rejected)

    def points(self) -> Array:
        """Return the points of all original tokens, in the solver's coordinates."""
        # through NumPy: an eager gather is one more program to compile
        return jnp.asarray(on_host(self.state.x)[self.roster.rows])

    def is_saved(self, at: float) -> bool:
        """Tell whether the last saved time is `at`."""
        last = self.times[-1] if self.times else self.last_on_disk
        return last is not None and last == at

    def begin(self) -> State:
        """Choose the sums, and return the state at the start."""
        self.problem = self.sums.chosen(self.plan.problem, gathered(self.plan.problem.tokens))
        self.sums.note(0.0, self.problem)
        return begin(self.problem)

    def go_on(self, code: int) -> None:
        """Go on after a segment that ended since few tokens move, or since the sums are too coarse for their speed."""
        if code == SHRUNK:
            # rows that only follow others go
            smaller = self.roster.dropped(self.problem, self.state)
            if smaller is not None:
                self.roster, self.problem, self.state = smaller
        else:
            self.sums.exact = True
        before = self.problem
        mu = self.problem.measure(self.state.x, self.state.cohorts.weights)
        self.problem = self.sums.chosen(self.problem, gathered(mu))
        self.sums.note(float(self.state.time), self.problem)
        self.state = renewed(self.state, sums_of(before.field) != sums_of(self.problem.field))

    def look_at_sums(self) -> None:
        """Find what the sums resolve where it is time to, and go over to exact ones where that is too little."""
        self.state = self.sums.looked_at(self.problem, self.state, self.attempts)
        if self.sums.too_coarse(self.state):
            self.go_on(TOO_COARSE)

    def save(self, at: float, *, extra: bool = False) -> None:
        """Save the present state under the time `at`; an `extra` time is one that nobody asked for by number."""
        index = self.saved
        points = self.points()
        self.times.append(at)
        for name, value in self.plan.recorded(points, self.state.time).items():
            self.recorded[name].append(np.asarray(value))
        if self.plan.last_only:
            self.states, self.kept = [], []
        if self.plan.last_only or extra or index in self.plan.wanted:
            self.states.append(jax.tree.map(np.asarray, self.plan.full(points)))
            self.kept.append(index)
        self.commit_if_due()

    def commit_if_due(self) -> None:
        """Write to the store where the last commit is long enough ago."""
        if self.store is not None and time.perf_counter() > self.next_commit:
            self.commit(None)

    def commit(self, status: str | None) -> None:
        """Write what is in memory to the store and make it count; a run without a status goes on with the same call."""
        assert self.store is not None
        began = time.perf_counter()
        self.store.append(self.times, self.states, self.kept, self.recorded, replace=self.plan.last_only)
        solver = {**to_arrays(self.state), **self.roster.to_arrays(), **self.sums.to_arrays(self.problem)}
        self.store.commit(solver=solver, merges=self.roster.merges(self.state), stats=self.stats(), status=status)
        self.states_on_disk = 1 if self.plan.last_only and self.states else self.states_on_disk + len(self.states)
        self.on_disk, self.last_on_disk = self.saved, self.times[-1] if self.times else self.last_on_disk
        self.times, self.states, self.kept = [], [], []
        self.recorded = {name: [] for name in self.recorded}
        now = time.perf_counter()
        self.next_commit = now + max(COMMIT_SECONDS, COMMIT_PATIENCE * (now - began))

    def resume(self, folder: Folder) -> State:
        """Open or make the store; return the state to go on from."""
        if not folder.exists():
            self.store = PathStore.create(folder, recipe=self.plan.recipe, measure=self.plan.tokens)
            return self.begin()
        self.store = PathStore.open(folder)
        if self.store.recipe != self.plan.recipe:
            other = self.store.recipe.hash[:12]
            raise BadInput(
                f"store {folder} holds another run (recipe {other}, this one is {self.plan.recipe.hash[:12]}); "
                f"it was left as it is. Choose another name."
            )
        before = self.store.read()
        if self.store.is_finished:
            self.finished = before.with_field(self.plan.problem.field)
        self.on_disk, self.seconds = len(before.times), float(before.stats.get("seconds", 0.0))
        self.states_on_disk = len(before)
        self.last_on_disk = float(before.times[-1]) if self.on_disk else None
        solver = self.store.solver()
        if solver is None:
            return self.begin()
        self.roster = Roster.from_arrays(solver)
        state = from_arrays(solver, eqx.filter_eval_shape(begin, self.plan.problem))
        self.problem = self.sums.from_arrays(solver, self.roster.problem_of(self.plan.problem, state))
        return state

    def stats(self) -> dict[str, Any]:
        """Return how the run went, as numbers and words."""
        state, plan = self.state, self.plan
        stats: dict[str, Any] = {
            "accepted": int(state.accepted),
            "rejected": int(state.rejected),
            "evaluations": int(state.evaluations),
            "sphere_defect": float(state.defect),
            "seconds": round(self.seconds, 4),
        }
        if plan.problem.sign:
            stats[energy_statistic(plan.problem.sign)] = float(state.decrease)
        if plan.problem.coarsens:
            stats["merged"] = int(np.isfinite(self.roster.noted(state)[0]).sum())
        if self.sums.said:
            stats["sums"] = self.sums.said
        if plan.span is not None:
            stats["reduction"] = f"span: d = {plan.tokens.d} as {plan.span.basis.shape[1]}"
        return stats

    def path(self, status: str | None, seconds: float) -> Path:
        """Return the path that was followed, and end the store; a run that was interrupted has no status."""
        self.seconds += seconds
        if status is not None:
            self.show_something(behind=self.on_disk)
        if self.store is not None:
            self.commit(status)
            if self.states_on_disk:
                return self.store.read().with_field(self.plan.problem.field).with_status(status or "stopped")
        self.show_something(behind=0)
        return Path(
            times=on_device(np.asarray(self.times, float)),
            measure=jax.tree.map(lambda *leaves: on_device(np.stack(leaves)), *self.states),
            kept=on_device(np.asarray(self.kept, int)),
            recorded={name: on_device(np.stack(values)) for name, values in self.recorded.items()},
            merges=self.roster.merges(self.state),
            stats=self.stats(),
            code=jnp.asarray(STATUSES.index(status or "stopped")),
            field=self.plan.problem.field,
            recipe=self.plan.recipe,
        )

    def show_something(self, behind: int) -> None:
        """Keep the present state where none of those asked for was reached: a path shows at least one.

        `behind` saved times stand in the path before those in memory.
        """
        if self.states or self.states_on_disk:
            return
        now = float(self.state.time)
        last = self.times[-1] if self.times else self.last_on_disk if behind else None
        if last != now:
            self.times.append(now)
            for name, value in self.plan.recorded(self.points(), self.state.time).items():
                self.recorded[name].append(np.asarray(value))
        self.states = [jax.tree.map(np.asarray, self.plan.full(self.points()))]
        self.kept = [behind + len(self.times) - 1]


def on_device(array: np.ndarray) -> Array:
    """Return a JAX array; without its kind a program would be compiled for every shape."""
    return jnp.asarray(array, array.dtype)


def to_arrays(state: State) -> dict[str, np.ndarray]:
    """Return the solver's state as named arrays, bit by bit."""
    leaves = jax.tree.leaves(state)
    return {f"state_{k}": on_host(leaf) for k, leaf in enumerate(leaves)}


def from_arrays(arrays: dict[str, np.ndarray], like: State) -> State:
    """Return the state that `to_arrays` wrote, in the structure of another."""
    leaves, structure = jax.tree.flatten(like)
    return jax.tree.unflatten(structure, [jnp.asarray(arrays[f"state_{k}"]) for k in range(len(leaves))])

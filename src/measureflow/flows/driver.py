"""The host's part of a flow: it starts segments, saves, records, shows progress and hears Ctrl-C. Steps are not its."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path as Folder
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from measureflow.errors import BadInput
from measureflow.fields import Field
from measureflow.flows import segment as steps
from measureflow.flows.record import Recorders, values_of
from measureflow.flows.reduction import Span
from measureflow.flows.segment import Problem, State, energy_statistic
from measureflow.measures import Tokens
from measureflow.paths import STATUSES, Path, PathStore, Recipe

__all__ = ["Driver"]

#: a compiled segment runs about this long, so that Ctrl-C is heard and progress moves
SEGMENT_SECONDS = 0.3
#: commits to a store are at least this far apart
COMMIT_SECONDS = 0.5

begin = eqx.filter_jit(steps.begin)
locate = eqx.filter_jit(steps.locate)
lift = eqx.filter_jit(lambda span, tokens, reduced: span.lift(tokens, reduced))


@eqx.filter_jit
def advance(problem: Problem, state: State, target: Any, budget: Any) -> State:
    """Run one segment on the device."""
    return steps.segment(problem, state, target, budget, jax.lax.while_loop)


@eqx.filter_jit
def evaluate(recorders: Recorders, problem: Problem, span: Span | None, tokens: Tokens, state: State) -> dict[str, Any]:
    """Evaluate the observables at the state, in the tokens' own space."""
    mu = problem.tokens.replace(points=state.x)
    field: Field = problem.field if problem.field.autonomous else problem.field.at(state.time)
    return values_of(recorders, mu if span is None else span.lift(tokens, mu), field)


@dataclasses.dataclass(frozen=True, eq=False)
class Driver:
    """One run of a flow: what it needs, and the loop over saved times."""

    problem: Problem
    tokens: Tokens
    span: Span | None
    times: np.ndarray
    end: float
    breaks: tuple[float, ...]
    recorders: Recorders
    wanted: np.ndarray
    last_only: bool
    recipe: Recipe
    store: str | os.PathLike[str] | None
    progress: Any

    def run(self) -> Path:
        """Run from the start or from the store's last commit, and return the path."""
        log = Log(self)
        if log.finished is not None:
            return log.finished
        began = time.perf_counter()
        bar = Progress(self.progress, self.end, float(log.state.time))
        try:
            with bar:
                status = self.follow(log, bar)
        except KeyboardInterrupt:
            status = "stopped"
        return log.path(status, time.perf_counter() - began)

    def follow(self, log: Log, bar: Progress) -> str:
        """Step from saved time to saved time; return the status with which the run ends."""
        if log.saved == 0 and self.times[0] == 0.0:
            log.save(0.0)
        targets = sorted({*self.times[log.saved :].tolist(), *self.breaks, self.end})
        for target in targets:
            if target <= log.state.time and target != self.end:
                continue
            code = self.reach(log, target, bar)
            if code == steps.RUNNING:
                if log.saved < len(self.times) and target == self.times[log.saved]:
                    log.save(target)
                continue
            if code == steps.CROSSED:
                log.state = locate(self.problem, log.state)
            if not log.is_saved(float(log.state.time)):
                log.save(float(log.state.time), extra=True)
            return {steps.CROSSED: "reached", steps.STATIONARY: "stationary", steps.BLOW_UP: "blow-up"}.get(
                code, "unresolved"
            )
        return "reached" if self.problem.condition is None else "stopped"

    def reach(self, log: Log, target: float, bar: Progress) -> int:
        """Run segments until `target` or until something happens; return the code."""
        budget, seconds, attempts = 16, 0.0, 0
        while True:
            before, tick = log.attempts, time.perf_counter()
            log.state = advance(self.problem, log.state, jnp.asarray(target, float), jnp.asarray(budget, int))
            code = int(log.state.code)  # waits for the device
            seconds, made = time.perf_counter() - tick, log.attempts - before
            attempts += made
            bar.show(float(log.state.time))
            if code != steps.RUNNING:
                return code
            if float(log.state.time) >= target:
                # land exactly: the sum start + offset may have been rounded
                log.state = eqx.tree_at(
                    lambda s: (s.start, s.offset),
                    log.state,
                    (jnp.asarray(target, float), jnp.zeros((), float)),
                )
                return code
            if attempts >= self.problem.solver.max_steps:
                return steps.UNRESOLVED
            if made:
                budget = int(np.clip(SEGMENT_SECONDS * made / max(seconds, 1e-6), 1, 8 * budget))
            log.commit_if_due()

    def recorded(self, state: State) -> dict[str, Any]:
        """Evaluate the observables at the state, in the tokens' own space."""
        if not self.recorders:
            return {}
        return evaluate(self.recorders, self.problem, self.span, self.tokens.replace(labels=None), state)

    def full(self, state: State) -> Tokens:
        """Return the state's tokens in their own space, with their labels."""
        reduced = self.problem.tokens.replace(points=state.x)
        if self.span is None:
            return reduced.replace(labels=self.tokens.labels)
        return lift(self.span, self.tokens.replace(labels=None), reduced).replace(labels=self.tokens.labels)


class Log:
    """What has been saved so far, in memory and, where there is a store, on disk."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.times: list[float] = []
        self.states: list[Tokens] = []
        self.kept: list[int] = []
        self.recorded: dict[str, list[Any]] = {recorder.name: [] for recorder in driver.recorders}
        self.store: PathStore | None = None
        self.finished: Path | None = None
        self.before: Path | None = None
        self.on_disk = 0
        self.seconds = 0.0
        self.last_commit = time.perf_counter()
        self.state = self.resume() if driver.store is not None else begin(driver.problem)

    @property
    def saved(self) -> int:
        """How many of the saved times are behind us."""
        return self.on_disk + len(self.times)

    @property
    def attempts(self) -> int:
        """Steps tried so far."""
        return int(self.state.accepted) + int(self.state.rejected)

    def is_saved(self, at: float) -> bool:
        """Tell whether the last saved time is `at`."""
        last = self.times[-1] if self.times else (float(self.before.times[-1]) if self.before is not None else None)
        return last is not None and last == at

    def save(self, at: float, *, extra: bool = False) -> None:
        """Save the present state under the time `at`."""
        index = self.saved
        self.times.append(at)
        for name, value in self.driver.recorded(self.state).items():
            self.recorded[name].append(np.asarray(value))
        if self.driver.last_only:
            self.states, self.kept = [], []
        if self.driver.last_only or extra or index in self.driver.wanted:
            self.states.append(jax.tree.map(np.asarray, self.driver.full(self.state)))
            self.kept.append(index)
        self.commit_if_due()

    def commit_if_due(self) -> None:
        """Write to the store where the last commit is long enough ago."""
        if self.store is not None and time.perf_counter() - self.last_commit > COMMIT_SECONDS:
            self.commit(None)

    def commit(self, status: str | None) -> None:
        """Write what is in memory to the store and make it count."""
        assert self.store is not None
        if self.driver.last_only and status is None:
            states, kept = [], []
        else:
            states, kept = self.states, self.kept
        self.store.append(self.times, states, kept, self.recorded)
        # a stopped run keeps status None on disk, so that the same call goes on
        final = None if status == "stopped" and self.driver.problem.condition is None else status
        self.store.commit(solver=as_words(self.state), stats=self.stats(), status=final)
        if not (self.driver.last_only and status is None):
            self.states, self.kept = [], []
        self.times, self.recorded = [], {name: [] for name in self.recorded}
        self.before = self.store.read()
        self.on_disk = len(self.before.times)
        self.last_commit = time.perf_counter()

    def resume(self) -> State:
        """Open or make the store; return the state to go on from."""
        driver = self.driver
        folder = Folder(driver.store or "")
        if not folder.exists():
            self.store = PathStore.create(folder, recipe=driver.recipe, measure=driver.tokens)
            return begin(driver.problem)
        self.store = PathStore.open(folder)
        if self.store.commit_data["recipe"] != driver.recipe.text:
            other = Recipe(self.store.commit_data["recipe"]).hash[:12]
            raise BadInput(
                f"store {folder} holds another run (recipe {other}, this one is {driver.recipe.hash[:12]}); "
                f"it was left as it is. Choose another name."
            )
        self.before = self.store.read()
        self.on_disk, self.seconds = len(self.before.times), float(self.before.stats.get("seconds", 0.0))
        words = self.store.commit_data["solver"]
        state = begin(driver.problem) if words is None else from_words(words, begin(driver.problem))
        if self.store.commit_data["status"] is not None:
            self.finished = eqx.tree_at(
                lambda p: p.field, self.before, driver.problem.field, is_leaf=lambda f: f is None
            )
        return state

    def stats(self) -> dict[str, Any]:
        """Return how the run went, as numbers and words."""
        state, driver = self.state, self.driver
        stats: dict[str, Any] = {
            "accepted": int(state.accepted),
            "rejected": int(state.rejected),
            "evaluations": int(state.evaluations),
            "sphere_defect": float(state.defect),
            "seconds": round(self.seconds, 4),
        }
        if driver.problem.sign:
            stats[energy_statistic(driver.problem.sign)] = float(state.decrease)
        if driver.span is not None:
            stats["reduction"] = f"span: d = {driver.tokens.d} as {driver.span.basis.shape[1]}"
        return stats

    def path(self, status: str, seconds: float) -> Path:
        """Return the path that was followed, and end the store."""
        self.seconds += seconds
        if not self.times and self.before is None:
            self.save(float(self.state.time), extra=True)
        if not self.states and self.before is None:
            self.states, self.kept = (
                [jax.tree.map(np.asarray, self.driver.full(self.state))],
                [len(self.times) - 1],
            )
        field = self.driver.problem.field
        if self.store is not None:
            self.commit(status)
            assert self.before is not None
            code = jnp.asarray(STATUSES.index(status))
            path = eqx.tree_at(lambda p: p.code, self.before, code)
            return eqx.tree_at(lambda p: p.field, path, field, is_leaf=lambda f: f is None)
        return Path(
            times=jnp.asarray(self.times),
            measure=jax.tree.map(lambda *leaves: jnp.stack(leaves), *self.states),
            kept=jnp.asarray(self.kept),
            recorded={name: jnp.asarray(np.stack(values)) for name, values in self.recorded.items()},
            stats=self.stats(),
            code=jnp.asarray(STATUSES.index(status)),
            field=field,
            recipe=self.driver.recipe,
        )


def as_words(state: State) -> dict[str, Any]:
    """Return the solver's state as JSON: floats in hexadecimal, so that not a bit is lost."""
    words: dict[str, Any] = {}
    for name, value in vars(state).items():
        array = np.asarray(value)
        flat = array.ravel().tolist()
        words[name] = [float.hex(v) for v in flat] if np.issubdtype(array.dtype, np.floating) else flat
    return words


def from_words(words: dict[str, Any], like: State) -> State:
    """Return the state that `as_words` wrote."""
    leaves = {}
    for name, value in vars(like).items():
        floating = np.issubdtype(value.dtype, np.floating)
        flat = [float.fromhex(word) for word in words[name]] if floating else words[name]
        leaves[name] = jnp.asarray(np.array(flat, value.dtype).reshape(value.shape))
    return State(**leaves)


class Progress:
    """A bar on standard error, or a function that is told the time reached."""

    def __init__(self, wanted: Any, end: float, start: float) -> None:
        self.tell = wanted if callable(wanted) else None
        self.end, self.start, self.bar, self.task = end, start, None, None
        if wanted is True:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
            self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self.task = self.bar.add_task("t = 0", total=1.0)

    def __enter__(self) -> Progress:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def show(self, now: float) -> None:
        """Show the time reached; the bar is logarithmic in time, as the saved times are."""
        if self.tell is not None:
            self.tell(now, self.end)
        if self.bar is not None and self.task is not None:
            done = float(np.log1p(now * 1e2) / np.log1p(self.end * 1e2))
            self.bar.update(self.task, completed=done, description=f"t = {now:.3g}")

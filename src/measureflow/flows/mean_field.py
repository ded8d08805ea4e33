"""`flow` of a density: the host's loop over compiled segments, and the same as one loop under tracing."""

from __future__ import annotations

import time
from typing import Any

import equinox as eqx
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from measureflow.errors import BadInput
from measureflow.fields import Field, PostLN
from measureflow.flows import continuity as steps
from measureflow.flows.conditions import Condition, Stationary, checked_time, save_times
from measureflow.flows.continuity import Flowing, Problem
from measureflow.flows.driver import SEGMENT_SECONDS, CtrlC
from measureflow.flows.layers import checked_normalisation
from measureflow.flows.memory import check_memory
from measureflow.flows.progress import Progress
from measureflow.flows.record import Recorders, as_recorders, check_recorders, kept_indices, values_of
from measureflow.flows.segment import RUNNING, STATIONARY, UNRESOLVED
from measureflow.flows.solver import Adaptive
from measureflow.flows.traced import TRACED_STEPS, traced_times, with_breaks
from measureflow.flows.whole import read_or_run
from measureflow.measures import Density
from measureflow.paths import STATUSES, Merges, Path, Recipe
from measureflow.spaces import is_traced

__all__ = ["flow_of_density"]

begin = eqx.filter_jit(steps.begin)
continued = eqx.filter_jit(steps.continued)
aliasing = eqx.filter_jit(steps.aliasing)


@eqx.filter_jit
def advance(problem: Problem, state: Flowing, target: Any, budget: Any) -> Flowing:
    """Run one segment on the device."""
    return steps.segment(problem, state, target, budget, jax.lax.while_loop)


@eqx.filter_jit
def looked_at(problem: Problem, state: Flowing, recorders: Recorders) -> tuple[Density, dict[str, Any]]:
    """Return the density of a state, and what is recorded of it."""
    mu = steps.shown(problem, state)
    field = problem.field if problem.field.autonomous else problem.field.at(state.time)
    return mu, values_of(recorders, mu, field)


def flow_of_density(
    density: Density,
    field: Any,
    *,
    until: Any,
    normalisation: Any,
    solver: Any,
    save: Any,
    record: Any,
    keep: Any,
    noise: Any,
    seed: Any,
    store: Any,
    progress: Any,
) -> Path:
    r"""Follow $\partial_t f + \mathrm{div}(f\, v[f]) = \text{noise}\cdot\Delta f$; the density's part of `flow`."""
    if not isinstance(field, Field):
        raise BadInput(f"flow: field is {field!r}; give a field such as mf.SelfAttention(beta=9.0).")
    if seed is not None:
        raise BadInput("flow: seed= is for tokens: a density is followed without chance.")
    if solver is not None and not isinstance(solver, Adaptive):
        raise BadInput(f"flow: solver is {solver!r}; a density takes mf.Adaptive(...) or None, with noise too.")
    scheme = checked_normalisation("flow", normalisation, density.space)
    if not isinstance(scheme, PostLN):
        raise BadInput(f"flow: a density moves under PostLN(), not {scheme!r}; draw tokens from it with sample(n).")
    recorders = as_recorders(record)
    rest = until.tol if isinstance(until, Stationary) else jnp.zeros((), float)
    problem = Problem(density, field, Adaptive() if solver is None else solver, as_noise(noise), rest)
    if isinstance(until, Condition) and not isinstance(until, Stationary):
        raise BadInput(f"flow: {until!r} is a condition on tokens; a density waits for a time or mf.Stationary(tol).")
    if is_traced(problem, until, save):
        if store is not None or isinstance(until, Condition):
            raise BadInput("flow: under jit, vmap or grad there is no store= and until= must be a time.")
        return traced(problem, until, save, recorders, keep)
    steps.check(problem)
    end = float(until.cap) if isinstance(until, Condition) else checked_time(until)
    times = save_times(save, end)
    wanted = kept_indices(keep, len(times))
    size = check_recorders(recorders, density, field)
    check_memory("flow", density, len(wanted), size, len(times), "keep='last' or a few indices, or save fewer times")
    recipe = Recipe.of(
        "flow",
        measure=density,
        field=field,
        until=until,
        times=times,
        solver=problem.solver,
        record=[recorder.description for recorder in recorders],
        keep=keep if isinstance(keep, str) else wanted,
        noise=float(problem.noise),
    )
    return read_or_run(
        store, recipe, field, end, lambda: Run(problem, times, end, recorders, wanted, recipe).path(progress)
    )


class Run:
    """A run of a density's flow: what has been saved so far."""

    def __init__(
        self, problem: Problem, times: np.ndarray, end: float, recorders: Recorders, wanted: np.ndarray, recipe: Recipe
    ) -> None:
        self.problem, self.asked, self.end = problem, times, end
        self.recorders, self.wanted, self.recipe = recorders, wanted, recipe
        self.times: list[float] = []
        self.kept: list[int] = []
        self.states: list[np.ndarray] = []
        self.recorded: dict[str, list[Any]] = {recorder.name: [] for recorder in recorders}
        self.budget, self.aliasing = 1, 0.0
        self.state = begin(problem)

    def path(self, progress: Any) -> Path:
        """Run, and return the path that was followed."""
        began = time.perf_counter()
        with Progress(progress, self.end) as bar, CtrlC() as ctrl_c:
            try:
                code = self.follow(bar, ctrl_c)
                status = {RUNNING: "reached", STATIONARY: "stationary", UNRESOLVED: "unresolved"}[code]
            except KeyboardInterrupt:
                status = "stopped"
        if not self.states or status != "reached":
            self.save(extra=True)
        state, density = self.state, self.problem.density
        count = len(self.states)
        return Path(
            times=jnp.asarray(self.times),
            measure=density.replace(
                values=jnp.asarray(np.stack(self.states)), axis=jnp.broadcast_to(density.axis, (count, density.d))
            ),
            kept=jnp.asarray(self.kept),
            recorded={name: jnp.asarray(np.stack(values)) for name, values in self.recorded.items()},
            merges=Merges.none(density),
            stats={
                "accepted": int(state.accepted),
                "rejected": int(state.rejected),
                "evaluations": int(state.evaluations),
                "smallest_value": float(state.smallest),
                "mass_drift": float(state.drift),
                "tail": float(state.tail),
                "aliasing": self.aliasing,
                "seconds": round(time.perf_counter() - began, 4),
            },
            code=jnp.asarray(STATUSES.index(status)),
            field=self.problem.field,
            recipe=self.recipe,
        )

    def follow(self, bar: Progress, ctrl_c: CtrlC) -> int:
        """Step from saved time to saved time; return the code with which the run ends."""
        breaks = {b for b in self.problem.field.breaks if 0 < b < self.end}
        asked = set(self.asked.tolist())
        for target in sorted({*asked, *breaks, self.end}):
            code = self.reach(target, bar, ctrl_c)
            if code != RUNNING:
                return code
            if target in breaks:
                self.state = continued(self.problem, self.state)
            if target in asked:
                self.save()
        return RUNNING

    def reach(self, target: float, bar: Progress, ctrl_c: CtrlC) -> int:
        """Run segments until `target` or until something happens; return the code."""
        attempts = 0
        while True:
            ctrl_c.check()
            before, tick = int(self.state.accepted) + int(self.state.rejected), time.perf_counter()
            self.state = advance(self.problem, self.state, jnp.asarray(target, float), jnp.asarray(self.budget, int))
            code = int(self.state.code)  # waits for the device
            seconds = time.perf_counter() - tick
            made = int(self.state.accepted) + int(self.state.rejected) - before
            attempts += made
            bar.show(float(self.state.time))
            if made:
                self.budget = int(np.clip(SEGMENT_SECONDS * made / max(seconds, 1e-6), 1, 8 * self.budget))
            if code != RUNNING or float(self.state.time) >= target:
                return code
            if attempts >= self.problem.solver.max_steps:
                return UNRESOLVED

    def save(self, *, extra: bool = False) -> None:
        """Save the present density; an `extra` time is one that nobody asked for by number."""
        now = float(self.state.time)
        index = len(self.times)
        new = not self.times or self.times[-1] != now
        mu, recorded = looked_at(self.problem, self.state, self.recorders)
        if new:
            self.times.append(now)
            for name, value in recorded.items():
                self.recorded[name].append(np.asarray(value))
            self.aliasing = max(self.aliasing, float(aliasing(self.problem, self.state)))
        index = len(self.times) - 1
        if (extra or index in self.wanted) and index not in self.kept:
            self.states.append(np.asarray(mu.values))
            self.kept.append(index)


def traced(problem: Problem, until: Any, save: Any, recorders: Recorders, keep: Any) -> Path:
    """Return the path inside a JAX transformation; `until` may be traced, the number of saved times may not."""
    times = traced_times(save, until)
    count = times.shape[0]
    wanted = kept_indices(keep, count)
    limit = min(problem.solver.max_steps, TRACED_STEPS)

    def loop(going: Any, body: Any, state: Flowing) -> Flowing:
        return eqxi.while_loop(going, body, state, kind="checkpointed", max_steps=limit)

    def to(state: Flowing, target: Array) -> tuple[Flowing, tuple[Array, dict[str, Array]]]:
        state = steps.segment(problem, state, target, jnp.asarray(limit), loop)
        if problem.field.breaks:
            state = steps.continued(problem, state)
        mu = steps.shown(problem, state)
        field = problem.field if problem.field.autonomous else problem.field.at(state.time)
        return state, (mu.values, values_of(recorders, mu, field))

    targets = with_breaks(times, problem.field)
    state, (values, recorded) = jax.lax.scan(to, steps.begin(problem), jnp.asarray(targets))
    rows = np.searchsorted(np.asarray(targets), np.asarray(times)) if problem.field.breaks else np.arange(count)
    density = problem.density
    return Path(
        times=jnp.asarray(times),
        measure=density.replace(
            values=values[rows][wanted], axis=jnp.broadcast_to(density.axis, (len(wanted), density.d))
        ),
        kept=jnp.asarray(wanted),
        recorded=jax.tree.map(lambda a: a[rows], recorded),
        merges=Merges.none(density),
        stats={
            "accepted": state.accepted,
            "rejected": state.rejected,
            "evaluations": state.evaluations,
            "smallest_value": state.smallest,
            "mass_drift": state.drift,
            "tail": state.tail,
        },
        code=jnp.where(state.code == STATIONARY, RUNNING, state.code),
        field=problem.field,
        recipe=Recipe.of("flow", traced=True),
    )


def as_noise(noise: Any) -> Array:
    """Return the intensity of the noise as an array."""
    if is_traced(noise):
        return jnp.asarray(noise, float)
    if isinstance(noise, bool) or not isinstance(noise, (int, float, np.number, jax.Array)) or not noise >= 0:
        raise BadInput(f"flow: noise is {noise!r}; the intensity 1/kappa must be a finite number >= 0.")
    if not np.isfinite(float(noise)):
        raise BadInput(f"flow: noise is {noise!r}; the intensity 1/kappa must be a finite number >= 0.")
    return jnp.asarray(noise, float)

"""A flow under jit, vmap or grad: the same steps as one loop, without a host that looks on."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from measureflow.errors import BadInput
from measureflow.fields import Field
from measureflow.flows import segment as steps
from measureflow.flows.coarsening import is_continuous
from measureflow.flows.conditions import save_times
from measureflow.flows.dense import read_off
from measureflow.flows.noisy import Noise, Splitting
from measureflow.flows.record import Recorders, as_recorders, kept_indices, values_of
from measureflow.flows.segment import Problem, State
from measureflow.flows.solver import Adaptive
from measureflow.measures import Tokens
from measureflow.paths import Merges, Path, Recipe
from measureflow.spaces import is_traced

__all__ = ["traced_flow"]

#: attempts between two saved times under tracing, where the backward pass keeps a logarithmic number of checkpoints
TRACED_STEPS = 4096


def traced_flow(
    tokens: Tokens,
    field: Field,
    solver: Adaptive | Splitting,
    until: Any,
    save: Any,
    record: Any,
    keep: Any,
    noise: Noise | None = None,
) -> Path:
    """Return the path inside a JAX transformation; `until` may be traced, the number of saved times may not."""
    times = traced_times(save, until)
    count = times.shape[0]
    sign = steps.proved_sign(tokens, field) if noise is None else 0
    recorders = as_recorders(record)
    wanted = kept_indices(keep, count)
    problem = Problem(
        tokens.replace(labels=None),
        field,
        solver,
        None,
        sign,
        isinstance(solver, Adaptive)
        and solver.coarsen
        and noise is None
        and field.joins
        and tokens.n > 1
        and is_continuous(field),
        noise,
    )
    if isinstance(solver, Adaptive) and solver.dense and count > 1:
        state, points, recorded = read_off(problem, times, recorders, wanted)
    else:
        state, points, recorded = landed(problem, times, recorders, wanted)
    measure = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (len(wanted), *leaf.shape)), problem.tokens)
    code = jnp.where(state.code == steps.STATIONARY, steps.RUNNING, state.code)  # it stands still up to the last time
    return Path(
        times=jnp.asarray(times),
        measure=measure.replace(points=points, labels=tokens.labels),
        kept=jnp.asarray(wanted),
        recorded=recorded,
        merges=Merges(state.cohorts.since, state.cohorts.partner),
        stats={
            "accepted": state.accepted,
            "rejected": state.rejected,
            "evaluations": state.evaluations,
            "sphere_defect": state.defect,
            **({steps.energy_statistic(sign): state.decrease} if sign else {}),
        },
        code=code,
        field=field,
        recipe=Recipe.of("flow", traced=True),
    )


def landed(
    problem: Problem, times: Array | np.ndarray, recorders: Recorders, wanted: np.ndarray
) -> tuple[State, Array, dict[str, Array]]:
    """Land on every saved time; return the last state, the points at the wanted times and what is recorded at all."""
    field, limit = problem.field, min(problem.solver.max_steps, TRACED_STEPS)

    def loop(going: Any, body: Any, state: State) -> State:
        return eqxi.while_loop(going, body, state, kind="checkpointed", max_steps=limit)

    def to(state: State, target: Array) -> tuple[State, tuple[Array, dict[str, Array]]]:
        state = steps.segment(problem, state, target, jnp.asarray(limit), loop)
        short = (state.code == steps.RUNNING) & (state.time < target)
        state = eqx.tree_at(lambda s: s.code, state, jnp.where(short, steps.UNRESOLVED, state.code))
        return state, (state.x, seen(problem, recorders, state.x, state.time))

    targets = with_breaks(times, field)
    if len(targets) > 1:  # a backward pass holds the checkpoints of one stretch between saved times, not of all
        to = jax.checkpoint(to, prevent_cse=False)
    state, (points, recorded) = jax.lax.scan(to, steps.begin(problem), jnp.asarray(targets))
    rows = np.searchsorted(np.asarray(targets), np.asarray(times)) if field.breaks else np.arange(times.shape[0])
    points, recorded = jax.tree.map(lambda a: a[rows], (points, recorded))
    return state, points[wanted], recorded


def seen(problem: Problem, recorders: Recorders, x: Array, time: Array) -> dict[str, Array]:
    """Return what is recorded of the tokens at `x`."""
    field = problem.field
    return values_of(recorders, problem.tokens.replace(points=x), field if field.autonomous else field.at(time))


def traced_times(save: Any, until: Any) -> Array | np.ndarray:
    """Return the saved times, of which only the number must be known: in NumPy where all are, untraced."""
    if is_traced(save):
        return jnp.asarray(save)
    if not is_traced(until):
        return save_times(save, float(until))
    if save is None or isinstance(save, int):
        grid = save_times(save, 1.0)
        return jnp.asarray(grid) * until
    raise BadInput("flow: with a traced until=, give save= as a count or as a traced array.")


def with_breaks(times: Array | np.ndarray, field: Field) -> Array | np.ndarray:
    """Return the times together with the field's jumps, on which a step must land."""
    if not field.breaks:
        return times
    if is_traced(times):
        raise BadInput("flow: a field with jumps needs known saved times; give until= and save= as numbers.")
    known = np.asarray(times)
    return np.union1d(known, [b for b in field.breaks if 0 < b < known[-1]])

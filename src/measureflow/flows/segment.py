"""The compiled segment: accepted and rejected steps in one loop on the device, until a time, an event or a budget."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from measureflow.fields import Field, Normalised
from measureflow.flows.coarsening import Cohorts, merge_distance, merge_near
from measureflow.flows.conditions import Condition
from measureflow.flows.noisy import Noise, Splitting, split_step
from measureflow.flows.pairs import Step, pair_of, runge_kutta_step
from measureflow.flows.solver import Adaptive
from measureflow.measures import Tokens

__all__ = [
    "BLOW_UP",
    "CROSSED",
    "RUNNING",
    "SHRUNK",
    "STATIONARY",
    "TOO_COARSE",
    "UNRESOLVED",
    "Problem",
    "State",
    "begin",
    "energy_statistic",
    "locate",
    "proved_sign",
    "segment",
    "tried",
]

#: what a segment ended with; after the last two the run goes on, with fewer rows or with exact sums
RUNNING, STATIONARY, BLOW_UP, UNRESOLVED, CROSSED, SHRUNK, TOO_COARSE = 0, 1, 2, 3, 4, 5, 6

#: a speed below this counts as zero
ZERO_SPEED = 1e-300
#: step control: safety, proportional and integral exponents over the order, and the range of one change
SAFETY, PROPORTIONAL, INTEGRAL, SHRINK, GROW = 0.9, 0.7, 0.4, 0.2, 10.0
#: a step shorter than this part of the time since the phase began opens a new phase, so that it is not rounded away
PHASE = 1e-6
#: a sum is good enough while the fastest token is this many times faster than what the sum resolves
RESOLVED = 1e3


class Problem(eqx.Module):
    """What is integrated: tokens (with the state's points in place of theirs), field, tolerances, what to wait for."""

    tokens: Tokens
    field: Field
    solver: Adaptive | Splitting
    condition: Condition | None
    #: +1 where an energy is proved to rise, -1 where it is proved to fall, 0 where there is none
    sign: int = eqx.field(static=True)
    #: whether tokens that have met are joined
    coarsens: bool = eqx.field(static=True, default=False)
    noise: Noise | None = None
    #: whether a velocity that is stale is found by the next step, in a loop that is compiled anyway; such a loop has no
    #: derivative
    later: bool = eqx.field(static=True, default=False)
    #: whether all sums are exact
    exact: bool = eqx.field(static=True, default=True)
    #: a segment ends when so few tokens move, after so many steps, that the host drops the others; -1 for never
    few: int | Int[Array, ""] = -1
    patience: int | Int[Array, ""] = 0

    def measure(self, x: Array, weights: Array) -> Tokens:
        """Return the tokens at points `x` with the masses that they carry now."""
        return self.tokens.replace(points=x, weights=weights)

    def velocity(self, x: Array, weights: Array, t: Array) -> Array:
        """Return the tokens' velocities; absent tokens stand still."""
        mu = self.measure(x, weights)
        field = self.field if self.field.autonomous else self.field.at(t)
        return jnp.where(self.tokens.present[:, None], field(x, mu), 0)

    def fastest(self, v: Array) -> Array:
        """Return the largest speed, without underflow of its square."""
        top = jnp.max(jnp.abs(v))
        return top * jnp.sqrt(jnp.max(jnp.sum((v / jnp.where(top > 0, top, 1)) ** 2, axis=-1)))

    def energy(self, x: Array, weights: Array) -> Array:
        """Return the energy where one is proved, else 0."""
        if not self.sign:
            return jnp.zeros((), x.dtype)
        return self.field.energy(self.measure(x, weights))


class State(eqx.Module):
    """The solver's whole state: what is written to a store, and from which a run goes on bit by bit.

    Time is `start + offset`: `start` is where the present phase of the run began. Where the field does not depend on
    depth the steps look at `offset` only, so a collapse of duration O(1) at t = 1e20 is resolved.
    """

    x: Float[Array, "n d"]
    v: Float[Array, "n d"]
    #: whether `v` and `energy` are still those of before tokens were joined, or of other sums
    stale: Bool[Array, ""]
    cohorts: Cohorts
    h: Float[Array, ""]
    last_error: Float[Array, ""]
    start: Float[Array, ""]
    offset: Float[Array, ""]
    floor: Float[Array, ""]
    energy: Float[Array, ""]
    decrease: Float[Array, ""]
    defect: Float[Array, ""]
    accepted: Int[Array, ""]
    rejected: Int[Array, ""]
    evaluations: Int[Array, ""]
    code: Int[Array, ""]

    @property
    def time(self) -> Array:
        """Depth reached."""
        return self.start + self.offset


def proved_sign(tokens: Tokens, field: Field) -> int:
    """Return +1 or -1 where an energy is proved to rise or to fall along the flow on the tokens' space, else 0."""
    proved = field.autonomous or isinstance(field, Normalised)  # of a scheme only the speed depends on depth
    return field.energy_sign if proved and field.energy_on(tokens.space) else 0


def energy_statistic(sign: int) -> str:
    """Name the largest step against the direction in which the energy is proved to move."""
    return "largest_energy_decrease" if sign > 0 else "largest_energy_increase"


def begin(problem: Problem, t0: Any = 0.0) -> State:
    """Return the state at the start: the first velocity and a first guess of the step."""
    x = problem.tokens.points
    t0 = jnp.asarray(t0, x.dtype)
    cohorts = Cohorts.apart(problem.tokens)
    v = problem.velocity(x, cohorts.weights, t0)
    speed = problem.fastest(v)
    energy = problem.energy(x, cohorts.weights)
    zero, none = jnp.zeros((), x.dtype), jnp.zeros((), int)
    return State(
        x=x,
        v=v,
        stale=jnp.zeros((), bool),
        cohorts=cohorts,
        h=first_step(problem, x, speed).astype(x.dtype),
        last_error=jnp.ones((), x.dtype),
        start=t0,
        offset=zero,
        floor=zero,
        energy=jax.lax.stop_gradient(energy),
        decrease=zero,
        defect=jax.lax.stop_gradient(problem.tokens.space.defect(x)),
        accepted=none,
        rejected=none,
        evaluations=none + 1,
        code=jnp.where(jnp.isfinite(speed), none + RUNNING, BLOW_UP),
    )


def first_step(problem: Problem, x: Array, speed: Array) -> Array:
    """Return a first length: the error of a step of length c / speed is about c^order, and shall meet the tolerance."""
    solver = problem.solver
    if isinstance(solver, Splitting):
        return solver.step
    size = 1.0 + jnp.max(jnp.where(problem.tokens.present, jnp.linalg.norm(x, axis=-1), 0))
    reach = (solver.atol + solver.rtol) ** (1.0 / pair_of(solver.pair).order)
    h = jnp.where(speed > ZERO_SPEED, 0.1 * reach * size / jnp.where(speed > 0, speed, 1), 1.0)
    return jax.lax.stop_gradient(h)


def attempt(problem: Problem, state: State, target: Array) -> State:
    """Try one step; accept or reject it, and choose the next length."""
    return tried(problem, state, target)[0]


def tried(problem: Problem, state: State, target: Array, written_out: bool = False) -> tuple[State, Array, Any]:
    """Try one step; return the state after it, the length that was tried and the slopes along it."""
    assert isinstance(problem.solver, Adaptive)
    pair, solver, tokens = pair_of(problem.solver.pair), problem.solver, problem.tokens
    left = (target - state.start) - state.offset
    clipped = state.h >= left
    h = jnp.where(clipped, left, state.h)
    new, velocity, error, slopes = one_step(problem, state, h, written_out)
    if problem.field.breaks:
        velocity = after_break(problem, state, new, velocity, target, clipped)
    measured = jax.lax.stop_gradient(relative_error(solver, tokens, state.x, new, error))
    finite = jnp.isfinite(measured) & jnp.all(jnp.isfinite(velocity))
    accept = finite & (measured <= 1.0)
    # a measured error of 0 would divide by 0; below this floor the growth is at its limit anyway
    size = jnp.where(finite, jnp.maximum(measured, 1e-12), jnp.inf)
    factor = SAFETY * size ** (-PROPORTIONAL / pair.order) * state.last_error ** (INTEGRAL / pair.order)
    factor = jnp.where(
        accept, jnp.clip(factor, SHRINK, GROW), jnp.clip(SAFETY * size ** (-1 / pair.order), SHRINK, 0.9)
    )
    # a step cut short to land on a time says nothing against the length that was proposed
    proposal = jnp.where(accept & clipped, jnp.maximum(state.h, h * factor), h * factor)

    crossed = accept & (jnp.asarray(False) if problem.condition is None else met(problem, state, new, velocity))
    located = crossed & jnp.asarray(problem.condition is not None and problem.condition.located)
    keep = accept & ~located
    before, energy = energies(problem, state, new, keep)
    moved = advance_time(state, h, clipped, target)
    stuck = ~accept & (h * top_speed(problem, state.v, velocity) < 1e-15 * jnp.max(jnp.abs(state.x)))
    huge = ~jnp.isfinite(measured) | (jnp.max(jnp.abs(state.x)) > 1e100)
    # a field that changes with depth may move again what it has let rest
    still = accept & (problem.fastest(velocity) <= ZERO_SPEED) & problem.field.autonomous
    code = jnp.where(stuck, jnp.where(huge, BLOW_UP, UNRESOLVED), jnp.where(still, STATIONARY, RUNNING))
    code = jnp.where(crossed, jnp.where(located, CROSSED, STATIONARY), code)
    if not problem.exact:
        slow = problem.fastest(velocity) < RESOLVED * state.floor
        code = jnp.where((stuck | (accept & slow)) & ~crossed, TOO_COARSE, code)
    code = code.astype(state.code.dtype)
    after = State(
        x=jnp.where(keep, new, state.x),
        v=jnp.where(keep, velocity, state.v),
        stale=state.stale & ~keep,
        cohorts=state.cohorts,
        h=jax.lax.stop_gradient(jnp.where(located, h, proposal)),
        last_error=jnp.where(keep & ~clipped, jnp.maximum(measured, 1e-4), state.last_error),
        start=jnp.where(keep, moved[0], state.start),
        offset=jnp.where(keep, moved[1], state.offset),
        floor=state.floor,
        energy=energy,
        decrease=jnp.maximum(state.decrease, jnp.where(keep, problem.sign * (before - energy), 0)),
        defect=jax.lax.stop_gradient(
            jnp.where(keep, jnp.maximum(state.defect, tokens.space.defect(new)), state.defect)
        ),
        accepted=state.accepted + keep,
        rejected=state.rejected + ~accept,
        evaluations=state.evaluations + (len(pair.nodes) - 1),
        code=code,
    )
    return coarsened(problem, state, after, keep) if problem.coarsens else after, h, slopes


def energies(problem: Problem, state: State, new: Array, keep: Array) -> tuple[Array, Array]:
    """Return the energy before and after a step that is kept, else what is known; without derivatives."""
    if not problem.sign:
        return state.energy, state.energy
    problem, state, new = jax.lax.stop_gradient((problem, state, new))
    points = jnp.stack([state.x, new])

    def put(k: Array, found: Array) -> Array:
        return found.at[k].set(problem.energy(points[k], state.cohorts.weights))

    # a loop, since it is compiled once
    first = jnp.where(keep, jnp.where(state.stale, 0, 1), 2)
    before, after = jax.lax.fori_loop(first, 2, put, jnp.stack([state.energy, state.energy]))
    return before, after


def shaken(problem: Problem, state: State, target: Array) -> State:
    """Take one noisy step of fixed length, cut short to land on the target."""
    assert problem.noise is not None
    assert isinstance(problem.solver, Splitting)
    tokens, left = problem.tokens, (target - state.start) - state.offset
    clipped = problem.solver.step >= left
    h = jnp.where(clipped, left, problem.solver.step)

    def velocity(x: Array, t: Array) -> Array:
        return problem.velocity(x, state.cohorts.weights, t)

    x = split_step(problem.noise, velocity, tokens.space, tokens.present, state.x, state.time, h, state.accepted)
    start, offset = advance_time(state, h, clipped, target)
    return dataclasses.replace(
        state,
        x=x,
        start=start,
        offset=offset,
        defect=jnp.maximum(state.defect, tokens.space.defect(x)),
        accepted=state.accepted + 1,
        evaluations=state.evaluations + 2,
        code=jnp.where(jnp.all(jnp.isfinite(x)), state.code, BLOW_UP),
    )


def one_step(problem: Problem, state: State, h: Array, written_out: bool = False) -> Step:
    """Return one Runge-Kutta step; followers stay with those they follow."""

    def velocity(x: Array, t: Array) -> Array:
        return problem.velocity(x, state.cohorts.weights, before_break(problem.field, state.time, t))

    assert isinstance(problem.solver, Adaptive)
    space = problem.tokens.space
    pair = pair_of(problem.solver.pair)
    stale = state.stale if problem.later else None
    out = runge_kutta_step(pair, velocity, space, state.x, state.v, state.time, h, written_out, stale)
    out = jax.tree.map(lambda a: a[..., state.cohorts.into, :], out) if problem.coarsens else out
    # projecting a token that does not move may still move its last bit
    return out._replace(new=jnp.where(problem.tokens.present[:, None], out.new, state.x))


def before_break(field: Field, start: Array, t: Array) -> Array:
    """Return the time `t` of a step from `start`, below the next jump of the field: a step that ends on a jump is the
    old field's alone."""
    if not field.breaks:
        return t
    breaks = jnp.asarray(field.breaks, t.dtype)
    following = jnp.min(jnp.where(breaks > start, breaks, jnp.inf))
    return jnp.minimum(t, jnp.nextafter(following, jnp.zeros_like(following)))


def after_break(problem: Problem, state: State, new: Array, velocity: Array, target: Array, clipped: Array) -> Array:
    """Return the velocity from which the next step starts: on a jump of the field it is the new field's."""
    landed = clipped & jnp.any(jnp.asarray(problem.field.breaks, target.dtype) == target)
    return jax.lax.cond(landed, lambda x: problem.velocity(x, state.cohorts.weights, target), lambda _: velocity, new)


def top_speed(problem: Problem, old: Array, new: Array) -> Array:
    """Return the larger of two speeds: near an unstable rest the old one says nothing about the time scale."""
    ahead = problem.fastest(new)
    return jnp.maximum(problem.fastest(old), jnp.where(jnp.isfinite(ahead), ahead, 0))


def coarsened(problem: Problem, before: State, after: State, keep: Array) -> State:
    """Join what has met over an accepted step, and find the velocity and energy of what is left, now or at the next."""
    assert isinstance(problem.solver, Adaptive)
    solver, tokens = problem.solver, problem.tokens
    within = jax.lax.stop_gradient(merge_distance(solver.atol, solver.rtol, after.x))
    x, cohorts = merge_near(tokens, after.cohorts, before.x, after.x, within, after.time, after.accepted)
    joined = keep & jnp.any(cohorts.into != after.cohorts.into)

    def renew(_: None) -> tuple[Array, Array]:
        velocity = problem.velocity(x, cohorts.weights, after.time)[cohorts.into]
        return velocity, jax.lax.stop_gradient(problem.energy(x, cohorts.weights))

    v, energy = after.v, after.energy
    if not problem.later:
        v, energy = jax.lax.cond(joined, renew, lambda _: (after.v, after.energy), None)
    chosen = jax.tree.map(lambda a, b: jnp.where(joined, a, b), (x, cohorts), (after.x, after.cohorts))
    # at a step that does not depend on when the host looks, so that a run is the same bit by bit each time
    patient = after.accepted + after.rejected >= problem.patience
    few = (after.code == RUNNING) & patient & (jnp.sum(chosen[1].alone & tokens.present) <= problem.few)
    return eqx.tree_at(
        lambda s: (s.x, s.cohorts, s.v, s.energy, s.stale, s.evaluations, s.code),
        after,
        (
            *chosen,
            v,
            energy,
            after.stale | (joined & problem.later),
            after.evaluations + joined,
            jnp.where(few, SHRUNK, after.code).astype(after.code.dtype),
        ),
    )


def relative_error(solver: Adaptive, tokens: Tokens, old: Array, new: Array, error: Array) -> Array:
    """Return the largest error of a token in units of its tolerance."""
    scale = solver.atol + solver.rtol * jnp.maximum(norm(old), norm(new))
    # beside an infinite size every error is small: such a step is none
    return jnp.max(jnp.where(tokens.present, jnp.where(jnp.isfinite(scale), norm(error) / scale, jnp.inf), 0))


def norm(x: Array) -> Array:
    """Return the norms of the rows; used under stop_gradient or away from 0 only."""
    return jnp.sqrt(jnp.sum(jax.lax.stop_gradient(x) ** 2, axis=-1))


def advance_time(state: State, h: Array, clipped: Array, target: Array) -> tuple[Array, Array]:
    """Return start and offset after a step: exactly the target where the step was cut to land on it."""
    offset = state.offset + h
    renew = h < PHASE * offset
    start = jnp.where(renew, state.start + state.offset, state.start)
    return jnp.where(clipped, target, start), jnp.where(clipped, 0, jnp.where(renew, h, offset))


def met(problem: Problem, state: State, x: Array, v: Array) -> Array:
    """Tell whether the condition holds at `x`."""
    assert problem.condition is not None
    mu = problem.measure(x, state.cohorts.weights)
    if isinstance(problem.field, Normalised):
        mu = problem.field.scheme.seen(mu)
    return problem.condition.margin(mu, problem.fastest(v)) <= 0


def segment(problem: Problem, state: State, target: Array, budget: Array, loop: Callable[..., State]) -> State:
    """Step until `target`, until the code changes, or for `budget` attempts."""
    first = state.accepted + state.rejected

    def going(state: State) -> Array:
        tried = state.accepted + state.rejected - first
        return (state.code == RUNNING) & (state.time < target) & (tried < budget)

    step = attempt if problem.noise is None else shaken
    return loop(going, lambda state: step(problem, state, target), state)


def locate(problem: Problem, state: State) -> State:
    """Return the state at the moment within the next step of length `state.h` at which the condition is met.

    Bisection on the length of one Runge-Kutta step, down to rounding; the moment is correct to the step's own error.
    """

    def jump(h: Array) -> tuple[Array, Array]:
        step = one_step(problem, state, h)
        return step.new, step.velocity

    def halve(_: int, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = 0.5 * (low + high)
        over = met(problem, state, *jump(middle))
        return jnp.where(over, low, middle), jnp.where(over, middle, high)

    assert isinstance(problem.solver, Adaptive)
    _, h = jax.lax.fori_loop(0, 52, halve, (jnp.zeros_like(state.h), state.h))
    x, v = jump(h)
    start, offset = advance_time(state, h, jnp.asarray(False), state.start)
    before, energy = energies(problem, state, x, jnp.asarray(True))
    return eqx.tree_at(
        lambda s: (s.x, s.v, s.stale, s.start, s.offset, s.energy, s.decrease, s.accepted, s.evaluations, s.code),
        state,
        (
            x,
            v,
            jnp.zeros((), bool),
            start,
            offset,
            energy,
            jnp.maximum(state.decrease, problem.sign * (before - energy)),
            state.accepted + 1,
            state.evaluations + 53 * (len(pair_of(problem.solver.pair).nodes) - 1),
            jnp.zeros_like(state.code) + RUNNING,
        ),
    )

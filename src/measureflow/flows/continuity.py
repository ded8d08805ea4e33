"""The flow of a density: continuity and Fokker-Planck equations, mode by mode, with the tail watched."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num

from measureflow.errors import BadInput
from measureflow.fields import Field
from measureflow.fields.currents import Current, current_of
from measureflow.flows.pairs import pair_of
from measureflow.flows.segment import (
    GROW,
    INTEGRAL,
    PROPORTIONAL,
    RUNNING,
    SAFETY,
    SHRINK,
    STATIONARY,
    UNRESOLVED,
    before_break,
)
from measureflow.flows.solver import Adaptive
from measureflow.measures import Density, Grid
from measureflow.measures.density import tail_of

__all__ = ["Flowing", "Problem", "begin", "continued", "segment", "shown"]

#: a coefficient below this part of the mass is rounding, which an unstable mode would amplify
ROUNDING = 1e-14
#: no grid shows a tail below this
LEAST_TAIL = 1e-12
#: how much more an error counts in the harmonics of the tail
TAIL_COUNTS = 100.0
#: as for tokens, a step is never shorter than this part of the time since the start of its phase
SHORTEST = 1e-15


class Problem(eqx.Module):
    r"""The equation $\partial_t f + \mathrm{div}(f\, v[f]) = \nu \Delta f$ of a density with respect to uniform.

    Attributes:
        density: the density at the start; its grid has the modes that are followed.
        noise: `nu`, the noise 1/kappa.
        rest: the speed below which the flow is to stop, or 0.
    """

    density: Density
    field: Field
    solver: Adaptive
    noise: Float[Array, ""]
    rest: Float[Array, ""]
    #: the field made ready, where it is the same at every depth
    current: Current | None = None

    def ready(self) -> Problem:
        """Return the problem with what does not change from step to step computed."""
        if not self.field.autonomous:
            return self
        return dataclasses.replace(self, current=current_of(self.field, self.density.d, self.grid.degree))

    @property
    def grid(self) -> Grid:
        """The grid of the density."""
        return self.density.grid

    @property
    def decay(self) -> Float[np.ndarray, "*k"]:
        """Eigenvalues of minus the Laplacian: `k (k + d - 2)`."""
        return self.grid.degrees * (self.grid.degrees + self.density.d - 2)

    def rate(self, modes: Num[Array, "*k"], t: Array, more: int = 1) -> Num[Array, "*k"]:
        r"""Return the coefficients of $-\mathrm{div}(f v)$, from a grid on which products of three are integrated
        exactly (`more` times finer)."""
        fine = self.grid.finer(more * self.grid.product_size())
        values = fine.synthesise(modes)
        mu = self.density.replace(values=values, grid=fine)
        current = self.current
        if current is None:
            current = current_of(self.field.at(t), mu.d, mu.grid.degree)
        return -fine.divergence(values * current(mu, modes))

    def size(self, modes: Num[Array, "*k"]) -> Float[Array, ""]:
        """Return the root of the mean square of a function."""
        return jnp.sqrt(jnp.sum(self.grid.multiplicity * jnp.abs(modes) ** 2))

    def speed(self, modes: Num[Array, "*k"], rate: Num[Array, "*k"]) -> Float[Array, ""]:
        """Return the root mean square of the density's rate of change, relative to that of the density."""
        return self.size(rate - self.noise * self.decay * modes) / self.size(modes)


class Flowing(eqx.Module):
    """The state of a density's flow: modes, their rate without diffusion, the step, and the extremes so far."""

    modes: Num[Array, "*k"]
    rate: Num[Array, "*k"]
    h: Float[Array, ""]
    last_error: Float[Array, ""]
    start: Float[Array, ""]
    offset: Float[Array, ""]
    smallest: Float[Array, ""]
    drift: Float[Array, ""]
    tail: Float[Array, ""]
    accepted: Int[Array, ""]
    rejected: Int[Array, ""]
    evaluations: Int[Array, ""]
    code: Int[Array, ""]

    @property
    def time(self) -> Array:
        """Depth reached."""
        return self.start + self.offset


def begin(problem: Problem) -> Flowing:
    """Return the state at the start."""
    problem = problem.ready()
    grid = problem.grid
    modes = problem.density.modes
    whole = jnp.abs(modes.reshape(-1)[0])
    modes = jnp.where(jnp.abs(modes) > ROUNDING * whole, modes, 0)
    zero, none = jnp.zeros((), float), jnp.zeros((), int)
    rate = problem.rate(modes, zero)
    speed = problem.speed(modes, rate)
    solver = problem.solver
    reach = (solver.atol + solver.rtol) ** (1.0 / pair_of(solver.pair).order)
    values = grid.synthesise(modes)
    return Flowing(
        modes=modes,
        rate=rate,
        h=jax.lax.stop_gradient(jnp.where(speed > 0, 0.1 * reach / jnp.where(speed > 0, speed, 1.0), 1.0)),
        last_error=jnp.ones((), float),
        start=zero,
        offset=zero,
        smallest=jax.lax.stop_gradient(jnp.min(values)),
        drift=zero,
        tail=jax.lax.stop_gradient(tail_of(grid, modes)),
        accepted=none,
        rejected=none,
        evaluations=none + 1,
        code=jnp.where(is_at_rest(problem, modes, rate), STATIONARY, RUNNING).astype(int),
    )


def is_at_rest(problem: Problem, modes: Array, rate: Array) -> Array:
    """Tell whether the density moves slower than asked for, or than rounding can tell."""
    speed = problem.speed(modes, rate)
    parts = problem.size(rate) + problem.size(problem.noise * problem.decay * modes)
    floor = (problem.grid.degree + 4) * jnp.finfo(float).eps * parts / problem.size(modes)
    return problem.field.autonomous & (speed <= jnp.maximum(floor, problem.rest))


def step(problem: Problem, state: Flowing, h: Array) -> tuple[Array, Array, Array]:
    r"""Return modes, rate and error of one step of the pair in the variable $e^{\nu\lambda t} f_k$ (Lawson's).

    Diffusion is exact in it and sets no limit to the step: only factors $e^{-\nu\lambda(c_i - c_j)h} \le 1$ enter. The
    rate at the start of the step is integrated exactly too, and the pair sees what changes against it, so that a
    stationary density stays where it is to rounding.
    """
    pair = pair_of(problem.solver.pair)
    count = len(pair.nodes)
    nodes, stages, estimate = jnp.asarray(pair.nodes), jnp.asarray(pair.stages), jnp.asarray(pair.error)
    decay = problem.noise * h * problem.decay

    def shares(share: Array) -> Array:
        return jnp.reshape(share, (*jnp.shape(share), *(1 for _ in decay.shape)))

    def combined(table: Array, changes: Array, node: Array) -> Array:
        return h * jnp.tensordot(table, jnp.exp(-shares(jnp.maximum(node - nodes, 0.0)) * decay) * changes, axes=1)

    def stage(i: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        changes, _ = carry
        faded = nodes[i] * decay
        small = faded < 1e-300
        # (1 - e^-z)/z, the mean of the decay over the step so far
        mean = jnp.where(small, 1.0, -jnp.expm1(-faded) / jnp.where(small, 1.0, faded))
        new = jnp.exp(-faded) * state.modes + nodes[i] * h * mean * state.rate + combined(stages[i], changes, nodes[i])
        t = before_break(problem.field, state.time, state.time + nodes[i] * h)
        return changes.at[i].set(problem.rate(new, t) - state.rate), new

    changes = jnp.zeros((count, *state.rate.shape), state.rate.dtype)
    changes, new = jax.lax.fori_loop(1, count, stage, (changes, state.modes))
    return new, changes[-1] + state.rate, combined(estimate, changes, nodes[-1])


def attempt(problem: Problem, state: Flowing, target: Array) -> Flowing:
    """Try one step; accept or reject it, choose the next length, and look at tail and smallest value."""
    solver, grid, order = problem.solver, problem.grid, pair_of(problem.solver.pair).order
    left = (target - state.start) - state.offset
    clipped = state.h >= left
    h = jnp.where(clipped, left, state.h)
    new, rate, error = step(problem, state, h)
    allowed = solver.atol + solver.rtol * jnp.maximum(problem.size(state.modes), problem.size(new))
    # a step at its limit of stability lets the highest harmonics hover at the tolerance: not in sight of the tail
    error = jnp.where(grid.degrees > 2.0 * grid.degree / 3.0, TAIL_COUNTS * error, error)
    measured = jax.lax.stop_gradient(problem.size(error) / allowed)
    finite = jnp.isfinite(measured) & jnp.isfinite(problem.size(rate))
    accept = finite & (measured <= 1.0)
    size = jnp.where(finite, jnp.maximum(measured, 1e-12), jnp.inf)
    factor = SAFETY * size ** (-PROPORTIONAL / order) * state.last_error ** (INTEGRAL / order)
    shrunk = jnp.clip(SAFETY * size ** (-1.0 / order), SHRINK, 0.9)
    factor = jnp.where(accept, jnp.clip(factor, SHRINK, GROW), shrunk)
    proposal = jnp.where(accept & clipped, jnp.maximum(state.h, h * factor), h * factor)
    values = grid.synthesise(new)
    tail = tail_of(grid, new)
    still = accept & is_at_rest(problem, new, rate)
    stuck = ~accept & (h <= SHORTEST * jnp.maximum(state.offset, 1e-3))
    lost = accept & (tail > jnp.maximum(solver.rtol, LEAST_TAIL))
    code = jnp.where(stuck | lost, UNRESOLVED, jnp.where(still, STATIONARY, RUNNING))
    drift = jnp.abs(jnp.sum(grid.weights * values) - 1.0)

    def taken(after: Array, before: Array) -> Array:
        return jax.lax.stop_gradient(jnp.where(accept, after, before))

    return Flowing(
        modes=jnp.where(accept, new, state.modes),
        rate=jnp.where(accept, rate, state.rate),
        h=jax.lax.stop_gradient(proposal),
        last_error=jnp.where(accept & ~clipped, jnp.maximum(measured, 1e-4), state.last_error),
        start=jnp.where(accept & clipped, target, state.start),
        offset=jnp.where(accept, jnp.where(clipped, 0.0, state.offset + h), state.offset),
        smallest=taken(jnp.minimum(state.smallest, jnp.min(values)), state.smallest),
        drift=taken(jnp.maximum(state.drift, drift), state.drift),
        tail=taken(tail, state.tail),
        accepted=state.accepted + accept,
        rejected=state.rejected + ~accept,
        evaluations=state.evaluations + (len(pair_of(solver.pair).nodes) - 1),
        code=code.astype(state.code.dtype),
    )


def segment(problem: Problem, state: Flowing, target: Array, budget: Array, loop: Callable[..., Flowing]) -> Flowing:
    """Step until `target`, until the code changes, or for `budget` attempts."""
    problem = problem.ready()
    first = state.accepted + state.rejected

    def going(state: Flowing) -> Array:
        tried = state.accepted + state.rejected - first
        return (state.code == RUNNING) & (state.time < target) & (tried < budget)

    return loop(going, lambda state: attempt(problem, state, target), state)


def continued(problem: Problem, state: Flowing) -> Flowing:
    """Return the state behind a jump of the field, with the rate of the new one."""
    return dataclasses.replace(state, rate=problem.ready().rate(state.modes, state.time))


def shown(problem: Problem, state: Flowing) -> Density:
    """Return the density of a state."""
    return problem.density.replace(values=problem.grid.synthesise(state.modes))


def aliasing(problem: Problem, state: Flowing) -> Float[Array, ""]:
    """Return how much the rate changes on a grid twice as fine, relative to the density.

    It is rounding where the velocity is a polynomial in the harmonics; the quotient of a softmax is none.
    """
    finer = problem.ready().rate(state.modes, state.time, more=2)
    return problem.size(finer - state.rate) / problem.size(state.modes)


def check(problem: Problem) -> None:
    """Raise `BadInput` where the density or the field cannot be followed on the grid."""
    density, field, solver = problem.density, problem.field, problem.solver
    if field.positional:
        raise BadInput(f"flow: {field!r} looks at positions in a text, and a density has none; take mask=None.")
    if density.grid.names == ("height",) and not field.isotropic:
        raise BadInput(
            f"flow: {field!r} does not commute with rotations, so that a density on a meridian would not stay "
            f"symmetric; use density.whole."
        )
    if not is_forward(solver.pair) and float(problem.noise) > 0:
        raise BadInput(f"flow: the stages of {solver.pair!r} go back in time; with noise use pair='dormand-prince'.")
    tail, least = float(density.tail), max(float(solver.rtol), LEAST_TAIL)
    if tail > least:
        raise BadInput(
            f"flow: the upper third of the density's harmonics is {tail:.1e} of the whole and the tolerance is "
            f"{least:.1e}; make it with a larger size=, or take a larger rtol."
        )


def is_forward(pair: str) -> bool:
    """Tell whether the stages of a pair go forward in time only."""
    nodes, stages = pair_of(pair).nodes, pair_of(pair).stages
    return not any(stages[i, j] and nodes[i] < nodes[j] for i in range(len(nodes)) for j in range(i))

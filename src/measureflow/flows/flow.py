"""`flow`: continuous depth with controlled error, driven by the host in compiled segments."""

from __future__ import annotations

import dataclasses
import functools
import os
from typing import Any

import jax.numpy as jnp
import numpy as np

from measureflow.errors import BadInput
from measureflow.fields import Field, Normalisation, Normalised, Scheme, all_exact, motion_under
from measureflow.flows.coarsening import may_coarsen
from measureflow.flows.conditions import Condition, Stationary, checked_time, save_times
from measureflow.flows.driver import drive
from measureflow.flows.gaussian import gaussian_flow
from measureflow.flows.hosts import gathered, spans_hosts
from measureflow.flows.layers import check_field, checked_normalisation
from measureflow.flows.mean_field import flow_of_density
from measureflow.flows.memory import check_memory
from measureflow.flows.noisy import Noise, Splitting, as_noise
from measureflow.flows.plan import Plan
from measureflow.flows.record import as_recorders, check_recorders, kept_indices
from measureflow.flows.reduction import span_reduction
from measureflow.flows.segment import Problem, proved_sign
from measureflow.flows.solver import Adaptive
from measureflow.flows.traced import traced_flow
from measureflow.measures import Density, Gaussian, Tokens
from measureflow.paths import Path, Recipe, fingerprint
from measureflow.spaces import Sphere, is_traced

__all__ = ["flow"]


def flow(
    tokens: Tokens | Density | Gaussian,
    field: Field,
    *,
    until: Any,
    normalisation: Normalisation | None = None,
    solver: Adaptive | Splitting | None = None,
    save: Any = None,
    record: Any = (),
    keep: Any = "all",
    noise: float = 0.0,
    seed: Any = None,
    store: str | os.PathLike[str] | None = None,
    reduce: bool = True,
    progress: Any = False,
) -> Path:
    r"""Move the tokens along $\dot x_i = v(x_i; \mu)$ with controlled error.

    Steps are those of an embedded Runge-Kutta pair; every saved time is landed on exactly (under `jit` and `vmap` see
    also `dense` of `mf.Adaptive`).

    Main arguments:
        tokens: the initial measure: tokens; or an `mf.Density`, which follows the continuity equation (with noise, the
            Fokker-Planck equation) mode by mode and ends as `unresolved` where its grid no longer shows it; or an
            `mf.Gaussian`, which moves by the closed equation of its mean and covariance.
        field: what moves it.
        until: a time, or a condition (`mf.Stationary(tol)`, `mf.Spread(value)`, `mf.Consensus(delta)`,
            `mf.Overlap(i, j, value)`; a Gaussian waits for the first two).
        save: the saved times: an array, `mf.log_times(...)`, or a count, geometric in t (`None` is 200).
        record: observables evaluated at exactly those times, see `path.recorded`.
        keep: which of the states stay: `"all"`, `"last"` or indices.

    Other arguments:
        normalisation: where the layer norm stands. `None` is `mf.PostLN()` on a sphere and no norm on Euclidean space.
            Under `mf.PreLN()`, `mf.PeriLN()` and `mf.MixLN(switch)` tokens live in Euclidean space with a radius, the
            field and conditions see their directions, and `path.on_sphere()` shows these.
        solver: `None` is `mf.Adaptive()`, with noise `mf.Splitting()`.
        noise: intensity 1/kappa of Brownian motion on the space: each token feels `sqrt(2 noise) dW`, so that the law
            of the tokens diffuses with `noise` times the Laplacian.
        seed: an int or a JAX key, needed with noise; the same seed and solver give the same path.
        store: a folder to which the run is written as it goes. Called again with the same recipe it goes on from the
            last commit, bit by bit, and a finished run is read instead of computed. The path of a density or a Gaussian
            is written whole when it has ended.
        reduce: use the exact span reduction where `d > n`.
        progress: True for a bar on standard error, or a function of (time, until).

    Under `jit`, `vmap` or `grad` the same steps run as one loop, without store, progress, conditions and reduction
    (`mf.flows.span_reduction(tokens, field).lower(tokens)` reduces there too).
    Ctrl-C ends the run within a second; the path so far is returned with status `stopped`.

    Raises:
        BadInput: arguments of wrong kind or value, before any work starts.

    Example:
        >>> import measureflow as mf
        >>> path = mf.flow(mf.uniform(mf.Sphere(3), n=20, seed=0), mf.SelfAttention(beta=1.0), until=50.0, save=20)
        >>> path.status, int(path.clusters[-1])
        ('stationary', 1)
    """
    wanted = {"until": until, "save": save, "record": record, "keep": keep}
    if isinstance(tokens, (Gaussian, Density)):
        others = {"normalisation": normalisation, "noise": noise, "seed": seed, "store": store, "progress": progress}
        if isinstance(tokens, Gaussian):
            return gaussian_flow(tokens, field, solver=solver, **wanted, **others)
        return flow_of_density(tokens, field, solver=solver, **wanted, **others)
    shaking = as_noise(noise, seed)
    tokens, field, solver = checked(tokens, field, solver, normalisation, shaking is not None)
    if is_traced(tokens, field, solver, until, save, shaking):
        if store is not None or isinstance(until, Condition):
            raise BadInput("flow: under jit, vmap or grad there is no store= and until= must be a time.")
        return traced_flow(tokens, field, solver, until, save, record, keep, shaking)
    if shaking is not None and isinstance(until, Condition):
        raise BadInput(
            f"flow: a noisy run has no moment at which {until!r} is met once for all; give until= as a time."
        )
    plan = planned(tokens, field, solver, shaking, **wanted, store=store, reduce=reduce)
    path = drive(plan, progress)
    if not isinstance(solver, Adaptive):
        return path
    again = functools.partial(run_again, plan.tokens, field, until=until, solver=solver, save=plan.times, reduce=reduce)
    return dataclasses.replace(path, again=again)


def planned(
    tokens: Tokens,
    field: Field,
    solver: Adaptive | Splitting,
    shaking: Noise | None,
    *,
    until: Any,
    save: Any,
    record: Any,
    keep: Any,
    store: str | os.PathLike[str] | None,
    reduce: bool,
) -> Plan:
    """Return the plan of a run on the host, or raise `BadInput` where it cannot be carried out."""
    spread, tokens = tokens, gathered(tokens)  # what the host looks at, it has; the device keeps its share
    if store is not None and spans_hosts(spread):
        raise BadInput("flow: the tokens lie on several hosts, where there is no store=; use path.save after the run.")
    condition = waited_for(until, tokens, field) if isinstance(until, Condition) else None
    end = float(condition.cap) if condition is not None else checked_time(until)
    times = save_times(save, end)
    sign = proved_sign(tokens, field) if shaking is None else 0
    recorders = as_recorders(record)
    size = check_recorders(recorders, tokens, field)
    wanted = kept_indices(keep, len(times))
    cure = "keep='last' or a few indices, or save fewer times with save="
    check_memory("flow", tokens, len(wanted), size, len(times), cure)
    # noise leaves the span of the tokens
    span = span_reduction(tokens, field) if reduce and shaking is None else None
    bare = (spread if span is None else span.lower(tokens)).replace(labels=None)
    recipe = Recipe.of(
        "flow",
        tokens=tokens,
        field=field,
        until=until if condition is None else condition,
        times=times,
        solver=solver,
        record=[recorder.description for recorder in recorders],
        keep=keep if isinstance(keep, str) else wanted,
        reduce=bool(reduce),
        **({} if shaking is None else {"noise": shaking.intensity, "key": fingerprint(shaking.key)}),
    )
    coarsens = isinstance(solver, Adaptive) and solver.coarsen and may_coarsen(gathered(bare), field)
    return Plan(
        problem=Problem(bare, field, solver, condition, sign, coarsens, shaking, later=True),
        tokens=tokens,
        span=span,
        times=times,
        end=end,
        breaks=tuple(b for b in field.breaks if 0 < b < end),
        recorders=recorders,
        wanted=wanted,
        last_only=isinstance(keep, str) and keep == "last",
        recipe=recipe,
        store=store,
    )


def run_again(tokens: Tokens, field: Field, sharpened: float, *, solver: Adaptive, **options: Any) -> Path:
    """Run at tolerances multiplied by `sharpened`, and with them the merge distance."""
    sharper = dataclasses.replace(
        solver, rtol=jnp.maximum(solver.rtol * sharpened, 1e-14), atol=solver.atol * sharpened
    )
    return flow(tokens, field, solver=sharper, **options)


def checked(
    tokens: Any, field: Any, solver: Any, normalisation: Any, noisy: bool
) -> tuple[Tokens, Field, Adaptive | Splitting]:
    """Return the nouns of a call, or raise `BadInput` where one is of the wrong kind."""
    if not isinstance(tokens, Tokens):
        raise BadInput(
            f"flow: tokens are {type(tokens).__name__}; give mf.Tokens(space, points) or a law such as mf.uniform."
        )
    if not isinstance(field, Field):
        raise BadInput(f"flow: field is {field!r}; give a field such as mf.SelfAttention(beta=9.0).")
    wanted = Splitting if noisy else Adaptive
    if solver is not None and not isinstance(solver, wanted):
        cure = "with noise, mf.Splitting(step=...)" if noisy else "mf.Adaptive(rtol=..., atol=...)"
        raise BadInput(f"flow: solver is {solver!r}; give {cure} or None.")
    if jnp.zeros((), float).dtype != np.float64:
        raise BadInput("flow needs float64: leave MEASUREFLOW_X64 unset, or use mf.layers in float32.")
    if tokens.points.dtype != np.float64:
        raise BadInput(
            f"flow needs float64 and the tokens are {tokens.points.dtype}; make them with points.astype(float)."
        )
    field = moved_by(tokens, field, normalisation, noisy)
    shown = field if is_traced(tokens, field) else all_exact(field)  # other sums are chosen from values, later
    check_field("flow", lambda mu: shown.at(0.0)(mu.points, mu), shown, tokens)
    return tokens, field, wanted() if solver is None else solver


def moved_by(tokens: Tokens, field: Field, normalisation: Any, noisy: bool) -> Field:
    """Return what moves the states of the tokens: the field under its normalisation."""
    scheme = checked_normalisation("flow", normalisation, tokens.space)
    motion = motion_under(field, scheme)
    scheme = motion.scheme if isinstance(motion, Normalised) else scheme
    if noisy and not scheme.shakes:
        raise BadInput(f"flow: noise has no meaning under {scheme!r}; use PostLN() on a sphere, or no norm.")
    if isinstance(scheme, Scheme):
        scheme.ready(tokens)
    return motion


def waited_for(condition: Condition, tokens: Tokens, field: Field) -> Condition:
    """Return the condition made ready for what the field sees of the tokens."""
    if not isinstance(field, Normalised):
        return condition.ready(tokens)
    if isinstance(condition, Stationary) and not isinstance(tokens.space, Sphere):
        raise BadInput(f"flow: radii grow for ever under {field.scheme!r}; wait for mf.Consensus(delta) or a time.")
    return condition.ready(field.scheme.seen(tokens))

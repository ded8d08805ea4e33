"""Ensembles: many independent clouds moved by one compiled program, and what is recorded of each."""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from measureflow.errors import BadInput
from measureflow.fields import Field, Normalisation
from measureflow.flows import segment as steps
from measureflow.flows.conditions import save_times
from measureflow.flows.flow import flow, moved_by
from measureflow.flows.noisy import Splitting, as_noise
from measureflow.flows.record import Recorders, as_recorders
from measureflow.flows.reduction import span_reduction
from measureflow.flows.solver import Adaptive
from measureflow.measures import Tokens, as_key

__all__ = ["Ensemble", "clouds_at_once", "ensemble"]

#: numbers in one call: a chunk takes the steps of its slowest cloud, and what its stages hold stays near the core. In
#: the plane 64 clouds of 32 tokens, 1.2 times as fast as 16 times as many
CHUNK_NUMBERS = {"cpu": 1 << 12}
ELSEWHERE = 1 << 22


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """What was recorded of many clouds.

    Attributes:
        times: the saved times.
        recorded: by name, an array with the clouds along its first axis and the times along its second.
        resolved: which clouds were followed to the last time; what is recorded of the others is not to be trusted.
        points: `(r, n, d)` of the last time, where they were asked for.
    """

    times: Float[np.ndarray, "s"]
    recorded: dict[str, np.ndarray]
    resolved: Bool[np.ndarray, "r"]
    points: Float[np.ndarray, "r n d"] | None = None


def ensemble(
    tokens: Tokens,
    field: Field,
    *,
    save: Any,
    record: Any,
    solver: Adaptive | Splitting | None = None,
    normalisation: Normalisation | None = None,
    noise: float = 0.0,
    seed: Any = None,
    varies: bool = False,
    keep: bool = False,
) -> Ensemble:
    r"""Move r clouds independently, $\dot x_i = v(x_i; \mu)$ for each, and record observables of each.

    One program moves a chunk of clouds; it is compiled once for all numbers of the field (such as beta), all times and
    all draws, and where $d > n$ it moves each cloud in its own span, so that its cost does not depend on d.

    Main arguments:
        tokens: tokens whose arrays have a leading axis r, as `jax.vmap` makes them.
        field: what moves them; under `varies` its numbers have a leading axis r too, one field for each cloud.
        save: the times, an array or as in `mf.flow`; each cloud steps as its accuracy asks and is read off in between.
        record: observables as in `mf.flow`. They are taken in the span: those that depend on angles only are the same.

    Other arguments:
        solver: `None` is rtol 1e-6, enough for probabilities of a thousand clouds, without coarsening; with noise,
            `mf.Splitting()`.
        normalisation, noise: as in `mf.flow`.
        seed: with noise, an int or a JAX key, of which each cloud gets its own; or an array of r keys.
        keep: whether to return the points of the last time, in the clouds' own space.

    Raises:
        BadInput: tokens without that axis, no saved time or nothing to record, noise without a seed.

    Example:
        >>> import jax, measureflow as mf
        >>> keys = jax.random.split(jax.random.key(0), 20)
        >>> clouds = jax.vmap(lambda key: mf.uniform(mf.Sphere(3), 4, seed=key))(keys)
        >>> moved = mf.flows.ensemble(clouds, mf.SelfAttention(beta=1.0), save=[0.0, 40.0], record="clusters")
        >>> moved.recorded["clusters"][:, 1].tolist() == [1] * 20
        True
    """
    if not isinstance(tokens, Tokens) or tokens.points.ndim != 3:
        raise BadInput("ensemble: give tokens whose arrays have a leading axis of clouds, made with jax.vmap.")
    times = save_times(np.atleast_1d(np.asarray(save, float)), np.inf)
    recorders = as_recorders(record)
    if not recorders:
        raise BadInput("ensemble: record= is empty; name what is to be seen, such as 'overlap'.")
    shaking = as_noise(noise, one_key(seed))
    if solver is None:
        solver = Splitting() if shaking else Adaptive(rtol=1e-6, atol=1e-8, coarsen=False, dense=True)
    keys = None if shaking is None else keys_of_clouds(seed, tokens.points.shape[0])
    intensity = None if shaking is None else shaking.intensity
    count, size = tokens.points.shape[0], clouds_at_once(*tokens.points.shape)
    seen: list[tuple[dict[str, np.ndarray], np.ndarray, np.ndarray | None]] = []
    for first in range(0, count, size):
        # the last chunk is filled up, so that it runs by the same program
        rows = np.minimum(np.arange(first, first + size), count - 1)
        part = jax.tree.map(lambda leaf, rows=rows: leaf[rows], (tokens, field) if varies else tokens)
        chunk, own = part if varies else (part, field)
        shaken = None if keys is None else (intensity, keys[rows])
        found = moved(chunk, own, jnp.asarray(times), recorders, solver, normalisation, shaken, varies, keep)
        seen.append(jax.tree.map(lambda leaf, left=count - first: np.asarray(leaf)[:left], found))
    recorded, resolved, points = jax.tree.map(lambda *parts: np.concatenate(parts), *seen)
    return Ensemble(times, recorded, resolved, points)


def one_key(seed: Any) -> Any:
    """Return a seed, or the first of an array of keys: what tells whether there is one."""
    return seed[0] if is_keys(seed) else seed


def is_keys(seed: Any) -> bool:
    """Tell whether a seed is an array of JAX keys."""
    return isinstance(seed, jax.Array) and jnp.issubdtype(seed.dtype, jax.dtypes.prng_key) and seed.ndim == 1


def keys_of_clouds(seed: Any, count: int) -> Any:
    """Return one key for each cloud."""
    if not is_keys(seed):
        key = as_key(seed)
        return jax.vmap(lambda k: jax.random.fold_in(key, k))(jnp.arange(count))
    if len(seed) != count:
        raise BadInput(f"ensemble: {len(seed)} keys for {count} clouds; give one for each, or one seed for all.")
    return seed


def clouds_at_once(count: int, n: int, d: int) -> int:
    """Return how many clouds of n tokens in R^d one program moves."""
    numbers = CHUNK_NUMBERS.get(jax.default_backend(), ELSEWHERE)
    return max(1, min(count, numbers // (n * min(d, n))))


@eqx.filter_jit
def moved(
    tokens: Tokens,
    field: Field,
    times: Any,
    recorders: Recorders,
    solver: Adaptive | Splitting,
    normalisation: Normalisation | None,
    shaken: tuple[Any, Any] | None,
    varies: bool,
    keep: bool,
) -> tuple[dict[str, Any], Any, Any]:
    """Move a chunk of clouds; return what was recorded, which were resolved, and where they are where asked for."""
    record = {recorder.name: recorder.observable for recorder in recorders}

    def one(tokens: Tokens, field: Field, key: Any) -> tuple[dict[str, Any], Any, Any]:
        noise = {} if shaken is None else {"noise": shaken[0], "seed": key}
        # noise leaves the span of the tokens, and so does a norm with a gain
        span = None if noise else span_reduction(tokens, moved_by(tokens, field, normalisation, False))
        short = tokens if span is None else span.lower(tokens)
        path = flow(
            short, field, until=times[-1], save=times, record=record, keep="last", solver=solver,
            normalisation=normalisation, **noise,
        )  # fmt: skip
        last = path.points[-1]
        lifted = last if span is None else span.lift(tokens, last).points
        return path.recorded, path.code == steps.RUNNING, lifted if keep else None

    keys = None if shaken is None else shaken[1]
    return jax.vmap(one, in_axes=(0, 0 if varies else None, None if keys is None else 0))(tokens, field, keys)

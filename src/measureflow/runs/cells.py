"""Cells of a sweep: how one is computed, in any process, and where its result lies, whole or not at all."""

from __future__ import annotations

import functools
import json
import os
import time
from pathlib import Path as Folder
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from measureflow.errors import BadInput
from measureflow.flows import ensemble
from measureflow.flows.ensembles import clouds_at_once
from measureflow.observables import named
from measureflow.paths.style import beside
from measureflow.runs.events import Event
from measureflow.runs.grids import Cell
from measureflow.runs.simulation import Simulation, key_of_noise
from measureflow.sums import Products

__all__ = ["CellStore", "compute"]

#: laws that look at their numbers while they draw, which a compiled program cannot
ONE_BY_ONE = ("von_mises_fisher", "gaussian")


class CellStore:
    """A folder with one file per finished cell, named by the hash of its recipe.

    A file appears by one rename, so that a kill at any moment leaves whole cells only. A file that is damaged, or holds
    another recipe than its name says, does not count.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Folder(folder)

    def file(self, cell: Cell) -> Folder:
        """Return where a cell lies."""
        return self.folder / f"{cell.hash}.json"

    def find(self, cell: Cell) -> dict[str, Any] | None:
        """Return the result of a cell, or `None` where there is none."""
        try:
            result = json.loads(self.file(cell).read_text("utf-8"))
            return result if result["recipe"] == cell.recipe and fits(result, cell) else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def keep(self, cell: Cell, result: dict[str, Any]) -> None:
        """Write the result of a cell."""
        with beside(self.file(cell)) as temporary:
            temporary.write_text(json.dumps({"recipe": cell.recipe, **result}) + "\n", "utf-8")


def fits(result: dict[str, Any], cell: Cell) -> bool:
    """Tell whether a result has what the cell asks for."""
    if result["error"] is not None:
        return isinstance(result["error"], str)
    wanted = {*cell.record, *(("event",) if cell.event else ())}
    series = result["series"]
    return set(series) == wanted and all(
        len(one[part]) == len(cell.times) for one in series.values() for part in ("mean", "deviation")
    )


def compute(recipe: dict[str, Any]) -> dict[str, Any]:
    """Compute a cell from its recipe, plain data in and out, so that it runs in any process of any machine.

    Returns:
        `series`: by name, means and standard deviations over the replicas at each time; `error`: what went wrong;
        `lasting`: whether it would go wrong again, since the cell itself is bad; `seconds`.
    """
    began = time.perf_counter()
    error, lasting, series = None, True, {}
    try:
        series = measured(recipe)
    except BadInput as bad:
        error = str(bad)
    except Exception as failed:  # one cell that breaks must not take the others with it
        error, lasting = f"{type(failed).__name__}: {' '.join(str(failed).split())[:300]}", False
    return {"series": series, "error": error, "lasting": lasting, "seconds": round(time.perf_counter() - began, 3)}


def measured(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return means and deviations over the replicas."""
    said = recipe["simulation"]
    simulation, replicas = Simulation.of(said), recipe["replicas"]
    field = simulation.field(Products())
    if simulation.law == "equiangular" and replicas > 1:
        raise BadInput(f"the law 'equiangular' draws nothing, and there are {replicas} replicas; make it one.")
    record: dict[str, Any] = {name: named(name) for name in recipe["record"]}
    if recipe["event"] is not None:
        record["event"] = Event.of(recipe["event"])
    solver, scheme = simulation.solver(coarsen=recipe["coarsen"], dense=True), simulation.scheme()
    size = clouds_at_once(replicas, simulation.n, simulation.dim)
    keys = keys_of(simulation.seed, replicas)
    parts: list[dict[str, np.ndarray]] = []
    for first in range(0, replicas, size):
        chunk = keys[jnp.minimum(jnp.arange(first, first + size), replicas - 1)]
        clouds = drawer(law_of(simulation))(chunk)
        shaken = {"noise": simulation.noise, "seed": noise_keys(chunk)} if simulation.noise else {}
        moved = ensemble(
            clouds, field, save=recipe["times"], record=record, solver=solver, normalisation=scheme, **shaken
        )
        left = min(size, replicas - first)
        if not moved.resolved[:left].all():
            lost = int((~moved.resolved[:left]).sum())
            raise BadInput(
                f"{lost} of {left} replicas could not be followed to t = {recipe['times'][-1]:g}; "
                f"set coarsen = true, loosen rtol or end earlier."
            )
        parts.append({name: values[:left] for name, values in moved.recorded.items()})
    together = {name: np.concatenate([part[name] for part in parts]).astype(float) for name in record}
    for name, values in together.items():
        if values.ndim != 2:
            raise BadInput(f"record names {name!r}, an array of shape {values.shape[2:]}; a sweep records numbers.")
    return {
        name: {"mean": values.mean(0).tolist(), "deviation": values.std(0).tolist()}
        for name, values in together.items()
    }


@functools.partial(jax.jit, static_argnums=1)
def keys_of(seed: int, replicas: int) -> Any:
    """Return the keys of the replicas: the r-th draws replica r, however many there are and whatever the chunk."""
    return jax.vmap(lambda r: jax.random.fold_in(jax.random.key(seed), r))(jnp.arange(replicas))


#: of each replica, another key for its noise
noise_keys = jax.jit(jax.vmap(key_of_noise))


def law_of(simulation: Simulation) -> Simulation:
    """Return what the draw of the tokens depends on, everything else at its default."""
    names = ("n", "dim", "space", "law", "angle", "kappa", "cosine", "covariance", "normalisation")
    return Simulation(**{name: getattr(simulation, name) for name in names})


@functools.lru_cache(maxsize=64)
def drawer(law: Simulation) -> Any:
    """Return the function from keys to clouds, compiled where the law can be; equal laws share it."""
    law.tokens()  # what is wrong with the law is said here
    if law.law in ONE_BY_ONE:
        return lambda keys: jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(law.tokens, keys))
    return eqx.filter_jit(jax.vmap(law.tokens))

"""`sweep`: every cell of a grid computed once, by any executor, and kept as it is finished."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path as Folder
from typing import Any

import jax

from measureflow.errors import BadInput
from measureflow.paths import describe
from measureflow.paths.style import beside
from measureflow.runs.cells import CellStore
from measureflow.runs.citations import papers_of
from measureflow.runs.computing import compute_all
from measureflow.runs.diagrams import Diagram
from measureflow.runs.folders import MANIFEST, manifest_of
from measureflow.runs.grids import OWN, Cell, Sweep
from measureflow.runs.simulation import Simulation
from measureflow.version import __version__

__all__ = ["sweep"]

Progress = Callable[[int, int, str], Any]


def sweep(
    recipe: Sweep | Mapping[str, Any] | str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    executor: Any = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Diagram:
    r"""Compute a grid of simulations: a phase diagram, or any other; what is finished is never computed again.

    Each cell of the grid is addressed by the hash of its own recipe. A cell that lies in `out` is read, a new one is
    computed and written at once, so that the same call goes on after Ctrl-C or a kill, a second call computes nothing,
    and a larger grid computes the cells that are new. Replicas of a cell run as one compiled program, which
    neighbouring cells share.

    Main arguments:
        recipe: a table of keys or the name of a `.toml` or `.json` file; see `Sweep`.
        out: folder that keeps the cells; `None` keeps them in the result only.
        executor: any `concurrent.futures.Executor` that computes one cell at a time in a process (several threads of
            one process may wait for each other in XLA for ever), or a Dask client. `None` is a pool of new processes; a
            script that uses it needs `if __name__ == "__main__":`.

    Other arguments:
        workers: processes of the pool; `None` is one for each processor, and one runs in this process.
        progress: called as `progress(done, total, what)`.

    A cell that cannot be computed is a row with its error. Ctrl-C returns what is finished, with `stopped` set.

    Raises:
        BadInput: a bad recipe, or a folder that is not a sweep's; before any work starts.

    Source: the phase diagrams of [arXiv:2312.10794](https://arxiv.org/abs/2312.10794), figure 3.

    Example:
        >>> import measureflow as mf
        >>> recipe = {"n": 4, "dim": 4, "until": 12.0, "replicas": 20, "grid": {"beta": [0.0, 1.0]}}
        >>> diagram = mf.sweep(recipe, workers=1)
        >>> diagram.data.event.isel(time=-1).values.tolist()
        [1.0, 1.0]
        >>> diagram.computed, diagram.found
        (2, 0)
    """
    plan = as_sweep(recipe)
    cells = list(plan.cells())
    check_first(cells[0])
    folder = None if out is None else prepared(Folder(os.path.abspath(out)), plan)
    store = None if folder is None else CellStore(folder / "cells")
    results: dict[str, dict[str, Any]] = {}
    if store is not None:
        results = {cell.hash: result for cell in cells if (result := store.find(cell)) is not None}
    found = len(results)
    waiting = [cell for cell in cells if cell.hash not in results]
    say = progress or (lambda done, total, what: None)
    say(found, len(cells), f"{found} found" if found else "")

    def keep(cell: Cell, result: dict[str, Any]) -> None:
        results[cell.hash] = result
        if store is not None and (result["error"] is None or result["lasting"]):
            store.keep(cell, result)
        say(len(results), len(cells), said(plan, cell))

    stopped = False
    try:
        if waiting:
            compute_all(waiting, executor, workers, keep)
    except KeyboardInterrupt:
        stopped = True
    diagram = Diagram(plan, results, found=found, folder=folder, stopped=stopped)
    if folder is not None and not stopped:
        diagram.save()
    return diagram


def as_sweep(recipe: Any) -> Sweep:
    """Return the sweep of a recipe in any form."""
    if isinstance(recipe, Sweep):
        return recipe
    if isinstance(recipe, Mapping):
        return Sweep.of(dict(recipe))
    if isinstance(recipe, (str, os.PathLike)):
        return Sweep.read(recipe)
    raise BadInput(f"sweep: recipe is {recipe!r}; give a table of keys or the name of a .toml or .json file.")


def check_first(cell: Cell) -> None:
    """Raise what is wrong with the first cell before any work starts; later ones become rows with their errors."""
    if not jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        raise BadInput("sweep needs float64: leave MEASUREFLOW_X64 unset.")
    cell.simulation.check()
    for name in cell.record:
        if name in ("cosines", "membership", "cosine_histogram", "centred_cosine_histogram"):
            raise BadInput(f"record names {name!r}, which is an array; a sweep records numbers. Count it by an event.")


def prepared(folder: Folder, plan: Sweep) -> Folder:
    """Return the folder of a sweep, made whole with its manifest where it is new."""
    if folder.exists() or folder.is_symlink():
        manifest = None if folder.is_symlink() else manifest_of(folder)
        if manifest is None or manifest.get("command") != "sweep":
            raise BadInput(f"{folder} exists and is no sweep's; give another --out.")
        check_same(folder, manifest, plan)
    else:
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Folder(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            new.chmod(0o755)
            (new / "cells").mkdir()
            (new / MANIFEST).write_text(manifest_text(plan), "utf-8")
            new.rename(folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    (folder / "cells").mkdir(exist_ok=True)
    with beside(folder / MANIFEST) as temporary:
        temporary.write_text(manifest_text(plan), "utf-8")
    return folder


def check_same(folder: Folder, manifest: Mapping[str, Any], plan: Sweep) -> None:
    """Raise `BadInput` where a folder holds a sweep that differs in more than its grid: its picture would be lost."""
    try:
        held = Sweep.of(tomllib.loads(manifest["recipe"]["toml"]))
    except (BadInput, KeyError, TypeError, tomllib.TOMLDecodeError):
        raise BadInput(f"{folder} holds a sweep that this version does not read; give another --out.") from None
    free = {"until", "save"} | {name for one in (held, plan) for name, _ in one.axes}
    for name in (*(field.name for field in dataclasses.fields(Simulation)), *OWN):
        before, now = (getattr(one, name, getattr(one.simulation, name, None)) for one in (held, plan))
        if name not in free and before != now:
            raise BadInput(
                f"{folder} holds another sweep, with {name} = {shortened(before)} where this one has {shortened(now)}; "
                f"give another --out, or remove it."
            )


def shortened(value: Any) -> str:
    """Return a value in few words."""
    text = str(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 40 else f"{text[:18]} ... {text[-18:]}"


def manifest_text(plan: Sweep) -> str:
    """Return what is said of a sweep's folder."""
    first = next(plan.cells())
    papers = papers_of({"field": describe(first.simulation.field()), "solver": {"noun": "Adaptive"}})
    recipe = {"toml": plan.to_toml()}
    about = {"measureflow": __version__, "command": "sweep", "recipe": recipe, "papers": papers}
    return json.dumps(about, indent=2) + "\n"


def said(plan: Sweep, cell: Cell) -> str:
    """Return where a cell is."""
    return ", ".join(f"{name} = {getattr(cell.simulation, name)}" for name, _ in plan.axes)

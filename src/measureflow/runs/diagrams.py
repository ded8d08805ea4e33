"""What a sweep found: a dataset over the grid, rows of cells, and the heat map with the theory's curve over it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import math
import os
import shutil
from pathlib import Path as Folder
from typing import Any

import numpy as np

from measureflow.errors import BadInput
from measureflow.paths.style import beside, write
from measureflow.runs.grids import Cell, Sweep

__all__ = ["Diagram"]


@dataclasses.dataclass(frozen=True)
class Diagram:
    """The cells of a sweep that are finished, over its grid.

    Attributes:
        plan: the sweep.
        results: what each cell gave, by its hash.
        found: how many cells were there before; folder: where they are kept; stopped: whether Ctrl-C ended it.
    """

    plan: Sweep
    results: dict[str, dict[str, Any]] = dataclasses.field(repr=False)
    found: int = 0
    folder: Folder | None = None
    stopped: bool = False

    @property
    def computed(self) -> int:
        """How many cells this call computed, those that failed included."""
        return len(self.results) - self.found

    @functools.cached_property
    def cells(self) -> list[Cell]:
        """The cells of the grid, finished or not, the last axis fastest."""
        return list(self.plan.cells())

    def result(self, cell: Cell) -> dict[str, Any] | None:
        """Return what a cell gave, or `None` where it was not computed."""
        return self.results.get(cell.hash)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row per cell: its place on the axes, its address, seconds, values at the last time, and its error."""
        rows = []
        for cell in self.cells:
            result = self.result(cell)
            row: dict[str, Any] = {name: getattr(cell.simulation, name) for name, _ in self.plan.axes}
            row["hash"] = cell.hash
            row["seconds"] = None if result is None else result["seconds"]
            last = {} if result is None else result["series"]
            row |= {name: series["mean"][-1] for name, series in last.items()}
            row["error"] = "not computed" if result is None else result["error"]
            rows.append(row)
        return rows

    @property
    def failed(self) -> list[dict[str, Any]]:
        """The rows of the cells that have no result."""
        return [row for row in self.rows if row["error"] is not None]

    @functools.cached_property
    def data(self) -> Any:
        """The numbers as an `xarray.Dataset` over the axes and the time; NaN where a cell failed or is missing.

        `event` is the probability (with `event_error`, its standard error), every recorded observable its mean over the
        replicas, with `..._deviation`.
        """
        import xarray

        shape, axes = self.plan.shape, [name for name, _ in self.plan.axes]
        places = list(np.ndindex(shape))
        names = [*(("event",) if self.plan.event else ()), *self.plan.record]
        kept = {
            f"{name}{part}": np.full((*shape, len(self.plan.times)), np.nan)
            for name in names
            for part in ("", "_error" if name == "event" else "_deviation")
        }
        seconds, missing = np.full(shape, np.nan), np.ones(shape, bool)
        for place, cell in zip(places, self.cells, strict=True):
            result = self.result(cell)
            if result is None or result["error"] is not None:
                continue
            missing[place], seconds[place] = False, result["seconds"]
            for name, series in result["series"].items():
                kept[name][place] = series["mean"]
                spread = np.asarray(series["deviation"])
                if name == "event":
                    kept["event_error"][place] = spread / math.sqrt(self.plan.replicas)
                else:
                    kept[f"{name}_deviation"][place] = spread
        variables: dict[str, Any] = {name: ((*axes, "time"), values) for name, values in kept.items()}
        variables |= {"failed": (axes, missing), "seconds": (axes, seconds)}
        coordinates = {name: list(values) for name, values in self.plan.axes} | {"time": list(self.plan.times)}
        attributes = {"recipe": self.plan.to_toml(), "event": self.plan.event or "", "replicas": self.plan.replicas}
        errors = [f"{place}: {row['error']}" for place, row in zip(places, self.rows, strict=True) if row["error"]]
        return xarray.Dataset(variables, coordinates, {**attributes, "errors": errors})

    def save(self, folder: str | os.PathLike[str] | None = None) -> None:
        """Write `sweep.zarr`, `recipe.toml` and the pictures into a folder (default: the sweep's own).

        Raises:
            BadInput: no folder is given and the sweep has none.
        """
        if folder is None and self.folder is None:
            raise BadInput("sweep: there is no folder; give one, or out= to the sweep.")
        target = self.folder if folder is None else Folder(folder)
        assert target is not None
        target.mkdir(parents=True, exist_ok=True)
        with beside(target / "recipe.toml") as temporary:
            temporary.write_text(self.plan.to_toml(), "utf-8")
        write_store(self.data, target / "sweep.zarr")
        for ending in ("svg", "png"):
            self.plot(target / f"diagram.{ending}")

    def plot(self, file: str | os.PathLike[str] | None = None, variable: str | None = None) -> Any:
        r"""Draw a heat map over time and the first axis, one panel for each point of the others, and return the figure.

        Where the cells are those of the limit curve, $T_\delta$ of arXiv:2312.10794 is drawn over it, dashed.

        Main arguments:
            file: .svg, .png or .pdf; the recipe is written under the picture and into the file.
            variable: of `data`; `None` is the event, or the first that was recorded.
        """
        from measureflow.runs.heatmaps import heat_map

        drawing = heat_map(self, variable)
        if file is not None:
            write(drawing, file, self.plan.to_toml(), "measureflow sweep")
        return drawing

    def __repr__(self) -> str:
        return "\n".join(self.said())

    def said(self) -> list[str]:
        """Say what was done, and which cells failed."""
        count, done = math.prod(self.plan.shape), len(self.results)
        grid = " × ".join(f"{len(values)} {name}" for name, values in self.plan.axes)
        where = f" in {self.folder.name}" if self.folder is not None else ""
        first = f"{count} cells ({grid}), {self.plan.replicas} replicas each: "
        first += f"{self.computed} computed, {self.found} found{where}"
        if self.stopped:
            first += f", {count - done} not begun or not finished"
        lines = [first]
        bad = [row for row in self.failed if row["error"] != "not computed"]
        for row in bad[:20]:
            at = ", ".join(f"{name} = {row[name]}" for name, _ in self.plan.axes)
            lines.append(f"failed: {at}: {row['error']}")
        return lines if len(bad) <= 20 else [*lines, f"and {len(bad) - 20} more"]


def write_store(data: Any, target: Folder) -> None:
    """Write a dataset as Zarr beside its place, and then put it there."""
    new, old = (target.with_name(f".{target.name}.{state}") for state in ("new", "old"))
    for left in (new, old):
        shutil.rmtree(left, ignore_errors=True)
    words = {name: list(map(str, values.values)) for name, values in data.coords.items() if values.dtype.kind == "U"}
    # Zarr has no settled form of words: an axis of them is numbered, and the words stand in its attributes
    for name, values in words.items():
        data = data.assign_coords({name: (name, np.arange(len(values)), {"words": values})})
    data.to_zarr(new, mode="w", zarr_format=3, consolidated=False)
    with contextlib.suppress(FileNotFoundError):
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def panels(diagram: Diagram, most: int = 12) -> list[tuple[str, dict[str, int]]]:
    """Return titles and indices of the first panels: the points of all axes but the first."""
    others = diagram.plan.axes[1:]
    found = []
    for place in itertools.islice(itertools.product(*(range(len(values)) for _, values in others)), most):
        where = {name: k for (name, _), k in zip(others, place, strict=True)}
        title = ", ".join(f"{name} = {values[k]}" for (name, values), k in zip(others, place, strict=True))
        found.append((title, where))
    return found

"""A path in other forms: an xarray dataset, two lines of text, and the line under its pictures."""

from __future__ import annotations

from textwrap import shorten
from typing import Any

import numpy as np

from measureflow.errors import BadInput
from measureflow.paths.path import Path
from measureflow.spaces import Sphere, is_traced
from measureflow.version import __version__

__all__ = ["credit", "summary", "to_xarray"]

SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def to_xarray(path: Path) -> Any:
    """Return the path as a dataset: the arrays of its measure on named axes behind depth, and what was recorded."""
    import xarray

    depth = np.asarray(path.times)
    kept = depth[np.asarray(path.kept)]
    state = "depth" if len(kept) == len(depth) else "kept_depth"
    data = xarray.Dataset(
        {name: ((state, *axes), np.asarray(path.view(name))) for name, axes in path.measure.axes.items()},
        coords={"depth": depth, state: kept, **path.measure.coordinates()},
        attrs={"space": repr(path.space), "status": path.status, "recipe": path.recipe.text},
    )
    for name, values in path.recorded.items():
        values = np.asarray(values)
        data[name] = (("depth", *(f"{name}_{axis}" for axis in range(1, values.ndim))), values)
    return data


def summary(path: Path) -> str:
    """Say in two lines what the path is and what happened along it."""
    if is_traced(path.times, path.measure) or np.ndim(path.times) != 1:
        name = next(iter(path.measure.axes))
        return f"Path(batch or traced, {name} {path.view(name).shape}, {path.space!r})"
    times, stats = np.asarray(path.times), path.stats
    if not len(times):
        return f"Path: {path.measure.said()} in {path.space!r}, nothing saved yet"
    where = (
        f"S{str(path.space.d - 1).translate(SUPERSCRIPT)}" if isinstance(path.space, Sphere) else f"R^{path.space.d}"
    )
    under = f"under {path.field!r}" if not isinstance(path.field, tuple) else f"through {len(path.field)} sub-layers"
    how = f"{stats.get('accepted', len(times) - 1)} steps"
    if stats.get("rejected") is not None:
        how += f" ({stats['rejected']} rejected, {stats['evaluations']:,} evaluations)"
    first = f"Path: {path.measure.said()} on {where} {under}, t = {times[0]:g} .. {times[-1]:g}, {how}, {path.status}"
    return first + "\n" + " · ".join(events(path))


def events(path: Path) -> list[str]:
    """List what changed: cluster counts with their times, energy, sphere defect."""
    said = []
    try:
        counts, times = np.asarray(path.clusters), np.asarray(path.times)
        changes = np.flatnonzero(np.diff(counts)) + 1
        shown = [f"{counts[k]} (t = {times[k]:.2g})" for k in changes]
        if len(shown) > 5:
            shown = [*shown[:2], "…", *shown[-2:]]
        said.append("clusters " + " → ".join([str(counts[0]), *shown]))
    except BadInput:
        pass
    try:
        energy = np.asarray(path.energy)
        said.append(f"energy {energy[0]:.3g} → {energy[-1]:.3g}")
    except BadInput:
        pass
    if "sphere_defect" in path.stats:
        said.append(f"sphere defect {float(path.stats['sphere_defect']):.0e}")
    return said


def credit(path: Path) -> str:
    """Say in one line what was run: verb, tokens, field, options and the first letters of the recipe's hash."""
    data = path.recipe.data
    field = repr(path.field) if not isinstance(path.field, tuple) else f"{len(path.field)} sub-layers"
    space = f"{path.space!r}"
    parts = [f"{path.measure.said()} on {space}", f"under {field}" if path.field is not None else ""]
    for name in ("until", "depth", "step", "model", "text", "seed"):
        if data.get(name) is not None:
            value = data[name]
            if isinstance(value, dict):
                value = value.get("name") or value.get("noun", "object")
            parts.append(f"{name} = {value:g}" if isinstance(value, float) else f"{name} = {shorten(str(value), 60)}")
    said = ", ".join(part for part in parts if part)
    return f"measureflow {__version__} {data.get('verb', 'path')}: {said}; recipe {path.recipe.hash[:12]}"

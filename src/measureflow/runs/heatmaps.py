"""The heat map of a sweep, with the theory's curve over it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from measureflow.errors import BadInput
from measureflow.paths.style import MAP, MUTED, THEORY, caption, figure, house
from measureflow.runs.diagrams import Diagram, panels
from measureflow.runs.events import Event
from measureflow.runs.grids import Sweep
from measureflow.runs.simulation import Simulation
from measureflow.theory import clustering_time
from measureflow.version import __version__

__all__ = ["heat_map", "limit_curve"]

SYMBOLS = {"beta": r"$\beta$", "dim": "$d$", "n": "$n$", "time": "$t$"}
#: observables of which the event "at least 1 - delta" is the one of the limit curve
PAIRS = ("overlap", "cosines", "smallest_cosine", "cosine")


def heat_map(diagram: Diagram, variable: str | None = None) -> Any:
    """Return the figure of a sweep: time and first axis, one panel for each point of the others."""
    plan, data = diagram.plan, diagram.data
    variable = variable or ("event" if plan.event else plan.record[0])
    if variable not in data or "time" not in data[variable].dims:
        known = [str(name) for name in data if "time" in data[name].dims]
        raise BadInput(f"plot: variable is {variable!r}; it must be one of {', '.join(map(repr, known))}.")
    shown = panels(diagram)
    columns = min(len(shown), 3)
    rows = math.ceil(len(shown) / columns)
    name, values = plan.axes[0]
    low, top = (0.0, 1.0) if variable == "event" else extent(data[variable].values)
    with house():
        drawing = figure(2.2 + 3.6 * columns if columns > 1 else 7.5, 1.4 + 3.2 * rows)
        grid = drawing.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        image = None
        for ax, (title, where) in zip(grid.flat, shown, strict=False):
            own = data[variable].isel(where)
            if not np.isfinite(own.values).any():
                ax.text(0.5, 0.5, "no cell of these", transform=ax.transAxes, ha="center", color=MUTED)
                ax.set_title(title)
                continue
            if len(plan.times) > 1 and len(values) > 1 and not isinstance(values[0], str):
                image = ax.pcolormesh(plan.times, values, own, vmin=low, vmax=top, cmap=MAP, shading="nearest",
                                      rasterized=True)  # fmt: skip
                overlay(ax, plan, where)
                ax.set(xlim=(plan.times[0], plan.times[-1]), ylim=(min(values), max(values)))
                spacing(ax, plan.times, values)
            else:
                lines(ax, plan, own)
            ax.set_title(title)
        for ax in list(grid.flat)[len(shown) :]:
            ax.set_visible(False)
        across = "time" if len(plan.times) > 1 else name
        for ax in grid[-1]:
            ax.set_xlabel(SYMBOLS.get(across, across))
        said = f"P({plan.event})" if variable == "event" else variable
        for ax in grid[:, 0]:
            ax.set_ylabel(SYMBOLS.get(name, name) if image is not None else said)
        if image is not None:
            drawing.colorbar(image, ax=grid, label=said, shrink=0.9)
        marked = [ax for ax in grid.flat if ax.get_legend_handles_labels()[0]]
        if marked:
            handles, labels = marked[0].get_legend_handles_labels()
            drawing.legend(handles[:8], labels[:8], loc="outside upper right", ncols=4)
        left = math.prod(len(own) for _, own in plan.axes[1:]) - len(shown)
        caption(drawing, credit(diagram) + (f"; {left} more panels are in the store" if left else ""))
    return drawing


def extent(values: np.ndarray) -> tuple[float, float]:
    """Return the least and the largest finite value; of equal ones, an interval around them."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    low, top = float(finite.min()), float(finite.max())
    return (low, top) if low < top else (low - 0.5, top + 0.5)


def lines(ax: Any, plan: Sweep, own: Any) -> None:
    """Draw curves where there is no plane: over time, or over the axis at the one time."""
    name, values = plan.axes[0]
    if len(plan.times) == 1:
        ax.plot([str(value) if isinstance(value, str) else value for value in values], own.values[:, 0], "o-")
        return
    for value, curve in zip(values, own.values, strict=True):
        ax.plot(plan.times, curve, label=f"{SYMBOLS.get(name, name)} = {value}")


def spacing(ax: Any, times: Any, values: Any) -> None:
    """Give an axis whose values are evenly spaced in their logarithm a logarithmic scale."""
    for numbers, scale in ((times, ax.set_xscale), (values, ax.set_yscale)):
        numbers = np.asarray(numbers, float)
        if len(numbers) > 2 and (numbers > 0).all() and np.allclose(np.diff(np.log(numbers), 2), 0.0, atol=1e-9):
            scale("log")


def overlay(ax: Any, plan: Sweep, where: dict[str, int]) -> None:
    """Draw the time at which equiangular tokens meet, where the cells of a panel are what it speaks of."""
    curve = limit_curve(plan, where)
    if curve is not None:
        ax.plot(*curve, "--", color=THEORY, lw=2.4, label=r"$T_\delta(\beta, n)$, theory for $d \to \infty$")


def limit_curve(plan: Sweep, where: dict[str, int]) -> tuple[np.ndarray, np.ndarray] | None:
    r"""Return times and heights of $\Gamma_\infty$ in a panel, or `None` where the panel shows something else.

    The curve is the one of independent uniform tokens on a sphere of high dimension, SA or USA without matrices, first
    axis beta or n, and the event that a cosine is at least $1-\delta$.
    """
    name, values = plan.axes[0]
    if plan.event is None or name not in ("beta", "n"):
        return None
    event = Event.of(plan.event)
    point = plan.simulation.changed(**{axis: own[where[axis]] for axis, own in plan.axes[1:]})
    delta = 1.0 - event.level
    if event.name not in PAIRS or event.sign != ">=" or not 0.0 < delta < 1.0 or not has_limit(point):
        return None
    fine = np.linspace(values[0], values[-1], 200) if name == "beta" else np.asarray(values)
    grid = [(float(beta), point.n) if name == "beta" else (point.beta, int(beta)) for beta in fine]
    if any(n < 2 for _, n in grid):
        return None
    times = np.array(
        [clock(point, beta) * clustering_time(beta, n=n, delta=delta, model=model(point)) for beta, n in grid]
    )
    return times, np.asarray(fine, float)


def has_limit(point: Simulation) -> bool:
    """Tell whether cells are those that the limit curve is about."""
    plain = all(matrix in (None, 1, 1.0) for matrix in (point.query, point.key, point.value))
    known = point.weighting in ("softmax", "unnormalised", "shifted")
    plain = plain and point.mask in (None, "none") and point.normalisation in (None, "post") and not point.noise
    return plain and known and point.space == "sphere" and point.law == "uniform"


def model(point: Simulation) -> str:
    """Return the theory's name of the model."""
    return "softmax" if point.weighting == "softmax" else "unnormalised"


def clock(point: Simulation, beta: float) -> float:
    """Return by what the theory's time is multiplied."""
    return math.exp(beta) if point.weighting == "shifted" else 1.0


def credit(diagram: Diagram) -> str:
    """Say in one line what was swept."""
    plan, own = diagram.plan, diagram.plan.simulation
    on_axes = {name for name, _ in plan.axes}
    said = [
        f"{name} = {getattr(own, name)}"
        for name in ("n", "dim", "beta", "law", "weighting", "seed")
        if name not in on_axes
    ]
    axes = [f"{name} in [{values[0]}, {values[-1]}] ({len(values)})" for name, values in plan.axes]
    tail = f"{plan.replicas} replicas, {len(plan.times)} times to t = {plan.times[-1]:g}, rtol {own.rtol:g}"
    return f"measureflow {__version__} sweep: {', '.join([*said, *axes])}; {tail}; whole recipe in the file"

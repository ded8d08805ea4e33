"""The picture of a density along depth: a map of angle and depth, or globes, over energy and the largest value."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from measureflow import observables
from measureflow.measures import Circle, Density, Meridian
from measureflow.measures.grids import sides
from measureflow.paths.export import credit
from measureflow.paths.path import Path
from measureflow.paths.spheres import net, note, viewpoint
from measureflow.paths.style import ACCENT, FAINT, INK, MAP, MUTED, caption, figure, number
from measureflow.paths.timelines import depth_axis, energy_of, in_pi, is_logarithmic, symbol

__all__ = ["density_picture", "directions", "globe", "scale", "seen", "timeline"]

#: pixels across a globe
PIXELS = 320


def density_picture(path: Path) -> Any:
    """Draw a density along depth in the way that suits its grid."""
    measure = path.measure
    assert isinstance(measure, Density)
    if isinstance(measure.grid, (Circle, Meridian)):
        drawing = figure(11.0, 7.6)
        upper, lower = drawing.subplots(2, 1, sharex=True, height_ratios=(2.2, 1.0))
        shade = heights_along(path, measure, upper)
        drawing.colorbar(shade, ax=[upper, lower], label=r"density $f$ (uniform is 1)", pad=0.09, aspect=40)
        timeline(path, lower)
    else:
        drawing = figure(13.0, 6.4)
        upper, lower = drawing.subfigures(2, 1, height_ratios=(1.6, 1.0))
        shown = globes_along(path, upper)
        below = lower.subplots()
        timeline(path, below)
        for k in shown:
            below.axvline(float(path.times[path.kept[k]]), color=FAINT, lw=1.0, zorder=0)
    caption(drawing, credit(path))
    return drawing


def heights_along(path: Path, measure: Density, axes: Any) -> Any:
    """Draw the density over angle and depth."""
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    times = np.asarray(path.times)[np.asarray(path.kept)]
    values = np.asarray(path.values)
    if is_logarithmic(path) and (times > 0).sum() > 1:
        times, values = times[times > 0], values[times > 0]
        edges = np.sqrt(times[1:] * times[:-1])
    else:
        edges = 0.5 * (times[1:] + times[:-1])
    edges = np.concatenate([times[:1], edges, times[-1:]])
    if isinstance(measure.grid, Circle):
        angle = measure.grid.angles - np.pi  # the axis in the middle
        values = np.roll(values, measure.grid.size // 2, axis=1)
        borders = np.append(angle, np.pi) - np.pi / measure.grid.size
        axes.set_ylabel(r"angle $\theta$", color=INK)
    else:
        assert isinstance(measure.grid, Meridian)
        angle = np.arccos(measure.grid.heights)
        borders = np.concatenate([[np.pi], 0.5 * (angle[1:] + angle[:-1]), [0.0]])
        axes.set_ylabel(r"angle $\theta$ to the axis", color=INK)
    shade = axes.pcolormesh(edges, borders, values.T, cmap=MAP, norm=scale(values), rasterized=True)
    axes.set_ylim(borders.min(), borders.max())
    axes.yaxis.set_major_locator(MultipleLocator(np.pi / 2))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: in_pi(value)))
    return shade


def scale(values: np.ndarray) -> Any:
    """Return the colour scale: from 0, by square roots, so that both the uniform law and a peak are seen."""
    from matplotlib.colors import PowerNorm

    top = max(float(values.max()), 1e-3)
    return PowerNorm(0.5, 0.0, top if values.max() > 1.2 * max(values.min(), 0.0) else 2.0)


def globes_along(path: Path, drawing: Any, count: int = 4) -> list[int]:
    """Draw globes that are coloured by the density at a few depths; return which states."""
    times = np.asarray(path.times)[np.asarray(path.kept)]
    chosen = moments(np.asarray(path.values).reshape(len(times), -1), count)
    finer = [path[k].resampled(2 * path[k].grid.shape[0]) for k in chosen]
    last = finer[-1]
    points, weights = (np.asarray(part) for part in last.atoms())
    heavy = np.argsort(-np.asarray(last.values).ravel())[:400]
    rotation = viewpoint(points[heavy], np.clip(weights[heavy], 0, None))
    norm = scale(np.stack([np.asarray(mu.values) for mu in finer]))
    places = drawing.subplots(1, len(chosen), squeeze=False)[0]
    for axes, k, mu in zip(places, chosen, finer, strict=True):
        shade = globe(axes, mu, rotation, norm)
        axes.set_title(rf"${symbol(path)} = {number(float(times[k]))}$")
        note(axes, rf"$\max f = {number(float(np.asarray(mu.values).max()))}$")
    drawing.colorbar(shade, ax=list(places), label=r"density $f$ (uniform is 1)", pad=0.01, aspect=25)
    return [int(k) for k in chosen]


def moments(values: np.ndarray, count: int) -> np.ndarray:
    """Return which states to show: the first, the last, and between them equal shares of what happens."""
    last = len(values) - 1
    if last < count:
        return np.arange(last + 1)
    way = np.concatenate([[0.0], np.cumsum(np.sqrt((np.diff(values, axis=0) ** 2).mean(axis=1)))])
    story = 0.7 * way / max(way[-1], np.finfo(float).tiny) + 0.3 * np.arange(last + 1) / last
    return np.unique(np.searchsorted(story, np.linspace(0, story[-1], count) - 1e-12).clip(0, last))


def globe(axes: Any, mu: Density, rotation: np.ndarray, norm: Any) -> Any:
    """Draw one globe coloured by a density on a grid of the whole sphere."""
    from matplotlib.patches import Circle as Disc

    outline = Disc((0, 0), 1.0, facecolor="none", edgecolor=MUTED, linewidth=0.9, zorder=3)
    axes.add_patch(outline)
    shade = axes.imshow(
        seen(mu, directions(rotation)), extent=(-1, 1, -1, 1), origin="lower", zorder=0, interpolation="bilinear",
        cmap=MAP, norm=norm,
    )  # fmt: skip
    shade.set_clip_path(outline)
    net(axes, rotation, colour="#ffffff40")
    return shade


def directions(rotation: np.ndarray) -> np.ndarray:
    """Return the direction `(p, p, 3)` that each pixel of a globe shows."""
    line = np.linspace(-1, 1, PIXELS)
    x, y = np.meshgrid(line, line)
    return np.stack([x, y, np.sqrt(np.clip(1 - x * x - y * y, 0, None))], axis=-1) @ rotation


def seen(mu: Density, directions: np.ndarray) -> np.ndarray:
    """Return a density at directions `(p, q, 3)`, linear between the points of its grid."""
    from scipy.ndimage import map_coordinates

    grid: Any = mu.grid
    z, values = grid.heights, np.asarray(mu.values)
    first, second = (np.asarray(side) for side in sides(mu.axis))
    height = np.clip(directions @ np.asarray(mu.axis), z[0], z[-1])
    longitude = np.arctan2(directions @ second, directions @ first) % (2 * np.pi)
    row = np.interp(height, z, np.arange(len(z)))
    column = longitude / (2 * np.pi) * grid.around
    wrapped = np.concatenate([values, values[:, :1]], axis=1)
    return map_coordinates(wrapped, [row, column], order=1, mode="nearest")


def timeline(path: Path, axes: Any) -> None:
    """Draw the energy, or the order parameter where none is proved, with the largest value of the density."""
    found = energy_of(path)
    if found is not None:
        label, (times, values) = r"energy $\bar E$", found
    else:
        times = np.asarray(path.times)[np.asarray(path.kept)]
        label, values = "order parameter", np.asarray(observables.order_parameter(path))
    axes.plot(times, values, color=ACCENT[0])
    axes.set_ylabel(label, color=ACCENT[0])
    axes.tick_params(axis="y", colors=ACCENT[0])
    axes.margins(y=0.08)
    peaks = axes.twinx()
    states = np.asarray(path.times)[np.asarray(path.kept)]
    top = np.asarray(jax.device_get(path.values)).reshape(len(states), -1).max(axis=1)
    peaks.plot(states, top, color=ACCENT[1], ls=(0, (4, 2)))
    peaks.set_ylabel(r"$\max f$", color=ACCENT[1])
    peaks.tick_params(axis="y", colors=ACCENT[1])
    peaks.spines["right"].set_visible(True)
    if top.max() > 20 * top.min():
        peaks.set_yscale("log")
    depth_axis(axes, path)

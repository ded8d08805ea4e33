"""A path as a moving picture: tokens or a density at one depth after another, over the numbers along depth."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path as FilePath
from typing import Any

import jax
import numpy as np

from measureflow import observables
from measureflow.errors import BadInput
from measureflow.measures import Circle, Density, Gaussian, Meridian, Tokens
from measureflow.paths import densities
from measureflow.paths.clouds import layout
from measureflow.paths.export import credit
from measureflow.paths.path import Path
from measureflow.paths.plots import basins, companions
from measureflow.paths.spheres import ball, colours_of, viewpoint
from measureflow.paths.style import ACCENT, FAINT, MUTED, THEORY, beside, caption, figure, house, number
from measureflow.paths.timelines import is_logarithmic, symbol, timeline
from measureflow.spaces import Sphere, is_traced

__all__ = ["animate", "frames_of"]

#: trails of more tokens than this would be fog
TRAILED = 400
#: seconds of a picture: viewers show shorter ones more slowly
SHORTEST = 0.02
#: states that are looked at for the colours
LOOKED_AT = 12

Update = Callable[[int], None]


def animate(
    path: Path,
    file: str | os.PathLike[str],
    *,
    frames: int = 80,
    seconds: float = 8.0,
    dpi: int = 90,
    progress: Any = False,
) -> FilePath:
    """Write a path as a GIF: frames at equal steps of depth, of its logarithm where the run spans decades.

    Tokens on the circle, on a globe with its far side faded, or in the plane of their two principal axes, with short
    trails; a density on the circle, along its meridian or on a globe. Below runs the time, over energy and clusters.
    Only kept states are shown, none is invented between them.

    Main arguments:
        file: ends in .gif.
        frames: at most so many; a path with fewer kept states has fewer. seconds: how long they last.

    Other arguments:
        dpi: pixels per inch of a picture of 6.4 by 7.6 inches.
        progress: True for a bar on standard error, or a function of (done, total).

    Raises:
        BadInput: a batched or traced path, a measure without a moving picture, a number that is none, another ending.
    """
    if is_traced(path.times, path.measure) or np.ndim(path.times) != 1:
        raise BadInput("animate shows one path: pick one of the batch with jax.tree.map(lambda leaf: leaf[k], path).")
    target = checked_target(file)
    if isinstance(frames, bool) or not isinstance(frames, (int, np.integer)) or frames < 2:
        raise BadInput(f"animate: frames is {frames!r}; it must be an integer of at least 2.")
    if not (isinstance(seconds, (int, float)) and 0 < seconds < np.inf):
        raise BadInput(f"animate: seconds is {seconds!r}; it must be a time > 0.")
    if isinstance(dpi, bool) or not isinstance(dpi, (int, np.integer)) or not 20 <= dpi <= 400:
        raise BadInput(f"animate: dpi is {dpi!r}; it must be an integer from 20 to 400.")
    chosen = frames_of(path, int(frames))
    if len(chosen) < 2:
        raise BadInput("animate: the path has one kept state, and nothing moves in it; keep more with keep='all'.")
    count = len(chosen) + resting(chosen)
    if seconds < SHORTEST * count:
        raise BadInput(
            f"animate: {seconds:g} seconds are too few for {count} pictures; a GIF shows {1 / SHORTEST:g} a second at "
            f"most. Take seconds={math.ceil(SHORTEST * count)}, or fewer frames."
        )
    with house():
        drawing, show, movers = scene(path, chosen)
        caption(drawing, credit(path))
        record(Stage(drawing, movers, int(dpi)), show, chosen, target, float(seconds), progress)
    return target


def checked_target(file: str | os.PathLike[str]) -> FilePath:
    """Return the file, or raise `BadInput` where it cannot be one."""
    target = FilePath(file)
    if target.suffix.lower() != ".gif":
        raise BadInput(f"animation {str(file)!r}: the ending must be .gif.")
    if not target.parent.is_dir():
        raise BadInput(f"animation {str(file)!r}: the folder {str(target.parent)!r} does not exist; make it first.")
    return target


def frames_of(path: Path, count: int) -> np.ndarray:
    """Return which kept states are shown: those nearest to equal steps of depth, or of its logarithm."""
    times = np.asarray(path.times)[np.asarray(path.kept)]
    if len(times) <= count:
        return np.arange(len(times))
    positive = times[times > 0]
    if is_logarithmic(path) and len(positive) > 1:
        # the beginning is a frame of its own: it has no logarithm
        wanted = np.geomspace(positive[0], times[-1], count - 1)
        found = np.abs(np.log(positive)[:, None] - np.log(wanted)).argmin(axis=0) + (len(times) - len(positive))
        return np.unique(np.concatenate([[0], found]))
    return np.unique(np.abs(times[:, None] - np.linspace(times[0], times[-1], count)).argmin(axis=0))


class Stage:
    """A figure of which most stands still: the rest is drawn over a copy of it, some twenty times as fast as anew.

    To a writer of Matplotlib it is a figure that can be saved.
    """

    def __init__(self, drawing: Any, movers: list[Any], dpi: int) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        drawing.set_dpi(dpi)
        self.drawing, self.movers, self.dpi = drawing, movers, dpi
        self.canvas = FigureCanvasAgg(drawing)
        drawing.draw_without_rendering()
        drawing.set_layout_engine("none")  # laid out once, so that nothing jumps
        for mover in movers:
            mover.set_animated(True)
        self.canvas.draw()
        self.still = self.canvas.copy_from_bbox(drawing.bbox)

    def get_size_inches(self) -> np.ndarray:
        """Return the size of the whole pixels that are drawn."""
        return (np.array(self.canvas.get_width_height()) + 1e-6) / self.dpi

    def savefig(self, file: Any, **_: Any) -> None:
        """Write the pixels of the present state."""
        self.canvas.restore_region(self.still)
        for mover in self.movers:
            mover.axes.draw_artist(mover)
        file.write(self.canvas.buffer_rgba())


def record(stage: Stage, show: Update, chosen: np.ndarray, target: FilePath, seconds: float, progress: Any) -> None:
    """Write the frames, at once or not at all; the last one stays a moment."""
    from matplotlib.animation import PillowWriter

    rest = resting(chosen)
    # a GIF counts in hundredths of a second; Pillow cuts off what is less than a thousandth
    each = max(SHORTEST, round(seconds / (len(chosen) + rest), 2)) + 1e-6
    writer = PillowWriter(fps=1 / each)  # pyright: ignore[reportArgumentType]
    with beside(target) as temporary:
        gif = temporary.with_suffix(".gif")
        try:
            with writer.saving(stage, str(gif), stage.dpi):  # pyright: ignore[reportArgumentType]
                for k in told(chosen, progress):
                    show(int(k))
                    writer.grab_frame()
                for _ in range(rest):
                    writer.grab_frame()
            gif.replace(temporary)
        finally:
            gif.unlink(missing_ok=True)


def resting(chosen: np.ndarray) -> int:
    """Return for how many frames the last one stays."""
    return max(1, len(chosen) // 10)


def told(chosen: np.ndarray, progress: Any) -> Iterator[int]:
    """Go through the frames, and tell how far they are."""
    if progress is True:
        from rich.console import Console
        from rich.progress import track

        yield from track(chosen, "animating", console=Console(stderr=True), transient=True)
        return
    for done, k in enumerate(chosen):
        if callable(progress):
            progress(done, len(chosen))
        yield k
    if callable(progress):
        progress(len(chosen), len(chosen))


def scene(path: Path, chosen: np.ndarray) -> tuple[Any, Update, list[Any]]:
    """Return the figure, what brings it to a state, and what moves in it, in the order in which it is drawn."""
    if isinstance(path.measure, Gaussian):
        raise BadInput("animate has no moving picture of a Gaussian; path.plot() draws its ellipses along depth.")
    drawing = figure(6.4, 7.6)
    upper, lower = drawing.subplots(2, 1, height_ratios=(3.4, 1.0))
    times = np.asarray(path.times)[np.asarray(path.kept)]
    if isinstance(path.measure, Density):
        update, movers = density_scene(path, path.measure, upper, chosen)
        densities.timeline(path, lower)
    else:
        update, movers = (globe_scene if path.space.d == 3 and on_sphere(path) else plane_scene)(path, upper, chosen)
        timeline(path, lower)
    first = times[times > 0][0] if is_logarithmic(path) else times[0]
    hand = lower.axvline(times[0], color=THEORY, lw=1.4, zorder=5)
    title = upper.set_title("")

    def show(k: int) -> None:
        update(k)
        now = max(float(times[k]), float(first))
        hand.set_xdata([now, now])
        title.set_text(rf"${symbol(path)} = {number(float(times[k]))}$")

    show(int(chosen[0]))
    return drawing, show, [*movers, hand, title]


def on_sphere(path: Path) -> bool:
    """Tell whether the path lives on a sphere."""
    return isinstance(path.space, Sphere)


def colours_along(path: Path, chosen: np.ndarray) -> np.ndarray:
    """Return a colour for each token, by the cluster to which it belongs when most are to be told apart."""
    some = chosen[np.unique(np.linspace(0, len(chosen) - 1, LOOKED_AT).astype(int))]
    return colours_of(basins([np.asarray(observables.clusters(path[int(k)]).membership) for k in some]))


def sizes_along(path: Path, chosen: np.ndarray) -> dict[int, np.ndarray]:
    """Return the sizes of the dots at each state that is shown: clusters are larger."""
    states = jax.tree.map(lambda leaf: leaf[chosen], path.measure)
    members = np.asarray(observables.clusters(states).membership)
    return {int(k): 26.0 * np.sqrt(companions(member)) for k, member in zip(chosen, members, strict=True)}


def trail(places: np.ndarray, k: int, chosen: np.ndarray) -> np.ndarray:
    """Return the places `(n, t, 2)` over the last frames up to the state k, in the shape of lines."""
    since = chosen[max(0, int(np.searchsorted(chosen, k)) - 8)]
    return np.moveaxis(places[since : k + 1], 0, 1)


def plane_scene(path: Path, axes: Any, chosen: np.ndarray) -> tuple[Update, list[Any]]:
    """Draw tokens in the plane: the circle with its own, others on their two principal axes."""
    from matplotlib.collections import LineCollection
    from matplotlib.patches import Circle as Disc

    assert isinstance(path.measure, Tokens)
    present = np.asarray(path.measure.present[0])
    places = layout(np.asarray(path.points), np.asarray(path.weights))(np.asarray(path.points))[:, present]
    colours = colours_along(path, chosen)[present]
    if on_sphere(path) and path.space.d == 2:
        axes.add_patch(Disc((0, 0), 1.0, facecolor="none", edgecolor=MUTED, lw=0.9))
        middle, half = np.zeros(2), 1.12
    else:
        low, high = places[chosen].min(axis=(0, 1)), places[chosen].max(axis=(0, 1))
        middle, half = (low + high) / 2, 0.56 * float((high - low).max() or 1.0)
    axes.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half), aspect="equal")
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set(visible=not on_sphere(path), color=FAINT)
    sizes = sizes_along(path, chosen)
    behind = LineCollection([], colors=colours, linewidths=1.0, alpha=0.4)
    axes.add_collection(behind)
    dots = axes.scatter(*places[0].T, c=colours, edgecolors="white", linewidths=0.5, zorder=3)

    def show(k: int) -> None:
        dots.set_offsets(places[k])
        dots.set_sizes(sizes[k][present])
        if len(colours) <= TRAILED:
            behind.set_segments(list(trail(places, k, chosen)))

    return show, [behind, dots]


def globe_scene(path: Path, axes: Any, chosen: np.ndarray) -> tuple[Update, list[Any]]:
    """Draw tokens on a globe, those behind it faded."""
    from matplotlib.collections import LineCollection

    assert isinstance(path.measure, Tokens)
    present = np.asarray(path.measure.present[0])
    points = np.asarray(path.points)[:, present]
    last = points[chosen[-1]]
    rotation = viewpoint(np.concatenate([points[chosen[0]], last]), np.full(2 * len(last), 1.0 / len(last)))
    ball(axes, rotation)
    turned = points @ rotation.T
    colours = colours_along(path, chosen)[present]
    sizes = sizes_along(path, chosen)
    behind = LineCollection([], linewidths=1.0, zorder=3.5)
    axes.add_collection(behind)
    dots = axes.scatter(*turned[0, :, :2].T, linewidths=0.5, zorder=4)

    def show(k: int) -> None:
        order = np.argsort(turned[k, :, 2])  # what is in front is drawn last
        front = turned[k, order, 2] >= 0
        shown = colours[order].copy()
        shown[:, 3] = np.where(front, 0.95, 0.22)
        dots.set_offsets(turned[k, order, :2])
        dots.set_sizes(sizes[k][present][order] * (0.75 + 0.25 * turned[k, order, 2]))
        dots.set_facecolors(shown)
        dots.set_edgecolors(np.where(front[:, None], [1.0, 1.0, 1.0, 1.0], 0.0))
        if len(colours) <= TRAILED:
            behind.set_segments(list(trail(turned[..., :2], k, chosen)[order]))
            behind.set_color(list(map(tuple, shown * [1, 1, 1, 0.45])))

    return show, [behind, dots]


def density_scene(path: Path, measure: Density, axes: Any, chosen: np.ndarray) -> tuple[Update, list[Any]]:
    """Draw a density: a curve over the angle where it has one angle only, else a globe."""
    values = np.asarray(path.values)
    if not isinstance(measure.grid, (Circle, Meridian)):
        return density_globe(path, axes, chosen, values)
    if isinstance(measure.grid, Circle):
        half = measure.grid.size // 2
        angle, values = measure.grid.angles - np.pi, np.roll(values, half, axis=1)  # the axis in the middle
        axes.set_xlabel(r"angle $\theta$")
    else:
        angle = np.arccos(measure.grid.heights)
        axes.set_xlabel(r"angle $\theta$ to the axis")
    (line,) = axes.plot(angle, values[0], color=ACCENT[0])
    axes.set(xlim=(np.min(angle), np.max(angle)), ylabel=r"density $f$ (uniform is 1)")
    axes.axhline(1.0, color=FAINT, lw=0.8, zorder=0)
    top = float(values[chosen].max())
    if top > 50:  # a peak and what is left between peaks in one picture
        axes.set_yscale("symlog", linthresh=1.0)
    axes.set_ylim(min(0.0, float(values[chosen].min())), 1.08 * max(top, 1.2))

    def show(k: int) -> None:
        line.set_ydata(values[k])

    return show, [line]


def density_globe(path: Path, axes: Any, chosen: np.ndarray, values: np.ndarray) -> tuple[Update, list[Any]]:
    """Draw a density on all of S² as the colour of a globe."""
    last: Any = path[int(chosen[-1])]
    points, weights = (np.asarray(part) for part in last.atoms())
    heavy = np.argsort(-np.asarray(last.values).ravel())[:400]
    rotation = viewpoint(points[heavy], np.clip(weights[heavy], 0, None))
    norm = densities.scale(values[chosen])
    shade = densities.globe(axes, path[int(chosen[0])], rotation, norm)
    axes.figure.colorbar(shade, ax=axes, label=r"density $f$ (uniform is 1)", pad=0.01, aspect=25)
    directions = densities.directions(rotation)

    def show(k: int) -> None:
        shade.set_data(densities.seen(path[k], directions))

    return show, [shade, *axes.lines]

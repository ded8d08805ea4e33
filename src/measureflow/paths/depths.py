"""What a text does on its way through a network: cosines by depth, ranks, clusters at several thresholds, words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from measureflow import observables
from measureflow.paths.clouds import cloud, layout, write_words
from measureflow.paths.export import credit
from measureflow.paths.path import Path
from measureflow.paths.plots import companions
from measureflow.paths.style import ACCENT, FAINT, INK, MAP, caption, figure, house, number, shades, write
from measureflow.paths.timelines import depth_axis, staircase, symbol

__all__ = ["cosines_by_depth", "ranks_by_depth", "words_by_depth"]


def cosines_by_depth(path: Path, file: Any = None, *, bins: int | None = None) -> Any:
    """Draw how the cosines of all pairs of tokens are distributed at each depth, raw and centred; return the figure.

    `bins=None` takes as many as the number of pairs can fill.
    """
    from matplotlib import colormaps
    from matplotlib.colors import PowerNorm

    present = int(np.asarray(path.tokens.present[0]).sum())
    bins = bins or int(np.clip(1.8 * np.sqrt(0.5 * present * (present - 1)), 20, 100))
    times = np.asarray(path.times)[np.asarray(path.kept)]
    edges = np.concatenate([[times[0] - 0.5], 0.5 * (times[1:] + times[:-1]), [times[-1] + 0.5]])
    with house():
        drawing = figure(12.0, 5.4)
        sides = drawing.subplots(1, 2, sharey=True)
        shade = colormaps[MAP].reversed()
        both = [observables.cosine_histogram(path, bins, centred=centred) for centred in (False, True)]
        top = max(float(np.quantile(np.asarray(found.fraction), 0.995)) for found in both)
        for axes, found, centred in zip(sides, both, (False, True), strict=True):
            share = np.asarray(found.fraction)
            drawn = axes.pcolormesh(
                edges, np.asarray(found.edges), np.ma.masked_equal(share, 0).T, cmap=shade, rasterized=True,
                norm=PowerNorm(0.5, 0.0, top),
            )  # fmt: skip
            mean = np.asarray(observables.cosine(path, centred=centred))
            axes.plot(times, mean, color="white", lw=4.0)
            axes.plot(times, mean, color=INK, lw=1.8, marker="o" if len(times) < 40 else "", ms=4, label="mean")
            axes.axhline(0, color=FAINT, lw=0.8, zorder=0)
            axes.set_title("centred: the mean vector taken away" if centred else "raw")
            axes.set_ylim(-1, 1)
            depth_axis(axes, path)
            axes.set_xlim(edges[0], edges[-1])
        sides[0].set_ylabel(r"$\cos\,\angle(x_i, x_j)$, $i \neq j$")
        sides[0].legend(loc="lower left")
        drawing.colorbar(drawn, ax=sides, label="share of the pairs", pad=0.01, aspect=30, extend="max")
        caption(drawing, credit(path))
    return finish(drawing, path, file)


def ranks_by_depth(path: Path, file: Any = None, *, deltas: Sequence[float] = (1e-3, 0.1, 0.3, 0.5)) -> Any:
    """Draw effective rank and clusters of directions along depth, each cluster count with its threshold; return it."""
    times = np.asarray(path.times)[np.asarray(path.kept)]
    directions = path.on_sphere()
    with house():
        drawing = figure(12.0, 4.8)
        left, right = drawing.subplots(1, 2)
        marker = {"marker": "o", "ms": 4} if len(times) < 40 else {}
        for centred, colour, style in ((False, ACCENT[0], "-"), (True, ACCENT[1], "-")):
            rank = np.asarray(observables.effective_rank(path, centred=centred))
            left.plot(times, rank, style, color=colour, label="centred" if centred else "raw", **marker)
        left.set_ylim(bottom=0)
        left.set_ylabel("effective rank")
        left.legend()
        for delta, colour in zip(deltas, shades(len(deltas), 0.0, 0.8), strict=True):
            counts = np.asarray(observables.clusters(directions, delta).count)
            staircase(right, times, counts, colour=colour, where="mid")
            right.lines[-1].set_label(rf"$\delta = {number(delta)}$")
        right.set_ylim(0.85, path.tokens.n * 1.15)
        right.set_ylabel("clusters of directions", color=INK)
        right.tick_params(axis="y", colors=INK)
        right.legend(title=r"joined where $\cos > 1-\delta$", loc="lower left")
        for axes in (left, right):
            depth_axis(axes, path)
        caption(drawing, credit(path))
    return finish(drawing, path, file)


def words_by_depth(path: Path, file: Any = None, *, count: int = 3) -> Any:
    """Draw the tokens with their words at `count` depths, each on its own two principal axes; return the figure.

    Directions are drawn, since a network's vectors grow or shrink as they please, and each depth is scaled to its own
    spread; the share of the variance that the two axes show stands under each.
    """
    times = np.asarray(path.times)[np.asarray(path.kept)]
    chosen = np.unique(np.linspace(0, len(path) - 1, count).astype(int))
    directions = path.on_sphere()
    with house():
        drawing = figure(13.5, 5.2)
        places = drawing.subplots(1, len(chosen), squeeze=False)[0]
        present = np.asarray(path.tokens.present[0])
        order = np.argsort(np.argsort(np.asarray(path.tokens.positions[0])))
        colours = shades(path.tokens.n)[order]
        for axes, k in zip(places, chosen, strict=True):
            points, weights = np.asarray(directions.points[k : k + 1]), np.asarray(path.weights[k : k + 1])
            plane = layout(points, weights)
            sizes = 34.0 * np.sqrt(companions(np.asarray(observables.clusters(directions[int(k)]).membership)))[present]
            cloud(axes, plane, points, slice(0, 1), present, colours, sizes)
            axes.set_title(rf"${symbol(path)} = {number(float(times[k]))}$")
            axes.set_xlabel(f"two axes show {100 * plane.share.sum():.0f} % of the variance", fontsize=10)
        caption(drawing, credit(path) + " Colour: place in the text, first darkest.")
        for axes, k in zip(places, chosen, strict=True):
            flat = layout(*(np.asarray(part[k : k + 1]) for part in (directions.points, path.weights)))
            if path.labels is not None:
                write_words(axes, path.labels, flat(np.asarray(directions.points[k])), present)
    return finish(drawing, path, file)


def finish(drawing: Any, path: Path, file: Any) -> Any:
    """Write the figure if a file is given; return it."""
    if file is not None:
        write(drawing, file, path.recipe.text, title=credit(path))
    return drawing

"""Numbers along depth: energy, clusters, cosines and angles, on a logarithmic axis where the run spans decades."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from measureflow import observables
from measureflow.errors import BadInput
from measureflow.fields import Field
from measureflow.measures import Tokens
from measureflow.paths.export import credit
from measureflow.paths.path import Path
from measureflow.paths.style import ACCENT, FAINT, INK, MUTED, THEORY, caption, figure, house, number, shades, write

__all__ = ["angles", "depth_axis", "energy_of", "is_logarithmic", "staircase", "strata", "symbol", "timeline"]

#: pairs that a picture may look at for its lines; beyond them it looks at fewer states
PAIRS = 4e9


def is_logarithmic(path: Path) -> bool:
    """Tell whether the depths span decades; the layers of a network are counted, not measured in decades."""
    times = np.asarray(path.times)
    positive = times[times > 0]
    return len(positive) > 2 and positive[-1] / positive[0] > 200


def depth_axis(axes: Any, path: Path) -> None:
    """Label the horizontal axis, and make it logarithmic where the run spans decades."""
    times = np.asarray(path.times)
    if is_logarithmic(path):
        axes.set_xscale("log")
        axes.set_xlabel("time $t$")
        first = times[times > 0][0]
        axes.set_xlim(first, times[-1] * (times[-1] / first) ** 0.02)  # a merger at the very end is seen
    else:
        axes.set_xlabel(r"layer $\ell$" if symbol(path) == r"\ell" else "time $t$")
        counted = symbol(path) == r"\ell"
        slack = 0.02 * (times[-1] - times[0]) if counted else 0.0  # markers at the ends are seen whole
        axes.set_xlim(times[0] - slack, max(times[-1], times[0] + 1e-9) + slack)
        if counted:
            axes.xaxis.get_major_locator().set_params(integer=True)


def symbol(path: Path) -> str:
    """Return how depth is written: the layer of a network is counted, the time of a flow is measured."""
    times = np.asarray(path.times)
    counted = path.recipe.data.get("verb") != "flow" and np.array_equal(times, np.round(times))
    return r"\ell" if counted else "t"


def looked_at(path: Path) -> tuple[Path | Any, np.ndarray]:
    """Return the path at as many of its states as can be looked at pair by pair, and their times."""
    times = np.asarray(path.times)[np.asarray(path.kept)]
    n = path.measure.n if isinstance(path.measure, Tokens) else 0
    if not n:
        return path, times
    most = int(max(2, PAIRS // (n * n)))
    if len(times) <= most:
        return path, times
    some = np.unique(np.linspace(0, len(times) - 1, most).astype(int))
    return Fewer(jax.tree.map(lambda leaf: leaf[some], path.measure), path.field), times[some]


class Fewer:
    """A path's measure at some of its states, for observables."""

    def __init__(self, measure: Any, field: Any) -> None:
        self.measure, self.field = measure, field


def energy_of(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Return times and the reporting energy, or `None` where none is proved."""
    times = np.asarray(path.times)
    if "energy" in path.recorded:
        return times, np.asarray(path.recorded["energy"])
    seen, at = looked_at(path)
    if not isinstance(path.field, Field):
        return None
    try:
        return at, np.asarray(path.energy if seen is path else observables.energy(seen, field=path.field))
    except BadInput:
        return None


def clusters_of(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return times and cluster counts."""
    times = np.asarray(path.times)
    if "clusters" in path.recorded:
        return times, np.asarray(path.recorded["clusters"])
    seen, at = looked_at(path)
    return at, np.asarray(observables.clusters(seen).count)


def timeline(path: Path, axes: Any) -> None:
    """Draw energy, or the mean cosine where no energy is proved, with the number of clusters as a staircase."""
    found = energy_of(path)
    if found is not None:
        label, (times, values) = r"energy $\bar E$", found
    else:
        seen, times = looked_at(path)
        label, values = "mean cosine", np.asarray(observables.cosine(seen))
    axes.plot(times, values, color=ACCENT[0])
    axes.set_ylabel(label, color=ACCENT[0])
    axes.tick_params(axis="y", colors=ACCENT[0])
    axes.margins(y=0.08)
    counts = axes.twinx()
    staircase(counts, *clusters_of(path))
    counts.spines["right"].set_visible(True)
    depth_axis(axes, path)


def staircase(axes: Any, times: np.ndarray, counts: np.ndarray, colour: Any = ACCENT[1], where: str = "post") -> None:
    """Draw cluster counts as steps on a logarithmic axis with whole numbers."""
    from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

    axes.step(times, counts, where=where, color=colour, lw=1.8)
    axes.set_yscale("log")
    top = max(int(np.max(counts)), 2)
    axes.set_ylim(0.85, top * 1.15)
    ticks = [k for k in (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000) if k <= top]
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.set_ylabel("clusters", color=colour)
    axes.tick_params(axis="y", colors=colour)


def angles(path: Path, axes: Any) -> None:
    """Draw the angle of every token on the circle against depth, coloured by where it began."""
    from matplotlib.collections import LineCollection
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    times = np.asarray(path.times)[np.asarray(path.kept)]
    present = np.asarray(path.tokens.present[0])
    points = np.asarray(path.points)[:, present]
    theta = np.unwrap(np.arctan2(points[..., 1], points[..., 0]), axis=0)
    ends = np.sort(theta[-1] % (2 * np.pi))
    gaps = np.diff(np.append(ends, ends[0] + 2 * np.pi))
    cut = ends[np.argmax(gaps)] + 0.5 * gaps.max() - 2 * np.pi  # tokens that end together are drawn together
    theta -= 2 * np.pi * np.floor((theta[-1] - cut) / (2 * np.pi))
    order = np.argsort(np.argsort(theta[0]))
    keep = times > 0 if is_logarithmic(path) else times >= 0
    lines = np.stack([np.broadcast_to(times[keep, None], theta[keep].shape), theta[keep]], axis=-1)
    colours = shades(theta.shape[1])[order]
    many = theta.shape[1] > 60
    axes.add_collection(
        LineCollection(list(np.moveaxis(lines, 1, 0)), colors=colours, linewidths=1.2, alpha=0.85, rasterized=many)
    )
    axes.set_ylim(theta[keep].min() - 0.15, theta[keep].max() + 0.15)
    axes.yaxis.set_major_locator(MultipleLocator(np.pi / 2))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: in_pi(value)))
    axes.set_ylabel(r"angle $\theta_i$", color=INK)
    axes.grid(axis="y", color=MUTED, alpha=0.15)


def in_pi(value: float) -> str:
    """Write an angle as a multiple of pi/2."""
    halves = round(2 * value / np.pi)
    if halves == 0:
        return "0"
    sign, halves = ("−" if halves < 0 else ""), abs(halves)
    if halves % 2:
        return rf"${sign}{'' if halves == 1 else halves}\pi/2$".replace("−", "-")
    return rf"${sign}{'' if halves == 2 else halves // 2}\pi$".replace("−", "-")


def strata(path: Path, file: Any = None) -> Any:
    r"""Draw energy, clusters and dissipation, one above the other on one axis of depth; return the figure.

    Dashed over the energy: $\sum_q m_q^2$, the energy of tight clusters of masses $m_q$ that do not feel each other,
    which a plateau comes near. Where the dissipation is small the clusters hardly move: that is metastability.

    Raises:
        BadInput: no energy is proved for the path's field.
    """
    times = np.asarray(path.times)[np.asarray(path.kept)]
    found = energy_of(path)
    if found is None:
        raise BadInput("no energy is proved for this path's field, so it has no dissipation. Use path.plot().")
    groups = observables.clusters(path)
    member, weights = np.asarray(groups.membership), np.asarray(path.weights)
    tight = [np.sum(np.bincount(m[m >= 0], w[m >= 0]) ** 2) for m, w in zip(member, weights, strict=True)]
    loss = np.abs(np.asarray(observables.dissipation(path)))
    with house():
        drawing = figure(11.0, 8.4)
        top, middle, bottom = drawing.subplots(3, 1, sharex=True, height_ratios=(1.25, 1.0, 1.25))
        top.plot(*found, color=ACCENT[0], label=r"$\bar E=\sum_{ij} a_i a_j\, e^{\beta(\langle x_i,x_j\rangle-1)}$")
        top.plot(times, tight, color=THEORY, ls=(0, (4, 3)), lw=1.6, label=r"tight clusters: $\sum_q m_q^2$")
        top.set_ylabel(r"energy $\bar E$")
        top.legend(loc="upper left")
        staircase(middle, times, np.asarray(groups.count))
        middle.set_ylabel(rf"clusters ($\delta = {number(float(groups.delta))}$)", color=INK)
        middle.tick_params(axis="y", colors=INK)
        alive = loss > 0
        bottom.plot(times[alive], loss[alive], color=ACCENT[0])
        bottom.set_yscale("log")
        bottom.set_ylabel(r"dissipation $|\mathrm{d}\bar E/\mathrm{d}t|$")
        for axes in (top, middle, bottom):
            axes.grid(axis="x", color=FAINT, lw=0.6)
        depth_axis(bottom, path)
        caption(drawing, credit(path))
        drawing.align_ylabels()
    if file is not None:
        write(drawing, file, path.recipe.text, title=credit(path))
    return drawing

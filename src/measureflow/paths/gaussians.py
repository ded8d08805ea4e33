"""The picture of a Gaussian along depth: its ellipses in the plane of its widest axes, over the axes' variances."""

from __future__ import annotations

from typing import Any

import numpy as np

from measureflow.paths.export import credit
from measureflow.paths.path import Path
from measureflow.paths.style import INK, THEORY, caption, figure, number, shades
from measureflow.paths.timelines import depth_axis, symbol

__all__ = ["gaussian_picture"]

#: ellipses that are drawn at most, each where the widest axis has grown by as much
ELLIPSES = 9
#: what is larger than so many times the first leaves the picture
FARTHEST = 1e3


def gaussian_picture(path: Path) -> Any:
    """Draw the ellipses of one standard deviation, and the variances of all principal axes along depth."""
    drawing = figure(12.0, 5.4)
    left, right = drawing.subplots(1, 2, width_ratios=(1.0, 1.35))
    ellipses(path, left)
    variances(path, right)
    caption(drawing, credit(path))
    return drawing


def ellipses(path: Path, axes: Any) -> None:
    """Draw mean and covariance at several depths, on the two axes that are widest over the whole path."""
    mean, cov, times = (np.asarray(a) for a in (path.mean, path.cov, path.times[path.kept]))
    scale = np.trace(cov, axis1=1, axis2=2)
    # each depth counts alike, also where the last is a billion times as wide
    _, basis = np.linalg.eigh((cov / np.where(scale > 0, scale, 1)[:, None, None]).sum(axis=0))
    plane = basis[:, ::-1][:, :2]
    if plane.shape[1] < 2:
        plane = np.concatenate([plane, np.zeros_like(plane)], axis=1)
    chosen = spread_out(scale)
    turn = np.linspace(0.0, 2 * np.pi, 181)
    circle = np.stack([np.cos(turn), np.sin(turn)])
    for colour, k in zip(shades(len(chosen)), chosen, strict=True):
        values, vectors = np.linalg.eigh(plane.T @ cov[k] @ plane)
        shape = vectors @ (np.sqrt(np.maximum(values, 0.0))[:, None] * circle)
        middle = plane.T @ mean[k]
        when = rf"${symbol(path)} = {number(float(times[k]))}$"
        axes.plot(*(middle[:, None] + shape), color=colour, lw=1.6, label=when)
    axes.plot(*(plane.T @ mean[: chosen[-1] + 1].T), color=INK, lw=0.8)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(xlabel="widest axis", ylabel="second axis", title="one standard deviation")
    axes.legend(fontsize=8, loc="upper left", ncols=3)


def spread_out(scale: np.ndarray) -> np.ndarray:
    """Return depths at which the size differs by equal factors, as far as the picture goes."""
    shown = np.flatnonzero(scale <= FARTHEST * scale[0]) if scale[0] > 0 else np.arange(len(scale))
    way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(np.log(np.maximum(scale[shown], 1e-300)))))])
    story = way / max(way[-1], 1e-12) + np.arange(len(shown)) / max(len(shown) - 1, 1)
    return shown[np.unique(np.searchsorted(story, np.linspace(0, story[-1], ELLIPSES) - 1e-12).clip(0, len(shown) - 1))]


def variances(path: Path, axes: Any) -> None:
    """Draw the variances of the principal axes along depth."""
    values = np.linalg.eigvalsh(np.asarray(path.cov))[:, ::-1]
    times = np.asarray(path.times)[np.asarray(path.kept)]
    for k, colour in enumerate(shades(values.shape[1], 0.1, 0.75)):
        axes.plot(times, np.maximum(values[:, k], 1e-300), color=colour, label=rf"$\lambda_{{{k + 1}}}$")
    first = values[0].max()
    if first > 0:  # an explosion leaves the picture, or nothing else could be seen
        low, high = max(values[values > 0].min(), 1e-8 * first), min(values.max(), FARTHEST * first)
        axes.set_ylim(low / 2, 2 * high)
    if path.status == "blow-up":
        axes.axvline(times[-1], color=THEORY, ls=(0, (5, 3)), lw=1.2, label=rf"blow-up, $t = {number(times[-1])}$")
    axes.set(yscale="log", ylabel=r"variances of the axes, $\lambda_k(\Sigma)$")
    if len(values[0]) <= 8:
        axes.legend()
    depth_axis(axes, path)

"""Tokens on the sphere S², seen from where most clusters show: globes with trails, the far side faded."""

from __future__ import annotations

from typing import Any

import numpy as np

from measureflow.paths.style import FAINT, INK, MUTED, shades

__all__ = ["globe", "net", "viewpoint"]

#: trails of more tokens than this would be fog: a sample of them is drawn
TRAILS = 400


def viewpoint(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the rotation `(3, 3)` after which z points at the viewer, who sees as many of the points as can be.

    Each point is worth the square root of its mass, so that a small cluster counts for something.
    """
    k = np.arange(1500) + 0.5  # a Fibonacci lattice of directions
    z, turn = 1 - 2 * k / 1500, np.pi * (1 + 5**0.5) * k
    views = np.stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z], axis=1)
    seen = np.clip(views @ points.T, -0.2, 0.75)  # far in front is no better than in front; the rim is poor
    forward = views[np.argmax(seen @ np.sqrt(weights))]
    up = np.array([0.0, 0.0, 1.0]) if abs(forward[2]) < 0.95 else np.array([0.0, 1.0, 0.0])
    right = np.cross(up, forward)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


def globe(axes: Any, states: np.ndarray, colours: np.ndarray, sizes: np.ndarray, rotation: np.ndarray) -> None:
    """Draw one globe with tokens at the last of `states (k, n, 3)` and their trails through the earlier ones."""
    ball(axes, rotation)
    turned = states @ rotation.T
    many = turned.shape[1] > 60
    trails(axes, turned, colours, many)
    x, y, depth = turned[-1].T
    order = np.argsort(depth)
    x, y, depth, colour, size = x[order], y[order], depth[order], colours[order].copy(), sizes[order]
    hidden = depth < 0
    colour[:, 3] = np.where(hidden, 0.22, 0.95)
    for part, line, layer in ((hidden, "none", 2), (~hidden, "white", 5)):
        axes.scatter(
            x[part], y[part], s=size[part] * (0.75 + 0.25 * depth[part]), c=colour[part], edgecolors=line,
            linewidths=0.5, zorder=layer, rasterized=many,
        )  # fmt: skip


def trails(axes: Any, turned: np.ndarray, colours: np.ndarray, many: bool) -> None:
    """Draw where the tokens came from: paler with age, and paler still behind the globe."""
    from matplotlib.collections import LineCollection

    count = turned.shape[1]
    chosen = np.arange(count) if count <= TRAILS else np.linspace(0, count - 1, TRAILS).astype(int)
    lines, shade, layer = [], [], []
    pieces = np.array_split(np.arange(len(turned)), min(8, max(len(turned) // 3, 1)))
    for age, piece in enumerate(pieces):
        reach = np.arange(piece[0], min(piece[-1] + 2, len(turned)))  # pieces meet
        for token in chosen:
            path = turned[reach, token]
            lines.append(path[:, :2])
            front = path[:, 2].mean() >= 0
            shade.append((*colours[token, :3], (0.08 + 0.5 * (age + 1) / len(pieces)) * (1.0 if front else 0.25)))
            layer.append(front)
    for front in (False, True):
        kept = [k for k, is_front in enumerate(layer) if is_front == front]
        axes.add_collection(
            LineCollection(
                [lines[k] for k in kept], colors=[shade[k] for k in kept], linewidths=1.0,
                zorder=4 if front else 1.5, rasterized=many, capstyle="round",
            )
        )  # fmt: skip


def ball(axes: Any, rotation: np.ndarray) -> None:
    """Draw the empty globe: a soft shade, its outline, and a net of meridians and parallels."""
    from matplotlib.patches import Circle

    grid = np.linspace(-1, 1, 240)
    x, y = np.meshgrid(grid, grid)
    height = np.sqrt(np.clip(1 - x * x - y * y, 0, None))
    light = np.clip((-0.45 * x + 0.5 * y + 0.75 * height), 0, 1)
    grey = 0.86 + 0.135 * light
    outline = Circle((0, 0), 1.0, facecolor="none", edgecolor=MUTED, linewidth=0.9, zorder=3)
    axes.add_patch(outline)
    shade = axes.imshow(
        np.stack([grey, grey * 1.004, np.minimum(grey * 1.012, 1.0)], axis=-1).clip(0, 1),
        extent=(-1, 1, -1, 1), origin="lower", zorder=0, interpolation="bilinear",
    )  # fmt: skip
    shade.set_clip_path(outline)
    net(axes, rotation)


def net(axes: Any, rotation: np.ndarray, colour: str = "white") -> None:
    """Draw meridians and parallels on a globe."""
    turn = np.linspace(0, 2 * np.pi, 181)
    east, north, flat = np.cos(turn), np.sin(turn), np.ones_like(turn)
    meridians = [[np.cos(a) * east, np.sin(a) * east, north] for a in np.radians(np.arange(0, 180, 30))]
    parallels = [[np.cos(a) * east, np.cos(a) * north, np.sin(a) * flat] for a in np.radians([-60, -30, 0, 30, 60])]
    for ring in np.array(meridians + parallels):
        x, y, depth = rotation @ ring
        for front in (False, True):
            line = np.where((depth >= 0) == front, x, np.nan)
            axes.plot(line, y, color=colour if front else FAINT, lw=0.7 if front else 0.4, zorder=1 if front else 0.5)
    axes.set(xlim=(-1.06, 1.06), ylim=(-1.06, 1.06), aspect="equal")
    axes.axis("off")


def colours_of(membership: np.ndarray, order: np.ndarray | None = None) -> np.ndarray:
    """Return a colour `(n, 4)` for each token by its cluster, the largest cluster darkest; no cluster is grey."""
    from matplotlib.colors import to_rgba

    names, counts = np.unique(membership[membership >= 0], return_counts=True)
    names = names[np.argsort(-counts, kind="stable")] if order is None else order
    colours = np.tile(np.array(to_rgba(MUTED)), (len(membership), 1))
    for name, colour in zip(names, shades(len(names)), strict=True):
        colours[membership == name] = colour
    return colours


def note(axes: Any, text: str) -> None:
    """Write a short line under a globe."""
    axes.text(0.5, -0.02, text, transform=axes.transAxes, ha="center", va="top", fontsize=11, color=INK)

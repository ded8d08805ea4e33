"""Tokens in many dimensions, seen on their two principal axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from measureflow.paths.style import FAINT, INK, MUTED

__all__ = ["Plane", "cloud", "layout", "write_words"]

#: words on more tokens than this could not be read
WORDS = 48


class Plane:
    """An orthonormal pair of axes with its origin, and what share of the spread they show."""

    def __init__(self, centre: np.ndarray, basis: np.ndarray, share: np.ndarray) -> None:
        self.centre, self.basis, self.share = centre, basis, share

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return coordinates `(..., 2)`."""
        return (points - self.centre) @ self.basis.T


def layout(points: np.ndarray, weights: np.ndarray) -> Plane:
    """Return the two principal axes of all states `(s, n, d)` together; in the plane itself, its own axes."""
    d = points.shape[-1]
    if d == 2:
        return Plane(np.zeros(2), np.eye(2), np.ones(2))
    flat, mass = points.reshape(-1, d), weights.reshape(-1) / weights.sum()
    centre = mass @ flat
    spread = np.sqrt(mass)[:, None] * (flat - centre)
    if d == 1:
        return Plane(centre, np.array([[1.0], [0.0]]), np.array([1.0, 0.0]))
    values, axes = np.linalg.eigh(spread.T @ spread)
    basis = axes[:, ::-1][:, :2].T
    basis = basis * np.sign(basis[np.arange(2), np.argmax(np.abs(basis), axis=1)])[:, None]  # the same way every time
    return Plane(centre, basis, values[::-1][:2] / max(values.sum(), np.finfo(float).tiny))


def cloud(
    axes: Any,
    plane: Plane,
    points: np.ndarray,
    states: slice,
    present: np.ndarray,
    colours: np.ndarray,
    sizes: np.ndarray,
) -> None:
    """Draw the tokens at the last of `states` with their trails; panels of the same points have one scale."""
    everywhere = plane(points[:, present])
    flat = plane(points[states][:, present])
    many = flat.shape[1] > 60
    for token in range(flat.shape[1]) if flat.shape[1] <= 400 else ():
        axes.plot(*flat[:, token].T, color=colours[present][token], alpha=0.35, lw=0.9, rasterized=many)
    axes.scatter(
        *flat[-1].T, s=sizes, c=colours[present], edgecolors="white", linewidths=0.5, zorder=3, rasterized=many
    )
    low, high = everywhere.min(axis=(0, 1)), everywhere.max(axis=(0, 1))
    middle, half = (low + high) / 2, 0.56 * float((high - low).max() or 1.0)
    axes.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half), aspect="equal")
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set(visible=True, color=FAINT)


def write_words(axes: Any, words: tuple[str, ...], places: np.ndarray, present: np.ndarray, size: float = 8.0) -> None:
    """Write a word beside each token: at the first of a spiral of places where it covers no other word or token.

    A word that had to go further away gets a thin line to its token. Call it last, when the figure is complete: the
    layout decides what fits. Of more than 48 tokens, no words are written.
    """
    words = tuple(word for word, here in zip(words, present, strict=True) if here)
    places = places[present]
    if len(words) > WORDS:
        return
    drawing = axes.get_figure(root=True)
    drawing.draw_without_rendering()
    point = 72.0 / drawing.dpi
    at = axes.transData.transform(places) * point
    inner = axes.get_window_extent().padded(-2.0).extents * point
    taken = [(x - 3.0, y - 3.0, x + 3.0, y + 3.0) for x, y in at]
    for k in np.argsort(at[:, 0]):
        word, (x, y) = words[k], at[k]
        wide, high = 0.62 * size * len(word) + 1.0, 1.05 * size
        for turn in range(96):
            reach, angle = 5.0 + 0.75 * turn, 0.6 + 2.4 * turn
            left = x + reach * np.cos(angle) - (0.0 if np.cos(angle) > 0 else wide)
            low = y + reach * np.sin(angle) - 0.5 * high
            box = (left, low, left + wide, low + high)
            inside = box[0] > inner[0] and box[1] > inner[1] and box[2] < inner[2] and box[3] < inner[3]
            if inside and not any(a < box[2] and c > box[0] and b < box[3] and d > box[1] for a, b, c, d in taken):
                break
        taken.append(box)
        line = {"arrowstyle": "-", "color": MUTED, "lw": 0.4, "shrinkA": 0, "shrinkB": 2} if turn > 12 else None
        axes.annotate(
            word, places[k], (box[0] - x, box[1] - y + 0.2 * size), textcoords="offset points", fontsize=size,
            color=INK, arrowprops=line, zorder=4,
        )  # fmt: skip

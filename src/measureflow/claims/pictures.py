"""The picture of a result: what was measured against what is stated, and how far truth and mutations are off."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from measureflow.claims.curves import Curve
from measureflow.errors import BadInput
from measureflow.paths.style import ACCENT, FAINT, MUTED, THEORY, figure, shades

if TYPE_CHECKING:
    from measureflow.claims.results import Result

__all__ = ["draw_comparison", "draw_errors", "draw_result"]

#: entries of a comparison from which on it is drawn along its axis, and what stands left of any error
FEW, FLOOR = 4, 1e-4


def draw_result(result: Result) -> Any:
    """Return a figure of two panels: the claim's picture, and the errors in tolerances."""
    if not result.curves:
        raise BadInput(f"{result.id}: no draw compared anything ({'; '.join(result.notes)}); there is nothing to draw.")
    rows = 1 + len(result.mutation_rejected)
    drawing = figure(12.5, max(4.6, 2.0 + 0.62 * rows))
    left, right = drawing.subplots(1, 2, width_ratios=(1.15, 1))
    result.plot(left)
    draw_errors(result, right)
    head = f"{result.id}: {result.title}"
    drawing.suptitle("\n".join(textwrap.wrap(head, 100)), fontsize=13, x=0.01, ha="left")
    return drawing


def draw_comparison(result: Result, axes: Any) -> Any:
    """Draw what was measured and what is stated: along the entries of the longest comparison, or across the draws."""
    if not result.curves:
        return None
    longest = max(range(len(result.curves[0])), key=lambda k: result.curves[0][k].entries)
    if result.curves[0][longest].entries >= FEW:
        draw_along_entries(result, longest, axes)
    else:
        draw_across_draws(result, axes)
    return axes


def draw_along_entries(result: Result, which: int, axes: Any) -> None:
    """Draw one comparison of the first draw entry by entry, with the nearest mutation that states something else."""
    curve = result.curves[0][which]
    # entries that run along nothing are put in the order of what is stated
    order = np.argsort(curve.places if curve.axis else curve.stated, kind="stable")
    places = curve.places[order] if curve.axis else np.arange(1.0, len(order) + 1)
    lined = bool(np.all(np.diff(places) > 0))
    stated, within = curve.stated[order], np.minimum(curve.within[order], 1e300)
    low = -math.inf if curve.sense == "at most" else stated - within
    high = math.inf if curve.sense == "at least" else stated + within
    inside = [np.broadcast_to(edge, places.shape) for edge in (low, high)]
    name, other = other_statement(result, which)
    line: dict[str, Any] = {"ls": "--" if lined else "", "marker": "" if lined else "_", "ms": 9, "zorder": 3}
    axes.plot(places, stated, color=THEORY, label=said(curve), **line)
    if curve.sense == "equal":
        axes.fill_between(places, *inside, color=THEORY, alpha=0.15, lw=0)
    if other is not None:
        wrong = other.stated[order]
        axes.plot(places, wrong, color=MUTED, lw=1.2, ls=":" if lined else "", marker="" if lined else "x", ms=4,
                  label=shortened(name, 44), zorder=1)  # fmt: skip
    size = 5 if len(places) <= 60 else 2.5
    axes.plot(places, curve.measured[order], "o", color=ACCENT[0], ms=size, label="measured", zorder=2)
    axes.set_xlabel(math_or_words(curve.axis) or f"{curve.entries} entries, in the order of what is stated")
    axes.set_title(title_of(curve, result), fontsize=11, loc="left")
    axes.set_ylabel("measured and stated")
    scale_axes(axes, places if curve.axis else None, curve.measured, stated)
    shown = np.concatenate([curve.measured, stated])
    shown = shown[np.isfinite(shown)]
    if other is not None and shown.size and np.nanmax(np.abs(other.stated)) > 5 * np.abs(shown).max():
        margin = 0.15 * max(float(np.ptp(shown)), 1e-12 * float(np.abs(shown).max()), 1e-300)
        if axes.get_yscale() == "linear":  # an error far off must not flatten what is compared
            axes.set_ylim(shown.min() - margin, shown.max() + margin)
    axes.legend(fontsize=9)


def draw_across_draws(result: Result, axes: Any) -> None:
    """Draw the few numbers of every draw: measured against stated, where a perfect check lies on the diagonal."""
    names = list(dict.fromkeys(curve.name for draw in result.curves for curve in draw))
    colours = dict(zip(names, shades(len(names), high=0.85), strict=True))
    shown: set[tuple[str, str]] = set()
    points: list[float] = []
    for draw in result.curves:
        for curve in draw:
            key = (curve.name, curve.sense)
            marker = {"equal": "o", "at least": "^", "at most": "v"}[curve.sense]
            label = None
            if key not in shown and len(shown) < 8:
                label = shortened(curve.name or "measured", 44) + {"equal": ""}.get(curve.sense, f" ({curve.sense})")
            shown.add(key)
            axes.plot(curve.stated, curve.measured, marker, color=colours[curve.name], ms=7, alpha=0.85, label=label)
            points += [*curve.stated, *curve.measured]
    finite = np.array([value for value in points if math.isfinite(value)] or [0.0, 1.0])
    scale_axes(axes, finite, finite)
    low, high = float(finite.min()), float(finite.max())
    axes.plot([low, high], [low, high], "--", color=THEORY, lw=1.2, label="as stated", zorder=1)
    axes.set_xlabel("stated")
    axes.set_ylabel("measured")
    axes.set_title(f"all {len(result.curves)} draws", fontsize=11, loc="left")
    axes.legend(fontsize=9)


def draw_errors(result: Result, axes: Any) -> None:
    """Draw the error of every draw in tolerances: as stated, and under each mutation, with the lines of a verdict."""
    rows = [("as stated", result.curves)]
    rows += [(one.what, result.contrasts.get(one.name, ())) for one in result.mutation_rejected]
    for height, (_, draws) in enumerate(rows):
        errors = np.array([deviation(draw) for draw in draws], dtype=float)
        colour = ACCENT[0] if height == 0 else MUTED
        axes.plot(np.clip(errors, FLOOR, 1e12), np.full(len(errors), height), "o", color=colour, ms=7, alpha=0.85)
    for at, what in ((0.5, "passes"), (10.0, "rejected")):
        axes.axvline(at, color=THEORY, ls="--", lw=1)
        side: dict[str, Any] = {"ha": "right", "xytext": (-3, 2)} if at < 1 else {"ha": "left", "xytext": (3, 2)}
        place = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
        axes.annotate(what, (at, 1), **place, **side, fontsize=9, color=THEORY)
    axes.axvspan(0.5, 10.0, color=FAINT, alpha=0.5, lw=0)
    axes.set_xscale("log")
    axes.set_xlim(left=FLOOR / 2)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [wrapped(what, 34) for what, _ in rows], fontsize=9)
    axes.set_xlabel("largest error of a draw, in tolerances")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def deviation(draw: Sequence[Curve]) -> float:
    """Return the largest error of a draw in tolerances, from its curves; infinite where nothing was measured."""
    errors = [math.inf if math.isnan(curve.deviation) else curve.deviation for curve in draw]
    return max(errors, default=math.inf)


def other_statement(result: Result, which: int) -> tuple[str, Curve | None]:
    """Return the mutation, of those that state other values for this comparison, which is nearest to being believed."""
    curve = result.curves[0][which]
    for one in sorted(result.mutation_rejected, key=lambda one: one.deviation):
        draws = result.contrasts.get(one.name, ())
        other = draws[0][which] if draws and len(draws[0]) > which else None
        same = other is not None and (other.name, other.stated.shape) == (curve.name, curve.stated.shape)
        if other is not None and same and not np.array_equal(other.stated, curve.stated):
            return one.what, other
    return "", None


def scale_axes(axes: Any, along: np.ndarray | None, *values: np.ndarray) -> None:
    """Choose logarithmic axes where positive numbers span more than two and a half decades."""
    across = np.concatenate([np.ravel(value) for value in values])
    for numbers, scale in ((along, axes.set_xscale), (across, axes.set_yscale)):
        if numbers is None:
            continue
        finite = numbers[np.isfinite(numbers)]
        if finite.size and finite.min() > 0 and finite.max() > 300 * finite.min():
            scale("log")
        elif finite.size and np.abs(finite).max() > 300 * max(np.median(np.abs(finite)), 1e-300):
            scale("symlog", linthresh=float(max(np.median(np.abs(finite)), 1e-12)))


def said(curve: Curve) -> str:
    """Return how the stated line is called."""
    return {"equal": "stated", "at least": "stated: at least", "at most": "stated: at most"}[curve.sense]


def title_of(curve: Curve, result: Result) -> str:
    """Return what is compared, and for which numbers."""
    instance = {name: value for name, value in result.instances[0].items() if isinstance(value, (int, float, str))}
    numbers = ", ".join(
        f"{k} = {v:.3g}" if isinstance(v, float) else f"{k} = {v}" for k, v in list(instance.items())[:5]
    )
    lines = [shortened(curve.name, 60), shortened(numbers, 70)]
    return "\n".join(line for line in lines if line)


def math_or_words(axis: str) -> str:
    """Return an axis's name, a single letter set as one."""
    return f"${axis}$" if len(axis) == 1 else axis


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many characters, ended at a word."""
    return textwrap.shorten(text.replace("$", r"\$"), most, placeholder=" ...")


def wrapped(text: str, width: int) -> str:
    """Return a text of at most three lines."""
    lines = textwrap.wrap(text.replace("$", r"\$"), width)
    return "\n".join(lines[:3]) + (" ..." if len(lines) > 3 else "")

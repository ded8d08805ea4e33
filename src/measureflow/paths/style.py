"""The house style of pictures: one colour map, one type, captions with the recipe. Knows nothing of what is drawn."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from measureflow.errors import BadInput

__all__ = ["ACCENT", "FAINT", "INK", "MAP", "MUTED", "THEORY", "caption", "figure", "house", "shades", "write"]

#: perceptually uniform, safe for the colour-blind, and in order of lightness, so that it survives greyscale
MAP = "viridis"

INK, MUTED, FAINT = "#16202c", "#5b6675", "#d9dee5"
#: three lines in one picture differ in lightness as well as in hue
ACCENT = ("#3b2f7f", "#1f8a8c", "#8fb339")
#: predictions: always dashed, always named
THEORY = "#c1440e"

RULES: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],  # comes with matplotlib, so that a picture looks the same everywhere
    "mathtext.fontset": "cm",
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.labelsize": 13,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlepad": 8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.direction": "out",
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 11,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.dpi": 110,
    "svg.fonttype": "path",  # the picture needs no font where it is shown
    "svg.hashsalt": "measureflow",  # the same picture is the same file
}


@contextlib.contextmanager
def house() -> Iterator[None]:
    """Draw in the house style inside the `with`; the caller's own settings come back after it."""
    import matplotlib

    with matplotlib.rc_context(RULES):
        yield


def figure(width: float = 11.0, height: float = 6.2) -> Any:
    """Return an empty figure of the house, free of any window or global state. Call inside `with house():`."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def shades(count: int, low: float = 0.0, high: float = 0.9) -> np.ndarray:
    """Return `count` colours of the map, in order of lightness; the palest end is left out, since paper is white."""
    from matplotlib import colormaps

    return colormaps[MAP](np.linspace(low, high, max(count, 1)) if count > 1 else [0.35])


def caption(drawing: Any, text: str) -> None:
    """Write the recipe small under the picture, broken to its width."""
    width = int(drawing.get_figwidth() * 13.5)
    drawing.supxlabel("\n".join(textwrap.wrap(text, width)), fontsize=8.5, color=MUTED, x=0.01, ha="left")


def write(drawing: Any, file: str | os.PathLike[str], recipe: str, title: str = "") -> FilePath:
    """Write a figure with its recipe in the file's metadata, at once or not at all. The ending chooses the format.

    Raises:
        BadInput: an ending that is no picture, or a folder that is not there.
    """
    target = FilePath(file)
    kind = target.suffix.lower().lstrip(".")
    if kind not in {"svg", "png", "pdf"}:
        raise BadInput(f"picture {str(file)!r}: the ending must be .svg, .png or .pdf.")
    if not target.parent.is_dir():
        raise BadInput(f"picture {str(file)!r}: the folder {str(target.parent)!r} does not exist; make it first.")
    about: dict[str, Any] = {"Title": title or target.stem, "Creator": "measureflow"}
    about |= {"Subject": recipe, "CreationDate": None} if kind == "pdf" else {"Description": recipe}
    if kind == "svg":
        about["Date"] = None
    if kind == "png":
        about["Software"] = about.pop("Creator")
    with house(), beside(target) as temporary:
        drawing.savefig(temporary, format=kind, metadata=about, dpi=170)
    return target


@contextlib.contextmanager
def beside(target: FilePath) -> Iterator[FilePath]:
    """Give a temporary file in the target's folder, which becomes the target if nothing is raised."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    temporary = FilePath(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files for the owner alone
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def number(value: float) -> str:
    """Write a number as a mathematician does, for a formula: 2.3, 120, or a power of ten."""
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if -2 <= exponent < 4:
        return f"{value:.3g}" if exponent < 3 else f"{value:.0f}"
    lead = value / 10.0**exponent
    power = rf"10^{{{exponent}}}"
    return power if f"{lead:.1f}" == "1.0" else rf"{lead:.1f}\cdot{power}"

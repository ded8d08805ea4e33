"""The small pages of single runs: a picture, what happened, and how to go on in Python."""

from __future__ import annotations

from pathlib import Path as File
from typing import Any

from measureflow.report import Page
from measureflow.version import __version__

__all__ = ["flow_page", "trace_page"]


def flow_page(path: Any, folder: File) -> None:
    """Write the page of a simulation."""
    page = Page(f"{path.tokens.n} tokens on {path.space!r}", repr(path.field), folder)
    caption = f"The path at several depths, its energy and its clusters. Ended: *{path.status}*."
    page.figure(path.plot(), caption, "path", path.recipe.text)
    page.numbers(repr(path))
    page.numbers("\n".join(f"{name:28} {value}" for name, value in path.stats.items()))
    page.text('Go on in Python:\n\n```\nimport measureflow as mf\n\npath = mf.Path.load("path.zarr")\n```')
    page.write(footer=f"measureflow {__version__} flow")


def trace_page(path: Any, name: str, table: list[dict[str, Any]], folder: File) -> None:
    """Write the page of a trace."""
    from measureflow.paths.depths import cosines_by_depth, ranks_by_depth, words_by_depth

    page = Page(f"{path.tokens.n} tokens through {name}", f"{len(path) - 1} layers on {path.space!r}", folder)
    recipe = path.recipe.text
    page.figure(cosines_by_depth(path), "Cosines of all pairs by depth, raw and centred.", "cosines", recipe)
    page.figure(
        ranks_by_depth(path), "Effective rank, and clusters of directions with their thresholds.", "ranks", recipe
    )
    if path.labels is not None:
        page.figure(words_by_depth(path), "The words on their two principal axes.", "words", recipe)
    page.table(list(table[0]), [list(row.values()) for row in table])
    page.write(footer=f"measureflow {__version__} trace")

"""Chapters as percent-format scripts: Markdown cells and code cells, the same source for the page and the docs."""

from __future__ import annotations

import dataclasses
import re

__all__ = ["Cell", "cells_of"]

MARK = re.compile(r"^# %%(?P<head>.*)$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell: `kind` is `"markdown"` or `"code"`, `line` the line of the script at which its source begins."""

    kind: str
    source: str
    line: int


def cells_of(script: str) -> list[Cell]:
    r"""Return the cells of a percent-format script; what stands before the first mark (a docstring) is left out.

    Example:
        >>> from measureflow.report.cells import cells_of
        >>> [cell.kind for cell in cells_of("\n".join(["# %% [markdown]", "# Text", "# %%", "1 + 1"]))]
        ['markdown', 'code']
    """
    marks = list(MARK.finditer(script))
    found = []
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        body = script[mark.end() + 1 : following.start() if following else len(script)]
        line = script.count("\n", 0, mark.end()) + 2
        if "[markdown]" in mark["head"]:
            found.append(Cell("markdown", re.sub(r"^# ?", "", body, flags=re.MULTILINE).strip(), line))
        elif body.strip():
            found.append(Cell("code", body.rstrip(), line))
    return found

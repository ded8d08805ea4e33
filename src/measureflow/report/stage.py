"""What a chapter may use: its settings, and how it shows a picture, a table or a number.

Run by `measureflow report`, a chapter's things go to the report's page; run as a script, to the working folder.
"""

from __future__ import annotations

import contextvars
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path as File
from typing import Any

from measureflow.claims import check
from measureflow.paths.style import figure, house, write

__all__ = ["Stage", "settings", "show", "show_claim", "table"]


@dataclasses.dataclass
class Stage:
    """Settings of a run of the chapters, and the page that it fills.

    Attributes:
        seed: draws everything. tier: of the claims. claims: `"first"` of each paper or `"all"`. model: folder or name
        of a checkpoint, or `None`. page: where things are shown. progress: is told what is being done.
    """

    seed: int = 0
    tier: str = "smoke"
    claims: str = "first"
    model: str | None = None
    page: Any = None
    progress: Callable[[str], Any] = lambda doing: None


CURRENT: contextvars.ContextVar[Stage | None] = contextvars.ContextVar("stage", default=None)


def settings() -> Stage:
    """Return the settings of this run: `settings().seed` and so on."""
    return CURRENT.get() or Stage()


def show(drawing: Any, *, caption: str, name: str, recipe: str = "", kind: str = "svg") -> None:
    """Show a figure: on the page with its caption (Markdown) and recipe, or as a file in the working folder.

    Choose `kind="png"` where points are many.
    """
    page = settings().page
    if page is not None:
        page.figure(drawing, caption, name, recipe, kind)
    else:
        write(drawing, File(f"{name}.{kind}"), recipe or caption, title=caption)


def show_claim(claim: str, name: str, caption: str) -> None:
    """Check a claim, print its verdict, and show the figure of its first instance."""
    seed = settings().seed
    (result,) = check(claim, seed=seed)
    print(result)
    with house():
        drawing = figure(9, 4.8)
        result.plot(drawing.subplots())
    show(drawing, name=name, caption=caption, recipe=f"measureflow check {claim} --seed {seed}")


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Show a table: on the page, or printed."""
    page = settings().page
    if page is not None:
        page.table(head, rows)
    else:
        for row in [head, *rows]:
            print(" | ".join(str(one[1] if isinstance(one, tuple) else one) for one in row))

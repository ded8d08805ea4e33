"""Progress of long work on standard error, where a person is watching; nothing in pipes and logs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["bar", "is_watched"]


def is_watched() -> bool:
    """Tell whether standard error is a terminal."""
    return sys.stderr.isatty()


@contextlib.contextmanager
def bar(what: str, *, left: bool = False) -> Iterator[Callable[[int, int, str], Any]]:
    """Give a function `(done, total, doing)` that moves a bar, or does nothing where nobody watches.

    `left` shows the time left too, where the parts are alike.
    """
    if not is_watched():
        yield lambda done, total, doing: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        *((TextColumn("left"), TimeRemainingColumn()) if left else ()), TextColumn("{task.fields[doing]}"),
    )  # fmt: skip
    # what is printed while the bar moves goes above it, unless it goes to a file
    above = {"console": Console(stderr=True), "redirect_stdout": sys.stdout.isatty()}
    with Progress(*columns, transient=True, **above) as drawn:
        task = drawn.add_task(what, total=None, doing="")
        yield lambda done, total, doing: drawn.update(task, completed=done, total=total, doing=doing)

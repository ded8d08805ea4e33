"""Progress of long work: a bar on standard error, or a function that is told the time reached."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Progress"]


class Progress:
    """Shows how far a flow is. The bar is logarithmic in time, as the saved times are.

    Arguments:
        wanted: False for nothing, True for a bar, or a function of (time, end).
        end: the last time.
    """

    def __init__(self, wanted: Any, end: float) -> None:
        self.tell = wanted if callable(wanted) else None
        self.end, self.bar, self.task = end, None, None
        if wanted is True:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
            self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self.task = self.bar.add_task("t = 0", total=1.0)

    def __enter__(self) -> Progress:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def show(self, now: float) -> None:
        """Show the time reached."""
        if self.tell is not None:
            self.tell(now, self.end)
        if self.bar is not None and self.task is not None:
            done = float(np.log1p(now * 1e2) / np.log1p(self.end * 1e2))
            self.bar.update(self.task, completed=done, description=f"t = {now:.3g}")

"""How the cells of a sweep are computed: by processes of our own, which may die, or by an executor the user brings."""

from __future__ import annotations

import collections
import concurrent.futures
import os
from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from measureflow.errors import BadInput
from measureflow.runs.cells import compute
from measureflow.runs.executors import own_executor, workers_here
from measureflow.runs.grids import Cell

__all__ = ["compute_all"]

Keep = Callable[[Cell, dict[str, Any]], None]

DIED = "its worker process died, and so did another with no other cell; out of memory? take fewer replicas or tokens"


def compute_all(cells: list[Cell], executor: Any, workers: int | None, keep: Keep) -> None:
    """Compute the cells by the executor that was asked for; keep each result as it comes.

    What the user brought stays open.
    """
    if executor is None and workers != 1:
        executor = "processes"
    if executor == "processes":
        compute_in_processes(cells, workers, keep)
    elif executor is None or isinstance(executor, str):
        with own_executor(executor or "here", workers, len(cells)) as pool:
            compute_by(pool, cells, keep)
    else:
        brought = executor.get_executor() if hasattr(executor, "get_executor") else executor  # a Dask client
        if not isinstance(brought, Executor):
            raise BadInput(f"sweep: executor is {executor!r}; give a concurrent.futures.Executor or a Dask client.")
        compute_by(brought, cells, keep)


def compute_by(pool: Executor, cells: list[Cell], keep: Keep) -> None:
    """Ask an executor for all cells at once."""
    futures = {pool.submit(compute, cell.recipe): cell for cell in cells}
    try:
        for future in concurrent.futures.as_completed(futures):
            keep(futures[future], outcome(future))
    finally:
        for future in futures:
            future.cancel()


def compute_in_processes(cells: list[Cell], workers: int | None, keep: Keep) -> None:
    """Compute the cells in processes of our own; one whose process dies does not take the others with it.

    A death ends the whole pool. Only the cells that were out then are suspects: each is computed once more in a process
    of its own, and those that end that one too are rows with an error. The others go on in a new pool.
    """
    waiting = collections.deque(cells)
    while waiting:
        suspects = until_a_death(waiting, workers, keep)
        if suspects:
            check_that_processes_live()
        for cell in suspects:
            with own_executor("processes", 1) as pool:
                keep(cell, outcome(pool.submit(compute, cell.recipe)))


def check_that_processes_live() -> None:
    """Raise `BadInput` where a process dies before it is asked for anything."""
    with own_executor("processes", 1) as pool:
        if isinstance(pool.submit(os.getpid).exception(), BrokenProcessPool):
            raise BadInput(
                "sweep: worker processes die as they start; a script needs if __name__ == '__main__': around what it "
                "does, and workers=1 starts none."
            )


def until_a_death(waiting: collections.deque[Cell], workers: int | None, keep: Keep) -> list[Cell]:
    """Compute what waits until it is done or a process dies; return the cells that were out when one did."""
    count = 2 * (workers or workers_here())  # one more for each, so that none waits
    with own_executor("processes", workers, len(waiting)) as pool:
        out: dict[Future[dict[str, Any]], Cell] = {}
        while waiting or out:
            try:
                while waiting and len(out) < count:
                    out[pool.submit(compute, waiting[0].recipe)] = waiting[0]
                    waiting.popleft()
            except BrokenProcessPool:
                return list(out.values())
            done, _ = concurrent.futures.wait(out, return_when=concurrent.futures.FIRST_COMPLETED)
            dead = [future for future in done if isinstance(future.exception(), BrokenProcessPool)]
            for future in done - set(dead):
                keep(out.pop(future), outcome(future))
            if dead:
                return list(out.values())
    return []


def outcome(future: Future[dict[str, Any]]) -> dict[str, Any]:
    """Return the result of a future, or a row with what went wrong around it; such a cell is tried again."""
    try:
        return future.result()
    except BrokenProcessPool:
        return lost(DIED)
    except Exception as failed:
        return lost(f"{type(failed).__name__}: {failed}")


def lost(error: str) -> dict[str, Any]:
    """Return the row of a cell that has no result, and may have one next time."""
    return {"series": {}, "error": error, "lasting": False, "seconds": 0.0}

"""Where cells are computed: processes of this machine, this one, or whatever executor the user brings."""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any

from measureflow.errors import BadInput

__all__ = ["KINDS", "dask_executor", "own_executor", "workers_here"]

#: what an executor of this machine may be; several threads of one process may wait for each other in XLA for ever
KINDS = ("processes", "here")


def workers_here() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def own_executor(kind: str = "processes", workers: int | None = None, most: int | None = None) -> Iterator[Executor]:
    """Give an executor of this machine; when the `with` is left by an error or Ctrl-C, its processes end at once.

    Arguments:
        kind: `"processes"` (new ones, so that nothing of this one is copied) or `"here"` (one thread of this process).
        workers: how many; `None` is one for each processor.
        most: no more than this, the number of cells to compute.

    Raises:
        BadInput: an unknown kind or no workers.
    """
    if kind not in KINDS:
        raise BadInput(f"executor is {kind!r}; it must be one of {', '.join(map(repr, KINDS))}.")
    if workers is not None and workers < 1:
        raise BadInput(f"workers is {workers}; there must be at least one.")
    count = max(1, min(workers or workers_here(), most or 1_000_000))
    if kind == "here":
        pool: Executor = concurrent.futures.ThreadPoolExecutor(1)
    else:
        # forked children of a process whose JAX has threads may hang
        spawn = multiprocessing.get_context("spawn")
        pool = concurrent.futures.ProcessPoolExecutor(count, mp_context=spawn, initializer=attend_parent)
    before = set(multiprocessing.active_children())
    try:
        with one_blas_thread():
            yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        raise
    pool.shutdown()


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let processes that start meanwhile use one BLAS thread each, unless the user has said how many.

    Two processes with two threads each wait for each other's: QR of many clouds took ten times as long.
    """
    name = "OPENBLAS_NUM_THREADS"
    if name in os.environ:
        yield
        return
    os.environ[name] = "1"
    try:
        yield
    finally:
        del os.environ[name]


def attend_parent() -> None:
    """Let a worker leave Ctrl-C to its parent, and end when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def wait() -> None:
        assert parent is not None
        parent.join()
        os._exit(1)  # a parent that was killed can no longer ask for anything

    if parent is not None:
        threading.Thread(target=wait, daemon=True).start()


def dask_executor(scheduler: str) -> Any:
    """Return the executor of a Dask cluster.

    Arguments:
        scheduler: the address of its scheduler, such as `tcp://host:8786`.

    Raises:
        BadInput: Dask is not installed, or nobody answers at the address.
    """
    try:
        from distributed import Client
    except ImportError:
        raise BadInput("Dask is not installed; pip install 'measureflow[cluster]'.") from None
    try:
        return Client(scheduler, timeout=10).get_executor()
    except (OSError, ValueError, TimeoutError) as error:
        raise BadInput(
            f"no Dask scheduler answers at {scheduler!r} ({type(error).__name__}); start one with `dask scheduler`."
        ) from None

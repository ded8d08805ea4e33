"""Memory: whether what a run keeps will fit, asked before it starts."""

from __future__ import annotations

import os
from pathlib import Path as File

import jax

from measureflow.errors import BadInput
from measureflow.measures import Measure, Tokens

__all__ = ["available_bytes", "check_memory"]

#: the states are held twice for a moment: one by one, and stacked
COPIES = 2
#: bytes of a time and of the index of a state
TIME = 16


def check_memory(verb: str, tokens: Measure, states: int, recorded: int, times: int, cure: str) -> None:
    """Raise `BadInput` where `states` copies of the tokens and `recorded` bytes at each of `times` will not fit."""
    free = available_bytes()
    one, recorded = sum(leaf.nbytes for leaf in jax.tree.leaves(tokens)), recorded + TIME
    if free is None or COPIES * (states * one + times * recorded) <= free:
        return
    if states * one >= times * recorded:
        of = f"{tokens.n:,} tokens" if isinstance(tokens, Tokens) else tokens.said()
        what = f"{states:,} states of {of} in R^{tokens.d} take {in_words(states * one)}"
    else:
        what = f"what is recorded at {times:,} times takes {in_words(times * recorded)}"
        cure = "record less at each time, or at fewer times"
    raise BadInput(f"{verb}: {what}, twice while they are gathered, and {in_words(free)} are free; {cure}.")


def available_bytes() -> int | None:
    """Return how much memory this process may still take, or `None` where the system does not say."""
    known = [amount for amount in (left_in_machine(), left_in_container()) if amount is not None]
    return min(known, default=None)


def left_in_machine() -> int | None:
    """Return what the machine has left (Linux), or all it has."""
    try:
        for line in File("/proc/meminfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return None


def left_in_container() -> int | None:
    """Return what the control group of this process leaves it, where there is one with a limit."""
    group = File("/sys/fs/cgroup")
    try:
        limit, used = ((group / name).read_text(encoding="utf-8").strip() for name in ("memory.max", "memory.current"))
        return None if limit == "max" else max(0, int(limit) - int(used))
    except (OSError, ValueError):
        return None


def in_words(amount: int) -> str:
    """Return a number of bytes as people say it."""
    scale = min(max(len(str(amount)) - 1, 0) // 3, 4)
    return f"{amount / 1000**scale:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[scale]}"

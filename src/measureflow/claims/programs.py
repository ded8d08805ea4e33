"""Compiled programs are let go before a process that checks many claims runs out of mapped memory regions."""

from __future__ import annotations

import gc
from pathlib import Path

import jax

__all__ = ["let_go", "mapped_regions"]

#: Linux gives a process 65,530 regions by default, XLA takes three or more for every program, and ends the process
#: when there are none left
ENOUGH = 40_000

REGIONS = Path("/proc/self/maps")


def mapped_regions() -> int:
    """Return the number of mapped memory regions of this process; 0 where the system does not tell."""
    return REGIONS.read_bytes().count(b"\n") if REGIONS.exists() else 0


def let_go(enough: int = ENOUGH) -> bool:
    """Drop every compiled program if the process holds more than `enough` regions; return whether it did.

    What is needed again is compiled again, or read from the disk cache.
    """
    if mapped_regions() <= enough:
        return False
    jax.clear_caches()
    gc.collect()
    return True

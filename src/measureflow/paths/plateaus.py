"""Plateaus: how long a path has each number of clusters."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int

__all__ = ["Plateaus", "plateaus_of"]


class Plateaus(eqx.Module):
    """The stretches of a path along which the number of clusters is the same.

    Attributes:
        counts: `(k,)` number of clusters on each stretch.
        start, end: `(k,)` its times, in the clock of the field. The last one ends with the path.
    """

    counts: Int[np.ndarray, "k"]
    start: Float[np.ndarray, "k"]
    end: Float[np.ndarray, "k"]

    @property
    def dwell(self) -> Float[np.ndarray, "k"]:
        """Return how long each stretch lasts."""
        return self.end - self.start

    def __len__(self) -> int:
        return len(self.counts)

    def __repr__(self) -> str:
        rows = zip(self.counts, self.start, self.end, strict=True)
        return "Plateaus: " + ", ".join(f"{c} on {a:.3g} .. {b:.3g}" for c, a, b in rows)


def plateaus_of(path: Any) -> Plateaus:
    """Return the plateaus of a path.

    Where the run joined tokens that met, their moments are those of the merges, however coarse the saved times; else
    those of `path.clusters`, to within the spacing of the saved times.
    """
    times = np.asarray(path.times)
    if path.stats.get("merged"):
        since = np.asarray(path.merges.since)
        moments = np.unique(since[np.isfinite(since)])
        present = int(np.asarray(path.tokens.present)[0].sum())
        counts = np.array([present, *(present - np.searchsorted(np.sort(since), moments, side="right"))])
        start = np.concatenate([times[:1], moments])
    else:
        along = np.asarray(path.clusters)
        changes = np.concatenate([[0], np.flatnonzero(np.diff(along)) + 1])
        counts, start = along[changes], times[changes]
    return Plateaus(counts, start, np.concatenate([start[1:], times[-1:]]))

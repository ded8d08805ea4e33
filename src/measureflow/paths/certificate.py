"""A certificate: which conclusions of a run stand when it is run again ten times as exactly."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from measureflow.observables import clusters

__all__ = ["Certificate", "compare"]

#: plateau times that move by less than this part of themselves are said to hold
PLATEAU_TOLERANCE = 1e-2


@dataclasses.dataclass(frozen=True, eq=False)
class Certificate:
    """What held when a run was repeated at a tenth of its tolerance and of its merge distance.

    Attributes:
        times: the saved times that both runs share.
        error: `(s,)` largest distance of a token between the two runs there: integration, sum and merge together.
        same_clusters: `(s,)` whether the clusters (not only their number) are the same.
        holds_until: the last time up to which the clusters agree at every saved time.
        plateau_shift: largest relative move of the time at which a cluster count is first reached; NaN where a count is
            reached in one run only.
        sharpened: by how much the tolerances were multiplied.
    """

    times: np.ndarray
    error: np.ndarray
    same_clusters: np.ndarray
    holds_until: float
    plateau_shift: float
    sharpened: float

    @property
    def holds(self) -> dict[str, bool]:
        """Say which conclusions stand: cluster counts and members, the order of the merges, the plateau times."""
        return {
            "clusters": bool(self.same_clusters.all()),
            "merge order": bool(self.same_clusters.all()),
            "plateau times": bool(self.plateau_shift < PLATEAU_TOLERANCE),
        }

    def __repr__(self) -> str:
        said = ", ".join(f"{name} {'hold' if held else 'DO NOT HOLD'}" for name, held in self.holds.items())
        return (
            f"Certificate: {said}; clusters agree up to t = {self.holds_until:.3g}; largest error of a token "
            f"{self.error.max():.1e} against a run at {self.sharpened:g} of the tolerances"
        )


def compare(path: Any, sharper: Any, sharpened: float) -> Certificate:
    """Compare a path with the same run done more exactly."""
    count = min(len(path), len(sharper))
    while count and path.times[count - 1] != sharper.times[count - 1]:
        count -= 1  # an event that ends a run falls at a slightly different time
    first, second = np.asarray(path.points)[:count], np.asarray(sharper.points)[:count]
    error = np.sqrt(((first - second) ** 2).sum(-1)).max(-1)
    members, others = np.asarray(clusters(path).membership), np.asarray(clusters(sharper).membership)
    same = (members[:count] == others[:count]).all(-1)
    bad = np.flatnonzero(~same)
    until = float(path.times[count - 1] if not len(bad) else path.times[max(bad[0] - 1, 0)])
    return Certificate(np.asarray(path.times)[:count], error, same, until, shift(path, sharper), sharpened)


def shift(path: Any, sharper: Any) -> float:
    """Return the largest relative move of the moments at which cluster counts are first reached."""
    mine, theirs = reached(path), reached(sharper)
    if set(mine) != set(theirs):
        return float("nan")
    return max((abs(mine[c] - theirs[c]) / max(theirs[c], 1e-300) for c in mine if theirs[c] > 0), default=0.0)


def reached(path: Any) -> dict[int, float]:
    """Return when each number of clusters is first reached."""
    counts, times = np.asarray(path.clusters), np.asarray(path.times)
    first: dict[int, float] = {}
    for count, time in zip(counts.tolist(), times.tolist(), strict=True):
        first.setdefault(count, time)
    return first

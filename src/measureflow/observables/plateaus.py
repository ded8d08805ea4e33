"""Plateaus: how long a path has each number of clusters, and how long an ensemble of paths does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float, Int

from measureflow.errors import BadInput
from measureflow.observables.clusters import clusters

__all__ = ["Lifetimes", "Plateaus", "plateaus"]


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
        """Return how long each stretch lasts, as far as it was seen."""
        return self.end - self.start

    @property
    def censored(self) -> Bool[np.ndarray, "k"]:
        """Return whether the end of each stretch was not seen: that of the last one, which ends with the path."""
        return np.arange(len(self.counts)) == len(self.counts) - 1

    def lasting(self, ratio: float = 3.0) -> Plateaus:
        """Return the metastable ones: stretches whose time grows by at least `ratio` while they last.

        On a logarithmic axis of time they are at least `log(ratio)` long. A stretch that begins at 0 is one where it
        lasts `ratio` units of time.
        """
        begin = np.where(self.start > 0, self.start, 1.0)
        kept = self.end >= ratio * begin
        return Plateaus(self.counts[kept], self.start[kept], self.end[kept])

    def __len__(self) -> int:
        return len(self.counts)

    def __repr__(self) -> str:
        rows = zip(self.counts, self.start, self.end, strict=True)
        return "Plateaus: " + ", ".join(f"{c} on {a:.3g} .. {b:.3g}" for c, a, b in rows)


class Lifetimes(eqx.Module):
    """How long an ensemble of paths stays on each number of clusters.

    Attributes:
        counts: `(k,)` numbers of clusters, from many to few.
        seen: `(k,)` how many of the paths were on each; `ended`: `(k,)` how many of them were seen to leave it.
        median: `(k,)` median dwell time (Kaplan-Meier); infinite where fewer than half were seen to leave.
        low, high: `(k,)` confidence interval of the median; 0 and infinity where the paths are too few to tell.
        level: the confidence.
        paths: number of paths.
    """

    counts: Int[np.ndarray, "k"]
    seen: Int[np.ndarray, "k"]
    ended: Int[np.ndarray, "k"]
    median: Float[np.ndarray, "k"]
    low: Float[np.ndarray, "k"]
    high: Float[np.ndarray, "k"]
    level: float = eqx.field(static=True)
    paths: int = eqx.field(static=True)

    def __repr__(self) -> str:
        columns = (self.counts, self.seen, self.ended, self.median, self.low, self.high)
        rows = [
            f"{count:6d} {seen:6d} {ended:6d}   {median:<9.3g} {low:.3g} .. {high:.3g}"
            for count, seen, ended, median, low, high in zip(*columns, strict=True)
        ]
        head = f"clusters  seen  ended   median    {100 * self.level:g} % interval ({self.paths} paths)"
        return "\n".join([head, *rows])


def plateaus(subject: Any, *, delta: Any = None, ratio: float = 1.0, level: float = 0.95) -> Any:
    r"""Return the plateaus of a path, or the dwell times of an ensemble of paths with confidence intervals.

    Of one path: `Plateaus`. Where the run joined tokens that met, their moments are those of the merges, from time 0 on
    and whatever the saved times; else, or with `delta`, those of the clusters at that threshold, to within the spacing
    of the saved times. Of a list of paths, or a path with a batch axis: `Lifetimes`, by the number of clusters.

    The last plateau of a path is censored: it lasted at least that long. Medians are those of the Kaplan-Meier curve,
    which takes censoring to be blind. The intervals assume nothing about it and nothing about the law of the dwell
    times: order statistics with exact binomial coverage, the lower end with all censored dwells ended at once, the
    upper end with none of them ended ever.

    Main arguments:
        subject: a path, a batched path, or a list of paths.
        delta: threshold on 1 - cosine of what counts as one cluster; merges, or 1e-3, if None.

    Other arguments:
        ratio: keep only plateaus over which time grows by this factor, see `Plateaus.lasting`; 1 keeps all.
        level: confidence of the intervals, in (0, 1).

    Raises:
        BadInput: no path, an empty list, a level outside (0, 1), a ratio below 1.

    Source: metastability of [arXiv:2410.06833](https://arxiv.org/abs/2410.06833).

    Example:
        >>> import measureflow as mf
        >>> path = mf.flow(mf.uniform(mf.Sphere(2), n=12, seed=0), mf.SelfAttention(beta=9.0), until=1e8, save=60)
        >>> mf.observe.plateaus(path).lasting(100.0).counts.tolist()
        [2]
    """
    if not 0.0 < level < 1.0:
        raise BadInput(f"plateaus: level is {level}; a confidence lies in (0, 1).")
    if not ratio >= 1.0:
        raise BadInput(f"plateaus: ratio is {ratio}; time grows along a path, so it must be >= 1.")
    if isinstance(subject, Sequence):
        found = [of_one(path, delta) for path in subject]
    elif hasattr(subject, "times") and np.ndim(subject.times) == 2:
        found = of_many(subject, delta)
    else:
        found = of_one(subject, delta)
        return found.lasting(ratio) if ratio > 1.0 else found
    if not found:
        raise BadInput("plateaus: the list of paths is empty.")
    return lifetimes(found, ratio, level)


def of_one(path: Any, delta: Any) -> Plateaus:
    """Return the plateaus of one path."""
    if not (hasattr(path, "times") and hasattr(path, "stats") and np.ndim(path.times) == 1):
        raise BadInput(f"plateaus: {type(path).__name__} is no path; give one of mf.flow or mf.layers, or several.")
    times = np.asarray(path.times)
    if delta is None and path.stats.get("merged"):
        since = np.asarray(path.merges.since)
        moments = np.unique(since[np.isfinite(since)])
        present = int(np.asarray(path.tokens.present)[0].sum())
        counts = np.array([present, *(present - np.searchsorted(np.sort(since), moments, side="right"))])
        start = np.append(0.0, moments)  # merges are known from the start to the end, whatever was saved
        return Plateaus(counts, start, np.append(start[1:], max(times[-1], start[-1])))
    if delta is None:
        return stretches(times, np.asarray(path.clusters))
    path.need_all("clusters")
    return stretches(times, np.asarray(clusters(path, delta).count))


def of_many(path: Any, delta: Any) -> list[Plateaus]:
    """Return the plateaus of each path along the batch axis."""
    counts = np.asarray(clusters(path, 1e-3 if delta is None else delta).count)
    return [stretches(times, along) for times, along in zip(np.asarray(path.times), counts, strict=True)]


def stretches(times: Float[np.ndarray, "s"], counts: Int[np.ndarray, "s"]) -> Plateaus:
    """Return the stretches of equal counts."""
    changes = np.concatenate([[0], np.flatnonzero(np.diff(counts)) + 1])
    start = times[changes]
    return Plateaus(counts[changes], start, np.concatenate([start[1:], times[-1:]]))


def lifetimes(found: list[Plateaus], ratio: float, level: float) -> Lifetimes:
    """Return the dwell times by the number of clusters."""
    rows: dict[int, list[tuple[float, bool]]] = {}
    for one in found:
        keep = one.end >= ratio * np.where(one.start > 0, one.start, 1.0) if ratio > 1.0 else one.end >= one.start
        for count, dwell, censored in zip(one.counts[keep], one.dwell[keep], one.censored[keep], strict=True):
            rows.setdefault(int(count), []).append((float(dwell), bool(censored)))
    counts = sorted(rows, reverse=True)
    dwells = [np.array([dwell for dwell, _ in rows[count]]) for count in counts]
    censored = [np.array([lost for _, lost in rows[count]]) for count in counts]
    ends = [median_interval(d, c, level) for d, c in zip(dwells, censored, strict=True)]
    return Lifetimes(
        counts=np.array(counts),
        seen=np.array([len(d) for d in dwells]),
        ended=np.array([int((~c).sum()) for c in censored]),
        median=np.array([median(d, c) for d, c in zip(dwells, censored, strict=True)]),
        low=np.array([low for low, _ in ends]),
        high=np.array([high for _, high in ends]),
        level=float(level),
        paths=len(found),
    )


def median(dwell: Float[np.ndarray, "m"], censored: Bool[np.ndarray, "m"]) -> float:
    """Return where the Kaplan-Meier curve of survival falls to 1/2; infinite where it does not."""
    order = np.lexsort((censored, dwell))  # an end at the same time as a loss comes first
    at_risk = np.arange(len(dwell), 0, -1)
    survival = np.cumprod(np.where(censored[order], 1.0, 1.0 - 1.0 / at_risk))
    below = np.flatnonzero(survival <= 0.5 + 1e-12)
    return float(dwell[order][below[0]]) if len(below) else math.inf


def median_interval(
    dwell: Float[np.ndarray, "m"], censored: Bool[np.ndarray, "m"], level: float
) -> tuple[float, float]:
    """Return order statistics between which the median lies with at least this confidence, however dwells were lost.

    With fewer than k of m values below the median only with probability `P(Bin(m, 1/2) < k) <= (1 - level)/2`.
    """
    m = len(dwell)
    tail = np.cumsum([math.comb(m, j) for j in range(m + 1)]) / 2.0**m  # P(Bin <= j)
    k = int(np.searchsorted(tail, (1.0 - level) / 2.0, side="right"))  # the k-th smallest and the k-th largest
    if k == 0:
        return 0.0, math.inf
    ended_at_once = np.sort(dwell)
    never_ended = np.sort(np.where(censored, np.inf, dwell))
    return float(ended_at_once[k - 1]), float(never_ended[m - k])

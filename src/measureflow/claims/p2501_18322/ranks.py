"""The rank at which covariances end: counted by size, in every run, beside the count with an absolute tolerance."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.figures import figure
from measureflow.claims.p2501_18322.instances import BATCH, OwnClock, together
from measureflow.paths.style import ACCENT, MUTED, THEORY, caption
from measureflow.paths.style import figure as sheet

PAPER = "2501.18322"
DIMENSIONS = (3, 4, 5)
WIDEST = 5
#: the released script's absolute tolerance
ABSOLUTE = 0.1


def rank_that_stays(before: Any, after: Any) -> np.ndarray:
    """Return the number of eigenvalues that fell by less than half while time grew tenfold; what dies falls tenfold.

    It does not ask how large they are: limits with axes of 1e-5 of the largest are no exception.
    """
    return ((np.asarray(after) > 0.5 * np.asarray(before)) & (np.asarray(after) > 0)).sum(axis=-1)


def absolute_rank(before: Any, after: Any) -> np.ndarray:
    """Return the number of eigenvalues above the released script's absolute tolerance of 0.1."""
    return (np.asarray(after) > ABSOLUTE).sum(axis=-1)


def padded(matrices: list[np.ndarray], rows: int = WIDEST) -> np.ndarray:
    """Return matrices as corners of larger ones: the law stays in its coordinates, since the rank never grows."""
    wide = np.zeros((len(matrices), rows, WIDEST))
    for place, matrix in zip(wide, matrices, strict=True):
        place[: matrix.shape[0], : matrix.shape[1]] = matrix
    return wide


def two_scores(beta: Any, query: Any, values: Any) -> mf.Field:
    """Return heads with both scores and K = -Q, of which the values say which moves anything."""
    scores = ("dot", "l2")
    heads = [
        mf.SelfAttention(beta, query=query, key=-query, value=values[k], score=score) for k, score in enumerate(scores)
    ]
    return mf.MultiHead(heads)


class Ends(eqx.Module):
    """Where runs ended.

    Attributes:
        d: `(r,)` dimensions; before, after: `(r, 5)` eigenvalues at a tenth of the last time and at that, of which the
            last d are the law's.
        followed: which were followed to the end.
    """

    d: np.ndarray
    before: np.ndarray
    after: np.ndarray
    followed: np.ndarray

    @property
    def decided(self) -> np.ndarray:
        """Which runs are near their limit: every eigenvalue stays within 5 %, or has fallen to less than a fifth."""
        share = np.where(self.before > 0, self.after / np.maximum(self.before, 1e-300), 1.0)
        return self.followed & ((np.abs(share - 1) < 0.05) | (share < 0.2)).all(axis=1)


def ends(score: Any, covs: list[Any], queries: list[Any], values: list[Any], until: float) -> Ends:
    """Move laws of several dimensions towards their limits, by one program; beta is 1/sqrt(d), as published."""
    d = np.array([len(cov) for cov in covs])
    wide = padded(values)
    scores = np.broadcast_to(np.asarray(score), d.shape)
    shares = np.stack([np.where((scores == one)[:, None, None], wide, 0.0) for one in ("dot", "l2")], axis=1)
    heads = jax.vmap(two_scores)(1.0 / np.sqrt(d), padded(queries, WIDEST // 2), shares)
    times = np.array([until / 10, until])
    # products that cancel in the limit are rounded: a sharper solver would take that for an error of its own
    found = together(padded(covs), OwnClock(heads, np.zeros(len(d))), times, rtol=1e-7)
    values_found = np.maximum(np.linalg.eigvalsh(found.cov), 0.0)
    return Ends(d, values_found[:, 0], values_found[:, 1], found.finished)


def published(count: int, kind: str, score: str) -> tuple[list[Any], list[Any], list[Any]]:
    """Return covariances, queries and values as the released script draws them, the first `count` of each dimension.

    Its seeds: 40 for Q, 26 or 27 for W with V = W^T W, and 41 for the starts, anew for each dimension.
    """
    old = np.random.RandomState
    of_query, of_value = old(40), old(26 if score == "dot" else 27)
    queries = [[of_query.randn(d // 2, d) for _ in range(100)] for d in DIMENSIONS]
    roots = [[of_value.randn(d, d) for _ in range(100)] for d in DIMENSIONS]
    starts = [[start.randn(d, d) for _ in range(100)] for d, start in ((d, old(41)) for d in DIMENSIONS)]
    values = [[root.T @ root if kind == "random" else np.eye(len(root)) for root in group] for group in roots]
    covs = [[start @ start.T for start in group] for group in starts]
    flat = [[one for group in groups for one in group[:count]] for groups in (covs, queries, values)]
    return flat[0], flat[1], flat[2]


def spectral(generator: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Draw a matrix whose singular values lie in [0.5, 2], so that no run is slow."""
    left, _, right = np.linalg.svd(generator.normal(size=(rows, columns)), full_matrices=False)
    return left * generator.uniform(0.5, 2.0, rows) @ right


@claim(
    PAPER,
    "limit rank, V = I",
    covers=["T14", "5.3", "8"],
    status="derived",
    states={"limit": theory.limit_rank_of_gaussian, "rank": rank_that_stays},
    id="2501.18322/T14-rank",
)
def covariances_end_at_half_their_rank(case: Case) -> None:
    """With V = I and K = -Q of size floor(d/2) x d every covariance ends at rank ceil(d/2), in any unit of length."""
    found = runs_to_their_limits(case)
    case.require("all are near their limits", bool(found.decided.all()))
    ranks = case.statement.rank(found.before, found.after)
    stated = [case.statement.limit(int(d), int(d) // 2) for d in found.d]
    name, over = "rank at the end, softmax and L2", {"run": np.arange(1, BATCH + 1)}
    case.compare(ranks, stated, within=0.05, because="a rank is a whole number", name=name, over=over)


def runs_to_their_limits(case: Case) -> Ends:
    """Draw laws of several dimensions in a unit of length, and follow them to their limits."""
    generator, unit = case.generator("draws"), case.draw("unit", 0.01, 0.1, log=True)
    wanted = case.given("d", DIMENSIONS)
    case.require(f"dimensions from 2 to {WIDEST}", min(wanted) >= 2 and max(wanted) <= WIDEST)
    dimensions = np.resize(wanted, BATCH)
    scores = np.where(np.arange(BATCH) < BATCH // 2, "dot", "l2")
    roots = [spectral(generator, int(d), int(d)) for d in dimensions]
    queries = [spectral(generator, int(d) // 2, int(d)) for d in dimensions]
    covs = [unit**2 * root @ root.T for root in roots]
    # the closed law is in units of S and t: a smaller law takes longer
    until = case.given("until", 1e6) / unit**2
    return case.measure(ends, scores, covs, queries, [np.eye(d) for d in dimensions], until)


@covariances_end_at_half_their_rank.figure
def eigenvalues_that_stay(case: Case, ax: Any) -> None:
    """Draw the eigenvalues of every run at the end, those that stay and those that die, with the old tolerance."""
    found = runs_to_their_limits(case)
    stays = found.after > 0.5 * found.before
    for run, d in enumerate(found.d):
        values, kept = found.after[run, -d:], stays[run, -d:]
        ax.plot(np.full(kept.sum(), run + 1), values[kept], "o", color=ACCENT[0], ms=8, label=None if run else "stays")
        died = np.maximum(values[~kept], 1e-18)
        ax.plot(np.full(len(died), run + 1), died, "o", color=MUTED, mfc="none", ms=8, label=None if run else "dies")
    ax.axhline(ABSOLUTE, color=MUTED, ls=":", label="tolerance of the released script")
    # above the line the stated number of eigenvalues
    edges = [np.sqrt(row[-k] * max(row[-k - 1], 1e-18)) for row, k in zip(found.after, -(-found.d // 2), strict=True)]
    ax.plot(np.arange(1, BATCH + 1), edges, "_", color=THEORY, ms=18, mew=2, label=r"stated: $\lceil d/2\rceil$ above")
    ax.set_xticks(
        range(1, BATCH + 1), [f"{'softmax' if k < BATCH // 2 else 'L2'}\nd = {d}" for k, d in enumerate(found.d)]
    )
    ax.tick_params(axis="x", labelsize=8)
    ax.set(yscale="log", ylabel="eigenvalues of $S$ at the end")
    ax.set_ylim(top=1e3 * max(found.after.max(), ABSOLUTE))
    ax.set_title(f"V = I, K = -Q, unit of length {case.instance['unit']:.3g}", fontsize=11, loc="left")
    ax.legend(fontsize=8.5, ncols=2, loc="upper right")


@covariances_end_at_half_their_rank.mutation("limit")
def rounded_down(d: int, rows: int) -> int:
    """The limit rank is floor(d/2)."""
    return d // 2


@covariances_end_at_half_their_rank.mutation("limit")
def rank_of_the_start(d: int, rows: int) -> int:
    """The rank stays what it is, as for every finite time."""
    return d


@covariances_end_at_half_their_rank.mutation("rank")
def absolute_tolerance_of_the_released_script(before: Any, after: Any) -> Any:
    """As the released script has it: eigenvalues above 0.1 are counted."""
    return absolute_rank(before, after)


@figure(PAPER, "rank histograms", title="the rank at which covariances end")
def rank_histograms(case: Case) -> Any:
    """d = 3, 4, 5, K = -Q of size floor(d/2) x d, V = I or W^T W, softmax and L2, 100 published draws of each.

    Every run is counted (the released script draws again where a run is slow, and leaves out ranks above ceil(d/2)), at
    t = 1e6. Filled: eigenvalues that stay, of whatever size. Outlined: above 0.1 as published, which calls small axes
    flat. L2 attention has beta on both of its terms. At tier smoke 2 draws of each, to t = 1e3.
    """
    count = case.given("draws", {"smoke": 2, "standard": 25, "full": 100}[case.tier])
    until = case.given("t", {"smoke": 1e3, "standard": 1e5, "full": 1e6}[case.tier])
    drawing = sheet(12.5, 9.6)
    rows = [(score, kind) for score in ("dot", "l2") for kind in ("identity", "random")]
    for (score, kind), axes in zip(rows, drawing.subplots(4, 3, sharey=True), strict=True):
        found = ends(score, *published(count, kind, score), until)
        for d, ax in zip(DIMENSIONS, axes, strict=True):
            own = found.d == d
            seen, places = (found.before[own], found.after[own]), np.arange(d + 1)
            ranks, old = (np.bincount(rank(*seen), minlength=d + 1) for rank in (rank_that_stays, absolute_rank))
            ax.bar(places, ranks, width=0.62, color=ACCENT[1], label="eigenvalues that stay")
            ax.bar(places, old, width=0.82, fill=False, edgecolor=ACCENT[0], lw=1.4, label="above 0.1, as published")
            half = theory.limit_rank_of_gaussian(d, d // 2)
            ax.axvline(half, color=THEORY, ls=(0, (5, 3)), lw=1.2, label=r"$\lceil d/2\rceil$")
            moving = int((~found.decided[own]).sum())
            name = "softmax" if score == "dot" else "L2"
            said = f", {moving} still move" if moving else ""
            ax.set_title(rf"{name}, $V = {'I' if kind == 'identity' else r'W^TW'}$, $d = {d}${said}", fontsize=11)
            ax.set_xticks(places)
        axes[0].set_ylabel("runs")
    for ax in drawing.axes[-3:]:
        ax.set_xlabel("rank")
    drawing.axes[0].legend(fontsize=9, loc="upper left")
    caption(drawing, f"arXiv:{PAPER}: {count} published draws of each kind, every run counted, at t = {until:g}")
    return drawing

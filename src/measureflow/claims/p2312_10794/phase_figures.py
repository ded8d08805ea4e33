"""The figures of arXiv:2312.10794: phase diagrams with their limit curve, and clusters on the circle."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.figures import figure
from measureflow.claims.p2312_10794.phase_diagrams import DELTA, TIMES, attention, clouds, shares, stepped
from measureflow.claims.published import normalised_steps, rings
from measureflow.paths.style import INK, MAP, MUTED, THEORY, caption, shades
from measureflow.paths.style import figure as sheet

__all__ = ["Cells", "panel", "pooled"]

PAPER = "2312.10794"
#: how a globe is tipped, so that its front is not all that one sees
TILT = np.array([[1.0, 0.0, 0.0], [0.0, 0.8, 0.6], [0.0, -0.6, 0.8]])
#: the published number of times
CHECKPOINTS = 200
#: clouds of the published draws, one pair of which counts; ours are added so many at a time
PUBLISHED, MORE = 1024, 128


def loose(*, joins: bool = False) -> mf.Adaptive:
    """Return steps good enough for a picture: no probability is off by a thousandth.

    Under USA tokens that have met are joined, since their rate of e^beta would hold steps short.
    """
    return mf.Adaptive(rtol=1e-4, atol=1e-6, coarsen=joins, dense=True)


def sizes(case: Case) -> tuple[int, int, np.ndarray, int]:
    """Return tokens, the most clouds, betas and times of a tier, or as they were set.

    All pairs of a cloud count, and clouds are added as long as one pair of each of the 2^10 published draws is more
    exact in any cell: where the tokens of a cloud all meet at once they are one pair, and no fewer clouds will do.
    """
    tier = case.tier
    lowest = case.given("lowest beta", 0.1)
    highest = case.given("highest beta", {"smoke": 6.0, "standard": 8.5, "full": 9.0}[tier])
    betas = np.linspace(lowest, highest, case.given("betas", {"smoke": 5, "standard": 15, "full": 90}[tier]))
    clouds = case.given("clouds", PUBLISHED if tier == "full" else 64)
    return case.given("n", 8 if tier == "smoke" else 32), clouds, betas, TIMES if tier == "smoke" else CHECKPOINTS


#: an error that is not seen: one of the colour map's 256 shades
SHADE = 1 / 256


def as_exact_as_published(share: np.ndarray) -> bool:
    """Tell whether no cell's standard error, between clouds, is larger than that of one pair of each published cloud.

    An error of a shade is none: where few clouds have met at all, an error is not known better.
    """
    p, error = share.mean(axis=0), share.std(axis=0, ddof=1) / math.sqrt(len(share))
    return bool((error <= np.maximum(np.sqrt(p * (1 - p) / PUBLISHED), SHADE)).all())


def pooled(more: Callable[[int], np.ndarray], most: int) -> np.ndarray:
    """Return the mean over clouds of the share of all pairs; clouds are added until it is exact, or there are `most`.

    Main arguments:
        more: returns the shares of the clouds from a number on, as many as are moved at a time.
    """
    share = more(0)
    while len(share) < most and not as_exact_as_published(share):
        share = np.concatenate([share, more(len(share))])
    return share.mean(axis=0)


class Cells(NamedTuple):
    """A panel: P(rho >= 1 - delta) over betas and times by flows, and by the published scheme over some of them."""

    times: np.ndarray
    betas: np.ndarray
    exact: np.ndarray
    some: np.ndarray
    published: np.ndarray


#: clouds of the published scheme, whose front is a line: every third beta serves it as well
OVERLAID, THIRD = 64, 3


def probabilities(case: Case, d: int, until: float, weighting: str = "softmax") -> Cells:
    """Return a panel with the identity as matrices."""
    n, replicas, betas, count = sizes(case)
    times = np.linspace(0.0, until, count)
    points = clouds(case.generator(f"clouds {d}"), replicas, n=n, d=d)
    if case.tier != "smoke":  # the smallest clouds of all dimensions share a program instead
        points = points[..., :d]
    solver = loose(joins=weighting == "unnormalised")

    def more(beta: float, first: int) -> np.ndarray:
        return shares(points[first : first + MORE], attention(beta, weighting), times, solver=solver)

    exact = [pooled(lambda first, beta=float(beta): more(beta, first), replicas) for beta in betas]
    some, published = betas[:: THIRD if case.tier == "full" else 1], []
    for beta in some:
        step = 0.1 if weighting == "softmax" else 0.1 / max(math.sqrt(beta) * math.exp(beta - 0.5), 1.0)
        if step > 1e-3 * until:  # more than a thousand steps are no overlay but a run
            few = points[:OVERLAID]
            share = stepped(few, float(beta), times, scheme="euler", step=step, weighting=weighting)
            published.append(share.mean(axis=0))
    return Cells(times, betas, np.array(exact), some[: len(published)], np.array(published))


def panel(ax: Any, cells: Cells) -> Any:
    """Draw a phase diagram, and the front of the published scheme as a thin line."""
    times, betas, exact, some, published = cells
    image = ax.pcolormesh(times, betas, exact, vmin=0, vmax=1, cmap=MAP, shading="nearest", rasterized=True)
    if len(published) > 1 and published.min() < 0.5 < published.max():
        for colour, width, style in (("white", 2.4, "solid"), (INK, 1.0, "dotted")):  # seen on dark and on light
            ax.contour(times, some, published, levels=[0.5], colors=[colour], linewidths=width, linestyles=style)
    ax.set(xlim=(times[0], times[-1]), ylim=(betas[0], betas[-1]))
    return image


def finish(drawing: Any, axes: Any, image: Any, text: str, *, curve: bool = True) -> Any:
    """Label the panels, add the bar, the legend and the caption."""
    for ax in axes[-1]:
        ax.set_xlabel("time $t$")
    for ax in axes[:, 0]:
        ax.set_ylabel(r"$\beta$")
    drawing.colorbar(image, ax=axes, label=r"$P(\langle x_i, x_j\rangle \geq 1-\delta)$", shrink=0.9)
    marks = [axes[0, 0].plot([], [], "--", color=THEORY, label=r"limit curve $\Gamma_{\infty,\delta}$")[0]] * curve
    marks += axes[0, 0].plot([], [], ":", color=INK, lw=1.0, label=r"$P = \frac{1}{2}$ of the published steps")
    drawing.legend(handles=marks, loc="outside upper center", ncols=min(2, axes.shape[1]))
    caption(drawing, text)
    return drawing


@figure(
    PAPER,
    "Fig. 3",
    title="Phase diagrams: the front comes to the limit curve as the dimension grows",
    kind="png",
    also=("2512.01868",),
)
def phase_diagrams(case: Case) -> Any:
    """SA, n = 32, delta = 1e-3, d = 2, 8, 32, 128, 512, 1024, 90 betas of [0.1, 9], 200 times of [0, 30].

    Probability over all pairs of as many clouds as make no cell less exact than one pair of each of the 2^10 published
    draws, by flows with error control: 128 to 1024 of them. (Of 256 the standard error is 0.016 at d = 2, beta = 1;
    0.018 at d = 32, beta = 4; 0.026 at d = 1024, beta = 6, where all pairs of a cloud meet at once; one pair of 2^10
    clouds has at most 0.016.) The front of the published scheme, normalised Euler steps of 0.1, is dotted, from 64
    clouds at every third beta: its clock is slow by 5 %. A sharp front that comes to the limit curve as d grows, and a
    pale metastable zone for small d.
    """
    dims = case.given("dimensions", (2, 32, 512) if case.tier == "smoke" else (2, 8, 32, 128, 512, 1024))
    until = case.given("until", 12.0 if case.tier == "smoke" else 30.0)
    n, replicas, betas, _ = sizes(case)
    rows, columns = math.ceil(len(dims) / 3), min(3, len(dims))
    drawing = sheet(1.5 + 3.5 * columns, 1.6 + 3.1 * rows)
    axes = drawing.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    fine = np.linspace(betas[0], betas[-1], 200)
    image = None
    for ax in axes.flat[len(dims) :]:
        ax.axis("off")
    for ax, d in zip(axes.flat, dims, strict=False):
        image = panel(ax, probabilities(case, d, until))
        ax.plot(theory.clustering_time(fine, n=n, delta=DELTA), fine, "--", color=THEORY)
        ax.set_title(f"$d = {d}$")
    said = (
        f"SA, n = {n}, delta = {DELTA:g}, {len(betas)} betas, all pairs of up to {replicas} uniform clouds, rtol 1e-4"
    )
    return finish(drawing, axes, image, f"arXiv:{PAPER}, figure 3 ({case.tier}): {said}")


@figure(PAPER, "Fig. 3, USA", title="Phase diagrams of USA", kind="png", id=f"{PAPER}/fig-3-usa")
def phase_diagrams_without_denominator(case: Case) -> Any:
    """USA, as figure 3 in three of its dimensions, t in [0, 1]; published step 0.1/max(sqrt(beta) e^(beta - 1/2), 1).

    The same picture on a faster clock. The published scheme is dotted where it has up to a thousand steps.
    """
    dims = case.given("dimensions", (32,) if case.tier == "smoke" else (2, 32, 512))
    n, replicas, betas, _ = sizes(case)
    until = case.given("until", 2.0 if case.tier == "smoke" else 1.0)
    drawing = sheet(2.25 + 3.25 * len(dims), 4.7)
    axes = drawing.subplots(1, len(dims), sharex=True, sharey=True, squeeze=False)
    fine = np.linspace(betas[0], betas[-1], 200)
    image = None
    for ax, d in zip(axes.flat, dims, strict=True):
        image = panel(ax, probabilities(case, d, until, "unnormalised"))
        ax.plot(theory.clustering_time(fine, n=n, delta=DELTA, model="unnormalised"), fine, "--", color=THEORY)
        ax.set_title(f"$d = {d}$")
    said = (
        f"USA, n = {n}, delta = {DELTA:g}, {len(betas)} betas, all pairs of up to {replicas} uniform clouds, rtol 1e-4"
    )
    return finish(drawing, axes, image, f"arXiv:{PAPER}, USA ({case.tier}): {said}")


@figure(PAPER, "Fig. 4", title="Two and three clusters on the circle")
def clusters_on_the_circle(case: Case) -> Any:
    """SA, d = 2, n = 32, beta = 4 and 9, tokens at t = 2.5, 18, 30 (the panel labels of the paper say t = 0).

    One sees few clusters that stay: about two at beta = 4 and three at beta = 9. Rings: normalised steps of 0.1.
    """
    n, betas, times = case.given("n", 32), case.given("betas", (4.0, 9.0)), case.given("times", (2.5, 18.0, 30.0))
    points, times = clouds(case.generator("circle"), 1, n=n, d=2)[0][:, :3], np.array(times)
    drawing = sheet(1.0 + 2.5 * len(times), 0.7 + 2.8 * len(betas))
    axes = drawing.subplots(len(betas), len(times), squeeze=False)
    turn = np.linspace(0.0, 2 * np.pi, 200)
    for row, beta in zip(axes, betas, strict=True):
        # the circle is the equator of a sphere that tokens do not leave
        path = mf.flow(mf.Tokens(mf.Sphere(3), points), mf.SelfAttention(beta), until=times[-1], save=times)
        coarse = normalised_steps(points, 0.1, np.round(times / 0.1).astype(int), form=beta)
        for k, ax in enumerate(row):
            ax.plot(np.cos(turn), np.sin(turn), color="0.85", lw=1, zorder=0)
            ax.plot(*np.asarray(path.points[k])[:, :2].T, "o", ms=6, mfc="none", color=shades(2)[0])
            rings(ax, *coarse[k][:, :2].T, size=130, label="published steps of 0.1")
            count = int(path.clusters[k])
            ax.set_title(rf"$\beta = {beta:g}$, $t = {times[k]:g}$: {count} clusters", fontsize=11)
            ax.set(aspect="equal", xlim=(-1.15, 1.15), ylim=(-1.15, 1.15))
            ax.axis("off")
    drawing.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center")
    caption(drawing, f"arXiv:{PAPER}, figure 4: SA, n = {n} uniform tokens of the circle, clusters of cosine > 0.999")
    return drawing


@figure(PAPER, "Fig. 6", title="The function g of the Hessian on the circle")
def hessian_on_the_circle(case: Case) -> Any:
    """g(x) = (cos x - beta sin^2 x) e^(beta cos x), beta = 2 and 6: negative outside [-tau*, tau*]."""
    x, betas = np.linspace(-np.pi, np.pi, 600), case.given("betas", (2.0, 6.0))
    drawing = sheet(4.5 * len(betas), 3.8)
    for ax, beta in zip(drawing.subplots(1, len(betas), squeeze=False).flat, betas, strict=True):
        ax.plot(x, (np.cos(x) - beta * np.sin(x) ** 2) * np.exp(beta * np.cos(x)), color=shades(2)[0])
        # cos x = beta sin^2 x, a quadratic equation in cos x
        zero = math.acos((math.sqrt(1 + 4 * beta**2) - 1) / (2 * beta))
        for at in (-zero, zero):
            ax.axvline(at, ls="--", color=THEORY, lw=1.2)
        ax.axhline(0.0, color="0.8", lw=1, zorder=0)
        ax.set(xlabel="$x$", ylabel="$g(x)$", title=rf"$\beta = {beta:g}$, $\tau^* = {zero:.3f}$")
    caption(drawing, f"arXiv:{PAPER}, figure 6: g(x) = (cos x - beta sin^2 x) exp(beta cos x), zeros dashed")
    return drawing


@figure(PAPER, "Limit curve", title="The limit curve, and its inverse")
def limit_curve(case: Case) -> Any:
    """The curve of equiangular tokens, n = 32 (the published notebook's default is 128), delta = 1e-3, beta in [0, 9].

    Drawn by one quadrature for each beta; the notebook solves the equation anew for every point of a grid.
    """
    ns, delta, highest = case.given("n", (32, 128)), case.given("delta", DELTA), case.given("highest beta", 9.0)
    until, betas = case.given("until", 30.0), np.linspace(0.0, highest, 300)
    drawing = sheet(7.5, 4.8)
    ax = drawing.subplots()
    for n, shade in zip(ns, shades(len(ns)), strict=True):
        ax.plot(theory.clustering_time(betas, n=n, delta=delta), betas, color=shade, label=f"$n = {n}$")
    ax.set(
        xlim=(0, until),
        ylim=(0, highest),
        xlabel="time $t$",
        ylabel=r"$\beta$",
        title=r"$\gamma_\beta(t) = 1 - \delta$",
    )
    ax.legend(loc="lower right")
    caption(drawing, f"arXiv:{PAPER}, section 6: T_delta(beta, n), delta = {delta:g}")
    return drawing


@figure(PAPER, "Movie", title="Tokens of the sphere come together")
def sphere_movie(case: Case) -> Any:
    """SA, n = 64 (32 at the smoke tier), d = 3, beta = 1, t in [0, 15], as frames: all tokens meet in one point.

    Rings: the published normalised steps of 0.1, which lag a little behind.
    """
    n, beta = case.given("n", 32 if case.tier == "smoke" else 64), case.given("beta", 1.0)
    times = np.array([0.0, *case.given("times", (2.0, 5.0, 15.0))])
    points = clouds(case.generator("sphere"), 1, n=n, d=3)[0][:, :3]
    path = mf.flow(mf.Tokens(mf.Sphere(3), points), mf.SelfAttention(beta), until=times[-1], save=times)
    coarse = normalised_steps(points, 0.1, np.round(times / 0.1).astype(int), form=beta)
    # seen from above the place where they meet
    pole = np.asarray(path.points[-1]).mean(axis=0)
    turn = np.linalg.svd(np.eye(3) - np.outer(pole, pole) / (pole @ pole))[0][:, :2]
    turn = np.column_stack([turn, pole / np.linalg.norm(pole)]) @ TILT
    drawing = sheet(3.0 * len(times), 3.7)
    axes = drawing.subplots(1, len(times))
    for k, ax in enumerate(axes):
        x, y, depth = (np.asarray(path.points[min(k, len(path) - 1)]) @ turn).T
        if k:
            rings(ax, *(coarse[k] @ turn)[:, :2].T, size=70, label="published steps of 0.1")
        ax.add_patch(_disc())
        for front, size, shade in ((depth < 0, 5, "0.7"), (depth >= 0, 8, shades(2)[0])):
            ax.plot(x[front], y[front], "o", ms=size, color=shade, alpha=0.8)
        ax.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), aspect="equal", title=f"$t = {times[k]:g}$")
        ax.axis("off")
    drawing.legend(*axes[-1].get_legend_handles_labels(), loc="outside upper center")
    said = f"SA, n = {n}, d = 3, beta = {beta:g}; the far half of the sphere is grey"
    caption(drawing, f"arXiv:{PAPER}, movies of the published code: {said}")
    return drawing


def _disc() -> Any:
    """Return the outline of a sphere."""
    from matplotlib.patches import Circle

    return Circle((0, 0), 1.0, fill=False, color=MUTED, lw=1)

"""The published figures of metastability, error-controlled, with the published fixed steps beside them."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.figures import figure
from measureflow.claims.instances import normalised
from measureflow.claims.p2410_06833.steps import SOLVER, climbed, tokens_at
from measureflow.claims.published import normalised_steps, overlay, rings
from measureflow.fields import Paced, SpeedOfEnergy, Unnormalised
from measureflow.paths.style import ACCENT, FAINT, MUTED, THEORY, caption, shades
from measureflow.paths.style import figure as sheet
from measureflow.paths.timelines import angles as draw_angles

#: the start of the published film
FILM = np.array(
    [[0.99806638, 0.06215705], [0.97712061, 0.21268594], [-0.24578194, 0.96932515], [-0.97354734, 0.2284854],
     [-0.99892629, -0.04632772]]
)  # fmt: skip
#: the start of the published staircase
START = 0.5 * np.array([0.0, 0.5, 2.0, 4.0, 7.0]) * np.log(2000.0) / np.sqrt(2000.0)


@figure("2410.06833", "Film", title="five tokens merge one after the other")
def film(case: Case) -> Any:
    """SA on the circle, n = 5, beta = 4, the published start, t up to 400: pairs merge quickly, then 3 -> 2 -> 1.

    Filled: error-controlled. Rings: normalised Euler steps of 0.1 as published, which lag a little behind.
    """
    beta, times = case.given("beta", 4.0), np.array(case.given("times", (0.0, 2.0, 10.0, 30.0, 60.0, 400.0)))
    tokens = mf.Tokens(mf.Sphere(2), normalised(FILM))
    path = mf.flow(tokens, mf.SelfAttention(beta), until=times[-1], save=times, solver=SOLVER)
    reached = np.searchsorted(np.asarray(path.times), times, side="right") - 1
    states, counts = np.asarray(path.points)[reached], np.round(times / 0.1).astype(int)
    coarse = normalised_steps(normalised(FILM), 0.1, counts, form=beta)
    rows, circle = -(-len(times) // 3), np.linspace(0.0, 2 * np.pi, 200)
    drawing, colours = sheet(11.0, 3.7 * rows), shades(5)
    places = drawing.subplots(rows, 3).ravel()
    for axes in places[len(times) :]:
        axes.axis("off")
    for k, axes in enumerate(places[: len(times)]):
        axes.plot(np.cos(circle), np.sin(circle), color=FAINT, lw=1)
        axes.scatter(*states[k].T, c=colours, s=90, zorder=3, label="error-controlled")
        rings(axes, *coarse[k].T, size=190, label="published steps of 0.1")
        axes.set(title=f"$t = {times[k]:g}$", aspect="equal", xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set_visible(False)
    drawing.axes[0].legend(loc="center", fontsize=10)
    said = f"SA on the circle, n = 5, beta = {beta:g}, published start; normalised Euler of step 0.1"
    caption(drawing, f"arXiv:2410.06833: {said}")
    return drawing


def published(start: np.ndarray, beta: float, step: float, until: float) -> tuple[np.ndarray, np.ndarray]:
    """Return rescaled times and energies of the published scheme: steps of one length along the gradient of USA*.

    Tokens nearer than 1e-3 are identified once the gradient is below 1e-5.
    """
    n = len(start)
    theta, group = start.copy(), np.arange(n)
    stride = max(1, round(until / step / 400))
    times, energies = [], []
    for k in range(round(until / step)):
        apart = theta[None, :] - theta[:, None]
        kernel = np.exp(beta * (np.cos(apart) - 1.0))
        gradient = (kernel * np.sin(apart)).sum(axis=1) / n**2
        norm = np.sqrt(gradient @ gradient)
        if k % stride == 0:
            times.append(k * step)
            energies.append(kernel.mean())
        if norm < 1e-5:
            group = np.array([np.flatnonzero(np.abs(row) < 1e-3)[0] for row in apart])
            theta = np.array([theta[group == g].mean() for g in group])
            apart = theta[None, :] - theta[:, None]
            gradient = (np.exp(beta * (np.cos(apart) - 1.0)) * np.sin(apart)).sum(axis=1) / n**2
            norm = np.sqrt(gradient @ gradient)
        if norm == 0.0:
            break
        theta = theta + step * np.log(beta) * gradient / norm
    return np.array(times), np.array(energies)


@figure("2410.06833", "Staircase", title="the energy as a staircase", also=("2512.01868",))
def rainbow(case: Case) -> Any:
    """USA* on the circle, n = 5, published start, beta from 500 to 4000: plateaus and jumps, sharper for larger beta.

    Left: modified USA* in the clock of the nearest pair, with the predicted energy of the largest beta and its levels.
    Right: unmodified USA* in the clock log beta/|grad E| of the published script, error-controlled, and the script's
    own steps of fixed length 1e-5, dashed: of its 1e6 steps the first 14,000, at whose end all is one cluster.
    """
    usual = {"smoke": (2000.0,)}.get(case.tier, (500.0, 1000.0, 1500.0, 2000.0, 3000.0, 4000.0))
    betas, start = case.given("betas", usual), np.array(case.given("angles", tuple(START.tolist())))
    n, step = len(start), 1e-5
    drawing = sheet(11.0, 5.2)
    left, right = drawing.subplots(1, 2, sharey=True)
    for beta, colour in zip(betas, shades(len(betas), 0.3, 0.9), strict=True):
        run = mf.flows.stairs(tokens_at(start), beta, save=30, solver=SOLVER)
        left.plot(n * run.times, run.energy, color=colour, label=rf"$\beta={beta:g}$")
        field = Paced(mf.SelfAttention(beta, weighting=Unnormalised(shifted=True)), SpeedOfEnergy(beta))
        save = np.linspace(0.0, 0.06, 200)
        path = mf.flow(tokens_at(start), field, until=0.06, save=save)
        # per derivative by angles of n tokens the clock is longer by sqrt(n), see SpeedOfEnergy
        times = np.sqrt(n) * np.asarray(path.times)
        right.plot(times, np.asarray(mf.observe.energy(path, beta=beta)), color=colour)
        overlay(
            right, *published(start, beta, step, 0.14), label="published steps of 1e-5" if beta == betas[0] else None
        )
    levels = theory.staircase(start, beta=betas[-1])
    ends = n * np.cumsum([0.0, *(stair.length for stair in levels)])
    heights = 1.0 / n + np.cumsum([0.0, *(stair.jump for stair in levels)])
    times, energies = climbed(start, np.full(n, 1.0 / n), betas[-1])
    left.plot(n * times, energies, "--", color=THEORY, lw=1.4, label=rf"predicted, $\beta={betas[-1]:g}$")
    left.step(ends, heights, ":", where="post", color=MUTED, lw=1.2, label="levels at the meetings")
    left.set(xlabel=r"rescaled time $s$ (nearest pair)", ylabel=r"energy $\bar E$")
    right.set(xlabel=r"rescaled time $s$ (clock $\log\beta/|\nabla E|$)")
    left.legend(loc="upper left")
    right.legend(loc="lower right")
    caption(drawing, f"arXiv:2410.06833: circle, n = {n}, USA* with 1/n^2; steps 2 w_i w_j / n^2")
    return drawing


@figure("2410.06833", "Escape", title="when a metastable state breaks, predicted")
def escape(case: Case) -> Any:
    """Angles of SA on the circle over time, with predicted times: no fit.

    Left: three equal clusters with noise of 1e-3, beta = 9, and the escape time log(1/noise)/sigma. Right: uniform
    tokens, beta = 12, and after each merge the time at which the nearest pair of clusters is due.
    """
    noise, n = case.given("noise", 1e-3), case.given("n", {"smoke": 12}.get(case.tier, 40))
    cold, colder = case.given("beta of three clusters", 9.0), case.given("beta", 12.0)
    drawing = sheet(11.0, 5.0)
    left, right = drawing.subplots(1, 2)
    turns = 2 * np.pi * np.arange(3) / 3
    mode = np.array([1.0, -0.5, -0.5])
    three = tokens_at(turns + noise * mode / np.linalg.norm(mode))
    draw_angles(mf.flow(three, mf.SelfAttention(cold), until=1e9, save=300), left)
    due = theory.escape_time(3, beta=cold, noise=noise)
    left.axvline(due, color=THEORY, ls="--", lw=1.5, label=r"$\sigma^{-1}\log(1/\mathrm{noise})$")
    start = case.generator("uniform").uniform(0.0, 2 * np.pi, n)
    path = mf.flow(tokens_at(start), mf.SelfAttention(colder), until=1e12, save=300)
    draw_angles(path, right)
    for k, moment in enumerate(due_merges(path, colder)):
        right.axvline(moment, color=THEORY, ls="--", lw=1.2, label="nearest pair due" if k == 0 else None)
    for axes in (left, right):
        axes.set(xscale="log", xlabel="time $t$")
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)  # above: any draw fills the height
    left.set_title(rf"three clusters, $\beta={cold:g}$", loc="left")
    left.set(xlim=(1e-2 * due, 1e3 * due))
    right.set_title(rf"{n} uniform tokens, $\beta={colder:g}$", loc="left")
    right.set(xlim=(1.0, 10 * float(path.times[-1])))
    caption(drawing, "SA on the circle; dashed: predicted from the state at the beginning of each plateau")
    return drawing


def due_merges(path: mf.Path, beta: float) -> list[float]:
    """Return when the nearest pair of clusters is due, as seen from the beginning of each lasting plateau."""
    due, times = [], np.asarray(path.times)
    for count, begin in zip(
        *(getattr(mf.observe.plateaus(path, ratio=3.0), name) for name in ("counts", "start")), strict=True
    ):
        k = int(np.searchsorted(times, begin, side="right"))
        if count < 2 or k >= len(times) or begin < 5.0:
            continue
        points, weights = np.asarray(path.points)[k], np.asarray(path.weights)[k]
        heavy = np.flatnonzero(weights > 0)
        cosines = points[heavy] @ points[heavy].T
        cosines = np.where(cosines > 0.99, -2.0, cosines)  # those are about to merge
        one, two = np.unravel_index(int(cosines.argmax()), cosines.shape)
        pair = weights[heavy[[one, two]]]
        due.append(times[k] + merge_time_of_pair(beta, float(cosines[one, two]), pair))
    return due


def merge_time_of_pair(beta: float, cosine: float, pair: np.ndarray) -> float:
    """Return the merge time of two clusters of any masses: SA sees only their ratio."""
    return theory.merge_time(beta=beta, start=cosine, masses=pair / pair.sum(), end=0.999)


#: clouds for each mean number of clusters
DRAWS = {"smoke": 2, "standard": 12, "full": 48}


@figure("2410.06833", "Counts", title="how many clusters there are at first", kind="png")
def counts(case: Case) -> Any:
    """Mean number of clusters of uniform tokens under SA at t = 10 against beta, on the circle and on S^2.

    Tokens nearer than half of beta^(-1/2) in a chain are one cluster. Dashed: the modes of a kernel density,
    sqrt(3 beta/2) and beta/sqrt(3); dotted: the wave of fastest growth, sqrt(2 beta) on the circle.
    """
    many = (4.0, 9.0, 16.0, 25.0, 50.0, 100.0)
    n, draws = case.given("n", 60 if case.tier == "smoke" else 400), case.given("draws", DRAWS[case.tier])
    betas = case.given("betas", {"smoke": (4.0, 16.0), "standard": many}.get(case.tier, (*many, 200.0)))
    until = case.given("t", 10.0)
    drawing, fine = sheet(11.0, 5.0), np.geomspace(betas[0], betas[-1], 100)
    for d, axes in zip((2, 3), drawing.subplots(1, 2), strict=True):
        seen = np.array([[counted(case, d, n, beta, k, until) for k in range(draws)] for beta in betas])
        error = seen.std(axis=1) / np.sqrt(max(draws - 1, 1))
        axes.errorbar(betas, seen.mean(axis=1), error, fmt="o", color=ACCENT[0], label=f"SA, $t={until:g}$, $n={n}$")
        modes = np.sqrt(1.5 * fine) if d == 2 else fine / np.sqrt(3.0)
        label = r"modes of a density, $\sqrt{3\beta/2}$" if d == 2 else r"modes of a density, $\beta/\sqrt{3}$"
        axes.plot(fine, modes, "--", color=THEORY, label=label)
        if d == 2:
            axes.plot(fine, np.sqrt(2.0 * fine), ":", color=MUTED, label=r"fastest wave, $\sqrt{2\beta}$")
        axes.set(
            xscale="log", yscale="log", xlabel=r"$\beta$", ylabel="clusters", title="circle" if d == 2 else r"$S^2$"
        )
        plain_ticks(axes, betas)
        axes.legend(loc="upper left")
    caption(drawing, f"uniform tokens under SA, t = {until:g}, {draws} draws each; bars: one standard error")
    return drawing


def plain_ticks(axes: Any, betas: tuple[float, ...]) -> None:
    """Label the logarithmic axes by whole numbers."""
    from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

    low, high = axes.get_ylim()
    whole = [k for k in (1, 2, 3, 5, 10, 20, 30, 50, 100) if low <= k <= high]
    for axis, places in ((axes.xaxis, betas), (axes.yaxis, whole)):
        axis.set_major_locator(FixedLocator(places))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(ScalarFormatter())


def counted(case: Case, d: int, n: int, beta: float, draw: int, until: float) -> int:
    """Return the number of clusters at a time."""
    points = normalised(case.generator(f"counts {d} {draw}").normal(size=(n, d)))
    path = mf.flow(mf.Tokens(mf.Sphere(d), points), mf.SelfAttention(beta), until=until, save=[until],
                   solver=mf.Adaptive(rtol=1e-6, atol=1e-8, coarsen=False))  # fmt: skip
    return int(mf.observe.clusters(path, delta=0.125 / beta).count[-1])

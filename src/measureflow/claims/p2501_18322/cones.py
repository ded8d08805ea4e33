"""The published pictures: 2 x 2 covariances as points (a - b, 2c, a + b) of their cone, moved by every attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from measureflow.claims.case import Case
from measureflow.claims.figures import figure
from measureflow.claims.p2501_18322.instances import BATCH, SAVED, Orbits, orbits
from measureflow.paths.style import FAINT, INK, THEORY, caption, shades
from measureflow.paths.style import figure as sheet

PAPER = "2501.18322"
NAMES = {"softmax": "softmax", "two heads": "two heads", "l2": "L2", "sinkhorn": "Sinkhorn"}
#: softmax and L2 logits are divided by the root of the dimension of a head: 2, and 1 for two heads; Sinkhorn's are not
BETAS = {"softmax": 2**-0.5, "two heads": 1.0, "l2": 2**-0.5, "sinkhorn": 1.0}
#: pictures need no more digits
RTOL = 1e-6
#: beyond this trace a run has left the picture, as published
LARGEST = 1e3


def grid(case: Case, count: int, reach: float) -> np.ndarray:
    """Return the covariances of trace 1 on a square grid; eight of a coarser one at tier smoke."""
    count = {"smoke": min(count, 3), "standard": min(count, 12), "full": count}[case.tier]
    u, w = (axis.ravel() for axis in np.meshgrid(*[np.linspace(-reach, reach, count + 2 * (reach == 1.0))] * 2))
    inside = u**2 + w**2 < 1
    starts = matrices(np.stack([u, w, np.ones_like(u)], axis=-1)[inside])
    return starts[:BATCH] if case.tier == "smoke" else starts


def matrices(coordinates: np.ndarray) -> np.ndarray:
    """Return the matrices at the coordinates (a - b, 2c, a + b)."""
    u, w, v = np.moveaxis(coordinates, -1, 0)
    return 0.5 * np.stack([np.stack([v + u, w], -1), np.stack([w, v - u], -1)], -2)


def coordinates_of(cov: np.ndarray) -> np.ndarray:
    """Return the coordinates (a - b, 2c, a + b) of symmetric matrices."""
    a, b, c = cov[..., 0, 0], cov[..., 1, 1], cov[..., 1, 0]
    return np.stack([a - b, 2 * c, a + b], axis=-1)


def drawn_until(generator: Any, accept: Callable[[np.ndarray], bool]) -> tuple[np.ndarray, np.ndarray]:
    """Draw Q and K until the eigenvalues of A + A^T are accepted, as the released script does."""
    while True:
        query, key = generator.randn(2, 2), generator.randn(2, 2)
        form = key.T @ query
        if accept(np.linalg.eigvalsh(form + form.T)):
            return query, key


def curves(found: Orbits) -> list[np.ndarray]:
    """Return the coordinates along every run, up to where it leaves the picture."""
    rows = coordinates_of(found.cov)
    return [row[: max(2, int((row[:, 2] <= LARGEST).argmin() or len(row)))] for row in rows]


def in_order(rows: list[np.ndarray]) -> np.ndarray:
    """Return a colour for every run, by the height at which it starts."""
    return shades(len(rows))[np.argsort(np.argsort([row[0, 1] for row in rows]))]


def panel_in_cone(axes: Any, found: Orbits, title: str, ray: np.ndarray | None = None) -> None:
    """Draw the runs inside the cone, with their ends, and a ray that is predicted."""
    from mpl_toolkits.mplot3d.art3d import Line3DCollection

    rows = curves(found)
    top = max(float(row[:, 2].max()) for row in rows)
    turn, height = np.meshgrid(np.linspace(0, 2 * np.pi, 60), np.linspace(0, top, 8))
    axes.plot_surface(height * np.cos(turn), height * np.sin(turn), height, color=FAINT, alpha=0.25, lw=0)
    colours = in_order(rows)
    # one collection for all runs: a line each takes minutes
    axes.add_collection3d(Line3DCollection(rows, colors=colours, linewidths=1.0, alpha=0.8))
    axes.scatter(*np.stack([row[-1] for row in rows]).T, c=colours, s=9, depthshade=False)
    if ray is not None:
        end = coordinates_of(np.outer(ray, ray)) * top / float(ray @ ray)
        axes.plot(*np.stack([0 * end, end]).T, color=THEORY, ls=(0, (5, 3)), lw=1.6, label="predicted")
        axes.legend(loc="upper right")
    axes.set(xlabel="$a - b$", ylabel="$2c$", zlabel="$a + b$", title=title)
    axes.tick_params(labelsize=7)
    axes.locator_params(nbins=5)


def panel_in_disc(axes: Any, found: Orbits, title: str, directions: Any = ()) -> None:
    """Draw S / tr S of the runs in the unit disc: ends of runs that grow for ever filled, of others open."""
    from matplotlib.collections import LineCollection

    turn = np.linspace(0, 2 * np.pi, 200)
    axes.plot(np.cos(turn), np.sin(turn), color=INK, lw=0.8)
    rows = curves(found)
    colours = in_order(rows)
    flat = [row[:, :2] / row[:, 2:] for row in rows]
    axes.add_collection(LineCollection(flat, colors=colours, linewidths=0.9, alpha=0.7))
    grows = np.array([row[-1, 2] > 10 for row in rows])
    for which, inside in ((grows, colours[grows]), (~grows, "none")):
        ends = np.array([one[-1] for one in flat])[which]
        axes.scatter(*ends.T, s=14, zorder=3, facecolors=inside, edgecolors=colours[which])
    for direction in directions:
        place = coordinates_of(np.outer(direction, direction)) / float(direction @ direction)
        axes.scatter(*place[:2], marker="x", s=70, color=THEORY, zorder=4, label="predicted")
    if len(directions):
        axes.legend(loc="lower left")
    axes.set(xlabel="$(a - b)/(a + b)$", ylabel="$2c/(a + b)$", title=title, aspect="equal")


def clock(case: Case, until: float) -> np.ndarray:
    """Return saved times on the laws' own clocks, so near beyond the tier smoke that trajectories have no corners."""
    return np.concatenate([[0.0], np.geomspace(0.02, until, (1 if case.tier == "smoke" else 3) * SAVED - 1)])


def draws(case: Case) -> str:
    """Say where the matrices come from."""
    return "matrices of other seeds" if any("seed" in name for name in case.parameters) else "released draws"


def cones(count: int) -> tuple[Any, list[Any]]:
    """Return a sheet of so many cones."""
    columns = 2 if count == 4 else count
    drawing = sheet(5.6 * columns, 4.9 * (count // columns))
    views = [drawing.add_subplot(count // columns, columns, k + 1, projection="3d") for k in range(count)]
    for view in views:
        view.view_init(azim=-60, elev=20)
    return drawing, views


@figure(PAPER, "to zero", title="every covariance falls to zero")
def to_zero(case: Case) -> Any:
    """Q of U[0, 1], K = -Q, V = W W^T (seed 35), a 10 x 10 grid: all trajectories go to the apex of the cone."""
    generator = np.random.RandomState(case.given("seed of the matrices", 35))
    query, root = generator.rand(2, 2), generator.randn(2, 2)
    starts = grid(case, case.given("grid", 10), 0.5)
    drawing, views = cones(4)
    for axes, kind in zip(views, NAMES, strict=True):
        found = orbits(
            kind, starts, query, -query, root @ root.T, clock(case, 40.0), beta=BETAS[kind], own_clock=True, rtol=RTOL
        )
        panel_in_cone(axes, found, NAMES[kind])
    caption(drawing, f"arXiv:{PAPER}: K = -Q, V = W W^T, {draws(case)}; dots: ends")
    return drawing


def unit_row(case: Case) -> np.ndarray:
    """Return the released row q, or that of another seed, as a matrix with a second row of zeros."""
    row = np.random.RandomState(case.given("seed of the matrices", 36)).randn(1, 2)
    return np.concatenate([row / np.linalg.norm(row), np.zeros((1, 2))])


@figure(PAPER, "to a line", title="covariances end on one ray")
def to_a_line(case: Case) -> Any:
    """Q = q, a unit row of R^{1x2}, K = -q, V = I (seed 36), a 10 x 10 grid: limits of rank 1 on the ray of q^perp."""
    query, starts = unit_row(case), grid(case, case.given("grid", 10), 0.5)
    across = np.array([-query[0, 1], query[0, 0]])
    drawing, views = cones(2)
    for axes, kind in zip(views, ("softmax", "l2"), strict=True):
        found = orbits(
            kind, starts, query, -query, np.eye(2), clock(case, 1e3), beta=BETAS[kind], own_clock=True, rtol=RTOL
        )
        panel_in_cone(axes, found, NAMES[kind], across)
    caption(drawing, f"arXiv:{PAPER}: K = -Q = -q, V = I, {draws(case)}; dots: ends at tau = 1000, dtau = tr S dt")
    return drawing


@figure(PAPER, "to a plane", title="two heads leave more than one ray")
def to_a_plane(case: Case) -> Any:
    """The row q of the line under two heads of dimension 1: the limits are not on one ray.

    Left as published: of a query with one row the script takes the second head from rows that are not there, so that
    there is one head, with V = diag(1, 0). Right with two: q and its transverse direction, both with K = -Q.
    """
    first, starts = unit_row(case), grid(case, case.given("grid", 10), 0.5)
    second = np.stack([first[0], [-first[0, 1], first[0, 0]]])
    drawing, views = cones(2)
    for axes, query, name in zip(views, (first, second), ("as published: one head", "two heads"), strict=True):
        found = orbits("two heads", starts, query, -query, np.eye(2), clock(case, 1e3), own_clock=True, rtol=RTOL)
        panel_in_cone(axes, found, name)
    caption(drawing, f"arXiv:{PAPER}: heads of dimension 1, K = -Q, V = I, {draws(case)}; dots: ends")
    return drawing


@figure(PAPER, "two lines", title="limits on two rays")
def two_lines(case: Case) -> Any:
    """A + A^T indefinite (seed 36), V of N(0, 1) (seed 32), a 20 x 20 grid: limits on two rays.

    The released script draws the L2 trajectories in both of its pictures; here softmax is softmax.
    """
    seed = case.given("seed of the matrices", 36)
    query, key = drawn_until(np.random.RandomState(seed), lambda roots: roots[0] * roots[1] < 0)
    value = np.random.RandomState(case.given("seed of V", 32)).randn(2, 2)
    starts = grid(case, case.given("grid", 20), 1.0)
    drawing, views = cones(2)
    for axes, kind in zip(views, ("softmax", "l2"), strict=True):
        found = orbits(kind, starts, query, key, value, clock(case, 300.0), beta=BETAS[kind], own_clock=True, rtol=RTOL)
        panel_in_cone(axes, found, NAMES[kind])
    caption(drawing, f"arXiv:{PAPER}: A + A^T indefinite, {draws(case)}; dots: ends")
    return drawing


@figure(PAPER, "blow-up or divergence", title="directions of what explodes and of what diverges")
def blow_up_or_divergence(case: Case) -> Any:
    """A + A^T > 0 (seed 33), V = I, a 40 x 40 grid: S / tr S up to a trace of 1000.

    Softmax attention explodes in finite time, with one head and with two; L2 and Sinkhorn grow exponentially. On the
    laws' own clock, dtau = tr S dt, all are seen to the end.
    """
    seed = case.given("seed of the matrices", 33)
    query, key = drawn_until(np.random.RandomState(seed), lambda roots: roots[0] > 0)
    starts = grid(case, case.given("grid", 40), 1.0)
    drawing = sheet(10.5, 10.0)
    for axes, kind in zip(drawing.subplots(2, 2).ravel(), NAMES, strict=True):
        until = 30.0 if kind in ("softmax", "two heads") else 1500.0
        found = orbits(
            kind, starts, query, key, np.eye(2), clock(case, until), beta=BETAS[kind], own_clock=True, rtol=RTOL
        )
        panel_in_disc(axes, found, NAMES[kind])
    caption(drawing, f"arXiv:{PAPER}: A + A^T > 0, V = I, {draws(case)}; filled dots: trace above 10 at the end")
    return drawing


@figure(PAPER, "both", title="convergence or blow-up, by the start")
def both(case: Case) -> Any:
    """A + A^T indefinite (seed 36), V of N(0, 1) (seed 35, behind 56 others), a 30 x 30 grid: basins and a border."""
    seed = case.given("seed of the matrices", 36)
    query, key = drawn_until(np.random.RandomState(seed), lambda roots: roots[0] * roots[1] < 0)
    generator = np.random.RandomState(case.given("seed of V", 35))
    generator.randn(8, 7)
    value = generator.randn(2, 2)
    starts = grid(case, case.given("grid", 30), 1.0)
    drawing = sheet(14.0, 5.2)
    for axes, kind in zip(drawing.subplots(1, 3), ("softmax", "two heads", "l2"), strict=True):
        found = orbits(kind, starts, query, key, value, clock(case, 60.0), beta=BETAS[kind], own_clock=True, rtol=RTOL)
        panel_in_disc(axes, found, NAMES[kind])
    caption(drawing, f"arXiv:{PAPER}: A + A^T indefinite, {draws(case)}; filled dots: trace above 10 at the end")
    return drawing

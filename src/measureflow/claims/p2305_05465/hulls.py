"""Hulls of rescaled tokens shrink, to a polytope; eigen-functionals stay between their extremes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import follow
from measureflow.paths.style import ACCENT, FAINT, MUTED, THEORY, shades

#: the common shape of the claims on rescaled tokens
TOKENS, D = 8, 3


def box(case: Case, *, n: int = TOKENS, d: int = D, paired: bool = False) -> mf.Tokens:
    """Draw tokens of the cube [-1, 1]^d; `paired`, each second one is nearly opposite to another."""
    points = case.generator("tokens").uniform(-1, 1, (n, d))
    if paired:  # so that no side of the cube is left empty by chance
        half = n // 2
        points[half : 2 * half] = -points[:half] + 0.05 * points[half : 2 * half]
    return mf.Tokens(mf.Euclidean(d), points)


def form(case: Case, definite: bool, d: int = D) -> np.ndarray:
    """Draw a query-key form: any, or a positive definite one of condition up to 36."""
    generator = case.generator("form")
    if not definite:
        return generator.normal(size=(d, d))
    axes, _ = np.linalg.qr(generator.normal(size=(d, d)))
    return (axes * generator.uniform(0.25, 3.0, d)) @ axes.T


def shadow(points: np.ndarray) -> np.ndarray:
    """Return the first two coordinates of points, the second 0 on a line."""
    return points[..., :2] if points.shape[-1] > 1 else np.concatenate([points, 0 * points], axis=-1)


def outline(points: np.ndarray) -> np.ndarray:
    """Return the corners of the hull of points of the plane, all round and back to the first."""
    corners = points[mf.observe.hull(mf.Tokens(mf.Euclidean(2), points), within=1e-6).vertices]
    middle = corners - corners.mean(axis=0)
    order = np.argsort(np.arctan2(middle[:, 1], middle[:, 0]))
    return corners[np.append(order, order[:1])]


@claim(
    "2305.05465",
    "convex hulls, V = I",
    covers=["V24", "P2.a"],
    states={"value": lambda: 1.0, "coordinates": lambda z, t: z},
    id="2305.05465/hulls",
)
def hulls_of_rescaled_tokens_are_nested(case: Case) -> None:
    """With V = I the convex hulls of the rescaled tokens decrease, for any query-key form and at all times."""
    n, d, until = case.given("n", TOKENS), case.given("d", D), case.given("t", 6.0)
    case.require("there are tokens, and a dimension", n >= 1 and d >= 1)
    times, z = rescaled(case, n, d, until, case.statement.value())
    seen = np.stack([case.statement.coordinates(points, t) for points, t in zip(z, times, strict=True)])
    excess = [mf.observe.distance_to_hull(later, earlier).max() for earlier, later in itertools.pairwise(seen)]
    because = "rtol 1e-10 a step, of tokens of size 1"
    name, over = "how far a hull sticks out of the one before", {"t": times[1:]}
    case.at_most(excess, 0.0, within=1e-7, because=because, name=name, over=over)


def rescaled(case: Case, n: int, d: int, until: float, value: float) -> tuple[np.ndarray, np.ndarray]:
    """Return seven times, and the rescaled tokens at these, for V a multiple of I and any form."""
    times = np.linspace(0.0, until, 7)
    field = mf.RescaledAttention(value=value * np.eye(d), query=form(case, definite=False, d=d).T)
    return times, follow(case, box(case, n=n, d=d), field, times, rtol=1e-10)


@hulls_of_rescaled_tokens_are_nested.figure
def shrinking_hulls(case: Case, ax: Any) -> None:
    """Draw the shadows of the hulls in a coordinate plane, which are nested as the hulls are."""
    n, d, until = (case.instance[name] for name in ("n", "d", "t"))
    times, z = rescaled(case, n, d, until, case.statement.value())
    for t, points, shade in zip(times, z, shades(len(times)), strict=True):
        ax.plot(*outline(shadow(points)).T, "-", color=shade, lw=1.5, label=f"$t={t:.3g}$")
        ax.plot(*shadow(points).T, "o", color=shade, ms=4)
    ax.set(xlabel="first coordinate", ylabel="second coordinate", title=f"$V=I$, $n={n}$, $d={d}$", aspect="equal")
    ax.legend()


@hulls_of_rescaled_tokens_are_nested.mutation("value")
def repulsion() -> float:
    """The sign of V is wrong: hulls grow."""
    return -1.0


@hulls_of_rescaled_tokens_are_nested.mutation("coordinates")
def tokens_not_rescaled(z: np.ndarray, t: float) -> np.ndarray:
    """The hulls are those of the tokens x = e^t z themselves."""
    return np.exp(t) * z


@claim(
    "2305.05465",
    "Theorem 3.1",
    covers=["T3.1", "V24"],
    states={"size": lambda z, b: (z @ b * z).sum(axis=1), "largest": lambda z, b: (z @ b @ z.T).max(axis=1)},
    id="2305.05465/T3.1",
)
def tokens_end_on_a_polytope_where_they_look_at_themselves(case: Case) -> None:
    """With V = I and A^T A = Q^T K > 0 each token ends at a z with |Az|^2 = max_j <Az, A v_j> over the vertices."""
    n, d = case.given("n", TOKENS), case.given("d", D)
    case.require("there are tokens, and a dimension", n >= 1 and d >= 1)
    b = form(case, definite=True, d=d)
    field, times = mf.RescaledAttention(value=np.eye(d), query=b.T), np.array([24.0, 32.0])
    before, z = follow(case, box(case, n=n, d=d, paired=True), field, times, rtol=1e-9)
    because = "tokens come to rest like e^-t, and e^-24 is 4e-11"
    case.compare(z, before, within=1e-6, because=because, name="coordinates at rest")
    because = "rtol 1e-9 a step over 32 units of time, of tokens of size 1 under a form of size 3"
    size, largest = case.statement.size(z, b), case.statement.largest(z, b)
    name, over = "|Az|^2, by max <Az, A v_j>", {"token": np.arange(1, n + 1)}
    case.compare(size, largest, within=1e-5, because=because, name=name, over=over)


@tokens_end_on_a_polytope_where_they_look_at_themselves.figure
def ways_to_the_polytope(case: Case, ax: Any) -> None:
    """Draw the ways of the rescaled tokens in a coordinate plane, and the shadow of the polytope that they end on."""
    n, d = case.instance["n"], case.instance["d"]
    b = form(case, definite=True, d=d)
    field, times = mf.RescaledAttention(value=np.eye(d), query=b.T), np.append(np.geomspace(0.01, 8.0, 60), 32.0)
    start = box(case, n=n, d=d, paired=True)
    z = shadow(np.concatenate([[np.asarray(start.points)], follow(case, start, field, times, rtol=1e-9)]))
    ax.plot(z[..., 0], z[..., 1], color=FAINT, lw=1.5)
    ax.plot(*z[0].T, "o", color=MUTED, ms=5, mfc="none", label="start")
    ax.plot(*outline(z[-1]).T, "--", color=THEORY, label="polytope, in shadow")
    ax.plot(*z[-1].T, "o", color=ACCENT[0], ms=7, label="end")
    ax.set(xlabel="first coordinate", ylabel="second coordinate", title=f"$V=I$, $n={n}$, $d={d}$", aspect="equal")
    ax.legend()


@tokens_end_on_a_polytope_where_they_look_at_themselves.mutation("largest")
def longest_vertex(z: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Every token reaches the largest |A v_j|^2, wherever it looks."""
    return np.full(len(z), (z @ b * z).sum(axis=1).max())


@tokens_end_on_a_polytope_where_they_look_at_themselves.mutation("largest")
def mean_vertex(z: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The mean over the tokens stands for the maximum, as if attention stayed uniform."""
    return (z @ b @ z.T).mean(axis=1)


@tokens_end_on_a_polytope_where_they_look_at_themselves.mutation("size")
def form_on_one_side_only(z: np.ndarray, _b: np.ndarray) -> np.ndarray:
    """A is forgotten on one side: |z|^2."""
    return (z * z).sum(axis=1)

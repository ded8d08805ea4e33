"""Tokens gather on hyperplanes: at most three, across the direction that grows fastest."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import follow
from measureflow.claims.p2305_05465.hulls import TOKENS, D, box, form, outline
from measureflow.paths.style import ACCENT, FAINT, MUTED, THEORY


def value_of(case: Case, roots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draw a matrix with these eigenvalues, or this matrix in an oblique basis; return it and the basis, as columns."""
    generator = case.generator("eigenvectors")
    columns = np.eye(D) + 0.5 * generator.uniform(-1, 1, (D, D))
    columns = columns / np.linalg.norm(columns, axis=0)
    return columns @ (np.diag(roots) if roots.ndim == 1 else roots) @ np.linalg.inv(columns), columns


@claim(
    "2305.05465",
    "lemma on eigen-functionals",
    covers=["V24", "T-lemma"],
    states={"index": lambda: 1, "functional": lambda columns, k: np.linalg.inv(columns)[k]},
    id="2305.05465/lemma",
)
def extremes_of_eigenfunctionals_close_in(case: Case) -> None:
    """Where phi* V = lambda phi* with lambda >= 0, max_j phi*(z_j) never grows and min_j phi*(z_j) never falls."""
    roots = np.array([case.draw("first", 0.9, 1.3), case.draw("second", 0.3, 0.7), -case.draw("third", 0.3, 0.6)])
    n, until = case.given("n", TOKENS), case.given("t", 4.0)
    case.require("there are tokens", n >= 1)
    case.require("the first two eigenvalues are not negative, the third is", min(roots[:2]) >= 0 > roots[2])
    case.require("the coordinate that spreads leaves digits to the others", -roots[2] * until < 8)
    _, z, columns = along_eigenvectors(case, roots, n, until)
    coordinates = z @ case.statement.functional(columns, case.statement.index())
    outward = np.maximum(np.diff(coordinates.max(axis=1)), -np.diff(coordinates.min(axis=1))).max()
    because, name = "rtol 1e-10 a step, of tokens of size up to 20", "how far an extreme moves out"
    case.at_most(outward, 0.0, within=1e-6, because=because, name=name)


def along_eigenvectors(
    case: Case, roots: np.ndarray, n: int, until: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return nine times, the tokens at these for any form, and the eigenvectors of V as columns."""
    times, (value, columns) = np.linspace(0.0, until, 9), value_of(case, roots)
    field = mf.RescaledAttention(value=value, query=form(case, definite=False).T)
    return times, follow(case, box(case, n=n), field, times, rtol=1e-10), columns


@extremes_of_eigenfunctionals_close_in.figure
def extremes_over_time(case: Case, ax: Any) -> None:
    """Draw the coordinate of all tokens along an eigen-functional over time, and the largest and least of them."""
    first, second, third, n, until = (case.instance[name] for name in ("first", "second", "third", "n", "t"))
    times, z, columns = along_eigenvectors(case, np.array([first, second, -third]), n, until)
    seen = z @ case.statement.functional(columns, case.statement.index())
    ax.plot(times, seen, color=FAINT, lw=1.5)
    ax.plot([], [], color=FAINT, lw=1.5, label=r"$\varphi^*(z_j)$ of each token")
    ax.plot(times, seen.max(axis=1), "o-", color=ACCENT[0], ms=5, label="largest")
    ax.plot(times, seen.min(axis=1), "o-", color=ACCENT[1], ms=5, label="least")
    for edge in (seen[0].max(), seen[0].min()):
        ax.axhline(edge, ls="--", color=THEORY, lw=1.2)
    ax.plot([], [], "--", color=THEORY, label="stated: stays inside")
    head = rf"eigenvalue $\lambda={second:.2f}$, $n={n}$"
    ax.set(xlabel="time $t$", ylabel=r"$\varphi^*(z)$", title=head)
    ax.legend()


@extremes_of_eigenfunctionals_close_in.mutation("index")
def negative_eigenvalue() -> int:
    """The eigenvalue is negative: that coordinate spreads."""
    return 2


@extremes_of_eigenfunctionals_close_in.mutation("functional")
def right_eigenvector(columns: np.ndarray, _k: int) -> np.ndarray:
    """The eigenvector itself is taken for the functional, and the direction that spreads is seen through it."""
    return columns[:, 2]


@claim(
    "2305.05465",
    "Theorem 4.1",
    covers=["T4.1", "V24", "P2.c"],
    states={"most": lambda: 3, "functional": lambda columns: np.linalg.inv(columns)[0]},
    id="2305.05465/T4.1",
)
def tokens_gather_on_at_most_three_hyperplanes(case: Case) -> None:
    """If V's largest eigenvalue is positive and simple and <Q phi_1, K phi_1> > 0, phi_1*(z_i) has at most 3 limits."""
    roots = np.array([case.draw("first", 1.0, 1.3), case.draw("second", 0.2, 0.5), -case.draw("third", 0.2, 0.4)])
    n = case.given("n", TOKENS)
    case.require("there are tokens", n >= 1)
    case.require(
        "the first eigenvalue is positive, and the largest", roots[0] > 0 and roots[0] > np.abs(roots[1:]).max()
    )
    columns, (before, z) = to_hyperplanes(case, roots, n, np.array([16.0, 20.0]))
    own = np.linalg.inv(columns)[0]
    because, within = "rest like e^(-lambda t) at t = 16", 1e-3
    case.require("the tokens have the time to come to rest", np.exp(-16 * roots[0]) < within / 10)
    case.compare(z @ own, before @ own, within=within, because=because, name="phi_1*(z) at rest")
    found = mf.observe.levels(z @ case.statement.functional(columns), within=1e-2)
    because = "a number of hyperplanes"
    case.at_most(len(found), case.statement.most(), within=0.05, because=because, name="hyperplanes")


def to_hyperplanes(case: Case, roots: np.ndarray, n: int, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvectors of V, as columns, and where tokens are at some times."""
    value, columns = value_of(case, roots)
    own = np.linalg.inv(columns)[0]
    # mostly along phi_1*, so that neither side of the cube is drawn over to the other while all still move
    b = 2.0 * np.outer(own, own) + 0.4 * form(case, definite=False)
    case.require("<Q phi, K phi> > 0.05", bool(columns[:, 0] @ b @ columns[:, 0] > 0.05))
    field = mf.RescaledAttention(value=value, query=b.T)
    return columns, follow(case, box(case, n=n, paired=True), field, times, rtol=1e-10)


@tokens_gather_on_at_most_three_hyperplanes.figure
def levels_over_time(case: Case, ax: Any) -> None:
    """Draw phi_1* of all tokens over time, and the levels that are left at the end."""
    first, second, third, n = (case.instance[name] for name in ("first", "second", "third", "n"))
    times = np.append(np.linspace(0.0, 8.0, 33), [16.0, 20.0])
    columns, z = to_hyperplanes(case, np.array([first, second, -third]), n, times)
    seen = z @ case.statement.functional(columns)
    ax.plot(times[:-2], seen[:-2], color=ACCENT[0], lw=1.5)
    ax.plot([], [], color=ACCENT[0], lw=1.5, label=r"$\varphi_1^*(z_i)$ of each token")
    levels = mf.observe.levels(seen[-1], within=1e-2)
    for level in levels:
        ax.axhline(level, ls="--", color=THEORY)
    ax.plot(
        [],
        [],
        "--",
        color=THEORY,
        label=f"{len(levels)} hyperplanes at $t=20$; stated: at most {case.statement.most()}",
    )
    ax.set(xlabel="time $t$", ylabel=r"$\varphi_1^*(z)$", title=rf"$\lambda_1={first:.2f}$, $n={n}$, $d={D}$")
    ax.margins(y=0.2)
    ax.legend()


@tokens_gather_on_at_most_three_hyperplanes.mutation("most")
def one_hyperplane() -> int:
    """All tokens gather on one hyperplane, whatever the sign of their first coordinate."""
    return 1


@tokens_gather_on_at_most_three_hyperplanes.mutation("functional")
def hyperplanes_across_another_direction(columns: np.ndarray) -> np.ndarray:
    """The hyperplanes stand across the eigenvector of the negative eigenvalue."""
    return np.linalg.inv(columns)[2]


def to_boundary(points: np.ndarray) -> np.ndarray:
    """Return the distance of points of a line or a plane from the boundary of their own hull, or from 0 where that is
    less."""
    if points.shape[1] == 1:
        sides = np.abs(points[:, 0] - [[points.min()], [points.max()]])
    else:
        corners = outline(points)
        sides = [mf.observe.distance_to_hull(points, np.stack(side)) for side in itertools.pairwise(corners)]
    return np.minimum(np.min(sides, axis=0), np.linalg.norm(points, axis=1))


def on_subspaces(case: Case) -> tuple[int, np.ndarray]:
    """Draw what V does to F, a plane or a line on which it is a number, and to G: a number of any sign, or a rotation
    by any angle times a number. Return the dimension of F and the matrix."""
    rate, core = case.draw("rate", 0.8, 1.2), np.zeros((D, D))
    if case.choose("G", ["a line", "a plane"]) == "a line":
        core = np.diag([rate, rate, case.draw("eigenvalue on G", -0.4, 0.4)])
        return 2, core
    size, angle = case.draw("modulus on G", 0.2, 0.4), case.draw("angle on G", 0.3, 2.8)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    core[0, 0], core[1:, 1:] = rate, size * turned
    return 1, core


@claim(
    "2305.05465",
    "Theorem 5.1",
    covers=["T5.1", "V24"],
    states={
        "part": lambda z, columns, k: z @ np.linalg.inv(columns)[:k].T,
        "distance": to_boundary,
    },
    id="2305.05465/T5.1",
)
def tokens_end_on_a_polytope_times_a_subspace(case: Case) -> None:
    """If V = lambda > 0 on F, smaller on G in modulus, and Q^T K > 0, the F-parts end on a polytope's boundary, or at
    0."""
    n, (k, core) = case.given("n", TOKENS), on_subspaces(case)
    case.require("there are tokens", n >= 1)
    rate = float(core[0, 0])
    case.require("V is a positive number on F, and smaller on G", bool(rate > np.linalg.norm(core[k:, k:], 2)))
    case.require("the tokens have the time to come to rest", rate >= 0.6)
    columns, (z,) = to_the_boundary(case, core, n, np.array([20.0]))
    distance = case.statement.distance(case.statement.part(z, columns, k))
    because = "e^(-rate t) at t = 20 with a rate of 0.8 and more"
    name, over = "distance to the boundary or to 0", {"token": np.arange(1, n + 1)}
    case.at_most(distance, 0.0, within=1e-4, because=because, name=name, over=over)


def to_the_boundary(case: Case, core: np.ndarray, n: int, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the basis of F and G, as columns, and where tokens are at some times."""
    value, columns = value_of(case, core)
    field = mf.RescaledAttention(value=value, query=form(case, definite=True).T)
    return columns, follow(case, box(case, n=n, paired=True), field, times, rtol=1e-10)


@tokens_end_on_a_polytope_times_a_subspace.figure
def parts_over_time(case: Case, ax: Any) -> None:
    """Draw the F-parts of the tokens: their ways to the boundary of a polygon, or, on a line, over time."""
    (k, core), n = on_subspaces(case), case.instance["n"]
    times = np.append(np.linspace(0.0, 8.0, 33), 20.0)
    columns, z = to_the_boundary(case, core, n, times)
    seen, rate = case.statement.part(z, columns, k), float(core[0, 0])
    if k == 1:
        ax.plot(times[:-1], seen[:-1, :, 0], color=ACCENT[0], lw=1.5)
        ax.plot([], [], color=ACCENT[0], lw=1.5, label="F-part of each token")
        for end in (seen[-1].min(), seen[-1].max(), 0.0):
            ax.axhline(end, ls="--", color=THEORY)
        ax.plot([], [], "--", color=THEORY, label="boundary at the end, and 0")
        ax.set(xlabel="time $t$", ylabel="F-part")
    else:
        ax.plot(seen[..., 0], seen[..., 1], color=FAINT, lw=1.5)
        ax.plot(*outline(seen[-1]).T, "--", color=THEORY, label="boundary at the end")
        ax.plot(*seen[0].T, "o", color=MUTED, ms=5, mfc="none", label="F-parts at the start")
        ax.plot(*seen[-1].T, "o", color=ACCENT[0], label="F-parts at the end")
        ax.set(xlabel="first coordinate of F", ylabel="second coordinate of F")
    ax.set_title(rf"$V={rate:.2f}$ on F of dimension {k}, $n={n}$")
    ax.legend()


@tokens_end_on_a_polytope_times_a_subspace.mutation("distance")
def all_to_the_origin(points: np.ndarray) -> np.ndarray:
    """Every F-part goes to 0."""
    return np.linalg.norm(points, axis=1)


@tokens_end_on_a_polytope_times_a_subspace.mutation("distance")
def all_to_one_vertex(points: np.ndarray) -> np.ndarray:
    """Every F-part goes to the same vertex, as tokens with a layer norm meet in one cluster."""
    return np.linalg.norm(points - points[np.linalg.norm(points, axis=1).argmax()], axis=1)

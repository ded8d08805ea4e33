"""Tokens gather on hyperplanes: at most three, across the direction that grows fastest."""

from __future__ import annotations

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import follow
from measureflow.claims.p2305_05465.hulls import D, box, form


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
    value, columns = value_of(case, roots)
    field = mf.RescaledAttention(value=value, query=form(case, definite=False).T)
    z = follow(case, box(case), field, np.linspace(0.0, 4.0, 9), rtol=1e-10)
    coordinates = z @ case.statement.functional(columns, case.statement.index())
    outward = np.maximum(np.diff(coordinates.max(axis=1)), -np.diff(coordinates.min(axis=1))).max()
    because = "rtol 1e-10 a step, of tokens of size up to 20"
    case.at_most(outward, 0.0, within=1e-6, because=because, name="how far an extreme moves out")


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
    value, columns = value_of(case, roots)
    own = np.linalg.inv(columns)[0]
    # mostly along phi_1*, so that neither side of the cube is drawn over to the other while all still move
    b = 2.0 * np.outer(own, own) + 0.4 * form(case, definite=False)
    case.require("<Q phi, K phi> > 0.05", bool(columns[:, 0] @ b @ columns[:, 0] > 0.05))
    field = mf.RescaledAttention(value=value, query=b.T)
    before, z = follow(case, box(case, paired=True), field, np.array([16.0, 20.0]), rtol=1e-10)
    case.compare(z @ own, before @ own, within=1e-3, because="rest like e^(-lambda t) at t = 16", name="rest")
    found = mf.observe.levels(z @ case.statement.functional(columns), within=1e-2)
    because = "a number of hyperplanes"
    case.at_most(len(found), case.statement.most(), within=0.05, because=because, name="hyperplanes")


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
        mu = mf.Tokens(mf.Euclidean(2), points)
        corners = points[mf.observe.hull(mu, within=1e-6).vertices]
        middle = corners - corners.mean(axis=0)
        corners = corners[np.argsort(np.arctan2(middle[:, 1], middle[:, 0]))]
        ends = np.roll(corners, -1, axis=0)
        sides = [mf.observe.distance_to_hull(points, np.stack(side)) for side in zip(corners, ends, strict=True)]
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
    k, core = on_subspaces(case)
    value, columns = value_of(case, core)
    field = mf.RescaledAttention(value=value, query=form(case, definite=True).T)
    z = follow(case, box(case, paired=True), field, np.array([20.0]), rtol=1e-10)[0]
    distance = case.statement.distance(case.statement.part(z, columns, k))
    because = "e^(-rate t) at t = 20 with a rate of 0.8 and more"
    case.at_most(distance.max(), 0.0, within=1e-4, because=because, name="distance to the boundary or to 0")


@tokens_end_on_a_polytope_times_a_subspace.mutation("distance")
def all_to_the_origin(points: np.ndarray) -> np.ndarray:
    """Every F-part goes to 0."""
    return np.linalg.norm(points, axis=1)


@tokens_end_on_a_polytope_times_a_subspace.mutation("distance")
def all_to_one_vertex(points: np.ndarray) -> np.ndarray:
    """Every F-part goes to the same vertex, as tokens with a layer norm meet in one cluster."""
    return np.linalg.norm(points - points[np.linalg.norm(points, axis=1).argmax()], axis=1)

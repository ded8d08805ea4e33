"""Claims of arXiv:2407.01602, clustering in pure-attention hardmax transformers: leaders and those who follow."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim

#: the common shape: tokens in the plane
TOKENS, D, DEPTH = 12, 2, 60


def plane(case: Case) -> mf.Tokens:
    """Draw tokens of the square [-1, 1]^2."""
    return mf.Tokens(mf.Euclidean(D), case.generator("tokens").uniform(-1, 1, (TOKENS, D)))


def metric(case: Case) -> np.ndarray:
    """Draw a symmetric positive definite form of condition 9."""
    axes, _ = np.linalg.qr(case.generator("form").normal(size=(D, D)))
    return (axes * [1 / 3, 3.0]) @ axes.T


def hard_layers(case: Case, tokens: mf.Tokens, form: np.ndarray, alpha: float) -> np.ndarray:
    """Return the points `(layers, n, d)` of the hardmax transformer."""
    field = mf.RescaledAttention(weighting="hardmax", query=form)
    path = case.measure(mf.layers, tokens, field, depth=DEPTH, step=alpha / (1 + alpha))
    return np.asarray(path.points)


def those_that_look_at_themselves(z: np.ndarray, form: np.ndarray) -> np.ndarray:
    """Return who has the largest <A z_i, z_j> with itself."""
    return (z @ form @ z.T).argmax(axis=1) == np.arange(len(z))


@claim(
    "2407.01602",
    "leaders and clustering",
    covers=["7.2-leaders", "P2.a"],
    states={"leaders": those_that_look_at_themselves, "largest": lambda z, form: (z @ form @ z.T).max(axis=1)},
    id="2407.01602/leaders",
)
def leaders_never_move_and_all_others_end_at_one(case: Case) -> None:
    """Under hardmax with A > 0 tokens with C_i = {i} stay for ever, hulls decrease, and every token comes to rest.

    The map is z_i <- z_i + alpha/(1 + alpha) (mean of z_j over C_i - z_i), C_i = argmax_j <A z_i, z_j>; at rest each
    token has <A z, z> = max_j <A z, z_j>.
    """
    form, alpha = metric(case), case.draw("alpha", 0.8, 3.0)
    z = hard_layers(case, plane(case), form, alpha)
    moved = np.linalg.norm(z - z[0], axis=-1).max(axis=0)[case.statement.leaders(z[0], form)]
    case.require("there is a leader", bool(len(moved)))
    case.at_most(moved.max(), 0.0, within=1e-9, because="rounding of 60 layers", name="how far a leader moves")
    excess = max(mf.observe.distance_to_hull(later, z_).max() for z_, later in itertools.pairwise(z[:12]))
    case.at_most(excess, 0.0, within=1e-9, because="rounding", name="how far a hull sticks out of the one before")
    last = z[-1]
    because = "(1 + alpha)^-60 is below 1e-15, after the last change of who is looked at"
    resting = np.einsum("nd,de,ne->n", last, form, last)
    case.compare(resting, case.statement.largest(last, form), within=1e-6, because=because, name="rest")


@leaders_never_move_and_all_others_end_at_one.mutation("leaders")
def every_corner_leads(z: np.ndarray, _form: np.ndarray) -> np.ndarray:
    """Every vertex of the hull is taken for a leader."""
    return mf.observe.hull(mf.Tokens(mf.Euclidean(D), z)).vertices


@leaders_never_move_and_all_others_end_at_one.mutation("leaders")
def looked_at_by_another(z: np.ndarray, form: np.ndarray) -> np.ndarray:
    """Whoever does not look at itself is taken for a leader."""
    return ~those_that_look_at_themselves(z, form)


@leaders_never_move_and_all_others_end_at_one.mutation("largest")
def uniform_attention(z: np.ndarray, form: np.ndarray) -> Any:
    """The mean over all tokens stands in the place of the maximum."""
    return (z @ form @ z.T).mean(axis=1)


def projection_of_the_origin(one: np.ndarray, two: np.ndarray, form: np.ndarray) -> np.ndarray:
    """Return the point of least <A z, z> on the segment between two corners."""
    along = two - one
    share = -(one @ form @ along) / (along @ form @ along)
    return one + np.clip(share, 0.0, 1.0) * along


@claim(
    "2407.01602",
    "who ends at no leader",
    covers=["7.2-leaders"],
    status="derived",
    states={"end": projection_of_the_origin, "left": lambda alpha, layers: (1 + alpha) ** -layers},
    id="2407.01602/edges",
)
def who_looks_at_two_leaders_ends_at_the_projection_on_their_edge(case: Case) -> None:
    """A token that looks at both ends of an edge alike goes to the point of the edge next to 0 in the metric of A, by
    1/(1 + alpha) a layer.

    Derived for the leaders (x, y) and (-x, y), a diagonal A and tokens (0, z), 0 < z < y: each sees <A z, z_j> equal at
    both, and less at any other token. The tie is exact in floating point as well, until they are there to rounding.
    """
    side, height, alpha = case.draw("x", 0.5, 1.5), case.draw("y", 0.5, 1.5), case.draw("alpha", 0.8, 3.0)
    form = np.diag([case.draw("A_11", 0.3, 3.0), case.draw("A_22", 0.3, 3.0)])
    corners = np.array([[side, height], [-side, height]])
    inside = np.outer(height * case.generator("inside").uniform(0.1, 0.9, TOKENS - 2), [0.0, 1.0])
    z = hard_layers(case, mf.Tokens(mf.Euclidean(D), np.concatenate([corners, inside])), form, alpha)
    end = case.statement.end(*corners, form)
    for layers in (1, 3, 9, 15):
        expected = end + case.statement.left(alpha, layers) * (inside - end)
        case.compare(z[layers, 2:], expected, within=1e-11, because="rounding", name=f"layer {layers}")
    case.compare(z[15, :2], corners, within=1e-11, because="rounding", name="leaders")


@who_looks_at_two_leaders_ends_at_the_projection_on_their_edge.mutation("end")
def one_of_the_leaders(one: np.ndarray, _two: np.ndarray, _form: np.ndarray) -> np.ndarray:
    """Ties are broken: everyone ends at a leader."""
    return one


@who_looks_at_two_leaders_ends_at_the_projection_on_their_edge.mutation("end")
def the_origin_itself(one: np.ndarray, _two: np.ndarray, _form: np.ndarray) -> np.ndarray:
    """The origin, in place of its projection."""
    return np.zeros_like(one)


@who_looks_at_two_leaders_ends_at_the_projection_on_their_edge.mutation("left")
def exponential_in_alpha(alpha: float, layers: int) -> float:
    """What is left after k layers is e^(-alpha k), as in continuous depth."""
    return float(np.exp(-alpha * layers))

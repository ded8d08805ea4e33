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

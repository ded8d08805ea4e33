"""Claims of arXiv:2407.01602, clustering in pure-attention hardmax transformers: leaders and those who follow."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.paths.style import ACCENT, FAINT, MUTED, THEORY

#: the common shape: tokens in the plane
TOKENS, D, DEPTH = 12, 2, 60


def plane(case: Case, n: int = TOKENS) -> mf.Tokens:
    """Draw tokens of the square [-1, 1]^2."""
    return mf.Tokens(mf.Euclidean(D), case.generator("tokens").uniform(-1, 1, (n, D)))


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
    form, alpha, n = metric(case), case.draw("alpha", 0.8, 3.0), case.given("n", TOKENS)
    case.require(
        "alpha is positive, and tokens come to rest within the layers", alpha > 0 and (1 + alpha) ** -DEPTH < 1e-7
    )
    case.require("there are tokens", n >= 1)
    z = hard_layers(case, plane(case, n), form, alpha)
    moved = np.linalg.norm(z - z[0], axis=-1).max(axis=0)[case.statement.leaders(z[0], form)]
    case.require("there is a leader", bool(len(moved)))
    case.at_most(moved.max(), 0.0, within=1e-9, because="rounding of 60 layers", name="how far a leader moves")
    excess = max(mf.observe.distance_to_hull(later, z_).max() for z_, later in itertools.pairwise(z[:12]))
    case.at_most(excess, 0.0, within=1e-9, because="rounding", name="how far a hull sticks out of the one before")
    last = z[-1]
    because = "(1 + alpha)^-60 is below 1e-15, after the last change of who is looked at"
    resting = np.einsum("nd,de,ne->n", last, form, last)
    name, over = "<A z, z> at rest, by max_j <A z, z_j>", {"token": np.arange(1, n + 1)}
    case.compare(resting, case.statement.largest(last, form), within=1e-6, because=because, name=name, over=over)


@leaders_never_move_and_all_others_end_at_one.figure
def ways_to_the_leaders(case: Case, ax: Any) -> None:
    """Draw the ways of the tokens through the layers, and the leaders, which do not move."""
    form, alpha, n = metric(case), case.instance["alpha"], case.instance["n"]
    z = hard_layers(case, plane(case, n), form, alpha)
    leading = case.statement.leaders(z[0], form)
    ax.plot(z[..., 0], z[..., 1], "o-", color=FAINT, ms=3, lw=1.2)
    ax.plot([], [], "o-", color=FAINT, ms=3, lw=1.2, label="ways through the layers")
    ax.plot(*z[0].T, "o", color=MUTED, ms=6, mfc="none", label="first layer")
    ax.plot(*z[-1].T, "o", color=ACCENT[0], ms=6, label="last layer")
    ax.plot(*z[0, leading].T, "*", color=THEORY, ms=15, label="leaders, as stated")
    head = rf"hardmax, $n={n}$, $\alpha={alpha:.2f}$"
    ax.set(xlabel="first coordinate", ylabel="second coordinate", title=head, aspect="equal")
    ax.legend(fontsize=10)


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
    n = case.given("n", TOKENS)
    case.require(
        "all numbers are positive, and there is a token besides the leaders", min(side, height, alpha) > 0 and n > 2
    )
    case.require("A is positive", bool((np.diag(form) > 0).all()))
    corners, inside, z = towards_an_edge(case, side, height, n, form, alpha)
    end = case.statement.end(*corners, form)
    for layers in (1, 3, 9, 15):
        expected = end + case.statement.left(alpha, layers) * (inside - end)
        name, over = f"height of the tokens, layer {layers}", {"height at first": inside[:, 1]}
        case.compare(z[layers, 2:].T, expected.T, within=1e-11, because="rounding", name=name, over=over)
    case.compare(z[15, :2], corners, within=1e-11, because="rounding", name="leaders")


def towards_an_edge(
    case: Case, side: float, height: float, n: int, form: np.ndarray, alpha: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the leaders at the ends of an edge, the tokens below its middle, and both along the layers."""
    corners = np.array([[side, height], [-side, height]])
    inside = np.outer(height * case.generator("inside").uniform(0.1, 0.9, n - 2), [0.0, 1.0])
    tokens = mf.Tokens(mf.Euclidean(D), np.concatenate([corners, inside]))
    return corners, inside, hard_layers(case, tokens, form, alpha)


@who_looks_at_two_leaders_ends_at_the_projection_on_their_edge.figure
def heights_through_layers(case: Case, ax: Any) -> None:
    """Draw the height of all tokens over the layers, and what is stated of them."""
    side, height, alpha, n = (case.instance[name] for name in ("x", "y", "alpha", "n"))
    form = np.diag([case.instance["A_11"], case.instance["A_22"]])
    corners, inside, z = towards_an_edge(case, side, height, n, form, alpha)
    end, layers = case.statement.end(*corners, form), np.arange(16)
    stated = [end + case.statement.left(alpha, int(k)) * (inside - end) for k in layers]
    ax.plot(layers, np.array(stated)[:, :, 1], "--", color=THEORY, lw=1.2)
    ax.plot(layers, z[:16, 2:, 1], "o", color=ACCENT[0], ms=4)
    ax.axhline(height, color=ACCENT[1], lw=1.5, label="edge between the two leaders")
    ax.plot([], [], "o", color=ACCENT[0], ms=4, label="tokens")
    ax.plot([], [], "--", color=THEORY, label=r"stated: $(1+\alpha)^{-k}$ is left")
    ax.set(xlabel="layer $k$", ylabel="second coordinate", title=rf"hardmax, $n={n}$, $\alpha={alpha:.2f}$")
    ax.legend()


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

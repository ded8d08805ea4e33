"""Claims of arXiv:2508.09628: attention's forward pass as Frank-Wolfe steps over the tokens' own hull."""

from __future__ import annotations

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.p2407_01602 import TOKENS, D, hard_layers, metric, plane


def frank_wolfe(z: np.ndarray, gradients: np.ndarray, step: float) -> np.ndarray:
    """Return `z + step (s - z)` with s the maximiser of <gradient, s> over the hull of `z`, by linear programs."""
    from scipy.optimize import linprog

    equal = np.vstack([z.T, np.ones(len(z))])
    new = []
    for x, gradient in zip(z, gradients, strict=True):
        # the unknowns are s and the shares of the tokens in it
        cost = np.append(-gradient, np.zeros(len(z)))
        hull = np.hstack([np.vstack([-np.eye(D), np.zeros((1, D))]), equal])
        bounds = [(None, None)] * D + [(0, None)] * len(z)
        found = linprog(cost, A_eq=hull, b_eq=np.append(np.zeros(D), 1.0), bounds=bounds, method="highs")
        new.append(x + step * (found.x[:D] - x))
    return np.array(new)


@claim(
    "2508.09628",
    "hardmax as Frank-Wolfe",
    covers=["7.2-frank-wolfe"],
    states={"step": lambda alpha: alpha / (1 + alpha), "gradient": lambda form, z: z @ form},
    id="2508.09628/frank-wolfe",
)
def a_hardmax_layer_is_a_frank_wolfe_step(case: Case) -> None:
    """One hardmax layer is a Frank-Wolfe step on the quadratic <A z, z>/2 over the hull of the tokens, up or down."""
    form, alpha = metric(case) * case.choose("sign", [1.0, -1.0]), case.draw("alpha", 0.8, 3.0)
    z = hard_layers(case, plane(case), form, alpha)
    predicted = frank_wolfe(z[0], case.statement.gradient(form, z[0]), case.statement.step(alpha))
    because = "feasibility of the linear programs, 1e-9 in practice"
    case.compare(z[1], predicted, within=1e-6, because=because)


@a_hardmax_layer_is_a_frank_wolfe_step.mutation("step")
def step_not_divided(alpha: float) -> float:
    """The step is alpha itself."""
    return alpha


@a_hardmax_layer_is_a_frank_wolfe_step.mutation("gradient")
def other_way(form: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The linear program runs the other way: argmin for argmax."""
    return -z @ form


@a_hardmax_layer_is_a_frank_wolfe_step.mutation("gradient")
def form_forgotten(_form: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The gradient is that of |z|^2/2."""
    return z


@claim(
    "2508.09628",
    "Voronoi cells, Q^T K >= 0",
    covers=["7.2-cells"],
    status="derived",
    states={
        "cell": lambda z, corners, form: corners[(z @ form @ corners.T).argmax(axis=1)],
        "left": lambda alpha, layers: (1 + alpha) ** -layers,
    },
    id="2508.09628/cells",
)
def tokens_go_straight_to_the_corner_of_their_cell(case: Case) -> None:
    """If all corners of the hull look at themselves, a token nears the one it looks at by 1/(1 + alpha) a layer.

    Derived here: with the corner v that z looks at, <A (z + g (v - z)), v - w> is a mean of <A z, v - w> >= 0 and
    <A v, v - w> >= 0, so v stays the one that is looked at.
    """
    form, alpha = metric(case), case.draw("alpha", 0.8, 3.0)
    # corners on one level line of the form look at themselves by the inequality of Cauchy and Schwarz
    turn = case.generator("corners").uniform(0, 1) + 2 * np.pi * np.arange(5) / 5
    corners = np.stack([np.cos(turn), np.sin(turn)], axis=1) @ np.linalg.inv(np.linalg.cholesky(form))
    shares = case.generator("inside").dirichlet(np.ones(5), TOKENS - 5)
    tokens = mf.Tokens(mf.Euclidean(D), np.concatenate([corners, shares @ corners]))
    z = hard_layers(case, tokens, form, alpha)
    goal = case.statement.cell(z[0], corners, form)
    for layers in (1, 3, 9):
        expected = goal + case.statement.left(alpha, layers) * (z[0] - goal)
        case.compare(z[layers], expected, within=1e-11, because="rounding", name=f"layer {layers}")


@tokens_go_straight_to_the_corner_of_their_cell.mutation("cell")
def nearest_corner(z: np.ndarray, corners: np.ndarray, _form: np.ndarray) -> np.ndarray:
    """The cells are those of plain distance, without A."""
    return corners[((z[:, None] - corners[None]) ** 2).sum(axis=-1).argmin(axis=1)]


@tokens_go_straight_to_the_corner_of_their_cell.mutation("left")
def exponential_in_alpha(alpha: float, layers: int) -> float:
    """What is left after k layers is e^(-alpha k), as in continuous depth."""
    return float(np.exp(-alpha * layers))

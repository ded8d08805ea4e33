"""Hardmax layers as Frank-Wolfe steps over the tokens' own hull: cells, energies, contraction."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.p2407_01602 import DEPTH, hard_layers
from measureflow.claims.p2508_09628.instances import draw_hull, form_of, shape, spread
from measureflow.paths.style import ACCENT, MUTED, THEORY


def frank_wolfe(z: np.ndarray, gradients: np.ndarray, step: float) -> np.ndarray:
    """Return `z + step (s - z)` with s the maximiser of <gradient, s> over the hull of `z`, by linear programs."""
    from scipy.optimize import linprog

    equal, d = np.vstack([z.T, np.ones(len(z))]), z.shape[1]
    new = []
    for x, gradient in zip(z, gradients, strict=True):
        # the unknowns are s and the shares of the tokens in it
        cost = np.append(-gradient, np.zeros(len(z)))
        hull = np.hstack([np.vstack([-np.eye(d), np.zeros((1, d))]), equal])
        bounds = [(None, None)] * d + [(0, None)] * len(z)
        found = linprog(cost, A_eq=hull, b_eq=np.append(np.zeros(d), 1.0), bounds=bounds, method="highs")
        new.append(x + step * (found.x[:d] - x))
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
    form, alpha = form_of(case) * case.choose("sign", [1.0, -1.0]), case.draw("alpha", 0.8, 3.0)
    case.require("alpha is positive", alpha > 0)
    z = hard_layers(case, spread(case), form, alpha)
    predicted = frank_wolfe(z[0], case.statement.gradient(form, z[0]), case.statement.step(alpha))
    because = "feasibility of the linear programs, 1e-9 in practice"
    case.compare(z[1], predicted, within=1e-6, because=because, name="coordinates after a layer")


@a_hardmax_layer_is_a_frank_wolfe_step.figure
def one_step(case: Case, ax: Any) -> Any:
    """Draw the tokens, where one layer takes them, and where the linear programs say."""
    form, alpha = form_of(case) * case.instance["sign"], case.instance["alpha"]
    z = hard_layers(case, spread(case), form, alpha)
    stated = frank_wolfe(z[0], case.statement.gradient(form, z[0]), case.statement.step(alpha))
    draw_hull(ax, z[0])
    for k, way in enumerate(np.stack([z[0], z[1]], axis=1)):
        ax.plot(*way.T[:2], color=ACCENT[0], lw=1, label="" if k else "one layer")
    ax.plot(*stated.T[:2], "x", color=THEORY, ms=8, mew=1.6, label="Frank-Wolfe step, by linear programs")
    ax.set_title(
        rf"$n = {len(z[0])}$, $\alpha = {alpha:.2f}$, " + ("ascent" if case.instance["sign"] > 0 else "descent")
    )
    ax.legend()
    return ax


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
    form, alpha = form_of(case), case.draw("alpha", 0.8, 3.0)
    tokens, corners = within_a_polygon(case, form)
    layers_seen = case.given("layers", (1, 3, 9))
    case.require("alpha is positive, and there are such layers", alpha > 0 and all(0 < k <= DEPTH for k in layers_seen))
    z = hard_layers(case, tokens, form, alpha)
    goal = case.statement.cell(z[0], corners, form)
    for layers in layers_seen:
        expected = goal + case.statement.left(alpha, layers) * (z[0] - goal)
        case.compare(z[layers], expected, within=1e-11, because="rounding", name=f"coordinates after layer {layers}")


def within_a_polygon(case: Case, form: np.ndarray) -> tuple[mf.Tokens, np.ndarray]:
    """Return tokens of the plane on the corners of a polygon and inside it, and the corners."""
    (n, d), count = shape(case), case.given("corners", 5)
    case.require("a polygon in the plane, with tokens inside", d == 2 and 3 <= count < n)
    # corners on one level line of the form look at themselves by the inequality of Cauchy and Schwarz
    turn = case.generator("corners").uniform(0, 1) + 2 * np.pi * np.arange(count) / count
    corners = np.stack([np.cos(turn), np.sin(turn)], axis=1) @ np.linalg.inv(np.linalg.cholesky(form))
    shares = case.generator("inside").dirichlet(np.ones(count), n - count)
    return mf.Tokens(mf.Euclidean(d), np.concatenate([corners, shares @ corners])), corners


@tokens_go_straight_to_the_corner_of_their_cell.figure
def straight_ways(case: Case, ax: Any) -> Any:
    """Draw the ways of the tokens through the layers, and the corners that they are stated to go to."""
    form, alpha = form_of(case), case.instance["alpha"]
    tokens, corners = within_a_polygon(case, form)
    z = hard_layers(case, tokens, form, alpha)
    goal = case.statement.cell(z[0], corners, form)
    draw_hull(ax, z[0])
    for k in range(z.shape[1]):
        ax.plot(*np.stack([z[0, k], goal[k]]).T, "--", color=THEORY, lw=1.2, label="" if k else "stated way")
        ax.plot(*z[:10, k].T, "o", ms=3, color=ACCENT[0], label="" if k else "layers 0 to 9")
    ax.set_title(rf"$n = {z.shape[1]}$, {len(corners)} corners, $\alpha = {alpha:.2f}$")
    ax.legend()
    return ax


@tokens_go_straight_to_the_corner_of_their_cell.mutation("cell")
def nearest_corner(z: np.ndarray, corners: np.ndarray, _form: np.ndarray) -> np.ndarray:
    """The cells are those of plain distance, without A."""
    return corners[((z[:, None] - corners[None]) ** 2).sum(axis=-1).argmin(axis=1)]


@tokens_go_straight_to_the_corner_of_their_cell.mutation("left")
def exponential_in_alpha(alpha: float, layers: int) -> float:
    """What is left after k layers is e^(-alpha k), as in continuous depth."""
    return float(np.exp(-alpha * layers))


class Slowing(mf.Field):
    """Attention times `2/(t + 2)`: with layers of step 1, the Frank-Wolfe step of layer t = 0, 1, 2, ..."""

    attention: mf.RescaledAttention
    layer: Any = 0.0

    def output(self, x: Any, mu: Any, positions: Any = None) -> Any:
        """Return the shortened output."""
        return 2.0 / (self.layer + 2.0) * self.attention.output(x, mu)

    def at(self, t: Any) -> Slowing:
        """Return the field of layer t."""
        return Slowing(self.attention, jnp.asarray(t, float))


def energies_above_the_hull(z: np.ndarray, form: np.ndarray) -> np.ndarray:
    """Return the largest |z|^2/2 of each layer's tokens less the least of their hull, in the metric of the form."""
    root = np.linalg.cholesky(form)
    least = [0.5 * mf.observe.distance_to_hull(np.zeros(len(form)), points @ root)[0] ** 2 for points in z]
    return 0.5 * ((z @ root) ** 2).sum(axis=-1).max(axis=1) - np.array(least)


@claim(
    "2508.09628",
    "Q^T K <= 0, decay of the energy",
    covers=["7.2-decay"],
    status="derived",
    states={"sign": lambda: -1.0, "bound": lambda square, layers: 2.0 * square / (layers + 2.0)},
    id="2508.09628/decay",
)
def energy_of_tokens_that_look_away_falls_like_the_inverse_depth(case: Case) -> None:
    """For A = -B < 0 and steps 2/(k+2) the energy <Bz, z>/2 is within 2 D^2/(k+2) of its least on the tokens' hull.

    Derived here, for hulls that shrink with the tokens: Frank and Wolfe's h -> (1 - eta) h + eta^2 D^2/2 holds with the
    least energy of the hull before, which is no larger than that of the hull after. D is the first diameter under B.
    """
    form, tokens, last = form_of(case), spread(case), case.given("layers", 30)
    case.require("there are such layers", 1 <= last <= DEPTH)
    field = Slowing(mf.RescaledAttention(weighting="hardmax", query=case.statement.sign() * form), jnp.zeros(()))
    path = case.measure(mf.layers, tokens, field, depth=DEPTH, step=1.0)
    z = np.asarray(path.points)
    above = case.measure(energies_above_the_hull, z[1 : last + 1], form)
    apart = z[0][:, None] - z[0][None]
    square = float(np.einsum("ijd,de,ije->ij", apart, form, apart).max())
    stated, over = case.statement.bound(square, np.arange(1, last + 1)), {"layer": np.arange(1, last + 1)}
    case.at_most(above, stated, within=1e-9 * square, because="a least-squares problem to 1e-12; a bound",
                 name="energy above the least of the hull", over=over)  # fmt: skip


@energy_of_tokens_that_look_away_falls_like_the_inverse_depth.figure
def falling_energy(case: Case, ax: Any) -> Any:
    """Draw the energy above the least of the hull through the layers, and the stated bound."""
    (curve,) = case.curves
    ax.loglog(curve.places + 2, curve.measured, "o", color=ACCENT[0], label="energy above the least of the hull")
    ax.loglog(curve.places + 2, curve.stated, "--", color=THEORY, label="stated: at most $2D^2/(k+2)$")
    n, d, condition = (case.instance[name] for name in ("n", "d", "condition"))
    ax.set(xlabel="$k+2$, $k$ the layer", ylabel="energy", title=f"$n = {n}$, $d = {d}$, condition {condition:g}")
    ax.legend()
    return ax


@energy_of_tokens_that_look_away_falls_like_the_inverse_depth.mutation("sign")
def tokens_that_look_at_each_other() -> float:
    """A > 0: corners stay, and the energy does not fall."""
    return 1.0


@energy_of_tokens_that_look_away_falls_like_the_inverse_depth.mutation("bound")
def curvature_left_out(_square: float, layers: np.ndarray) -> np.ndarray:
    """Without the term eta^2 D^2/2 the first step, eta = 1, would take all that is above."""
    return np.zeros(len(layers))


@claim(
    "2508.09628",
    "Q^T K <= 0, contraction",
    covers=["7.2-decay"],
    status="derived",
    states={"sign": lambda: -1.0, "factor": lambda eta: (1 - eta) ** 2 + eta**2},
    id="2508.09628/contraction",
)
def tokens_that_look_away_contract_to_the_origin(case: Case) -> None:
    """For A = -B < 0 and tokens in pairs z, -z the largest <Bz, z> falls at least by (1-eta)^2 + eta^2 a layer.

    Derived here: <Bz, s> <= 0 for what z looks at, as long as the hull holds the origin, which pairs see to. Without
    them the origin may leave the hull, and tokens gather elsewhere.
    """
    alpha, (n, d) = case.draw("alpha", 2.0, 3.0), shape(case)
    case.require("alpha is positive, and tokens come in pairs", alpha > 0 and n % 2 == 0)
    largest = largest_of_pairs(case, alpha, n, d)
    ratio, over = largest[1:] / largest[:-1], {"layer": np.arange(1, len(largest))}
    factor = case.statement.factor(alpha / (1 + alpha))
    case.at_most(
        ratio, factor, within=1e-9, because="rounding; a bound", name="ratio of the largest <Bz, z>", over=over
    )


def largest_of_pairs(case: Case, alpha: float, n: int, d: int) -> np.ndarray:
    """Return the largest <Bz, z> of tokens in pairs, after each of twenty layers."""
    form, half = form_of(case), case.generator("tokens").uniform(-1, 1, (n // 2, d))
    tokens = mf.Tokens(mf.Euclidean(d), np.concatenate([half, -half]))
    z = hard_layers(case, tokens, case.statement.sign() * form, alpha)[:21]
    return np.einsum("knd,de,kne->kn", z, form, z).max(axis=1)


@tokens_that_look_away_contract_to_the_origin.figure
def contraction(case: Case, ax: Any) -> Any:
    """Draw the largest <Bz, z> through the layers, and the stated bound."""
    alpha, n, d = (case.instance[name] for name in ("alpha", "n", "d"))
    largest, factor = largest_of_pairs(case, alpha, n, d), case.statement.factor(alpha / (1 + alpha))
    layers = np.arange(len(largest))
    ax.semilogy(layers, largest, "o", color=ACCENT[0], label=r"largest $\langle Bz,z\rangle$")
    ax.semilogy(layers, largest[0] * factor**layers, "--", color=THEORY, label="stated: at most")
    ax.semilogy(layers, largest[0] * (1 / (1 + alpha)) ** (2 * layers), ":", color=MUTED, label=r"$(1-\eta)^{2k}$")
    ax.set(xlabel="layer", ylabel=r"$\langle Bz,z\rangle$", title=rf"$n = {n}$, $d = {d}$, $\alpha = {alpha:.2f}$")
    ax.legend()
    return ax


@tokens_that_look_away_contract_to_the_origin.mutation("sign")
def tokens_that_look_ahead() -> float:
    """A > 0: corners stay."""
    return 1.0


@tokens_that_look_away_contract_to_the_origin.mutation("factor")
def square_of_the_step_left_out(eta: float) -> float:
    """(1 - eta)^2: what is looked at is taken for the origin."""
    return (1 - eta) ** 2


@tokens_that_look_away_contract_to_the_origin.mutation("factor")
def everyone_looks_at_its_opposite(eta: float) -> float:
    """(1 - 2 eta)^2, as for one pair alone."""
    return (1 - 2 * eta) ** 2

"""Dot-product attention has no global Lipschitz constant; with L2 scores there is one, by a lemma that is sharp."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np
from scipy.optimize import minimize_scalar

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.p2312_14820.ascent import Rise, ascended, rise_of_l2_attention, rise_of_mean_square
from measureflow.paths.style import ACCENT, MUTED, THEORY

PAPER = "2006.04710"
N, D = 6, 4

rows = eqx.filter_jit(lambda field, mu: field.weights(mu.points, mu))


def around(radius: float, directions: np.ndarray) -> mf.Tokens:
    """Return a token at the origin and the others on a sphere around it."""
    points = np.concatenate([np.zeros((1, directions.shape[1])), radius * directions])
    return mf.Tokens(mf.Euclidean(directions.shape[1]), points)


def mean_square(tokens: mf.Tokens) -> float:
    """Return the largest mean square distance of a token to what it attends to."""
    points = np.asarray(tokens.points)
    square = ((points[:, None] - points) ** 2).sum(axis=-1)
    return float((np.asarray(rows(mf.SelfAttention(1.0, score="l2"), tokens)) * square).sum(axis=1).max())


def largest_of_many(seed: int, count: int, raised: int, steps: int, n: int, d: int) -> float:
    """Return the largest mean square distance of random tokens of all sizes, and of some raised by gradient ascent."""
    rng = np.random.default_rng(seed)
    clouds = rng.normal(size=(count, n, d)) * np.exp(rng.uniform(-2.0, 1.0, (count, 1, 1)))
    top = ascended(rise_of_mean_square, clouds[:raised], steps, lambda x: x)
    return float(max(rise_of_mean_square(x).sizes.max() for x in (clouds, top)))


def largest_around(directions: np.ndarray) -> float:
    """Return the largest mean square distance over all radii of the sphere."""
    found = minimize_scalar(lambda r: -mean_square(around(r, directions)), bounds=(0.3, 3.0), method="bounded",
                            options={"xatol": 1e-9})  # fmt: skip
    return float(-found.fun)


@claim(
    PAPER,
    "the lemma on L2 attention",
    covers=["T17", "4.3"],
    states=theory.largest_mean_square_of_l2_attention,
    id=f"{PAPER}/lemma",
)
def mean_square_distance_of_l2_attention_is_at_most_log_n(case: Case) -> None:
    """With L2 scores the mean square distance of a token to what it attends to is at most phi^-1(n-1),
    phi(c) = c e^(c+1), whatever the tokens, and tokens on a sphere around one attain it."""
    directions, n, d = sphere_around(case), case.instance["n"], case.instance["d"]
    attained = case.measure(largest_around, directions)
    stated, because = case.predict(n), "the error of a maximum is quadratic in the radius, 1e-9"
    case.compare(attained, stated, within=1e-9, because=because, name="largest over all radii")
    tokens = mf.Tokens(mf.Euclidean(d), case.generator("tokens").normal(size=(n, d)))
    measured = rise_of_mean_square(np.asarray(tokens.points)[None]).sizes[0]
    case.compare(measured, mean_square(tokens), within=1e-12, because="rounding", name="closed form")
    found = case.measure(
        largest_of_many, case.seed, *{"smoke": (2000, 20, 40)}.get(case.tier, (100_000, 1000, 300)), n, d
    )
    case.at_most(found, stated, within=1e-9, because="rounding", name="random and optimised tokens")
    case.instance["largest ratio"] = found / stated


def sphere_around(case: Case) -> np.ndarray:
    """Draw the directions in which all tokens but one stand."""
    n, d = case.given("n", N), case.given("d", D)
    case.require("two tokens or more", n >= 2)
    directions = case.generator("directions").normal(size=(n - 1, d))
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


@mean_square_distance_of_l2_attention_is_at_most_log_n.figure
def mean_square_over_the_radius(case: Case, ax: Any) -> None:
    """Draw the mean square distance of the token in the middle against the radius of the others."""
    directions, n = sphere_around(case), case.instance["n"]
    radii = np.linspace(0.3, 3.0, 28)
    found = [mean_square(around(float(radius), directions)) for radius in radii]
    stated = case.predict(n)
    ax.plot(radii, found, "o", color=ACCENT[0], ms=5, label="tokens on a sphere around one")
    ax.axhline(stated, color=THEORY, ls="--", label=rf"stated $\varphi^{{-1}}(n-1)$ = {stated:.4g}")
    largest = case.instance["largest ratio"] * stated
    ax.axhline(largest, color=MUTED, ls=":", label="largest of random and raised tokens")
    ax.set(xlabel="radius", ylabel="largest mean square distance")
    ax.set_title(f"n = {n}, d = {case.instance['d']}, L2 scores", fontsize=11, loc="left")
    ax.legend(fontsize=9)


@mean_square_distance_of_l2_attention_is_at_most_log_n.mutation
def e_lost(n: int) -> float:
    """phi(c) = c e^c: the factor e is lost."""
    return theory.largest_mean_square_of_l2_attention(int(1 + round((n - 1) * np.e)))


@mean_square_distance_of_l2_attention_is_at_most_log_n.mutation
def own_token_counted(n: int) -> float:
    """The token itself is counted among the others: n for n - 1."""
    return theory.largest_mean_square_of_l2_attention(n + 1)


def jacobian(x: np.ndarray) -> np.ndarray:
    """Return Jacobians of attention with the score -|x-y|^2 and V = I, in closed form."""
    (n, d), apart = x.shape[-2:], x[..., :, None, :] - x[..., None, :, :]
    scores = -(apart**2).sum(axis=-1)
    weights = np.exp(scores)
    weights /= weights.sum(axis=-1, keepdims=True)
    centred = x[..., None, :, :] - (weights @ x)[..., :, None, :]
    pulls = 2.0 * np.einsum("...ij,...ijc,...ije->...icje", weights, centred, apart, optimize=True)
    blocks, own = pulls + np.einsum("...ij,ce->...icje", weights, np.eye(d)), np.arange(n)
    blocks[..., own, :, own, :] -= np.moveaxis(pulls.sum(axis=-2), -3, 0)
    return blocks.reshape(*x.shape[:-2], n * d, n * d)


def rise(x: np.ndarray, norm: str) -> Rise:
    """Return norms of the Jacobians, and their gradients; that of `token` is a lower bound, attained by one direction
    in all blocks."""
    found, each = jacobian(x), np.arange(len(x))
    left, right = np.zeros_like(x), np.zeros_like(x)
    if norm == "coordinate":
        sums = np.abs(found).sum(axis=-1)
        row = sums.argmax(axis=1)
        left.reshape(len(x), -1)[each, row] = 1.0
        return Rise(sums.max(axis=1), rise_of_l2_attention(x, left, np.sign(found[each, row]).reshape(x.shape)))
    if norm == "frobenius":
        one, top, other = np.linalg.svd(found)
        return Rise(top[:, 0], rise_of_l2_attention(x, one[..., 0].reshape(x.shape), other[:, 0].reshape(x.shape)))
    blocks = found.reshape(*x.shape, -1)
    directions = np.linalg.svd(blocks, full_matrices=False)[0][..., 0]
    turned = np.einsum("kicx,kic->kix", blocks, directions).reshape(*x.shape[:2], *x.shape[1:])
    lengths = np.linalg.norm(turned, axis=-1)
    row = lengths.sum(axis=-1).argmax(axis=1)
    left[each, row] = directions[each, row]
    right = turned[each, row] / np.maximum(lengths[each, row], 1e-300)[..., None]
    return Rise(lengths.sum(axis=-1).max(axis=1), rise_of_l2_attention(x, left, right))


def worst(seed: int, norm: str, count: int, chosen: int, steps: int, n: int, d: int) -> float:
    """Return the largest norm over random tokens, and over the worst of them after gradient ascent."""
    rng, best, top = np.random.default_rng(seed), 0.0, []
    for part in np.array_split(np.arange(count), max(count // 2000, 1)):
        clouds = rng.normal(size=(len(part), n, d)) * np.exp(rng.uniform(-1.5, 1.0, (len(part), 1, 1)))
        found = rise(clouds, norm).sizes
        best = max(best, float(found.max()))
        top.append(clouds[np.argsort(found)[-max(chosen * len(part) // count, 1) :]])
    raised = ascended(lambda x: rise(x, norm), np.concatenate(top), steps, lambda x: x)
    return max(best, float(rise(raised, norm).sizes.max()))


@claim(
    PAPER,
    "constants of L2 attention",
    covers=["4.3"],
    states=theory.lipschitz_of_l2_attention,
    status="erratum",
    id=f"{PAPER}/constants",
)
def l2_attention_has_a_constant_in_the_norm_of_tokens(case: Case) -> None:
    """Attention with L2 scores is Lipschitz: 4 phi^-1(n-1) + 1 in the norm max |x_i|, sqrt n times that in the
    Frobenius norm. In the norm of coordinates max |x_ia| a factor sqrt d is needed."""
    # random tokens, the worst of them that are raised, and by how many steps
    sizes = {"smoke": (300, 12, 40), "standard": (33_400, 334, 300)}.get(case.tier, (100_000, 1000, 1000))
    n, d = case.given("n", N), case.given("d", D)
    tokens = mf.Tokens(mf.Euclidean(d), case.generator("tokens").normal(size=(n, d)))
    exact = case.measure(mf.observe.jacobian, tokens, field=mf.SelfAttention(1.0, score="l2"))
    because = "rounding of sums of terms of size up to |x|^2, some tens"
    case.compare(jacobian(np.asarray(tokens.points)), exact, within=1e-11, because=because, name="closed form")
    for norm in ("token", "frobenius", "coordinate"):
        found, stated = case.measure(worst, case.seed, norm, *sizes, n, d), case.predict(n, norm=norm, d=d)
        case.at_most(found, stated, within=1e-9, because="rounding", name=f"norm of the Jacobian, {norm}")
        case.instance[f"largest ratio, {norm}"] = found / stated


@l2_attention_has_a_constant_in_the_norm_of_tokens.figure
def constants_that_were_found(case: Case, ax: Any) -> None:
    """Draw the largest norm that was found beside the constant, for each norm."""
    curves = [curve for curve in case.curves if curve.name.startswith("norm")]
    places = np.arange(len(curves))
    ax.bar(places, [float(curve.measured[0]) for curve in curves], width=0.5, color=ACCENT[1], label="largest found")
    stated = [float(curve.stated[0]) for curve in curves]
    ax.hlines(stated, places - 0.35, places + 0.35, color=THEORY, ls="--", label="stated constant")
    ax.set_xticks(places, [curve.name.removeprefix("norm of the Jacobian, ") for curve in curves])
    ax.set(ylabel="norm of the Jacobian")
    ax.set_title(
        "n = {}, d = {}, L2 scores, V = I".format(case.instance["n"], case.instance["d"]), fontsize=11, loc="left"
    )
    ax.legend(fontsize=9)


@l2_attention_has_a_constant_in_the_norm_of_tokens.mutation
def root_of_the_dimension_lost(n: int, *, norm: str, d: int) -> float:
    """The constant as printed, read in the norm of coordinates."""
    return theory.lipschitz_of_l2_attention(n, norm="token" if norm == "coordinate" else norm, d=d)


@l2_attention_has_a_constant_in_the_norm_of_tokens.mutation
def scores_held(n: int, *, norm: str, d: int) -> float:
    """The weights are held: a mean does not stretch."""
    return {"token": 1.0, "frobenius": float(np.sqrt(n)), "coordinate": 1.0}[norm]


def beside(radius: float, form: np.ndarray, value: np.ndarray, u: np.ndarray, n: int) -> float:
    """Return the observed constant of dot-product attention at a token at the origin between two groups."""
    sides = np.where(np.arange(1, n) % 2, 1.0, -1.0)
    points = radius * np.outer([0.0, *sides], u)
    tokens = mf.Tokens(mf.Euclidean(len(u)), points)
    return float(mf.observe.lipschitz(tokens, mf.SelfAttention(1.0, query=form, value=value)))


@claim(PAPER, "dot-product attention is not Lipschitz", covers=["4.3"], id=f"{PAPER}/dot-product",
       states=lambda n, root, stretch, radius: abs(root) * radius**2 * (n - 1) / n * stretch)  # fmt: skip
def dot_product_attention_has_no_constant(case: Case) -> None:
    """With a token at the origin and the others at +-Ru, A u = l u, the constant is at least l R^2 (n-1)/n |Vu|:
    dot-product attention is not Lipschitz on the whole space."""
    axes, _ = np.linalg.qr(case.generator("axes").normal(size=(2, 2)))
    root, value = case.draw("eigenvalue", 0.5, 1.0), case.generator("value").normal(size=(2, 2))
    form, u = axes @ np.diag([root, 0.0]) @ axes.T, axes[:, 0]
    # the token's own mass adds V/n to its block: with the same sign where l > 0
    case.require("the eigenvalue is positive", root > 0)
    n, radii = case.given("n", 7), np.array(case.given("radii", (5.0, 20.0, 80.0)))
    case.require("two groups of the same size beside a token", n >= 3 and n % 2 == 1)
    stretch, over = float(np.linalg.norm(value @ u)), {"R": radii}
    measured = np.array([case.measure(beside, float(radius), form, value, u, n) for radius in radii])
    stated = np.array([case.predict(n, root, stretch, float(radius)) for radius in radii])
    because = "rtol 1e-8 of Lanczos"
    case.at_least(measured, stated, within=1e-6 * measured, because=because, name="constant at the tokens", over=over)
    # the last token alone has this norm up to what the others' Jacobians add, which does not grow with R
    because, ratio = "the rest of the Jacobian is bounded, and R^2 grows", measured / stated
    case.compare(ratio, 1.0, within=8.0 / radii**2 + 1e-6, because=because, name="ratio to the stated", over=over)


@dot_product_attention_has_no_constant.figure
def growth_with_the_radius(case: Case, ax: Any) -> None:
    """Draw the constant at the tokens against the radius, over the stated parabola."""
    curve = case.curves[0]
    ax.plot(curve.places, curve.measured, "o", color=ACCENT[0], ms=8, label="observed")
    ax.plot(curve.places, curve.stated, "--", color=THEORY, label=r"stated: at least $\lambda R^2\frac{n-1}{n}|Vu|$")
    ax.set(xscale="log", yscale="log", xlabel="$R$", ylabel="Lipschitz constant at the tokens")
    ax.set_xticks(curve.places, [f"{one:g}" for one in curve.places])
    ax.tick_params(axis="x", which="minor", labelbottom=False)
    about = (case.instance["n"], case.instance["eigenvalue"])
    ax.set_title("n = {}, eigenvalue {:.3g}".format(*about), fontsize=11, loc="left")
    ax.legend(fontsize=9)


@dot_product_attention_has_no_constant.mutation
def linear_in_the_radius(n: int, root: float, stretch: float, radius: float) -> float:
    """It grows like R."""
    return abs(root) * radius * (n - 1) / n * stretch


@dot_product_attention_has_no_constant.mutation
def all_of_the_tokens(n: int, root: float, stretch: float, radius: float) -> float:
    """The variance is R^2: the token at the origin is forgotten."""
    return abs(root) * radius**2 * stretch

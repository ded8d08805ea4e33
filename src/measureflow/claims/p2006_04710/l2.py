"""Dot-product attention has no global Lipschitz constant; with L2 scores there is one, by a lemma that is sharp."""

from __future__ import annotations

import equinox as eqx
import numpy as np
from scipy.optimize import minimize_scalar

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.p2312_14820.instances import climbed

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
    directions = case.generator("directions").normal(size=(N - 1, D))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    attained = case.measure(largest_around, directions)
    stated = case.predict(N)
    case.compare(attained, stated, within=1e-9, because="the error of a maximum is quadratic in the radius, 1e-9")
    for k in range(8):
        points = case.generator(f"tokens {k}").normal(size=(N, D)) * np.exp(case.draw(f"size {k}", -2.0, 1.0))
        found = case.measure(mean_square, mf.Tokens(mf.Euclidean(D), points))
        case.at_most(found, stated, within=1e-9, because="rounding", name="random tokens")


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


def sizes(x: np.ndarray, norm: str) -> np.ndarray:
    """Return norms of the Jacobians; that of `token` is a lower bound, attained by one direction in all blocks."""
    found = jacobian(x)
    if norm == "coordinate":
        return np.abs(found).sum(axis=-1).max(axis=-1)
    if norm == "frobenius":
        return np.linalg.norm(found, 2, axis=(-2, -1))
    n, d = x.shape[-2:]
    left, _, _ = np.linalg.svd(found.reshape(*x.shape[:-2], n, d, n * d), full_matrices=False)
    turned = np.einsum("...icx,...ic->...ix", found.reshape(*x.shape[:-2], n, d, n * d), left[..., 0])
    return np.linalg.norm(turned.reshape(*x.shape[:-2], n, n, d), axis=-1).sum(axis=-1).max(axis=-1)


def worst(seed: int, norm: str, count: int, steps: int) -> float:
    """Return the largest norm that a climb from random tokens finds."""
    rng = np.random.default_rng(seed)
    start = rng.normal(size=(count, N, D))
    return float(sizes(climbed(lambda x: sizes(x, norm), start, rng, steps, back=lambda x: x), norm).max())


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
    count, steps = {"smoke": (24, 400)}.get(case.tier, (200, 2000))
    tokens = mf.Tokens(mf.Euclidean(D), case.generator("tokens").normal(size=(N, D)))
    exact = case.measure(mf.observe.jacobian, tokens, field=mf.SelfAttention(1.0, score="l2"))
    because = "rounding of sums of terms of size up to |x|^2, some tens"
    case.compare(jacobian(np.asarray(tokens.points)), exact, within=1e-11, because=because, name="closed form")
    for norm in ("token", "frobenius", "coordinate"):
        small = norm == "coordinate"
        found = case.measure(worst, case.seed, norm, count if small else 8, steps if small else 60)
        case.at_most(found, case.predict(N, norm=norm, d=D), within=1e-9, because="rounding", name=norm)


@l2_attention_has_a_constant_in_the_norm_of_tokens.mutation
def root_of_the_dimension_lost(n: int, *, norm: str, d: int) -> float:
    """The constant as printed, read in the norm of coordinates."""
    return theory.lipschitz_of_l2_attention(n, norm="token" if norm == "coordinate" else norm, d=d)


@l2_attention_has_a_constant_in_the_norm_of_tokens.mutation
def scores_held(n: int, *, norm: str, d: int) -> float:
    """The weights are held: a mean does not stretch."""
    return {"token": 1.0, "frobenius": float(np.sqrt(n)), "coordinate": 1.0}[norm]


def beside(radius: float, form: np.ndarray, value: np.ndarray, u: np.ndarray) -> float:
    """Return the observed constant of dot-product attention at a token at the origin between two groups."""
    points = radius * np.outer([0.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0], u)
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
    for radius in (5.0, 20.0, 80.0):
        measured = case.measure(beside, radius, form, value, u)
        stretch = float(np.linalg.norm(value @ u))
        stated = case.predict(7, root, stretch, radius)
        case.at_least(measured, stated, within=1e-6 * measured, because="rtol 1e-8 of Lanczos", name=f"R = {radius:g}")
        # the last token alone has this norm up to what the others' Jacobians add, which does not grow with R
        because = "the rest of the Jacobian is bounded, and R^2 grows"
        case.compare(measured / stated, 1.0, within=8.0 / radius**2 + 1e-6, because=because, name=f"ratio, {radius:g}")


@dot_product_attention_has_no_constant.mutation
def linear_in_the_radius(n: int, root: float, stretch: float, radius: float) -> float:
    """It grows like R."""
    return abs(root) * radius * (n - 1) / n * stretch


@dot_product_attention_has_no_constant.mutation
def all_of_the_tokens(n: int, root: float, stretch: float, radius: float) -> float:
    """The variance is R^2: the token at the origin is forgotten."""
    return abs(root) * radius**2 * stretch

"""At finite beta corners are left after a wait that is exponential in beta: in continuous depth and in layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.integrate import quad

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import follow
from measureflow.claims.p2407_01602 import hard_layers
from measureflow.claims.p2508_09628.instances import form_of, shape, spread
from measureflow.paths.style import ACCENT, THEORY


def angles_of(corners: int) -> np.ndarray:
    """Return the angles of the corners of a regular polygon."""
    return 2 * np.pi * np.arange(corners) / corners


def mean_cosine(logit: Any, corners: int) -> Any:
    """Return the mean of cos under the weights e^(logit cos) of the corners."""
    cosines = np.cos(angles_of(corners))
    weights = np.exp(np.multiply.outer(logit, cosines - 1.0))
    return (weights @ cosines) / weights.sum(axis=-1)


def waiting_time(beta: float, corners: int) -> float:
    """Return the time in which the radius falls from 1 to 1/2."""
    return float(
        quad(lambda r: 1.0 / (r * (1.0 - mean_cosine(beta * r**2, corners))), 0.5, 1.0, epsabs=0, epsrel=1e-10)[0]
    )


def polygon(case: Case) -> tuple[int, float]:
    """Return the corners of a regular polygon, one token on each, and by how much it is turned."""
    corners = case.given("corners", 5)
    case.require("a polygon has three corners or more", 3 <= corners <= 12)
    return corners, case.draw("turn", 0.0, 1.0)


def radii(case: Case, beta: float, corners: int, turn: float, times: np.ndarray) -> np.ndarray:
    """Return the distances of the tokens from the origin along x' = A(x) - x."""
    angles = angles_of(corners) + turn
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    field = mf.SelfAttention(beta) + mf.Perceptron(np.eye(2), -np.eye(2), activation="identity")
    return np.linalg.norm(follow(case, mf.Tokens(mf.Euclidean(2), points), field, times, rtol=1e-9), axis=-1)


@claim(
    "2508.09628",
    "metastability at finite beta",
    covers=["7.2-metastable"],
    status="derived",
    states={"time": waiting_time, "end": lambda: 0.0},
    id="2508.09628/metastable",
)
def corners_are_left_after_an_exponential_time_for_the_origin(case: Case) -> None:
    """At finite beta tokens on the corners of a regular pentagon wait there for some e^(beta (1-cos 72°)), and then all
    fall to the origin.

    Derived here for x' = A(x) - x, whose symmetric solution has the radius r' = -r (1 - m(beta r^2)) with m the mean of
    the cosine under the weights of the corners.
    """
    beta, (corners, turn) = case.draw("beta", 6.0, 9.0), polygon(case)
    case.require("beta is not negative, and the wait not endless", 0 <= beta * (1 - np.cos(2 * np.pi / corners)) <= 14)
    half = waiting_time(beta, corners)
    radius = radii(case, beta, corners, turn, np.array([half, half + 40.0]))
    because = "rtol 1e-9 over some hundred units of time in which the radius itself speeds up"
    logarithm = np.log(half) + (radius[0] - 0.5) / (0.5 * half * (1.0 - mean_cosine(beta / 4, corners)))
    stated = np.log(case.statement.time(beta, corners))
    case.compare(logarithm, stated, within=1e-3, because=because, name="logarithm of the time to half the radius")
    because = "e^-40 and what is left of the wait"
    case.compare(radius[1], case.statement.end(), within=1e-2, because=because, name="radius in the end")


@corners_are_left_after_an_exponential_time_for_the_origin.figure
def waiting(case: Case, ax: Any) -> Any:
    """Draw the radius of the polygon along time, and when it is stated to have half of it."""
    beta, (corners, turn) = case.instance["beta"], polygon(case)
    half, stated = waiting_time(beta, corners), case.statement.time(beta, corners)
    times = np.linspace(0.0, 1.3 * half, 80)[1:]
    ax.plot(times, radii(case, beta, corners, turn, times)[:, 0], "o", ms=4, color=ACCENT[0], label="radius")
    ax.plot([stated], [0.5], "x", color=THEORY, ms=10, mew=2, label="stated time to one half")
    ax.axhline(case.statement.end(), color=THEORY, ls="--", label="stated end")
    ax.set(xlabel="$t$", ylabel="radius", title=rf"$k = {corners}$ corners, $\beta = {beta:.2f}$")
    ax.legend()
    return ax


@corners_are_left_after_an_exponential_time_for_the_origin.mutation("time")
def rate_of_the_beginning(beta: float, corners: int) -> float:
    """The first speed is kept: logits fall with the square of the radius, which is forgotten."""
    return float(np.log(2.0) / (1.0 - mean_cosine(beta, corners)))


@corners_are_left_after_an_exponential_time_for_the_origin.mutation("time")
def distance_in_place_of_the_gap(beta: float, corners: int) -> float:
    """The exponent is beta |v - w|^2, twice the gap of the logits."""
    return waiting_time(2 * beta, corners)


@corners_are_left_after_an_exponential_time_for_the_origin.mutation("end")
def corners_for_ever() -> float:
    """The corners are never left, as under hardmax."""
    return 1.0


#: layers of a run at finite beta
LAYERS = 1000

#: part of the way to the nearest other end after which an end counts as left: small, so that gaps stay as they were
LEFT = 3e-5


def soft_layers(case: Case, tokens: mf.Tokens, form: np.ndarray, beta: float, step: float) -> np.ndarray:
    """Return the points `(layers, n, d)` of z <- z + eta (A(z) - z) at a finite beta."""
    one = np.eye(len(form))
    pulled = mf.SelfAttention(beta, query=form) + mf.Perceptron(one, -one, activation="identity")
    return np.asarray(case.measure(mf.layers, tokens, pulled, depth=LAYERS, step=step).points)


@claim(
    "2508.09628",
    "metastability at finite beta, in layers",
    covers=["7.2-metastable"],
    status="derived",
    states={
        "step": lambda alpha: alpha / (1 + alpha),
        "gap": lambda form, at, other: at @ form @ (at - other),
        "wait": lambda eta, way: way / eta,
    },
    id="2508.09628/metastable-layers",
)
def corners_are_left_after_some_e_to_the_beta_times_their_gap_of_layers(case: Case) -> None:
    """Layers with eta = alpha/(1+alpha) leave a corner v after some e^(beta g)/eta of them, g the least <A v, v - w>.

    Derived here for tokens at the ends of hardmax: of the weights that v sees those of another corner w are e^(-beta
    <A v, v-w>) times a ratio of masses, so v moves by eta times their sum with w - v. A regular pentagon shrinks by
    1 - eta (1 - m(beta r^2)) a layer, exactly.
    """
    alpha, (n, d) = case.draw("alpha", 0.3, 0.7), shape(case)
    case.require("alpha is positive, and of order one", 0 < alpha <= 3)
    beta, (corners, _) = case.draw("beta", 4.0, 6.0), polygon(case)
    case.require("the polygon is in the plane, and has not more corners than there are tokens", d == 2 and corners <= n)
    found = radius_in_layers(case, alpha)
    stated = stated_radius(case, alpha, beta, corners)
    because, over = "rounding of 60 layers, each of which may double it", {"layer": np.arange(61)}
    case.compare(found, stated, within=1e-9, because=because, name="radius of the polygon", over=over)
    form, eta = form_of(case), alpha / (1 + alpha)
    ends, counts = ends_of_hardmax(case, form)
    points = np.concatenate([ends, np.repeat(ends[:1], n - len(ends), axis=0)])
    tokens = mf.Tokens(mf.Euclidean(d), points, np.append(counts, np.zeros(n - len(ends))) / n)
    waits = case.given("layers of a wait", (30.0, 500.0))
    case.require("waits of ten layers or more, that fit the run", all(10 <= one <= 0.8 * LAYERS for one in waits))
    for wanted in waits:
        beta = beta_of_a_wait(wanted * eta, ends, counts, form)
        found = layers_until_left(case, soft_layers(case, tokens, form, beta, eta)[:, : len(ends)])
        way = way_until_left(beta, ends, counts, lambda v, w: case.statement.gap(form, v, w))
        stated = case.statement.wait(case.statement.step(alpha), way)
        because = "gaps that fall by some 1e-4 of them, with beta g up to 20, as ends near each other do"
        case.compare(np.log(found), np.log(stated), within=0.07, because=because, name=f"log of {wanted:g} layers")


def radius_in_layers(case: Case, alpha: float) -> np.ndarray:
    """Return the radius of a regular polygon after each of sixty layers at a finite beta."""
    (n, d), beta, (corners, turn) = shape(case), case.instance["beta"], polygon(case)
    angles = angles_of(corners) + turn
    # as many tokens without mass as make up the common shape
    points, masses = np.zeros((n, d)), np.zeros(n)
    points[:corners], masses[:corners] = np.stack([np.cos(angles), np.sin(angles)], axis=1), 1 / corners
    tokens = mf.Tokens(mf.Euclidean(d), points, masses)
    return np.linalg.norm(soft_layers(case, tokens, np.eye(d), beta, alpha / (1 + alpha))[:61, 0], axis=1)


def stated_radius(case: Case, alpha: float, beta: float, corners: int) -> list[float]:
    """Return what the stated step makes of the radius in sixty layers."""
    eta, radius = case.statement.step(alpha), [1.0]
    for _ in range(60):
        radius.append(radius[-1] * (1 - eta * (1 - mean_cosine(beta * radius[-1] ** 2, corners))))
    return radius


@corners_are_left_after_some_e_to_the_beta_times_their_gap_of_layers.figure
def shrinking(case: Case, ax: Any) -> Any:
    """Draw the radius of the polygon through the layers, and as stated."""
    alpha, beta, corners = (case.instance[name] for name in ("alpha", "beta", "corners"))
    ax.plot(radius_in_layers(case, alpha), "o", ms=4, color=ACCENT[0], label="measured")
    ax.plot(stated_radius(case, alpha, beta, corners), "--", color=THEORY, label="stated")
    title = rf"$k = {corners}$ corners, $\alpha = {alpha:.2f}$, $\beta = {beta:.2f}$"
    ax.set(xlabel="layer", ylabel="radius of the polygon", ylim=(0.0, None), title=title)
    ax.legend()
    return ax


def ends_of_hardmax(case: Case, form: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where tokens of the cube end under hardmax, by long steps, and how many end at each place."""
    ended = hard_layers(case, spread(case), form, 3.0)[-1].round(9)
    ends, counts = np.unique(ended, axis=0, return_counts=True)
    case.require("hardmax has two ends or more", len(ends) > 1)
    return ends, counts


def nearest_two(ends: np.ndarray) -> float:
    """Return the distance of the two nearest ends."""
    apart = np.linalg.norm(ends[:, None] - ends, axis=-1)
    return float(np.min(apart + np.diag(np.full(len(ends), np.inf))))


def way_until_left(beta: float, ends: np.ndarray, counts: np.ndarray, gap: Any) -> float:
    """Return the time in which a first end moves by its part of the way to the nearest other, at its first speed."""
    pulls = []
    for v, mass in zip(ends, counts, strict=True):
        weights = np.array([np.exp(-beta * gap(v, w)) for w in ends]) * counts / mass
        pulls.append(np.linalg.norm(weights @ (ends - v)))
    return float(LEFT * nearest_two(ends) / max(*pulls, 1e-300))


def beta_of_a_wait(wanted: float, ends: np.ndarray, counts: np.ndarray, form: np.ndarray) -> float:
    """Return the beta at which a first end is left after a time."""
    low, high = 0.0, 1e4
    for _ in range(80):
        middle = (low + high) / 2
        shorter = way_until_left(middle, ends, counts, lambda v, w: float(v @ form @ (v - w))) < wanted
        low, high = (middle, high) if shorter else (low, middle)
    return high


def layers_until_left(case: Case, z: np.ndarray) -> float:
    """Return after how many layers of `(layers, k, d)` a first end has been left, between two layers by a line."""
    moved = np.linalg.norm(z - z[0], axis=-1).max(axis=1) / nearest_two(z[0])
    case.require("a corner is left", bool(moved[-1] > LEFT))
    first = int(np.argmax(moved > LEFT))
    return first - (moved[first] - LEFT) / (moved[first] - moved[first - 1])


waits = corners_are_left_after_some_e_to_the_beta_times_their_gap_of_layers


@waits.mutation("gap")
def square_of_the_distance(form: np.ndarray, at: np.ndarray, other: np.ndarray) -> float:
    """<A(v-w), v-w> for <A v, v-w>: twice the gap where both corners are as long."""
    return float((at - other) @ form @ (at - other))


@waits.mutation("gap")
def gap_without_the_form(_form: np.ndarray, at: np.ndarray, other: np.ndarray) -> float:
    """A is taken for the identity."""
    return float(at @ (at - other))


@waits.mutation("gap")
def no_gap(_form: np.ndarray, _at: np.ndarray, _other: np.ndarray) -> float:
    """The wait does not depend on beta."""
    return 0.0


@waits.mutation("wait")
def step_forgotten(_eta: float, way: float) -> float:
    """As in continuous depth: the step is not divided by."""
    return way


@waits.mutation("step")
def step_not_divided(alpha: float) -> float:
    """The step is alpha itself."""
    return alpha

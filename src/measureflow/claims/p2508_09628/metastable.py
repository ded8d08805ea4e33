"""At finite beta corners are left after a wait that is exponential in beta: in continuous depth and in layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.integrate import quad

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import follow
from measureflow.claims.p2407_01602 import TOKENS, D, hard_layers, metric, plane

#: corners of a regular polygon, one token on each
CORNERS = 2 * np.pi * np.arange(5) / 5


def mean_cosine(logit: Any) -> Any:
    """Return the mean of cos under the weights e^(logit cos) of the corners."""
    weights = np.exp(np.multiply.outer(logit, np.cos(CORNERS) - 1.0))
    return (weights @ np.cos(CORNERS)) / weights.sum(axis=-1)


def waiting_time(beta: float) -> float:
    """Return the time in which the radius falls from 1 to 1/2."""
    return float(quad(lambda r: 1.0 / (r * (1.0 - mean_cosine(beta * r**2))), 0.5, 1.0, epsabs=0, epsrel=1e-10)[0])


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
    beta, turn = case.draw("beta", 6.0, 9.0), case.draw("turn", 0.0, 1.0)
    points = np.stack([np.cos(CORNERS + turn), np.sin(CORNERS + turn)], axis=1)
    field = mf.SelfAttention(beta) + mf.Perceptron(np.eye(D), -np.eye(D), activation="identity")
    half = waiting_time(beta)
    x = follow(case, mf.Tokens(mf.Euclidean(D), points), field, np.array([half, half + 40.0]), rtol=1e-9)
    radius = np.linalg.norm(x, axis=-1)
    because = "rtol 1e-9 over some hundred units of time in which the radius itself speeds up"
    logarithm = np.log(half) + (radius[0] - 0.5) / (0.5 * half * (1.0 - mean_cosine(beta / 4)))
    stated = np.log(case.statement.time(beta))
    case.compare(logarithm, stated, within=1e-3, because=because, name="logarithm of the time to half the radius")
    because = "e^-40 and what is left of the wait"
    case.compare(radius[1], case.statement.end(), within=1e-2, because=because, name="radius in the end")


@corners_are_left_after_an_exponential_time_for_the_origin.mutation("time")
def rate_of_the_beginning(beta: float) -> float:
    """The first speed is kept: logits fall with the square of the radius, which is forgotten."""
    return float(np.log(2.0) / (1.0 - mean_cosine(beta)))


@corners_are_left_after_an_exponential_time_for_the_origin.mutation("time")
def distance_in_place_of_the_gap(beta: float) -> float:
    """The exponent is beta |v - w|^2, twice the gap of the logits."""
    return waiting_time(2 * beta)


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
    pulled = mf.SelfAttention(beta, query=form) + mf.Perceptron(np.eye(D), -np.eye(D), activation="identity")
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
    alpha = case.draw("alpha", 0.3, 0.7)
    # a pentagon, and as many tokens without mass as make up the common shape
    beta, turn = case.draw("beta", 4.0, 6.0), case.draw("turn", 0.0, 1.0)
    corners = np.stack([np.cos(CORNERS + turn), np.sin(CORNERS + turn)], axis=1)
    points, masses = np.zeros((TOKENS, D)), np.zeros(TOKENS)
    points[:5], masses[:5] = corners, 0.2
    tokens = mf.Tokens(mf.Euclidean(D), points, masses)
    z = soft_layers(case, tokens, np.eye(D), beta, alpha / (1 + alpha))
    eta, radius = case.statement.step(alpha), [1.0]
    for _ in range(60):
        radius.append(radius[-1] * (1 - eta * (1 - mean_cosine(beta * radius[-1] ** 2))))
    because = "rounding of 60 layers, each of which may double it"
    case.compare(np.linalg.norm(z[:61, 0], axis=1), radius, within=1e-9, because=because, name="radius of a pentagon")
    form, eta = metric(case), alpha / (1 + alpha)
    ends, counts = ends_of_hardmax(case, form)
    points = np.concatenate([ends, np.repeat(ends[:1], TOKENS - len(ends), axis=0)])
    tokens = mf.Tokens(mf.Euclidean(D), points, np.append(counts, np.zeros(TOKENS - len(ends))) / TOKENS)
    for wanted in (30.0, 500.0):
        beta = beta_of_a_wait(wanted * eta, ends, counts, form)
        found = layers_until_left(case, soft_layers(case, tokens, form, beta, eta)[:, : len(ends)])
        way = way_until_left(beta, ends, counts, lambda v, w: case.statement.gap(form, v, w))
        stated = case.statement.wait(case.statement.step(alpha), way)
        because = "gaps that fall by some 1e-4 of them, with beta g up to 20, as ends near each other do"
        case.compare(np.log(found), np.log(stated), within=0.07, because=because, name=f"log of {wanted:g} layers")


def ends_of_hardmax(case: Case, form: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where tokens of the plane end under hardmax, by long steps, and how many end at each place."""
    ended = hard_layers(case, plane(case), form, 3.0)[-1].round(9)
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

"""Slow motion: caps collapse to a manifold at a rate of order one, on which the energy is nearly flat."""

from __future__ import annotations

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import MAX_STEPS, N
from measureflow.fields import Unnormalised

HALF = N // 2
SOLVER = mf.Adaptive(rtol=1e-10, atol=1e-12, coarsen=False, max_steps=MAX_STEPS)


def two_caps(case: Case) -> tuple[np.ndarray, float]:
    """Return the angles of two caps of four tokens, as narrow as the inequality asks, and beta."""
    beta, apart = case.draw("beta", 20.0, 40.0), case.draw("angle between the caps", 1.3, 2.5)
    width = 0.125 * np.sqrt(0.9 / (beta + 0.5))
    angles = case.generator("caps").uniform(-0.5 * width, 0.5 * width, N)
    angles[[0, 1, HALF, HALF + 1]] = 0.5 * width * np.array([-1.0, 1.0, -1.0, 1.0])
    return angles + np.repeat([0.0, apart], HALF), beta


def collapsed(angles: np.ndarray) -> np.ndarray:
    """Return each cap collapsed to its mean."""
    return np.repeat(angles.reshape(2, HALF).mean(axis=1), HALF)


def gradient(angles: np.ndarray, beta: float) -> np.ndarray:
    """Return the gradient of the energy by the angles, of E = -(1/2 beta) sum_ij e^(beta (cos - 1))."""
    apart = angles[None, :] - angles[:, None]
    return -(np.exp(beta * (np.cos(apart) - 1.0)) * np.sin(apart)).sum(axis=1)


def drop(angles: np.ndarray, beta: float) -> float:
    """Return E(u) - E(v) for v = u with collapsed caps, from differences."""
    there = collapsed(angles)
    half, other = (0.5 * (a[:, None] - a[None, :]) for a in (angles, there))
    u, v = -2.0 * beta * np.sin(half) ** 2, -2.0 * beta * np.sin(other) ** 2
    return float(-(np.exp(v) * np.expm1(u - v)).sum() / (2.0 * beta))


@claim(
    "2410.06833",
    "section 3, slow motion on the circle",
    covers=["V15"],
    status="derived",
    states={
        "convexity": lambda tokens: float(tokens),
        "flatness": lambda n, alpha, beta: n**1.5 * np.exp(-(1 - alpha) * beta),
    },
    id="2410.06833/slow-manifold",
)
def caps_are_convex_and_their_manifold_is_flat(case: Case) -> None:
    """In caps of m tokens m|u-v|^2/2 = E(u)-E(v) = |grad E|^2/(2m) nearly; on the manifold |grad E| is tiny."""
    angles, beta = two_caps(case)
    there = collapsed(angles)
    convexity = case.statement.convexity(HALF)
    square, fall = float(((angles - there) ** 2).sum()), drop(angles, beta)
    slope = float((gradient(angles, beta) ** 2).sum())
    because = "(3 beta + 1)/2 times the squared width of a cap, at most 1.5/64 where it is as wide as allowed; twofold"
    case.compare(2.0 * fall / square, convexity, within=0.045, relative=True, because=because, name="convexity")
    case.compare(slope / (2.0 * fall), convexity, within=0.045, relative=True, because=because, name="slope")
    alpha = float(np.cos(there[-1] - there[0]))
    steep = float(np.sqrt((gradient(there, beta) ** 2).sum()))
    bound = case.statement.flatness(N, alpha, beta)
    case.at_most(steep, bound, within=1e-2 * bound, because="rounding, far below the bound", name="flatness")


@caps_are_convex_and_their_manifold_is_flat.mutation("convexity")
def one_whatever_the_tokens(tokens: int) -> float:
    """The constant is 1, as in the abstract inequality, where it is the number of tokens."""
    return 1.0


@caps_are_convex_and_their_manifold_is_flat.mutation("convexity")
def tokens_of_both_caps(tokens: int) -> float:
    """The constant is the number of all tokens."""
    return 2.0 * tokens


@caps_are_convex_and_their_manifold_is_flat.mutation("flatness")
def exponent_of_the_chord(n: int, alpha: float, beta: float) -> float:
    """The exponent is twice as large."""
    return n**1.5 * np.exp(-2.0 * (1 - alpha) * beta)


@claim(
    "2410.06833",
    "section 3, approach of the slow manifold",
    covers=["V15"],
    status="derived",
    states=lambda tokens, n: tokens / n,
    id="2410.06833/approach",
)
def caps_approach_their_manifold_at_their_mass(case: Case) -> None:
    """Under USA* the distance from the manifold of collapsed caps falls like e^(-at), a the mass of a cap."""
    angles, beta = two_caps(case)
    times = np.array([0.0, 1.0, 3.0, 6.0])
    tokens = mf.Tokens(mf.Sphere(2), np.stack([np.cos(angles), np.sin(angles)], axis=1))
    field = mf.SelfAttention(beta, weighting=Unnormalised(shifted=True))
    path = case.measure(mf.flow, tokens, field, until=6.0, save=times, solver=SOLVER)
    case.require("the flow ran to its end", path.status == "reached")
    found = np.arctan2(*np.moveaxis(np.asarray(path.points), -1, 0)[::-1])
    away = np.array([np.sqrt(((one - collapsed(one)) ** 2).sum()) for one in np.unwrap(found, axis=0)])
    measured = np.log(away[:-1] / away[1:]) / np.diff(times)
    because = "(3 beta + 1)/2 times the squared width of a cap, at most 1.5/64 where it is as wide as allowed; twofold"
    case.compare(measured, case.predict(HALF, N), within=0.045, relative=True, because=because)


@caps_approach_their_manifold_at_their_mass.mutation
def rate_of_softmax(tokens: int, n: int) -> float:
    """The rate is 1, as under SA."""
    return 1.0


@caps_approach_their_manifold_at_their_mass.mutation
def rate_of_one_token(tokens: int, n: int) -> float:
    """The rate is 1/n: the caps' tokens are not counted."""
    return 1.0 / n

"""The landscape of the energy: its Hessian on the circle, and how unstable what is not consensus is at least."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim

#: tokens of every instance, as for other saddles on the circle
TOKENS = 6


@claim(
    "2312.10794",
    "section 5, Hessian on the circle",
    covers=["3.1"],
    id="2312.10794/hessian-on-the-circle",
    states=lambda x, beta: (np.cos(x) - beta * np.sin(x) ** 2) * np.exp(beta * np.cos(x)),
)
def hessian_on_the_circle_is_a_function_of_differences(case: Case) -> None:
    """On the circle d_i d_j E = g(theta_i - theta_j)/n^2 off the diagonal, g = (cos - beta sin^2) e^(beta cos)."""
    beta = case.draw("beta", 0.5, 4.0)
    angles = case.generator("angles").uniform(0, 2 * np.pi, TOKENS)
    tokens = mf.Tokens(mf.Sphere(2), np.stack([np.cos(angles), np.sin(angles)], axis=1))
    field = mf.SelfAttention(beta, weighting="unnormalised")
    # USA is n grad E, so that its Jacobian is n times the Hessian
    measured = TOKENS * np.asarray(case.measure(mf.observe.jacobian, tokens, field=field))
    off = ~np.eye(TOKENS, dtype=bool)
    predicted = case.predict(angles[:, None] - angles[None], beta)
    because = "rounding of terms up to beta e^beta"
    within = 1e-13 * (1 + beta) * np.exp(beta)
    # the Jacobian chooses the sign of each tangent vector, so that the diagonal alone shows that of g
    case.compare(np.abs(measured[off]), np.abs(predicted[off]), within=within, because=because, name="off the diagonal")
    case.compare(
        np.diag(measured), -(predicted * off).sum(axis=1), within=TOKENS * within, because=because, name="diagonal"
    )


@hessian_on_the_circle_is_a_function_of_differences.mutation
def sine_not_squared(x: Any, beta: float) -> Any:
    """beta sin in place of beta sin^2."""
    return (np.cos(x) - beta * np.abs(np.sin(x))) * np.exp(beta * np.cos(x))


@hessian_on_the_circle_is_a_function_of_differences.mutation
def weights_held_fixed(x: Any, beta: float) -> Any:
    """The derivative of the weight is forgotten: cos alone."""
    return np.cos(x) * np.exp(beta * np.cos(x))


@hessian_on_the_circle_is_a_function_of_differences.mutation
def beta_twice(x: Any, beta: float) -> Any:
    """The derivative of E itself, without the 1/(2 beta)."""
    return beta * (np.cos(x) - beta * np.sin(x) ** 2) * np.exp(beta * np.cos(x)) * 2


@claim(
    "2312.10794",
    "proof of Theorem 4.1",
    covers=["3.1", "Thm 4.1"],
    id="2312.10794/strict-saddles",
    states=lambda d: (d - 1) / d,
)
def without_temperature_every_other_critical_point_is_a_strict_saddle(case: Case) -> None:
    """At beta = 0 a balanced configuration grows at least at the rate (d-1)/d, which the cross-polytope attains."""
    d = 3
    frame, _ = np.linalg.qr(case.generator("frame").normal(size=(d, d)))
    # the corners of a cross-polytope, and a hexagon in a plane; two more tokens have no mass
    turn = np.pi / 3 * np.arange(6)
    hexagon = np.stack([np.cos(turn), np.sin(turn), np.zeros(6)], axis=1)
    corners = np.concatenate([np.eye(d), -np.eye(d)])
    weights = np.where(np.arange(8) < 6, 1 / 6, 0.0)
    fastest = []
    for points in (corners, hexagon):
        tokens = mf.Tokens(mf.Sphere(d), np.concatenate([points, points[:2]]) @ frame, weights)
        matrix = np.asarray(case.measure(mf.observe.jacobian, tokens, field=mf.SelfAttention(0.0)))
        size = 6 * (d - 1)
        fastest.append(float(np.linalg.eigvals(matrix[:size, :size]).real.max()))
    case.compare(fastest[0], case.predict(d), within=1e-12, because="rounding", name="attained")
    case.at_least(fastest, case.predict(d), within=1e-12, because="rounding", name="at least")


@without_temperature_every_other_critical_point_is_a_strict_saddle.mutation
def hessian_for_the_rate(d: int) -> float:
    """2(d-1)/d, the Hessian of the energy sum_ij <x_i, x_j>/n, twice the rate of the tokens."""
    return 2 * (d - 1) / d


@without_temperature_every_other_critical_point_is_a_strict_saddle.mutation
def share_of_one_direction(d: int) -> float:
    """1/d in place of 1 - 1/d."""
    return 1 / d


@without_temperature_every_other_critical_point_is_a_strict_saddle.mutation
def balanced_is_stable(d: int) -> float:
    """The sign is wrong."""
    return -(d - 1) / d

"""Claims of arXiv:2504.14697, quantitative clustering in mean-field transformer models."""

from __future__ import annotations

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim


@claim(
    "2504.14697",
    "stationary measures",
    covers=["5.1"],
    status="derived",
    id="2504.14697/opposite-points",
    states=lambda plus, minus, beta: (
        minus / (plus * np.exp(2 * beta) + minus) + plus / (minus * np.exp(2 * beta) + plus)
    ),
)
def opposite_points_are_unstable(case: Case) -> None:
    """Masses a and b at opposite points part at the rate b/(a e^(2 beta) + b) + a/(b e^(2 beta) + a) > 0 under SA."""
    share, beta = case.draw("mass at x", 0.3, 0.7), case.draw("beta", 0.3, 2.0)
    # six tokens on the circle, four without mass on top of the first: the shape that other saddles have
    weights = np.array([share, 1 - share, 0.0, 0.0, 0.0, 0.0])
    angles = case.draw("turn", 0.0, 6.0) + np.pi * np.array([0, 1, 0, 0, 0, 0])
    tokens = mf.Tokens(mf.Sphere(2), np.stack([np.cos(angles), np.sin(angles)], axis=1), weights)
    jacobian = np.asarray(case.measure(mf.observe.jacobian, tokens, field=mf.SelfAttention(beta)))[:2, :2]
    measured = float(np.linalg.eigvals(jacobian).real.max())
    because = "rounding of sums of size 1"
    case.compare(measured, case.predict(share, 1 - share, beta), within=1e-13, because=because)


@opposite_points_are_unstable.mutation
def attracting(plus: float, minus: float, beta: float) -> float:
    """The sign is wrong: two opposite points would be stable."""
    weight = np.exp(2 * beta)
    return -(minus / (plus * weight + minus) + plus / (minus * weight + plus))


@opposite_points_are_unstable.mutation
def rate_of_the_cosine(plus: float, minus: float, beta: float) -> float:
    """The rate of 1 + rho is given for that of the angle."""
    weight = np.exp(2 * beta)
    return 2 * (minus / (plus * weight + minus) + plus / (minus * weight + plus))


@opposite_points_are_unstable.mutation
def exponent_halved(plus: float, minus: float, beta: float) -> float:
    """The logits of opposite points differ by 2 beta; beta stands in its place."""
    weight = np.exp(beta)
    return minus / (plus * weight + minus) + plus / (minus * weight + plus)

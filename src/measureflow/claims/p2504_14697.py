"""Claims of arXiv:2504.14697, quantitative clustering in mean-field transformer models."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.exploration import exploration


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


@exploration("2504.14697", "large beta", covers=["P12"])
def at_which_beta_does_a_density_cease_to_make_one_cluster(case: Case) -> dict[str, Any]:
    """Up to which beta does a density on the circle with a mean converge to one point, before any plateau?

    For |beta| < beta_0(mu_0) it does (USA), and for a large beta a circle has several clusters. The study takes
    quantiles of 1 + 2R cos(theta), follows SA to t = 40 and finds the least beta with more than one cluster there:
    an upper estimate of a beta_0 that has no closed form, and one time in place of all.
    """
    n, until, found = 96, 40.0, []
    means = [0.1, 0.4] if case.tier == "smoke" else [0.05, 0.1, 0.2, 0.3, 0.4, 0.45, 0.49]
    shares = (np.arange(n) + 0.5) / n
    grid = np.linspace(-np.pi, np.pi, 20_001)
    for mean in means:
        start = np.interp(shares, (grid + np.pi) / (2 * np.pi) + mean * np.sin(grid) / np.pi, grid)

        def several(beta: float, start: np.ndarray = start) -> bool:
            theta, step = start, 0.1
            for _ in range(round(until / step)):
                first = velocity_on_circle(theta, beta)
                theta = theta + step * velocity_on_circle(theta + 0.5 * step * first, beta)
            gaps = np.diff(np.sort(theta % (2 * np.pi)))
            wrapped = 2 * np.pi - gaps.sum()
            return bool((np.append(gaps, wrapped) > 0.3).sum() > 1)

        low, high = 0.5, 40.0
        for _ in range(6 if case.tier == "smoke" else 12):
            middle = float(np.sqrt(low * high))
            low, high = (low, middle) if several(middle) else (middle, high)
        found.append(high)
    return {"R": means, "least beta with several clusters at t = 40": found}


def velocity_on_circle(theta: np.ndarray, beta: float) -> np.ndarray:
    """Return the SA velocity of equal tokens on the circle."""
    apart = theta[None] - theta[:, None]
    weights = np.exp(beta * (np.cos(apart) - 1))
    return (weights * np.sin(apart)).sum(axis=1) / weights.sum(axis=1)

"""Where all tokens end: in one point for almost every start, and not for every one."""

from __future__ import annotations

import numpy as np
from scipy.sparse.csgraph import connected_components

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import MAX_STEPS, N, cloud, follow, gaps, gram, normalised, speeds
from measureflow.fields import Unnormalised

#: the inverse temperatures of each theorem, for N tokens on S^2
REGIMES = {
    "Theorem 4.1": (0.0, 0.0),
    "Theorem 4.2": (0.005, 0.02),
    "Theorem 4.3": (0.05, 1 / N),
    "Theorem 6.1": (1.0, 8.0),
    "Theorem 5.1": (2.0 * N**2, 2.5 * N**2),
}


def clusters_at_the_end(case: Case, tokens: mf.Tokens, field: mf.Field) -> int:
    """Return how many clusters are left when all tokens have met, or at a time beyond every theorem."""
    solver = mf.Adaptive(rtol=1e-6, atol=1e-8, max_steps=MAX_STEPS)
    path = case.measure(mf.flow, tokens, field, until=mf.Consensus(1e-6, cap=1e200), save=[0.0], solver=solver)
    case.require("the flow did not break off", path.status in ("reached", "stationary"))
    return count(np.asarray(path.points)[-1])


def count(points: np.ndarray) -> int:
    """Return the number of clusters: components of the pairs whose cosine is above 0.999."""
    return int(connected_components(gram(points) > 0.999)[0])


@claim(
    "2312.10794",
    "Theorems 4.1, 4.2, 4.3, 5.1 and 6.1",
    covers=["Thm 4.1", "Thm 4.2", "Thm 4.3", "Thm 5.1", "Thm 6.1"],
    id="2312.10794/single-cluster",
    states=lambda beta, n: 1,
)
def almost_every_start_ends_in_one_cluster(case: Case) -> None:
    """Without temperature, at small and at large beta, and on S^2 at any beta, independent tokens end in one point; at
    small beta with any Q and K.

    Under SA and under USA, which is run as USA*: the same path in a clock that does not overflow.
    """
    for name, (low, high) in REGIMES.items():
        beta = case.draw(f"beta of {name}", low, high)
        for model, weighting in (("SA", "softmax"), ("USA", Unnormalised(shifted=True))):
            found = clusters_at_the_end(case, cloud(case), mf.SelfAttention(beta, weighting=weighting))
            stated = case.predict(beta, N)
            case.compare(found, stated, within=0.05, because="they are integers", name=f"{name}, {model}")
    beta = case.draw("beta with Q and K", *REGIMES["Theorem 4.2"])
    query, key = case.generator("query and key").normal(size=(2, 3, 3))
    for model in ("softmax", "unnormalised"):
        field = mf.SelfAttention(beta, query=query, key=key, weighting=model)
        found = count(follow(case, cloud(case), field, np.array([100.0]), rtol=1e-10)[-1])
        stated = case.predict(beta, N)
        case.compare(found, stated, within=0.05, because="they are integers", name=f"Q and K, {model}")


@almost_every_start_ends_in_one_cluster.mutation
def two_poles(beta: float, n: int) -> int:
    """Tokens gather at two opposite points."""
    return 2


@almost_every_start_ends_in_one_cluster.mutation
def where_the_plateau_was(beta: float, n: int) -> int:
    """The metastable clusters are taken for the end: one for a small beta, as many as tokens for a large one."""
    return n if beta > n**2 else 1


@claim(
    "2312.10794",
    "every start",
    covers=["E15", "5.1"],
    status="erratum",
    states=lambda plus, minus: (plus - minus) ** 2,
)
def opposite_points_stay_where_they_are(case: Case) -> None:
    """Tokens in {x, -x} do not move, at any beta, mass and model: 2/3 and 1/3 keep a mean of length 1/3 for ever."""
    share = case.choose("mass at x", [2 / 3, 0.6, 0.75])
    axis = normalised(case.generator("axis").normal(size=3))
    signs = np.where(np.arange(N) < N // 2, 1.0, -1.0)
    weights = np.where(signs > 0, share, 1 - share) / (N // 2)
    tokens = mf.Tokens(mf.Sphere(3), signs[:, None] * axis, weights)
    beta = case.draw("beta", 0.0, 20.0)
    moved = speeds(case, mf.SelfAttention(beta), tokens)
    case.compare(moved, 0.0, within=1e-14, because="rounding of the coordinates", name="speed")
    points = follow(case, tokens, mf.SelfAttention(beta), np.array([4.0]), rtol=1e-9)[-1]
    measured = float(((weights @ points) ** 2).sum())
    because = "rounding, grown at most e^8-fold"
    case.compare(measured, case.predict(share, 1 - share), within=1e-9, because=because, name="|mean|^2")


@opposite_points_stay_where_they_are.mutation
def every_start_converges_as_printed(plus: float, minus: float) -> float:
    """The printed form, for every start or for every measure with a mean: one point, whose mean has length 1."""
    return 1.0


@opposite_points_stay_where_they_are.mutation
def length_for_its_square(plus: float, minus: float) -> float:
    """The length of the mean is given for its square."""
    return plus - minus


@claim(
    "2312.10794",
    "Theorem 6.3",
    covers=["Thm 6.3"],
    states=lambda beta: theory.rate_at_consensus(beta=beta),
    id="2312.10794/independent-tokens",
)
def few_tokens_in_many_dimensions_collapse_exponentially(case: Case) -> None:
    """n <= d independent tokens lie in an open hemisphere, and collapse exponentially (1 - rho at the rate 2)."""
    points = np.array(cloud(case).points)
    # signs under which no pair is nearly opposite: the wait is short
    points *= np.where(points @ points[0] < 0, -1.0, 1.0)[:, None]
    points[3:] = points[0]  # massless tokens on top of the first keep the shape that other claims have
    weights = np.where(np.arange(N) < 3, 1 / 3, 0.0)
    case.require("three tokens span the space", abs(float(np.linalg.det(points[:3]))) > 1e-6)
    tokens = mf.Tokens(mf.Sphere(3), points, weights)
    beta = case.draw("beta", 0.5, 1.5)
    times = np.linspace(0.0, 14.0, 29)
    path = follow(case, tokens, mf.SelfAttention(beta), times)
    gap = gaps(path, 0, 1) + gaps(path, 1, 2)
    case.require("the wait is over before the end", float(gap[-3]) < 1e-5)
    begun = int(np.argmax(gap < 1e-5))
    because = "corrections of relative order beta (1 - rho) < 1e-4, and of the tokens' differences in rate"
    case.compare(np.log(gap[begun] / gap[begun + 2]), case.predict(beta), within=4e-3, because=because)


@few_tokens_in_many_dimensions_collapse_exponentially.mutation
def rate_of_the_distance(beta: float) -> float:
    """The rate of |x - y| is given for that of 1 - rho."""
    return 1.0


@few_tokens_in_many_dimensions_collapse_exponentially.mutation
def worst_rate_of_the_proof(beta: float) -> float:
    """The rate of the proof, far below the true one, is taken for the rate."""
    return theory.hemisphere_rate(3, beta=beta)

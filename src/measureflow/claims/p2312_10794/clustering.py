"""Where all tokens end: in one point for almost every start, and not for every one."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse.csgraph import connected_components

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import MAX_STEPS, N, cloud, follow, gaps, gram, normalised, speeds
from measureflow.fields import Unnormalised
from measureflow.paths.style import ACCENT, MUTED, THEORY, shades


def regimes(n: int) -> dict[str, tuple[float, float]]:
    """Return the inverse temperatures of each theorem, for n tokens on S^2."""
    return {
        "Theorem 4.1": (0.0, 0.0),
        "Theorem 4.2": (0.005, 0.02),
        "Theorem 4.3": (0.05, 1 / n),
        "Theorem 6.1": (1.0, 8.0),
        "Theorem 5.1": (2.0 * n**2, 2.5 * n**2),
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
    n, d = case.given("n", N), case.given("d", 3)
    case.require("there are tokens, in two dimensions and more", n >= 1 and d >= 2)
    start = cloud(case, d=d, n=n)
    for name, (low, high) in regimes(n).items():
        beta = case.draw(f"beta of {name}", low, high)
        for model, weighting in (("SA", "softmax"), ("USA", Unnormalised(shifted=True))):
            found = clusters_at_the_end(case, start, mf.SelfAttention(beta, weighting=weighting))
            stated = case.predict(beta, n)
            case.compare(found, stated, within=0.05, because="they are integers", name=f"{name}, {model}")
    beta = case.draw("beta with Q and K", *regimes(n)["Theorem 4.2"])
    query, key = case.generator("query and key").normal(size=(2, d, d))
    case.require("beta |Q^T K| is small", beta * np.linalg.norm(query.T @ key, 2) < 1)
    for model in ("softmax", "unnormalised"):
        field = mf.SelfAttention(beta, query=query, key=key, weighting=model)
        found = count(follow(case, start, field, np.array([100.0]), rtol=1e-10)[-1])
        stated = case.predict(beta, n)
        case.compare(found, stated, within=0.05, because="they are integers", name=f"Q and K, {model}")


@almost_every_start_ends_in_one_cluster.figure
def clusters_over_time(case: Case, ax: Any) -> None:
    """Draw how many clusters of one cloud are left over time, at the beta of each theorem under SA."""
    n, d = case.instance["n"], case.instance["d"]
    times = np.geomspace(0.1, 1e7, 81)
    for name, shade in zip(regimes(n), shades(5), strict=True):
        beta = case.instance[f"beta of {name}"]
        points = follow(case, cloud(case, d=d, n=n), mf.SelfAttention(beta), times, rtol=1e-6)
        label = rf"$\beta={beta:.3g}$ ({name})"
        ax.step(times, [count(at) for at in points], where="post", color=shade, label=label)
    ax.axhline(case.predict(beta, n), ls="--", color=THEORY, label="stated for the end")
    ax.set(xlabel="time $t$", ylabel="clusters", xscale="log", title=rf"$n={n}$, $d={d}$")
    ax.legend()


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
    share, n, d = case.choose("mass at x", [2 / 3, 0.6, 0.75]), case.given("n", N), case.given("d", 3)
    case.require("there are tokens, in two dimensions and more", n >= 1 and d >= 2)
    case.require("there are tokens at x and at -x", n >= 2 and 0 < share < 1)
    beta, tokens = case.draw("beta", 0.0, 20.0), at_two_poles(case, share, n, d)
    for model, size in (("softmax", 1.0), ("unnormalised", np.exp(beta))):
        moved = speeds(case, mf.SelfAttention(beta, weighting=model), tokens) / size
        case.compare(moved, 0.0, within=1e-14, because="rounding of the coordinates", name=f"speed, {model}")
    points = follow(case, tokens, mf.SelfAttention(beta), np.array([4.0]), rtol=1e-9)[-1]
    measured = float(((np.asarray(tokens.weights) @ points) ** 2).sum())
    because = "rounding, grown at most e^8-fold"
    case.compare(measured, case.predict(share, 1 - share), within=1e-9, because=because, name="|mean|^2")


def at_two_poles(case: Case, share: float, n: int, d: int) -> mf.Tokens:
    """Return tokens at two opposite points, of which the first has this share of the mass."""
    axis = normalised(case.generator("axis").normal(size=d))
    signs = np.where(np.arange(n) < n // 2, 1.0, -1.0)
    weights = np.where(signs > 0, share / (n // 2), (1 - share) / (n - n // 2))
    return mf.Tokens(mf.Sphere(d), signs[:, None] * axis, weights)


@opposite_points_stay_where_they_are.figure
def mean_over_time(case: Case, ax: Any) -> None:
    """Draw the squared mean over time under SA, which stays, and what is printed of every start."""
    share, n, d, beta = (case.instance[name] for name in ("mass at x", "n", "d", "beta"))
    tokens, times = at_two_poles(case, share, n, d), np.linspace(0.0, 4.0, 17)
    means = np.asarray(tokens.weights) @ follow(case, tokens, mf.SelfAttention(beta), times, rtol=1e-9)
    ax.plot(times, (means**2).sum(axis=1), "o", color=ACCENT[0], ms=5, label=rf"tokens, {share:.2g} of them at $x$")
    ax.axhline(case.predict(share, 1 - share), ls="--", color=THEORY, label="$(a-(1-a))^2$")
    ax.axhline(1.0, ls=":", color=MUTED, label="as printed, every start: one cluster")
    ax.set(xlabel="time $t$", ylabel=r"$|\int x\,d\mu|^2$", ylim=(0, 1.2))
    ax.set_title(rf"$n={n}$, $d={d}$, $\beta={beta:.2f}$")
    ax.legend()


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
    n, d, beta = case.given("n", 3), case.given("d", 3), case.draw("beta", 0.5, 1.5)
    case.require("there are no more tokens than dimensions, and two at least", 2 <= n <= d)
    times, gap = gaps_along(case, n, d, beta)
    case.require("the wait is over before the end", float(gap[-3]) < 1e-5)
    begun = int(np.argmax(gap < 1e-5))
    because = "corrections of relative order beta (1 - rho) < 1e-4, and of the tokens' differences in rate"
    rate = np.log(gap[begun] / gap[begun + 2]) / (times[begun + 2] - times[begun])
    name = "rate at which 1 - rho falls in the end"
    case.compare(rate, case.predict(beta), within=4e-3, because=because, name=name)


def gaps_along(case: Case, n: int, d: int, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Return times, and 1 - rho of n independent tokens, summed over pairs of successive ones."""
    size = max(n, N)
    points = np.array(cloud(case, d=d, n=size).points)
    # signs under which no pair is nearly opposite: the wait is short
    points *= np.where(points @ points[0] < 0, -1.0, 1.0)[:, None]
    points[n:] = points[0]  # massless tokens on top of the first keep the shape that other claims have
    weights = np.where(np.arange(size) < n, 1 / n, 0.0)
    volume = np.sqrt(max(float(np.linalg.det(gram(points[:n]))), 0.0))
    case.require("the tokens are independent", volume > 1e-6)
    times = np.linspace(0.0, 14.0, 29)
    path = follow(case, mf.Tokens(mf.Sphere(d), points, weights), mf.SelfAttention(beta), times)
    return times, np.sum([gaps(path, k, k + 1) for k in range(n - 1)], axis=0)


@few_tokens_in_many_dimensions_collapse_exponentially.figure
def collapse(case: Case, ax: Any) -> None:
    """Draw the gaps over time, and the exponential of the stated rate through the last."""
    n, d, beta = (case.instance[name] for name in ("n", "d", "beta"))
    times, gap = gaps_along(case, n, d, beta)
    ax.semilogy(times, gap, "o", color=ACCENT[0], ms=5, label="independent tokens under SA")
    rate = case.predict(beta)
    ax.semilogy(times, gap[-1] * np.exp(-rate * (times - times[-1])), "--", color=THEORY, label=rf"$e^{{-{rate:g}t}}$")
    ax.set(xlabel="time $t$", ylabel=r"sum of $1-\rho$", title=rf"$n={n}$, $d={d}$, $\beta={beta:.2f}$")
    ax.legend()


@few_tokens_in_many_dimensions_collapse_exponentially.mutation
def rate_of_the_distance(beta: float) -> float:
    """The rate of |x - y| is given for that of 1 - rho."""
    return 1.0


@few_tokens_in_many_dimensions_collapse_exponentially.mutation
def worst_rate_of_the_proof(beta: float) -> float:
    """The rate of the proof, far below the true one, is taken for the rate."""
    return theory.hemisphere_rate(3, beta=beta)

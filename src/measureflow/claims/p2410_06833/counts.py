"""How many clusters: the law by which their number grows with beta, at any time."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.p2410_06833.steps import tokens_at
from measureflow.paths.style import ACCENT, THEORY

#: when most tokens have gathered, and at the first plateau
TIMES = (5.0, 10.0)
#: merges are decided by the order of the tokens: three digits are plenty
SOLVER = mf.Adaptive(rtol=1e-4, atol=1e-6, coarsen=False)
CLOUDS = 6


def growth(factor: float, beta: float) -> float:
    """Return the factor of the number of clusters when beta is multiplied."""
    return float(np.sqrt(factor))


def numbers_of_clusters(angles: np.ndarray, beta: float, times: tuple[float, ...]) -> np.ndarray:
    """Return how many clusters there are at the times: chains of tokens nearer than half of beta^(-1/2)."""
    path = mf.flow(tokens_at(angles), mf.SelfAttention(beta), until=times[-1], save=np.array(times), solver=SOLVER)
    return np.asarray(mf.observe.clusters(path, delta=0.125 / beta).count)


def counted(case: Case, copies: int, times: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of clusters at the times, of all clouds together: of them, and of copies of them."""
    n, beta, generator = case.given("n", 100), case.draw("beta", 150.0, 200.0), case.generator("clouds")
    few, many, turns = 0, 0, 2 * np.pi * np.arange(copies)
    for _ in range(CLOUDS):
        angles = generator.uniform(0.0, 2 * np.pi, n)
        few += case.measure(numbers_of_clusters, angles, beta, times)
        smaller = np.concatenate([(angles + turn) / copies for turn in turns])
        many += case.measure(numbers_of_clusters, smaller, copies**2 * beta, times)
    return np.asarray(few), np.asarray(many)


@claim(
    "2410.06833",
    "number of clusters on the circle",
    covers=["4.7"],
    status="derived",
    tier="standard",
    states=growth,
    id="2410.06833/number-of-clusters",
)
def number_of_clusters_grows_like_the_root_of_beta(case: Case) -> None:
    r"""Three copies of a cloud on the circle, of a third of its size, have at nine times the beta three times as many
    clusters at any time.

    Derived here: in $x = \sqrt\beta\,\theta$ the velocity of SA is the mean of $x_j-x$ with the weights
    $e^{-(x_j-x)^2/2}$ up to $O(1/\beta)$, in the same time. So there are $c(t)\sqrt\beta$ clusters at time t, for as
    many tokens to a bandwidth, with a $c(t)$ that falls: $\sqrt{3/2}$ and $\sqrt2$ are values that it passes, see
    the question 2412.09080/P10.
    """
    times, copies = case.given("t", TIMES), case.given("copies", 3)
    case.require("the times are positive and in order", times[0] > 0 and bool(np.all(np.diff(times) > 0)))
    few, many = counted(case, copies, times)
    beta = case.instance["beta"]
    because = "merge times differ by O(1/beta): one merge in a hundred may be on the other side of a time"
    found, within = many.sum() / few.sum(), 0.015 * max(1.0, 150.0 / beta)
    name = "factor of the number of clusters"
    case.compare(found, case.predict(copies**2, beta), within=within, relative=True, because=because, name=name)


@number_of_clusters_grows_like_the_root_of_beta.figure
def counts_along_time(case: Case, ax: Any) -> Any:
    """Draw the numbers of clusters along time, those of the copies divided by the stated factor."""
    copies, beta = case.instance["copies"], case.instance["beta"]
    times = tuple(float(t) for t in np.geomspace(0.2, 1.0, 24) * case.instance["t"][-1])
    few, many = counted(case, copies, times)
    factor = case.predict(copies**2, beta)
    ax.plot(times, few / CLOUDS, color=ACCENT[0], label=rf"$\beta = {beta:.0f}$")
    ax.plot(
        times, many / CLOUDS / factor, "--", color=THEORY, label=rf"$\beta = {copies**2 * beta:.0f}$, over {factor:g}"
    )
    ax.set(xlabel="$t$", ylabel="clusters of a cloud", title=f"$n = {case.instance['n']}$, {CLOUDS} clouds")
    ax.legend()
    return ax


@number_of_clusters_grows_like_the_root_of_beta.mutation
def law_of_the_line(factor: float, beta: float) -> float:
    """sqrt(beta log beta), as for Gaussian samples on the line."""
    return float(np.sqrt(factor * np.log(factor * beta) / np.log(beta)))


@number_of_clusters_grows_like_the_root_of_beta.mutation
def law_of_the_sphere(factor: float, beta: float) -> float:
    """beta, as on the two-dimensional sphere."""
    return factor


@number_of_clusters_grows_like_the_root_of_beta.mutation
def bandwidth_of_the_exponent(factor: float, beta: float) -> float:
    """beta^(2/3): clusters as wide as the cube root says."""
    return float(factor ** (2.0 / 3.0))

"""How many clusters: the law by which their number grows with beta, at any time."""

from __future__ import annotations

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.p2410_06833.steps import tokens_at

#: when most tokens have gathered, and at the first plateau
TIMES = np.array([5.0, 10.0])
#: merges are decided by the order of the tokens: three digits are plenty
SOLVER = mf.Adaptive(rtol=1e-4, atol=1e-6, coarsen=False)
TOKENS, CLOUDS = 100, 6


def growth(factor: float, beta: float) -> float:
    """Return the factor of the number of clusters when beta is multiplied."""
    return float(np.sqrt(factor))


def numbers_of_clusters(angles: np.ndarray, beta: float) -> np.ndarray:
    """Return how many clusters there are at the times: chains of tokens nearer than half of beta^(-1/2)."""
    path = mf.flow(tokens_at(angles), mf.SelfAttention(beta), until=TIMES[-1], save=TIMES, solver=SOLVER)
    return np.asarray(mf.observe.clusters(path, delta=0.125 / beta).count)


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
    beta, copies = case.draw("beta", 150.0, 200.0), 3
    generator = case.generator("clouds")
    few, many, turns = 0, 0, 2 * np.pi * np.arange(copies)
    for _ in range(CLOUDS):
        angles = generator.uniform(0.0, 2 * np.pi, TOKENS)
        few += case.measure(numbers_of_clusters, angles, beta).sum()
        smaller = np.concatenate([(angles + turn) / copies for turn in turns])
        many += case.measure(numbers_of_clusters, smaller, copies**2 * beta).sum()
    because = "merge times differ by O(1/beta): one merge in a hundred may be on the other side of a time"
    case.compare(many / few, case.predict(copies**2, beta), within=0.015, relative=True, because=because)


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

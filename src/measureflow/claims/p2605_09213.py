"""Claims of arXiv:2605.09213, kinetic theory and the lost-in-the-middle phenomenon: what a causal mask retrieves."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from scipy.integrate import quad
from scipy.linalg import expm
from scipy.special import betaln, digamma, iv, polygamma

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.p2411_04990.limits import head
from measureflow.paths.style import THEORY, shades

#: tokens of a text
TOKENS = 128


def limiting_profile(log_ratio: Any, t: float) -> Any:
    """Return sqrt(t/L) I_1(2 sqrt(t L)), L = log(n/j): n times the weight of token j in the last one as n grows."""
    root = np.sqrt(t * np.asarray(log_ratio, float))
    return t * np.where(root > 1e-8, iv(1, 2 * root) / np.maximum(root, 1e-300), 1.0)


def mean_profile(j: int, n: int, t: float) -> float:
    """Return the mean of the profile over L = -log u, u of the Beta law of parameters j and n - j + 1."""
    centre, width = digamma(n + 1) - digamma(j), np.sqrt(polygamma(1, j) - polygamma(1, n + 1))

    def density(log_ratio: float) -> float:
        rest = 0.0 if j == n else (n - j) * np.log(-np.expm1(-log_ratio))
        return float(np.exp(rest - j * log_ratio - betaln(j, n - j + 1)) * limiting_profile(log_ratio, t))

    ends = max(centre - 12 * width, 0.0), centre, centre + max(12 * width, 45.0 / j)
    return float(sum(quad(density, *half, epsabs=0, epsrel=1e-11, limit=200)[0] for half in itertools.pairwise(ends)))


def retrieved(j: int, n: int, t: float) -> float:
    """Return n times the weight of token j in token n after a time t."""
    return mean_profile(j, n, t) + (n if j == n else 0)


@claim(
    "2605.09213",
    "retrieval profile",
    covers=["7.3"],
    status="derived",
    id="2605.09213/retrieval",
    states={"weight": retrieved, "limit": limiting_profile, "least": lambda n: n - 1},
)
def the_first_tokens_and_the_last_one_stand_out_of_what_the_last_one_holds(case: Case) -> None:
    """Under causal attention at beta = 0 the last of n tokens holds the weight sqrt(t/L) I_1(2 sqrt(tL))/n of token j,
    L = log(n/j), and itself besides: a U with a high and broad left arm, least just before the end.

    Derived here for V = I in R^d, where x' = Cx with C the matrix of Cesàro means, of which e^(tC) is a Hausdorff mean:
    at finite n the weight is the mean of the profile over L = -log u, u of the Beta law of j and n-j+1, and one more at
    j = n. The paper's own profile is that of correlations of uniform tokens on a sphere, with a minimum inside.
    """
    n, t = case.given("n", TOKENS), case.draw("t", 1.0, 4.0)
    case.require("a text, and a time of order one", n >= 16 and 0 < t <= 8)
    profile = weights_in_the_last(case, n, t)
    for j in (1, 2, 5, n // 4, n // 2, n - 1, n):
        stated = case.statement.weight(j, n, t)
        because = "a quadrature to 1e-11, and an exponential of norm e^4"
        case.compare([profile[j - 1]], stated, within=1e-8, relative=True, because=because,
                     name=f"n times the weight of token {j}", over={"token": [j]})  # fmt: skip
    place = int(profile.argmin()) + 1
    case.compare(place, case.statement.least(n), within=0.1, because="a place", name="token of the least weight")
    long = 1_000_000
    for share in (0.1, 0.5, 0.9):
        stated = case.statement.limit(-np.log(share), t)
        exact = mean_profile(round(share * long), long, t)
        because = "terms of order 1/j"
        case.compare([exact], stated, within=1e-4, relative=True, because=because, name=f"limit at j = {share:g} n",
                     over={"j/n": [share]})  # fmt: skip


def weights_in_the_last(case: Case, n: int, t: float) -> np.ndarray:
    """Return n times the weights of all tokens in the last one."""
    # every coordinate is followed by itself: the derivative by the start is the flow of the identity
    tokens = mf.Tokens(mf.Euclidean(n), np.eye(n))
    generator = np.asarray(case.measure(head, mf.SelfAttention(0.0, mask="causal"), tokens))
    return n * np.asarray(case.measure(expm, t * generator))[-1]


retrieval = the_first_tokens_and_the_last_one_stand_out_of_what_the_last_one_holds


@retrieval.mutation("weight")
def flat(_j: int, n: int, t: float) -> float:
    """All tokens weigh the same: e^t/n each."""
    return float(np.exp(t))


@retrieval.mutation("weight")
def own_weight_lost(j: int, n: int, t: float) -> float:
    """The last token does not keep itself: no residual connection."""
    return mean_profile(j, n, t)


@retrieval.mutation("limit")
def distance_in_place_of_the_logarithm(log_ratio: float, t: float) -> Any:
    """L = 1 - j/n, the distance to the end, in place of log(n/j)."""
    return limiting_profile(-np.expm1(-log_ratio), t)


@retrieval.mutation("limit")
def one_layer(log_ratio: float, t: float) -> float:
    """t, the flat weight of one layer."""
    return t


@retrieval.mutation("least")
def lost_in_the_middle(n: int) -> int:
    """The least weight is that of the middle."""
    return n // 2


@retrieval.figure
def profile_over_positions(case: Case, ax: Any) -> Any:
    """Draw the weights of all tokens in the last one, at half, once and twice the time, and their limits."""
    n, t = case.instance["n"], case.instance["t"]
    shares = np.linspace(1.0 / n, 1.0, 300)
    for time, shade in zip((0.5 * t, t, 2.0 * t), shades(3), strict=True):
        profile = weights_in_the_last(case, n, time)
        ax.plot(np.arange(1, n + 1) / n, profile, "o", ms=2.5, color=shade, label=f"$t = {time:.2f}$")
        limit = case.statement.limit(-np.log(shares), time)
        ax.plot(shares, limit, "--", lw=1.2, color=THEORY, label=r"stated, $n\to\infty$" if time > t else "")
    ax.set(xlabel="$j/n$", ylabel=r"$n\,\partial x_n(t)/\partial x_j(0)$", yscale="log", title=f"$n = {n}$")
    ax.legend()
    return ax

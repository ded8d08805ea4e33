"""Independent tokens in high dimension: they move as orthogonal ones do, and how they fluctuate about that."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import N, follow, gram
from measureflow.claims.p2312_10794.phase_diagrams import clouds
from measureflow.paths.style import ACCENT, THEORY

TIMES = np.array([0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0])
#: the three kinds of fluctuation of the cosines
MODES = ("mean", "token-wise", "rest")
#: clouds of which only the start is looked at
MANY = 4000


def pairs(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of all pairs of different tokens."""
    return np.triu_indices(n, 1)


def dimensions(n: int) -> np.ndarray:
    """Return the dimensions of the three kinds of fluctuation."""
    return np.array([1, n - 1, n * (n - 3) // 2])


def cosines_along(case: Case, points: np.ndarray, beta: float, times: np.ndarray) -> np.ndarray:
    """Return the cosines of all pairs `(clouds, times, pairs)` of clouds in the coordinates of their span."""
    field, n = mf.SelfAttention(beta), points.shape[1]
    return np.stack([gram(follow(case, mf.Tokens(mf.Sphere(n), x), field, times))[:, *pairs(n)] for x in points])


def from_orthonormal(points: np.ndarray) -> np.ndarray:
    """Return how far each cloud is from orthonormal tokens: the largest distance of a token from the polar frame's."""
    left, _, right = np.linalg.svd(points)
    return np.linalg.norm(points - left @ right, axis=-1).max(axis=-1)


@claim(
    "2312.10794",
    "Theorem 6.9",
    covers=["Thm 6.9"],
    status="derived",
    states=lambda t, near, beta: 2 * near * np.exp(theory.growth_of_twins(beta=beta) * t),
    id="2312.10794/high-dimension",
)
def independent_tokens_in_high_dimension_move_as_if_orthogonal(case: Case) -> None:
    """Cosines of tokens within a distance e of an orthonormal frame, which is below sqrt(log d/d) for independent ones,
    stay within 2e e^((3+2 beta)t) of the equiangular curve from 0, under SA."""
    n, d = case.given("n", N), int(case.draw("d", 4000, 16000, log=True))
    beta = case.draw("beta", 2.5, 4.0)
    case.require("there are more dimensions than tokens, and two of these", 2 <= n < d)
    near, apart = apart_from_the_curve(case, n, d, beta)
    below = bool(near.max() <= np.sqrt(np.log(d) / d))
    case.require("the tokens are nearly orthonormal, which fails with a chance that falls with d", below)
    bound = case.predict(TIMES, near[:, None], beta)
    telling = bound < 1.0  # a bound of 2 and more says nothing of cosines
    because, name = "rtol 1e-12 over t = 3, and cosines of 1e-2", "distance of cosines from the equiangular curve"
    over = {"t": np.broadcast_to(TIMES, bound.shape)[telling]}
    case.at_most(apart[telling], bound[telling], within=1e-5, because=because, name=name, over=over)


def apart_from_the_curve(case: Case, n: int, d: int, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Return how far three clouds of many are from orthonormal, and the largest distance of a cosine from the curve at
    each time, `(clouds, times)`."""
    points = clouds(case.generator("clouds"), 400, n=n, d=d)
    near = from_orthonormal(points)
    # the likeliest to part: one pair's cosine is nearly all that is off, and it grows at first
    chosen = np.argsort(-np.abs(gram(points)[:, *pairs(n)]).max(axis=1) / near)[:3]
    curve = theory.cosine_of_equiangular_tokens(TIMES, n=n, beta=beta, start=0.0)
    cosines = cosines_along(case, points[chosen], beta, TIMES)
    return near[chosen], np.abs(cosines - curve[:, None]).max(axis=-1)


@independent_tokens_in_high_dimension_move_as_if_orthogonal.figure
def distance_over_time(case: Case, ax: Any) -> None:
    """Draw how far the cosines of three clouds are from the curve over time, and the bound of the nearest."""
    n, d, beta = case.instance["n"], int(case.instance["d"]), case.instance["beta"]
    near, apart = apart_from_the_curve(case, n, d, beta)
    for row, said in zip(apart, ("three clouds", None, None), strict=True):
        ax.semilogy(TIMES, row, "o-", color=ACCENT[0], lw=1, ms=5, label=said)
    fine = np.linspace(0.0, TIMES[-1], 100)
    ax.semilogy(fine, case.predict(fine, near.min(), beta), "--", color=THEORY, label="at most, of the nearest")
    head = rf"$n={n}$, $d={d:,}$, $\beta={beta:.2f}$"
    ax.set(xlabel="time $t$", ylabel=r"largest $|\rho_{ij}-\gamma|$", title=head)
    ax.set_ylim(0.3 * apart.min(), 2.0)  # cosines differ by no more than 2
    ax.legend()


@independent_tokens_in_high_dimension_move_as_if_orthogonal.mutation
def distance_squared(t: Any, near: Any, beta: float) -> Any:
    """log d / d in place of its root."""
    return 2 * near**2 * np.exp(theory.growth_of_twins(beta=beta) * t)


@independent_tokens_in_high_dimension_move_as_if_orthogonal.mutation
def nothing_grows(t: Any, near: Any, beta: float) -> Any:
    """The bound of the start is given for all times: no exponent."""
    return 2 * near + 0 * t


@independent_tokens_in_high_dimension_move_as_if_orthogonal.mutation
def rate_of_consensus(t: Any, near: Any, beta: float) -> Any:
    """The distances shrink from the start as they do near consensus."""
    return 2 * near * np.exp(-t)


@claim(
    "2312.10794",
    "Theorem 6.9, fluctuations",
    covers=["Thm 6.9", "3.2"],
    status="derived",
    states=lambda t, n, beta: theory.growth_of_overlap_fluctuations(t, n=n, beta=beta),
    id="2312.10794/fluctuations",
)
def cosines_of_independent_tokens_fluctuate_by_the_linearised_equation(case: Case) -> None:
    """sqrt(d) (rho_ij - gamma) has the variance sum_k (dim_k/N) g_k(t)^2 as d grows, g_k the growth of the three modes
    of the Gram equation linearised about the curve: each has the variance 1 at the start, and each cloud's mean,
    token-wise and other part grows by its g_k."""
    n, d = case.given("n", N), int(case.draw("d", 1e8, 1e9, log=True))
    beta = case.draw("beta", 0.5, 3.0)
    case.require("there are four tokens and more, for three kinds, in far more dimensions", 4 <= n < d / 100)
    times, apart = fluctuations_along(case, n, d, beta)
    stated = case.predict(times, n, beta)
    for one, name in enumerate(MODES):
        part = apart @ projections(n)[one]
        first = part[:, :1]
        # the mode of the start, of size 1, times its growth; what is left is of second order in d^(-1/2)
        size = np.abs(first).max() * stated[one].max()
        within = 60 / np.sqrt(d) + 1e-11 * np.sqrt(d)
        because = "second-order terms of n cosines of d^(-1/2), and rtol 1e-12 times sqrt(d)"
        measured, linear = (part / size).swapaxes(1, 2), (stated[one][:, None] * first / size).swapaxes(1, 2)
        name, over = f"{name} fluctuation", {"t": times}
        case.compare(measured, linear, within=within, because=because, name=name, over=over)
    many = np.sqrt(d) * gram(clouds(case.generator("many"), MANY, n=n, d=d))[:, *pairs(n)]
    for one, (name, freedom) in enumerate(zip(MODES, dimensions(n), strict=True)):
        variance = ((many @ projections(n)[one]) ** 2).sum() / (MANY * freedom)
        because = f"eight standard errors of a variance of {MANY * freedom} numbers"
        within = 8 * np.sqrt(2 / (MANY * freedom))
        case.compare(variance, stated[one, 0] ** 2, within=within, because=because, name=f"variance at 0, {name}")


def fluctuations_along(case: Case, n: int, d: int, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Return times, and sqrt(d) (rho_ij - gamma) of a few clouds, `(clouds, times, pairs)`."""
    start = clouds(case.generator("clouds"), 4 if case.tier == "smoke" else 8, n=n, d=d)
    times = np.linspace(0.0, 4.0, 9)
    curve = theory.cosine_of_equiangular_tokens(times, n=n, beta=beta, start=0.0)
    return times, np.sqrt(d) * (cosines_along(case, start, beta, times) - curve[:, None])


def projections(n: int) -> np.ndarray:
    """Return the projections `(3, pairs, pairs)` of symmetric matrices on their mean, token-wise and other part."""
    one, other = pairs(n)
    count = len(one)
    touch = np.zeros((count, n))
    touch[np.arange(count), one] = touch[np.arange(count), other] = 1.0
    mean = np.full((count, count), 1 / count)
    both = touch @ np.linalg.pinv(touch)
    return np.stack([mean, both - mean, np.eye(count) - both])


fluctuations = cosines_of_independent_tokens_fluctuate_by_the_linearised_equation


@fluctuations.mutation
def frozen(t: Any, n: int, beta: float) -> np.ndarray:
    """The fluctuations of the start stay as they are."""
    return np.ones((3, len(t)))


@fluctuations.mutation
def one_common_cosine(t: Any, n: int, beta: float) -> np.ndarray:
    """All cosines move together, each by the equation of the common one."""
    return np.tile(theory.growth_of_overlap_fluctuations(t, n=n, beta=beta)[0], (3, 1))


@fluctuations.mutation
def weights_held_fixed(t: Any, n: int, beta: float) -> np.ndarray:
    """The attention weights do not fluctuate: the modes of beta = 0, in the time that the curve takes."""
    cosine = theory.cosine_of_equiangular_tokens(t, n=n, beta=beta, start=0.0)
    clock = 0.5 * np.log((1 + (n - 1) * cosine) / (1 - cosine))
    return theory.growth_of_overlap_fluctuations(clock, n=n, beta=0.0)


@fluctuations.figure
def modes_over_time(case: Case, ax: Any) -> None:
    """Draw the size of each part of sqrt(d) (rho - gamma) over a few clouds, over its first, and its stated growth."""
    n, d, beta = case.instance["n"], int(case.instance["d"]), case.instance["beta"]
    times, apart = fluctuations_along(case, n, d, beta)
    fine = np.linspace(0.0, times[-1], 100)
    for one, name in enumerate(MODES):
        size = np.sqrt(((apart @ projections(n)[one]) ** 2).mean(axis=(0, 2)))
        ax.plot(times, size / size[0], "o", color=ACCENT[one], label=f"{name} part of {len(apart)} clouds")
        ax.plot(fine, case.predict(fine, n, beta)[one], "--", color=THEORY)
    ax.plot([], [], "--", color=THEORY, label="linear response")
    head = rf"$n={n}$, $d={d:.1e}$, $\beta={beta:.2f}$"
    ax.set(xlabel="time $t$", ylabel=r"$\rho_{ij}-\gamma$ over its first value", title=head)
    ax.legend()

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

TIMES = np.array([0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0])
#: pairs of different tokens, the three kinds of fluctuation of their cosines, and the dimensions of these
PAIRS = np.triu_indices(N, 1)
MODES, DIMENSIONS = ("mean", "token-wise", "rest"), np.array([1, N - 1, N * (N - 3) // 2])
#: clouds of which only the start is looked at
MANY = 4000


def cosines_along(case: Case, points: np.ndarray, beta: float, times: np.ndarray) -> np.ndarray:
    """Return the cosines of all pairs `(clouds, times, pairs)` of clouds in the coordinates of their span."""
    field = mf.SelfAttention(beta)
    return np.stack([gram(follow(case, mf.Tokens(mf.Sphere(N), x), field, times))[:, *PAIRS] for x in points])


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
    d, beta = int(case.draw("d", 4000, 16000, log=True)), case.draw("beta", 2.5, 4.0)
    points = clouds(case.generator("clouds"), 400, n=N, d=d)
    near = from_orthonormal(points)
    # the likeliest to part: one pair's cosine is nearly all that is off, and it grows at first
    chosen = np.argsort(-np.abs(gram(points)[:, *PAIRS]).max(axis=1) / near)[:3]
    below = bool(near[chosen].max() <= np.sqrt(np.log(d) / d))
    case.require("the tokens are nearly orthonormal, which fails with a chance that falls with d", below)
    curve = theory.cosine_of_equiangular_tokens(TIMES, n=N, beta=beta, start=0.0)
    apart = np.abs(cosines_along(case, points[chosen], beta, TIMES) - curve[:, None]).max(axis=-1)
    bound = case.predict(TIMES, near[chosen, None], beta)
    telling = bound < 1.0  # a bound of 2 and more says nothing of cosines
    because = "rtol 1e-12 over t = 3, and cosines of 1e-2"
    case.at_most(apart[telling], bound[telling], within=1e-5, because=because)


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
    d, beta = int(case.draw("d", 1e8, 1e9, log=True)), case.draw("beta", 0.5, 3.0)
    start = clouds(case.generator("clouds"), 4 if case.tier == "smoke" else 8, n=N, d=d)
    times = np.linspace(0.0, 4.0, 9)
    curve = theory.cosine_of_equiangular_tokens(times, n=N, beta=beta, start=0.0)
    apart = np.sqrt(d) * (cosines_along(case, start, beta, times) - curve[:, None])
    stated = case.predict(times, N, beta)
    for one, name in enumerate(MODES):
        part = apart @ projections()[one]
        first = part[:, :1]
        # the mode of the start, of size 1, times its growth; what is left is of second order in d^(-1/2)
        size = np.abs(first).max() * stated[one].max()
        within = 60 / np.sqrt(d) + 1e-11 * np.sqrt(d)
        because = "second-order terms of n cosines of d^(-1/2), and rtol 1e-12 times sqrt(d)"
        case.compare(part / size, stated[one][:, None] * first / size, within=within, because=because, name=name)
    many = np.sqrt(d) * gram(clouds(case.generator("many"), MANY, n=N, d=d))[:, *PAIRS]
    for one, (name, freedom) in enumerate(zip(MODES, DIMENSIONS, strict=True)):
        variance = ((many @ projections()[one]) ** 2).sum() / (MANY * freedom)
        because = f"eight standard errors of a variance of {MANY * freedom} numbers"
        within = 8 * np.sqrt(2 / (MANY * freedom))
        case.compare(variance, stated[one, 0] ** 2, within=within, because=because, name=f"variance at 0, {name}")


def projections() -> np.ndarray:
    """Return the projections `(3, pairs, pairs)` of symmetric matrices on their mean, token-wise and other part."""
    pairs = len(PAIRS[0])
    touch = np.zeros((pairs, N))
    touch[np.arange(pairs), PAIRS[0]] = touch[np.arange(pairs), PAIRS[1]] = 1.0
    mean = np.full((pairs, pairs), 1 / pairs)
    both = touch @ np.linalg.pinv(touch)
    return np.stack([mean, both - mean, np.eye(pairs) - both])


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
def variances(case: Case, ax: Any) -> Any:
    """Draw the deviation of sqrt(d) (rho - gamma) over a few clouds and the linearised equation."""
    from measureflow.paths.style import THEORY

    d, beta = case.instance["d"], case.instance["beta"]
    start = clouds(case.generator("clouds"), 4 if case.tier == "smoke" else 8, n=N, d=d)
    times = np.linspace(0.0, 4.0, 9)
    curve = theory.cosine_of_equiangular_tokens(times, n=N, beta=beta, start=0.0)
    apart = np.sqrt(d) * (cosines_along(case, start, beta, times) - curve[:, None])
    shares = DIMENSIONS / len(PAIRS[0])
    ax.plot(times, np.sqrt((apart**2).mean(axis=(0, 2))), "o", color="0.4", label=f"{len(start)} clouds")
    fine = np.linspace(0.0, 4.0, 100)
    ax.plot(fine, np.sqrt(shares @ case.predict(fine, N, beta) ** 2), "--", color=THEORY, label="linear response")
    ax.set(
        xlabel="time $t$", ylabel=r"deviation of $\sqrt{d}\,(\rho_{ij}-\gamma)$", title=rf"$n={N}$, $\beta={beta:.2f}$"
    )
    ax.legend()
    return ax

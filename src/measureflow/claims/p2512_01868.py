"""Claims of arXiv:2512.01868, the mean-field dynamics of transformers."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import cloud, masses, sharp, speeds


@claim(
    "2512.01868",
    "section 5.6, pair merging",
    covers=["V9"],
    status="erratum",
    states=theory.asymptotic_merge_time,
)
def two_clusters_merge_after_an_exponential_time(case: Case) -> None:
    """The merge time of two clusters is e^(beta (1-u)) / (beta (1-u^2) (a_2/a_1 + a_1/a_2)) as beta grows."""
    start, share = case.draw("start", 0.58, 0.62), case.draw("smaller mass", 0.1, 0.2)
    beta = case.draw("beta", 180.0, 200.0)
    ends = [[1.0, 0.0], [start, np.sqrt(1 - start**2)]]
    tokens = mf.Tokens(mf.Sphere(2), ends, [share, 1 - share])
    path = case.measure(
        mf.flow, tokens, mf.SelfAttention(beta), until=mf.Overlap(0, 1, 0.9, cap=1e60), save=[0.0], solver=sharp(1e-9)
    )
    case.require("the clusters met", path.status == "reached")
    predicted = case.predict(beta=beta, start=start, masses=(share, 1 - share))
    because = "the law is asymptotic: its first correction, 2u/(beta (1-u^2)), is at most 1.1e-2 here"
    case.compare(float(path.times[-1]), predicted, within=0.028, relative=True, because=because)


@two_clusters_merge_after_an_exponential_time.mutation
def masses_ignored_as_printed(*, beta: float, start: float, masses: Any) -> float:
    """The printed form: the masses are left out."""
    return theory.asymptotic_merge_time(beta=beta, start=start)


@two_clusters_merge_after_an_exponential_time.mutation
def fixed_clock_as_printed(*, beta: float, start: float, masses: Any) -> float:
    """The printed clock stands still: the factor 1/beta of the accelerating approach is lost."""
    return beta * theory.asymptotic_merge_time(beta=beta, start=start, masses=masses)


@two_clusters_merge_after_an_exponential_time.mutation
def chord_in_place_of_its_square(*, beta: float, start: float, masses: Any) -> float:
    """1 - u^2 is lost in the denominator."""
    return (1 - start**2) * theory.asymptotic_merge_time(beta=beta, start=start, masses=masses)


@two_clusters_merge_after_an_exponential_time.mutation
def clock_of_usa(*, beta: float, start: float, masses: Any) -> float:
    """The time in the clock of USA*: without the masses' ratios and twice the equal-mass SA time."""
    return 2 * theory.asymptotic_merge_time(beta=beta, start=start)


@claim("2512.01868", "section 5.3", covers=["V28"], status="derived", states=theory.mean_shift_velocity)
def mean_shift_is_attention_with_time_times_beta(case: Case) -> None:
    """The gradient of the log of the Gaussian kernel density, on the sphere, is beta times the SA velocity."""
    beta, weights = case.choose("beta", [3.0, 50.0, 1000.0]), masses(case)
    angle = min(np.pi, 3.0 / np.sqrt(beta))
    tokens = cloud(case, angle=angle, weights=weights)
    measured = beta * speeds(case, mf.SelfAttention(beta), tokens)
    predicted = case.predict(tokens.points, beta=beta, masses=weights)
    because = "rounding of beta |x-y|^2 in the exponent, times beta and the distance of the tokens"
    case.compare(measured, predicted, within=1e-13 * (1 + beta * angle), because=because)


@mean_shift_is_attention_with_time_times_beta.mutation
def factor_beta_lost(points: Any, *, beta: float, masses: Any) -> Any:
    """The two are identified without the factor beta, as the text may be read."""
    return theory.mean_shift_velocity(points, beta=beta, masses=masses) / beta


@mean_shift_is_attention_with_time_times_beta.mutation
def half_forgotten(points: Any, *, beta: float, masses: Any) -> Any:
    """The kernel is e^(-beta |x-y|^2), without the 1/2."""
    return theory.mean_shift_velocity(points, beta=2 * beta, masses=masses) / 2


@mean_shift_is_attention_with_time_times_beta.mutation
def towards_the_density_minimum(points: Any, *, beta: float, masses: Any) -> Any:
    """The sign is wrong: downhill."""
    return -theory.mean_shift_velocity(points, beta=beta, masses=masses)

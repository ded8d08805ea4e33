"""Linear attention: mean and covariance close exactly, for every law and any number of tokens."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import masses, sharp, speeds
from measureflow.claims.p2501_18322.instances import D

N = 5


def skewed(case: Case) -> np.ndarray:
    """Draw few tokens from a law that is far from normal."""
    return case.generator("tokens").exponential(size=(N, D)) - 0.4


def rates_of_moments(mean: Any, cov: Any, form: Any, value: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivatives V M A m of the mean and V M A S + S A^T M V^T of the covariance, M = S + m m^T."""
    slope = value @ (cov + np.outer(mean, mean)) @ form
    return slope @ mean, slope @ cov + cov @ slope.T


@claim("2501.18322", "linear attention", covers=["T1", "5.2"], status="derived", states=rates_of_moments)
def linear_attention_closes_in_mean_and_covariance(case: Case) -> None:
    """Under linear attention m' = V M A m and S' = V M A S + S A^T M V^T for every law, with M = S + m m^T."""
    points, weights = skewed(case), masses(case, N)
    query, key, value = case.generator("matrices").normal(size=(3, D, D)) / 2
    tokens = mf.Tokens(mf.Euclidean(D), points, weights)
    field = mf.SelfAttention(query=query, key=key, value=value, weighting="linear")
    velocities = speeds(case, field, tokens)
    mean = weights @ points
    off = points - mean
    case.require("the tokens are no Gaussian", bool(np.abs(weights @ off**3).max() > 1e-3))
    turned = (weights * off.T) @ velocities
    law = case.predict(mean, (weights * off.T) @ off, key.T @ query, value)
    because = "the same sums of a few products in another order"
    for name, measured, stated in zip(
        ("mean", "covariance"), (weights @ velocities, turned + turned.T), law, strict=True
    ):
        case.compare(measured, stated, within=1e-13 * (1 + np.abs(stated).max()), because=because, name=name)


@linear_attention_closes_in_mean_and_covariance.mutation
def mean_forgotten(mean: Any, cov: Any, form: Any, value: Any) -> Any:
    """The covariance stands where the second moment belongs."""
    slope = value @ cov @ form
    return slope @ mean, slope @ cov + cov @ slope.T


@linear_attention_closes_in_mean_and_covariance.mutation
def query_and_key_exchanged(mean: Any, cov: Any, form: Any, value: Any) -> Any:
    """A^T stands for A."""
    return rates_of_moments(mean, cov, form.T, value)


@linear_attention_closes_in_mean_and_covariance.mutation
def equation_of_softmax(mean: Any, cov: Any, form: Any, value: Any) -> Any:
    """The mean moves by V (I + S A) m as under softmax attention."""
    slope = value @ cov @ form
    return value @ mean + slope @ mean, slope @ cov + cov @ slope.T


@claim(
    "2501.18322",
    "linear attention, V = I",
    covers=["T1"],
    status="derived",
    states=theory.tokens_under_linear_attention,
    id="2501.18322/T1-tokens",
)
def tokens_follow_a_square_root(case: Case) -> None:
    """Under linear attention with V = I and a symmetric form D each of n tokens is (I - 2 t M_0 D)^(-1/2) x_i(0)."""
    points, half = skewed(case), case.generator("form").normal(size=(D, D))
    form, second = half + half.T, points.T @ points / N
    if not np.isfinite(theory.blow_up_time_of_gaussian(second, form)):
        form = -form  # of a form and its opposite one at least lets the second moment explode
    end = theory.blow_up_time_of_gaussian(second, form)
    case.require("the second moment explodes", bool(np.isfinite(end)))
    times = end * np.array([0.3, 0.6, 0.9])
    field = mf.SelfAttention(query=form, key=np.eye(D), weighting="linear")
    tokens = mf.Tokens(mf.Euclidean(D), points)
    path = case.measure(mf.flow, tokens, field, until=float(times[-1]), save=times, solver=sharp())
    case.require("the flow ran to its end", path.status == "reached")
    stated = case.predict(times, points, form)
    because = "rtol 1e-12 a step, grown tenfold where nine tenths of the way to the blow-up are passed"
    case.compare(path.points, stated, within=1e-9 * np.abs(stated).max(), because=because)


@tokens_follow_a_square_root.mutation
def inverse_for_its_root(times: Any, points: Any, form: Any) -> Any:
    """The exponent is -1, as for the covariance."""
    second = points.T @ points / len(points)
    return np.stack([np.linalg.solve(np.eye(D) - 2 * t * second @ form, points.T).T for t in times])


@tokens_follow_a_square_root.mutation
def covariance_for_second_moment(times: Any, points: Any, form: Any) -> Any:
    """The mean is taken out of the second moment."""
    mean = points.mean(axis=0)
    moved = theory.tokens_under_linear_attention(0.5 * times, points - mean, form)
    return moved + mean


@tokens_follow_a_square_root.mutation
def factor_two_lost(times: Any, points: Any, form: Any) -> Any:
    """D stands alone where D + D^T = 2D belongs."""
    return theory.tokens_under_linear_attention(times, points, form / 2)

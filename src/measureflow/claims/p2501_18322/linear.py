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
from measureflow.paths.style import THEORY, shades

N = 5


def skewed(case: Case) -> np.ndarray:
    """Draw few tokens from a law that is far from normal."""
    n, d = case.given("n", N), case.given("d", D)
    return case.generator("tokens").exponential(size=(n, d)) - 0.4


def rates_of_moments(mean: Any, cov: Any, form: Any, value: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivatives V M A m of the mean and V M A S + S A^T M V^T of the covariance, M = S + m m^T."""
    slope = value @ (cov + np.outer(mean, mean)) @ form
    return slope @ mean, slope @ cov + cov @ slope.T


@claim("2501.18322", "linear attention", covers=["T1", "5.2"], status="derived", states=rates_of_moments)
def linear_attention_closes_in_mean_and_covariance(case: Case) -> None:
    """Under linear attention m' = V M A m and S' = V M A S + S A^T M V^T for every law, with M = S + m m^T."""
    points = skewed(case)
    n, d = points.shape
    weights = masses(case, n)
    query, key, value = case.generator("matrices").normal(size=(3, d, d)) / 2
    tokens = mf.Tokens(mf.Euclidean(d), points, weights)
    field = mf.SelfAttention(query=query, key=key, value=value, weighting="linear")
    velocities = speeds(case, field, tokens)
    mean = weights @ points
    off = points - mean
    case.require("the tokens are no Gaussian", bool(np.abs(weights @ off**3).max() > 1e-3))
    # rounding of sums of products of two matrices with second and fourth moments
    size = max(1.0, (d / D) ** 2 * (n / N))
    turned = (weights * off.T) @ velocities
    law = case.predict(mean, (weights * off.T) @ off, key.T @ query, value)
    because = "the same sums of a few products in another order"
    for name, measured, stated in zip(
        ("mean", "covariance"), (weights @ velocities, turned + turned.T), law, strict=True
    ):
        within = 1e-13 * size * (1 + np.abs(stated).max())
        case.compare(measured, stated, within=within, because=because, name=f"rate of the {name}")


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
    (points, form), shares = tokens_and_form(case), case.given("shares", (0.3, 0.6, 0.9))
    d = points.shape[1]
    end = theory.blow_up_time_of_gaussian(points.T @ points / len(points), form)
    case.require("the second moment explodes", bool(np.isfinite(end)))
    case.require("all times are before that", min(shares) > 0 and max(shares) < 1)
    times = end * np.array(shares)
    field = mf.SelfAttention(query=form, key=np.eye(d), weighting="linear")
    tokens = mf.Tokens(mf.Euclidean(d), points)
    path = case.measure(mf.flow, tokens, field, until=float(times[-1]), save=times, solver=sharp())
    case.require("the flow ran to its end", path.status == "reached")
    stated = case.predict(times, points, form)
    because = "rtol 1e-12 a step, grown tenfold where nine tenths of the way to the blow-up are passed"
    within = 1e-9 * np.abs(stated).max() * max(1.0, 0.0999 / (1.0 - max(shares)))
    measured, stated = (np.moveaxis(np.asarray(one), 0, -1) for one in (path.points, stated))
    case.compare(measured, stated, within=within, because=because, name="coordinates of all tokens", over={"t": times})


def tokens_and_form(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Draw tokens, and a symmetric form that lets their second moment explode."""
    points = skewed(case)
    half = case.generator("form").normal(size=(points.shape[1],) * 2)
    form, second = case.given("beta", 1.0) * (half + half.T), points.T @ points / len(points)
    if not np.isfinite(theory.blow_up_time_of_gaussian(second, form)):
        form = -form  # of a form and its opposite one at least lets the second moment explode
    return points, form


@tokens_follow_a_square_root.figure
def lengths_of_tokens(case: Case, ax: Any) -> None:
    """Draw the length of every token up to near the blow-up."""
    (curve,), (points, form) = case.curves, tokens_and_form(case)
    n, d = points.shape
    found = np.linalg.norm(curve.measured.reshape(n, d, -1), axis=1)
    end = theory.blow_up_time_of_gaussian(points.T @ points / n, form)
    times = curve.places[: found.shape[1]]
    line = end * np.linspace(0.0, max(0.98, times.max() / end), 100)
    law = np.linalg.norm(case.predict(line, points, form), axis=2)
    for k, colour in enumerate(shades(n)):
        ax.plot(times / end, found[k], "o", color=colour, ms=7, label="measured" if k == 0 else None)
        ax.plot(line / end, law[:, k], "--", color=THEORY, lw=1.3, label="stated" if k == 0 else None)
    ax.set(yscale="log", xlabel="$t/t^*$", ylabel=r"$|x_i(t)|$")
    ax.set_title(f"n = {n}, d = {d}, V = I, $t^*$ = {end:.3g}", fontsize=11, loc="left")
    ax.legend(fontsize=9)


@tokens_follow_a_square_root.mutation
def inverse_for_its_root(times: Any, points: Any, form: Any) -> Any:
    """The exponent is -1, as for the covariance."""
    second = points.T @ points / len(points)
    return np.stack([np.linalg.solve(np.eye(len(second)) - 2 * t * second @ form, points.T).T for t in times])


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

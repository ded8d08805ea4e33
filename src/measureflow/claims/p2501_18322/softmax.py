"""Softmax attention with V = I: the covariance in closed form, its blow-up and its limits."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.p2501_18322.instances import D, attracting, follow, spread


@claim("2501.18322", "softmax, V = I", covers=["T14"], status="derived", states=theory.covariance_of_gaussian)
def inverse_covariance_falls_linearly(case: Case) -> None:
    """Under softmax attention with V = I the covariance is (S_0^-1 - t (D + D^T))^-1, D = Q^T K, up to its blow-up."""
    query, key = attracting(case)
    cov, form = spread(case), query.T @ key
    end = theory.blow_up_time_of_gaussian(cov, form)
    case.require("the covariance explodes", bool(np.isfinite(end)))
    times = end * np.array([0.1, 0.5, 0.9])
    path = follow(case, cov, query, key, times)
    case.require("the flow ran to its end", path.status == "reached")
    predicted = case.predict(times, cov, form)
    size = np.abs(predicted).max(axis=(1, 2), keepdims=True)
    because = "rtol 1e-12 a step, grown tenfold where nine tenths of the way to the blow-up are passed"
    case.compare(path.cov, predicted, within=1e-10 * size, because=because)


@inverse_covariance_falls_linearly.mutation
def one_of_the_two_forms_lost(times: Any, cov: Any, form: Any) -> Any:
    """D stands alone where D + D^T belongs."""
    return theory.covariance_of_gaussian(times, cov, form / 2)


@inverse_covariance_falls_linearly.mutation
def sign_of_time(times: Any, cov: Any, form: Any) -> Any:
    """The inverse covariance rises: repulsion."""
    inverse = np.linalg.inv(cov) + np.asarray(times)[:, None, None] * (form + form.T)
    return np.linalg.inv(inverse)


@inverse_covariance_falls_linearly.mutation
def equation_of_the_public_summary(times: Any, cov: Any, form: Any) -> Any:
    """The derivative is that of S' = VS + SV^T as printed in a summary: exponential growth without attention."""
    return np.exp(2 * np.asarray(times))[:, None, None] * cov


@claim(
    "2501.18322",
    "blow-up, V = I",
    covers=["T14"],
    status="derived",
    states=theory.blow_up_time_of_gaussian,
    id="2501.18322/T14-blow-up",
)
def covariance_explodes_at_a_known_time(case: Case) -> None:
    """Under softmax attention with V = I the covariance explodes at 1/lambda_max(S_0^1/2 (D + D^T) S_0^1/2)."""
    query, key = attracting(case)
    cov, form = spread(case), query.T @ key
    case.require("D + D^T has a positive eigenvalue", bool(np.linalg.eigvalsh(form + form.T)[-1] > 0.1))
    solver = mf.Adaptive(rtol=1e-9, atol=1e-10, pair="dopri8")
    path = follow(case, cov, query, key, np.array([1e3]), solver=solver)
    case.require("it explodes before t = 1000", path.status == "blow-up")
    because = "rtol 1e-9 a step over the steps before the covariance is large"
    case.compare(float(path.times[-1]), case.predict(cov, form), within=1e-7, relative=True, because=because)


@covariance_explodes_at_a_known_time.mutation
def factor_two(cov: Any, form: Any) -> float:
    """D stands alone where D + D^T belongs: twice the time."""
    return 2 * theory.blow_up_time_of_gaussian(cov, form)


@covariance_explodes_at_a_known_time.mutation
def product_of_the_largest(cov: Any, form: Any) -> float:
    """The largest eigenvalues of S_0 and of D + D^T are multiplied."""
    return float(1 / (np.linalg.eigvalsh(cov)[-1] * np.linalg.eigvalsh(form + form.T)[-1]))


@claim(
    "2501.18322",
    "limits, V = I and K = -Q",
    covers=["T14"],
    status="derived",
    states=theory.limit_of_gaussian,
    id="2501.18322/T14-limit",
)
def covariance_falls_to_the_kernel_of_the_form(case: Case) -> None:
    """With V = I and K = -Q of size floor(d/2) x d the covariance ends at U (U^T S_0^-1 U)^-1 U^T: rank ceil(d/2)."""
    query = case.generator("query").normal(size=(D // 2, D))
    cov, form = spread(case), -query.T @ query
    times = np.array([1e9])
    path = follow(case, cov, query, -query, times)
    case.require("the flow ran to its end", path.status == "reached")
    limit = case.predict(cov, form)
    reach = 1.0 / float(np.linalg.norm(query) ** 2)
    because = "the approach is like 1/t: at t = 1e9, S_0^-1 aside, 1/(2 |q|^2 t) in the direction that dies"
    case.compare(path.cov[-1], limit, within=1e-8 * (1.0 + reach), because=because)
    ranks = [int((np.linalg.eigvalsh(matrix) > 1e-6).sum()) for matrix in (np.asarray(path.cov[-1]), limit)]
    case.compare(ranks[0], ranks[1], within=0.5, because="a rank is a whole number", name="rank")


@covariance_falls_to_the_kernel_of_the_form.mutation
def projection_of_the_covariance(cov: Any, form: Any) -> Any:
    """The covariance is projected on the kernel, instead of its inverse."""
    values, vectors = np.linalg.eigh(form + form.T)
    kernel = vectors[:, values > -1e-9]
    return kernel @ kernel.T @ cov @ kernel @ kernel.T


@covariance_falls_to_the_kernel_of_the_form.mutation
def nothing_remains(cov: Any, form: Any) -> Any:
    """The covariance falls to 0, as for an invertible form."""
    return np.zeros_like(cov)


@claim(
    "2501.18322",
    "blow-up, V = I",
    covers=["T14", "T15"],
    status="derived",
    states=theory.blow_up_profile_of_gaussian,
    id="2501.18322/T14-profile",
)
def covariance_explodes_along_one_line(case: Case) -> None:
    """Under softmax attention with V = I, (t* - t) S(t) tends to w w^T, w = sqrt(t*) S_0^1/2 u, u the top vector."""
    query, key = attracting(case)
    cov, form = spread(case), query.T @ key
    end = theory.blow_up_time_of_gaussian(cov, form)
    case.require("the covariance explodes", bool(np.isfinite(end)))
    times = end * (1 - np.array([1e-4, 1e-5, 1e-6]))
    path = follow(case, cov, query, key, times)
    case.require("the flow ran to its end", path.status == "reached")
    along = case.predict(cov, form)
    left = end - times
    measured = left[:, None, None] * np.asarray(path.cov)
    because = "what stays finite, of the size of S_0 over the gap of the top eigenvalue, is multiplied by t* - t"
    within = (50 * left / end)[:, None, None] * np.abs(cov).max() * max(end, 1.0)
    case.compare(measured, np.outer(along, along), within=within, because=because)


@covariance_explodes_along_one_line.mutation
def top_direction_of_the_form(cov: Any, form: Any) -> Any:
    """The direction is the top eigenvector of D + D^T, whatever S_0 is."""
    top = np.linalg.eigh(form + form.T)[1][:, -1]
    return top * np.linalg.norm(theory.blow_up_profile_of_gaussian(cov, form))


@covariance_explodes_along_one_line.mutation
def size_of_the_inverse(cov: Any, form: Any) -> Any:
    """t* stands for its root."""
    end = theory.blow_up_time_of_gaussian(cov, form)
    return 2 * np.sqrt(end) * theory.blow_up_profile_of_gaussian(cov, form)


@claim(
    "2501.18322",
    "convergence to 0",
    covers=["T14", "5.3"],
    status="derived",
    states=theory.decay_of_gaussian,
    id="2501.18322/T14-decay",
)
def covariance_falls_like_one_over_time(case: Case) -> None:
    """With V = I and D + D^T < 0 (K = -Q invertible) t S(t) tends to -(D + D^T)^-1, whatever the start."""
    query = case.generator("query").normal(size=(D, D))
    query, _ = np.linalg.qr(query)
    query = query * case.generator("sizes").uniform(0.3, 2.0, D)
    times = np.array([1e10, 1e11, 1e12])
    path = follow(case, spread(case), query, -query, times)
    case.require("the flow ran to its end", path.status == "reached")
    stated = case.predict(-query.T @ query)
    size = float(np.abs(stated).max())
    because = "the start counts S_0^-1 against 2 t Q^T Q, and the solver is at rtol 1e-12"
    within = 20 * size * (size / times[:, None, None] + 1e-9)
    case.compare(times[:, None, None] * np.asarray(path.cov), stated, within=within, because=because)


@covariance_falls_like_one_over_time.mutation
def one_form_lost(form: Any) -> Any:
    """D stands alone where D + D^T belongs."""
    return 2 * theory.decay_of_gaussian(form)


@covariance_falls_like_one_over_time.mutation
def form_for_its_inverse(form: Any) -> Any:
    """What decays is weighed by the form itself."""
    return -(form + form.T)

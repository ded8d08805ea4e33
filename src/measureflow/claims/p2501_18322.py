"""Claims of arXiv:2501.18322, Gaussian dynamics of deep transformers."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim

D = 3


def spread(case: Case) -> np.ndarray:
    """Draw a covariance whose eigenvalues lie in [0.2, 2]."""
    generator = case.generator("covariance")
    axes, _ = np.linalg.qr(generator.normal(size=(D, D)))
    return (axes * generator.uniform(0.2, 2.0, D)) @ axes.T


def attracting(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Draw query and key that are alike, so that the covariance explodes."""
    query, off = case.generator("query and key").normal(size=(2, D, D))
    return query, query + 0.5 * off


def follow(case: Case, cov: np.ndarray, query: Any, key: Any, times: Any, **options: Any) -> mf.Path:
    """Return the path of a centred Gaussian, remembered; another mean would grow like e^t and change nothing here."""
    law = mf.Gaussian(np.zeros(D), cov)
    field = mf.SelfAttention(1.0, query=query, key=key)
    return case.measure(mf.flow, law, field, until=float(times[-1]), save=times, **options)


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

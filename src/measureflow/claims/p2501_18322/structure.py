"""What is left of a variational structure: a form that falls towards the limits, and velocities that are gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import masses, speeds
from measureflow.claims.p2501_18322.instances import D, spread


def rate_of_trace(cov: Any, form: Any) -> float:
    """Return tr(S (A + A^T) S), at which tr(V^-1 S) changes."""
    return float(np.trace(cov @ (form + form.T) @ cov))


@claim(
    "2501.18322", "V symmetric", covers=["5.3", "T14"], status="derived", states=rate_of_trace, id="2501.18322/trace"
)
def trace_against_the_value_falls(case: Case) -> None:
    """For a symmetric V > 0, (tr V^-1 S)' = tr(S (A + A^T) S) under softmax attention, <= 0 where A + A^T <= 0."""
    d, beta = case.given("d", D), case.given("beta", 1.0)
    generator, cov = case.generator("matrices"), spread(case, d)
    root, query, turn = generator.normal(size=(3, d, d))
    value, form = root @ root.T + 0.3 * np.eye(d), -query.T @ query + 0.5 * (turn - turn.T)
    field = mf.SelfAttention(beta, query=form, key=np.eye(d), value=value)
    form = beta * form
    slope = np.asarray(case.measure(lambda law: field.affine(law)[1], mf.Gaussian(np.zeros(d), cov)))
    moved = slope @ cov
    stated = case.predict(cov, form)
    case.require("A + A^T <= 0", bool(np.linalg.eigvalsh(form + form.T)[-1] <= 1e-12))
    measured = float(np.trace(np.linalg.solve(value, moved + moved.T)))
    size = np.linalg.norm(form) * np.linalg.norm(cov) ** 2
    because = "a solve against V, whose eigenvalues are above 0.3"
    case.compare(measured, stated, within=1e-10 * size, because=because, name="rate of tr V^-1 S")
    case.at_most(stated, 0.0, within=1e-12 * size, because="rounding", name="its sign")


@trace_against_the_value_falls.mutation
def one_form(cov: Any, form: Any) -> float:
    """A stands alone where A + A^T belongs."""
    return 0.5 * rate_of_trace(cov, form)


@trace_against_the_value_falls.mutation
def trace_of_the_form(cov: Any, form: Any) -> float:
    """S^2 is left out: the trace of A + A^T."""
    return float(np.trace(form + form.T))


def gradient_of_log_partition(points: Any, weights: Any, form: Any) -> np.ndarray:
    """Return the gradient of log Z(x), Z = sum_j w_j e^{y_j . A x}, at the points, by differences of fourth order."""
    step = 1e-3

    def log_partition(x: np.ndarray) -> np.ndarray:
        logits = x @ form.T @ points.T
        top = logits.max(axis=1, keepdims=True)
        return top[:, 0] + np.log(np.exp(logits - top) @ weights)

    def along(axis: np.ndarray) -> np.ndarray:
        one, two = (log_partition(points + k * step * axis) - log_partition(points - k * step * axis) for k in (1, 2))
        return (8 * one - two) / (12 * step)

    return np.stack([along(axis) for axis in np.eye(points.shape[1])], axis=1)


@claim(
    "2501.18322",
    "V = A^T",
    covers=["5.3"],
    status="derived",
    states=gradient_of_log_partition,
    id="2501.18322/gradient",
)
def velocity_is_the_gradient_of_the_log_partition(case: Case) -> None:
    """With V = A^T (A = K^T Q) softmax attention moves tokens along the gradient of log Z, whatever the law."""
    generator, n, d, beta = case.generator("matrices"), case.given("n", 5), case.given("d", D), case.given("beta", 1.0)
    points, weights = generator.normal(size=(n, d)), masses(case, n)
    query, key = generator.normal(size=(2, d, d)) / 2
    form = beta * key.T @ query
    case.require("A is far from symmetric", bool(np.abs(form - form.T).max() > 0.1 * beta))
    field = mf.SelfAttention(beta, query=query, key=key, value=form.T)
    measured = speeds(case, field, mf.Tokens(mf.Euclidean(d), points, weights))
    stated = case.predict(points, weights, form)
    because = "differences of fourth order with step 1e-3 on logits of a few units, and rounding of 1e-16 over the step"
    within = 1e-8 * (1 + np.abs(stated).max()) * max(1.0, float(np.linalg.norm(form, 2)) / 5.0) ** 4
    case.compare(measured, stated, within=within, because=because, name="velocities")


@velocity_is_the_gradient_of_the_log_partition.mutation
def form_transposed(points: Any, weights: Any, form: Any) -> Any:
    """V = A: the gradient of the log partition of the transposed form."""
    return gradient_of_log_partition(points, weights, form.T)


@velocity_is_the_gradient_of_the_log_partition.mutation
def masses_forgotten(points: Any, weights: Any, form: Any) -> Any:
    """All tokens count alike in Z."""
    return gradient_of_log_partition(points, np.full(len(weights), 1 / len(weights)), form)

"""Attention as the gradient of a logarithm: the printed formula has its 1/beta in the wrong place."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import N, cloud, masses, speeds


@claim(
    "2312.10794", "(3.7) and (3.15)", covers=["V28", "E10"], status="erratum", states=theory.gradient_of_log_partition
)
def velocity_is_a_gradient_of_the_log_partition(case: Case) -> None:
    """With V = Q^T K the SA velocity is (1/beta) grad log Z, the 1/beta in front and not inside the logarithm."""
    n, d, beta = case.given("n", N), case.given("d", 3), case.draw("beta", 1.5, 6.0)
    case.require("there are tokens, in two dimensions and more", n >= 1 and d >= 2)
    case.require("beta is positive", beta > 0)
    weights = masses(case, n)
    query, key = case.generator("query and key").normal(size=(2, d, d)) / np.sqrt(d)
    tokens = cloud(case, d=d, n=n, weights=weights)
    field = mf.SelfAttention(beta, query=query, key=key, value=query.T @ key)
    measured = beta * speeds(case, field, tokens)
    predicted = case.predict(tokens.points, beta=beta, query=query, key=key, masses=weights)
    size = np.linalg.norm(query.T @ key, 2)
    because = "rounding of beta <Qx, Ky> in the exponent, times beta and the size of Q^T K"
    within = 2e-15 * (1 + beta * size) ** 2
    case.compare(measured, predicted, within=within, because=because, name="coordinates of beta times the velocity")


@velocity_is_a_gradient_of_the_log_partition.mutation
def factor_inside_the_logarithm(points: Any, *, beta: float, query: Any, key: Any, masses: Any) -> Any:
    """The printed (3.7): inside the logarithm 1/beta does nothing, so the velocity comes out beta times too large."""
    return beta * theory.gradient_of_log_partition(points, beta=beta, query=query, key=key, masses=masses)


@velocity_is_a_gradient_of_the_log_partition.mutation
def query_and_key_exchanged(points: Any, *, beta: float, query: Any, key: Any, masses: Any) -> Any:
    """Query and key change places."""
    return theory.gradient_of_log_partition(points, beta=beta, query=key, key=query, masses=masses)


@velocity_is_a_gradient_of_the_log_partition.mutation
def masses_forgotten(points: Any, *, beta: float, query: Any, key: Any, masses: Any) -> Any:
    """All tokens count alike."""
    return theory.gradient_of_log_partition(points, beta=beta, query=query, key=key)

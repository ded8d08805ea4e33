"""Claims of arXiv:2411.04990, clustering in causal attention masking."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import cloud, follow, gaps, masses


@claim("2411.04990", "Theorem (V = I)", covers=["V27"], states=lambda points: points[0])
def causal_tokens_all_end_where_the_first_one_stands(case: Case) -> None:
    """Under causal attention with V = I and any Q, K every token converges to the place of the first one."""
    query, key = case.generator("query and key").normal(size=(2, 3, 3)) / np.sqrt(3)
    field = mf.SelfAttention(case.draw("beta", 0.2, 1.5), query=query, key=key, mask="causal")
    tokens = cloud(case)
    points = follow(case, tokens, field, np.array([120.0]), rtol=1e-10)[-1]
    limit = case.predict(np.asarray(tokens.points))
    because = (
        "deviations fall like e^(-t/2), to rounding at t = 120, after a wait that depends on the draw (40 mostly do)"
    )
    case.compare(points, limit, within=1e-6, because=because)


@causal_tokens_all_end_where_the_first_one_stands.mutation
def the_last_token_leads(points: Any) -> Any:
    """The limit is the place of the last token: the mask is upside down."""
    return points[-1]


@causal_tokens_all_end_where_the_first_one_stands.mutation
def the_mean_leads(points: Any) -> Any:
    """The limit is the direction of the mean, as if all tokens were alike."""
    return points.mean(axis=0) / np.linalg.norm(points.mean(axis=0))


@causal_tokens_all_end_where_the_first_one_stands.mutation
def the_antipode_leads(points: Any) -> Any:
    """The limit is the antipode of the first token."""
    return -points[0]


@claim(
    "2411.04990", "local rate of the theorem", covers=["V8"], status="derived", states=theory.rates_at_causal_consensus
)
def the_second_causal_token_closes_at_its_share(case: Case) -> None:
    """Near consensus token 2 closes on token 1 at the rate 1 - a_2/(a_1 + a_2): 1/2 for equal masses."""
    beta = case.draw("beta", 0.0, 4.0)
    weights = case.choose("equal masses", [True, False, False])
    weights = np.full(8, 0.125) if weights else masses(case)
    tokens = cloud(case, angle=1e-3, weights=weights)
    times = np.linspace(0.0, 6.0, 13)
    points = follow(case, tokens, mf.SelfAttention(beta, mask="causal"), times)
    rate = -np.polyfit(times, 0.5 * np.log(gaps(points)), 1)[0]
    because = "corrections of relative order beta (1 - rho), below 1e-5, and rtol 1e-12 over a distance of 1e-5"
    case.compare(rate, case.predict(weights)[0], within=1e-4, relative=True, because=because)


@the_second_causal_token_closes_at_its_share.mutation
def diagonal_lost(masses: Any) -> Any:
    """Tokens do not see themselves: token 2 is pulled by token 1 alone, at rate 1."""
    return np.ones(len(masses) - 1)


@the_second_causal_token_closes_at_its_share.mutation
def share_of_all_tokens(masses: Any) -> Any:
    """The denominator sums over all tokens, not over the prefix."""
    return 1.0 - np.asarray(masses)[1:]


@the_second_causal_token_closes_at_its_share.mutation
def rate_of_the_cosine(masses: Any) -> Any:
    """The rate of 1 - rho is given for that of the distance."""
    return 2.0 * theory.rates_at_causal_consensus(masses)

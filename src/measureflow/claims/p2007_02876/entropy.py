"""A row of attention is a Gibbs law: what it minimises, and by how much any other law misses."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import masses

PAPER = "2007.02876"


@claim(
    PAPER,
    "maximum entropy",
    covers=["T22"],
    status="derived",
    states={"law": theory.gibbs_law, "energy": theory.free_energy},
)
def attention_is_the_law_of_largest_entropy(case: Case) -> None:
    """A row of softmax attention minimises KL(nu|mu) - int a dnu, and any other law misses by exactly KL(nu|Psi)."""
    rng, n, beta = case.generator("tokens"), 8, case.draw("beta", 0.5, 2.0)
    weights = masses(case)
    tokens = mf.Tokens(mf.Euclidean(3), rng.normal(size=(n, 3)), weights)
    rows = np.asarray(case.measure(mf.observe.attention, tokens, mf.SelfAttention(beta)))
    scores = beta * np.asarray(tokens.points) @ np.asarray(tokens.points).T
    others = case.generator("laws").dirichlet(np.ones(n), size=(20, n))
    law, energy = case.statement.law, case.statement.energy
    case.compare(rows, law(scores, weights), within=1e-13, because="rounding", name="the row is the Gibbs law")
    least = -np.log(np.exp(scores) @ weights)
    because = "rounding of logarithms of size 10"
    case.compare(energy(rows, scores, weights), least, within=1e-12, because=because, name="least value")
    gap = (others * np.log(others / rows)).sum(axis=-1)
    measured = energy(others, scores, weights) - energy(rows, scores, weights)
    case.compare(measured, gap, within=1e-12, because=because, name="gap")
    case.at_least(measured, 0.0, within=1e-12, because=because, name="no law does better")


@attention_is_the_law_of_largest_entropy.mutation("energy")
def masses_forgotten(law: Any, scores: Any, masses: Any) -> Any:
    """The entropy is taken relative to the uniform law."""
    return theory.free_energy(law, scores, np.full(len(masses), 1.0 / len(masses)))


@attention_is_the_law_of_largest_entropy.mutation("energy")
def sign_of_the_score(law: Any, scores: Any, masses: Any) -> Any:
    """The mean score is added."""
    return theory.free_energy(law, -scores, masses)


@attention_is_the_law_of_largest_entropy.mutation("energy")
def reversed_entropy(law: Any, scores: Any, masses: Any) -> Any:
    """KL(mu|nu) stands for KL(nu|mu)."""
    return (masses * np.log(masses / law)).sum(axis=-1) - (law * scores).sum(axis=-1)


@attention_is_the_law_of_largest_entropy.mutation("law")
def unweighted(scores: Any, masses: Any) -> Any:
    """The law forgets the masses of the measure."""
    return theory.gibbs_law(scores, np.ones(len(masses)))

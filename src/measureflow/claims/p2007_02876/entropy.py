"""A row of attention is a Gibbs law: what it minimises, and by how much any other law misses."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import N, masses
from measureflow.paths.style import ACCENT, THEORY

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
    rng, beta, n, d = case.generator("tokens"), case.draw("beta", 0.5, 2.0), case.given("n", N), case.given("d", 3)
    weights = masses(case, n)
    tokens = mf.Tokens(mf.Euclidean(d), rng.normal(size=(n, d)), weights)
    rows = np.asarray(case.measure(mf.observe.attention, tokens, mf.SelfAttention(beta)))
    scores = beta * np.asarray(tokens.points) @ np.asarray(tokens.points).T
    others = case.generator("laws").dirichlet(np.ones(n), size=(case.given("laws", 20), n))
    law, energy = case.statement.law, case.statement.energy
    case.compare(rows, law(scores, weights), within=1e-13, because="rounding", name="the row is the Gibbs law")
    least = -np.log(np.exp(scores) @ weights)
    because = "rounding of logarithms of size 10"
    within = 1e-12 * max(1.0, float(np.abs(scores).max()) / 50.0)
    case.compare(energy(rows, scores, weights), least, within=within, because=because, name="least value")
    gap = (others * np.log(others / rows)).sum(axis=-1)
    measured = energy(others, scores, weights) - energy(rows, scores, weights)
    case.compare(measured, gap, within=within, because=because, name="what other laws miss by")
    case.at_least(measured, 0.0, within=within, because=because, name="no law does better")


@attention_is_the_law_of_largest_entropy.figure
def free_energy_against_divergence(case: Case, ax: Any) -> None:
    """Draw by how much random laws miss the least free energy against their divergence from the row."""
    curve = next(curve for curve in case.curves if curve.name == "what other laws miss by")
    ax.plot(curve.stated, curve.measured, "o", color=ACCENT[0], ms=4, alpha=0.8, label="random laws")
    line = np.array([0.0, curve.stated.max()])
    ax.plot(line, line, "--", color=THEORY, label="stated: equal")
    ax.plot([0.0], [0.0], "s", color=ACCENT[1], ms=9, label="the row of attention")
    ax.set(xlabel=r"$\mathrm{KL}(\nu|\Psi)$", ylabel="free energy above the least")
    about = (case.instance["n"], case.instance["d"], case.instance["beta"])
    ax.set_title("n = {}, d = {}, beta = {:.3g}".format(*about), fontsize=11, loc="left")
    ax.legend(fontsize=9)


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

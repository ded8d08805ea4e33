"""Attention at its extremes: tokens far out, where it becomes hard, and no scores at all under a causal mask."""

from __future__ import annotations

from typing import Any

import numpy as np

from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim

PAPER = "2312.14820"
N, D = 8, 3


def far_out(points: np.ndarray, form: np.ndarray, value: np.ndarray) -> float:
    """Return the exact constant at tokens so far out that the second largest weight is below e^-60."""
    scores = np.sort(points @ form.T @ points.T, axis=1)
    radius = np.sqrt(60.0 / (scores[:, -1] - scores[:, -2]).min())
    return float(np.linalg.norm(theory.jacobian_of_attention(radius * points, form=form, value=value), 2))


@claim(
    PAPER,
    "large radius; prefix means",
    covers=["T17"],
    status="derived",
    states={"hard": theory.lipschitz_at_large_radius, "prefix": theory.norms_of_prefix_means},
)
def far_out_attention_copies_and_without_scores_it_averages(case: Case) -> None:
    """As tokens move out the constant tends to |V| times the root of how often the most copied one is copied; without
    scores a causal mask makes means over prefixes, of l1 norm 1 + 1/2 + .. + 1/n and l2 norm below 2."""
    points, form, value = (case.generator(name).normal(size=size) for name, size in
                           (("tokens", (N, D)), ("form", (D, D)), ("value", (D, D))))  # fmt: skip
    measured = case.measure(far_out, points, form, value)
    case.compare(measured, case.statement.hard(points, form=form, value=value), within=1e-6, relative=True,
                 because="weights of e^-60, times logits of at most some thousands", name="hard")  # fmt: skip
    for n in (10, 100):
        found = theory.jacobian_of_attention(case.generator("line").normal(size=(n, 1)), form=[[0.0]], causal=True)
        norms = [np.abs(found).sum(axis=0).max(), np.linalg.norm(found, 2)]
        case.compare(norms, case.statement.prefix(n), within=1e-11, because="rounding", name=f"prefix means, {n}")
        case.at_most(norms[1], 2.0, within=1e-11, because="Hardy's inequality", name=f"Hardy, {n}")


@far_out_attention_copies_and_without_scores_it_averages.mutation("hard")
def every_token_copies_the_same(points: Any, *, form: Any, value: Any) -> float:
    """One token is copied by all: sqrt n."""
    return float(np.linalg.norm(value, 2) * np.sqrt(len(points) + 1))


@far_out_attention_copies_and_without_scores_it_averages.mutation("hard")
def root_lost(points: Any, *, form: Any, value: Any) -> float:
    """The root of the count is lost."""
    return float(
        theory.lipschitz_at_large_radius(points, form=form, value=value) ** 2 / np.linalg.norm(value, 2) + 1e-3
    )


@far_out_attention_copies_and_without_scores_it_averages.mutation("prefix")
def logarithm(n: int) -> tuple[float, float]:
    """The harmonic number is taken for log n."""
    return float(np.log(n)), theory.norms_of_prefix_means(n)[1]

"""Attention at its extremes: tokens far out, where it becomes hard, and no scores at all under a causal mask."""

from __future__ import annotations

from typing import Any

import numpy as np

from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.paths.style import ACCENT, THEORY

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
    n, d = case.given("n", N), case.given("d", D)
    points, form, value = (case.generator(name).normal(size=size) for name, size in
                           (("tokens", (n, d)), ("form", (d, d)), ("value", (d, d))))  # fmt: skip
    measured = case.measure(far_out, points, form, value)
    case.compare(measured, case.statement.hard(points, form=form, value=value), within=1e-6, relative=True,
                 because="weights of e^-60, times logits of at most some thousands", name="hard")  # fmt: skip
    for count in case.given("prefixes", (10, 100)):
        norms = case.measure(prefix_norms, case.generator("line").normal(size=(count, 1)))
        stated, within = case.statement.prefix(count), 1e-11 * max(1.0, count / 100)
        case.compare(norms, stated, within=within, because="rounding", name=f"norms of prefix means, {count}")
        case.at_most(norms[1], 2.0, within=1e-11, because="Hardy's inequality", name=f"Hardy, {count}")


def prefix_norms(line: np.ndarray) -> list[float]:
    """Return the l1 and l2 norms of the Jacobian of attention without scores under a causal mask."""
    found = theory.jacobian_of_attention(line, form=[[0.0]], causal=True)
    return [float(np.abs(found).sum(axis=0).max()), float(np.linalg.norm(found, 2))]


@far_out_attention_copies_and_without_scores_it_averages.figure
def norms_of_means_over_prefixes(case: Case, ax: Any) -> None:
    """Draw both norms of means over prefixes against the number of tokens."""
    counts = np.unique(np.geomspace(2, max(case.instance["prefixes"]), 10).astype(int))
    norms = np.array([case.measure(prefix_norms, case.generator("line").normal(size=(int(n), 1))) for n in counts])
    stated = np.array([case.statement.prefix(int(n)) for n in counts])
    for k, name in enumerate((r"$\ell^1$: $1 + \frac{1}{2} + \dots + \frac{1}{n}$", r"$\ell^2$: below 2")):
        ax.plot(counts, norms[:, k], "o", color=ACCENT[k], ms=7, label=name)
        ax.plot(counts, stated[:, k], "--", color=THEORY, lw=1.3, label="stated" if k else None)
    ax.axhline(2.0, color=THEORY, lw=0.8, ls=":", label="Hardy")
    ax.set(xscale="log", xlabel="tokens $n$", ylabel="norm of prefix means")
    hard = case.curves[0]
    ax.set_title(f"far out: constant {hard.measured[0]:.6g}, stated {hard.stated[0]:.6g}", fontsize=11, loc="left")
    ax.legend(fontsize=9)


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

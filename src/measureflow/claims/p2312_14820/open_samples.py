"""An open question: how many tokens attention needs to see a measure as it is."""

from __future__ import annotations

from typing import Any

import numpy as np

from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration
from measureflow.paths.style import THEORY, shades

#: numbers of samples, and draws, by tier
SIZES = {tier: tuple(4**k for k in range(2, last)) for tier, last in (("smoke", 6), ("standard", 9), ("full", 10))}
DRAWS = {"smoke": 40}


@exploration("2312.14820", "sample complexity", covers=["Q11"], id="2312.14820/Q11")
def how_many_tokens_does_attention_need(case: Case) -> dict[str, Any]:
    """How fast does attention over n samples come to attention over their law, as the scores grow?

    For N(0, Id) and A = Id, attention from x is x itself. Over n samples the weights are e^{<x, y>}: their effective
    number falls like e^{-|x|^2}, so that the rate n^(-1/2) should hold only for n well above e^{|x|^2}, with a slower
    one before. Reported for each |x|: the root mean square error over draws for every n, and its exponent over the last
    factor of 16 in n.
    """
    sizes = np.array(case.given("n", SIZES[case.tier]))
    draws, d = case.given("draws", DRAWS.get(case.tier, 200)), case.given("d", 4)
    radii = case.given("|x|", (0.5, 1.0, 2.0, 3.0))
    case.require("there are two n at least, for an exponent", len(sizes) > 1)
    generator, errors = case.generator("samples"), {radius: [] for radius in radii}
    for n in sizes:
        squares = dict.fromkeys(radii, 0.0)
        for _ in range(draws):
            y = generator.normal(size=(n, d))
            for radius in radii:  # by symmetry one direction is as good as all
                logits = radius * y[:, 0]
                weights = np.exp(logits - logits.max())
                mean = weights @ y / weights.sum()
                mean[0] -= radius
                squares[radius] += float(mean @ mean) / draws
        for radius in radii:
            errors[radius].append(float(np.sqrt(squares[radius])))
    found: dict[str, Any] = {"n": sizes.tolist(), "draws": draws, "d": d}
    for radius, error in errors.items():
        first = max(len(sizes) - 3, 0)
        slope = float(np.log(error[-1] / error[first]) / np.log(sizes[-1] / sizes[first]))
        found[f"|x| = {radius:g}"] = {"error": error, "exponent": slope}
    return found


@how_many_tokens_does_attention_need.figure
def errors_over_n(findings: Findings, ax: Any) -> None:
    """Draw the errors over n, with the slope of independent samples."""
    n = np.array(findings.found["n"], float)
    rows = {name: row for name, row in findings.found.items() if isinstance(row, dict)}
    for (name, row), colour in zip(rows.items(), shades(len(rows)), strict=True):
        ax.loglog(n, row["error"], "o-", color=colour, label=f"${name}$: exponent {row['exponent']:.2f}")
    ax.loglog(n, n**-0.5, "--", color=THEORY, label="independent samples: $n^{-1/2}$")
    ax.set(xlabel="samples $n$", ylabel="root mean square error", title=f"$N(0, I)$ in $R^{{{findings.found['d']}}}$")
    ax.legend()

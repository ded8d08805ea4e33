"""Open questions: what beta = gamma log n does over many layers, and which gamma each layer calls for."""

from __future__ import annotations

from typing import Any

import numpy as np

from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration
from measureflow.paths.style import ACCENT, THEORY

#: numbers of tokens by tier
SIZES, MANY = {"smoke": (1e4, 1e6, 1e8, 1e10)}, tuple(10.0**e for e in range(4, 17, 2))


@exploration("2510.05554", "several layers", covers=["P15"])
def how_many_layers_until_a_long_context_collapses(case: Case) -> dict[str, Any]:
    """What does beta = gamma log n do over many layers?

    For equiangular inputs the map of one layer is exact, and so is its iteration. Above gamma_c a layer copies, but
    gamma_c = 1/(1-rho) rises with the cosine, so that every gamma collapses in the end: after some
    n^(gamma (1-rho) - 1) layers. The study counts layers up to rho = 0.99 and fits that power of n, with and without a
    residual connection x + y (in directions); and with a gamma per layer that keeps its ratio to the gamma_c of the
    cosine it meets, for which every layer closes the gap by the same part. The gamma that the last layer then has is
    given as well. Inputs that are not equiangular are `P15-inputs`.
    """
    rho = case.draw("cosine", 0.2, 0.4)
    critical = theory.critical_gamma(cosine=rho)
    shares = list(case.given("gamma / gamma_c", (0.8, 1.0, 1.2, 1.4)))
    sizes, target = list(case.given("n", SIZES.get(case.tier, MANY))), case.given("final cosine", 0.99)
    case.require("there are two n at least, for a power", len(sizes) > 1)
    case.require("the final cosine is below 1", target < 1)

    def layers(n: float, gamma: float, residual: bool, follows: bool = False) -> int:
        cosine = rho
        for depth in range(1, 200_000):
            beta = gamma * np.log(n) * ((1 - rho) / (1 - cosine) if follows else 1.0)
            others = (n - 1) * np.exp(-beta * (1 - cosine))
            own, each = 1 / (1 + others), others / (1 + others) / (n - 1)
            own = own + 1 if residual else own
            total = own + (n - 1) * each
            square = (1 - cosine) * (own**2 + (n - 1) * each**2) + cosine * total**2
            cosine = 1 - (1 - cosine) * (own - each) ** 2 / square
            if cosine > target:
                return depth
        return 200_000

    found: dict[str, Any] = {
        "cosine": rho,
        "gamma / gamma_c": shares,
        "predicted power": [max(s - 1, 0.0) for s in shares],
    }
    for name, residual in (("plain", False), ("residual", True)):
        depths = [[layers(n, share * critical, residual) for n in sizes] for share in shares]
        found[f"layers, {name}, at n = {sizes[-1]:.0e}"] = [row[-1] for row in depths]
        found[f"power, {name}"] = [float(np.polyfit(np.log(sizes[-3:]), np.log(row[-3:]), 1)[0]) for row in depths]
    # of order n^(gamma/gamma_c - 1) layers from the first to the last: shorter contexts do
    few = sizes[:3]
    depths = [[layers(n, share * critical, False, follows=True) for n in few] for share in shares]
    found[f"layers, gamma per layer, at n = {few[-1]:.0e}"] = [row[-1] for row in depths]
    found["power, gamma per layer"] = [float(np.polyfit(np.log(few), np.log(row), 1)[0]) for row in depths]
    found["last gamma of these"] = [round(share / (1.0 - target), 9) for share in shares]
    return found


@how_many_layers_until_a_long_context_collapses.figure
def powers_of_layers(findings: Findings, ax: Any) -> None:
    """Draw the power of n in the number of layers over gamma, for each kind of layer, and what is predicted."""
    found = findings.found
    shares = np.array(found["gamma / gamma_c"])
    looks = {"plain": ("o", ACCENT[0], "plain layers"), "residual": ("s", ACCENT[1], "with a residual connection")}
    looks["gamma per layer"] = ("^", ACCENT[2], r"a $\gamma$ per layer, in step with its $\gamma_c$")
    for name, (marker, colour, said) in looks.items():
        ax.plot(shares, found[f"power, {name}"], marker + ":", ms=9, mfc="none", mew=2, color=colour, label=said)
    fine = np.linspace(min(shares.min(), 0.9), max(shares.max(), 1.1), 200)
    ax.plot(
        fine, np.maximum(fine - 1, 0), "--", color=THEORY, label=r"predicted: $\max(\gamma/\gamma_c - 1,\ 0)$", zorder=0
    )
    ax.set(xlabel=r"$\gamma/\gamma_c$ of the first layer", ylabel=r"power of $n$ in the layers until collapse")
    ax.set_title(rf"$\beta = \gamma\,\log n$, first cosine {found['cosine']:.2f}")
    ax.legend()

"""Open questions: what beta = gamma log n does over many layers, and which gamma each layer calls for."""

from __future__ import annotations

from typing import Any

import numpy as np

from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.exploration import exploration


@exploration("2510.05554", "several layers", covers=["P15"])
def how_many_layers_until_a_long_context_collapses(case: Case) -> dict[str, Any]:
    """What does beta = gamma log n do over many layers?

    For equiangular inputs the map of one layer is exact, and so is its iteration. Above gamma_c a layer copies, but
    gamma_c = 1/(1-rho) rises with the cosine, so that every gamma collapses in the end: after some
    n^(gamma (1-rho) - 1) layers. The study counts layers up to rho = 0.99 and fits that power of n, with and without a
    residual connection x + y (in directions); and with a gamma per layer that keeps its ratio to the gamma_c of the
    cosine it meets, for which every layer closes the gap by the same part. The gamma that the last layer then has is
    given as well. Inputs that are not equiangular stay open.
    """
    rho = case.draw("cosine", 0.2, 0.4)
    critical = theory.critical_gamma(cosine=rho)
    shares = [0.8, 1.0, 1.2, 1.4]
    sizes = [10.0**e for e in (range(4, 11, 2) if case.tier == "smoke" else range(4, 17, 2))]

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
            if cosine > 0.99:
                return depth
        return 200_000

    found: dict[str, Any] = {"gamma / gamma_c": shares, "predicted power": [max(s - 1, 0.0) for s in shares]}
    for name, residual in (("plain", False), ("residual", True)):
        depths = [[layers(n, share * critical, residual) for n in sizes] for share in shares]
        found[f"layers, {name}, at n = {sizes[-1]:.0e}"] = [row[-1] for row in depths]
        found[f"power, {name}"] = [float(np.polyfit(np.log(sizes[-3:]), np.log(row[-3:]), 1)[0]) for row in depths]
    # of order n^(gamma/gamma_c - 1) layers from the first to the last: shorter contexts do
    few = sizes[:3]
    depths = [[layers(n, share * critical, False, follows=True) for n in few] for share in shares]
    found[f"layers, gamma per layer, at n = {few[-1]:.0e}"] = [row[-1] for row in depths]
    found["power, gamma per layer"] = [float(np.polyfit(np.log(few), np.log(row), 1)[0]) for row in depths]
    found["last gamma of these"] = [share * 100.0 for share in shares]
    return found

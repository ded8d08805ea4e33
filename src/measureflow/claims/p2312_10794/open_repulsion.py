"""Open problems on sharp attention and repulsion: selection at a tie, and optimal codes."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration
from measureflow.claims.p2312_10794.repulsion import TOKENS, angles_of, energy, repelled
from measureflow.paths.style import ACCENT, THEORY, shades

#: what a study draws at each tier
DRAWS = {"smoke": 3, "standard": 12, "full": 60}


def from_a_tie(beta: float, off: float) -> np.ndarray:
    """Return where the third token of the published example is at t = 3, started `off` the tie."""
    start = mf.Tokens(mf.Euclidean(2), [[1.0, 1.0], [-1.0, 1.0], [off, 0.0]])
    solver = mf.Adaptive(rtol=1e-10, atol=1e-12)
    # time stands still in the weights: HARD is the limit of attention at a fixed depth, here 0
    field = Held(mf.RescaledAttention(beta))
    return np.asarray(mf.flow(start, field, until=3.0, save=[3.0], solver=solver).points)[-1, 2]


class Held(mf.Field):
    """Rescaled attention with the weights of depth 0."""

    inner: mf.RescaledAttention

    def output(self, x: Any, mu: Any, positions: Any = None) -> Any:
        """Return the output at depth 0."""
        return self.inner.output(x, mu, positions)


@exploration("2312.10794", "section 9.3, Problem 6", covers=["P6"])
def which_hardmax_solution_is_the_limit(case: Case) -> dict[str, Any]:
    """Which solution of hardmax dynamics is selected by beta to infinity, from the tie of the published example?

    From the tie itself symmetry allows the mean of the leaders only. Started a distance off it, the token is drawn to
    one side at a rate that grows with beta: reported is the horizontal place at t = 3, which is 1 - e^-3 where it
    followed one leader from the start, for distances beta^-p. A limit that depends on p would mean that no single
    solution is selected.
    """
    betas = [1e1, 1e3] if case.tier == "smoke" else [1e1, 1e2, 1e3, 1e4, 1e5]
    found: dict[str, Any] = {"beta": betas, "one leader": 1 - float(np.exp(-3))}
    for power in (0.5, 1.0, 2.0):
        found[f"off by beta^-{power:g}"] = [float(from_a_tie(beta, beta**-power)[0]) for beta in betas]
    found["at the tie"] = [float(from_a_tie(beta, 0.0)[0]) for beta in betas]
    return found


@which_hardmax_solution_is_the_limit.figure
def sides(findings: Findings, ax: Any) -> None:
    """Draw the place at t = 3 against beta for each power."""
    found = findings.found
    for power, colour in zip(("0.5", "1", "2"), shades(3), strict=True):
        ax.plot(
            found["beta"], found[f"off by beta^-{power}"], "o-", color=colour, label=rf"off by $\beta^{{-{power}}}$"
        )
    ax.axhline(found["one leader"], color=THEORY, ls=(0, (4, 3)), label="one leader")
    ax.axhline(0.0, color=ACCENT[1], ls=(0, (1, 2)), label="mean of both")
    ax.set(xscale="log", xlabel=r"$\beta$", ylabel="$z_{3,1}$ at $t = 3$")
    ax.legend()


#: distance to the nearest neighbour in the best packings of n points on S², in degrees (Fejes Toth; Danzer)
PACKINGS = {4: 109.4712, 5: 90.0, 6: 90.0, 7: 77.8695, 8: 74.8585, 9: 70.5288, 10: 66.1468, 11: 63.4349, 12: 63.4349}


@exploration("2312.10794", "section 9.2, repulsive softmax", covers=["P17"])
def limits_of_repulsive_softmax_against_optimal_codes(case: Case) -> dict[str, Any]:
    """How near do n tokens that flee each other under SA come to the best packing, between the sharp numbers?

    Softmax with V = -I is no gradient of the energy in the flat metric; its rests are those of the energy. Reported is
    the smallest angle of the state of least energy among the draws, in degrees, by beta, beside the best packing
    known, with the number of distinct energies that were found.
    """
    betas, draws = ([1.0, 4.0], 1) if case.tier == "smoke" else ([1.0, 4.0, 16.0], DRAWS[case.tier] // 3)
    numbers = [5, 7, 9] if case.tier == "smoke" else [n for n in PACKINGS if n < TOKENS + 1]
    found: dict[str, Any] = {"n": numbers, "best packing": [PACKINGS[n] for n in numbers]}
    for beta in betas:
        ends = {n: [repelled(case, n, beta, 300.0, draw) for draw in range(draws)] for n in numbers}
        best = [min(states, key=lambda x: energy(x, beta)) for states in ends.values()]
        found[f"smallest angle, beta = {beta:g}"] = [float(np.degrees(np.arccos(angles_of(x)[-1]))) for x in best]
        counts = [len(mf.observe.levels([energy(x, beta) for x in states], 1e-6)) for states in ends.values()]
        found[f"energies found, beta = {beta:g}"] = counts
    return found

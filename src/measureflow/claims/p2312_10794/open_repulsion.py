"""Open problems on sharp attention and repulsion: selection at a tie, and optimal codes."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration
from measureflow.claims.p2312_10794.repulsion import angles_of, energy, repelled
from measureflow.paths.style import MUTED, THEORY, shades

#: values of beta for the tie
SHARP = {"smoke": (1e1, 1e3)}


def from_a_tie(beta: float, off: float, until: float) -> np.ndarray:
    """Return where the third token of the published example is at a time, started `off` the tie."""
    start = mf.Tokens(mf.Euclidean(2), [[1.0, 1.0], [-1.0, 1.0], [off, 0.0]])
    solver = mf.Adaptive(rtol=1e-10, atol=1e-12)
    # time stands still in the weights: HARD is the limit of attention at a fixed depth, here 0
    field = Held(mf.RescaledAttention(beta))
    return np.asarray(mf.flow(start, field, until=until, save=[until], solver=solver).points)[-1, 2]


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
    betas, until = list(case.given("betas", SHARP.get(case.tier, (1e1, 1e2, 1e3, 1e4, 1e5)))), case.given("t", 3.0)
    powers = case.given("p", (0.5, 1.0, 2.0))
    found: dict[str, Any] = {"beta": betas, "t": until, "one leader": 1 - float(np.exp(-until))}
    for power in powers:
        found[f"off by beta^-{power:g}"] = [float(from_a_tie(beta, beta**-power, until)[0]) for beta in betas]
    found["at the tie"] = [float(from_a_tie(beta, 0.0, until)[0]) for beta in betas]
    return found


@which_hardmax_solution_is_the_limit.figure
def sides(findings: Findings, ax: Any) -> None:
    """Draw the place against beta for each power."""
    found = findings.found
    rows = {name.removeprefix("off by beta^-"): row for name, row in found.items() if name.startswith("off by")}
    for (power, row), colour in zip(rows.items(), shades(len(rows)), strict=True):
        ax.plot(found["beta"], row, "o-", color=colour, label=rf"off by $\beta^{{-{power}}}$")
    ax.axhline(found["one leader"], color=THEORY, ls=(0, (4, 3)), label="one leader")
    ax.plot(found["beta"], found["at the tie"], "x:", color=MUTED, label="at the tie: mean of both leaders")
    ax.set(xscale="log", xlabel=r"$\beta$", ylabel=f"$z_{{3,1}}$ at $t = {found['t']:g}$")
    ax.legend()


#: distance to the nearest neighbour in the best packings of n points on S², in degrees (Fejes Toth; Danzer)
PACKINGS = {4: 109.4712, 5: 90.0, 6: 90.0, 7: 77.8695, 8: 74.8585, 9: 70.5288, 10: 66.1468, 11: 63.4349, 12: 63.4349}
#: numbers of tokens, values of beta and draws of a study by tier
NUMBERS = {"smoke": (5, 7, 9)}
BETAS = {"smoke": (1.0, 4.0)}
DRAWS = {"smoke": 1, "standard": 4, "full": 20}


@exploration("2312.10794", "section 9.2, repulsive softmax", covers=["P17"])
def limits_of_repulsive_softmax_against_optimal_codes(case: Case) -> dict[str, Any]:
    """How near do n tokens that flee each other under SA come to the best packing, between the sharp numbers?

    Softmax with V = -I is no gradient of the energy in the flat metric; its rests are those of the energy. Reported is
    the smallest angle of the state of least energy among the draws, in degrees, by beta, beside the best packing
    known, with the number of distinct energies that were found.
    """
    betas, draws = case.given("betas", BETAS.get(case.tier, (1.0, 4.0, 16.0))), case.given("draws", DRAWS[case.tier])
    until = case.given("t", 300.0)
    numbers = list(case.given("n", NUMBERS.get(case.tier, tuple(PACKINGS))))
    case.require("n is between 4 and 12, where the best packings are known", all(n in PACKINGS for n in numbers))
    found: dict[str, Any] = {"n": numbers, "best packing": [PACKINGS[n] for n in numbers]}
    for beta in betas:
        ends = {n: [repelled(case, n, beta, until, draw) for draw in range(draws)] for n in numbers}
        best = [min(states, key=lambda x: energy(x, beta)) for states in ends.values()]
        found[f"smallest angle, beta = {beta:g}"] = [float(np.degrees(np.arccos(angles_of(x)[-1]))) for x in best]
        counts = [len(mf.observe.levels([energy(x, beta) for x in states], 1e-6)) for states in ends.values()]
        found[f"energies found, beta = {beta:g}"] = counts
    return found


@limits_of_repulsive_softmax_against_optimal_codes.figure
def angles_beside_packings(findings: Findings, ax: Any) -> None:
    """Draw the smallest angle over n for each beta, beside the best packing known."""
    found = findings.found
    n = np.array(found["n"])
    for k, (at, best) in enumerate(zip(n, found["best packing"], strict=True)):
        ax.plot([at - 0.35, at + 0.35], [best] * 2, "--", color=THEORY, label="best packing known" if k == 0 else None)
    rows = {name.removeprefix("smallest angle, "): row for name, row in found.items() if name.startswith("smallest")}
    colours, shifts = shades(len(rows), high=0.8), np.linspace(-0.15, 0.15, len(rows) + 2)[1:-1]
    for (name, row), colour, shift, marker in zip(rows.items(), colours, shifts, "osD^v" * len(rows), strict=False):
        label = name.replace("beta", r"$\beta$") + ": state of least energy found"
        ax.plot(n + shift, row, marker, ms=8, color=colour, label=label)
    ax.set(xlabel="tokens $n$ on $S^2$", ylabel="smallest angle, degrees", xticks=n)
    ax.legend()

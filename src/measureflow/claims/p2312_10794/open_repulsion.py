"""Open problems on sharp attention and repulsion: limits of rescaled tokens, selection at a tie, and optimal codes."""

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
N, D = 16, 3


def family(case: Case, kind: str, draw: int) -> tuple[np.ndarray, np.ndarray]:
    """Return V and the query-key form of a kind of model."""
    generator = case.generator(f"{kind} {draw}")
    form = np.eye(D) if kind != "form" else generator.uniform(-1, 1, (D, D))
    if kind == "form":
        return 1.0 * np.eye(D), form
    columns = np.eye(D) + 0.5 * generator.uniform(-1, 1, (D, D))
    if kind == "complex":
        block = np.array([[0.8, -1.0, 0.0], [1.0, 0.8, 0.0], [0.0, 0.0, 0.3]])
    else:  # k growing directions of different rates
        block = np.diag([1.0, 0.6, 0.4 if kind == "three" else -0.4])
    return columns @ block @ np.linalg.inv(columns), form


def limits(case: Case, kind: str, draw: int) -> dict[str, Any]:
    """Return how many distinct limits the growing coordinates have, and whether the tokens still move."""
    value, form = family(case, kind, draw)
    start = mf.Tokens(mf.Euclidean(D), case.generator(f"tokens {draw}").uniform(-1, 1, (N, D)))
    field = mf.RescaledAttention(value=value, query=form.T, bounded=True)
    solver = mf.Adaptive(rtol=1e-7, atol=1e-9, max_steps=5000)
    path = mf.flow(start, field, until=20.0, save=[16.0, 20.0], solver=solver)
    z = np.asarray(path.points)
    if kind in ("form", "complex"):
        seen = z[..., None, :]
    else:
        roots, rows = mf.observe.eigenfunctionals(value)
        seen = (z @ rows[roots > 0].T)[..., None, :]
    places = seen[-1].reshape(N, -1)
    near = np.linalg.norm(places[:, None] - places[None], axis=-1) < 0.02
    count = len({tuple(row) for row in near.tolist()})
    return {"limits": count, "moves": float(np.abs(seen[-1] - seen[0]).max()), "status": path.status}


@exploration("2305.05465", "section 2, open cases", covers=["P5"])
def limit_shapes_of_rescaled_tokens(case: Case) -> dict[str, Any]:
    """Which limits have rescaled tokens outside the theorems: k growing directions, complex pairs, indefinite forms?

    Conjectured: with k eigenvalues of positive real part at most 3^k parallel subspaces. Counted are the distinct
    places, at t = 20 and a resolution of 0.02, of the growing coordinates of 16 tokens in R^3 (all coordinates for a
    complex pair and for a form of U[-1, 1] entries with V = I), and how far they still move from t = 16 on.
    """
    found: dict[str, Any] = {"bound for two, three growing directions": [9, 27]}
    for kind in ("two", "three", "complex", "form"):
        runs = [limits(case, kind, draw) for draw in range(DRAWS[case.tier])]
        found[f"{kind}: limits"] = [one["limits"] for one in runs]
        found[f"{kind}: still moving"] = [one["moves"] for one in runs]
        found[f"{kind}: resolved"] = sum(one["status"] == "reached" for one in runs)
    return found


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
    betas = [1e1, 1e2, 1e3] if case.tier == "smoke" else [1e1, 1e2, 1e3, 1e4, 1e5]
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

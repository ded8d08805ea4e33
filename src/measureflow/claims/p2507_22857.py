"""Claims of arXiv:2507.22857, synchronisation on the circle, and the window of beta in which it is open."""

from __future__ import annotations

from typing import Any

import numpy as np

from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.exploration import Findings, exploration
from measureflow.paths.style import ACCENT, MUTED, THEORY, shades

#: above it all but a null set of starts synchronises; below -2/3 three clusters are stable
PROVED, REFUTED = -0.16, -2.0 / 3.0


def apart(points: list[theory.CriticalPoint]) -> list[theory.CriticalPoint]:
    """Return the critical points that are not one cluster."""
    return [point for point in points if np.cos(point.angles).min() < 1.0 - 1e-6]


@claim("2507.22857", "synchronisation for beta >= -0.16", covers=["E12"], status="theorem", states=lambda: PROVED)
def tokens_apart_rest_on_saddles_only(case: Case) -> None:
    """For beta >= -0.16 every critical point on the circle that is not one cluster has a direction of ascent."""
    least, share = case.predict(), case.draw("share of the way from the border to 2", 0.0, 1.0)
    n, starts = case.choose("n", [4, 5, 6]), case.given("starts", 60)
    case.require("beta is on the border or above, and there are three tokens and more", share >= 0 and n >= 3)
    # at the border itself, and above it
    for beta in (least, least + (2.0 - least) * share):
        for count in (3, n):
            others = points_apart(case, count, beta, starts)
            case.require("Newton's method finds critical points apart", len(others) > 0)
            steepest = min(point.largest for point in others)
            because = "Hessians below it in size would have been left out as degenerate"
            name = f"least growth at critical points apart, beta = {beta:.2f}, n = {count}"
            case.at_least(steepest, 0.0, within=1e-4, because=because, name=name)


def points_apart(case: Case, n: int, beta: float, starts: int) -> list[theory.CriticalPoint]:
    """Return the critical points that are found and are not one cluster."""
    # of three tokens few starts find what a border too low has just made stable
    many = 8 * starts if n == 3 and beta == case.predict() else starts
    return apart(case.measure(theory.critical_points_on_circle, n, beta=beta, starts=many, seed=case.seed))


@tokens_apart_rest_on_saddles_only.figure
def growth_at_critical_points(case: Case, ax: Any) -> None:
    """Draw the largest eigenvalue of the Hessian at all critical points apart, from the border to 2."""
    least, n, starts = case.predict(), case.instance["n"], case.instance["starts"]
    drawn = least + (2.0 - least) * case.instance["share of the way from the border to 2"]
    for count, marker, shade in ((3, "o", ACCENT[0]), (n, "s", ACCENT[1])):
        for beta in (least, drawn):
            found = [point.largest for point in points_apart(case, count, beta, starts)]
            label = f"$n={count}$" if beta == least else None
            ax.plot(np.full(len(found), beta), found, marker, color=shade, ms=7, mfc="none", mew=1.6, label=label)
    ax.axhline(0.0, ls="--", color=THEORY, label="stated: all above 0")
    ax.set(
        xlabel=r"$\beta$",
        ylabel="largest eigenvalue of the Hessian",
        title="critical points on the circle, tokens apart",
    )
    ax.set_yscale("symlog", linthresh=0.1)
    ax.legend()


@tokens_apart_rest_on_saddles_only.mutation
def a_little_below_two_thirds() -> float:
    """All beta >= -0.85 synchronise: three equal clusters are stable below -2/3."""
    return -0.85


@tokens_apart_rest_on_saddles_only.mutation
def temperature_inverted() -> float:
    """All beta >= -3/2 synchronise: the inverse of -2/3."""
    return -1.5


#: numbers of tokens, and starts of Newton's method, by tier
NUMBERS = {"smoke": (3, 4, 5, 6)}
STARTS = {"smoke": 40, "standard": 300, "full": 2000}


@exploration("2507.22857", "the window -2/3 < beta < -0.16", covers=["P3"])
def stable_states_apart_in_the_open_window(case: Case) -> dict[str, Any]:
    """Is there a stable state with tokens apart on the circle for some beta between -2/3 and -0.16?

    For beta >= -0.16 there is none (a theorem), below -2/3 three equal clusters are one. Newton's method from uniform
    starts, and the signs of the Hessian at what it finds, for n up to 12 tokens (6 at the smoke tier). What is not
    found is no proof; a stable state found would be a counterexample.
    """
    count = {"smoke": 4, "standard": 10, "full": 25}[case.tier]
    betas = np.array(case.given("betas", tuple(np.linspace(REFUTED, PROVED, count + 2)[1:-1].tolist())))
    numbers, starts = (
        case.given("n", NUMBERS.get(case.tier, tuple(range(3, 13)))),
        case.given("starts", STARTS[case.tier]),
    )
    case.require("n is at least 3", min(numbers) >= 3)
    stable, rows = [], []
    for n in numbers:
        for beta in map(float, betas):
            options = {"beta": beta, "starts": starts, "seed": case.seed % 10_000}
            others = apart(theory.critical_points_on_circle(n, **options))
            stable += [(n, beta, point.angles.tolist()) for point in others if point.largest < 0]
            rows += [(n, beta, point.largest) for point in others]
    return {
        "betas": betas,
        "tokens": f"{min(numbers)} .. {max(numbers)}",
        "critical points apart": len(rows),
        "stable ones": stable,
        "smallest largest eigenvalue": min((largest for _, _, largest in rows), default=np.nan),
        "tokens, beta and largest eigenvalue of each": rows,
    }


@stable_states_apart_in_the_open_window.figure
def window(findings: Findings, ax: Any) -> Any:
    """Draw the largest eigenvalue of the Hessian at each critical point apart, against beta."""
    rows = findings.found["tokens, beta and largest eigenvalue of each"]
    numbers = sorted({row[0] for row in rows})
    for n, marker, colour in zip(numbers, "os^xDv+*<>" * len(numbers), shades(len(numbers), high=0.8), strict=False):
        chosen = [row[1:] for row in rows if row[0] == n]
        ax.plot(*zip(*chosen, strict=True), marker, color=colour, ms=6, mfc="none", label=f"n = {n}")
    ax.axhline(0.0, color=MUTED, lw=1)
    ax.axvline(REFUTED, color=THEORY, ls="--", lw=1.4, label="below it three clusters are stable")
    ax.axvline(PROVED, color=THEORY, ls=":", lw=1.4, label="from here on none is stable (a theorem)")
    ax.annotate("stable below 0", (0.99, 0.0), xycoords=("axes fraction", "data"), ha="right", va="bottom", color=MUTED)
    ax.set(xlabel=r"$\beta$", ylabel="largest eigenvalue of the Hessian")
    ax.legend(title="critical points with tokens apart", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return ax

"""Thresholds in beta on the circle: how large it must be for the proof that tokens never come to rest apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import brentq

from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.paths.style import ACCENT, MUTED, THEORY


@claim(
    "2312.10794",
    "Theorem 5.1 and Problem 3",
    covers=["E12"],
    status="erratum",
    states=lambda n, d: 4.0 * (d - 1.0) * (n - 1.0) ** 2 / np.pi**2,
)
def threshold_of_the_proof_is_four_times_the_quoted_one(case: Case) -> None:
    """The proof of Theorem 5.1 needs (n-1) tau < pi/2, beta sin^2 tau = (d-1) cos tau: beta = 4 (n-1)^2/pi^2 in the
    plane, and d - 1 times that in R^d."""
    n, d = case.draw("tokens", 20, 200, integer=True), case.draw("d", 2, 8, integer=True)
    case.require("there are four tokens and more, in two dimensions and more", n >= 4 and d >= 2)
    because = "an expansion in tau: the next term is tau^2/6, 0.41/(n-1)^2 of the first"
    within, name = 1.0 / (n - 1.0) ** 2, "beta that the proof needs"
    case.compare(needed(n, d), case.predict(n, d), within=within, relative=True, because=because, name=name)


def needed(n: int, d: int) -> Any:
    """Return the beta at which the proof's condition on the angle tau of the gaps holds with equality."""
    tau = np.pi / (2.0 * (n - 1.0))
    return brentq(lambda beta: (d - 1) * np.cos(tau) - beta * np.sin(tau) ** 2, 0.0, 4.0 * d * n * n)


@threshold_of_the_proof_is_four_times_the_quoted_one.figure
def thresholds_over_tokens(case: Case, ax: Any) -> None:
    """Draw the beta that the proof needs over the number of tokens, as stated, and as printed in Problem 3."""
    n, d = case.instance["tokens"], case.instance["d"]
    numbers = np.unique(np.geomspace(5, max(200, n), 16).astype(int))
    ax.loglog(numbers, [case.predict(int(k), d) for k in numbers], "--", color=THEORY, label=r"$4(d-1)(n-1)^2/\pi^2$")
    ax.plot(numbers, (d - 1) * numbers**2 / np.pi**2, ":", color=MUTED, label=r"as printed, $(d-1)n^2/\pi^2$")
    ax.plot(numbers, [needed(int(k), d) for k in numbers], "o", color=ACCENT[1], ms=4, label="condition of the proof")
    ax.plot([n], [needed(n, d)], "o", color=ACCENT[0], ms=9, label=f"the same, $n={n}$")
    ax.set(xlabel="tokens $n$", ylabel=r"$\beta$", title=f"$d={d}$")
    ax.legend()


@threshold_of_the_proof_is_four_times_the_quoted_one.mutation
def threshold_as_printed_in_the_problem(n: int, d: int) -> float:
    """The printed form of Problem 3: n^2/pi^2, a quarter."""
    return (d - 1) * n**2 / np.pi**2


@threshold_of_the_proof_is_four_times_the_quoted_one.mutation
def tokens_for_gaps(n: int, d: int) -> float:
    """The n tokens are counted as n gaps."""
    return 4.0 * (d - 1) * n**2 / np.pi**2


@threshold_of_the_proof_is_four_times_the_quoted_one.mutation
def dimension_for_that_of_the_sphere(n: int, d: int) -> float:
    """d in place of d - 1."""
    return 4.0 * d * (n - 1.0) ** 2 / np.pi**2


@threshold_of_the_proof_is_four_times_the_quoted_one.mutation
def whole_circle(n: int, d: int) -> float:
    """The chain of tokens is taken to go all round: the gap is 2 pi/n."""
    return (d - 1) * n**2 / (4 * np.pi**2)

"""Thresholds in beta on the circle: how large it must be for the proof that tokens never come to rest apart."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from measureflow.claims.case import Case
from measureflow.claims.claim import claim


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
    tau = np.pi / (2.0 * (n - 1.0))
    measured = brentq(lambda beta: (d - 1) * np.cos(tau) - beta * np.sin(tau) ** 2, 0.0, 4.0 * d * n * n)
    because = "an expansion in tau: the next term is tau^2/6, 0.41/(n-1)^2 of the first"
    case.compare(measured, case.predict(n, d), within=1.0 / (n - 1.0) ** 2, relative=True, because=because)


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

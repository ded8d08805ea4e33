"""What is checked: published statements with their hypotheses, their numerical checks and the errors they
reject."""

from __future__ import annotations

from measureflow.claims import (
    bibliography,
    p2305_05465,
    p2312_10794,
    p2405_18273,
    p2407_01602,
    p2410_06833,
    p2410_23228,
    p2411_04990,
    p2412_09080,
    p2501_03096,
    p2501_18322,
    p2504_14697,
    p2507_22857,
    p2508_09628,
    p2509_25040,
    p2510_05554,
    p2510_22026,
    p2512_01868,
    p2605_08505,
    p2606_05140,
    traces,
)
from measureflow.claims.case import Case, Comparison
from measureflow.claims.checking import check
from measureflow.claims.claim import Claim, Mutation, claim
from measureflow.claims.exploration import Exploration, Findings, exploration, explorations, explore
from measureflow.claims.figures import PublishedFigure, draw_figure, figure, figures, find_figures
from measureflow.claims.mutants import MUTANTS, Mutant, MutantTable, against_mutants
from measureflow.claims.registry import all, find
from measureflow.claims.results import Rejection, Result, Results
from measureflow.claims.tables import coverage

__all__ = [
    "MUTANTS",
    "Case",
    "Claim",
    "Comparison",
    "Exploration",
    "Findings",
    "Mutant",
    "MutantTable",
    "Mutation",
    "PublishedFigure",
    "Rejection",
    "Result",
    "Results",
    "against_mutants",
    "all",
    "bibliography",
    "check",
    "claim",
    "coverage",
    "draw_figure",
    "exploration",
    "explorations",
    "explore",
    "figure",
    "figures",
    "find",
    "find_figures",
    "p2305_05465",
    "p2312_10794",
    "p2405_18273",
    "p2407_01602",
    "p2410_06833",
    "p2410_23228",
    "p2411_04990",
    "p2412_09080",
    "p2501_03096",
    "p2501_18322",
    "p2504_14697",
    "p2507_22857",
    "p2508_09628",
    "p2509_25040",
    "p2510_05554",
    "p2510_22026",
    "p2512_01868",
    "p2605_08505",
    "p2606_05140",
    "traces",
]

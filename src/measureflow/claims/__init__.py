"""What is checked: published statements with their hypotheses, their numerical checks and the errors they
reject."""

from __future__ import annotations

from measureflow.claims.case import Case, Comparison
from measureflow.claims.checking import check
from measureflow.claims.claim import Claim, Mutation, claim
from measureflow.claims.registry import all, find
from measureflow.claims.results import Rejection, Result, Results

__all__ = [
    "Case",
    "Claim",
    "Comparison",
    "Mutation",
    "Rejection",
    "Result",
    "Results",
    "all",
    "check",
    "claim",
    "find",
]

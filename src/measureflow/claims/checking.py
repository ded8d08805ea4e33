"""How a claim gets its verdict: random instances of the truth, then the same check on each mutation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from measureflow.claims.case import Case, Comparison, Memory, NotApplicable
from measureflow.claims.claim import TIERS, Claim, Mutation, check_tier
from measureflow.claims.programs import let_go
from measureflow.claims.registry import find
from measureflow.claims.results import Rejection, Result, Results
from measureflow.measures import as_key

__all__ = ["DRAWS", "check", "examine"]

#: random instances per claim
DRAWS = {"smoke": 3, "standard": 6, "full": 12}
#: what the truth must keep free of its tolerance, and what a mutation must miss by
MARGIN, MISS = 2.0, 10.0


def check(
    wanted: Any = None,
    *,
    tier: str = "smoke",
    seed: int = 0,
    progress: Callable[[int, int, str], Any] | None = None,
) -> Results:
    """Check claims on random instances and return their verdicts.

    Main arguments:
        wanted: an id (`"2312.10794/V5"`), a paper, a covered item (`"V5"`), a claim, or a list of these; `None` is
            every claim of the tier.
        tier: `"smoke"` (3 instances each), `"standard"` (6) or `"full"` (12). A claim asked for by name runs even
            where its own tier is higher.
        seed: draws the instances.

    Other arguments:
        progress: called as `progress(done, total, title)` before each claim and once at the end.

    Raises:
        BadInput: nothing goes by a name (the nearest are given), an unknown tier, or a seed that is none.

    Example:
        >>> import measureflow as mf
        >>> mf.check("V6")[0].verdict
        'consistent'
    """
    as_key(seed)
    claims = chosen(wanted, tier)
    results = []
    for done, claim in enumerate(claims):
        if progress is not None:
            progress(done, len(claims), claim.title)
        results.append(examine(claim, tier=tier, seed=seed))
        let_go()
    if progress is not None:
        progress(len(claims), len(claims), "")
    return Results(results)


def chosen(wanted: Any, tier: str) -> list[Claim]:
    """Return the claims that are asked for; where none is named, those of the tier and of the cheaper ones."""
    check_tier("check", tier)
    claims = find(wanted)
    if wanted is not None:
        return claims
    return [claim for claim in claims if TIERS.index(claim.tier) <= TIERS.index(tier)]


def examine(
    claim: Claim, *, tier: str = "smoke", seed: int = 0, draws: int | None = None, mutations: bool = True
) -> Result:
    """Check one claim and return its verdict; `draws` overrules the tier's number of instances."""
    began = time.perf_counter()
    draws = DRAWS[tier] if draws is None else draws
    memories = [Memory() for _ in range(draws)]

    def attempt(index: int, mutation: Mutation | None) -> tuple[Case, str]:
        case = Case(claim.id, claim.stated(mutation), seed=seed, index=index, tier=tier, memory=memories[index])
        return case, run(claim, case)

    attempts = [attempt(index, None) for index in range(draws)]
    notes = list(dict.fromkeys(note for _, note in attempts if note))
    valid = [(index, case) for index, (case, note) in enumerate(attempts) if not note]
    rejections = [
        rejection(mutation, [attempt(index, mutation)[0] for index, _ in valid])
        for mutation in (claim.mutations if mutations else [])
    ]
    cases = [case for case, _ in attempts]
    worst = worst_of([comparison for _, case in valid for comparison in case.comparisons])
    verdict, why = verdict_of(worst, len(valid), draws, rejections if mutations else None)
    return Result(
        id=claim.id,
        title=claim.title,
        statement=claim.statement,
        paper=claim.paper,
        item=claim.item,
        covers=claim.covers,
        status=claim.status,
        verdict=verdict,
        measured=worst.measured,
        expected=worst.expected,
        tolerance=worst.tolerance,
        because=worst.because,
        deviation=worst.deviation,
        mutation_rejected=tuple(rejections),
        hypotheses=hypotheses_of(cases),
        instances=tuple(case.instance for case in cases),
        comparisons=tuple(tuple(case.comparisons) for case in cases),
        notes=(*why, *notes),
        seconds=time.perf_counter() - began,
        seed=seed,
        tier=tier,
        claim=claim,
        cases=tuple(cases[:1]),  # for the picture; the others' flows may be large
    )


def run(claim: Claim, case: Case) -> str:
    """Run a check on a case; return why it decides nothing, or an empty string."""
    try:
        claim.check(case)
    except NotApplicable as unmet:
        return f"hypothesis not met in draw {case.index}: {unmet}"
    except Exception as error:  # one claim that breaks must not take the others' verdicts with it
        return f"draw {case.index} raised {type(error).__name__}: {error}"
    return "" if case.comparisons else f"draw {case.index} compared nothing"


def rejection(mutation: Mutation, cases: list[Case]) -> Rejection:
    """Return by how much a mutation missed, at the draw that liked it best; NaN or an error is no
    rejection."""
    missed = [case.deviation if case.comparisons else math.nan for case in cases]
    least = float(np.min(missed)) if missed else math.nan
    return Rejection(mutation.name, mutation.what, least, least >= MISS)


def worst_of(comparisons: list[Comparison]) -> Comparison:
    """Return the comparison with the largest deviation, one with NaN before all others."""
    if not comparisons:
        return Comparison("", math.nan, math.nan, math.nan, "", math.nan)
    return max(comparisons, key=lambda one: math.inf if math.isnan(one.deviation) else one.deviation)


def verdict_of(worst: Comparison, valid: int, draws: int, rejections: list[Rejection] | None) -> tuple[str, list[str]]:
    """Return the verdict and, where it is not a plain yes, the reasons. No rejections: mutations were not
    run."""
    if valid and not worst.deviation <= 1.0:
        return "violated", [f"{worst.name or 'the comparison'}: {worst.deviation:.3g} tolerances off"]
    if valid < draws:
        return "inconclusive", [f"{draws - valid} of {draws} draws decide nothing"]
    why = []
    if worst.deviation > 1.0 / MARGIN:
        why.append(f"the truth has a margin of {1 / worst.deviation:.2g} only; it needs {MARGIN:g}")
    if rejections is not None:
        if not rejections:
            why.append("no mutation: nothing shows that this check can fail")
        why += [
            f"mutation {one.name} is {one.deviation:.3g} tolerances off; it must miss by {MISS:g}"
            for one in rejections
            if not one.rejected
        ]
    return ("inconclusive" if why else "consistent"), why


def hypotheses_of(cases: list[Case]) -> dict[str, bool]:
    """Return each hypothesis and whether it held in every draw that looked at it."""
    held: dict[str, bool] = {}
    for case in cases:
        for name, holds in case.hypotheses.items():
            held[name] = held.get(name, True) and holds
    return held

"""How a claim gets its verdict: random instances of the truth, then the same check on each mutation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from measureflow.claims.case import Case, Comparison, Memory, NotApplicable
from measureflow.claims.claim import TIERS, Claim, Mutation, check_tier
from measureflow.claims.curves import Curve
from measureflow.claims.parameters import BadParameter, check_names
from measureflow.claims.programs import let_go
from measureflow.claims.recipes import read_recipe
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
    parameters: Mapping[str, Any] | None = None,
    progress: Callable[[int, int, str], Any] | None = None,
) -> Results:
    """Check claims on random instances and return their verdicts.

    Main arguments:
        wanted: an id (`"2312.10794/V5"`), a paper, a covered item (`"V5"`), a claim, or a list of these; `None` is
            every claim of the tier. Or the `recipe` of a result, which is run again with its own tier and seed.
        tier: `"smoke"` (3 instances each), `"standard"` (6) or `"full"` (12). A claim asked for by name runs even
            where its own tier is higher.
        seed: draws the instances.
        parameters: values that stand for what the claims draw, choose or fix, such as `{"beta": 4.0}`;
            `claim.parameters` lists them. A value that the claim would never draw is run and noted.

    Other arguments:
        progress: called as `progress(done, total, title)` before each claim and once at the end.

    Raises:
        BadInput: nothing goes by a name (the nearest are given), an unknown tier, a seed that is none, a parameter
            that no claim asked for has, or a value of the wrong kind.

    Example:
        >>> import measureflow as mf
        >>> mf.check("V6")[0].verdict
        'consistent'
        >>> result = mf.check("V6", parameters={"beta": 2.0})[0]
        >>> result.verdict, result.recipe["parameters"]
        ('consistent', {'beta': 2.0})
    """
    if isinstance(wanted, Mapping):
        wanted, tier, seed, parameters = read_recipe("check", "claims", wanted, parameters)
    as_key(seed)
    claims = chosen(wanted, tier)
    check_names("check", claims, parameters or {})
    results = []
    for done, claim in enumerate(claims):
        if progress is not None:
            progress(done, len(claims), claim.title)
        results.append(examine(claim, tier=tier, seed=seed, parameters=parameters))
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
    claim: Claim,
    *,
    tier: str = "smoke",
    seed: int = 0,
    parameters: Mapping[str, Any] | None = None,
    draws: int | None = None,
    mutations: bool = True,
) -> Result:
    """Check one claim and return its verdict; `draws` overrules the tier's number of instances, and `parameters` what
    they draw; names that the claim does not have are left to the others of a check."""
    began = time.perf_counter()
    draws = DRAWS[tier] if draws is None else draws
    memories = [Memory() for _ in range(draws)]

    def attempt(index: int, mutation: Mutation | None) -> tuple[Case, str]:
        place = {"seed": seed, "index": index, "tier": tier, "memory": memories[index]}
        case = Case(claim.id, claim.stated(mutation), **place, parameters=parameters)
        return case, run(claim, case)

    attempts = [attempt(index, None) for index in range(draws)]
    notes = list(dict.fromkeys(note for _, note in attempts if note))
    valid = [(index, case) for index, (case, note) in enumerate(attempts) if not note]
    rejections: list[Rejection] = []
    contrasts: dict[str, tuple[tuple[Curve, ...], ...]] = {}
    for mutation in claim.mutations if mutations else []:
        missed = [attempt(index, mutation)[0] for index, _ in valid]
        rejections.append(rejection(mutation, missed))
        contrasts[mutation.name] = tuple(tuple(case.curves) for case in missed)
    cases = [case for case, _ in attempts]
    used = {name for case in cases for name in case.taken}
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
        notes=(*why, *notes, *dict.fromkeys(said for case in cases for said in case.unusual.values())),
        seconds=time.perf_counter() - began,
        seed=seed,
        tier=tier,
        parameters={name: value for name, value in (parameters or {}).items() if name in used},
        curves=tuple(tuple(case.curves) for _, case in valid),
        contrasts=contrasts,
        claim=claim,
        # for the picture, one that decides something where there is one; the others' flows may be large
        cases=tuple([case for _, case in valid][:1] or cases[:1]),
    )


def run(claim: Claim, case: Case) -> str:
    """Run a check on a case; return why it decides nothing, or an empty string."""
    try:
        claim.check(case)
    except BadParameter:
        raise
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

"""`measureflow check`: claims with verdicts; exit code 1 when one is violated."""

from __future__ import annotations

import argparse
import contextlib
import json
from typing import Any

from measureflow.cli.parser import Parser, whole
from measureflow.cli.progress import bar

__all__ = ["configure"]

HELP = """
IDS are ids of claims (2312.10794/V5), papers (2312.10794) or covered items (V5); none means all claims of the tier.
A verdict is consistent, violated or inconclusive, and is printed as soon as it is there; Ctrl-C keeps those printed.
The exit code is 1 when a claim is violated.

examples:
  measureflow check
  measureflow check V5 V9 --tier standard --seed 7 --json
  measureflow check --coverage
"""


def configure(parser: Parser) -> None:
    """Add the arguments."""
    parser.epilog = HELP
    parser.add_argument("ids", nargs="*", metavar="ID", help="claims, papers or covered items")
    parser.add_argument("--tier", default="smoke", metavar="T", help="smoke (default), standard or full")
    parser.add_argument("--seed", type=whole, default=0, metavar="S", help="draws the instances (default 0)")
    parser.add_argument("--workers", type=whole, metavar="W",
                        help="processes (default: one per processor, or this one for a few claims)")  # fmt: skip
    parser.add_argument("--coverage", action="store_true", help="list which rows of the tables have a claim or a study")
    parser.add_argument("--json", action="store_true", help="print a list of objects as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check, print, and say by the exit code whether a claim is violated."""
    if options.coverage:
        return list_coverage(options.json)
    from measureflow.runs import verdicts

    found: list[Any] = []
    with bar("claims", left=True) as progress:
        asked = {"tier": options.tier, "seed": options.seed, "workers": options.workers}
        results = verdicts(options.ids or None, progress=progress, **asked)
        try:
            with contextlib.closing(results):
                for one in results:
                    show(one, first=not found, as_json=options.json)
                    found.append(one)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped; verdicts printed: {len(found)}.") from None
        finally:
            if options.json:
                print("\n]" if found else "[]", flush=True)
    if not options.json:
        print(summary(found))
    return 1 if any(result.verdict == "violated" for result in found) else 0


def show(result: Any, *, first: bool, as_json: bool) -> None:
    """Print a result: a line, or the next object of a list that is whole after its last bracket."""
    if not as_json:
        print(result, flush=True)
        return
    text = json.dumps([entry(result)], indent=2)  # indented as an entry of a list
    print("[\n" if first else ",\n", text[2:-2], sep="", end="", flush=True)


def summary(results: list[Any]) -> str:
    """Return how many verdicts there are of each kind, and which are not consistent."""
    verdicts = [result.verdict for result in results]
    counts = ", ".join(f"{verdicts.count(one)} {one}" for one in dict.fromkeys(verdicts))
    others = [f"{result.id} is {result.verdict}" for result in results if result.verdict != "consistent"]
    return "\n".join([counts, *others])


def list_coverage(as_json: bool) -> int:
    """Print which claims and explorations cover each row of the tables."""
    from measureflow.claims.tables import TABLES, coverage, missing

    covered, none = coverage(), missing()
    if as_json:
        print(json.dumps({"covered": covered, "missing": none}, indent=2))
        return 0
    for item, ids in covered.items():
        print(f"{item:5} {', '.join(ids) if ids else '-'}")
    said = ", ".join(f"{letter}1 to {letter}{rows}" for letter, rows in TABLES.items())
    print(f"{said}: {sum(TABLES.values()) - len(none)} covered, {len(none)} missing: {' '.join(none) or 'none'}")
    return 0


def entry(result: Any) -> dict[str, Any]:
    """Return a result as one object: `mutation_rejected` says whether all were, `mutations` what each did."""
    whole_result = result.to_json()
    mutations = whole_result.pop("mutation_rejected")
    rejected = bool(mutations) and all(mutation["rejected"] for mutation in mutations)
    return {**whole_result, "mutation_rejected": rejected, "mutations": mutations}

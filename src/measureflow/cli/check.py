"""`measureflow check`: claims with verdicts; exit code 1 when one is violated."""

from __future__ import annotations

import argparse
import contextlib
import json
from typing import Any

from measureflow.cli.asked import list_parameters, recipe_of, show
from measureflow.cli.parser import Parser, add_out, add_set, whole
from measureflow.cli.progress import bar

__all__ = ["configure"]

HELP = """
IDS are ids of claims (2312.10794/V5), papers (2312.10794) or covered items (V5); none means all claims of the tier. A
file recipe.toml of an earlier run stands for its claims; flags overrule it.
A verdict is consistent, violated or inconclusive, and is printed as soon as it is there; Ctrl-C keeps those printed.
The exit code is 1 when a claim is violated.

The folder DIR gets index.html, a page with the statement, the verdict, a picture and the recipe of each claim,
pictures/ and recipe.toml, which checks the same again. It appears whole or not at all.

examples:
  measureflow check
  measureflow check V5 V9 --tier standard --seed 7 --json
  measureflow check --list 2312.10794
  measureflow check V5 --set beta=2.5 --out v5
  measureflow check v5/recipe.toml --set beta=4 --out v5-cold
  measureflow check --coverage
"""


def configure(parser: Parser) -> None:
    """Add the arguments."""
    parser.epilog = HELP
    parser.add_argument("ids", nargs="*", metavar="ID", help="claims, papers, covered items, or a recipe file")
    parser.add_argument("--tier", metavar="T", help="smoke (default), standard or full")
    parser.add_argument("--seed", type=whole, metavar="S", help="draws the instances (default 0)")
    add_set(parser, "a parameter of the claims, in place of what they draw (--list names them)")
    parser.add_argument("--workers", type=whole, metavar="W",
                        help="processes (default: one per processor, or this one for a few claims)")  # fmt: skip
    add_out(parser, None, "a page with pictures and recipe (default: none is written)")
    parser.add_argument("--list", action="store_true", help="list the claims and their parameters, check nothing")
    parser.add_argument("--coverage", action="store_true", help="list which rows of the tables have a claim or a study")
    parser.add_argument("--json", action="store_true", help="print a list of objects as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check, print, and say by the exit code whether a claim is violated."""
    if options.coverage:
        return list_coverage(options.json)
    recipe = recipe_of(options, "claims")
    if options.list:
        from measureflow.claims import find

        return list_parameters(find(recipe["claims"]), options.json)
    if options.out is None:
        return checked(recipe, options, None)
    from measureflow.cli.pages import check_page
    from measureflow.runs import OutputFolder

    with OutputFolder(options.out, command="check", force=options.force) as folder:
        (folder / "pictures").mkdir()
        found: list[Any] = []
        code = checked(recipe, options, folder / "pictures", found)
        check_page(found, recipe, folder.partial)
        folder.write_manifest({"recipe": recipe})
    if not options.json:
        print(f"written to {options.out}: index.html, pictures, recipe.toml")
    return code


def checked(recipe: dict[str, Any], options: argparse.Namespace, pictures: Any, found: list[Any] | None = None) -> int:
    """Check, print each verdict as it comes, and collect the results; return the exit code."""
    from measureflow.runs import verdicts

    found = [] if found is None else found
    with bar("claims", left=True) as progress:
        how = {name: recipe[name] for name in ("tier", "seed", "parameters")}
        asked = {**how, "workers": options.workers, "pictures": pictures}
        results = verdicts(recipe["claims"], progress=progress, **asked)
        try:
            with contextlib.closing(results):
                for one in results:
                    show(one, entry(one) if options.json else None, first=not found)
                    found.append(one)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped; verdicts printed: {len(found)}.") from None
        finally:
            if options.json:
                print("\n]" if found else "[]", flush=True)
    if not options.json:
        print(summary(found))
    return 1 if any(result.verdict == "violated" for result in found) else 0


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

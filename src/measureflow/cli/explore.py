"""`measureflow explore`: open questions as studies that can be run, without a verdict."""

from __future__ import annotations

import argparse
from typing import Any

from measureflow.cli.asked import list_parameters, recipe_of, show
from measureflow.cli.parser import Parser, add_out, add_set, whole
from measureflow.cli.progress import bar

__all__ = ["configure"]

HELP = """
IDS are ids of explorations (2312.10794/P3), papers or covered items (P3); none means all. An exploration studies an
open question numerically and says what it found; whether the conjecture is true stays open.
The folder DIR gets index.html, a page with the question, what was found and a picture where there is one, and
recipe.toml, which runs the same again. It appears whole or not at all.

examples:
  measureflow explore
  measureflow explore --list P3
  measureflow explore P3 --tier standard --seed 7 --json
  measureflow explore P10 --out clusters
"""


def configure(parser: Parser) -> None:
    """Add the arguments."""
    parser.epilog = HELP
    parser.add_argument("ids", nargs="*", metavar="ID", help="explorations, papers, covered items, or a recipe file")
    parser.add_argument("--tier", metavar="T", help="size: smoke (default), standard or full")
    parser.add_argument("--seed", type=whole, metavar="S", help="draws the instances (default 0)")
    add_set(parser, "a parameter of the studies, in place of what they draw (--list names them)")
    add_out(parser, None, "a page with pictures and recipe (default: none is written)")
    parser.add_argument("--list", action="store_true", help="list the questions and their parameters, run nothing")
    parser.add_argument("--json", action="store_true", help="print a list of objects as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Explore, print what each study found as it comes, and write a folder if one is asked for."""
    from measureflow.claims.exploration import find_explorations
    from measureflow.runs import OutputFolder

    recipe = recipe_of(options, "explorations")
    if options.list:
        return list_parameters(find_explorations(recipe["explorations"]), options.json)
    if options.out is None:
        explored_and_printed(recipe, options.json)
        return 0
    from measureflow.cli.pages import explore_page

    with OutputFolder(options.out, command="explore", force=options.force) as folder:
        explore_page(explored_and_printed(recipe, options.json), recipe, folder.partial)
        folder.write_manifest({"recipe": recipe})
    if not options.json:
        print(f"written to {options.out}: index.html, recipe.toml")
    return 0


def explored_and_printed(recipe: dict[str, Any], as_json: bool) -> list[Any]:
    """Run the studies; a list of JSON is whole after its last bracket, whenever it ends."""
    from measureflow.claims.exploration import explored

    found: list[Any] = []
    with bar("explorations", left=True) as progress:
        how = {name: recipe[name] for name in ("tier", "seed", "parameters")}
        results = explored(recipe["explorations"], progress=progress, **how)
        try:
            for one in results:
                show(one, one.to_json() if as_json else None, first=not found)
                found.append(one)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped; studies printed: {len(found)}.") from None
        finally:
            if as_json:
                print("\n]" if found else "[]", flush=True)
    return found

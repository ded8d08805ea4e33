"""`measureflow explore`: open questions as studies that can be run, without a verdict."""

from __future__ import annotations

import argparse
import json

from measureflow.cli.asked import list_parameters, recipe_of
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
    """Explore, print, and write a folder if one is asked for."""
    import measureflow as mf
    from measureflow.runs import OutputFolder

    recipe = recipe_of(options, "explorations")
    if options.list:
        return list_parameters(mf.claims.find_explorations(recipe["explorations"]), options.json)
    folder = OutputFolder(options.out, command="explore", force=options.force) if options.out else None
    with bar("explorations") as progress:
        how = {name: recipe[name] for name in ("tier", "seed", "parameters")}
        findings = mf.explore(recipe["explorations"], progress=progress, **how)
    if folder is not None:
        from measureflow.cli.pages import explore_page

        with folder:
            explore_page(findings, recipe, folder.partial)
            folder.write_manifest({"recipe": recipe})
    print(json.dumps([one.to_json() for one in findings], indent=2) if options.json else "\n".join(map(str, findings)))
    if folder is not None and not options.json:
        print(f"written to {options.out}: index.html, recipe.toml")
    return 0

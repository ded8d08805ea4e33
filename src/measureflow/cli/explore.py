"""`measureflow explore`: open questions as studies that can be run, without a verdict."""

from __future__ import annotations

import argparse
import json

from measureflow.cli.parser import Parser, whole
from measureflow.cli.progress import bar

__all__ = ["configure"]

HELP = """
IDS are ids of explorations (2312.10794/P3), papers or covered items (P3); none means all. An exploration studies an
open question numerically and says what it found; whether the conjecture is true stays open.

examples:
  measureflow explore
  measureflow explore P3 --tier standard --seed 7 --json
"""


def configure(parser: Parser) -> None:
    """Add the arguments."""
    parser.epilog = HELP
    parser.add_argument("ids", nargs="*", metavar="ID", help="explorations, papers or covered items")
    parser.add_argument("--tier", default="smoke", metavar="T", help="size: smoke (default), standard or full")
    parser.add_argument("--seed", type=whole, default=0, metavar="S", help="draws the instances (default 0)")
    parser.add_argument("--json", action="store_true", help="print a list of objects as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Explore and print."""
    import measureflow as mf

    with bar("explorations") as progress:
        findings = mf.explore(options.ids or None, tier=options.tier, seed=options.seed, progress=progress)
    print(json.dumps([one.to_json() for one in findings], indent=2) if options.json else "\n".join(map(str, findings)))
    return 0

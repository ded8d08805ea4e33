"""`measureflow report`: the main job, the executable seminar as a page."""

from __future__ import annotations

import argparse
import json
import sys

from measureflow.cli.parser import Parser, add_out, whole
from measureflow.cli.progress import bar

__all__ = ["configure"]

HELP = """
DIR gets index.html, pictures/ and report.json. Everything is computed by this run, offline, in a few minutes on two
cores at the smoke tier with the first claim of every paper; --claims all checks every one. MODEL is a folder with
config.json and model.safetensors of a BERT or an ALBERT; without it an installed all-minilm-l6-v2 is taken, and where
there is none the page says how to get one.

example:
  measureflow report --out report --model FOLDER
"""


def configure(parser: Parser) -> None:
    """Add the arguments."""
    parser.epilog = HELP
    add_out(parser, "report", "the page and its pictures")
    parser.add_argument("--model", metavar="MODEL", help="folder or name of the trained model")
    parser.add_argument("--tier", default="smoke", metavar="T", help="of the claims: smoke (default), standard or full")
    parser.add_argument("--claims", default="first", metavar="C", help="first of each paper (default), or all")
    parser.add_argument("--seed", type=whole, default=0, metavar="S", help="draws everything (default 0)")
    parser.add_argument("--only", action="append", metavar="CHAPTER", help="run this chapter only (may be repeated)")
    parser.add_argument("--workers", type=whole, metavar="W", help="processes (default: one per processor)")
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the report; a chapter that failed makes the exit code 1, and the page shows it."""
    import measureflow as mf
    from measureflow.claims.claim import check_tier
    from measureflow.errors import BadInput
    from measureflow.measures import as_key
    from measureflow.report import chapters, write_report
    from measureflow.runs import OutputFolder

    check_tier("report", options.tier)
    if options.claims not in ("first", "all"):
        raise BadInput(f"--claims is {options.claims!r}; it must be first or all.")
    as_key(options.seed)
    known = list(chapters())
    for name in options.only or ():
        if name not in known:
            raise BadInput(f"--only {name}: no chapter has that name; there are {', '.join(known)}.")
    if options.workers is not None and options.workers < 1:
        raise BadInput(f"--workers is {options.workers}; there must be at least one.")
    folder = OutputFolder(options.out, command="report", force=options.force)
    if options.model is not None:
        mf.load(options.model)  # what is wrong with it is said before three minutes of work
    with folder, bar("report") as progress:
        about = write_report(
            folder.partial,
            seed=options.seed,
            tier=options.tier,
            claims=options.claims,
            model=options.model,
            only=options.only,
            workers=options.workers,
            progress=progress,
        )
        settings = {"tier": options.tier, "seed": options.seed}
        folder.write_manifest({"recipe": settings, "papers": about["papers"]})
    if options.json:
        print(json.dumps({"out": str(folder.target), **about}, indent=2))
    else:
        print(f"written to {options.out}: index.html, {len(about['pictures'])} pictures, {about['seconds']:.0f} s")
    for name, error in about["failed"].items():
        sys.stderr.write(f"measureflow report: chapter {name} stopped: {error}\n")
    return 1 if about["failed"] else 0

"""`measureflow cite`: BibTeX of what a run used."""

from __future__ import annotations

import argparse
import json
from pathlib import Path as File

from measureflow.cli.parser import Parser

__all__ = ["configure"]

HELP = """
RUN is a folder written by flow, trace or report, a saved path (.zarr), or the arXiv id, DOI or key of an entry.
Without RUN the whole bibliography is printed.

examples:
  measureflow cite run >> references.bib
  measureflow cite 2312.10794
"""


def configure(parser: Parser) -> None:
    """Add the arguments."""
    parser.epilog = HELP
    parser.add_argument("runs", nargs="*", metavar="RUN", help="folders of runs, or names of entries")
    parser.add_argument("--json", action="store_true", help="print key and entry as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the entries, each once, in the order of the bibliography."""
    from measureflow.claims import bibliography

    entries = bibliography.entries()
    names = [name for one in options.runs for name in names_of(one)] if options.runs else list(entries)
    wanted = {bibliography.key(name) for name in names}
    found = {key: text for key, text in entries.items() if key in wanted}
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print("\n\n".join(found.values()))
    return 0


def names_of(run: str) -> list[str]:
    """Return the names of the entries that a run rests on; what is no folder is itself a name."""
    from measureflow.errors import BadInput
    from measureflow.paths import PathStore
    from measureflow.runs import manifest_of, papers_of

    folder = File(run)
    if not folder.exists():
        return [run]
    manifest = manifest_of(folder)
    if manifest is None:
        try:
            return papers_of(PathStore.open(folder, write=False).recipe.data)
        except BadInput:
            raise BadInput(
                f"{run} is no run of measureflow's; give a folder that flow, trace or report wrote."
            ) from None
    return manifest.get("papers") or papers_of(manifest.get("recipe") or {}, manifest.get("command", ""))

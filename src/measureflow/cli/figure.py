"""`measureflow figure`: a published figure, drawn again."""

from __future__ import annotations

import argparse
import json
from pathlib import Path as File
from typing import Any

from measureflow.cli.asked import list_parameters
from measureflow.cli.parser import Parser, add_set, whole
from measureflow.cli.progress import bar

__all__ = ["configure"]

HELP = """
ID is a figure (2312.10794/fig-6) or a paper (2312.10794), which stands for all its figures. Without ID the figures are
listed. The tier says how large: smoke draws within seconds, standard within minutes, full with the published sizes.

examples:
  measureflow figure
  measureflow figure 2312.10794/fig-6 --out zoom.svg
  measureflow figure 2312.10794/fig-6 --list
  measureflow figure 2410.06833 --out pictures --tier standard
"""


def configure(parser: Parser) -> None:
    """Add the arguments."""
    parser.epilog = HELP
    parser.add_argument("ids", nargs="*", metavar="ID", help="figures or papers")
    parser.add_argument("--out", metavar="PLACE", help="a file for one figure, a folder for several (default: here)")
    parser.add_argument("--tier", default="smoke", metavar="T", help="smoke (default), standard or full")
    parser.add_argument("--seed", type=whole, default=0, metavar="S", help="draws what is random (default 0)")
    add_set(parser, "a parameter in place of the published one (--list names them)")
    parser.add_argument("--list", action="store_true", help="list the figures and their parameters, draw nothing")
    parser.add_argument("--json", action="store_true", help="print what was drawn, or the list, as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """List the figures, or draw those that are asked for."""
    from measureflow.claims.figures import draw_figure, find_figures
    from measureflow.claims.parameters import check_names, has
    from measureflow.errors import BadInput

    chosen = find_figures(options.ids or None)
    if options.list:
        return list_parameters(chosen, options.json)
    check_names("figure", chosen, dict(options.set))
    if not options.ids:
        rows = [about(one) for one in chosen]
        print(json.dumps(rows, indent=2) if options.json else "\n".join(f"{r['id']:28} {r['title']}" for r in rows))
        return 0
    target = File(options.out) if options.out else None
    single = len(chosen) == 1 and target is not None and target.suffix in {".svg", ".png", ".pdf"}
    folder = File(".") if target is None else target
    if not single:
        if folder.suffix and not folder.is_dir():
            raise BadInput(f"--out {options.out}: {len(chosen)} figures go to a folder; give its name.")
        folder.mkdir(parents=True, exist_ok=True)
    written = []
    with bar("figures") as progress:
        for done, one in enumerate(chosen):
            progress(done, len(chosen), one.title)
            place = target if single and target else folder / f"{one.id.replace('/', '-')}.{one.kind}"
            known = {name: value for name, value in options.set if has(one, name)}
            draw_figure(one, place, tier=options.tier, seed=options.seed, parameters=known)
            written.append({**about(one), "file": str(place)})
        progress(len(chosen), len(chosen), "")
    print(json.dumps(written, indent=2) if options.json else "\n".join(row["file"] for row in written))
    return 0


def about(one: Any) -> dict[str, str]:
    """Return what there is to say of a figure."""
    return {name: getattr(one, name) for name in ("id", "title", "what", "paper", "item", "command")}

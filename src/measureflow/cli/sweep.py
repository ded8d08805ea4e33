"""`measureflow sweep`: a phase diagram or any grid, that goes on where it was and never computes a cell twice."""

from __future__ import annotations

import argparse
import json
from typing import Any

from measureflow.cli.parser import Parser, whole
from measureflow.cli.progress import bar

__all__ = ["configure"]

HELP = """
RECIPE.toml has the keys of `measureflow flow`, and beside them
  [grid]     the axes: beta = [1.0, 4.0], beta = { linspace = [0.1, 9, 90] }, kappa = { logspace = [0, 3, 4] }
  replicas   independent draws in each cell (default 256)
  times      when they are looked at: a list or a table as above (default 61 times up to `until`, 30)
  event      what is counted: "overlap >= 1 - 1e-3" (default), "cosines >= 0.999" (share of pairs), "clusters <= 1"
  record     observables whose means are kept: ["clusters", "effective_rank"]
  coarsen    true joins tokens that have met: for long times

The folder DIR gets cells/ (one file per finished cell), sweep.zarr (xarray reads it), diagram.svg, diagram.png and
recipe.toml. The same command goes on after Ctrl-C or a kill; done twice, it computes nothing the second time; with a
larger grid it computes what is new. A cell that cannot be computed is a row with its error, and the exit code is 1.

examples:
  measureflow sweep phase.toml --out phase
  measureflow sweep phase.toml --out phase --executor dask --scheduler tcp://host:8786
"""


def configure(parser: Parser) -> None:
    """Add the arguments."""
    parser.epilog = HELP
    parser.add_argument("recipe", metavar="RECIPE.toml", help="recipe file (.toml or .json)")
    parser.add_argument("--out", metavar="DIR", default="sweep", help="folder of the results (default sweep); goes on")
    parser.add_argument("--executor", default="processes", metavar="E",
                        help="processes (default) or dask")  # fmt: skip
    parser.add_argument("--workers", type=whole, metavar="W", help="processes (default: one per processor)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster, such as tcp://host:8786")
    parser.add_argument("--json", action="store_true", help="print what was done, with a row per cell, as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Sweep; a failed cell makes the exit code 1."""
    from measureflow.errors import BadInput
    from measureflow.runs import Sweep, dask_executor, sweep

    if options.executor not in ("processes", "dask"):
        raise BadInput(f"--executor is {options.executor!r}; it must be processes or dask.")
    if (options.executor == "dask") != (options.scheduler is not None):
        raise BadInput("--executor dask and --scheduler ADDRESS belong together; give both.")
    if options.workers is not None and options.workers < 1:
        raise BadInput(f"--workers is {options.workers}; there must be at least one.")
    plan = Sweep.read(options.recipe)
    executor: Any = dask_executor(options.scheduler) if options.executor == "dask" else options.executor
    if options.executor == "processes":
        executor = None
    with bar("cells", left=True) as progress:
        diagram = sweep(plan, out=options.out, executor=executor, workers=options.workers, progress=progress)
    if diagram.stopped:
        kept = f"{len(diagram.results)} of {len(diagram.cells)} cells are kept in {options.out}"
        raise KeyboardInterrupt(f"stopped; {kept}. The same command goes on from there.")
    if options.json:
        print(json.dumps(summary(diagram), indent=2))
    else:
        print(diagram)
        print(f"written to {options.out}: diagram.svg, diagram.png, sweep.zarr, recipe.toml, cells/")
    return 1 if diagram.failed else 0


def summary(diagram: Any) -> dict[str, Any]:
    """Return what `--json` prints."""
    return {
        "out": str(diagram.folder),
        "cells": len(diagram.cells),
        "computed": diagram.computed,
        "found": diagram.found,
        "failed": len(diagram.failed),
        "event": diagram.plan.event,
        "replicas": diagram.plan.replicas,
        "times": list(diagram.plan.times),
        "rows": diagram.rows,
    }

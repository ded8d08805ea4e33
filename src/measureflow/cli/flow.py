"""`measureflow flow`: one simulation from flags or a recipe file."""

from __future__ import annotations

import argparse
import json
import shutil
from typing import Any

from measureflow.cli.parser import Parser, add_out, whole
from measureflow.cli.progress import is_watched

__all__ = ["configure"]

HELP = """
The folder DIR gets path.zarr (the path; mf.Path.load reads it), pictures/path.svg, index.html (a page) and recipe.toml,
which runs it again. It appears whole or not at all; an interrupted run goes on from DIR.partial when the
same command is given again.

examples:
  measureflow flow --n 200 --dim 3 --beta 9 --until 1e8 --seed 0 --out run
  measureflow flow run/recipe.toml --beta 16 --out hotter
"""
#: flag, type and meaning; each is a key of a recipe file
FLAGS: tuple[tuple[str, Any, str], ...] = (
    ("n", whole, "number of tokens (default 200)"),
    ("dim", whole, "ambient dimension: tokens live on the unit sphere of R^dim (default 3)"),
    ("beta", float, "inverse temperature (default 9)"),
    ("until", float, "last time (default 1e8; a path ends before where nothing moves any more)"),
    ("seed", whole, "draws the initial tokens (default 0)"),
    ("space", str, "sphere (default) or euclidean"),
    ("law", str, "of the initial tokens: uniform (default), cap, von_mises_fisher, equiangular, gaussian"),
    ("angle", float, "half-angle of a cap, in radians"),
    ("kappa", float, "concentration of von_mises_fisher"),
    ("cosine", float, "common cosine of equiangular tokens"),
    ("covariance", float, "covariance of a gaussian, a multiple of the identity (default 1)"),
    ("query", float, "query matrix, a multiple of the identity (matrices go in a recipe file)"),
    ("key", float, "key matrix, likewise"),
    ("value", float, "value matrix, likewise; -1 is repulsion"),
    ("weighting", str, "softmax (default), unnormalised, shifted (unnormalised, slowed by e^beta), hardmax or linear"),
    ("mask", str, "causal, or none (default)"),
    ("normalisation", str, "where the norm stands: post (default on a sphere), pre, peri, mix, ngpt or sqrt"),
    ("switch", float, "depth at which mix goes from post to pre"),
    ("alpha", float, "step of ngpt (default 1)"),
    ("noise", float, "1/kappa of Brownian motion: each token feels sqrt(2 noise) dW (default 0)"),
    ("step", float, "longest step of a noisy run (default 0.01)"),
    ("save", whole, "number of saved times, geometric in t (default 200)"),
    ("rtol", float, "relative tolerance of a step (default 1e-8)"),
    ("atol", float, "absolute tolerance of a step (default 1e-10)"),
)


def configure(parser: Parser) -> None:
    """Add the arguments."""
    parser.epilog = HELP
    parser.add_argument(
        "recipe", nargs="?", metavar="RECIPE.toml", help="recipe file (.toml or .json); flags overrule it"
    )
    for name, kind, what in FLAGS:
        parser.add_argument(f"--{name}", type=kind, metavar=name[0].upper(), help=what)
    parser.add_argument("--record", metavar="NAMES", help="observables to record, separated by commas")
    add_out(parser, "run", "the results")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the simulation and write its folder."""
    from measureflow.cli.pages import flow_page
    from measureflow.runs import OutputFolder, Simulation

    simulation = Simulation.read(options.recipe) if options.recipe else Simulation()
    given = {name: getattr(options, name) for name, _, _ in FLAGS if getattr(options, name) is not None}
    if options.record:
        given["record"] = tuple(name.strip() for name in options.record.split(","))
    simulation = simulation.changed(**given)
    simulation.check()  # what is wrong is said before a folder is made
    with OutputFolder(options.out, command="flow", force=options.force, key=simulation.to_toml()) as folder:
        path = simulation.run(store=folder / "path.zarr", progress=is_watched())
        if path.status == "stopped":
            said = f"stopped at t = {float(path.times[-1]):g}; {len(path)} states are in {folder.partial / 'path.zarr'}"
            raise KeyboardInterrupt(f"{said}. The same command goes on from there.")
        (folder / "recipe.toml").write_text(simulation.to_toml(), "utf-8")
        shutil.rmtree(folder / "pictures", ignore_errors=True)
        flow_page(path, folder.partial)
        folder.write_manifest({"recipe": path.recipe.data, "hash": path.recipe.hash})
    if options.json:
        print(json.dumps(summary(path, str(folder.target)), indent=2))
    else:
        print(path)
        print(f"written to {options.out}: index.html, pictures/path.svg, path.zarr, recipe.toml")
    return 0


def summary(path: Any, out: str) -> dict[str, Any]:
    """Return what `--json` prints."""
    import numpy as np

    from measureflow.errors import BadInput

    try:
        energy = np.asarray(path.energy, float).tolist()
    except BadInput:
        energy = None
    return {
        "out": out,
        "status": path.status,
        "times": np.asarray(path.times).tolist(),
        "clusters": np.asarray(path.clusters).tolist(),
        "energy": energy,
        "stats": {name: plain(value) for name, value in path.stats.items()},
        "recipe": path.recipe.data,
        "hash": path.recipe.hash,
    }


def plain(value: Any) -> Any:
    """Return a number or word that JSON knows."""
    return value.item() if hasattr(value, "item") else value

"""`measureflow trace`: a text through a trained model, numbers along depth."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from measureflow.cli.parser import Parser, add_out, whole

__all__ = ["configure"]

HELP = """
MODEL is a folder with config.json and model.safetensors of a BERT or an ALBERT, or the name of a model that is
installed. A model without a tokeniser takes token ids (--ids) or the characters it was trained on (--characters).

examples:
  measureflow trace all-minilm-l6-v2 "A transformer moves a measure."
  measureflow trace FOLDER --ids 12 14 16 16 --depth 200 --json
"""


def configure(parser: Parser) -> None:
    """Add the arguments."""
    parser.epilog = HELP
    parser.add_argument("model", metavar="MODEL", help="a folder, or the name of an installed model")
    parser.add_argument("text", nargs="+", metavar="TEXT", help="the text (several words are joined by spaces)")
    parser.add_argument("--ids", action="store_true", help="TEXT are token ids")
    parser.add_argument(
        "--characters", metavar="LIST", help="characters of a model without a tokeniser, in order of id"
    )
    parser.add_argument("--depth", type=whole, metavar="L", help="layers to run; beyond the trained ones for an ALBERT")
    parser.add_argument("--delta", type=float, default=0.3, metavar="D",
                        help="clusters join directions of cosine above 1 - D (default 0.3)")  # fmt: skip
    parser.add_argument("--beta", type=float, default=1.0, metavar="B", help="of the energy of directions (default 1)")
    add_out(parser, None, "pictures, page and store (default: none is written)")
    parser.add_argument("--json", action="store_true", help="print one object per layer as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Trace the text, print the table, and write a folder if one is asked for."""
    import measureflow as mf
    from measureflow.runs import OutputFolder

    folder = OutputFolder(options.out, command="trace", force=options.force) if options.out else None
    model = mf.load(options.model, characters=options.characters)
    path = mf.trace(model, ids_of(options.text) if options.ids else " ".join(options.text), depth=options.depth)
    table = along(path, options.beta, options.delta)
    if folder is not None:
        from measureflow.cli.pages import trace_page

        with folder:
            path.save(folder / "path.zarr")
            trace_page(path, model.name, table, folder.partial)
            folder.write_manifest({"recipe": path.recipe.data, "hash": path.recipe.hash})
    if options.json:
        print(json.dumps({"model": model.name, "tokens": list(path.labels or ()), "layers": table}, indent=2))
        return 0
    print(model)
    print(" ".join(path.labels or ()))
    print_table(table)
    if folder is not None:
        sys.stdout.write(f"written to {options.out}: index.html, pictures, path.zarr\n")
    return 0


def ids_of(words: list[str]) -> list[int]:
    """Return token ids."""
    from measureflow.errors import BadInput

    try:
        return [int(word) for text in words for word in text.replace(",", " ").split()]
    except ValueError as error:
        raise BadInput(f"--ids: {error}; give integers.") from None


def along(path: Any, beta: float, delta: float) -> list[dict[str, Any]]:
    """Return one row per layer."""
    import numpy as np

    from measureflow import observables as observe

    directions = path.on_sphere()
    columns = {
        "layer": np.asarray(path.times)[np.asarray(path.kept)].astype(int),
        "cosine": observe.cosine(path),
        "cosine_centred": observe.cosine(path, centred=True),
        "rank": observe.effective_rank(path),
        "rank_centred": observe.effective_rank(path, centred=True),
        "clusters": observe.clusters(directions, delta).count,
        "energy": observe.energy(directions, beta),
    }
    values = {name: np.asarray(column).tolist() for name, column in columns.items()}
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def print_table(table: list[dict[str, Any]]) -> None:
    """Print the rows, numbers to four digits."""
    print(" ".join(f"{name:>14}" for name in table[0]))
    for row in table:
        print(" ".join(f"{value:>14}" if isinstance(value, int) else f"{value:>14.4g}" for value in row.values()))

"""What is asked for of claims, explorations and figures: their lists, their parameters, and recipe files."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

__all__ = ["list_parameters", "recipe_of", "show"]


def recipe_of(options: argparse.Namespace, key: str) -> dict[str, Any]:
    """Return what is to be run and how: the recipe file, if one is given, with the flags over it."""
    from measureflow.claims.recipes import read_recipe
    from measureflow.errors import BadInput
    from measureflow.runs.files import read_recipe as read_file

    files = [name for name in options.ids if name.endswith((".toml", ".json"))]
    if files and len(options.ids) > 1:
        raise BadInput(f"{files[0]} is a recipe, which says itself what is run; give it alone.")
    set_here = dict(options.set)
    asked, tier, seed, parameters = options.ids or None, "smoke", 0, set_here
    if files:
        asked, tier, seed, parameters = read_recipe(files[0], key, read_file(files[0]), set_here)
    return {
        key: asked,
        "tier": tier if options.tier is None else options.tier,
        "seed": seed if options.seed is None else options.seed,
        "parameters": parameters,
    }


def list_parameters(things: Sequence[Any], as_json: bool) -> int:
    """Print claims, explorations or figures by id and title, each with its parameters."""
    rows = [
        {"id": one.id, "title": one.title, "parameters": {known.name: known.unless_set for known in one.parameters}}
        for one in things
    ]
    if as_json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        print(f"{row['id']:28} {row['title']}")
        for name, usual in row["parameters"].items():
            print(f"{'':28}   {name}: {usual}")
    return 0


def show(result: Any, entry: dict[str, Any] | None, *, first: bool) -> None:
    """Print a result: as it shows itself, or its entry as the next of a list that is whole after its last bracket."""
    if entry is None:
        print(result, flush=True)
        return
    text = json.dumps([entry], indent=2)  # indented as an entry of a list
    print("[\n" if first else ",\n", text[2:-2], sep="", end="", flush=True)

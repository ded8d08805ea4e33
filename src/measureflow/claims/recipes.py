"""Recipes of checks and explorations: what was asked for, as plain values that can be asked for again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from measureflow.errors import BadInput

__all__ = ["command_of", "read_recipe"]


def read_recipe(
    verb: str, key: str, recipe: Mapping[str, Any], parameters: Mapping[str, Any] | None = None
) -> tuple[Any, str, int, dict[str, Any]]:
    """Return what a recipe asks for: ids (under `key`), tier, seed and parameters; those given beside it come first.

    Raises:
        BadInput: a key that no recipe of this verb has, no ids, or parameters that are no table.
    """
    known = (key, "tier", "seed", "parameters")
    for name in recipe:
        if name not in known:
            raise BadInput(f"{verb}: a recipe has no {name!r}; it has {', '.join(known)}.")
    if not recipe.get(key):
        raise BadInput(f"{verb}: the recipe names no {key}; say {key} = ['2312.10794/...'].")
    held = recipe.get("parameters", {})
    if not isinstance(held, Mapping):
        raise BadInput(f"{verb}: parameters is {held!r}; it is a table of values by name.")
    return recipe[key], recipe.get("tier", "smoke"), recipe.get("seed", 0), {**held, **(parameters or {})}


def command_of(verb: str, id: str, tier: str, seed: int, parameters: Mapping[str, Any]) -> str:
    """Return the command that runs something again with the parameters that were set."""
    values = [f"{name}={json.dumps(value)}" for name, value in parameters.items()]
    words = ["measureflow", verb, id, "--tier", tier, "--seed", str(seed)]
    return shlex.join([*words, *(word for value in values for word in ("--set", value))])

"""Recipe files: TOML or JSON, plain data only, every key known."""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Iterable
from pathlib import Path as File
from typing import Any

from measureflow.errors import BadInput

__all__ = ["check_keys", "read_recipe"]

#: a recipe is written by hand; what is larger than this is something else
LARGEST = 1 << 20


def read_recipe(file: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the table of a `.toml` or `.json` file.

    Raises:
        BadInput: no such file, another ending, over a mebibyte, or not well-formed (the place is named).
    """
    source = File(file)
    if source.suffix not in (".toml", ".json"):
        raise BadInput(f"{source} is no recipe: the ending must be .toml or .json.")
    try:
        if source.stat().st_size > LARGEST:
            raise BadInput(f"{source} has {source.stat().st_size:,} bytes; a recipe has at most {LARGEST:,}.")
        text = source.read_text("utf-8")
    except OSError as error:
        raise BadInput(f"{source} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise BadInput(f"{source} is no text in UTF-8; a recipe is a small text file.") from None
    try:
        table = tomllib.loads(text) if source.suffix == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{source} is not well-formed: {error}.") from None
    if not isinstance(table, dict):
        raise BadInput(f"{source} holds a {type(table).__name__}; a recipe is a table of keys and values.")
    return table


def check_keys(table: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raise `BadInput` for the first unknown key, with the nearest known one."""
    known = list(known)
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}."
            raise BadInput(f"{where}: unknown key {key!r}; {hint}")

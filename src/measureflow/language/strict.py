"""JSON as it must be in a file that is not trusted: no name twice, no NaN, no depth without end."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["parse", "quoted"]


def parse(text: bytes) -> Any:
    """Return the value of a JSON text in UTF-8, or raise `ValueError` with the reason."""
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=distinct, parse_constant=refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a JSON object, refusing a name that occurs twice: readers would disagree on which one counts."""
    table = dict(pairs)
    if len(table) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise ValueError(f"{quoted(twice)} occurs twice")
    return table


def refuse_constant(word: str) -> None:
    """Refuse NaN and Infinity, which are no JSON."""
    raise ValueError(f"{word} is no JSON number")


def quoted(value: Any) -> str:
    """Return a value as it may stand in a one-line message, cut where a hostile file made it long."""
    text = repr(value)
    return text if len(text) <= 160 else f"{text[:150]}...{text[-1]}"

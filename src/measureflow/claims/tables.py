"""Coverage: which predictions, errata and open problems of the tables have a claim or a study, and which have none."""

from __future__ import annotations

import re
from typing import Any

from measureflow.claims.exploration import explorations
from measureflow.claims.registry import all as all_claims

__all__ = ["TABLES", "coverage", "missing"]

#: how many rows each table has. V, E, P are of the theory of particles: predictions, errata and traps, open problems;
#: T and Q are of the theory of measures: tests and open questions. (T24, the objects of a language model, is not one of
#: mathematics on measures: the language model's own tests hold it.)
TABLES = {"V": 30, "E": 15, "P": 20, "T": 23, "Q": 13}


def coverage() -> dict[str, list[str]]:
    """Return, for every row of the tables, the ids of the claims and explorations that cover it.

    Rows of other tables that a claim covers follow, in order.

    Example:
        >>> from measureflow.claims import coverage
        >>> "2312.10794/V5" in coverage()["V5"]
        True
    """
    found: dict[str, list[str]] = {f"{letter}{k}": [] for letter, rows in TABLES.items() for k in range(1, rows + 1)}
    others: dict[str, list[str]] = {}
    studies: list[Any] = [*all_claims(), *explorations()]
    for study in studies:
        for item in study.covers:
            (found if item in found else others).setdefault(item, []).append(study.id)
    return found | {item: others[item] for item in sorted(others, key=in_order)}


def missing() -> list[str]:
    """Return the rows of the tables that nothing covers."""
    return [item for item, ids in coverage().items() if not ids]


def in_order(item: str) -> tuple[Any, ...]:
    """Return what sorts V2 before V10."""
    return tuple(int(part) if part.isdigit() else part for part in re.split(r"(\d+)", item))

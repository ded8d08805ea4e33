"""Tiers: every size that depends on one is there for each of them, under its right name, and differs."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import measureflow.claims
from measureflow.claims.claim import TIERS

MODULES = [
    importlib.import_module(found.name)
    for found in pkgutil.walk_packages(measureflow.claims.__path__, "measureflow.claims.")
]


def is_tier(node: Any) -> bool:
    """Tell whether an expression is `case.tier`."""
    return isinstance(node, ast.Attribute) and node.attr == "tier" and ast.unparse(node.value) == "case"


def entries(node: ast.expr, module: ModuleType) -> dict[str, str]:
    """Return the entries of a table of sizes, written in place or a constant of the module, as text."""
    if isinstance(node, ast.Dict):
        return {
            ast.literal_eval(key): ast.unparse(value) for key, value in zip(node.keys, node.values, strict=True) if key
        }
    return {name: repr(value) for name, value in getattr(module, ast.unparse(node)).items()}


def tables(module: ModuleType) -> Iterator[tuple[str, dict[str, str], bool]]:
    """Give each table that is read by a tier: where it is, its entries, and whether one stands for the others."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        where = f"{module.__name__}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Subscript) and is_tier(node.slice):
            yield where, entries(node.value, module), False
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and is_tier((*node.args, None)[0]):
            assert node.func.attr == "get", where
            others = {"others": ast.unparse(node.args[1])}
            yield where, entries(node.func.value, module) | others, True
        elif isinstance(node, ast.Compare) and is_tier(node.left):
            yield where, {ast.literal_eval(node.comparators[0]): "", "others": "other"}, True


FOUND = [table for module in MODULES for table in tables(module)]


def test_tables_of_sizes_are_found():
    assert len(FOUND) > 100


@pytest.mark.parametrize(("where", "sizes", "open_ended"), FOUND, ids=[where for where, _, _ in FOUND])
def test_every_tier_has_a_size_of_its_own(where, sizes, open_ended):
    named = set(sizes) - {"others"}
    assert named < set(TIERS) if open_ended else named == set(TIERS)
    assert len(set(sizes.values())) == len(sizes), f"{where}: two tiers are the same"

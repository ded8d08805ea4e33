"""Toy claims live in a registry of their own: a test that defines one leaves the library's as they were."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import pytest

from measureflow.claims import registry

exploration, figures = (import_module(f"measureflow.claims.{name}") for name in ("exploration", "figures"))


@pytest.fixture
def own_registry() -> Iterator[None]:
    """Put back the shelves as they were."""
    shelves = (registry.CLAIMS, exploration.SHELF, figures.SHELF)
    before = [(dict(shelf.things), dict(shelf.sources)) for shelf in shelves]
    yield
    for shelf, (things, sources) in zip(shelves, before, strict=True):
        shelf.things, shelf.sources = things, sources

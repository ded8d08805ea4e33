"""Toy claims live in a registry of their own: a test that defines one leaves the library's as they were."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from measureflow.claims import registry


@pytest.fixture
def own_registry() -> Iterator[None]:
    """Put back the registry as it was."""
    before = dict(registry.CLAIMS)
    yield
    registry.CLAIMS.clear()
    registry.CLAIMS.update(before)

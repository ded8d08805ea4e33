"""Observables by name, so that a run can be told in words what to record."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from measureflow.errors import BadInput
from measureflow.fields import Field
from measureflow.measures import Tokens
from measureflow.observables.clusters import clusters
from measureflow.observables.cosines import (
    cosine,
    cosine_histogram,
    cosines,
    order_parameter,
    smallest_cosine,
)
from measureflow.observables.energies import dissipation, energy, participation, raw_dissipation
from measureflow.observables.ranks import effective_rank, participation_rank

__all__ = ["NAMED", "chosen"]

Observable = Callable[..., Any]

#: what `record=("energy", ...)` may name; each takes a measure, and `field=` where it depends on one
NAMED: dict[str, Observable] = {
    "energy": lambda mu, field: energy(mu, field=field),
    "participation": lambda mu, field: participation(mu, field=field),
    "dissipation": dissipation,
    "raw_dissipation": raw_dissipation,
    "clusters": lambda mu: clusters(mu).count,
    "membership": lambda mu: clusters(mu).membership,
    "cosine": cosine,
    "centred_cosine": lambda mu: cosine(mu, centred=True),
    "cosines": cosines,
    "smallest_cosine": smallest_cosine,
    "cosine_histogram": lambda mu: cosine_histogram(mu).fraction,
    "centred_cosine_histogram": lambda mu: cosine_histogram(mu, centred=True).fraction,
    "order_parameter": order_parameter,
    "effective_rank": effective_rank,
    "centred_effective_rank": lambda mu: effective_rank(mu, centred=True),
    "participation_rank": participation_rank,
}


def chosen(
    record: Iterable[Any] | Mapping[str, Any] | str,
) -> dict[str, Callable[[Tokens, Field | None], Any]]:
    """Return what a run records: name -> function of the measure and the field.

    Arguments:
        record: names of this registry, functions `f(mu)` or `f(mu, field=...)` (stored under their own name),
            or a dictionary name -> name or function.

    Raises:
        BadInput: an unknown name (the nearest known one is named), or something that cannot be called.

    Example:
        >>> from measureflow.observables import chosen
        >>> list(chosen(("energy", "clusters")))
        ['energy', 'clusters']
    """
    if isinstance(record, str):
        record = (record,)
    entries = record.items() if isinstance(record, Mapping) else ((name_of(entry), entry) for entry in record)
    return {
        str(name): with_field(named(entry) if isinstance(entry, str) else entry) for name, entry in entries
    }


def named(name: str) -> Observable:
    """Return the observable of a name."""
    if name in NAMED:
        return NAMED[name]
    near = difflib.get_close_matches(name, NAMED, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise BadInput(f"record names {name!r}, which is no observable; {hint}Known are {', '.join(NAMED)}.")


def name_of(entry: Any) -> str:
    """Return the name under which an entry of `record` is stored."""
    if isinstance(entry, str):
        return entry
    if not callable(entry):
        raise BadInput(
            f"record holds {entry!r}; give names, functions of a measure, or a dictionary of them."
        )
    return getattr(entry, "__name__", type(entry).__name__)


def with_field(observable: Any) -> Callable[[Tokens, Field | None], Any]:
    """Return the observable as a function of measure and field, whether or not it asks for a field."""
    if not callable(observable):
        raise BadInput(
            f"record holds {observable!r}; give names, functions of a measure, or a dictionary of them."
        )
    try:
        asks = "field" in inspect.signature(observable).parameters
    except (TypeError, ValueError):  # built in C: it cannot know of fields
        asks = False
    if asks:
        return lambda mu, field: observable(mu, field=field)
    return lambda mu, field: observable(mu)

"""What a run records: observables by name, by function or under a name of your own, and which states stay."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array

from measureflow.errors import BadInput
from measureflow.measures import Measure
from measureflow.observables.registry import NAMED, named
from measureflow.paths import describe

__all__ = ["Recorder", "Recorders", "as_recorders", "check_recorders", "kept_indices", "values_along", "values_of"]


@dataclasses.dataclass(frozen=True)
class Recorder:
    """An observable under its name. Equal entries are equal recorders, so that a second run compiles nothing."""

    name: str
    observable: Callable[..., Any]
    asks_for_field: bool

    def __call__(self, mu: Measure, field: Any) -> Any:
        """Evaluate at a measure; an observable that returns an object is recorded by its first array."""
        value = self.observable(mu, field=field) if self.asks_for_field else self.observable(mu)
        leaves = jax.tree.leaves(value)
        if not leaves:
            raise BadInput(f"record: {self.name} returned nothing; an observable returns a number or an array.")
        return leaves[0]

    @property
    def description(self) -> Any:
        """What the recipe says: the name of an observable of the library; for one of your own also its code's hash."""
        if NAMED.get(self.name) is self.observable:
            return self.name
        return {"name": self.name, **describe(self.observable)}


Recorders = tuple[Recorder, ...]


def as_recorders(record: Any) -> Recorders:
    """Return the recorders of `record=`: a name, a callable, a sequence of those, or a dictionary name -> either."""
    if isinstance(record, str) or callable(record):
        record = (record,)
    if isinstance(record, Mapping):
        pairs = [(str(name), entry) for name, entry in record.items()]
    elif isinstance(record, Sequence):
        pairs = [(entry if isinstance(entry, str) else getattr(entry, "__name__", ""), entry) for entry in record]
    else:
        raise BadInput(f"record is {record!r}; give names, functions of a measure, or a dictionary of them.")
    recorders = tuple(as_recorder(name or type(entry).__name__, entry) for name, entry in pairs)
    if len({recorder.name for recorder in recorders}) < len(recorders):
        raise BadInput("record: two observables have the same name; give a dictionary name -> function.")
    return recorders


def as_recorder(name: str, entry: Any) -> Recorder:
    """Return one entry as a recorder."""
    observable = named(entry) if isinstance(entry, str) else entry
    if not callable(observable):
        raise BadInput(f"record: {name} is {entry!r}; an entry is a name or a function of a measure.")
    return Recorder(name, observable, asks_for_field(observable))


def asks_for_field(observable: Callable[..., Any]) -> bool:
    """Tell whether an observable has a parameter `field`."""
    try:
        return "field" in inspect.signature(observable).parameters
    except (TypeError, ValueError):  # built in C: it cannot know of fields
        return False


def check_recorders(recorders: Recorders, mu: Measure, field: Any) -> int:
    """Evaluate the shapes of all recorders, so that one that does not fit speaks before any work starts.

    Returns:
        how many bytes are recorded at each time.
    """
    size = 0

    def shape_of(recorder: Recorder) -> Any:
        def at(mu: Measure, t: Any) -> Any:
            # the depth is not known here, as it is not in the run
            return recorder(mu, field if field is None or field.autonomous else field.at(t))

        return jax.eval_shape(at, mu, jax.ShapeDtypeStruct((), float))

    for recorder in recorders:
        try:
            value = shape_of(recorder)
        except BadInput as error:
            raise BadInput(f"record={recorder.name!r}: {error}") from None
        size += value.size * value.dtype.itemsize
    return size


def values_of(recorders: Recorders, mu: Measure, field: Any) -> dict[str, Any]:
    """Evaluate all recorders at one measure."""
    return {recorder.name: recorder(mu, field) for recorder in recorders}


@eqx.filter_jit
def values_along(recorders: Recorders, field: Any, states: Measure, times: Array) -> dict[str, Any]:
    """Evaluate all recorders at every state of a path, one after the other."""

    def at(state: tuple[Measure, Array]) -> dict[str, Any]:
        return values_of(recorders, state[0], field if field.autonomous else field.at(state[1]))

    return jax.lax.map(at, (states, times))


def kept_indices(keep: Any, count: int) -> np.ndarray:
    """Return which of `count` states stay, from `keep=`: `"all"`, `"last"` or indices."""
    if isinstance(keep, str):
        if keep == "all":
            return np.arange(count)
        if keep == "last":
            return np.array([count - 1])
        raise BadInput(f"keep is {keep!r}; it must be 'all', 'last' or indices into the saved times.")
    indices = np.asarray(keep)
    if indices.ndim != 1 or not len(indices) or not np.issubdtype(indices.dtype, np.integer):
        raise BadInput(f"keep is {keep!r}; it must be 'all', 'last' or a list of indices into the saved times.")
    indices = np.where(indices < 0, indices + count, indices)
    if indices.min() < 0 or indices.max() >= count:
        raise BadInput(f"keep: an index lies outside the {count} saved times.")
    return np.unique(indices)

"""A sweep in words: one simulation, the axes along which it is varied, and what is counted at each point."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
import math
import os
from collections.abc import Iterator
from typing import Any, Self

import jax
import numpy as np

from measureflow.errors import BadInput
from measureflow.observables import named
from measureflow.runs.events import Event
from measureflow.runs.files import check_keys, read_recipe
from measureflow.runs.simulation import LAWS, SCHEMES, Simulation, check_kind
from measureflow.version import __version__

__all__ = ["Cell", "Sweep"]

#: raised when what a cell computes changes: cells of another format are computed again
FORMAT = 1
#: keys of a sweep beside those of a simulation; `save` of a simulation has no meaning here
OWN = ("times", "replicas", "event", "coarsen", "grid")
DEFAULT_EVENT = "overlap >= 1 - 1e-3"
#: a grid larger than this is a slip of the keyboard
LARGEST = 1_000_000
SPACINGS = {"linspace": np.linspace, "logspace": np.logspace}
#: keys whose values are matrices, or make no axis of their own
NO_AXIS = ("save", "until", "record", "rtol", "atol")


@dataclasses.dataclass(frozen=True)
class Cell:
    """One point of a grid: everything its numbers depend on.

    Attributes:
        simulation: the flow of one replica.
        times, replicas, event, record, coarsen: of the sweep.
    """

    simulation: Simulation
    times: tuple[float, ...]
    replicas: int
    event: str | None
    record: tuple[str, ...]
    coarsen: bool

    @functools.cached_property
    def recipe(self) -> dict[str, Any]:
        """Plain data from which the cell is computed anywhere, with the versions that its numbers depend on."""
        held = dataclasses.asdict(self.simulation)
        unused = {"save", "until", "record"}  # the cell says these itself
        own = {name: value for name, value in held.items() if name not in unused and value is not None}
        return {
            "format": FORMAT,
            "measureflow": __version__,
            "jax": jax.__version__,  # its random numbers and its rounding
            "simulation": own,
            "times": list(self.times),
            "replicas": self.replicas,
            "event": self.event,
            "record": list(self.record),
            "coarsen": self.coarsen,
        }

    @functools.cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical recipe: the address of the result."""
        return hashlib.sha256(json.dumps(self.recipe, sort_keys=True).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A grid of simulations, said in plain values: the keys of a recipe file of `measureflow sweep`.

    Attributes:
        simulation: the keys of `Simulation`; rtol and atol are 1e-6 and 1e-8 unless given.
        axes: the names and values of `[grid]`, in order.
        times: when each cell is looked at.
        replicas: independent draws of the initial tokens in each cell; all cells with the same law draw the same ones.
        event: what is counted, see `Event`.
        record: observables whose mean and deviation over the replicas are kept; numbers only.
        coarsen: join tokens that have met, for long runs; see `mf.Adaptive`.
    """

    simulation: Simulation
    axes: tuple[tuple[str, tuple[Any, ...]], ...]
    times: tuple[float, ...]
    replicas: int
    event: str | None
    record: tuple[str, ...]
    coarsen: bool

    @classmethod
    def of(cls, table: dict[str, Any], where: str = "recipe") -> Self:
        """Return the sweep of a table of keys.

        Raises:
            BadInput: an unknown key (the nearest known one is named), or a value of the wrong kind.
        """
        known = [field.name for field in dataclasses.fields(Simulation) if field.name != "save"]
        check_keys(table, [*known, *OWN], where)
        simulation = Simulation.of(
            {"rtol": 1e-6, "atol": 1e-8, **{name: table[name] for name in known if name in table}}, where
        )
        if "until" in table and "times" in table:
            raise BadInput(f"{where}: until and times are both given; the last of the times is the end, drop until.")
        until = float(table.get("until", 30.0))
        times = values_of(table.get("times", {"linspace": [0.0, until, 61]}), f"{where}: times")
        check_times(times, where)
        replicas = table.get("replicas", 256)
        check_kind("replicas", replicas, "int", where)
        if not 1 <= replicas <= LARGEST:
            raise BadInput(f"{where}: replicas is {replicas}; it must be from 1 to {LARGEST:,}.")
        if not isinstance(table.get("coarsen", False), bool):
            raise BadInput(f"{where}: coarsen is {table['coarsen']!r}; it is true or false.")
        event = table.get("event", None if simulation.record else DEFAULT_EVENT)
        for name in simulation.record:
            named(name)
        # 9 and 9.0 are one number, and one address
        floats = {
            field.name: float(getattr(simulation, field.name))
            for field in dataclasses.fields(Simulation)
            if str(field.type).startswith("float") and getattr(simulation, field.name) is not None
        }
        return cls(
            simulation=simulation.changed(**{**floats, "until": float(times[-1]), "record": ()}),
            axes=axes_of(table.get("grid", {}), where),
            times=tuple(map(float, times)),
            replicas=replicas,
            event=None if event is None else str(Event.of(event)),
            record=simulation.record,
            coarsen=table.get("coarsen", False),
        )

    @classmethod
    def read(cls, file: str | os.PathLike[str]) -> Self:
        """Return the sweep of a `.toml` or `.json` file.

        Raises:
            BadInput: as `read_recipe` and `of`.
        """
        return cls.of(read_recipe(file), str(file))

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values along each axis."""
        return tuple(len(values) for _, values in self.axes)

    def cells(self) -> Iterator[Cell]:
        """Go through the cells, the last axis fastest: neighbours share compiled programs."""
        names = [name for name, _ in self.axes]
        for point in itertools.product(*(values for _, values in self.axes)):
            simulation = self.simulation.changed(**dict(zip(names, point, strict=True)))
            simulation = self.with_own_numbers(simulation)
            yield Cell(simulation, self.times, self.replicas, self.event, self.record, self.coarsen)

    def with_own_numbers(self, simulation: Simulation) -> Simulation:
        """Return a point of the grid without the numbers of the recipe that belong to other values of its axis: `alpha`
        is for nGPT alone where several norms are compared, `angle` for caps among laws."""
        axes = dict(self.axes)
        for axis, owned in (("law", LAWS), ("normalisation", {name: (own,) for name, (_, own) in SCHEMES.items()})):
            own = owned.get(getattr(simulation, axis), ())
            numbers = {number for value in axes.get(axis, ()) for number in owned.get(value, ())}
            others = [name for name in numbers if name is not None and name not in (*axes, *own)]
            simulation = simulation.changed(**dict.fromkeys(others))
        return simulation

    def to_toml(self) -> str:
        """Return the recipe file of this sweep: every key, so that later defaults change nothing."""
        lines = ["# measureflow sweep THIS_FILE --out DIR goes on with it, or finds it done"]
        on_axes = {name for name, _ in self.axes}
        values: dict[str, Any] = {
            field.name: getattr(self.simulation, field.name) for field in dataclasses.fields(Simulation)
        }
        values |= {name: getattr(self, name) for name in ("times", "replicas", "event", "record", "coarsen")}
        for name, value in values.items():
            if value is not None and name not in {"save", "until", *on_axes} and value != ():
                lines.append(f"{name} = {json.dumps(value)}")
        return "\n".join([*lines, "", "[grid]", *(f"{name} = {json.dumps(own)}" for name, own in self.axes)]) + "\n"


def axes_of(grid: Any, where: str) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    """Return the axes of a table `[grid]`, each value of the kind its key asks for."""
    if not isinstance(grid, dict) or not grid:
        raise BadInput(f"{where}: there is no [grid]; give at least one axis, such as beta = [1.0, 4.0, 9.0].")
    known = [field.name for field in dataclasses.fields(Simulation) if field.name not in NO_AXIS]
    check_keys(grid, known, f"{where}: [grid]")
    axes = []
    for name, said in grid.items():
        values = values_of(said, f"{where}: [grid] {name}")
        kind = next(str(field.type) for field in dataclasses.fields(Simulation) if field.name == name)
        axes.append((name, tuple(as_kind(name, value, kind, f"{where}: [grid]") for value in values)))
        if len({json.dumps(value) for value in axes[-1][1]}) < len(values):
            raise BadInput(f"{where}: [grid] {name} names a value twice; each value is one cell.")
    if math.prod(len(values) for _, values in axes) > LARGEST:
        raise BadInput(f"{where}: [grid] has more than {LARGEST:,} cells; take fewer values.")
    return tuple(axes)


def values_of(said: Any, where: str) -> list[Any]:
    """Return the values of a list, or of a table `{linspace = [first, last, count]}` or `{logspace = ...}`."""
    if isinstance(said, list) and said:
        return said
    if isinstance(said, dict) and len(said) == 1 and set(said) <= set(SPACINGS):
        ((name, ends),) = said.items()
        fits = isinstance(ends, list) and len(ends) == 3 and not any(isinstance(one, (bool, str)) for one in ends)
        if fits and isinstance(ends[2], int) and 1 <= ends[2] <= LARGEST and all(map(math.isfinite, ends[:2])):
            return SPACINGS[name](*ends).tolist()
    raise BadInput(
        f"{where} is {said!r}; give a list of values, or {{ linspace = [first, last, count] }}, "
        f"or {{ logspace = [exponent of ten, exponent of ten, count] }}."
    )


def as_kind(name: str, value: Any, kind: str, where: str) -> Any:
    """Return a value of an axis as its key holds it: whole numbers for integers, floats for numbers."""
    base = kind.split("[")[0].split(" ")[0]
    if base == "int" and isinstance(value, float) and value.is_integer():
        value = int(value)
    if base == "Any" and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise BadInput(f"{where}: {name} is {value!r}; on an axis a matrix is a multiple of the identity, a number.")
    check_kind(name, value, kind, where)
    return float(value) if base in ("float", "Any") else value


def check_times(times: list[Any], where: str) -> None:
    """Raise `BadInput` unless the times are increasing and the last is positive."""
    if any(isinstance(time, bool) or not isinstance(time, (int, float)) for time in times):
        raise BadInput(f"{where}: times are {times!r}; they must be numbers.")
    ordered = all(a < b for a, b in itertools.pairwise(times))
    if not (ordered and times[0] >= 0 and 0 < times[-1] < math.inf):
        raise BadInput(f"{where}: times must be finite, >= 0 and strictly increasing, and the last one positive.")

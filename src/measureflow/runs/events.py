"""Events: what a sweep counts, written as `NAME >= NUMBER` and never run as code."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Self

import jax.numpy as jnp

from measureflow.errors import BadInput
from measureflow.flows.record import asks_for_field
from measureflow.observables import named

__all__ = ["Event"]

NUMBER = r"[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?"
PATTERN = re.compile(
    rf"^\s*(?P<name>\w+)\s*(?P<sign>>=|<=)\s*(?P<minus>-)?\s*(?P<one>1\s*-\s*)?(?P<number>{NUMBER})\s*$"
)


@dataclasses.dataclass(frozen=True)
class Event:
    """That an observable is at least, or at most, a level. Of an array, the share of entries for which it is.

    Attributes:
        name: the observable, as `record=` of `mf.flow` names it.
        sign: `">="` or `"<="`.
        level: the number that it is compared with.

    Example:
        >>> from measureflow.runs import Event
        >>> Event.of("overlap >= 1 - 1e-3")
        Event(name='overlap', sign='>=', level=0.999)
    """

    name: str
    sign: str
    level: float

    @classmethod
    def of(cls, text: str) -> Self:
        """Read an event such as `overlap >= 1 - 1e-3`, `cosines >= 0.999` or `clusters <= 1`.

        Raises:
            BadInput: anything else, or an observable that nobody knows.
        """
        found = PATTERN.match(text) if isinstance(text, str) else None
        if found is None or (found["minus"] and found["one"]):
            raise BadInput(
                f"event is {text!r}; it is an observable, >= or <=, and a number, such as 'overlap >= 1 - 1e-3'."
            )
        named(found["name"])
        number = float(found["number"])
        level = 1.0 - number if found["one"] else -number if found["minus"] else number
        return cls(found["name"], found["sign"], level)

    def __call__(self, mu: Any, field: Any) -> Any:
        """Return 1 where it holds for a measure and 0 where not, or the share of entries."""
        observable = named(self.name)
        value = jnp.asarray(observable(mu, field=field) if asks_for_field(observable) else observable(mu))
        held = value >= self.level if self.sign == ">=" else value <= self.level
        return jnp.mean(held.astype(float))

    def __str__(self) -> str:
        return f"{self.name} {self.sign} {self.level:.16g}"

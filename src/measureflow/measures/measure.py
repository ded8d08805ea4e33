"""What every kind of measure offers: a space, atoms where it has a route to them, and its parts by name."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, Self, TypeVar

import equinox as eqx
from jaxtyping import Array, Float

from measureflow.errors import BadInput
from measureflow.spaces import Space

__all__ = ["KINDS", "Measure", "measure_kind"]

#: the kinds of measure that a store can hold, by name
KINDS: dict[str, type[Measure]] = {}

Kind = TypeVar("Kind", bound="type[Measure]")


def measure_kind(cls: Kind) -> Kind:
    """Let paths of this kind of measure be saved, and found again by its name."""
    KINDS[cls.__name__] = cls
    return cls


class Measure(eqx.Module):
    """A probability measure on a space: tokens, a density, a Gaussian.

    A kind of one's own says what its arrays are (`axes`), how it meets fields (`atoms`, or methods that fields ask
    for), and what it is in words (`said`); under `@measure_kind` paths of it are saved and loaded.
    """

    space: eqx.AbstractVar[Space]

    @property
    @abc.abstractmethod
    def axes(self) -> dict[str, tuple[str, ...]]:
        """The arrays that it is made of, each with the names of its own axes; the first is what a path shows of it.

        Along a path each has more axes in front.
        """

    @abc.abstractmethod
    def said(self) -> str:
        """Return what it is, in words: `200 tokens`."""

    @property
    def batch(self) -> tuple[int, ...]:
        """Sizes of the axes in front of the measure's own: () for one measure."""
        name, own = next(iter(self.axes.items()))
        shape = getattr(self, name).shape
        return shape[: len(shape) - len(own)]

    @property
    def d(self) -> int:
        """Ambient dimension."""
        return self.space.d

    def atoms(self) -> tuple[Float[Array, "n d"], Float[Array, "n"]]:
        """Return points and weights: the route by which fields and observables meet a measure.

        Raises:
            BadInput: this kind of measure has none.
        """
        raise BadInput(f"{type(self).__name__} has no atoms, by which this would be summed; draw tokens from it first.")

    def coordinates(self) -> dict[str, Any]:
        """Return the values of those axes of `axes` that have some: the angles of a grid, the words of tokens."""
        return {}

    def held(self) -> dict[str, Any]:
        """Return what it is made of beside its arrays and its space, as plain data: what a store writes beside them."""
        return {}

    @classmethod
    def of_parts(cls, space: Space, arrays: dict[str, Array], held: dict[str, Any]) -> Self:
        """Return the measure whose parts `axes`, `space` and `held` name; their values are unchecked.

        Raises:
            ValueError: a part is missing, or is none of this kind's.
        """
        parts = {"space": space, **arrays, **held}
        if wrong := parts.keys() ^ {field.name for field in dataclasses.fields(cls)}:
            raise ValueError(f"{cls.__name__} has other parts: {', '.join(sorted(wrong))}")
        new = object.__new__(cls)
        for name, value in parts.items():
            object.__setattr__(new, name, value)
        return new

    def replace(self, **leaves: Any) -> Self:
        """Return the same measure with some parts (of tokens: `points=`, `weights=`, `labels=`, ...) put in unchecked.

        For inner loops: the caller promises that what it puts in is valid.
        """
        new = object.__new__(type(self))
        for field in dataclasses.fields(self):
            object.__setattr__(new, field.name, leaves.pop(field.name, getattr(self, field.name)))
        if leaves:
            raise TypeError(f"{type(self).__name__} has no field named {min(leaves)!r}.")
        return new

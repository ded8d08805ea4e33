"""Schedules: a field that changes with depth, made of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from measureflow.errors import BadInput
from measureflow.fields.field import Field
from measureflow.measures import Gaussian, Tokens
from measureflow.spaces import is_traced

__all__ = ["Schedule"]


class Schedule(Field):
    """One field after another: `fields[k]` acts from depth `times[k]` up to `times[k + 1]`, the last one for ever.

    A flow lands exactly on each of the times, so that no step straddles a jump.

    Arguments:
        fields: at least one field.
        times: the depth at which each begins, increasing, the first one 0.

    Example:
        >>> import measureflow as mf
        >>> mf.Schedule([mf.SelfAttention(beta=1.0), mf.SelfAttention(beta=9.0)], times=[0.0, 5.0]).at(6.0)
        SelfAttention(beta=9)
    """

    fields: tuple[Field, ...]
    times: tuple[float, ...] = eqx.field(static=True)

    def __init__(self, fields: Sequence[Field], times: Sequence[float]) -> None:
        self.fields = tuple(fields) if isinstance(fields, Sequence) else ()
        if not self.fields or any(not isinstance(field, Field) for field in self.fields):
            raise BadInput(f"Schedule: fields are {fields!r}; give a non-empty list of fields.")
        self.times = begin = as_times(times)
        if len(begin) != len(self.fields) or begin[0] != 0.0 or any(np.diff(begin) <= 0):
            raise BadInput(
                f"Schedule: times are {list(begin)} for {len(self.fields)} fields; give one beginning for each, "
                f"increasing, the first one 0."
            )

    def output(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> Float[Array, "m d"]:
        """Return the output at depth 0; use `schedule.at(t)` for the field at another depth."""
        return self.at(0.0).output(x, mu, positions)

    def __call__(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> Float[Array, "m d"]:
        """Return the velocity at depth 0; use `schedule.at(t)` for the field at another depth."""
        return self.at(0.0)(x, mu, positions)

    def at(self, t: Any) -> Field:
        """Return the field that acts at depth `t`."""
        if is_traced(t):
            index = jnp.clip(jnp.searchsorted(jnp.asarray(self.times), t, side="right") - 1, 0, len(self.fields) - 1)
            return Chosen(tuple(field.at(t) for field in self.fields), index)
        index = int(np.clip(np.searchsorted(self.times, float(t), side="right") - 1, 0, len(self.fields) - 1))
        return self.fields[index].at(t)

    def affine(self, mu: Gaussian) -> tuple[Float[Array, "d"], Float[Array, "d d"]]:
        """Return what the field at depth 0 does to a Gaussian."""
        return self.at(0.0).affine(mu)

    def __repr__(self) -> str:
        return f"Schedule([{', '.join(map(repr, self.fields))}], times={list(self.times)})"

    @property
    def autonomous(self) -> bool:
        """Whether there is only one field, itself autonomous."""
        return len(self.fields) == 1 and self.fields[0].autonomous

    @property
    def breaks(self) -> tuple[float, ...]:
        """The depths at which one field follows another."""
        return tuple(sorted({*self.times[1:], *(time for field in self.fields for time in field.breaks)}))

    @property
    def positional(self) -> bool:
        """Whether any of the fields looks at positions."""
        return any(field.positional for field in self.fields)

    @property
    def isotropic(self) -> bool:
        """Whether all fields commute with rotations."""
        return all(field.isotropic for field in self.fields)


def as_times(times: Any) -> tuple[float, ...]:
    """Return finite times, or raise `BadInput`."""
    try:
        begin = tuple(float(time) for time in times)
    except (TypeError, ValueError):
        raise BadInput(f"Schedule: times are {times!r}; they must be numbers.") from None
    if not np.isfinite(begin).all():
        raise BadInput(f"Schedule: times are {list(begin)}; they must be finite.")
    return begin


class Chosen(Field):
    """One of several fields, by an index that is known only when the program runs."""

    fields: tuple[Field, ...]
    index: Int[Array, ""]

    def output(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> Float[Array, "m d"]:
        """Return the chosen field's output."""
        branches = [lambda x, mu, f=field: f.output(x, mu, positions) for field in self.fields]
        return jax.lax.switch(self.index, branches, x, mu)

    def __call__(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> Float[Array, "m d"]:
        """Return the chosen field's velocity."""
        branches = [lambda x, mu, f=field: f(x, mu, positions) for field in self.fields]
        return jax.lax.switch(self.index, branches, x, mu)

    def affine(self, mu: Gaussian) -> tuple[Float[Array, "d"], Float[Array, "d d"]]:
        """Return what the chosen field does to a Gaussian."""
        branches = [lambda mu, f=field: f.affine(mu) for field in self.fields]
        return jax.lax.switch(self.index, branches, mu)

    @property
    def positional(self) -> bool:
        """Whether any of the fields looks at positions."""
        return any(field.positional for field in self.fields)

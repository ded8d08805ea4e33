"""Closed equations: where an array says all about a measure, its rows are moved like tokens of flat space.

So a closure has the flow's own steps, saved times and errors, and differentiates like one.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from measureflow.errors import BadInput
from measureflow.fields import Field
from measureflow.flows.conditions import Condition
from measureflow.flows.solver import Adaptive
from measureflow.measures import Tokens
from measureflow.paths import Path
from measureflow.spaces import Euclidean

__all__ = ["Closure", "move"]


class Closure(Field):
    """The velocity of an array whose rows stand in the place of tokens; made of the field that moves the measure."""

    field: Field

    @abc.abstractmethod
    def rate(self, rows: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Return the time derivative of the array."""

    def output(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> Float[Array, "m d"]:
        """Return the time derivative of the rows; all of them are needed for each."""
        return self.rate(x)

    def at(self, t: Any) -> Field:
        """Return the closure of the field at depth `t`."""
        return self if self.autonomous else dataclasses.replace(self, field=self.field.at(t))

    @property
    def autonomous(self) -> bool:
        """Whether the field is."""
        return self.field.autonomous

    @property
    def breaks(self) -> tuple[float, ...]:
        """The field's jumps."""
        return self.field.breaks


def move(verb: str, rows: Any, closure: Closure, *, until: Any, save: Any, solver: Any, progress: Any = False) -> Path:
    """Return the flow of the rows, as a path of Euclidean tokens; conditions on them are those that can read rows."""
    from measureflow.flows.flow import flow  # imported here: `flow` hands Gaussians over to this file

    if isinstance(until, Condition) and not until.reads_rows:
        raise BadInput(f"{verb}: until is {until!r}; a closed equation has no tokens to look at: give a time.")
    if solver is not None and not isinstance(solver, Adaptive):
        raise BadInput(f"{verb}: solver is {solver!r}; give mf.Adaptive(rtol=..., atol=...) or None.")
    # so few numbers are moved that digits cost nothing
    solver = Adaptive(rtol=1e-12, atol=1e-13, pair="dopri8") if solver is None else solver
    rows = jnp.asarray(rows, float)
    tokens = Tokens(Euclidean(rows.shape[1]), rows)
    # rows that meet are no tokens that have met
    alone = dataclasses.replace(solver, coarsen=False)
    return flow(tokens, closure, until=until, save=save, solver=alone, reduce=False, progress=progress)

"""The plan of a run: what is integrated, what is saved and recorded, and where it goes. Made before any step."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from measureflow.fields import Field
from measureflow.flows import segment as steps
from measureflow.flows.record import Recorders, values_of
from measureflow.flows.reduction import Span
from measureflow.flows.segment import Problem
from measureflow.measures import Tokens
from measureflow.paths import Recipe

__all__ = ["Plan", "begin"]

begin = eqx.filter_jit(steps.begin)


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """What `flow` was asked for, checked.

    Attributes:
        problem: what is integrated, in the coordinates of `span` where there is one.
        tokens: the tokens as they were given.
        times: the saved times; end: the last time, or the cap of a condition; breaks: jumps of the field.
        recorders, wanted, last_only: what is recorded, and which states stay.
        recipe, store: what the run is made of, and where it is written.
    """

    problem: Problem
    tokens: Tokens
    span: Span | None
    times: np.ndarray
    end: float
    breaks: tuple[float, ...]
    recorders: Recorders
    wanted: np.ndarray
    last_only: bool
    recipe: Recipe
    store: str | os.PathLike[str] | None

    def full(self, points: Float[Array, "n k"]) -> Tokens:
        """Return all tokens at `points`, lifted to their own space."""
        return shown(self.span, self.tokens.replace(labels=None), points).replace(labels=self.tokens.labels)

    def recorded(self, points: Float[Array, "n k"], time: Array) -> dict[str, Any]:
        """Evaluate the observables at `points`."""
        if not self.recorders:
            return {}
        bare = self.tokens.replace(labels=None)
        return evaluate(self.recorders, self.problem.field, self.span, bare, points, time)


@eqx.filter_jit
def shown(span: Span | None, tokens: Tokens, points: Array) -> Tokens:
    """Return the tokens at `points` of the reduced space."""
    return tokens.replace(points=points) if span is None else span.lift(tokens, points)


@eqx.filter_jit
def evaluate(
    recorders: Recorders, field: Field, span: Span | None, tokens: Tokens, points: Array, time: Array
) -> dict[str, Any]:
    """Evaluate the observables, in the tokens' own space."""
    mu = tokens.replace(points=points) if span is None else span.lift(tokens, points)
    return values_of(recorders, mu, field if field.autonomous else field.at(time))

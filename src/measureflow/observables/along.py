"""How an observable of one measure is taken along a path: one program, run at every saved depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from measureflow.errors import BadInput
from measureflow.fields import Field, settled
from measureflow.measures import Measure, Tokens

__all__ = ["along", "field_of", "measure_of"]

#: the error of the sums in an observable, relative to their largest entry
SUMMED_TO = 1e-12


def measure_of(subject: Any, kinds: tuple[type[Measure], ...] = (Tokens,)) -> Any:
    """Return the measure of a path, or the measure itself.

    Raises:
        BadInput: the subject is neither, or of a kind that the observable is not made for.
    """
    mu = getattr(subject, "measure", subject)
    if isinstance(mu, Measure) and not isinstance(mu, kinds):
        known = " or ".join(kind.__name__ for kind in kinds)
        raise BadInput(f"this observable is one of {known}, and this is a {type(mu).__name__}; draw tokens from it.")
    if not isinstance(mu, Measure):
        raise BadInput(f"{type(subject).__name__} is no measure; observe an mf.Tokens or an mf.Path.")
    return mu


def field_of(name: str, subject: Any, field: Field | None) -> Field:
    """Return the field given, or else the one that moved the path.

    Raises:
        BadInput: there is neither.
    """
    field = getattr(subject, "field", None) if field is None else field
    if not isinstance(field, Field):
        raise BadInput(f"{name} depends on a field: give field=mf.SelfAttention(...).")
    return field


def along(of: Callable[..., Any], subject: Any, kinds: tuple[type[Measure], ...] = (Tokens,), **arguments: Any) -> Any:
    """Return `of(mu, **arguments)` for a measure, or stacked over the leading axes of a path's measures.

    `of` is a function of the module (its program is kept by its name and shapes, so that a second call
    compiles nothing). States are taken one after another, in the memory of one. Points of lower precision are
    read in the default one, except beside a field, which keeps its own. `kinds` are those that `of` takes.
    """
    mu = measure_of(subject, kinds)
    if not isinstance(mu, Tokens):
        return compiled(of, mu, arguments)
    mu = mu.replace(labels=None)  # words are no part of a program
    if "field" not in arguments:
        wide = jnp.result_type(float)
        mu = mu.replace(points=jnp.asarray(mu.points, wide), weights=jnp.asarray(mu.weights, wide))
    elif isinstance(arguments["field"], Field):
        arguments = {**arguments, "field": settled(arguments["field"], first_of(mu), SUMMED_TO)}
    return compiled(of, mu, arguments)


def first_of(mu: Tokens) -> Tokens:
    """Return the first measure of a stack of them."""
    return mu if mu.points.ndim == 2 else first_of_many(mu)


@jax.jit
def first_of_many(mu: Tokens) -> Tokens:
    """Take it by one program: one for each array would be many."""
    return first_of(jax.tree.map(lambda leaf: leaf[0], mu))


@eqx.filter_jit
def compiled(of: Callable[..., Any], mu: Measure, arguments: dict[str, Any]) -> Any:
    """Map `of` over every axis that stands before the measure's own."""
    return over_axes(of, mu, arguments)


def over_axes(of: Callable[..., Any], mu: Measure, arguments: dict[str, Any]) -> Any:
    """Call `of` on one measure, or on each along the first axis."""
    if not mu.batch:
        return of(mu, **arguments)
    return jax.lax.map(lambda state: over_axes(of, state, arguments), mu)


def unit(vectors: Array) -> Array:
    """Return the directions of vectors; the zero vector has none and stays zero, with a zero derivative."""
    square = jnp.sum(vectors * vectors, axis=-1, keepdims=True)
    positive = square > 0
    return jnp.where(positive, vectors / jnp.sqrt(jnp.where(positive, square, 1.0)), 0.0)

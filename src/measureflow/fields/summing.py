"""Which sums a field uses: chosen for a measure, replaced by others, and how slow a motion they still resolve."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from measureflow.fields.attention import MultiHead, SelfAttention
from measureflow.fields.field import Field, Parallel
from measureflow.fields.kernel import AttentionKernel
from measureflow.fields.matrices import Matrix
from measureflow.fields.normalised import Normalised
from measureflow.fields.schedule import Schedule
from measureflow.measures import Tokens
from measureflow.spaces import is_traced
from measureflow.sums import Automatic, Exact, Sum

__all__ = ["all_exact", "resolution", "settled", "sums_of", "with_sums"]

#: the fields that are made of others and pass them on unchanged
COMPOSITES = {MultiHead: "heads", Parallel: "parts", Schedule: "fields", Normalised: "field"}


def attentions(field: Field) -> list[SelfAttention]:
    """Return the self-attentions of which a field is made, in order; a field of one's own is not looked into."""
    if isinstance(field, SelfAttention):
        return [field]
    parts = getattr(field, COMPOSITES.get(type(field), ""), ())
    return [attention for part in (parts if isinstance(parts, tuple) else (parts,)) for attention in attentions(part)]


def replaced(field: Field, change: Callable[[SelfAttention], SelfAttention]) -> Field:
    """Return the field with each of its self-attentions changed."""
    if isinstance(field, SelfAttention):
        return change(field)
    name = COMPOSITES.get(type(field))
    if name is None:
        return field
    parts = getattr(field, name)
    new = tuple(replaced(part, change) for part in parts) if isinstance(parts, tuple) else replaced(parts, change)
    return copied(field, **{name: new})


def copied(field: Field, /, **changed: object) -> Field:
    """Return the field with some of its leaves put in unchecked."""
    new = object.__new__(type(field))
    for name, value in {**vars(field), **changed}.items():
        object.__setattr__(new, name, value)
    return new


def sums_of(field: Field) -> list[Sum]:
    """Return the sums that a field uses, in order."""
    return [attention.sum for attention in attentions(field)]


def with_sums(field: Field, sums: list[Sum]) -> Field:
    """Return the field with these sums in place of its own, in the order of `sums_of`."""
    following = iter(sums)
    return replaced(field, lambda attention: with_sum(attention, next(following)))


def with_kernel(attention: SelfAttention, kernel: AttentionKernel) -> SelfAttention:
    """Return the attention with another kernel; the same object where its weighting stays."""
    if attention.kernel.weighting == kernel.weighting:
        return attention
    new = copied(attention, kernel=kernel)
    assert isinstance(new, SelfAttention)
    return new


def with_sum(attention: SelfAttention, sum: Sum) -> SelfAttention:
    """Return the attention with another sum; the same object where nothing changes."""
    if attention.sum == sum:
        return attention
    new = copied(attention, sum=sum)
    assert isinstance(new, SelfAttention)
    return new


def settled(field: Field, mu: Tokens, tolerance: float | None) -> Field:
    """Return the field with each sum chosen for the tokens of `mu`, on the host.

    `tolerance` is the error, relative to the largest entry, that a sum may have whose user asked for none; `None`
    leaves those sums as they are, so that a compiled program takes exact ones. Traced values leave all as they are.
    """

    mu = field.scheme.seen(mu) if isinstance(field, Normalised) else mu

    def choose(attention: SelfAttention) -> SelfAttention:
        if attention.kernel.weighting.balances:
            # what cannot be balanced is refused here, before a program that could say nothing
            attention = with_kernel(attention, attention.kernel.settled(mu))
        sum = attention.sum
        if isinstance(sum, Automatic) and sum.tolerance is None:
            if tolerance is None:
                return attention
            sum = Automatic(tolerance)
        return with_sum(attention, sum.settled(attention.kernel, mu))

    return field if is_traced(field, mu) else replaced(field, choose)


def all_exact(field: Field) -> Field:
    """Return the field with exact sums."""
    return replaced(field, lambda attention: with_sum(attention, Exact()))


def resolution(field: Field, mu: Tokens) -> Float[Array, ""]:
    """Return a bound on the error that the field's sums leave in the velocities of mu's own tokens; 0 if exact."""
    if isinstance(field, Normalised):
        return field.pace(mu) * resolution(field.field, field.scheme.seen(mu))
    total = jnp.zeros((), mu.points.dtype)
    for attention in attentions(field):
        if not isinstance(attention.sum, Exact):
            total = total + size(attention.value) * attention.sum.floor(attention.kernel, mu)
    return total


def size(matrix: Matrix) -> Array:
    """Return the norm of a matrix."""
    if matrix is None:
        return jnp.ones(())
    return jnp.abs(matrix) if matrix.ndim == 0 else jnp.linalg.norm(matrix, 2)

"""Interpolated fields: the weights of layers read as values at nodes of one field that changes with depth."""

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
from measureflow.fields.schedule import as_times
from measureflow.measures import Tokens

__all__ = ["Interpolated"]


class Interpolated(Field):
    r"""The field of layers between whose depths nothing is known: outputs are joined by straight lines.

    $$ \varphi(x, t) = (1-s)\,A_k(x) + s\,A_{k+1}(x), \qquad s = (t - t_k)/(t_{k+1} - t_k) $$

    Layers of step $t_{k+1} - t_k$ are its Euler steps, whose errors `mf.compare` bounds. All fields are of one kind and
    shape: their leaves are stacked, so that a thousand of them are one program. A flow lands on each of the times.

    Arguments:
        fields: at least two fields, one at each time.
        times: increasing, the first one 0. In front of the first and behind the last the field does not change.

    Source: [arXiv:2205.14612](https://arxiv.org/abs/2205.14612).

    Raises:
        BadInput: fewer than two fields, or of different kinds; times that do not increase from 0.

    Example:
        >>> import measureflow as mf
        >>> tokens = mf.uniform(mf.Euclidean(2), n=3, seed=0)
        >>> layers = mf.fields.Interpolated([mf.SelfAttention(1.0, value=v) for v in (0.0, 1.0)], times=[0.0, 1.0])
        >>> whole, half = (layers.at(t).output(tokens.points, tokens) for t in (1.0, 0.5))
        >>> bool(abs(whole - 2 * half).max() < 1e-15)
        True
    """

    stack: Field
    times: tuple[float, ...] = eqx.field(static=True)

    def __init__(self, fields: Sequence[Field], times: Sequence[float]) -> None:
        self.times = as_times(times)
        self.stack = stacked(fields)
        if len(self.times) != len(fields) or self.times[0] != 0.0 or any(np.diff(self.times) <= 0):
            raise BadInput(
                f"Interpolated: {len(self.times)} times for {len(fields)} fields; give one for each, increasing, the "
                f"first one 0."
            )

    def output(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> Float[Array, "m d"]:
        """Return the output at depth 0; use `at(t)` for the field at another depth."""
        return self.node(0).output(x, mu, positions)

    def at(self, t: Any) -> Field:
        """Return the field at depth `t`."""
        nodes = jnp.asarray(self.times)
        k = jnp.clip(jnp.searchsorted(nodes, t, side="right") - 1, 0, len(self.times) - 2)
        share = jnp.clip((t - nodes[k]) / (nodes[k + 1] - nodes[k]), 0.0, 1.0)
        return Between(self.node(k), self.node(k + 1), share)

    def node(self, k: Any) -> Field:
        """Return the field at one of the times."""
        return jax.tree.map(lambda leaf: leaf[k] if eqx.is_array(leaf) else leaf, self.stack)

    @property
    def autonomous(self) -> bool:
        """It changes with depth."""
        return False

    @property
    def breaks(self) -> tuple[float, ...]:
        """The times, where the field has a corner."""
        return self.times[1:]

    @property
    def positional(self) -> bool:
        """Whether the fields look at positions."""
        return self.stack.positional

    def __repr__(self) -> str:
        return f"Interpolated({len(self.times)} of {type(self.stack).__name__}, t = 0 .. {self.times[-1]:g})"


class Between(Field):
    """A field between two others."""

    first: Field
    second: Field
    share: Float[Array, ""]

    def output(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> Float[Array, "m d"]:
        """Return the mean of both outputs by their shares."""
        first, second = (field.output(x, mu, positions) for field in (self.first, self.second))
        return between(first, second, self.share)

    def __call__(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> Float[Array, "m d"]:
        """Return the mean of both velocities by their shares."""
        return between(self.first(x, mu, positions), self.second(x, mu, positions), self.share)

    @property
    def positional(self) -> bool:
        """Whether the fields look at positions."""
        return self.first.positional


def between(first: Array, second: Array, share: Array) -> Array:
    """Return the point of a segment."""
    share = share.astype(first.dtype)
    return (1 - share) * first + share * second


def stacked(fields: Any) -> Any:
    """Return the fields of one kind as one, whose array leaves have a leading axis; or raise `BadInput`."""
    if not isinstance(fields, Sequence) or len(fields) < 2 or any(not isinstance(one, Field) for one in fields):
        raise BadInput(f"Interpolated: fields are {fields!r}; give a list of at least two fields.")
    shapes = [
        (jax.tree.structure(one), [(np.shape(leaf), jnp.result_type(leaf)) for leaf in jax.tree.leaves(one)])
        for one in fields
    ]
    if odd := [k for k, shape in enumerate(shapes) if shape != shapes[0]]:
        raise BadInput(
            f"Interpolated: {fields[odd[0]]!r} at place {odd[0]} is not of the kind and shape of {fields[0]!r}; "
            f"mf.Schedule takes fields of any kinds."
        )
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *fields)

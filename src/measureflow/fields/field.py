"""A field: an in-context map, defined at every point of the space, on and off the support of its measure."""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from measureflow.errors import BadInput
from measureflow.measures import Density, Gaussian, Measure, Tokens, as_tokens
from measureflow.spaces import Space, Sphere

__all__ = ["Field", "Parallel", "check_queries", "ranks_of"]


class Field(eqx.Module):
    r"""A velocity that depends on the measure: $\dot x = v(x; \mu)$.

    A field of your own needs one method, `output`; see the how-to "A field of your own".

    `output(x, mu)` is the raw sum $A(x;\mu) \in R^d$ that a layer adds; `field(x, mu)` is its tangent part, the
    velocity that `flow` follows. Queries `x` are arbitrary points; `positions` are their places in the text, needed
    only by a field that looks at positions and is asked off its own tokens.
    """

    #: how much of a layer one application makes; sub-layers of a network have less than 1
    span: ClassVar[float] = 1.0

    @abc.abstractmethod
    def output(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> Float[Array, "m d"]:
        """Return the raw output `A(x; mu)` at the queries `x`."""

    def __call__(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> Float[Array, "m d"]:
        """Return the velocity at the queries `x`: the tangent part of the output, of a density over its atoms."""
        mu = as_tokens(mu) if isinstance(mu, Density) else mu
        return mu.space.tangent(x, self.output(x, mu, positions))

    def output_and_velocity(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> tuple[Float[Array, "m d"], Float[Array, "m d"]]:
        """Return both `output(x, mu)` and `field(x, mu)`; a field that has both from one sum says so here."""
        return self.output(x, mu, positions), self(x, mu, positions)

    def at(self, t: Any) -> Field:
        """Return the field at depth `t`; a field that does not change with depth is itself."""
        return self

    def energy(self, mu: Any) -> Float[Array, ""]:
        r"""Return the reporting energy $\bar E$ where one is proved to be monotone along the flow.

        Raises:
            BadInput: no energy is proved for this field.
        """
        raise BadInput(
            f"{type(self).__name__} has no proved energy (it needs a symmetric form, V = ± that form and no mask). "
            f"Use mf.observe.energy(path, beta=...) for the value of a functional you name."
        )

    def affine(self, mu: Gaussian) -> tuple[Float[Array, "d"], Float[Array, "d d"]]:
        r"""Return `b` and `B` of the velocity $v(x;\mu) = b + Bx$ under a Gaussian: what moves its mean and covariance.

        Raises:
            BadInput: the velocity is not affine, or has no closed form here.
        """
        raise BadInput(
            f"{type(self).__name__} has no closed form under a Gaussian, which softmax attention has; "
            f"draw tokens from it with gaussian.sample(n)."
        )

    @property
    def autonomous(self) -> bool:
        """Whether the field is the same at every depth."""
        return type(self).at is Field.at

    @property
    def joins(self) -> bool:
        """Whether tokens that have met may be joined: the field is the same at every depth and blind to positions."""
        return self.autonomous and not self.positional

    @property
    def breaks(self) -> tuple[float, ...]:
        """Depths at which the field jumps; a flow lands on them exactly."""
        return ()

    @property
    def positional(self) -> bool:
        """Whether the field looks at positions in the text. Fields of your own that do so must say so."""
        return False

    @property
    def isotropic(self) -> bool:
        """Whether the field commutes with every rotation and keeps the tokens' span, so that the QR reduction holds."""
        return False

    @property
    def energy_sign(self) -> int:
        """+1 where `energy` is proved to rise along the flow on the sphere, -1 where it falls, 0 where nothing is."""
        return 0

    def energy_on(self, space: Space) -> bool:
        """Whether `energy` is proved to move one way along the flow on that space."""
        return self.energy_sign != 0 and isinstance(space, Sphere)

    def __add__(self, other: Field) -> Field:
        """Return the two fields in parallel: outputs and velocities add."""
        if not isinstance(other, Field):
            return NotImplemented
        return Parallel((*parts_of(self), *parts_of(other)))


def parts_of(field: Field) -> tuple[Field, ...]:
    """Return the summands of a parallel field, or the field itself."""
    return field.parts if isinstance(field, Parallel) else (field,)


class Parallel(Field):
    """Several fields at once, as heads beside each other or attention beside a perceptron: outputs add, velocities add.

    Made by `field + field`.
    """

    parts: tuple[Field, ...]

    def output(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> Float[Array, "m d"]:
        """Return the sum of the outputs."""
        return total([part.output(x, mu, positions) for part in self.parts])

    def __call__(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> Float[Array, "m d"]:
        """Return the sum of the velocities, each computed in its own best way."""
        return total([part(x, mu, positions) for part in self.parts])

    def output_and_velocity(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> tuple[Float[Array, "m d"], Float[Array, "m d"]]:
        """Return the sums of both over the parts."""
        outputs, velocities = zip(*(part.output_and_velocity(x, mu, positions) for part in self.parts), strict=True)
        return total(list(outputs)), total(list(velocities))

    def affine(self, mu: Gaussian) -> tuple[Float[Array, "d"], Float[Array, "d d"]]:
        """Return the sums over the parts."""
        shifts, slopes = zip(*(part.affine(mu) for part in self.parts), strict=True)
        return total(list(shifts)), total(list(slopes))

    def __repr__(self) -> str:
        return " + ".join(map(repr, self.parts))

    def at(self, t: Any) -> Field:
        """Return the parts at depth `t`, in parallel."""
        return self if self.autonomous else Parallel(tuple(part.at(t) for part in self.parts))

    @property
    def autonomous(self) -> bool:
        """Whether every part is."""
        return all(part.autonomous for part in self.parts)

    @property
    def breaks(self) -> tuple[float, ...]:
        """The jumps of all parts."""
        return tuple(sorted({time for part in self.parts for time in part.breaks}))

    @property
    def positional(self) -> bool:
        """Whether any part looks at positions."""
        return any(part.positional for part in self.parts)

    @property
    def isotropic(self) -> bool:
        """Whether every part commutes with rotations."""
        return all(part.isotropic for part in self.parts)


def total(terms: list[Array]) -> Array:
    """Return the sum of the terms, in order."""
    result = terms[0]
    for term in terms[1:]:
        result = result + term
    return result


def check_queries(x: Array, mu: Measure) -> None:
    """Raise `BadInput` unless the queries are rows of the dimension of `mu`."""
    shape = getattr(x, "shape", None)
    if shape is None or len(shape) != 2 or shape[1] != mu.d:
        said = f"are a {type(x).__name__}" if shape is None else f"have shape {tuple(shape)}"
        raise BadInput(f"queries {said} and the tokens are in R^{mu.d}; give an array of shape (m, {mu.d}).")


def ranks_of(field: Field, x: Array, mu: Measure, positions: Array | None) -> Array | None:
    """Return the queries' places in the text for a field that needs them, else `None`.

    Raises:
        BadInput: `x` are not mu's own tokens in order and no positions were given.
    """
    if not field.positional:
        return None
    if positions is None:
        if not isinstance(mu, Tokens):
            raise BadInput(f"{type(field).__name__} looks at positions, and a {type(mu).__name__} has none.")
        if x.shape[0] != mu.n:
            raise BadInput(
                f"{type(field).__name__} looks at positions, and {x.shape[0]} queries are not the {mu.n} tokens of the "
                f"measure in order. Give positions=, the queries' places in the text."
            )
        return mu.positions
    positions = jnp.asarray(positions)
    if positions.shape != (x.shape[0],):
        raise BadInput(
            f"positions have shape {positions.shape}; give one integer for each of the {x.shape[0]} queries."
        )
    return positions

"""A field under a normalisation: the motion of the states, as a field of its own."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from measureflow.errors import BadInput
from measureflow.fields.field import Field
from measureflow.fields.normalisation import Free, Normalisation, Scheme
from measureflow.fields.normalisations import PostLN
from measureflow.measures import Tokens

__all__ = ["Normalised", "motion_under"]


class Normalised(Field):
    r"""The motion of states under a normalisation scheme: $\dot x = r s^{-1} P_\theta A(\theta) + \dot r\,\theta$.

    What `mf.flow(tokens, field, normalisation=scheme)` follows; observables of a velocity (Jacobians, Lyapunov
    exponents) take it as their field.

    Arguments:
        field: what is normalised; it sees the directions of the tokens.
        scheme: such as `mf.PreLN()`.
        depth: where it stands, for schemes that change with depth.

    Example:
        >>> import measureflow as mf
        >>> tokens = mf.uniform(mf.Sphere(3), n=5, seed=0)
        >>> mf.fields.Normalised(mf.SelfAttention(beta=9.0), mf.NGPT(alpha=0.5))(tokens.points, tokens).shape
        (5, 3)
    """

    field: Field
    scheme: Scheme
    depth: Any = 0.0

    def __call__(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> Float[Array, "m d"]:
        """Return the velocity of the states `x`."""
        self.scheme.check(mu.space)
        seen = self.scheme.seen(mu)
        output, tangent = self.field.output_and_velocity(self.scheme.look(x), seen, positions)
        return self.scheme.motion(x, output, tangent, self.depth)

    def output(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> Float[Array, "m d"]:
        """Return the velocity: of a motion nothing else is left."""
        return self(x, mu, positions)

    def pace(self, mu: Tokens) -> Float[Array, ""]:
        """Return the largest factor `r/s` by which the field's velocity is multiplied, over mu's own tokens."""
        seen, r = self.scheme.seen(mu), self.scheme.radii(mu.points)
        s = self.scheme.speed_factor(r, self.field.output(seen.points, seen), self.depth)
        return jnp.max(jnp.where(mu.present & (s > 0), r / jnp.where(s > 0, s, 1), 0))

    def at(self, t: Any) -> Field:
        """Return the motion at depth `t`."""
        return self if self.autonomous else dataclasses.replace(self, field=self.field.at(t), depth=t)

    def energy(self, mu: Any) -> Float[Array, ""]:
        """Return the energy of the directions under the field: a positive speed factor keeps what is proved of it."""
        return self.field.energy(mu if not isinstance(mu, Tokens) else self.scheme.seen(mu))

    @property
    def autonomous(self) -> bool:
        """Whether field and scheme are."""
        return self.field.autonomous and self.scheme.autonomous

    @property
    def breaks(self) -> tuple[float, ...]:
        """The jumps of the field, and those of the scheme."""
        return tuple(sorted({*self.field.breaks, *self.scheme.breaks}))

    @property
    def positional(self) -> bool:
        """Whether the field looks at positions."""
        return self.field.positional

    @property
    def isotropic(self) -> bool:
        """Whether the field commutes with every rotation."""
        return self.field.isotropic

    @property
    def joins(self) -> bool:
        """Whether tokens that have met may be joined, for the field and for the scheme."""
        return self.field.joins and self.scheme.joins

    @property
    def energy_sign(self) -> int:
        """That of the field: every token moves along the field's velocity, by a factor that is not negative."""
        return self.field.energy_sign if self.field.autonomous else 0

    def __repr__(self) -> str:
        return f"{self.scheme!r} of {self.field!r}"


def motion_under(field: Field, scheme: Normalisation) -> Field:
    """Return the motion of states under a scheme: PostLN without parameters, and no norm, are the field's own.

    Raises:
        BadInput: the field is a motion under a scheme already.
    """
    if isinstance(scheme, (PostLN, Free)):
        return field
    if isinstance(field, Normalised) or not isinstance(scheme, Scheme):
        raise BadInput(f"{field!r} is normalised already; give the field itself beside normalisation={scheme!r}.")
    return Normalised(field, scheme)

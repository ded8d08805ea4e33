"""What a normalisation is: the space of its state, what the field sees of it, one layer and a continuous motion."""

from __future__ import annotations

import abc
import math
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from measureflow.errors import BadInput
from measureflow.measures import Tokens
from measureflow.spaces import Euclidean, Space, Sphere, is_traced
from measureflow.spaces.space import norm

__all__ = ["Free", "Normalisation", "OnSphere", "Scheme", "WithRadius", "checked", "unit"]


class Normalisation(eqx.Module):
    """Where the layer norm stands in a block: the space its state lives in, and what one discrete layer does."""

    #: whether Brownian motion of the state has a meaning in the literature
    shakes: ClassVar[bool] = False

    @abc.abstractmethod
    def check(self, space: Space) -> None:
        """Raise `BadInput` where the state of this scheme does not live on `space`."""

    @abc.abstractmethod
    def step(
        self, space: Space, x: Float[Array, "n d"], output: Float[Array, "n d"], h: Float[Array, ""], t: Any = 0.0
    ) -> Float[Array, "n d"]:
        """Return the state after one layer of step `h` at depth `t`; `output` is what the field says of `look(x)`."""

    def look(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Return what the field sees of states: by default the states."""
        return x

    def seen(self, mu: Tokens) -> Tokens:
        """Return the measure that the field sees where the states are those of `mu`."""
        return mu

    @property
    def breaks(self) -> tuple[float, ...]:
        """Depths at which the scheme changes; a flow lands on them exactly."""
        return ()


class Free(Normalisation):
    r"""No layer norm: $x \leftarrow x + h A(x)$ in Euclidean space."""

    shakes: ClassVar[bool] = True

    def check(self, space: Space) -> None:
        """Raise `BadInput` unless the space is Euclidean."""
        if not isinstance(space, Euclidean):
            raise BadInput(f"without a normalisation tokens leave {space!r}; use mf.Euclidean(d) or PostLN().")

    def step(
        self, space: Space, x: Float[Array, "n d"], output: Float[Array, "n d"], h: Float[Array, ""], t: Any = 0.0
    ) -> Float[Array, "n d"]:
        """Return `x + h A`."""
        return x + h * output


class Scheme(Normalisation):
    r"""A scheme with a limit of continuous depth: $\dot\theta = s^{-1} P_\theta A(\theta)$ and a law for $\dot r$."""

    @abc.abstractmethod
    def speed_factor(self, r: Float[Array, "n"], output: Float[Array, "n d"], t: Any) -> Float[Array, "n"]:
        """Return `s`, by which the field's velocity is divided, of tokens with radii `r` and outputs `A`."""

    def radial_speed(self, theta: Float[Array, "n d"], output: Float[Array, "n d"], t: Any) -> Float[Array, "n"]:
        r"""Return $\dot r$ of tokens in directions `theta`: 0 on the sphere."""
        return jnp.zeros(theta.shape[:-1], theta.dtype)

    def motion(
        self, x: Float[Array, "n d"], output: Float[Array, "n d"], tangent: Float[Array, "n d"], t: Any
    ) -> Float[Array, "n d"]:
        r"""Return $\dot x = r s^{-1} P_\theta A + \dot r\,\theta$; `tangent` is $P_\theta A$ in difference form."""
        theta, r = self.look(x), self.radii(x)
        s = self.speed_factor(r, output, t)
        # an output of 0 has no direction, and its tangent part is 0
        pace = jnp.where(s > 0, r / jnp.where(s > 0, s, 1), 0)
        return pace[:, None] * tangent + self.radial_speed(theta, output, t)[:, None] * theta

    def radii(self, x: Float[Array, "n d"]) -> Float[Array, "n"]:
        """Return the radii of states: 1 on the sphere."""
        return jnp.ones(x.shape[:-1], x.dtype)

    def ready(self, tokens: Tokens) -> None:
        """Raise `BadInput` where these tokens cannot be the start."""
        self.check(tokens.space)

    @property
    def autonomous(self) -> bool:
        """Whether the scheme is the same at every depth."""
        return True

    @property
    def joins(self) -> bool:
        """Whether tokens that have met may be joined: those in one place close in exponentially, in some clock."""
        return False


class OnSphere(Scheme):
    """A scheme that keeps its tokens on the unit sphere."""

    @property
    def joins(self) -> bool:
        """Its orbits are those of one autonomous equation."""
        return True

    def check(self, space: Space) -> None:
        """Raise `BadInput` unless the space is a sphere."""
        if not isinstance(space, Sphere):
            raise BadInput(
                f"{type(self).__name__} acts on a sphere and the tokens live in {space!r}; use mf.Sphere(d)."
            )


class WithRadius(Scheme):
    r"""A scheme whose tokens have a radius: the state is $x = r\theta$ in Euclidean space, r > 0.

    It joins no tokens: directions close like 1/t while distances of states need not, and steps grow by themselves.
    """

    def check(self, space: Space) -> None:
        """Raise `BadInput` unless the space is Euclidean."""
        if not isinstance(space, Euclidean):
            raise BadInput(
                f"{type(self).__name__} lets the radii of tokens grow and they live in {space!r}; "
                f"use mf.Tokens(mf.Euclidean(d), points), with |x| = 1 at the start."
            )

    def ready(self, tokens: Tokens) -> None:
        """Raise `BadInput` unless the space is Euclidean and every present token has a direction."""
        self.check(tokens.space)
        if not is_traced(tokens):
            at = np.flatnonzero(~np.asarray(tokens.points).any(axis=1) & np.asarray(tokens.present))
            if len(at):
                raise BadInput(f"{type(self).__name__}: token {at[0]} is at the origin and has no direction; move it.")

    def look(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Return the directions; of the origin, where absent tokens may be, the first axis."""
        r = norm(x)[:, None]
        axis = jnp.zeros(x.shape[-1], x.dtype).at[0].set(1)
        return jnp.where(r > 0, x / jnp.where(r > 0, r, 1), axis)

    def seen(self, mu: Tokens) -> Tokens:
        """Return the directions of the tokens, on the sphere."""
        return mu.replace(space=Sphere(mu.d), points=self.look(mu.points))

    def radii(self, x: Float[Array, "n d"]) -> Float[Array, "n"]:
        """Return `|x|`."""
        return norm(x)


def unit(output: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Return the directions of outputs; 0 stays 0."""
    size = norm(output)[:, None]
    return output / jnp.where(size > 0, size, 1)


def checked(value: Any, name: str, what: str) -> float:
    """Return a finite number > 0, or raise `BadInput`."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise BadInput(f"{name} is {value!r}; it must be {what}.")
    return number

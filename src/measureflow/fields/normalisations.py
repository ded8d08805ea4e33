"""Normalisations: where the layer norm stands. It owns the state space and turns an output into a motion."""

from __future__ import annotations

import abc

import equinox as eqx
from jaxtyping import Array, Float

from measureflow.errors import BadInput
from measureflow.spaces import Euclidean, Space, Sphere

__all__ = ["Free", "Normalisation", "PostLN", "default_normalisation"]


class Normalisation(eqx.Module):
    """Where the layer norm stands in a block: the space its state lives in, and what one discrete layer does."""

    @abc.abstractmethod
    def check(self, space: Space) -> None:
        """Raise `BadInput` where the state of this scheme does not live on `space`."""

    @abc.abstractmethod
    def step(
        self, space: Space, x: Float[Array, "n d"], output: Float[Array, "n d"], h: Float[Array, ""]
    ) -> Float[Array, "n d"]:
        """Return the state after one layer of step `h` with output `A(x)`."""


class PostLN(Normalisation):
    r"""Layer norm after the residual sum: $x \leftarrow N(x + h A(x))$ on the sphere, in the limit $\dot x = P_x A$.

    One step contracts a cluster by `1/(1+h)`, so that at finite `h` the clock runs slow.
    """

    def check(self, space: Space) -> None:
        """Raise `BadInput` unless the space is a sphere."""
        if not isinstance(space, Sphere):
            raise BadInput(f"PostLN acts on a sphere and the tokens live in {space!r}; use mf.Sphere(d).")

    def step(
        self, space: Space, x: Float[Array, "n d"], output: Float[Array, "n d"], h: Float[Array, ""]
    ) -> Float[Array, "n d"]:
        """Return `N(x + h A)`."""
        return space.project(x + h * output)


class Free(Normalisation):
    r"""No layer norm: $x \leftarrow x + h A(x)$ in Euclidean space."""

    def check(self, space: Space) -> None:
        """Raise `BadInput` unless the space is Euclidean."""
        if not isinstance(space, Euclidean):
            raise BadInput(f"without a normalisation tokens leave {space!r}; use mf.Euclidean(d) or PostLN().")

    def step(
        self, space: Space, x: Float[Array, "n d"], output: Float[Array, "n d"], h: Float[Array, ""]
    ) -> Float[Array, "n d"]:
        """Return `x + h A`."""
        return x + h * output


def default_normalisation(space: Space) -> Normalisation:
    """Return PostLN on a sphere and none on Euclidean space."""
    return PostLN() if isinstance(space, Sphere) else Free()

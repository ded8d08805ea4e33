"""What an expansion of the exponential kernel offers: moments of the atoms, and a series to evaluate at the queries."""

from __future__ import annotations

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["Expansion", "lifted"]


class Expansion(eqx.Module):
    r"""A truncated expansion of $e^{c(\langle x, y\rangle - 1)}$ in harmonics of the unit sphere of R^d, c >= 0."""

    degree: int = eqx.field(static=True)

    @abc.abstractmethod
    def coefficients(self, c: Float[Array, ""]) -> tuple[Float[Array, "k"], Float[Array, ""]]:
        """Return the kernel's coefficients up to the degree, and a bound on what is left out."""

    @abc.abstractmethod
    def moments(self, y: Float[Array, "n d"], columns: Float[Array, "n v"]) -> Any:
        """Return the moments of the columns, in the form that `series` takes; they add up over atoms."""

    def lifted_moments(self, y: Float[Array, "n d"], columns: Float[Array, "n v"]) -> Any:
        """Return the moments that the series needs of the columns, then of the columns times each coordinate."""
        return self.moments(y, lifted(columns, y))

    @abc.abstractmethod
    def series(self, moments: Any, c: Float[Array, ""]) -> Any:
        """Return the coefficients of the sums as functions of the query, in the form that `evaluate` takes."""

    @abc.abstractmethod
    def evaluate(self, series: Any, x: Float[Array, "m d"]) -> Float[Array, "m v"]:
        """Return the sums at the queries."""

    @abc.abstractmethod
    def rounding(self, c: Float[Array, ""], n: int) -> Float[Array, ""]:
        r"""Return a bound on the rounding error of a sum over `n` atoms, relative to $\sum_j |g_j|$."""


def lifted(columns: Float[Array, "n v"], y: Float[Array, "n d"]) -> Float[Array, "n w"]:
    """Return the columns, then the columns times each coordinate of `y` in turn."""
    return jnp.concatenate([columns, *(columns * y[:, k, None] for k in range(y.shape[1]))], axis=1)

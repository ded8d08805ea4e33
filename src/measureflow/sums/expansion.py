"""What an expansion of the exponential kernel offers: moments of the atoms, and a series to evaluate at the queries."""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import equinox as eqx
from jaxtyping import Array, Float

__all__ = ["Expansion"]


class Expansion(eqx.Module):
    r"""A truncated expansion of $e^{c(\langle x, y\rangle - 1)}$ in harmonics of the unit sphere of R^d, c >= 0."""

    degree: int = eqx.field(static=True)

    d: ClassVar[int]

    @staticmethod
    @abc.abstractmethod
    def degree_for(c: float, tolerance: float) -> int:
        """Return the degree that keeps a tolerance."""

    @abc.abstractmethod
    def coefficients(self, c: Float[Array, ""]) -> tuple[Float[Array, "k"], Float[Array, ""]]:
        """Return the kernel's coefficients up to the degree, and a bound on what is left out."""

    @abc.abstractmethod
    def moments(self, y: Float[Array, "n d"], columns: Float[Array, "n v"]) -> Float[Array, "... v"]:
        """Return the moments of the columns, up to one degree more than the series needs."""

    @abc.abstractmethod
    def shifted(self, moments: Float[Array, "... v"]) -> list[Float[Array, "... v"]]:
        """Return the moments of the columns times each coordinate of the points, one degree lower."""

    @abc.abstractmethod
    def series(self, moments: Float[Array, "... v"], c: Float[Array, ""]) -> Any:
        """Return the coefficients of the sums as functions of the query, in the form that `evaluate` takes."""

    @abc.abstractmethod
    def evaluate(self, series: Any, x: Float[Array, "m d"]) -> Float[Array, "m v"]:
        """Return the sums at the queries."""

    @abc.abstractmethod
    def rounding(self, c: Float[Array, ""], n: int) -> Float[Array, ""]:
        r"""Return a bound on the rounding error of a sum over `n` atoms, relative to $\sum_j |g_j|$."""

"""Quantile functions on the circle: the angle below which a share of the mass lies, counted on the covering line."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float

from measureflow.errors import BadInput
from measureflow.measures.density import Density
from measureflow.measures.grids import Circle
from measureflow.measures.inversion import angles_of
from measureflow.measures.tokens import Tokens
from measureflow.spaces import Sphere

__all__ = ["Quantiles", "quantiles_of"]

#: quantiles of a density, and least Gauss points of all masses of tokens, over which a cost is summed
SUMMED = 512


@dataclasses.dataclass(frozen=True)
class Quantiles:
    r"""The function Q with $\mu([Q(0), Q(u)]) = u$ on the circle, and `Q(u + 1) = Q(u) + 2 pi`.

    Attributes:
        modes: Fourier coefficients about `start` of a density; `None` for tokens.
        angles, ends: `(n,)` angles of tokens in order, and the masses up to each.
        start: the angle at which a density is cut open.
    """

    modes: np.ndarray | None = None
    angles: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    ends: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    start: float = 0.0

    def __call__(self, u: Float[np.ndarray, "m"]) -> Float[np.ndarray, "m"]:
        """Return the angles of the quantiles."""
        turns = np.floor(u)
        if self.modes is not None:
            return self.start + 2 * np.pi * turns + angles_of(self.modes, u - turns)
        return 2 * np.pi * turns + self.angles[np.searchsorted(self.ends[:-1], u - turns, side="right")]

    def slope(self, angles: Float[np.ndarray, "m"]) -> Float[np.ndarray, "m"]:
        r"""Return $Q' = 2\pi/f$ where Q has these values; tokens have none, and give 0."""
        if self.modes is None:
            return np.zeros_like(angles)
        orders = np.arange(1, len(self.modes))
        waves = np.exp(1j * np.outer(angles - self.start, orders))
        return 2 * np.pi / (np.real(self.modes[0]) + 2.0 * np.real(waves @ self.modes[1:]))

    def nodes(self) -> tuple[Float[np.ndarray, "m"], Float[np.ndarray, "m"]]:
        """Return where and with which weights a smooth function of the quantile is summed: exactly to rounding.

        Between the jumps of tokens by Gauss points; for a density, whose quantiles are periodic, at equal steps.
        """
        if self.modes is not None:
            return (np.arange(SUMMED) + 0.5) / SUMMED, np.full(SUMMED, 1.0 / SUMMED)
        begins = np.concatenate([[0.0], self.ends[:-1]])
        places, shares = np.polynomial.legendre.leggauss(max(2, -(-SUMMED // len(self.ends))))
        masses = (self.ends - begins)[:, None]
        u = begins[:, None] + 0.5 * masses * (places + 1.0)
        return u.ravel(), (0.5 * masses * shares).ravel()


def quantiles_of(name: str, mu: Any) -> Quantiles:
    """Return the quantile function of tokens or a density on the circle.

    Raises:
        BadInput: it is neither.
    """
    if isinstance(mu, Density) and isinstance(mu.grid, Circle):
        axis = np.asarray(mu.axis)
        return Quantiles(modes=np.asarray(mu.modes), start=float(np.arctan2(axis[1], axis[0])))
    if isinstance(mu, Tokens) and mu.space == Sphere(2):
        points, weights = np.asarray(mu.points, float), np.asarray(mu.weights, float)
        kept = weights > 0
        angles = np.arctan2(points[kept, 1], points[kept, 0])
        order = np.argsort(angles, kind="stable")
        return Quantiles(angles=angles[order], ends=np.cumsum(weights[kept][order]))
    space = getattr(mu, "space", type(mu).__name__)
    raise BadInput(
        f"{name}: {space!r} is not the circle; a density is compared on mf.Sphere(2), elsewhere draw tokens."
    )

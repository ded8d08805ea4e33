"""Inverting the distribution function of a sum of harmonics: uniform numbers become angles, heights, longitudes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Complex, Float

from measureflow.measures.grids import associated_legendre

__all__ = ["angles_of", "heights_of", "longitudes_of"]

#: numbers in memory at once
BLOCK = 2_000_000


def angles_of(modes: Complex[np.ndarray, "k"], u: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    r"""Return the angles at which $\int_0^\theta f\, d\theta/2\pi$ is `u`, for the Fourier coefficients of `f`."""
    there = np.flatnonzero(np.abs(modes) > 1e-15 * np.abs(modes[0]))
    rows = (modes[: there[-1] + 1] / np.real(modes[0]))[None]
    blocks = max(1, len(u) * rows.size // BLOCK)
    return np.concatenate([angles_in(rows, part) for part in np.array_split(u, blocks)])


def heights_of(modes: Float[np.ndarray, "k"], u: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    r"""Return the heights at which $\int_{-1}^z f\, dz/2$ is `u`, for coefficients in $\sqrt{2l+1} P_l$."""
    legendre = np.polynomial.legendre
    half = 0.5 * modes * np.sqrt(2.0 * np.arange(len(modes)) + 1.0) / modes[0]
    whole = legendre.legint(half, lbnd=-1.0)
    return invert(lambda z: (legendre.legval(z, whole), legendre.legval(z, half)), u, -1.0, 1.0)


def longitudes_of(
    modes: Complex[np.ndarray, "k k"], z: Float[np.ndarray, "n"], u: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "n"]:
    """Return the longitudes at which the distribution function on the parallel of height `z` is `u`."""
    degree = modes.shape[0] - 1
    blocks = max(1, len(u) * (degree + 1) ** 2 // BLOCK)
    pieces = []
    for heights, part in zip(np.array_split(z, blocks), np.array_split(u, blocks), strict=True):
        rows = np.einsum("ilm,lm->im", associated_legendre(heights, degree), modes)
        mean = np.real(rows[:, :1])
        pieces.append(angles_in(rows / np.where(mean > 0, mean, 1.0), part))
    return np.concatenate(pieces)


def angles_in(rows: Complex[np.ndarray, "r k"], u: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """Return the angles of the values `u` of the distribution functions of Fourier rows: one row for all, or each."""
    orders = np.arange(1, rows.shape[1])
    slopes = 2.0 * rows[:, 1:]
    masses = slopes / (2j * np.pi * orders)

    def both(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        waves = np.exp(1j * np.outer(theta, orders))
        mass = theta / (2 * np.pi) + np.real(((waves - 1.0) * masses).sum(axis=1))
        return mass, (1.0 + np.real((waves * slopes).sum(axis=1))) / (2 * np.pi)

    return invert(both, u, 0.0, 2.0 * np.pi)


def invert(
    both: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]], u: Float[np.ndarray, "n"], low: float, high: float
) -> Float[np.ndarray, "n"]:
    """Return where an increasing function takes the values `u`, given it and its derivative.

    Newton's method, kept inside a bracket that is halved where a step leaves it or the derivative is small.
    """
    left, right = np.full_like(u, low), np.full_like(u, high)
    here = low + (high - low) * u
    for k in range(60):
        mass, slope = both(here)
        left, right = np.where(mass < u, here, left), np.where(mass < u, right, here)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = here - (mass - u) / slope
        inside = (step > left) & (step < right) & (k % 4 != 3)
        new = np.where(inside, step, 0.5 * (left + right))
        if np.abs(new - here).max() <= 4e-16 * (high - low) or (np.abs(mass - u).max() < 4e-15):
            break
        here = new
    return here

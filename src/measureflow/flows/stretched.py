r"""Bounds of the metric with mobility on the circle: plain distances on a circle whose length element is stretched."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from measureflow.measures import Density, Tokens, wasserstein
from measureflow.spaces import Sphere

__all__ = ["bounds_of_distance"]

#: arcs into which a turn is cut, and Gauss points of each
ARCS, POINTS = 64, 12


def bounds_of_distance(
    mu0: Tokens | Density, mu1: Tokens | Density, form: Float[np.ndarray, "d d"]
) -> tuple[float, float]:
    r"""Return numbers between which the distance with mobility $\mu/Z_\mu$ lies, whatever the measures do between.

    $$ e^{-|Dx|} = \min_{y\in S} e^{x\cdot Dy} \le Z_\mu(x) \le e^{|Dx|} $$

    so every path is at least as long as in $W_2$ of the sphere with the length element $e^{-|Dx|/2}ds$, and the best is
    at most as long as for $e^{|Dx|/2}ds$. Tokens on the circle have that distance exactly, in the coordinate of arc
    length. Elsewhere $|Dx| \le \|D\|$ leaves $e^{\mp\|D\|/2}W_2$, the same where D is orthogonal up to a factor.
    Nothing sharper holds for all measures: one token under D = -k Id attains the lower one, under D = k Id the upper.
    Derived, for [arXiv:2501.03096](https://arxiv.org/abs/2501.03096).
    """
    plain, size = float(wasserstein(mu0, mu1)), float(np.exp(0.5 * np.linalg.norm(form, 2)))
    if not (isinstance(mu0, Tokens) and isinstance(mu1, Tokens) and mu0.space == Sphere(2)):
        return plain / size, plain * size
    found = []
    for sign in (-0.5, 0.5):
        moved, turn = zip(*(stretched(mu, form, sign) for mu in (mu0, mu1)), strict=True)
        found.append(float(wasserstein(*moved)) * turn[0] / (2 * np.pi))
    # the bounds of the sphere hold as well, and rounding keeps the order
    return max(found[0], plain / size), min(found[1], plain * size)


def stretched(mu: Tokens, form: Float[np.ndarray, "2 2"], power: float) -> tuple[Tokens, float]:
    r"""Return tokens at their arc length for $e^{p|Dx|}ds$, in units of a turn, and the length of the circle."""
    points = np.asarray(mu.points, float)
    # |Dx| of a singular form has its kinks on the axes, where arcs end
    axis = np.linalg.eigh(form)[1][:, 0]
    start = np.arctan2(axis[1], axis[0])
    angles = np.mod(np.arctan2(points[:, 1], points[:, 0]) - start, 2 * np.pi)
    nodes, shares = np.polynomial.legendre.leggauss(POINTS)
    wide = 2 * np.pi / ARCS

    def lengths(begins: np.ndarray, spans: np.ndarray) -> np.ndarray:
        at = start + begins[:, None] + 0.5 * spans[:, None] * (nodes + 1.0)
        image = np.stack([np.cos(at), np.sin(at)], axis=-1) @ form
        return 0.5 * spans * (np.exp(power * np.linalg.norm(image, axis=-1)) @ shares)

    begins = wide * np.arange(ARCS)
    until = np.concatenate([[0.0], np.cumsum(lengths(begins, np.full(ARCS, wide)))])
    arc = np.minimum((angles / wide).astype(int), ARCS - 1)
    turned = 2 * np.pi * (until[arc] + lengths(begins[arc], angles - begins[arc])) / until[-1]
    return mu.replace(points=np.stack([np.cos(turned), np.sin(turned)], axis=1)), float(until[-1])

"""A scalar that falls steadily carries its own clock: the time it takes, by quadrature, and the inverse of
that.

The reduced equations of this room all read $\\dot z = -e^{-L(z)}$ for one coordinate $z$ that falls for
ever. Time is then the integral $t(z) = \\int_z^{z_0} e^{L}$, a sum of positive panels with small *relative*
error however long the wait, so nothing is stepped and nothing overflows: all sums are kept relative to
$e^{L(z_0)}$.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

__all__ = ["Clock"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(14)
_LARGEST = math.log(np.finfo(float).max)

Curve = Callable[[np.ndarray], np.ndarray]


class Clock:
    """The time a coordinate needs to fall from `top`, and the coordinate at a time.

    Main arguments:
        wait: `L(z)`, the logarithm of the time spent per unit of fall; non-decreasing in `z`.
        exponent: what stands in the exponential of the model at `z`; panels are cut where it changes by 2.
        top: the coordinate at time 0.
        bottom: below this coordinate `L` is constant to rounding.
    """

    def __init__(self, wait: Curve, exponent: Curve, *, top: float, bottom: float) -> None:
        self.wait = wait
        self.top = float(top)
        self.scale = float(wait(np.array(top)))
        edges = np.array([self.top, min(self.top, float(bottom))])
        while True:
            wide = (-np.diff(edges) > 1.0) | (np.abs(np.diff(exponent(edges))) > 2.0)
            if not wide.any():
                break
            edges = np.sort(np.concatenate([edges, 0.5 * (edges[:-1] + edges[1:])[wide]]))[::-1]
        self.edges = edges
        self.panels = self._integral(edges[:-1], -np.diff(edges))
        self.passed = np.concatenate([[0.0], np.cumsum(self.panels)])
        self.last_wait = float(wait(edges[-1:])[0]) - self.scale

    def _integral(self, top: np.ndarray, length: np.ndarray) -> np.ndarray:
        """Time, relative to the scale, to fall from `top` by `length`; both `(m,)`."""
        at = top[:, None] - 0.5 * length[:, None] * (1.0 - _NODES)
        return 0.5 * length * (np.exp(self.wait(at) - self.scale) @ _WEIGHTS)

    def log_time(self, z: float) -> float:
        """Return the logarithm of the time at which the coordinate is `z`; `-inf` at or above the top."""
        if z >= self.top:
            return -math.inf
        if z < self.edges[-1]:
            total = self.passed[-1] + math.exp(self.last_wait) * (self.edges[-1] - z)
        else:
            panel = int(np.searchsorted(-self.edges, -z, side="right")) - 1
            panel = min(panel, len(self.panels) - 1)
            start = self.edges[panel : panel + 1]
            total = self.passed[panel] + float(self._integral(start, start - z)[0])
        return self.scale + math.log(total)

    def at(self, times: Float[np.ndarray, "s"]) -> Float[np.ndarray, "s"]:
        """Return the coordinate at each time."""
        with np.errstate(divide="ignore", over="ignore", under="ignore"):
            times = np.exp(np.log(times) - self.scale)
            panel = np.searchsorted(self.passed, times, side="right") - 1
            beyond = panel >= len(self.panels)
            z = np.empty_like(times)
            # in logarithms: the last pace may lie hundreds of decades below the first
            z[beyond] = self.edges[-1] - np.exp(np.log(times[beyond] - self.passed[-1]) - self.last_wait)
        z[~beyond] = self._within(panel[~beyond], times[~beyond])
        return z

    def _within(self, panel: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Invert the integral inside the given panels, by Newton steps kept inside them."""
        top, whole = self.edges[panel], -np.diff(self.edges)[panel]
        rest = times - self.passed[panel]
        fallen = whole * rest / self.panels[panel]
        for _ in range(50):
            pace = np.exp(self.wait(top - fallen) - self.scale)
            step = (self._integral(top, fallen) - rest) / pace
            fallen = np.clip(fallen - step, 0.0, whole)
            if np.all(np.abs(step) <= 1e-15 * (1.0 + np.abs(top))):
                break
        return top - fallen


def never_moves(log_wait: float) -> bool:
    """Whether a coordinate with this wait falls by less than a rounding error in any time that a double can
    hold."""
    return log_wait > _LARGEST + 40.0

r"""The logits of many independent keys near the largest possible one: a Poisson process, and the sums it makes.

Below the largest logit there are $\Lambda(s) = (s/c)^h$ points on $(0, s)$. Everything is a function of the logarithm w
of t in $\Phi(t) = \int(1 - e^{-u})\,d\Lambda(s)$, $u = te^{-s}$: a series up to w = 0, and a quadrature beyond.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from jaxtyping import Float
from scipy.special import gammainc, gammaln

__all__ = ["KeyProcess"]

#: terms of the series, for t <= 1
TERMS = np.arange(1.0, 31.0)
#: parts at which less than e^-DROP of an integrand is left count as nothing
DROP = 50.0
#: beyond this w the square root of the process is smooth and the nodes are even in s
SMOOTH = 50.0


@functools.cache
def legendre(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights on [-1, 1]; to find them takes longer than to use them."""
    return np.polynomial.legendre.leggauss(count)


class KeyProcess:
    r"""The Poisson process with $(s/c)^h$ points on $(0, s)$.

    Arguments:
        scale: c. half: h = (d - 1)/2.
    """

    def __init__(self, scale: float, half: float) -> None:
        self.scale, self.half = scale, half
        #: logarithm of $\int e^{-s}d\Lambda$, the expected weight of all keys together
        self.log_weight = float(gammaln(half + 1.0)) - half * math.log(scale)

    def participation(self) -> float:
        r"""Return $E\sum A^2 = -\int t\Phi''(t)e^{-\Phi(t)}dt$, as an integral over w."""
        high = self.where(DROP, of="never")
        first = self.where(1.0, of="never")
        low = self.where(1e-17 * self.sums(np.array([first]))["paired"][0], of="paired")
        edges = [low]
        while edges[-1] < high:
            # the process varies on the scale w / h, and no sum over its points faster than on the scale 1
            edges.append(edges[-1] + max(1.0, 0.5 * edges[-1] / max(self.half, 1.0)))
        nodes, weights = legendre(20)
        widths = np.diff(edges)
        total = 0.0
        for edge, width in zip(edges, widths, strict=False):
            sums = self.sums(edge + 0.5 * width * (nodes + 1.0))
            total += float(0.5 * width * (weights @ (sums["twice"] * np.exp(-sums["never"]))))
        return total

    def where(self, level: float, *, of: str) -> float:
        """Return the w at which a sum that rises with it has a level, by bisection."""
        low, high = -DROP - max(self.log_weight, 0.0), 1.0
        while self.sums(np.array([high]))[of][0] < level:
            low, high = high, 2.0 * high
        for _ in range(14):  # it only bounds an integral: a part in thousand will do
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self.sums(np.array([middle]))[of][0] < level else (low, middle)
        return high

    def sums(self, w: Float[np.ndarray, "m"]) -> dict[str, Float[np.ndarray, "m"]]:
        r"""Return three integrals over the process at t = e^w, with $u = te^{-s}$.

        `never` is $\Phi$, of $1-e^{-u}$; `twice` is $-t^2\Phi''$, of $u^2e^{-u}$; `paired` is $\Phi - t\Phi'$, of
        $1-(1+u)e^{-u}$: what `twice` has summed to over all smaller w.
        """
        found = {name: np.empty_like(w) for name in ("never", "twice", "paired")}
        for chosen, way in ((w <= 0.0, self.series), (w > 0.0, self.quadrature)):
            for name, values in (way(w[chosen]) if chosen.any() else {}).items():
                found[name][chosen] = values
        return found

    def series(self, w: Float[np.ndarray, "m"]) -> dict[str, Float[np.ndarray, "m"]]:
        r"""Return the sums for t <= 1, from $\int e^{-ks}d\Lambda = \Gamma(h+1)(kc)^{-h}$."""
        logs = TERMS * w[:, None] - gammaln(TERMS + 1.0) - self.half * np.log(TERMS) + self.log_weight
        terms = np.exp(np.minimum(logs, 700.0)) * (-1.0) ** (TERMS + 1.0)
        return {
            "never": terms.sum(axis=1),
            "twice": -(terms @ (TERMS * (TERMS - 1.0))),
            "paired": -(terms @ (TERMS - 1.0)),
        }

    def quadrature(self, w: Float[np.ndarray, "m"]) -> dict[str, Float[np.ndarray, "m"]]:
        """Return the sums for t > 1: the points far below w count in full, and those beyond `reach` not at all."""
        sure = np.maximum(w - 4.0, 0.0)
        nodes, weights = legendre(60)
        parts = []
        for start, end in ((sure, w + 8.0), (w + 8.0, w + DROP)):
            # s = v^2 makes d Lambda smooth at 0; beyond, s - w keeps its digits where w is large
            root, far = np.sqrt(start), np.sqrt(end)
            v = root[:, None] + 0.5 * (far - root)[:, None] * (nodes + 1.0)
            even = (start - w)[:, None] + 0.5 * (end - start)[:, None] * (nodes + 1.0)
            beyond = w[:, None] > SMOOTH
            past = np.where(beyond, even, v * v - w[:, None])
            lengths = 0.5 * weights * np.where(beyond, (end - start)[:, None], 2.0 * v * (far - root)[:, None])
            parts.append((past, lengths))
        low, high = self.reach(w)
        past = low[:, None] + 0.5 * (high - low)[:, None] * (nodes + 1.0)
        parts.append((past, 0.5 * weights * (high - low)[:, None]))
        past, lengths = (np.concatenate(both, axis=1) for both in zip(*parts, strict=True))
        s = w[:, None] + past
        logs = math.log(self.half) + (self.half - 1.0) * np.log(s) - self.half * math.log(self.scale)
        masses, u = lengths * np.exp(np.minimum(logs, 600.0)), np.exp(-past)
        with np.errstate(divide="ignore"):
            full = np.exp(np.minimum(self.half * (np.log(sure) - math.log(self.scale)), 600.0))
        return {
            "never": full - (masses * np.expm1(-u)).sum(axis=1),
            "twice": (masses * u * u * np.exp(-u)).sum(axis=1),
            "paired": full + (masses * gammainc(2.0, u)).sum(axis=1),
        }

    def reach(self, w: Float[np.ndarray, "m"]) -> tuple[Float[np.ndarray, "m"], Float[np.ndarray, "m"]]:
        r"""Return the ends of $s - w$ beyond `DROP` outside of which $e^{-s}\,d\Lambda$ is nothing.

        With h large there are so many points about s = h that they count although each weighs little.
        """
        peak = np.maximum(self.half - 1.0, w)
        low, high = np.zeros_like(w), 2.0 * DROP + 20.0 * np.sqrt(peak)
        for _ in range(50):
            middle = 0.5 * (low + high)
            left = (self.half - 1.0) * np.log1p(middle / peak) - middle > -DROP
            low, high = np.where(left, middle, low), np.where(left, high, middle)
        end = np.maximum(peak - w + high, DROP)
        return np.maximum(peak - w - DROP - 12.0 * np.sqrt(peak), DROP), end

r"""The equation of constant potential on the circle, in Fourier modes and as many digits as it takes.

In the angles of $x$ and $y$ the kernel $e^{\langle x, \operatorname{diag}(a, b) y\rangle}$ has the Fourier matrix
$K_{mn} = I_{(m+n)/2}(s)\, I_{(m-n)/2}(r)$, $s = (a+b)/2$, $r = (a-b)/2$, for m, n of one parity. Its entries decay
faster than exponentially, so that a double knows a handful of modes; decimals of some hundred digits know them all.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
from jaxtyping import Float

__all__ = ["modes_of_constant_potential", "modes_that_resolve"]

#: the last mode is below e^-DECADES of the first, while there are no more than MOST of them
DECADES, MOST = 24.0, 64
#: digits that are left after the elimination
KEPT = 30


def modes_that_resolve(a: float, b: float) -> int:
    r"""Return how many even modes tell the minimiser: as the form shrinks they decay like $e^{-2k\xi}$, and
    $\tanh\xi$ is the ratio of the axes; a large form narrows the density further."""
    low, high = min(a, b), max(a, b)
    if high - low < 1e-14 * high:
        return 4
    xi = math.atanh(low / high)
    return min(MOST, math.ceil(DECADES / (2.0 * xi) + 2.0 * math.sqrt(high - low)) + 6)


def modes_of_constant_potential(a: float, b: float, count: int) -> tuple[float, Float[np.ndarray, "k"]]:
    r"""Return the constant and the modes $\int\cos 2k\varphi\,d\mu$, k = 0..count, of the measure whose potential is
    constant."""
    with localcontext() as context:
        context.prec = digits(a, b, count)
        first, second = Decimal(a), Decimal(b)
        sums, differences = bessel(2 * count, (first + second) / 2), bessel(2 * count, (first - second) / 2)
        k = np.arange(count + 1)
        plus, minus = k[:, None] + k, np.abs(k[:, None] - k)
        matrix = sums[plus] * differences[minus] + sums[minus] * differences[plus]
        matrix[:, 0] = matrix[:, 0] / 2  # the mode 0 stands for itself alone, the others for +2k and -2k
        modes = eliminated(matrix)
        return float(1 / modes[0]), np.array([float(mode / modes[0]) for mode in modes])


def digits(a: float, b: float, count: int) -> int:
    """Return how many digits the elimination needs: those that the kernel's decay takes away, half as many again."""
    s = 0.5 * (a + b)
    decay = math.lgamma(2 * count + 1) - 2 * count * math.log(0.5 * s) + s + abs(a - b)
    return KEPT + int(1.5 * max(decay, 0.0) / math.log(10.0))


def bessel(top: int, x: Decimal) -> np.ndarray:
    """Return the modified Bessel functions `I_0(x)` to `I_top(x)`, by their power series."""
    found, lead = np.empty(top + 1, object), Decimal(1)
    for k in range(top + 1):
        lead = lead * x / (2 * k) if k else lead
        term = total = lead
        j = 1
        while term:
            term = term * x * x / (4 * j * (j + k))
            if total + term == total:
                break
            total, j = total + term, j + 1
        found[k] = total
    return found


def eliminated(matrix: np.ndarray) -> np.ndarray:
    """Return the solution of `matrix @ c = (1, 0, 0, ...)` by elimination with pivots."""
    size = len(matrix)
    rows = np.concatenate([matrix, np.array([[Decimal(int(k == 0))] for k in range(size)], object)], axis=1)
    for p in range(size):
        best = p + int(np.argmax(np.abs(rows[p:, p])))
        rows[[p, best]] = rows[[best, p]]
        rows[p + 1 :, p:] -= np.outer(rows[p + 1 :, p] / rows[p, p], rows[p, p:])
    found = np.empty(size, object)
    for p in range(size - 1, -1, -1):
        found[p] = (rows[p, size] - sum(rows[p, p + 1 : size] * found[p + 1 :], Decimal(0))) / rows[p, p]
    return found

r"""Which tokens on the circle are separated: a decision, and how unlikely it is for uniform ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Bool

from measureflow.errors import BadInput
from measureflow.theory.checks import as_count, as_numbers, in_interval
from measureflow.theory.metastability import positive

__all__ = ["are_separated_on_circle", "chance_of_separation"]


def are_separated_on_circle(angles: Any, *, beta: float, epsilon: float) -> Bool[np.ndarray, "*b"]:
    r"""Tell which sets of tokens on the circle are $(\beta,\varepsilon)$-separated, with the best choice of centres.

    Tokens share a cap where they are within $2\arccos(1-\varepsilon)$ of each other, and two caps must have centres at
    an angle $\psi$ with $\gamma > 0$ (`margin_of_separation`). Each cap's centre may lie anywhere in an interval; that
    all of them fit is a system of inequalities between differences, solved exactly. `angles` are `(*b, n)`.
    [arXiv:2410.06833](https://arxiv.org/abs/2410.06833), section 2; the decision is derived.

    Raises:
        BadInput: beta is 0, epsilon outside `(0, 1/16)`.

    Example:
        >>> from measureflow import theory
        >>> theory.are_separated_on_circle([[0.0, 0.1, 2.0], [0.0, 0.4, 2.0]], beta=100.0, epsilon=0.01).tolist()
        [True, False]
    """
    angles = as_numbers("angles", angles)
    if angles.ndim < 1 or angles.shape[-1] < 1:
        raise BadInput(f"theory: angles have shape {angles.shape}; they must be (*b, n).")
    batch, n = angles.shape[:-1], angles.shape[-1]
    radius, apart = half_width(epsilon), least_angle(n, beta, epsilon)
    theta = np.sort(np.mod(angles.reshape(-1, n), 2 * np.pi), axis=1)
    gaps = np.diff(theta, axis=1, append=theta[:, :1] + 2 * np.pi)
    # begin behind the widest gap: no cap straddles the cut
    order = (np.argmax(gaps, axis=1)[:, None] + 1 + np.arange(n)) % n
    theta = np.take_along_axis(theta, order, axis=1)
    theta = theta + 2 * np.pi * (theta < theta[:, :1])
    if math.isinf(apart) and apart > 0:
        return np.zeros(batch, bool)
    fits = gaps.max(axis=1) > 2 * radius
    begin, caps = theta[:, 0].copy(), np.zeros(len(theta))
    low, lowest_first, highest_first = np.full(len(theta), -np.inf), np.zeros(len(theta)), np.full(len(theta), np.inf)
    for i in range(1, n + 1):
        closes = np.ones(len(theta), bool) if i == n else theta[:, i] - theta[:, i - 1] > 2 * radius
        least, most = np.maximum(theta[:, i - 1] - radius, low + apart), begin + radius
        fits &= ~closes | (least <= most)
        lowest_first = np.where(closes & (caps == 0), least, lowest_first)
        highest_first = np.where(closes, np.minimum(highest_first, most - caps * apart), highest_first)
        low, caps = np.where(closes, least, low), caps + closes
        if i < n:
            begin = np.where(closes, theta[:, i], begin)
    last = np.maximum(low, highest_first + (caps - 1) * apart)
    around = highest_first + 2 * np.pi - last >= apart
    return (fits & (highest_first >= lowest_first) & (around | (caps == 1))).reshape(batch)


def chance_of_separation(n: int, *, beta: float, epsilon: float) -> float:
    r"""Return a bound $c^{\,n-1}$ on the probability that n uniform tokens on the circle are separated.

    $$ c = 1 - \frac{(\psi_2 - 2r) - 2r}{\pi}, \qquad r = \arccos(1-\varepsilon) $$

    with $\psi_2$ the least angle between two centres for two tokens: no two tokens of a separated set are at an angle
    between $2r$ and $\psi_2-2r$, so each new token meets a forbidden pair of arcs. For two tokens it is the
    probability itself. [arXiv:2410.06833](https://arxiv.org/abs/2410.06833) states some `c < 1`; this one is derived.

    Raises:
        BadInput: beta is 0, epsilon outside `(0, 1/16)`, no tokens.

    Example:
        >>> from measureflow import theory
        >>> round(theory.chance_of_separation(10, beta=100.0, epsilon=0.01), 3)
        0.31
    """
    n, radius, apart = as_count("n", n), half_width(epsilon), least_angle(2, beta, epsilon)
    if math.isinf(apart):
        return float(n == 1)
    forbidden = (min(apart - 2 * radius, math.pi) - 2 * radius) / math.pi
    return (1.0 - forbidden) ** (n - 1)


def half_width(epsilon: float) -> float:
    """Return the half width of a cap in angle."""
    return math.acos(1.0 - in_interval("epsilon", epsilon, 0.0, 1.0 / 16.0))


def least_angle(n: int, beta: float, epsilon: float) -> float:
    """Return the least angle between two centres; infinite where not even one cap is separated."""
    room = 1.0 - 8.0 * epsilon - math.log(2.0 * n * n / epsilon) / positive(beta)
    return 2.0 * math.acos(1.0 - 2.0 * epsilon) + math.acos(room) if room > 0 else math.inf

r"""Critical points of the energy of n tokens on the circle, found by Newton's method, and the signs of its Hessian.

`beta` may be negative here, as in the literature on synchronisation: in a field it is `query=-1`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from measureflow.errors import BadInput
from measureflow.theory.metastability import as_count

__all__ = ["CriticalPoint", "critical_points_on_circle", "hessian_on_circle"]


#: steps of ascent before Newton's method
CLIMBING = 300


class CriticalPoint(NamedTuple):
    """A critical point of the energy on the circle, up to rotation.

    Attributes:
        angles: `(n,)`, sorted, from 0.
        signature: how many eigenvalues of the Hessian are negative, zero and positive (`(n - 1, 1, 0)` is a strict
            maximum, up to rotation: a stable state of the flow).
        largest: the largest eigenvalue, the rotation left out.
        energy: the reporting energy, in units where one cluster has 1.
        found: how often the starts led here.
    """

    angles: Float[np.ndarray, "n"]
    signature: tuple[int, int, int]
    largest: float
    energy: float
    found: int


def hessian_on_circle(angles: Any, beta: float) -> Float[np.ndarray, "n n"]:
    r"""Return the Hessian in angles of $\frac{1}{\beta}\sum_{i<j}e^{\beta\cos(\theta_i-\theta_j)}$.

    $$ \partial_i\partial_j = g(\theta_i-\theta_j), \quad \partial_i^2 = -\sum_{j\ne i} g(\theta_i-\theta_j), \qquad
       g(x) = (\cos x-\beta\sin^2x)\,e^{\beta\cos x} $$

    It is the Jacobian of USA times n. [arXiv:2312.10794](https://arxiv.org/abs/2312.10794), section 5; exact to
    rounding for every finite beta, 0 included.

    Example:
        >>> import numpy as np
        >>> from measureflow import theory
        >>> corners = 2 * np.pi * np.arange(3) / 3
        >>> [bool(np.linalg.eigvalsh(theory.hessian_on_circle(corners, beta))[-1] > 1e-9) for beta in (-0.6, -0.7)]
        [True, False]
    """
    angles, beta = np.asarray(angles, float), as_any_beta(beta)
    apart = angles[:, None] - angles[None, :]
    bend = (np.cos(apart) - beta * np.sin(apart) ** 2) * np.exp(beta * np.cos(apart))
    np.fill_diagonal(bend, 0.0)
    return bend - np.diag(bend.sum(axis=1))


def critical_points_on_circle(
    n: int, *, beta: float, starts: int = 200, seed: int = 0, tolerance: float = 1e-11
) -> list[CriticalPoint]:
    r"""Return the critical points that Newton's method finds from uniform starts, the stable ones first.

    Every second start climbs for a while first, so that stable points are found as often as the flow finds them. All
    step at once, with the Hessian's zero of rotations taken out and steps of at most 1/2; a start that is no critical
    point to `tolerance` after 60 steps, or is a degenerate one, is left out. Points that differ by a rotation, a
    reflection or the order of tokens count once. Finding none proves nothing.
    Problem 3 of [arXiv:2312.10794](https://arxiv.org/abs/2312.10794).

    Raises:
        BadInput: fewer than 2 tokens, a beta that is not finite.

    Example:
        >>> from measureflow import theory
        >>> points = theory.critical_points_on_circle(3, beta=-1.0)
        >>> [(point.signature, point.angles.round(3).tolist()) for point in points if point.largest < 0]
        [((2, 1, 0), [0.0, 2.094, 4.189]), ((2, 1, 0), [0.0, 0.0, 0.0])]
    """
    n, beta = as_count(n), as_any_beta(beta)
    if n < 2:
        raise BadInput(f"theory: n is {n}; critical points need at least 2 tokens.")
    theta = np.random.default_rng(seed).uniform(0.0, 2 * np.pi, (int(starts), n))
    climb = 1.0 / (n * (1.0 + abs(beta)) * math.exp(abs(beta)))
    for _ in range(CLIMBING):
        theta[::2] += climb * gradients(theta[::2], beta)
    moving = np.arange(len(theta))
    for _ in range(60):
        step = newton_step(theta[moving], beta)
        theta[moving] -= step
        moving = moving[np.abs(step).max(axis=1) > 1e-13]
        if not len(moving):
            break
    force = np.abs(gradients(theta, beta)).max(axis=1)
    kept: list[CriticalPoint] = []
    for angles in theta[force < tolerance * n * math.exp(abs(beta))]:
        point = described(angles, beta)
        if point is None:
            continue
        same = [k for k, other in enumerate(kept) if is_same(point, other)]
        if same:
            kept[same[0]] = kept[same[0]]._replace(found=kept[same[0]].found + 1)
        else:
            kept.append(point)
    return sorted(kept, key=lambda point: (point.largest, -point.energy))


def gradients(theta: Float[np.ndarray, "b n"], beta: float) -> Float[np.ndarray, "b n"]:
    """Return the gradients of the energy at many configurations."""
    apart = theta[:, None, :] - theta[:, :, None]  # (b, i, j): theta_j - theta_i
    return (np.exp(beta * np.cos(apart)) * np.sin(apart)).sum(axis=2)


def newton_step(theta: Float[np.ndarray, "b n"], beta: float) -> Float[np.ndarray, "b n"]:
    """Return what Newton's method takes off, across the rotations, shortened where it is long."""
    n = theta.shape[1]
    apart = theta[:, :, None] - theta[:, None, :]
    bend = (np.cos(apart) - beta * np.sin(apart) ** 2) * np.exp(beta * np.cos(apart))
    bend[:, np.arange(n), np.arange(n)] = 0.0
    hessian = bend - bend.sum(axis=2)[:, :, None] * np.eye(n)
    values, vectors = np.linalg.eigh(hessian + np.ones((n, n)))  # rotations: eigenvalue n, and no force along them
    values = np.where(np.abs(values) < 1e-9, np.inf, values)
    along = np.einsum("bij,bi->bj", vectors, gradients(theta, beta)) / values
    step = np.einsum("bij,bj->bi", vectors, along)
    size = np.abs(step).max(axis=1, keepdims=True)
    return step * np.minimum(1.0, 0.5 / np.maximum(size, 1e-300))


def described(angles: Float[np.ndarray, "n"], beta: float) -> CriticalPoint | None:
    """Return a critical point in its normal form, or `None` where the Hessian is degenerate across the rotations."""
    n = len(angles)
    values = np.linalg.eigvalsh(hessian_on_circle(angles, beta))
    scale = 1e-8 * n * math.exp(abs(beta))
    zero = np.abs(values) < scale
    if zero.sum() != 1:
        return None
    counts = (int((values <= -scale).sum()), 1, int((values >= scale).sum()))
    largest = float(values[~zero].max())
    cosines = np.cos(angles[:, None] - angles[None, :])
    energy = float(np.exp(beta * cosines).mean() * math.exp(-beta))
    return CriticalPoint(normal_form(angles), counts, largest, energy, 1)


def normal_form(angles: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """Return the angles sorted from 0, in the turn or reflection whose rounded gaps come first in order."""
    turn = np.sort(np.mod(angles, 2 * np.pi))
    gaps = np.diff(turn, append=turn[0] + 2 * np.pi)
    gaps = np.where(2 * np.pi - gaps < 1e-6, 0.0, gaps) if gaps.max() < 2 * np.pi - 1e-6 else gaps
    n, best = len(gaps), None
    for around in (gaps, gaps[::-1]):
        for k in range(n):
            turned = np.roll(around, -k)
            if best is None or tuple(turned.round(6)) < tuple(best.round(6)):
                best = turned
    assert best is not None
    return np.concatenate([[0.0], np.cumsum(best)[:-1]])


def is_same(one: CriticalPoint, two: CriticalPoint) -> bool:
    """Tell whether two normal forms are one point."""
    return bool(np.abs(one.angles - two.angles).max() < 1e-4)


def as_any_beta(beta: float) -> float:
    """Return a finite inverse temperature of either sign."""
    beta = float(beta)
    if not math.isfinite(beta):
        raise BadInput(f"theory: beta is {beta}; it must be finite (of either sign here).")
    return beta

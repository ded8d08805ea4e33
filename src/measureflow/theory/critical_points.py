r"""Critical points of the energy of n tokens on the circle, found by Newton's method, and the signs of its Hessian.

`beta` may be negative here, as in the literature on synchronisation: in a field it is `query=-1`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from measureflow.errors import BadInput
from measureflow.theory.checks import as_count, as_finite, as_numbers, in_interval

__all__ = ["CriticalPoint", "critical_points_on_circle", "hessian_on_circle"]


#: steps of ascent before Newton's method, for each number of clusters
CLIMBING = 300
#: tokens that are nearer than this have met, in the ascent and in Newton's method
MET, SAME = 1e-4, 1e-6
#: eigenvalues that are smaller, beside the largest, cannot be told from 0
RESOLVED = 1e-9


class CriticalPoint(NamedTuple):
    """A critical point of the energy on the circle, up to rotation.

    Attributes:
        angles: `(n,)`, sorted, from 0.
        signature: how many eigenvalues of the Hessian are negative, zero and positive (`(n - 1, 1, 0)` is a strict
            maximum, up to rotation: a stable state of the flow).
        largest: the largest eigenvalue, the rotation left out; infinite or 0 where a double cannot hold it.
        energy: the reporting energy, in units where one cluster has 1; infinite where it overflows.
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
    rounding for every beta at which its entries are doubles, 0 included.

    Raises:
        BadInput: a beta that is not finite, or so large that an entry overflows (beyond 700 for tokens that are near).

    Example:
        >>> import numpy as np
        >>> from measureflow import theory
        >>> corners = 2 * np.pi * np.arange(3) / 3
        >>> [bool(np.linalg.eigvalsh(theory.hessian_on_circle(corners, beta))[-1] > 1e-9) for beta in (-0.6, -0.7)]
        [True, False]
    """
    angles, beta = as_numbers("angles", angles), as_finite("beta", beta)
    if angles.ndim != 1 or not angles.size:
        raise BadInput(f"theory: angles have shape {angles.shape}; give (n,).")
    exponents = beta * np.cos(angles[:, None] - angles[None, :])[~np.eye(len(angles), dtype=bool)]
    if exponents.max(initial=0.0) > 690.0:
        raise BadInput(
            f"theory: beta is {beta:g}; the Hessian has an entry of some e^{exponents.max():.0f}, no double."
        )
    bend, top = between(angles[None], np.ones((1, len(angles))), beta)
    return bend[0] * np.exp(top[0])


def critical_points_on_circle(
    n: int, *, beta: float, starts: int = 200, seed: int = 0, tolerance: float = 1e-11
) -> list[CriticalPoint]:
    r"""Return the critical points that Newton's method finds from uniform starts, the stable ones first.

    Every second start climbs for a while first, so that stable points are found as often as the flow finds them. All
    step at once, with the Hessian's zero of rotations taken out and steps of at most 1/2; tokens that meet go on as one
    heavier token, whose own eigenvalues have closed forms. Forces and eigenvalues count beside the largest ones of the
    point itself, so that no beta is too large. Left out is a start that is no critical point to `tolerance`, or one
    with an eigenvalue below 1e-9 of the largest among those of its clusters, which nothing tells from 0. Points that
    differ by a rotation, a reflection or the order of tokens count once. Finding none proves nothing.
    Problem 3 of [arXiv:2312.10794](https://arxiv.org/abs/2312.10794).

    Raises:
        BadInput: fewer than 2 tokens, a beta that is not finite, no starts, a tolerance that is not positive.

    Example:
        >>> from measureflow import theory
        >>> points = theory.critical_points_on_circle(3, beta=-1.0)
        >>> [(point.signature, point.angles.round(3).tolist()) for point in points if point.largest < 0]
        [((2, 1, 0), [0.0, 2.094, 4.189]), ((2, 1, 0), [0.0, 0.0, 0.0])]
    """
    n, beta, starts = as_count("n", n, 2), as_finite("beta", beta), as_count("starts", starts)
    seed, tolerance = as_count("seed", seed, 0), in_interval("tolerance", tolerance, 0.0, math.inf)
    theta = np.random.default_rng(seed).uniform(0.0, 2 * np.pi, (starts, n))
    waiting = [(places, np.ones(n), k % 2 == 0) for k, places in enumerate(theta)]
    kept: list[CriticalPoint] = []
    for count in range(n, 0, -1):  # so many clusters are left
        ready = [one for one in waiting if len(one[0]) == count]
        waiting = [one for one in waiting if len(one[0]) < count]
        still = []
        for places, masses, climbs in climbed([one for one in ready if one[2]], beta):
            (still if len(places) == count else waiting).append((places, masses, climbs))
        for places, masses, rests in rested([*still, *(one for one in ready if not one[2])], beta, tolerance):
            if len(places) < count:
                waiting.append((places, masses, False))
            elif rests and (point := described(places, masses, beta)) is not None:
                same = [k for k, other in enumerate(kept) if is_same(point, other)]
                if same:
                    kept[same[0]] = kept[same[0]]._replace(found=kept[same[0]].found + 1)
                else:
                    kept.append(point)
    return sorted(kept, key=lambda point: (point.largest, -point.energy))


#: places of clusters, how many tokens each has, and whether they climb
State = tuple[np.ndarray, np.ndarray, bool]


def climbed(states: list[State], beta: float) -> list[State]:
    """Return where clusters come that climb in the direction of the flow."""
    if not states or len(states[0][0]) < 2:
        return states
    theta, masses = (np.stack([one[k] for one in states]) for k in (0, 1))
    moving = np.arange(len(theta))
    for _ in range(CLIMBING):
        step = ascent(theta[moving], masses[moving], beta)
        theta[moving] += step
        gaps = np.sin(0.5 * np.diff(np.sort(np.mod(theta[moving], 2 * np.pi), axis=1), axis=1))
        moving = moving[(np.abs(step).max(axis=1) > 1e-9) & (gaps.min(axis=1) > 0.1 * MET)]
        if not len(moving):
            break
    return [(*joined(places, own, MET), True) for places, own in zip(theta, masses, strict=True)]


def ascent(theta: Float[np.ndarray, "b k"], masses: Float[np.ndarray, "b k"], beta: float) -> Float[np.ndarray, "b k"]:
    """Return steps along the gradient: of at most 1/10, no further than halfway to another cluster, and stable."""
    apart, weights, _ = weights_between(theta, beta)
    pull = np.einsum("bij,bj->bi", weights * np.sin(apart), masses)
    closing = (pull[:, :, None] - pull[:, None, :]) * np.sin(apart)
    nearness = (closing / np.maximum(2.0 - 2.0 * np.cos(apart), 1e-30)).max(axis=(1, 2))
    bend = np.maximum(np.cos(apart) - beta * np.sin(apart) ** 2, 0.0) * weights
    stiffness = np.einsum("bij,bj->bi", bend, masses).max(axis=1)
    pace = 1.0 / np.maximum.reduce([10.0 * np.abs(pull).max(axis=1), 2.0 * nearness, 2.0 * stiffness])
    return pace[:, None] * pull


def rested(states: list[State], beta: float, tolerance: float) -> list[tuple[np.ndarray, np.ndarray, bool]]:
    """Return where Newton's method leads, and whether each place is a critical point."""
    if not states or len(states[0][0]) < 2:
        return [(places, masses, True) for places, masses, _ in states]
    theta, masses = (np.stack([one[k] for one in states]) for k in (0, 1))
    moving, last = np.arange(len(theta)), np.zeros(len(theta))
    # between clusters that are far from rest it steps by some 1/beta only
    for _ in range(60 + int(min(4.0 * abs(beta), 400.0))):
        step = newton_step(theta[moving], masses[moving], beta)
        theta[moving] -= step
        last[moving] = np.abs(step).max(axis=1)
        moving = moving[last[moving] > 1e-13]
        if not len(moving):
            break
    bend, _ = between(theta, masses, beta)
    force = np.abs(pulls(theta, masses, beta)).max(axis=1)
    rests = (force < tolerance * np.abs(bend).max(axis=(1, 2))) & (last < 1e-5)
    joint = (joined(places, own, SAME) for places, own in zip(theta, masses, strict=True))
    return [(*both, bool(rest)) for both, rest in zip(joint, rests, strict=True)]


def joined(
    places: Float[np.ndarray, "k"], masses: Float[np.ndarray, "k"], radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return clusters with those that have met as one, in their centre of mass."""
    order = np.argsort(np.mod(places, 2 * np.pi))
    places, masses = np.mod(places, 2 * np.pi)[order], masses[order]
    gaps = np.diff(places, append=places[0] + 2 * np.pi)
    if not (gaps < radius).any():
        return places, masses
    # begin behind the widest gap, so that no cluster straddles the cut
    first = (int(gaps.argmax()) + 1) % len(places)
    gaps, masses = np.roll(gaps, -first), np.roll(masses, -first)
    places = places[first] + np.append(0.0, np.cumsum(gaps)[:-1])
    labels = np.append(0, np.cumsum(gaps[:-1] >= radius))
    shares = np.bincount(labels, masses)
    return np.bincount(labels, masses * places) / shares, shares


def weights_between(theta: Float[np.ndarray, "b k"], beta: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the angles between clusters (from the first index to the second), the weights, and the logarithm of the
    largest one, by which they are divided."""
    apart = theta[:, None, :] - theta[:, :, None]
    exponents = beta * np.cos(apart)
    exponents[:, np.arange(theta.shape[1]), np.arange(theta.shape[1])] = -np.inf
    top = exponents.max(axis=(1, 2))
    return apart, np.exp(exponents - top[:, None, None]), top


def pulls(theta: Float[np.ndarray, "b k"], masses: Float[np.ndarray, "b k"], beta: float) -> Float[np.ndarray, "b k"]:
    """Return the gradients of the energy for one token of each cluster, beside the largest weight."""
    apart, weights, _ = weights_between(theta, beta)
    return np.einsum("bij,bj->bi", weights * np.sin(apart), masses)


def between(
    theta: Float[np.ndarray, "b k"], masses: Float[np.ndarray, "b k"], beta: float
) -> tuple[Float[np.ndarray, "b k k"], Float[np.ndarray, "b"]]:
    r"""Return the Hessian among motions of whole clusters, beside the largest weight, and that weight's logarithm.

    In the orthonormal coordinates $\sqrt{m_c}\,\theta_c$.
    """
    apart, weights, top = weights_between(theta, beta)
    bend = (np.cos(apart) - beta * np.sin(apart) ** 2) * weights
    own = np.einsum("bij,bj->bi", bend, masses)
    roots = np.sqrt(masses)
    return bend * roots[:, :, None] * roots[:, None, :] - own[:, :, None] * np.eye(theta.shape[1]), top


def newton_step(
    theta: Float[np.ndarray, "b k"], masses: Float[np.ndarray, "b k"], beta: float
) -> Float[np.ndarray, "b k"]:
    """Return what Newton's method takes off, across the rotations, shortened where it is long."""
    bend, _ = between(theta, masses, beta)
    roots = np.sqrt(masses)
    across = complements(roots)
    values, vectors = np.linalg.eigh(np.swapaxes(across, 1, 2) @ bend @ across)
    # a mode that cannot be resolved waits until those that can have come to rest
    largest = np.abs(values).max(axis=1, keepdims=True)
    values = np.where(np.abs(values) <= 1e-13 * largest, np.inf, values)
    vectors = across @ vectors
    along = np.einsum("bij,bi->bj", vectors, roots * pulls(theta, masses, beta)) / values
    step = np.einsum("bij,bj->bi", vectors, along) / roots
    size = np.abs(step).max(axis=1, keepdims=True)
    return step * np.minimum(1.0, 0.5 / np.maximum(size, 1e-300))


def complements(roots: Float[np.ndarray, "b k"]) -> Float[np.ndarray, "b k k-1"]:
    """Return orthonormal bases of what is orthogonal to each vector of positive entries: Householder's reflection."""
    unit = roots / np.linalg.norm(roots, axis=1, keepdims=True)
    mirror = unit + np.eye(roots.shape[1])[0]
    mirror /= np.linalg.norm(mirror, axis=1, keepdims=True)
    return (np.eye(roots.shape[1]) - 2.0 * mirror[:, :, None] * mirror[:, None, :])[:, :, 1:]


def described(places: Float[np.ndarray, "k"], masses: Float[np.ndarray, "k"], beta: float) -> CriticalPoint | None:
    """Return a critical point in its normal form, or `None` where an eigenvalue cannot be told from 0."""
    apart = places[:, None] - places[None, :]
    exponents = beta * np.cos(apart)
    # tokens of one cluster against each other: one eigenvalue, beside the largest weight that has a part in it
    tops = exponents.max(axis=1)
    terms = masses * (np.cos(apart) - beta * np.sin(apart) ** 2) * np.exp(exponents - tops[:, None])
    many = masses > 1
    logs, signs = [tops[many]], [-terms.sum(axis=1)[many]]
    if (np.abs(signs[0]) <= RESOLVED * np.abs(terms).sum(axis=1)[many]).any():
        return None
    times = [masses[many].astype(int) - 1]
    if len(places) > 1:
        bend, top = between(places[None], masses[None], beta)
        across = complements(np.sqrt(masses)[None])[0]
        values = np.linalg.eigvalsh(across.T @ bend[0] @ across)
        if np.abs(values).min() <= RESOLVED * np.abs(values).max():
            return None
        logs, signs = [*logs, np.full(len(values), top[0])], [*signs, values]
        times = [*times, np.ones(len(values), int)]
    logs, signs, times = (np.concatenate(parts) for parts in (logs, signs, times))
    angles = np.repeat(places, masses.astype(int))
    with np.errstate(over="ignore", under="ignore"):
        largest = float((np.sign(signs) * np.exp(logs + np.log(np.abs(signs)))).max())
        energy = float(np.exp(exponents - beta) @ masses @ masses / masses.sum() ** 2)
    counts = (int(times[signs < 0].sum()), 1, int(times[signs > 0].sum()))
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

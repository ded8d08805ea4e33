r"""Configurations at which attention stretches most: gradient ascent of many clouds at once, in closed form.

A norm of the Jacobian is $\langle u, Df[v]\rangle$ at its own best u and v, so its gradient is that of this number with
u and v held. Attention is $Px$ with logits $\ell_{ij}$; with $\dot\ell$ their derivative along v, and means and
covariances by the row's law,

$$ \langle u, Df[v]\rangle = \sum_{ij} P_{ij}\,\langle u_i, v_j\rangle
   + \sum_i \mathrm{cov}_i(\dot\ell_{i\cdot}, \langle u_i, x_\cdot\rangle). $$
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from measureflow import theory

__all__ = [
    "Rise",
    "ascended",
    "rise_of_attention",
    "rise_of_contraction",
    "rise_of_l2_attention",
    "rise_of_mean_square",
]


class Rise(NamedTuple):
    """Sizes of many configurations and their gradients, up to a positive factor for each."""

    sizes: Float[np.ndarray, "k"]
    slopes: Float[np.ndarray, "k m d"]


def ascended(
    rise: Callable[[np.ndarray], Rise],
    starts: Float[np.ndarray, "k m d"],
    steps: int,
    back: Callable[[np.ndarray], np.ndarray],
) -> Float[np.ndarray, "k m d"]:
    """Return configurations that gradient ascent of a size reaches, each with a step length of its own.

    A step that does not raise the size is not taken, and the next is half as long; `back` returns to the set over which
    the size is raised.
    """
    states, (best, slopes) = starts, rise(starts)
    reach = np.full(len(starts), 0.3)
    for _ in range(steps):
        norms = np.linalg.norm(slopes, axis=(1, 2))
        moved = back(states + (reach / np.where(norms > 0, norms, 1.0))[:, None, None] * slopes)
        new = rise(moved)
        better = new.sizes > best
        pick = better[:, None, None]
        states, slopes = np.where(pick, moved, states), np.where(pick, new.slopes, slopes)
        best, reach = np.where(better, new.sizes, best), np.where(better, 1.5, 0.5) * reach
    return states


def turned(matrices: np.ndarray) -> np.ndarray:
    """Return the transposes."""
    return np.swapaxes(matrices, -1, -2)


def rise_by_logits(
    rows: np.ndarray, raised: np.ndarray, points: np.ndarray, left: np.ndarray, right: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Return the gradients of $\langle u, Df[v]\rangle$ by the logits, by their derivative along v, and by the points
    as what is averaged."""

    def centred(values: np.ndarray) -> np.ndarray:
        return values - (rows * values).sum(axis=-1, keepdims=True)

    along, pulled, moved = centred(raised), centred(left @ turned(points)), left @ turned(right)
    return rows * centred(moved + along * pulled), rows * pulled, turned(rows * along) @ left


def rise_of_attention(points: np.ndarray, forms: np.ndarray, causal: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Return the largest singular values of the Jacobians of attention with logits $\langle x_j, Ax_i\rangle$, and
    their gradients by the points and by A."""
    left, sizes, right = np.linalg.svd(theory.jacobian_of_attention(points, form=forms, causal=causal))
    u, v = left[..., 0].reshape(points.shape), right[:, 0].reshape(points.shape)
    logits = points @ turned(forms) @ turned(points)
    rows = theory.gibbs_law(np.where(np.tri(points.shape[1], dtype=bool) | (not causal), logits, -np.inf), 1.0)
    raised = v @ turned(forms) @ turned(points) + points @ turned(forms) @ turned(v)
    by_logits, by_raised, own = rise_by_logits(rows, raised, points, u, v)
    by_points = own + by_logits @ points @ forms + turned(by_logits) @ points @ turned(forms)
    by_points += by_raised @ v @ forms + turned(by_raised) @ v @ turned(forms)
    seen = turned(points) @ turned(by_logits) @ points
    seen += turned(v) @ turned(by_raised) @ points + turned(points) @ turned(by_raised) @ v
    return sizes[:, 0], by_points, seen


def rise_of_l2_attention(points: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    r"""Return the gradient of $\langle u, Df[v]\rangle$ for the logits $-|x_i-x_j|^2$, which may be taken for
    $2\langle x_i,x_j\rangle - |x_j|^2$."""
    square, own = (points**2).sum(axis=-1), (points * right).sum(axis=-1)
    rows = theory.gibbs_law(2.0 * points @ turned(points) - square[:, None], 1.0)
    raised = 2.0 * (right @ turned(points) + points @ turned(right) - own[:, None])
    by_logits, by_raised, pulled = rise_by_logits(rows, raised, points, left, right)
    slopes = pulled + 2.0 * (by_logits @ points + turned(by_logits) @ points)
    slopes += 2.0 * (by_raised @ right + turned(by_raised) @ right)
    return slopes - 2.0 * (by_logits.sum(axis=1)[..., None] * points + by_raised.sum(axis=1)[..., None] * right)


def rise_of_contraction(points: np.ndarray, form: np.ndarray, by_diameter: bool) -> Rise:
    """Return by what part of its bound a step of attention with V = I leaves the diameter, and the gradient of its
    logarithm; of the bound by the diameter, or of that by the oscillation of the logits."""
    each = np.arange(len(points))
    logits = points @ form.T @ turned(points)
    rows = theory.gibbs_law(logits, 1.0)
    wide, apart = widest(points)
    left_wide, left_apart = widest(rows @ points)
    pulled = left_apart @ turned(points)
    by_logits = rows * (pulled - (rows * pulled).sum(axis=-1, keepdims=True))
    slopes = turned(rows) @ left_apart / left_wide[:, None, None] ** 2
    by_logits /= left_wide[:, None, None] ** 2
    if by_diameter:
        half = 0.25 * np.linalg.norm(form, 2) * wide**2
        slopes -= apart * ((1.0 + 4.0 * half / np.sinh(np.minimum(2.0 * half, 700.0))) / wide**2)[:, None, None]
    else:
        half = 0.5 * np.ptp(logits, axis=2).max(axis=1)
        row = np.ptp(logits, axis=2).argmax(axis=1)
        fall = 1.0 / np.sinh(np.minimum(2.0 * half, 700.0))
        by_logits[each, row, logits[each, row].argmax(axis=1)] -= fall
        by_logits[each, row, logits[each, row].argmin(axis=1)] += fall
        slopes -= apart / wide[:, None, None] ** 2
    slopes += by_logits @ points @ form + turned(by_logits) @ points @ form.T
    return Rise(left_wide / (wide * np.tanh(half)), slopes)


def widest(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the diameters, and the difference of the two farthest tokens where they stand: one at the first, minus it
    at the second, 0 elsewhere."""
    each, n = np.arange(len(points)), points.shape[1]
    gaps = np.linalg.norm(points[:, :, None] - points[:, None], axis=-1)
    first, second = np.unravel_index(gaps.reshape(len(points), -1).argmax(axis=1), (n, n))
    apart = np.zeros_like(points)
    apart[each, first] = points[each, first] - points[each, second]
    apart[each, second] = -apart[each, first]
    return gaps[each, first, second], apart


def rise_of_mean_square(points: np.ndarray) -> Rise:
    """Return the largest mean square distance of a token to what it attends to by L2 scores, and the gradient."""
    each, apart = np.arange(len(points)), points[:, :, None] - points[:, None]
    square = (apart**2).sum(axis=-1)
    rows = theory.gibbs_law(-square, 1.0)
    means = (rows * square).sum(axis=-1)
    by_square = np.zeros_like(rows)
    row = means.argmax(axis=1)
    mine = rows[each, row]
    by_square[each, row] = mine * (1.0 - square[each, row] + means[each, row, None])
    slopes = 2.0 * np.einsum("kij,kijc->kic", by_square + turned(by_square), apart)
    return Rise(means.max(axis=1), slopes)

"""What claims share: random instances of one common shape, and what is read off a path with NumPy alone.

Instances of one shape share their compiled programs; reading paths with NumPy keeps a check independent of the
observables that it might otherwise inherit an error from.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float

import measureflow as mf
from measureflow.claims.case import Case

__all__ = [
    "cloud",
    "follow",
    "gaps",
    "gram",
    "masses",
    "sharp",
    "speeds",
    "velocity",
]

#: the common number of tokens
N = 8
#: attempts between two saved times: a hundred times what a sound field needs, and a bound on a harmed one
MAX_STEPS = 5000


def sharp(rtol: float = 1e-12) -> mf.Adaptive:
    """Return the solver of claims that compare to many digits."""
    return mf.Adaptive(rtol=rtol, atol=rtol / 10, pair="dopri8", max_steps=MAX_STEPS)


def masses(case: Case, n: int = N) -> Float[np.ndarray, "n"]:
    """Draw masses that differ by up to a factor of 3."""
    drawn = case.generator("masses").uniform(0.5, 1.5, n)
    return drawn / drawn.sum()


def cloud(
    case: Case, *, d: int = 3, n: int = N, angle: float = np.pi, weights: Any = None, centre: Any = None
) -> mf.Tokens:
    """Draw tokens on the whole sphere (uniform) or in a cap, about a random centre unless one is given.

    Drawn with NumPy: a law of the library would compile some sixty small programs in every new process.
    """
    generator = case.generator("cloud")
    points = normalised(generator.normal(size=(n, d)))
    if angle < np.pi:
        middle = normalised(generator.normal(size=d) if centre is None else np.asarray(centre, float))
        side = normalised(points - np.outer(points @ middle, middle))
        polar = angle * generator.uniform(size=(n, 1)) ** (1.0 / (d - 1))
        points = normalised(np.cos(polar) * middle + np.sin(polar) * side)
    return mf.Tokens(mf.Sphere(d), points, weights)


def normalised(points: Any) -> np.ndarray:
    """Return the directions of the rows."""
    return points / np.linalg.norm(points, axis=-1, keepdims=True)


velocity = eqx.filter_jit(lambda field, mu: field(mu.points, mu))


def speeds(case: Case, field: mf.Field, tokens: mf.Tokens) -> Float[np.ndarray, "n d"]:
    """Return the velocities of the tokens, remembered."""
    return np.asarray(case.measure(velocity, field, tokens))


def gram(points: Any) -> Float[np.ndarray, "*s n n"]:
    """Return the inner products of points `(..., n, d)`."""
    points = np.asarray(points)
    return points @ np.swapaxes(points, -1, -2)


def gaps(points: Any, i: int = 0, j: int = 1) -> Float[np.ndarray, "*s"]:
    """Return `1 - <x_i, x_j>` from the difference, so that close tokens keep their digits."""
    points = np.asarray(points)
    return 0.5 * ((points[..., i, :] - points[..., j, :]) ** 2).sum(axis=-1)


def follow(
    case: Case, tokens: mf.Tokens, field: mf.Field, times: Any, *, rtol: float = 1e-12, **options: Any
) -> Float[np.ndarray, "s n d"]:
    """Return the points of a flow at the given times, remembered; a run that broke off decides nothing.

    Where the tokens came to rest before the end, they stay there.
    """
    path = case.measure(mf.flow, tokens, field, until=float(times[-1]), save=times, solver=sharp(rtol), **options)
    case.require("the flow ran to its end", path.status in ("reached", "stationary"))
    points = np.asarray(path.points)
    reached = np.searchsorted(np.asarray(path.times), times, side="right") - 1
    return points[np.minimum(reached, len(points) - 1)]

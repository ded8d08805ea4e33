"""Brownian paths that leave an ellipsoid: a seeded estimate of the minimiser of full support, in any dimension."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float

from measureflow.measures import Tokens
from measureflow.spaces import Sphere
from measureflow.theory.checks import as_count
from measureflow.theory.forms import as_form, as_positive_form

__all__ = ["ExitsFromEllipsoid", "full_support_by_exits"]

#: paths within this share of the least axis of the boundary have left; no path takes more steps than MOST
SHELL, MOST = 1e-5, 10_000


@dataclasses.dataclass(frozen=True)
class ExitsFromEllipsoid:
    r"""Where killed Brownian paths left, drawn on the sphere.

    Attributes:
        energy: the estimate of $\min E_2 = 1 / E_0[e^{-\tau/2}]$, and its standard_error.
        measure: the exits as tokens, weighted by the chance $e^{-\tau/2}$ of being alive.
        second_moments: $E[y_i^2]$ along the eigenvectors, smallest eigenvalue first, and their errors.
    """

    energy: float
    standard_error: float
    measure: Tokens
    second_moments: Float[np.ndarray, "d"]
    errors: Float[np.ndarray, "d"]


def full_support_by_exits(form: Any, *, paths: int = 20_000, seed: int = 0) -> ExitsFromEllipsoid:
    r"""Estimate the minimiser of full support from Brownian paths that leave the ellipsoid, by walks on spheres.

    From a point inside, Brownian motion leaves the largest known ball of radius r about it uniformly, and alive with
    the chance $E[e^{-\tau/2}] = 1/\varphi_d(r)$, $\varphi_d(r) = \Gamma(\tfrac d2)(2/r)^{d/2-1} I_{d/2-1}(r)$; so jump,
    and multiply, until the boundary is within 1e-5 of the least axis. Derived, for
    [arXiv:2501.03096](https://arxiv.org/abs/2501.03096); the Feynman-Kac form of $\mu_D$ of `full_support_minimiser`.

    Arguments:
        paths: how many; the errors fall like their root. seed: an integer.

    Raises:
        BadInput: a form that is not symmetric and positive definite, or no paths.

    Example:
        >>> import numpy as np
        >>> from measureflow import theory
        >>> found = theory.full_support_by_exits(np.diag([1.0, 2.0, 3.0]), paths=2000, seed=1)
        >>> abs(found.energy - 1.403663) < 4 * found.standard_error < 0.04
        True
    """
    eigenvalues, axes = as_positive_form(as_form(form))
    generator = np.random.default_rng(as_count("seed", seed, 0))
    count, d = as_count("paths", paths, 2), len(eigenvalues)
    places, alive, moving = np.zeros((count, d)), np.ones(count), np.arange(count)
    for _ in range(MOST):
        radius = inscribed(places[moving], eigenvalues)
        moving, radius = moving[radius > SHELL * eigenvalues[0]], radius[radius > SHELL * eigenvalues[0]]
        if not len(moving):
            break
        steps = generator.normal(size=(len(moving), d))
        places[moving] += radius[:, None] * steps / np.linalg.norm(steps, axis=1, keepdims=True)
        alive[moving] /= alive_through(radius, d)
    exits = places / eigenvalues
    exits = exits / np.linalg.norm(exits, axis=1, keepdims=True)
    mean = float(alive.mean())
    second = (alive[:, None] * exits**2).mean(axis=0) / mean
    spread = (alive[:, None] * (exits**2 - second)).std(axis=0, ddof=1)
    return ExitsFromEllipsoid(
        energy=1.0 / mean,
        standard_error=float(alive.std(ddof=1) / np.sqrt(count) / mean**2),
        measure=Tokens(Sphere(d), exits @ axes.T, alive / alive.sum()),
        second_moments=second,
        errors=spread / (mean * np.sqrt(count)),
    )


def inscribed(places: Float[np.ndarray, "m d"], axes: Float[np.ndarray, "d"]) -> Float[np.ndarray, "m"]:
    r"""Return a radius for which the ball about each place is inside the ellipsoid.

    $|D^{-1}(z + ru)|^2 \le |D^{-1}z|^2 + 2r|D^{-2}z| + r^2/\lambda_{\min}^2$, at most 1.
    """
    share, slope = ((places / axes) ** 2).sum(axis=1), np.linalg.norm(places / axes**2, axis=1)
    room = np.maximum(1.0 - share, 0.0)
    # the root of the quadratic without cancellation
    return room / (slope + np.sqrt(slope**2 + room / axes[0] ** 2))


def alive_through(radius: Float[np.ndarray, "m"], d: int) -> Float[np.ndarray, "m"]:
    """Return how many paths enter a ball for each that leaves it alive, by the power series."""
    term = total = np.ones_like(radius)
    for j in range(1, 500):
        term = term * radius**2 / (4.0 * j * (j + d / 2.0 - 1.0))
        total = total + term
        if not len(term) or float((term / total).max()) < 1e-17:
            break
    return total

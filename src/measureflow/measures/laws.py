"""Laws of initial tokens: uniform, caps, mixtures, equiangular frames, von Mises-Fisher and Gaussian clouds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from measureflow.errors import BadInput
from measureflow.measures.gaussians import Gaussian, checked_covariance, numbers
from measureflow.measures.seeds import as_key
from measureflow.measures.tokens import Tokens
from measureflow.spaces import Euclidean, Space, Sphere, is_traced

__all__ = ["cap", "equiangular", "gaussian", "mixture", "uniform", "von_mises_fisher"]


def uniform(space: Space, n: int, *, seed: Any = 0) -> Tokens:
    """Draw `n` independent tokens of the uniform law (sphere; on Euclidean space, of the cube `[-1, 1]^d`).

    Example:
        >>> import measureflow as mf
        >>> mf.uniform(mf.Sphere(3), n=200, seed=0)
        Tokens(n=200, Sphere(d=3))
    """
    if not isinstance(space, Space):
        raise BadInput(f"uniform: space is {space!r}; it must be a space such as mf.Sphere(3).")
    return Tokens(space, drawn(space, as_key(seed), count(n)))


@eqx.filter_jit
def drawn(space: Space, key: Array, n: int) -> Array:
    """Draw uniform points in one program."""
    return space.uniform(key, n)


def cap(space: Sphere, n: int, *, centre: Any = None, angle: float, seed: Any = 0) -> Tokens:
    r"""Draw `n` uniform tokens of the spherical cap of half-angle `angle` (radians, in `(0, pi]`) about `centre`.

    The height $z = \langle x, c\rangle$ has density $\propto (1-z^2)^{(d-3)/2}$ on $[\cos(\text{angle}), 1]$; it is
    drawn by inverting that law exactly (an incomplete beta function), never by rejection.

    Example:
        >>> import measureflow as mf
        >>> tokens = mf.cap(mf.Sphere(3), 50, centre=[0.0, 0.0, 1.0], angle=0.2)
        >>> bool((tokens.points[:, 2] >= 0.98).all())
        True
    """
    on_sphere(space, "cap")
    if not is_traced(angle) and not (0.0 < number(angle, "cap: angle") <= math.pi):
        raise BadInput(f"cap: angle is {angle}; it is a half-angle in radians, in (0, pi].")
    key, ring = jax.random.split(as_key(seed))
    u = jax.random.uniform(key, (count(n),), dtype=float)
    polar = cap_angles(u, space.d, jnp.asarray(angle, float))
    return Tokens(space, around(space, ring, polar, direction(space, centre, "cap: centre")))


@eqx.filter_jit
def cap_angles(u: Array, d: int, angle: Array) -> Array:
    r"""Return the polar angle whose law has density $\propto \sin^{d-2}$ on `[0, angle]`, at uniform `u`."""
    if d == 2:
        return u * angle
    if d == 3:  # area is proportional to height: 2 sin^2(polar/2) is uniform
        return 2.0 * jnp.arcsin(jnp.sqrt(u) * jnp.sin(angle / 2.0))
    # invert the increasing function I(polar) = integral of sin^(d-2) by bisection, to the last bit of the angle
    shape = (d - 1) / 2.0

    def mass(polar: Array) -> Array:
        return jax.scipy.special.betainc(shape, shape, jnp.sin(polar / 2.0) ** 2)

    goal = u * mass(angle)
    low, high = jnp.zeros_like(u), jnp.full_like(u, angle)

    def halve(_: int, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = 0.5 * (low + high)
        below = mass(middle) < goal
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    low, high = jax.lax.fori_loop(0, 60, halve, (low, high))
    return 0.5 * (low + high)


@eqx.filter_jit
def around(space: Sphere, key: Array, polar: Array, centre: Array) -> Array:
    """Return points at polar angles `polar` from `centre`, with uniform direction around it."""
    n = polar.shape[0]
    if space.d == 2:
        sign = jnp.where(jax.random.bernoulli(key, 0.5, (n, 1)), 1.0, -1.0)
        side = sign * jnp.stack([-centre[1], centre[0]])[None]
    else:
        free = jax.random.normal(key, (n, space.d), dtype=float)
        side = space.project(space.tangent(jnp.broadcast_to(centre, free.shape), free))
    return space.project(jnp.cos(polar)[:, None] * centre + jnp.sin(polar)[:, None] * side)


def von_mises_fisher(space: Sphere, n: int, *, centre: Any = None, kappa: float, seed: Any = 0) -> Tokens:
    r"""Draw `n` tokens of the law with density $\propto e^{\kappa\langle c, x\rangle}$; `kappa = 0` is uniform.

    The angle to the centre is drawn by inverting its distribution function to rounding: cell by cell from a table on
    4,096 cells fitted to the bulk, and within the cell by Newton's method on the same Gauss-Legendre quadrature.

    Example:
        >>> import measureflow as mf
        >>> mf.von_mises_fisher(mf.Sphere(3), 100, centre=[1.0, 0.0, 0.0], kappa=10.0)
        Tokens(n=100, Sphere(d=3))
    """
    on_sphere(space, "von_mises_fisher")
    kappa = number(kappa, "von_mises_fisher: kappa")
    if kappa < 0:
        raise BadInput(f"von_mises_fisher: kappa is {kappa}; a concentration is >= 0. Use -centre for the rest.")
    key, ring = jax.random.split(as_key(seed))
    u = np.asarray(jax.random.uniform(key, (count(n),), dtype=float))
    polar = jnp.asarray(fisher_angles(u, space.d, kappa), float)
    return Tokens(space, around(space, ring, polar, direction(space, centre, "von_mises_fisher: centre")))


def fisher_angles(u: np.ndarray, d: int, kappa: float) -> np.ndarray:
    r"""Invert the distribution function of density $\propto \sin^{d-2}(t)\, e^{\kappa(\cos t - 1)}$ on `[0, pi]`."""
    # beyond this angle the density is below e^-80 of its largest value, so the table need not reach it
    reach = math.pi if kappa < 60 else min(math.pi, 2.0 * math.sqrt((80.0 + d * math.log(kappa)) / kappa))
    nodes, weights = np.polynomial.legendre.leggauss(8)

    def logs(t: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            bulk = 0.0 if d == 2 else (d - 2) * np.log(np.sin(t))
        return bulk - 2.0 * kappa * np.sin(t / 2.0) ** 2

    def mass(low: np.ndarray, width: np.ndarray) -> np.ndarray:
        half = 0.5 * width
        return half * (np.exp(logs(low[:, None] + half[:, None] * (nodes + 1.0)) - top) @ weights)

    edges = np.linspace(0.0, reach, 4097)
    top = logs(edges[1:-1]).max()
    table = np.concatenate([[0.0], np.cumsum(mass(edges[:-1], np.diff(edges)))])
    goal = u * table[-1]
    cell = np.clip(np.searchsorted(table, goal, side="right") - 1, 0, 4095)
    base, rest, whole = edges[cell], goal - table[cell], table[cell + 1] - table[cell]
    # the density begins like t^(d-2), so that in the first cell the angle goes like the (d-1)-th root of the mass
    share = np.clip(rest / np.where(whole > 0, whole, 1.0), 0.0, 1.0)
    low, high = np.zeros_like(base), edges[cell + 1] - base
    step = high * np.where(cell == 0, share ** (1.0 / (d - 1)), share)
    for _ in range(8):
        excess = mass(base, step) - rest
        low, high = np.where(excess < 0, step, low), np.where(excess < 0, high, step)
        slope = np.exp(logs(base + step) - top)
        newton = step - excess / np.where(slope > 0, slope, np.inf)
        step = np.where((newton >= low) & (newton <= high), newton, 0.5 * (low + high))
    return base + step


def mixture(parts: list[Tokens], weights: Any = None) -> Tokens:
    """Join tokens of several laws into one measure, with the mass `weights[q]` on part q (default: by token count).

    Example:
        >>> import measureflow as mf
        >>> caps = [mf.cap(mf.Sphere(3), 20, centre=c, angle=0.2, seed=q) for q, c in enumerate([[1, 0, 0], [0, 1, 0]])]
        >>> mf.mixture(caps)
        Tokens(n=40, Sphere(d=3))
    """
    if not isinstance(parts, Sequence) or not parts or any(not isinstance(part, Tokens) for part in parts):
        raise BadInput("mixture: give a non-empty list of Tokens, such as [mf.cap(...), mf.cap(...)].")
    space = parts[0].space
    if any(part.space != space for part in parts):
        raise BadInput(
            f"mixture: the parts live in {sorted({repr(p.space) for p in parts})}; they must share one space."
        )
    counts = np.array([part.n for part in parts], float)
    shares = counts / counts.sum() if weights is None else numbers(weights, "mixture: weights")
    if shares.shape != (len(parts),) or (shares < 0).any() or abs(shares.sum() - 1) > 1e-6:
        raise BadInput(f"mixture: weights are {weights}; give {len(parts)} masses >= 0 that sum to 1.")
    labels = None
    if any(part.labels for part in parts):
        labels = [word for part in parts for word in (part.labels or ("",) * part.n)]
    return Tokens(
        space,
        jnp.concatenate([part.points for part in parts]),
        jnp.concatenate([share * part.weights for share, part in zip(shares, parts, strict=True)]),
        present=jnp.concatenate([part.present for part in parts]),
        labels=labels,
    )


def equiangular(space: Sphere | None = None, n: int = 2, *, cosine: float) -> Tokens:
    r"""Return `n` tokens with one common overlap $\langle x_i, x_j\rangle =$ `cosine` for all pairs, to 1e-14.

    The overlap lies in `[-1/(n-1), 1]`. `space` defaults to `Sphere(n)`; it must hold the configuration: `d >= n`, or
    `d = n - 1` for the regular simplex `cosine = -1/(n-1)`.

    Example:
        >>> import measureflow as mf
        >>> frame = mf.equiangular(n=8, cosine=0.3)
        >>> round(float(frame.points[0] @ frame.points[7]), 14)
        0.3
    """
    n = count(n)
    if n < 2:
        raise BadInput(f"equiangular: n is {n}; an overlap needs at least 2 tokens.")
    cosine = number(cosine, "equiangular: cosine")
    if not (-1.0 / (n - 1) - 1e-15 <= cosine <= 1.0):
        raise BadInput(
            f"equiangular: cosine is {cosine}; {n} tokens can share overlaps in [{-1 / (n - 1):.6g}, 1] only."
        )
    simplex = abs(cosine + 1.0 / (n - 1)) < 1e-15
    space = Sphere(n) if space is None else space
    on_sphere(space, "equiangular")
    if space.d < n - simplex:
        raise BadInput(
            f"equiangular: {n} tokens of overlap {cosine} span {n - simplex} dimensions, {space!r} has {space.d}. "
            f"Use mf.Sphere({n - simplex}) or larger."
        )
    # x_i = s (e_i - m) + m', with m the mean of the frame: the Gram matrix is (1-c) I + c 11^T
    frame = np.eye(n)
    mean = np.full(n, 1.0 / n)
    spread, lift = math.sqrt(1.0 - cosine), math.sqrt(max(0.0, (1.0 + (n - 1) * cosine)))
    points = spread * (frame - mean) + lift * mean
    if space.d < n:  # the simplex lies in the hyperplane orthogonal to (1, .., 1): drop that direction by a reflection
        normal = np.full(n, 1.0 / math.sqrt(n))
        mirror = normal - frame[-1]
        points = (points - 2.0 * np.outer(points @ mirror, mirror) / (mirror @ mirror))[:, : n - 1]
    padded = np.zeros((n, space.d))
    padded[:, : points.shape[1]] = points[:, : space.d]
    return Tokens(space, padded / np.linalg.norm(padded, axis=1, keepdims=True))


def gaussian(space: Euclidean, n: int, *, mean: Any = None, covariance: Any = None, seed: Any = 0) -> Tokens:
    """Draw `n` independent Gaussian tokens of mean `mean` (default 0) and covariance `covariance` (default I).

    `covariance` is a positive semi-definite `(d, d)` matrix, or a number for a multiple of the identity.

    Example:
        >>> import measureflow as mf
        >>> mf.gaussian(mf.Euclidean(2), 100, covariance=0.25)
        Tokens(n=100, Euclidean(d=2))
    """
    if not isinstance(space, Euclidean):
        raise BadInput(
            f"gaussian: space is {space!r}; Gaussian clouds live in mf.Euclidean(d). Project them for a sphere."
        )
    d = space.d
    centre = np.zeros(d) if mean is None else numbers(mean, "gaussian: mean")
    spread = np.eye(d) if covariance is None else numbers(covariance, "gaussian: covariance")
    spread = spread * np.eye(d) if spread.ndim == 0 else spread
    if centre.shape != (d,) or spread.shape != (d, d):
        raise BadInput(f"gaussian: mean {centre.shape} and covariance {spread.shape} do not fit {space!r}.")
    spread = checked_covariance("gaussian: the covariance", spread, d)
    return Gaussian(centre, spread).sample(count(n), seed=seed)


def count(n: Any) -> int:
    """Return `n` as an integer, or raise `BadInput`: a law needs at least one token."""
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise BadInput(f"n is {n!r}; the number of tokens must be an integer of at least 1.")
    return int(n)


def number(value: Any, name: str) -> float:
    """Return one finite real number, or raise `BadInput` that names the value."""
    array = numbers(value, name)
    if array.ndim:
        raise BadInput(f"{name} is {array.tolist()}; it must be one number.")
    return float(array)


def on_sphere(space: Any, law: str) -> None:
    """Raise `BadInput` unless `space` is a sphere."""
    if not isinstance(space, Sphere):
        raise BadInput(f"{law}: space is {space!r}; this law lives on a sphere, such as mf.Sphere(3).")


def direction(space: Sphere, centre: Any, name: str) -> Array:
    """Return `centre` as a unit vector; `None` is the last coordinate axis."""
    if centre is None:
        return jnp.asarray(np.eye(space.d)[-1], float)
    values = numbers(centre, name)
    length = float(np.linalg.norm(values)) if values.shape == (space.d,) else 0.0
    if not length > 0:
        raise BadInput(f"{name} is {values.tolist()}; it must be a non-zero vector of length {space.d}.")
    return jnp.asarray(values / length, float)

"""Couplings from which geodesics start: on the circle one for each rotation, elsewhere the cheapest plans."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from measureflow.measures import Density, Tokens
from measureflow.measures.distances import lengths
from measureflow.measures.quantiles import Quantiles, quantiles_of
from measureflow.measures.transport import Plan, matched, offsets, pair_plan
from measureflow.spaces import Sphere

__all__ = ["Coupling", "couplings"]

#: rotations that are looked at
ROTATIONS = 256
#: random costs beside the squared distance that give plans where there is no order, and how far they are from it
RANDOM, SPREAD = 3, 0.3


@dataclasses.dataclass(frozen=True)
class Coupling:
    """Masses, where each begins and ends, and the arc between.

    Attributes:
        masses: `(n,)`. begin: `(n, d)`.
        turned: `(n,)` on the circle, the angle by which each moves on the covering line; else `None`.
        end: `(n, d)` elsewhere than on the circle.
        offset: share of a turn by which the quantiles are ahead.
        rows: `(n,)` which token of the first measure each piece comes from; `None` where that was a density.
        shifted: gives the coupling of an offset that is larger by a number; `None` where it is not free.
        rates: gives the derivatives of the two angles by the offset, where it is free.
    """

    masses: Float[np.ndarray, "n"]
    begin: Float[np.ndarray, "n d"]
    end: Float[np.ndarray, "n d"]
    turned: Float[np.ndarray, "n"] | None = None
    offset: float = float("nan")
    rows: np.ndarray | None = None
    shifted: Callable[[float], Coupling] | None = None
    rates: Callable[[], tuple[Any, Any]] = lambda: (0.0, 0.0)

    def straight(self, times: int) -> Float[np.ndarray, "m n d"]:
        """Return the path on which each moves at constant speed along its arc."""
        t = np.linspace(0.0, 1.0, times)[:, None]
        if self.turned is not None:
            first = np.arctan2(self.begin[:, 1], self.begin[:, 0])
            return on_circle(first + t * self.turned)
        x, y = self.begin, self.end
        angle = lengths(Sphere(x.shape[1]), x, y, np)
        side = y - (x * y).sum(axis=-1, keepdims=True) * x
        # to the opposite point all directions are as near: away from the axis that is least along x
        axis = np.eye(x.shape[1])[np.abs(x).argmin(axis=-1)]
        across = axis - (x * axis).sum(axis=-1, keepdims=True) * x
        side = np.where((side**2).sum(axis=-1, keepdims=True) > 1e-24, side, across)
        side = side / np.linalg.norm(side, axis=-1, keepdims=True)
        path = np.cos(t * angle)[..., None] * x + np.sin(t * angle)[..., None] * side
        return path / np.linalg.norm(path, axis=-1, keepdims=True)

    def carried(self, states: Float[np.ndarray, "m n d"], other: Coupling) -> Float[np.ndarray, "m n d"]:
        """Return a path of this coupling turned into one of another offset, each state in proportion."""
        assert self.turned is not None
        assert other.turned is not None
        t = np.linspace(0.0, 1.0, len(states))[:, None]
        apart = np.arctan2(other.begin[:, 1], other.begin[:, 0]) - np.arctan2(self.begin[:, 1], self.begin[:, 0])
        apart = (apart + np.pi) % (2 * np.pi) - np.pi
        angles = np.arctan2(states[..., 1], states[..., 0])
        return on_circle(angles + apart + t * (other.turned - self.turned))

    def tokens(self, mu: Tokens | Density) -> Tokens:
        """Return the tokens that move: those of the first measure where none is split, with their words."""
        if isinstance(mu, Tokens) and self.whole(mu):
            return mu
        return Tokens(mu.space, self.begin, self.masses / self.masses.sum())

    def whole(self, mu: Tokens) -> bool:
        """Tell whether each token of a measure is one piece, in order."""
        return self.rows is not None and np.array_equal(self.rows, np.arange(mu.n))


def on_circle(angles: np.ndarray) -> np.ndarray:
    """Return points at angles."""
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def couplings(mu0: Tokens | Density, mu1: Tokens | Density, form: np.ndarray, quantiles: int) -> list[Coupling]:
    """Return the couplings to start from; on the circle in order of their offsets."""
    if mu0.space != Sphere(2):
        assert isinstance(mu0, Tokens)
        assert isinstance(mu1, Tokens)
        return by_plans(mu0, mu1, form)
    if isinstance(mu0, Tokens) and isinstance(mu1, Tokens):
        return by_rotations(mu0, mu1)
    one, other = quantiles_of("wasserstein_m", mu0), quantiles_of("wasserstein_m", mu1)
    u = (np.arange(quantiles) + 0.5) / quantiles
    begin, end = one(u), other(u)
    middle = float((begin - end).mean()) / (2 * np.pi)  # by it nothing moves on average
    late = other.modes is not None
    begin, end = (begin, other(u + middle)) if late else (one(u - middle), end)
    found = []
    for k in range(-(quantiles // 2), (quantiles + 1) // 2):
        # whole steps of the quantiles: the same angles, each given to another
        turns, places = np.divmod(np.arange(quantiles) + k, quantiles)
        found.append(of_angles(one, other, u, middle + k / quantiles, begin, end[places] + 2 * np.pi * turns))
    return found if quantiles <= ROTATIONS else found[:: -(-quantiles // ROTATIONS)]


def by_quantiles(one: Quantiles, other: Quantiles, u: np.ndarray, offset: float) -> Coupling:
    """Return the coupling of equal masses at the quantiles, the offset being given to a density."""
    late = other.modes is not None
    begin, end = (one(u), other(u + offset)) if late else (one(u - offset), other(u))
    return of_angles(one, other, u, offset, begin, end)


def of_angles(
    one: Quantiles, other: Quantiles, u: np.ndarray, offset: float, begin: np.ndarray, end: np.ndarray
) -> Coupling:
    """Return the coupling of quantiles whose angles are known."""

    def rates() -> tuple[Any, Any]:
        return (0.0, other.slope(end)) if other.modes is not None else (-one.slope(begin), 0.0)

    return Coupling(
        masses=np.full(len(u), 1.0 / len(u)),
        begin=on_circle(begin),
        end=on_circle(end),
        turned=end - begin,
        offset=offset,
        shifted=lambda more: by_quantiles(one, other, u, offset + more),
        rates=rates,
    )


def with_mass(mu: Tokens) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the indices, points and masses of the tokens that have mass."""
    weights = np.asarray(mu.weights, float)
    kept = np.flatnonzero(weights > 0)
    return kept, np.asarray(mu.points, float)[kept], weights[kept] / weights.sum()


def by_rotations(mu0: Tokens, mu1: Tokens) -> list[Coupling]:
    """Return the matchings in order of two sets of tokens on the circle, within half a turn of no motion on average."""
    (own, x, a), (_, y, b) = with_mass(mu0), with_mass(mu1)
    angles, others = np.arctan2(x[:, 1], x[:, 0]), np.arctan2(y[:, 1], y[:, 0])
    low = float(a @ angles - b @ others) / (2 * np.pi) - 0.5
    every = np.sort(low + (offsets(angles, a, others, b) - low) % 1.0)
    if len(every) > ROTATIONS:
        every = every[np.linspace(0, len(every) - 1, ROTATIONS).astype(int)]
    found = []
    for offset in every:
        (rows, columns, masses), turned = matched(angles, a, others, b, float(offset))
        order = np.argsort(rows, kind="stable")
        rows, columns = rows[order], columns[order]
        found.append(Coupling(masses[order], x[rows], y[columns], turned[order], float(offset), rows=own[rows]))
    return found


def by_plans(mu0: Tokens, mu1: Tokens, form: np.ndarray) -> list[Coupling]:
    """Return plans that are optimal for the squared distance, for it times the mobility, and for random costs near."""
    (own, x, a), (_, y, b) = with_mass(mu0), with_mass(mu1)
    square = lengths(mu0.space, x[:, None], y[None], np) ** 2
    heavy = 0.5 * ((np.exp(x @ form @ x.T) @ a)[:, None] + (np.exp(y @ form @ y.T) @ b)[None, :])
    noise = np.random.default_rng(0)
    costs = [square, heavy * square]
    costs += [heavy * square * np.exp(SPREAD * noise.normal(size=square.shape)) for _ in range(RANDOM)]
    found: dict[Any, Coupling] = {}
    for cost in costs:
        rows, columns, masses = in_order(pair_plan(cost, a, b, "wasserstein_m"))
        found.setdefault((rows.tobytes(), columns.tobytes()), Coupling(masses, x[rows], y[columns], rows=own[rows]))
    return list(found.values())


def in_order(plan: Plan) -> Plan:
    """Return a plan by rows."""
    order = np.argsort(plan.rows, kind="stable")
    return Plan(plan.rows[order], plan.columns[order], plan.masses[order])

r"""The action of tokens on a sphere in the metric with mobility `mu/Z_mu`: its value, its slope, its least value.

A path of states $X_0 .. X_m$ at equal steps h of time has the action

$$ A = \frac1{2h} \sum_k \sum_i w_i\, (Z_i(X_k) + Z_i(X_{k+1}))\, \alpha_i^2, \qquad
   Z_i(X) = \sum_j w_j e^{x_i\cdot Dx_j} $$

with the angles alpha between consecutive states: of second order in h, and symmetric in time. All in NumPy, since
shapes differ from call to call, and in memory of one kernel matrix for each state.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

__all__ = ["Action", "Descent", "descended", "tangent"]

#: below this square of a chord the angle is taken from its series
NEAR = 1e-3
#: Gauss points of an interval, for the length of the smooth curve through the states
NODES = np.array([0.5 - np.sqrt(0.15), 0.5, 0.5 + np.sqrt(0.15)])
SHARES = np.array([5.0, 8.0, 5.0]) / 18.0

States = Float[np.ndarray, "m n d"]


def tangent(x: Float[np.ndarray, "*b d"], v: Float[np.ndarray, "*b d"]) -> Float[np.ndarray, "*b d"]:
    """Return the tangent part of ambient vectors."""
    return v - (v * x).sum(axis=-1, keepdims=True) * x


def squared_angles(x: Float[np.ndarray, "*b d"], y: Float[np.ndarray, "*b d"]) -> tuple[np.ndarray, ...]:
    r"""Return $\alpha^2$ and its first two derivatives by the squared chord $2 - 2\cos\alpha$."""
    chord = ((x - y) ** 2).sum(axis=-1)
    near = chord < NEAR
    angle = 2.0 * np.arcsin(np.minimum(0.5 * np.sqrt(np.where(near, 1.0, chord)), 1.0))
    sine = np.maximum(np.sin(angle), 1e-12)
    # alpha^2 = c + c^2/12 + c^3/90 + c^4/560 + c^5/3150 + ..
    series = chord * (1.0 + chord * (1 / 12 + chord * (1 / 90 + chord * (1 / 560 + chord / 3150))))
    first = 1.0 + chord * (1 / 6 + chord * (1 / 30 + chord * (1 / 140 + chord / 630)))
    second = 1 / 6 + chord * (1 / 15 + chord * (3 / 140 + chord * 2 / 315))
    return (
        np.where(near, series, angle**2),
        np.where(near, first, angle / sine),
        np.where(near, second, (sine - angle * np.cos(angle)) / (2.0 * sine**3)),
    )


@dataclasses.dataclass(frozen=True)
class Action:
    r"""What is made least: the action between two states, or one step of minimising movements.

    Attributes:
        form: `(d, d)` symmetric. masses: `(n,)` positive.
        step: `None` holds both ends of a path, and its action A is made least; a number `tau` leaves the last state
            free, for $A/(2\tau) + E(X_m)$ with the energy $E = \frac12\sum_{ij} w_i w_j e^{x_i\cdot Dx_j}$.
    """

    form: Float[np.ndarray, "d d"]
    masses: Float[np.ndarray, "n"]
    step: float | None = None

    def kernel(self, x: Float[np.ndarray, "*b n d"]) -> Float[np.ndarray, "*b n n"]:
        r"""Return $e^{x_i\cdot Dx_j}$."""
        return np.exp(x @ self.form @ np.swapaxes(x, -1, -2))

    def mobility(self, x: Float[np.ndarray, "*b n d"]) -> Float[np.ndarray, "*b n"]:
        """Return $Z_i$."""
        return self.kernel(x) @ self.masses

    def energy(self, x: Float[np.ndarray, "*b n d"]) -> Float[np.ndarray, "*b"]:
        """Return E of a state."""
        return 0.5 * self.mobility(x) @ self.masses

    def speeds(self, x: States) -> Float[np.ndarray, "r"]:
        """Return the speed in the metric on each interval, where all of them together take a time of 1."""
        z, squares = self.mobility(x), squared_angles(x[:-1], x[1:])[0]
        return (len(x) - 1) * np.sqrt(0.5 * ((z[:-1] + z[1:]) * squares) @ self.masses)

    def action(self, x: States) -> float:
        """Return A."""
        return float((self.speeds(x) ** 2).mean())

    def value(self, x: States) -> float:
        """Return what is made least."""
        return self.action(x) if self.step is None else self.action(x) / (2 * self.step) + float(self.energy(x[-1]))

    def smooth_action(self, x: States) -> float:
        """Return the action of the smooth curve through the states: of fourth order where they are critical.

        On the circle the angles are interpolated, elsewhere the points.
        """
        from scipy.interpolate import CubicSpline  # imported when used: it is slow to import

        count = len(x) - 1
        if count < 3:
            return self.action(x)
        at, share = ((np.arange(count)[:, None] + NODES) / count).ravel(), np.tile(SHARES, count) / count
        times = np.linspace(0.0, 1.0, count + 1)
        if x.shape[-1] == 2:
            angles = CubicSpline(times, np.unwrap(np.arctan2(x[..., 1], x[..., 0]), axis=0))
            y = np.stack([np.cos(angles(at)), np.sin(angles(at))], axis=-1)
            squares = angles(at, 1) ** 2
        else:
            curve = CubicSpline(times, x)
            size = np.linalg.norm(curve(at), axis=-1, keepdims=True)
            y = curve(at) / size
            squares = (tangent(y, curve(at, 1) / size) ** 2).sum(axis=-1)
        return float(share @ ((self.mobility(y) * squares) @ self.masses))

    @property
    def free(self) -> slice:
        """Which states may move."""
        return slice(1, -1 if self.step is None else None)

    def rates(self, squares: Float[np.ndarray, "r n"]) -> States:
        """Return what stands beside `w_i Z_i` of each state in the functional, from what its intervals have."""
        scale = 0.5 * len(squares) * (1.0 if self.step is None else 0.5 / self.step)
        rate = np.zeros((len(squares) + 1, squares.shape[1]))
        rate[:-1] += scale * squares
        rate[1:] += scale * squares
        return rate

    def slopes(self, x: States) -> tuple[States, Callable[[States], States]]:
        """Return the derivative by every state, as tangent vectors, and its own derivative along tangent vectors.

        The latter is the Hessian of the sphere, and takes and gives vectors of the free states.
        """
        w, scale = self.masses, (len(x) - 1) * (1.0 if self.step is None else 0.5 / self.step)
        kernel = self.kernel(x) * w  # from i to j, with the mass of j
        z, pulls, ends = kernel.sum(axis=-1), x @ self.form, (x[:-1], x[1:])
        squares, first, second = squared_angles(*ends)
        rate = self.rates(squares)
        if self.step is not None:
            rate[-1] += 0.5
        shared = kernel * w[:, None] * (rate[:, :, None] + rate[:, None, :])
        stiff = scale * w * (z[:-1] + z[1:])
        ambient = shared @ pulls
        ambient[:-1] -= (stiff * first)[..., None] * x[1:]
        ambient[1:] -= (stiff * first)[..., None] * x[:-1]
        radial, free = (ambient * x).sum(axis=-1, keepdims=True), self.free

        def turned(part: States) -> States:
            v = np.zeros_like(x)
            v[free] = part
            both = v @ np.swapaxes(pulls, -1, -2)
            both = both + pulls @ np.swapaxes(v, -1, -2)  # of the exponents x_i . D x_j
            chords = -2.0 * ((v[:-1] * x[1:]).sum(axis=-1) + (v[1:] * x[:-1]).sum(axis=-1))
            z_turned = (kernel * both).sum(axis=-1)
            rate_turned = self.rates(first * chords)
            mixed = shared * both + kernel * w[:, None] * (rate_turned[:, :, None] + rate_turned[:, None, :])
            out = mixed @ pulls + shared @ (v @ self.form)
            along = (scale * w * (z_turned[:-1] + z_turned[1:]) * first + stiff * second * chords)[..., None]
            out[:-1] -= along * x[1:] + (stiff * first)[..., None] * v[1:]
            out[1:] -= along * x[:-1] + (stiff * first)[..., None] * v[:-1]
            return tangent(x, out - radial * v)[free]

        return ambient - radial * x, turned

    def inertia(self, x: States) -> Callable[[States], States]:
        """Return the inverse of the Hessian of the kinetic part with the mobility held: a good preconditioner.

        It is tridiagonal for each token by itself.
        """
        z = self.mobility(x)
        stiff = (len(x) - 1) * (1.0 if self.step is None else 0.5 / self.step) * self.masses * (z[:-1] + z[1:])
        diagonal = stiff + np.concatenate([stiff[1:], np.zeros_like(stiff[:1])])
        diagonal = diagonal if self.step is not None else diagonal[:-1]
        factor = np.empty_like(diagonal)  # of the factors above the diagonal, forwards
        pivots = diagonal.copy()
        for k in range(1, len(diagonal)):
            factor[k] = stiff[k] / pivots[k - 1]
            pivots[k] = diagonal[k] - stiff[k] * factor[k]
        states = x[self.free]

        def solved(right: States) -> States:
            found = right.copy()
            for k in range(1, len(found)):
                found[k] += factor[k][:, None] * found[k - 1]
            found[-1] /= pivots[-1][:, None]
            for k in range(len(found) - 2, -1, -1):
                found[k] = (found[k] + stiff[k + 1][:, None] * found[k + 1]) / pivots[k][:, None]
            return tangent(states, found)

        return solved

    def residual(self, x: States, slope: States) -> float:
        """Return the defect of the Euler-Lagrange equations beside the speed, both in the metric.

        It is the acceleration that is left over along a path that takes a time of 1, in units of the speed.
        """
        left = slope[self.free] * (1.0 if self.step is None else 2 * self.step)
        square = ((left**2).sum(axis=-1) / (self.masses * self.mobility(x[self.free]))).sum() * (len(x) - 1)
        speed = np.sqrt(self.action(x))
        return float(np.sqrt(square) / (2.0 * speed)) if speed > 0 else float(np.sqrt(square))


@dataclasses.dataclass(frozen=True)
class Descent:
    """Where Newton's method ended.

    Attributes:
        states: the path. residual: of `Action.residual`. steps: how many were taken.
        minimum: whether the Hessian is positive there, as far as conjugate gradients from a random direction see.
    """

    states: States
    residual: float
    steps: int
    minimum: bool


def descended(action: Action, x: States, *, tolerance: float, most: int = 60) -> Descent:
    """Return where Newton's method with conjugate gradients ends: each step lowers the functional.

    Once its values are equal to rounding, each step lowers the residual.
    """
    slope, turned = action.slopes(x)
    residual, value, steps = action.residual(x, slope), action.value(x), 0
    while residual > tolerance and steps < most:
        near = min(1e-2, max(0.1 * residual, 1e-10))
        move, _ = conjugate_gradients(turned, action.inertia(x), -slope[action.free], near)
        shift, gain, length = np.zeros_like(x), float((slope[action.free] * move).sum()), 1.0
        shift[action.free] = move
        while length > 1e-6:
            moved = x + length * shift
            moved /= np.linalg.norm(moved, axis=-1, keepdims=True)
            here, floor = action.value(moved), 1e-13 * abs(value)
            if here <= value + 1e-4 * length * gain - floor:
                break
            if abs(here - value) <= 10 * floor and action.residual(moved, action.slopes(moved)[0]) < 0.7 * residual:
                break
            length *= 0.5
        else:
            break  # at the floor of rounding
        x, value, steps = moved, here, steps + 1
        slope, turned = action.slopes(x)
        residual = action.residual(x, slope)
    right = tangent(x, np.random.default_rng(0).normal(size=x.shape))[action.free]
    minimum = len(right) == 0 or conjugate_gradients(turned, action.inertia(x), right, 1e-6)[1]
    return Descent(x, residual, steps, minimum)


def conjugate_gradients(
    turned: Callable[[States], States], inertia: Callable[[States], States], right: States, near: float
) -> tuple[States, bool]:
    """Return a direction of descent that nearly solves the Newton equation, and whether no negative curvature was met.

    Where it is met the direction so far is returned, or the preconditioned slope.
    """
    found, left = np.zeros_like(right), right.copy()
    soft = inertia(left)
    along, size = soft, float((left * soft).sum())
    start = size
    for _ in range(500):
        if size <= near**2 * start:
            break
        bent = turned(along)
        curvature = float((along * bent).sum())
        if curvature <= 0:
            return (found if found.any() else soft), False
        found = found + size / curvature * along
        left = left - size / curvature * bent
        soft = inertia(left)
        new = float((left * soft).sum())
        along, size = soft + new / size * along, new
    return found, True

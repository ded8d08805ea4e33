"""Weights that jump between layers: layers still approach the equation whose field is joined by straight lines."""

from __future__ import annotations

from functools import partial
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.p2205_14612.instances import D, N, blank
from measureflow.claims.runge_kutta import classical_step
from measureflow.paths.style import ACCENT, MUTED, THEORY

PAPER = "2205.14612"
DEPTHS = (64, 256)
#: Runge-Kutta steps of the equation for each layer: between two layers its field is smooth
STEPS = 2
#: what slopes of order 1 and of order 0 lie between
ONE, ZERO = (0.8, 1.2), (-0.2, 0.2)


def layers(inner: np.ndarray, outer: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the states of Euler layers with tanh units, `(depth + 1, n, d)`."""
    depth, states = len(inner) - 1, [points]
    for k in range(depth):
        states.append(states[-1] + np.tanh(states[-1] @ inner[k].T) @ outer[k].T / depth)
    return np.stack(states)


def of_the_library(inner: np.ndarray, outer: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the same by `mf.layers`."""
    depth = len(inner) - 1
    parts = (jnp.asarray(inner), jnp.asarray(outer))
    field = eqx.tree_at(lambda one: (one.stack.inner, one.stack.outer), blank(depth, inner.shape[-1]), parts)
    path = mf.layers(
        mf.Tokens(mf.Euclidean(inner.shape[-1]), points), field, depth=depth, step=1.0 / depth, method="euler"
    )
    return np.asarray(path.points)


def joined(inner: np.ndarray, outer: np.ndarray, points: np.ndarray, *, weights: bool) -> np.ndarray:
    """Return the equation at the same depths, of the fields joined by straight lines, or of their weights."""

    depth, x, found = len(inner) - 1, points, [points]

    def velocity(y: np.ndarray, k: int) -> np.ndarray:
        """Return the speed of tokens and, as one more coordinate, of the place between layers k and k + 1."""
        x, share = y[:-1].reshape(points.shape), y[-1]
        ends = (inner[k], outer[k]), (inner[k + 1], outer[k + 1])
        if weights:
            first, second = ((1.0 - share) * one + share * other for one, other in zip(*ends, strict=True))
            return np.append(np.tanh(x @ first.T) @ second.T, depth)
        here, there = (np.tanh(x @ first.T) @ second.T for first, second in ends)
        return np.append((1.0 - share) * here + share * there, depth)

    for k in range(depth):
        y = np.append(x, 0.0)
        for _ in range(STEPS):
            y = classical_step(partial(velocity, k=k), y, 1.0 / (depth * STEPS))
        x = y[:-1].reshape(points.shape)
        found.append(x)
    return np.stack(found)


def farthest(first: np.ndarray, second: np.ndarray) -> float:
    """Return the largest distance of two states in the Euclidean norm of all tokens."""
    return float(np.linalg.norm(first - second, axis=(1, 2)).max())


def weights_of(seed: int, depth: int, alternate: bool, n: int, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return inner weights that jump from layer to layer, to and fro or at random, outer ones, and tokens."""
    rng = np.random.default_rng(seed)
    points, base, jump, out = rng.normal(size=(n, d)), *rng.normal(size=(3, d, d)) / np.sqrt(d)
    sides = np.where(np.arange(depth + 1) % 2, 1.0, -1.0)[:, None, None]
    jumps = sides * jump if alternate else rng.normal(size=(depth + 1, d, d)) / np.sqrt(d)
    return base + jumps, np.broadcast_to(out, (depth + 1, d, d)), points


def jumping(seed: int, depth: int, alternate: bool, n: int, d: int) -> tuple[float, float, float, float]:
    """Return how far such layers are from the equation of fields, and of weights, joined by straight lines; the
    Lipschitz constant of the fields, and a bound on their speed."""
    inner, outer, points = weights_of(seed, depth, alternate, n, d)
    there = layers(inner, outer, points)
    fields, weights = (farthest(there, joined(inner, outer, points, weights=one)) for one in (False, True))
    size = float(np.linalg.norm(outer[0], 2))
    # tanh has slopes and values up to 1
    return fields, weights, size * float(np.linalg.norm(inner, 2, axis=(1, 2)).max()), size * np.sqrt(n * d)


def scaled(rate: float, signs: np.ndarray, points: np.ndarray) -> tuple[float, float]:
    """Return the distance for x' = theta tanh x, theta = rate times signs at the layers, and the largest speed.

    The equation is solved by sinh x(t) = sinh x(0) e^Theta, Theta the trapezia below theta.
    """
    theta, d = rate * signs, points.shape[1]
    one = np.eye(d)
    there = layers(np.broadcast_to(one, (len(theta), d, d)), theta[:, None, None] * one, points)
    area = np.append(0.0, np.cumsum(theta[1:] + theta[:-1])) / (2.0 * (len(theta) - 1))
    exact = np.arcsinh(np.sinh(points) * np.exp(area)[:, None, None])
    return farthest(there, exact), rate * float(np.linalg.norm(np.tanh(exact), axis=(1, 2)).max())


@claim(
    PAPER,
    "non-smooth depth, straight lines",
    covers=["3.2"],
    status="derived",
    states={"bound": theory.error_of_rough_layers, "orders": lambda: (ONE, ZERO)},
    id=f"{PAPER}/straight-lines",
)
def layers_approach_the_equation_of_fields_joined_by_straight_lines(case: Case) -> None:
    """Layers whose weights jump stay within (2 e^L - 1) C/N of the equation whose field is joined between layers by
    straight lines, and some come near that. Where weights inside of an activation are joined instead, the distance does
    not vanish: an equation of layers is one only with its interpolation."""
    n, d, depths = case.given("n", N), case.given("d", D), case.given("depths", DEPTHS)
    case.require("two depths, the second larger", len(depths) == 2 and depths[0] < depths[1])
    some = case.measure(weights_of, case.seed, depths[0], False, n, d)
    ours, plain = case.measure(of_the_library, *some), case.measure(layers, *some)
    case.compare(ours, plain, within=1e-12, because="rounding over 64 layers", name="the library's layers")
    rows = []
    for depth, alternate in ((depths[0], False), (depths[0], True), (depths[1], True)):
        off, other, lipschitz, speed = case.measure(jumping, case.seed, depth, alternate, n, d)
        bound = case.statement.bound(lipschitz=lipschitz, speed=speed, step=1.0 / depth)
        case.at_most(off, bound, within=1e-6 * off, because="Runge-Kutta steps within a layer", name=f"{depth} layers")
        rows.append((off, other))
    slopes = -np.log(np.divide(rows[2], rows[1])) / np.log(depths[1] / depths[0])
    because = "the next order, at 64 layers, changes a slope by up to some tenths"
    for slope, (low, high), name in zip(slopes, case.statement.orders(), ("fields", "weights"), strict=True):
        case.at_least(slope, low, within=0.05, because=because, name=f"order, {name}")
        case.at_most(slope, high, within=0.05, because=because, name=f"order, {name}")
    rate, points = case.draw("rate", 0.05, 0.1), case.generator("points").uniform(1.5, 3.0, (n, d))
    signs = case.generator("signs").choice([-1.0, 1.0], depths[0] + 1)
    signs[0], signs[-1] = -1.0, 1.0
    off, speed = case.measure(scaled, rate, signs, points)
    bound = case.statement.bound(lipschitz=rate, speed=speed, step=1.0 / depths[0])
    case.at_most(off, bound, within=1e-3 * off, because="rounding", name="one unit")
    share = min(0.7, 0.85 / (2.0 * float(np.exp(rate)) - 1.0))
    case.at_least(off, share * bound, within=1e-2 * bound, because="2 e^rate - 1 for 1", name="near sharp")


straight = layers_approach_the_equation_of_fields_joined_by_straight_lines


@straight.figure
def distances_against_depth(case: Case, ax: Any) -> None:
    """Draw how far layers that jump to and fro are from both equations, for several depths."""
    n, d, (few, many) = (case.instance[name] for name in ("n", "d", "depths"))
    depths = np.unique(np.geomspace(few, many, 4).astype(int))
    rows = np.array([case.measure(jumping, case.seed, int(depth), True, n, d) for depth in depths])
    bounds = [
        case.statement.bound(lipschitz=row[2], speed=row[3], step=1.0 / k) for row, k in zip(rows, depths, strict=True)
    ]
    ax.plot(depths, rows[:, 1], "s", color=ACCENT[1], ms=8, label="equation of weights joined")
    ax.plot(depths, rows[:, 0], "o", color=ACCENT[0], ms=8, label="equation of fields joined")
    ax.plot(depths, rows[0, 0] * depths[0] / depths, ":", color=MUTED, label="first order")
    ax.plot(depths, bounds, "--", color=THEORY, lw=1.3, label="bound on it")
    ax.set(xscale="log", yscale="log", xlabel="layers $N$", ylabel="largest distance of the layers")
    ax.set_xticks(depths, [str(one) for one in depths])
    ax.tick_params(axis="x", which="minor", labelbottom=False)
    ax.set_ylim(top=20 * ax.get_ylim()[1])
    ax.set_title(f"n = {n}, d = {d}, weights that jump to and fro", fontsize=11, loc="left")
    ax.legend(fontsize=9)


@straight.mutation("bound")
def ends_forgotten(*, lipschitz: float, speed: float, step: float) -> float:
    """(e^L - 1) C/N: the half steps at both ends are lost."""
    return theory.error_of_reconstruction(lipschitz=lipschitz, speed=speed, step=step)


@straight.mutation("bound")
def second_order(*, lipschitz: float, speed: float, step: float) -> float:
    """The trapezia make it a method of second order."""
    return step * theory.error_of_rough_layers(lipschitz=lipschitz, speed=speed, step=step)


@straight.mutation("bound")
def of_order_one(*, lipschitz: float, speed: float, step: float) -> float:
    """The bound of smooth depth, with a derivative in depth of order N."""
    return theory.error_of_euler_layers(lipschitz=lipschitz, bend=2.0 * speed / step, step=step)


@straight.mutation("orders")
def any_interpolation_will_do() -> tuple[Any, Any]:
    """Layers approach the equation of their weights too."""
    return ONE, ONE


@straight.mutation("orders")
def jumps_are_fatal() -> tuple[Any, Any]:
    """Where weights jump layers approach no equation."""
    return ZERO, ZERO

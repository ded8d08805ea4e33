"""Layers against the flow: how far the discrete map strays from the equation, beside what bounds it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from measureflow.errors import BadInput
from measureflow.fields import Field
from measureflow.flows.flow import flow as run_flow
from measureflow.flows.layers import METHODS
from measureflow.flows.reversal import layer
from measureflow.flows.solver import Adaptive
from measureflow.observables.regularity import stretch_of_measure
from measureflow.paths import Path
from measureflow.spaces import Euclidean

__all__ = ["Discretisation", "compare"]

#: at so many states, evenly spread, constants are measured
STATES = 33


@dataclasses.dataclass(frozen=True)
class Discretisation:
    """How far layers are from the flow, in the root mean square over the tokens (by their masses).

    Attributes:
        method: `"euler"` or `"heun"`. depths: `(r,)` layers of each path. steps: `(r,)`.
        times, errors: of the deepest path, at each of its depths.
        worst: `(r,)` the largest error along depth of each path; end: `(r,)` that of the last states.
        order: slope of `worst` against `steps` in logarithms; NaN for one path.
        lipschitz, speed, bend: L, the largest |A| and the largest second derivative of the flow, as measured at
            states of both; for a field whose weights jump from layer to layer the last is of order 1/step.
        bound: `(r,)` what the constants bound `worst` by; NaN under a norm, where no bound is known.
    """

    method: str
    depths: np.ndarray
    steps: np.ndarray
    times: np.ndarray
    errors: np.ndarray
    worst: np.ndarray
    end: np.ndarray
    order: float
    lipschitz: float
    speed: float
    bend: float
    bound: np.ndarray

    @property
    def ratio(self) -> Float[np.ndarray, "r"]:
        """`worst` over `bound`: at most 1."""
        return self.worst / self.bound

    def __str__(self) -> str:
        depths, until = ", ".join(map(str, self.depths)), float(self.times[-1])
        worst = " → ".join(f"{error:.3g}" for error in self.worst)
        order = "" if math.isnan(self.order) else f" (order {self.order:.2f})"
        known = not np.isnan(self.bound[-1])
        bound = f"bound {self.bound[-1]:.3g}, ratio {self.ratio[-1]:.2g}" if known else "no bound is known under a norm"
        return (
            f"{depths} layers ({self.method}) against the flow, t = 0 .. {until:g}\n"
            f"error {worst}{order} · at the end {self.end[-1]:.3g} · {bound} · "
            f"L = {self.lipschitz:.3g}, |A| <= {self.speed:.3g}, |x''| <= {self.bend:.3g}"
        )

    __repr__ = __str__


def compare(layers: Path | Sequence[Path], flow: Path | None = None) -> Discretisation:
    r"""Compare residual layers with the flow of their field: errors along depth, their order, and their bound.

    $$ \text{Euler: } \frac{e^{LT}-1}{2L}\,h\,\sup|\partial_t\varphi + D_x\varphi\,\varphi|, \qquad
       \text{Heun: } \frac{e^{L'T}-1}{L'h}\,\max_k|\Phi_h(x(t_k)) - x(t_{k+1})|,\; L' = L + \tfrac12hL^2 $$

    L is the largest local Lipschitz constant met at states of the flow and of the layers. The bound does not go to 0
    where weights jump from layer to layer (an `mf.fields.Interpolated` of unrelated fields).

    Arguments:
        layers: a path of `mf.layers` of one field; or several, of the same tokens and field to the same depth T, from
            which the order is read.
        flow: a path of `mf.flow` that has a state at every depth of the layers, `save=layers.times`; by default it is
            run here, with `mf.Adaptive(rtol=1e-11)`.

    Source: [arXiv:2205.14612](https://arxiv.org/abs/2205.14612); the constants are derived.

    Raises:
        BadInput: paths of other verbs, of several fields or of different starts; a flow without the states.

    Example:
        >>> import measureflow as mf
        >>> tokens, field = mf.uniform(mf.Euclidean(2), n=5, seed=0), mf.SelfAttention(beta=1.0)
        >>> found = mf.compare([mf.layers(tokens, field, depth=n, step=1 / n) for n in (16, 32)])
        >>> bool(abs(found.order - 1) < 0.1 and found.ratio[-1] < 1)
        True
    """
    paths = sorted([layers] if isinstance(layers, Path) else list(layers), key=len)
    field, method = checked(paths)
    times = [np.asarray(path.times) for path in paths]
    if flow is None:
        every = np.unique(np.round(np.concatenate(times), 12))
        options = {"solver": Adaptive(rtol=1e-11, atol=1e-13, coarsen=False), "save": every, "reduce": False}
        flow = run_flow(paths[-1][0], field, until=float(every[-1]), **options)
    held = [states_at(flow, one) for one in times]
    masses = np.asarray(paths[0].weights)[0]
    errors = [norm(np.asarray(path.points) - there, masses) for path, there in zip(paths, held, strict=True)]
    worst, steps = np.array([error.max() for error in errors]), np.array([one[1] - one[0] for one in times])
    constants = measured(paths[-1], held[-1], times[-1], field)
    free = isinstance(paths[0].space, Euclidean) and paths[0].recipe.data["normalisation"]["noun"] == "Free"
    bounds = [bound_of(method, *each, field, paths[0], constants, masses) for each in zip(times, held, strict=True)]
    return Discretisation(
        method=method,
        depths=np.array([len(one) - 1 for one in times]),
        steps=steps,
        times=times[-1],
        errors=errors[-1],
        worst=worst,
        end=np.array([error[-1] for error in errors]),
        order=float(np.polyfit(np.log(steps), np.log(worst), 1)[0]) if len(paths) > 1 else math.nan,
        **constants,
        bound=np.array(bounds) if free else np.full(len(paths), np.nan),
    )


def checked(paths: list[Path]) -> tuple[Field, str]:
    """Return the field and the method that the paths share, or raise `BadInput`."""
    for path in paths:
        data = path.recipe.data if isinstance(path, Path) else {}
        if data.get("verb") != "layers" or not isinstance(path.field, Field):
            raise BadInput("compare: give paths of mf.layers of one field; sub-layers in turn have no flow.")
        if len(path) != len(path.times) or path.status != "reached":
            raise BadInput("compare: a path has not all of its states; run mf.layers with keep='all'.")
    if not paths:
        raise BadInput("compare: layers is empty; give a path of mf.layers, or several.")
    first, methods = paths[0], {path.recipe.data.get("method", METHODS[0]) for path in paths}
    same = all(np.array_equal(path.points[0], first.points[0]) for path in paths)
    if len(methods) > 1 or not same or np.ptp([float(path.times[-1]) for path in paths]) > 1e-9:
        raise BadInput("compare: the paths differ in their method, their start or their depth T; only N may.")
    if len({len(path) for path in paths}) < len(paths):
        raise BadInput("compare: two of the paths have as many layers.")
    assert isinstance(first.field, Field)
    return first.field, methods.pop()


def states_at(flow: Path, times: np.ndarray) -> np.ndarray:
    """Return the points of the flow at the times, or raise `BadInput` where it has none."""
    if not isinstance(flow, Path) or flow.recipe.data.get("verb") != "flow":
        raise BadInput("compare: flow is no path of mf.flow; leave it out, and it is run here.")
    have = np.asarray(flow.times)[np.asarray(flow.kept)]
    near = np.abs(have[:, None] - times).argmin(axis=0)
    off = np.abs(have[near] - times)
    if off.max() > 1e-9 * max(times[-1], 1.0):
        raise BadInput(f"compare: the flow has no state at t = {times[off.argmax()]:g}; run it with save=layers.times.")
    return np.asarray(flow.points)[near]


def norm(moves: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """Return the root mean square of moves over the tokens."""
    return np.sqrt((moves**2).sum(axis=-1) @ masses)


def measured(path: Path, held: np.ndarray, times: np.ndarray, field: Field) -> dict[str, float]:
    """Return the constants of the bounds at states of the flow and of the layers."""
    some = np.unique(np.linspace(0, len(times) - 1, STATES).astype(int))
    mu = path[0].replace(labels=None)
    states = np.stack([held[some], np.asarray(path.points)[some]])
    lipschitz, speed, bend = constants_at(mu, field, jnp.asarray(states), jnp.asarray(times[some]))
    return {"lipschitz": float(lipschitz), "speed": float(speed), "bend": float(bend)}


@eqx.filter_jit
def constants_at(mu: Any, field: Field, states: Array, depths: Array) -> tuple[Array, Array, Array]:
    """Return the largest local Lipschitz constant and speed, and along the flow the largest second derivative."""

    def size(v: Array) -> Array:
        return jnp.sqrt(jnp.sum(mu.weights * jnp.sum(v * v, axis=-1)))

    def at_state(each: tuple[Array, Array]) -> tuple[Array, Array, Array]:
        x, t = each
        here = field.at(t)

        def velocity(points: Array, t: Array) -> Array:
            return field.at(t)(points, mu.replace(points=points))

        now = velocity(x, t)
        _, bend = jax.jvp(velocity, (x, t), (now, jnp.ones_like(t)))
        return stretch_of_measure(mu.replace(points=x), here, None, 1e-6).constant, size(now), size(bend)

    lipschitz, speed, bend = jax.lax.map(lambda row: jax.lax.map(at_state, (row, depths)), states)
    return jnp.max(lipschitz), jnp.max(speed), jnp.max(bend[0])


def bound_of(
    method: str,
    times: np.ndarray,
    held: np.ndarray,
    field: Field,
    path: Path,
    constants: dict[str, float],
    masses: np.ndarray,
) -> float:
    """Return the bound of one path."""
    h, until, lipschitz = float(times[1] - times[0]), float(times[-1]), constants["lipschitz"]
    if method == "euler":
        return 0.5 * h * constants["bend"] * growth(lipschitz, until)
    mu = path[0].replace(labels=None)
    arrived = np.asarray(each_layer(mu, field, jnp.asarray(held[:-1]), jnp.asarray(times[:-1]), jnp.asarray(h)))
    defect = norm(arrived - held[1:], masses).max()
    return float(defect / h * growth(lipschitz * (1.0 + 0.5 * h * lipschitz), until))


@eqx.filter_jit
def each_layer(mu: Any, field: Field, states: Array, depths: Array, h: Array) -> Array:
    """Return where one layer of Heun's method leads from each state of the flow."""

    def one(each: tuple[Array, Array]) -> Array:
        x, t = each
        return layer(mu.replace(points=x), field.at(t), field.at(t + h), h, True)

    return jax.lax.map(one, (states, depths))


def growth(lipschitz: float, until: float) -> float:
    """Return `(e^{LT} - 1)/L`, which is T for L = 0."""
    if lipschitz == 0.0:
        return until
    return math.expm1(lipschitz * until) / lipschitz if lipschitz * until < 709.0 else math.inf

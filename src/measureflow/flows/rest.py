r"""Many clouds followed to rest by a linearly implicit method: steps grow with time, however stiff the flow has become.

The field is attention with a form, whose derivative is known in closed form, so that a step costs one matrix of tokens
against tokens, its factors, and six velocities. Knows nothing of what the rest is called.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from measureflow.errors import BadInput
from measureflow.spaces import Sphere

__all__ = ["Rest", "come_to_rest", "linearised", "velocities"]

#: Rodas4 of Hairer and Wanner, Solving Ordinary Differential Equations II: L-stable, of order 4 with an estimate of 3
GAMMA = 0.25
STAGES = (
    (),
    (1.544,),
    (0.9466785280815826, 0.2557011698983284),
    (3.314825187068521, 2.896124015972201, 0.9986419139977817),
    (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950),
    (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950, 1.0),
)
COUPLING = (
    (),
    (-5.6688,),
    (-2.430093356833875, -0.2063599157091915),
    (-0.1073529058151375, -9.594562251023355, -20.47028614809616),
    (7.496443313967647, -10.24680431464352, -33.99990352819905, 11.70890893206160),
    (8.083246795921522, -7.981132988064893, -31.52159432874371, 16.31930543123136, -6.058818238834054),
)
#: attempts of one call of the program, between which clouds that have come to rest make room for others
BUDGET = 12
#: clouds that one program moves, by how many there are: what its matrices hold stays near the core, and few programs
#: are compiled
LANES = (1, 32, 128)
#: a step ends within this distance of the foot of its chart, where the chart is far from its edge
REACH = 0.7
#: a step's error may be this part of its length: beside an unstable direction long steps would seem to come to rest
SHARE = 0.05
#: what rounding leaves of a step
FLOOR = 1e-14


@dataclasses.dataclass(frozen=True)
class Rest:
    """Where clouds came to rest, or where they were when time was up.

    Attributes:
        points: `(r, n, d)`. times: when each stopped. speeds: of its fastest token there.
        rested: which are slower than the tolerance. steps: accepted and rejected.
    """

    points: Float[np.ndarray, "r n d"]
    times: Float[np.ndarray, "r"]
    speeds: Float[np.ndarray, "r"]
    rested: Bool[np.ndarray, "r"]
    steps: Int[np.ndarray, "r"]


class Cloud(NamedTuple):
    """One cloud on its way (or, on the host, many in NumPy): points `(n, d)`, time, next step, speed, steps so far."""

    x: Any
    time: Any
    h: Any
    speed: Any
    steps: Any


class Force(NamedTuple):
    """What moves a cloud: masses, the form of the logits and the matrix of the values."""

    masses: Any
    form: Any
    value: Any


def come_to_rest(
    points: Float[np.ndarray, "r n d"],
    forms: Float[np.ndarray, "r d d"],
    values: Float[np.ndarray, "r d d"],
    *,
    masses: Any = None,
    softmax: bool = True,
    tol: float = 1e-8,
    until: float = 1e4,
    rtol: float = 1e-4,
    push: float = 0.0,
) -> Rest:
    r"""Follow r clouds until no token is faster than `tol`, or for the time `until`.

    $$ \dot x_i = P_{x_i}\sum_j w_{ij} V x_j, \qquad w_{ij} \propto a_j e^{\langle x_i, D x_j\rangle} $$

    Main arguments:
        points: unit vectors. forms, values: D and V of each cloud. masses: `(n,)`, equal by default.
        softmax: divide the weights by their sum; False for the model without a denominator.

    Other arguments:
        rtol: error of a step, in units of the sphere; never more than a 20th of the step.
        push: by about how much tokens at rest are pushed aside, once, to come to rest again: where they have come
            together to the last digit, a cluster that would fall apart by now looks as if it were at rest.

    Raises:
        BadInput: shapes that do not fit.
    """
    points, forms, values = (np.asarray(array, float) for array in (points, forms, values))
    if points.ndim != 3 or forms.shape != (len(points), *[points.shape[2]] * 2) or values.shape != forms.shape:
        raise BadInput(f"come_to_rest: points {points.shape} need forms and values (r, d, d), not {forms.shape}.")
    count, n, _ = points.shape
    masses = np.full((count, n), 1.0 / n) if masses is None else np.broadcast_to(np.asarray(masses, float), (count, n))
    force = Force(masses, forms, values)
    lanes = next(size for size in LANES if count <= size or size == LANES[-1])
    limits = jnp.asarray([tol, until, rtol])
    none = np.zeros(count)
    state = Cloud(points.copy(), none.copy(), np.full(count, -1.0), np.full(count, np.inf), np.zeros(count, int))
    active, fresh = np.arange(count), np.full(count, push > 0)
    while len(active):
        left = []
        for first in range(0, len(active), lanes):
            rows = active[first : first + lanes]
            # the last program is filled up with copies of its first cloud, whose results are not read
            filled = np.concatenate([rows, np.full(lanes - len(rows), rows[0])])
            moved = advanced(*jax.tree.map(lambda leaf, at=filled: leaf[at], (state, force)), limits, softmax)
            for mine, new in zip(state, moved, strict=True):
                mine[rows] = np.asarray(new)[: len(rows)]
            shaken = rows[fresh[rows] & (state.speed[rows] <= tol) & (state.time[rows] < until)]
            for k in shaken:
                x = state.x[k] + push * np.random.default_rng(k).normal(size=state.x[k].shape)
                state.x[k] = x / np.linalg.norm(x, axis=1, keepdims=True)
            state.speed[shaken], state.h[shaken], fresh[shaken] = np.inf, -1.0, False
            left.append(rows[(state.speed[rows] > tol) & (state.time[rows] < until)])
        active = np.concatenate(left)
    return Rest(state.x, state.time, state.speed, state.speed <= tol, state.steps)


@functools.partial(jax.jit, static_argnums=3)
def advanced(state: Cloud, force: Force, limits: Float[Array, "3"], softmax: bool) -> Cloud:
    """Try up to `BUDGET` steps of many clouds."""
    return jax.vmap(functools.partial(moved, limits=limits, softmax=softmax))(state, force)


def moved(state: Cloud, force: Force, limits: Float[Array, "3"], softmax: bool) -> Cloud:
    """Try up to `BUDGET` steps of one cloud."""
    tol, until, rtol = limits
    first = state.steps

    def going(state: Cloud) -> Array:
        return (state.speed > tol) & (state.time < until) & (state.steps < first + BUDGET)

    return jax.lax.while_loop(going, lambda state: attempt(state, force, until, rtol, softmax), state)


def attempt(state: Cloud, force: Force, until: Array, rtol: Array, softmax: bool) -> Cloud:
    """Try one step in the chart of central projection about where the tokens are."""
    x, (n, d) = state.x, state.x.shape
    frame = Sphere(d).frame(x)
    v, jacobian = linearised(x, force, frame, softmax)
    h = jnp.where(state.h > 0, state.h, 0.1 / jnp.maximum(fastest(v), 1e-2))
    last = h >= until - state.time
    h = jnp.where(last, until - state.time, h)
    factors = jax.scipy.linalg.lu_factor(jnp.eye(n * (d - 1)) / (h * GAMMA) - jacobian)

    def slope(xi: Array) -> Array:
        y = x + jnp.einsum("ndk,nk->nd", frame, xi.reshape(n, d - 1))
        r = jnp.linalg.norm(y, axis=1, keepdims=True)
        here = y / r
        u = velocities(here, force, softmax)
        # y = r x moves by r v + r' x, and stays in the plane tangent at the foot
        moved = r * u - r**2 * jnp.sum(x * u, axis=1, keepdims=True) * here
        return jnp.einsum("ndk,nd->nk", frame, moved).ravel()

    first: Array = jnp.einsum("ndk,nd->nk", frame, v).ravel()
    stages: list[Array] = []
    for a, c in zip(STAGES, COUPLING, strict=True):
        at = sum((weight * stage for weight, stage in zip(a, stages, strict=True)), jnp.zeros_like(first))
        pull = sum((weight / h * stage for weight, stage in zip(c, stages, strict=True)), jnp.zeros_like(first))
        stages.append(jax.scipy.linalg.lu_solve(factors, (slope(at) if stages else first) + pull))
    last_weights = (*STAGES[-1], 1.0)
    whole = sum((weight * stage for weight, stage in zip(last_weights, stages, strict=True)), jnp.zeros_like(first))
    xi = whole.reshape(n, d - 1)
    error, length = (jnp.max(jnp.linalg.norm(part.reshape(n, d - 1), axis=1)) for part in (stages[-1], xi))
    size = error / (jnp.minimum(rtol, SHARE * length) + FLOOR)
    accept = (size <= 1.0) & (length < REACH)
    factor = jnp.clip(0.9 * jnp.maximum(size, 1e-8) ** -0.25, 0.1, 6.0)
    factor = jnp.where(jnp.isfinite(size), jnp.where(length < REACH, factor, jnp.minimum(factor, 0.5)), 0.1)
    y = x + jnp.einsum("ndk,nk->nd", frame, xi)
    new = jnp.where(accept, y / jnp.linalg.norm(y, axis=1, keepdims=True), x)
    time = jnp.where(accept, jnp.where(last, until, state.time + h), state.time)
    return Cloud(new, time, h * factor, fastest(velocities(new, force, softmax)), state.steps + 1)


def fastest(v: Float[Array, "n d"]) -> Float[Array, ""]:
    """Return the largest speed."""
    return jnp.sqrt(jnp.max(jnp.sum(v * v, axis=1)))


def weights(x: Float[Array, "n d"], force: Force, softmax: bool) -> Float[Array, "n n"]:
    """Return the weights of all tokens on all tokens."""
    logits = (x @ force.form) @ x.T
    if not softmax:
        return jnp.exp(logits) * force.masses
    raised = jnp.exp(logits - jnp.max(logits, axis=1, keepdims=True)) * force.masses
    return raised / jnp.sum(raised, axis=1, keepdims=True)


def velocities(x: Float[Array, "n d"], force: Force, softmax: bool) -> Float[Array, "n d"]:
    """Return the velocities of all tokens."""
    pulled = weights(x, force, softmax) @ (x @ force.value.T)
    return pulled - jnp.sum(x * pulled, axis=1, keepdims=True) * x


def linearised(
    x: Float[Array, "n d"], force: Force, frame: Float[Array, "n d k"], softmax: bool
) -> tuple[Float[Array, "n d"], Float[Array, "m m"]]:
    r"""Return the velocities and their covariant derivative in the frame, m = n (d - 1).

    $$ J_{ij} = w_{ij} F_i^T\left[V + (Vx_j - A_i)(D^Tx_i)^T\right]F_j, \qquad
       J_{ii} \mathrel{+}= F_i^T\Big[\sum_j w_{ij}(Vx_j - A_i)(Dx_j)^T\Big]F_i - \langle x_i, A_i\rangle $$

    with $A_i = \sum_j w_{ij}Vx_j$, which is left out of the brackets where the weights are not divided by their sum.
    """
    n, k = x.shape[0], frame.shape[2]
    w, valued = weights(x, force, softmax), x @ force.value.T
    pulled = w @ valued
    centre = pulled if softmax else jnp.zeros_like(pulled)
    along = jnp.sum(x * pulled, axis=1)
    blocks = []
    for one in range(k):
        mine = frame[:, :, one]
        # F_i^T (V x_j - A_i) w_ij, and what the token's own motion changes of its weights
        aside = w * (mine @ valued.T - jnp.sum(mine * centre, axis=1)[:, None])
        shift = aside @ (x @ force.form.T)
        for other in range(k):
            theirs = frame[:, :, other]
            block = w * ((mine @ force.value) @ theirs.T) + aside * ((x @ force.form) @ theirs.T)
            own = jnp.sum(shift * theirs, axis=1) - (along if one == other else 0.0)
            blocks.append(block + jnp.diag(own))
    jacobian = jnp.stack(blocks).reshape(k, k, n, n).transpose(2, 0, 3, 1).reshape(n * k, n * k)
    return pulled - along[:, None] * x, jacobian

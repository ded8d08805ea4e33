"""Noise: Brownian motion on the space, and a step that alternates it with the drift."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from measureflow.errors import BadInput
from measureflow.measures import as_key
from measureflow.paths import register
from measureflow.spaces import Space, Sphere, is_traced

__all__ = ["Noise", "Splitting", "as_noise", "brownian", "split_step"]


@register
class Splitting(eqx.Module):
    r"""Steps of fixed length for a noisy flow: half a Brownian step, a drift step, half a Brownian step.

    Weak order 2: means of smooth functions of the tokens converge like $h^2$ (Strang splitting of a Heun step for the
    drift and of `brownian`).

    Arguments:
        step: longest step h, in the clock of the field. It must resolve the drift and, on `Sphere(d)`, the rotation
            rate `d * noise` of Brownian motion.

    Example:
        >>> import measureflow as mf
        >>> tokens, field = mf.uniform(mf.Sphere(3), n=50, seed=0), mf.SelfAttention(beta=4.0)
        >>> path = mf.flow(tokens, field, until=5.0, save=10, noise=0.1, seed=1, solver=mf.Splitting(step=0.02))
        >>> path.status
        'reached'
    """

    step: Float[Array, ""]
    max_steps: int = eqx.field(static=True)

    def __init__(self, step: Any = 0.01, max_steps: int = 10_000_000) -> None:
        if not is_traced(step) and not (math.isfinite(float(step)) and float(step) > 0):
            raise BadInput(f"Splitting: step is {step}; it must be a finite time > 0.")
        self.step, self.max_steps = jnp.asarray(step, float), max_steps

    def __repr__(self) -> str:
        return f"Splitting(step={'traced' if is_traced(self.step) else f'{float(self.step):g}'})"


class Noise(eqx.Module):
    """How strongly tokens are shaken, and by which random numbers.

    Attributes:
        intensity: the factor of the Laplacian, 1/kappa: each token feels `sqrt(2 / kappa) dW`.
        key: the run's key; the k-th step draws from `fold_in(key, k)`, so a run that goes on repeats nothing.
    """

    intensity: Float[Array, ""]
    key: Array


def as_noise(noise: Any, seed: Any) -> Noise | None:
    """Return the noise of a call, `None` for 0; raise `BadInput` where it is no intensity or has no seed."""
    if not is_traced(noise):
        try:
            number = float(noise)
        except (TypeError, ValueError):
            raise BadInput(f"flow: noise is {noise!r}; it is 1/kappa, a number >= 0.") from None
        if not math.isfinite(number) or number < 0:
            raise BadInput(
                f"flow: noise is {number}; it is 1/kappa (each token feels sqrt(2 noise) dW), finite and >= 0."
            )
        if number == 0:
            return None
    if seed is None:
        raise BadInput("flow: noise needs a seed; give seed=0 or a JAX key, so that the run can be repeated.")
    return Noise(jnp.asarray(noise, float), as_key(seed))


def brownian(space: Space, key: Array, x: Float[Array, "n d"], s: Float[Array, ""]) -> Float[Array, "n d"]:
    r"""Move every point by Brownian motion for time `s`, generator the Laplacian of the space.

    On Euclidean space exact. On the sphere a geodesic step of length $\sqrt{2s}\,e^{-(d-2)s/6}\,|\xi|$, with $\xi$ a
    Gaussian tangent vector: its second and fourth moments are those of the heat kernel up to $O(s^3)$, so its weak
    error over a fixed time is $O(s^2)$; for d = 2 it is exact. (The plain geodesic walk has weak order 1.)
    """
    xi = space.tangent(x, jax.random.normal(key, x.shape, x.dtype))
    length = jnp.sqrt(2.0 * s)
    if isinstance(space, Sphere):
        # E|xi|^2 = d-1, E|xi|^4 = d^2-1: the factor makes E cos = e^{-(d-1)s} hold to second order
        length = length * jnp.exp(-(space.d - 2) * s / 6.0)
    return space.exp(x, length * xi)


def split_step(
    noise: Noise,
    velocity: Callable[[Array, Array], Array],
    space: Space,
    present: Array,
    x: Float[Array, "n d"],
    t: Array,
    h: Array,
    count: Array,
) -> Float[Array, "n d"]:
    """Take the `count`-th step: half a Brownian step, a Heun step of the drift, half a Brownian step."""
    first, second = jax.random.split(jax.random.fold_in(noise.key, count))

    def shaken(key: Array, x: Array) -> Array:
        return jnp.where(present[:, None], brownian(space, key, x, 0.5 * h * noise.intensity), x)

    start = shaken(first, x)
    slope = velocity(start, t)
    ahead = velocity(space.project(start + h * slope), t + h)
    return shaken(second, space.project(start + 0.5 * h * (slope + ahead)))

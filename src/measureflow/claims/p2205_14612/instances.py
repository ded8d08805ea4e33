"""What the claims on residual nets share: perceptrons with weights smooth or rough in depth, and their equation."""

from __future__ import annotations

import dataclasses
import functools

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.integrate import solve_ivp

import measureflow as mf

__all__ = ["Weights", "layered", "solved"]

#: tokens and their dimension
N, D = 4, 4


@dataclasses.dataclass(frozen=True)
class Weights:
    """Weights of tanh layers as a function of depth on [0, 1]: a base, and a wave or jumps around it."""

    base: Float[np.ndarray, "d d"]
    wave: Float[np.ndarray, "d d"]
    outer: Float[np.ndarray, "d d"]

    @classmethod
    def drawn(cls, rng: np.random.Generator, d: int = D) -> Weights:
        """Draw them, of a Lipschitz constant of about 1."""
        base, wave, outer = (rng.normal(size=(d, d)) / np.sqrt(d) for _ in range(3))
        return cls(base, wave, outer)

    def at(self, t: float) -> Float[np.ndarray, "d d"]:
        """Return the inner weights at a depth, smooth in it."""
        return self.base + np.sin(2 * np.pi * t) * self.wave


def layered(weights: Weights, depth: int, rough: np.random.Generator | None = None) -> mf.Field:
    """Return the field of the layers: smooth weights at the nodes k/N, or independent ones."""
    nodes, d = np.arange(depth + 1) / depth, len(weights.base)
    if rough is None:
        inner = [weights.at(t) for t in nodes]
    else:
        inner = [weights.base + rough.normal(size=(d, d)) / np.sqrt(d) for _ in nodes]
    parts = (jnp.asarray(np.stack(inner)), jnp.asarray(np.broadcast_to(weights.outer, (depth + 1, d, d))))
    return eqx.tree_at(lambda field: (field.stack.inner, field.stack.outer), blank(depth, d), parts)


@functools.cache
def blank(depth: int, d: int = D) -> mf.fields.Interpolated:
    """Return the field of layers without weights, to put some in."""
    zero = mf.Perceptron(np.zeros((d, d)), np.zeros((d, d)), activation="tanh")
    return mf.fields.Interpolated([zero] * (depth + 1), (np.arange(depth + 1) / depth).tolist())


def solved(weights: Weights, points: Float[np.ndarray, "n d"], times: np.ndarray) -> Float[np.ndarray, "s n d"]:
    """Return the solution of the equation with smooth weights, to 1e-12: no code of the library."""

    def velocity(t: float, x: np.ndarray) -> np.ndarray:
        return (np.tanh(x.reshape(points.shape) @ weights.at(t).T) @ weights.outer.T).ravel()

    found = solve_ivp(velocity, (0.0, 1.0), points.ravel(), method="DOP853", t_eval=times, rtol=1e-12, atol=1e-13)
    return found.y.T.reshape(len(times), *points.shape)

"""The velocity of a density on its own grid: spectrally where the field is attention by numbers, else over atoms."""

from __future__ import annotations

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from measureflow.fields.attention import MultiHead, SelfAttention
from measureflow.fields.field import Field, Parallel, total
from measureflow.fields.harmonics import symbols
from measureflow.fields.matrices import is_scalar
from measureflow.measures import Density, as_tokens

__all__ = ["Current", "current_of"]

#: a softmax's denominator below this part of its largest value has no digits left
LEAST = 1e-14


class Current(eqx.Module):
    """A field made ready for densities with harmonics up to a degree."""

    @abc.abstractmethod
    def __call__(self, mu: Density, modes: Num[Array, "*k"]) -> Float[Array, "c *m"]:
        """Return the velocity's components along the frames of the grid of `mu`, whose harmonics are `modes`."""


def current_of(field: Field, d: int, degree: int) -> Current:
    """Return the field ready for densities on the sphere of R^d with harmonics up to `degree`."""
    if isinstance(field, (Parallel, MultiHead)):
        parts = field.parts if isinstance(field, Parallel) else field.heads
        return Several(tuple(current_of(part, d, degree) for part in parts))
    kernel = field.kernel.exponential() if isinstance(field, SelfAttention) else None
    known = kernel is not None and kernel.form is None and not kernel.causal
    if not isinstance(field, SelfAttention) or kernel is None or not known or not is_scalar(field.value):
        return OverAtoms(field)
    means, slopes = symbols(kernel.number, d, degree)
    slopes = slopes if field.value is None else field.value * slopes
    if kernel.normalised:
        return LogarithmicGradient(slopes, means)
    return LogarithmicGradient(jnp.exp(jnp.abs(kernel.number) - kernel.shift) * slopes, None)


class LogarithmicGradient(Current):
    r"""Attention by numbers: $v = \frac{V}{c}\nabla\log N$ (softmax) or $\frac{V}{c}\nabla N$ (unnormalised).

    $N = \int e^{c\langle x,y\rangle} d\mu(y)$ and $\nabla N / c$ are known mode by mode (Funk-Hecke). On the circle and
    on S² this is arXiv:2312.10794, (2.2) and (2.5), for densities.
    """

    slopes: Float[Array, "k"]
    means: Float[Array, "k"] | None

    def __call__(self, mu: Density, modes: Num[Array, "*k"]) -> Float[Array, "c *m"]:
        """Return the velocity."""
        degrees = mu.grid.degrees.astype(int)
        rising = mu.grid.slopes(self.slopes[degrees] * modes)
        if self.means is None:
            return rising
        below = mu.grid.synthesise(self.means[degrees] * modes)
        return rising / jnp.maximum(below, LEAST * jnp.max(below))


class OverAtoms(Current):
    """Any field, summed over the quadrature of the grid."""

    field: Field

    def __call__(self, mu: Density, modes: Num[Array, "*k"]) -> Float[Array, "c *m"]:
        """Return the velocity."""
        velocity = self.field(mu.grid.points(mu.axis), as_tokens(mu))
        return jnp.einsum("cmd,md->cm", mu.grid.frames(mu.axis), velocity).reshape(-1, *mu.grid.shape)


class Several(Current):
    """Fields in parallel."""

    parts: tuple[Any, ...]

    def __call__(self, mu: Density, modes: Num[Array, "*k"]) -> Float[Array, "c *m"]:
        """Return the sum of the velocities."""
        return total([part(mu, modes) for part in self.parts])

"""How the exponential kernel meets a density: by one number for each degree, since it is diagonal in harmonics."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from measureflow.errors import BadInput
from measureflow.measures import Density, Measure, Tokens, as_tokens
from measureflow.spaces import is_traced
from measureflow.sums import Exponential
from measureflow.sums.bessel import bessel_ratios, circle_coefficients, sphere_coefficients
from measureflow.sums.harmonic import degree_for

__all__ = ["at_atoms", "kernel_energy", "symbols"]

#: what is left of the kernel beyond the degree up to which a density is summed over atoms
SUMMED_TO = 1e-15


@functools.partial(jax.jit, static_argnums=(1, 2))  # else some fifty programs of one operation each
def symbols(c: Float[Array, ""], d: int, degree: int) -> tuple[Float[Array, "k"], Float[Array, "k"]]:
    r"""Return $e^{-|c|} a_k(c)$ and $e^{-|c|} a_k(c)/c$, the latter finite at c = 0 (for k >= 1; it is 0 for k = 0).

    $\int Y(y)\, e^{c\langle x,y\rangle} d\sigma(y) = a_k(c) Y(x)$ for harmonics of degree k (Funk-Hecke), with
    $a_k = I_k$ on the circle and $i_k$ on S².
    """
    size, order = jnp.abs(c), d / 2.0 - 1.0
    k = jnp.arange(degree + 1)
    means = circle_coefficients(size, degree)[0] if d == 2 else sphere_coefficients(size, degree)[0] / (2 * k + 1)
    # a_k / c from a_(k-1), by the recursion of the Bessel functions, without a division by c
    ratios = bessel_ratios(size, degree + 1, order)
    below = jnp.concatenate([jnp.zeros_like(means[:1]), means[:-1]])
    slopes = below / (2.0 * (order + jnp.maximum(k, 1)) + size * ratios)
    odd = k % 2 == 1  # attending to the opposite
    means, slopes = jnp.where(odd & (c < 0), -means, means), jnp.where(~odd & (c < 0), -slopes, slopes)
    return means, slopes


def kernel_energy(mu: Density, c: Float[Array, ""], shift: Float[Array, ""]) -> Float[Array, ""]:
    r"""Return $\iint e^{c\langle x,y\rangle - s} d\mu\, d\mu = e^{-s} \sum a_k(c) |f_k|^2$."""
    means, _ = symbols(c, mu.d, mu.grid.degree)
    square = mu.grid.multiplicity * jnp.abs(mu.modes) ** 2
    return jnp.exp(jnp.abs(c) - shift) * jnp.sum(means[mu.grid.degrees.astype(int)] * square)


def at_atoms(mu: Measure, kernel: Exponential | None = None, *, positional: bool = False) -> Tokens:
    """Return a measure as tokens at its atoms, for sums; a density on a grid fine enough for the kernel.

    Raises:
        BadInput: the measure has no atoms, or is asked for places in a text.
    """
    if isinstance(mu, Tokens):
        return mu
    if positional:
        raise BadInput(f"a mask looks at positions in a text, and a {type(mu).__name__} has none; take mask=None.")
    if isinstance(mu, Density) and kernel is not None and not is_traced(kernel):
        degree = degree_for(kernel, mu.d, SUMMED_TO)
        # of a product of degrees K and L the mean is exact on K + L + 1 angles, or (K + L)/2 + 1 heights
        both = mu.grid.degree + min(degree, 8 * mu.grid.degree)
        size = both + 1 if mu.d == 2 else both // 2 + 1
        if size > mu.grid.shape[0]:
            mu = mu.resampled(size)
    return as_tokens(mu)

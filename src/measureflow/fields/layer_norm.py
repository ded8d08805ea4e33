"""A trained layer norm: the map of a network, with its gain, bias and epsilon."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["LayerNorm", "wider"]


def wider(a: Any, b: Any) -> Any:
    """Return the precision that holds both; unlike JAX's own rule it is also there under strict promotion."""
    a, b = jnp.dtype(a), jnp.dtype(b)
    if a.itemsize == b.itemsize:
        return a if a == b else jnp.dtype(jnp.float32)
    return max(a, b, key=lambda dtype: dtype.itemsize)


class LayerNorm(eqx.Module):
    r"""A trained layer norm, $g \odot (x - \bar x) / \sqrt{\operatorname{var} x + \varepsilon} + b$.

    With `g = 1`, `b = 0` and no epsilon it maps onto the sphere of radius `sqrt(d)` in the hyperplane of mean
    zero (arXiv:1607.06450). Mean and variance are taken in float32 at least. `mf.PostLN(norm)` and `mf.PreLN(norm)`
    place it in a block.
    """

    gain: Float[Array, "d"]
    bias: Float[Array, "d"]
    epsilon: float = eqx.field(static=True)

    def __call__(self, x: Float[Array, "... d"]) -> Float[Array, "... d"]:
        """Return the norm of each point."""
        wide = x.astype(wider(x.dtype, jnp.float32))
        centred = wide - jnp.mean(wide, axis=-1, keepdims=True)
        variance = jnp.mean(centred * centred, axis=-1, keepdims=True)
        return (centred * jax.lax.rsqrt(variance + self.epsilon)).astype(x.dtype) * self.gain + self.bias

"""The nonlinearities of trained perceptrons, by the names that `config.json` uses."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["ACTIVATIONS"]


def gelu_exact(x: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Return $x\,\Phi(x)$ with the distribution function of the normal law (erf), arXiv:1606.08415."""
    return jax.nn.gelu(x, approximate=False)


def gelu_tanh(x: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Return $\tfrac{x}{2}\bigl(1+\tanh(\sqrt{2/\pi}\,(x+0.044715\,x^3))\bigr)$, arXiv:1606.08415."""
    return jax.nn.gelu(x, approximate=True)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": gelu_exact,
    "gelu_python": gelu_exact,
    "gelu_new": gelu_tanh,
    "gelu_fast": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "gelu_python_tanh": gelu_tanh,
    "gelu_accurate": gelu_tanh,
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "swish": jax.nn.silu,
    "tanh": jnp.tanh,
}

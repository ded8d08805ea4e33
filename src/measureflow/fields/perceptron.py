"""The perceptron: the part of a layer that moves every token by itself."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from measureflow.errors import BadInput
from measureflow.fields.field import Field, check_queries
from measureflow.fields.matrices import apply, as_numbers, check_finite
from measureflow.measures import Gaussian, Tokens

__all__ = ["Perceptron"]

ACTIVATIONS = {
    "relu": jax.nn.relu,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "tanh": jnp.tanh,
    "silu": jax.nn.silu,
    "identity": lambda x: x,
}


class Perceptron(Field):
    r"""A two-layer perceptron on each token: $A(x) = W \sigma(A x + b)$.

    Arguments:
        inner: `(k, d)` matrix `A`.
        outer: `(d, k)` matrix `W`.
        bias: `(k,)` vector `b`, or `None` for zero.
        activation: `"relu"`, `"gelu"` (exact), `"tanh"`, `"silu"` or `"identity"`.

    Example:
        >>> import jax.numpy as jnp, measureflow as mf
        >>> field = mf.SelfAttention(beta=1.0) + mf.Perceptron(jnp.eye(3), 0.1 * jnp.eye(3))
    """

    inner: Float[Array, "k d"]
    outer: Float[Array, "d k"]
    bias: Float[Array, "k"] | None
    activation: str = eqx.field(static=True)

    def __init__(self, inner: Any, outer: Any, bias: Any = None, activation: str = "relu") -> None:
        self.inner = as_numbers(inner, "Perceptron: inner", "a (k, d) matrix")
        self.outer = as_numbers(outer, "Perceptron: outer", "a (d, k) matrix")
        self.bias = None if bias is None else as_numbers(bias, "Perceptron: bias", "None or k numbers")
        self.activation = activation
        if not isinstance(activation, str) or activation not in ACTIVATIONS:
            raise BadInput(f"activation is {activation!r}; it must be one of {', '.join(map(repr, ACTIVATIONS))}.")
        fits = self.inner.ndim == 2 and self.outer.shape == self.inner.shape[::-1]
        if not fits or (self.bias is not None and self.bias.shape != self.inner.shape[:1]):
            raise BadInput(
                f"Perceptron: inner {self.inner.shape}, outer {self.outer.shape}, bias "
                f"{None if self.bias is None else self.bias.shape}; they must be (k, d), (d, k) and (k,)."
            )
        for name, array in (("inner", self.inner), ("outer", self.outer), ("bias", self.bias)):
            if array is not None:
                check_finite(array, f"Perceptron: {name}")

    def output(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> Float[Array, "m d"]:
        """Return `W sigma(A x + b)` at each query; the measure is not looked at."""
        check_queries(x, mu)
        if self.inner.shape[1] != mu.d:
            raise BadInput(f"Perceptron: inner has shape {self.inner.shape} and the tokens are in R^{mu.d}.")
        inner, outer, bias = (None if a is None else a.astype(x.dtype) for a in (self.inner, self.outer, self.bias))
        inside = apply(inner, x)
        return apply(outer, ACTIVATIONS[self.activation](inside if bias is None else inside + bias))

    def affine(self, mu: Gaussian) -> tuple[Float[Array, "d"], Float[Array, "d d"]]:
        """Return `b` and `B` of a perceptron whose activation is the identity; another is not affine."""
        if self.activation != "identity":
            return super().affine(mu)
        shift = jnp.zeros(mu.d) if self.bias is None else self.outer @ self.bias
        return shift, self.outer @ self.inner

"""The exact span reduction: tokens never leave the span of where they began, so `d > n` is really `d = n`."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from measureflow.fields import Field
from measureflow.measures import Tokens

__all__ = ["Span", "span_reduction"]


class Span(eqx.Module):
    r"""An orthonormal basis of the tokens' span: $x = Q\,y$ with $y \in R^n$. Gram matrices agree to rounding."""

    basis: Float[Array, "d n"]

    def lift(self, tokens: Tokens, points: Float[Array, "n k"]) -> Tokens:
        """Return `tokens` at the points with these coordinates; absent tokens stay where they are, bit by bit."""
        return tokens.replace(points=jnp.where(tokens.present[:, None], points @ self.basis.T, tokens.points))

    def lower(self, tokens: Tokens) -> Tokens:
        """Return the coordinates of `tokens` in the basis."""
        points = tokens.points @ self.basis
        space = tokens.space.with_dimension(self.basis.shape[1])
        return tokens.replace(space=space, points=space.project(points))


def span_reduction(tokens: Tokens, field: Field) -> Span | None:
    """Return the reduction where it is exact and smaller: `d > n >= 2` and a field that keeps the span."""
    if not field.isotropic or tokens.d <= tokens.n or tokens.n < 2:
        return None
    basis, _ = jnp.linalg.qr(tokens.points.T)
    return Span(basis)

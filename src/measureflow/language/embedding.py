"""The embedding of a trained encoder: what puts a text into space, as the first state of its path."""

from __future__ import annotations

import equinox as eqx
from jaxtyping import Array, Float, Int

from measureflow.language.blocks import Affine, LayerNorm

__all__ = ["Embedding"]


class Embedding(eqx.Module):
    """Words, places and token types, each a row of a table; their sum is normed, and widened by ALBERT.

    The whole influence of positions on an encoder of these families is here.
    """

    words: Float[Array, "v e"]
    positions: Float[Array, "p e"]
    types: Float[Array, "t e"]
    norm: LayerNorm
    widen: Affine | None

    def __call__(
        self, words: Int[Array, "n"], positions: Int[Array, "n"], types: Int[Array, "n"]
    ) -> Float[Array, "n d"]:
        """Return the point of each token."""
        x = self.norm(self.words[words] + self.types[types] + self.positions[positions])
        return x if self.widen is None else self.widen(x)

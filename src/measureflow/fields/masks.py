"""Masks: which tokens a query may see, from their places in the text."""

from __future__ import annotations

import abc

import equinox as eqx
from jaxtyping import Array, Bool, Int

from measureflow.errors import BadInput

__all__ = ["Causal", "Mask", "as_mask"]


class Mask(eqx.Module):
    """Who sees whom, by position."""

    @abc.abstractmethod
    def __call__(self, query: Int[Array, "m"], key: Int[Array, "n"]) -> Bool[Array, "m n"]:
        """Return True where the token at `key` is visible from the place `query`."""


class Causal(Mask):
    """A token sees itself and what stands before it: `position_j <= position_i`."""

    def __call__(self, query: Int[Array, "m"], key: Int[Array, "n"]) -> Bool[Array, "m n"]:
        """Return `key <= query`."""
        return key[None, :] <= query[:, None]


def as_mask(mask: str | Mask | None) -> Mask | None:
    """Return the mask of a name; an object or `None` is returned as it is."""
    if mask is None or isinstance(mask, Mask):
        return mask
    if isinstance(mask, str) and mask == "causal":
        return Causal()
    raise BadInput(f"mask is {mask!r}; it must be None, 'causal' or an mf.fields.Mask object.")

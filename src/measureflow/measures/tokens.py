"""Tokens: weighted points of a space, that is, an empirical measure with a memory of text order and padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from measureflow.errors import BadInput
from measureflow.measures.measure import Measure, measure_kind
from measureflow.spaces import Space, is_traced

__all__ = ["Tokens", "as_tokens"]

AXES = {"points": ("token", "coordinate"), "weights": ("token",), "positions": ("token",), "present": ("token",)}


@measure_kind
class Tokens(Measure):
    r"""The measure $\mu = \sum_i a_i \delta_{x_i}$ of `n` tokens on a space.

    Main arguments:
        space: where the tokens live.
        points: `(n, d)`, points of the space.
        weights: `(n,)`, masses `a_i >= 0` that sum to 1; `None` means equal masses over the tokens present. A token
            of weight 0 moves and is seen but does not pull.

    Other arguments:
        positions: `(n,)` integers, the place of each token in the text (default `0 .. n-1`); what a mask looks at.
        present: `(n,)` booleans; a token that is not present (padding) never moves, pulls or counts.
        labels: `n` words, shown in tables and plots.

    Raises:
        BadInput: NaN or infinite entries, points off the space, wrong shapes, weights that are negative or do not
            sum to 1.

    Example:
        >>> import measureflow as mf
        >>> mf.Tokens(mf.Euclidean(2), [[0.0, 0.0], [1.0, 0.0]]).weights.tolist()
        [0.5, 0.5]
    """

    space: Space
    points: Float[Array, "n d"]
    weights: Float[Array, "n"]
    positions: Int[Array, "n"]
    present: Bool[Array, "n"]
    labels: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        space: Space,
        points: Any,
        weights: Any = None,
        *,
        positions: Any = None,
        present: Any = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        if not isinstance(space, Space):
            raise BadInput(f"Tokens: space is {space!r}; it must be a space such as mf.Sphere(3) or mf.Euclidean(2).")
        points = as_floats(points, "points")
        if points.ndim != 2 or points.shape[0] < 1:
            raise BadInput(f"Tokens: points have shape {points.shape}; they must be (n, d) with n >= 1.")
        space.validate(points, "Tokens: points")
        n = points.shape[0]
        self.space = space
        self.points = points
        self.present = held(np.ones(n, bool)) if present is None else as_present(present, n)
        self.weights = checked_weights(weights, self.present, points.dtype)
        self.positions = held(np.arange(n)) if positions is None else as_positions(positions, n)
        self.labels = None if labels is None else tuple(str(word) for word in labels)
        if self.labels is not None and len(self.labels) != n:
            raise BadInput(f"Tokens: {len(self.labels)} labels for {n} tokens; give one word per token.")

    @property
    def n(self) -> int:
        """Number of tokens, padding included."""
        return self.points.shape[-2]

    @property
    def d(self) -> int:
        """Ambient dimension."""
        return self.points.shape[-1]

    def atoms(self) -> tuple[Float[Array, "n d"], Float[Array, "n"]]:
        """Return points and weights: the route by which fields and observables meet a measure."""
        return self.points, self.weights

    @property
    def axes(self) -> dict[str, tuple[str, ...]]:
        """Points, weights, positions, and who is present."""
        return AXES

    def said(self) -> str:
        """Return how many tokens there are."""
        return f"{self.n} tokens"

    def coordinates(self) -> dict[str, Any]:
        """Return the words, where there are any."""
        return {} if self.labels is None else {"label": ("token", list(self.labels))}

    def held(self) -> dict[str, Any]:
        """Return the words."""
        return {"labels": self.labels}

    @classmethod
    def of_parts(cls, space: Space, arrays: dict[str, Array], held: dict[str, Any]) -> Tokens:
        """Return the tokens of these parts; words are a tuple, whatever a file makes of them."""
        labels = None if held["labels"] is None else tuple(held["labels"])
        if any(not isinstance(word, (str, tuple)) for word in labels or ()):
            raise ValueError("labels are no words")
        return super().of_parts(space, arrays, {"labels": labels})

    def __repr__(self) -> str:
        shape = self.points.shape
        if len(shape) != 2:
            return f"Tokens(batch {shape[:-2]}, n={shape[-2]}, {self.space!r})"
        absent = "" if is_traced(self.present) else f", {int(self.n - np.sum(self.present))} absent"
        return f"Tokens(n={self.n}, {self.space!r}{'' if absent == ', 0 absent' else absent})"


def as_tokens(mu: Measure) -> Tokens:
    """Return the atoms of a measure as tokens, unchecked: by this route any sum over tokens meets it.

    Raises:
        BadInput: the measure has no atoms.
    """
    if isinstance(mu, Tokens):
        return mu
    points, weights = mu.atoms()
    arrays = {
        "points": points,
        "weights": weights,
        "positions": held(np.arange(points.shape[0])),
        "present": held(np.ones(points.shape[0], bool)),
    }
    return Tokens.of_parts(mu.space, arrays, {"labels": None})


def as_floats(values: Any, name: str) -> Array:
    """Return a floating array (float64 under x64, float32 kept), or raise `BadInput` where values are no numbers."""
    if isinstance(values, jax.Array) and jnp.issubdtype(values.dtype, jnp.floating):
        return values
    try:
        array = np.asarray(values)
        if not (np.issubdtype(array.dtype, np.number) or array.dtype == bool) or np.iscomplexobj(array):
            raise TypeError(f"dtype {array.dtype}")
    except (TypeError, ValueError) as error:
        if is_traced(values):
            return jnp.asarray(values, float)
        shape = "(n, d)" if name == "points" else "(n,)"
        why = str(error).partition(". ")[0]
        raise BadInput(f"Tokens: {name} are no array of real numbers ({why}); give an {shape} array.") from None
    return held(array if array.dtype in (np.float32, np.float64) else array.astype(float))


def held(array: Any) -> Array:
    """Return an array of JAX; where its type is not said, `jnp.asarray` compiles a program for every new shape."""
    return jnp.asarray(array, jax.dtypes.canonicalize_dtype(array.dtype))


def as_array(values: Any, name: str, wanted: str, noun: str = "Tokens") -> Array:
    """Return an array of numbers or booleans, or raise `BadInput` where values are neither."""
    if is_traced(values) or isinstance(values, jax.Array):
        return jnp.asarray(values)
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "biuf":
            raise TypeError
        return held(array)
    except (TypeError, ValueError):
        raise BadInput(f"{noun}: {name} are {values!r}; they must be {wanted}.") from None


def as_present(present: Any, n: int) -> Array:
    """Check and return the mask of tokens that are present."""
    present = as_array(present, "present", f"({n},) booleans")
    if jnp.issubdtype(present.dtype, jnp.inexact):
        raise BadInput(f"Tokens: present has dtype {present.dtype}; it must be {n} booleans.")
    if present.shape != (n,):
        raise BadInput(f"Tokens: present has shape {present.shape}; it must be ({n},), one boolean per token.")
    if not is_traced(present) and not bool(np.any(present)):
        raise BadInput("Tokens: present is False everywhere; at least one token must be there.")
    return present.astype(bool)


def as_positions(positions: Any, n: int) -> Array:
    """Check and return the places of the tokens in their text."""
    positions = as_array(positions, "positions", f"({n},) integers")
    if positions.shape != (n,) or not jnp.issubdtype(positions.dtype, jnp.integer):
        raise BadInput(
            f"Tokens: positions have shape {positions.shape} and dtype {positions.dtype}; they must be {n} integers."
        )
    return positions


def checked_weights(weights: Any, present: Array, dtype: Any) -> Array:
    """Return masses that sum to 1 over the present tokens; raise `BadInput` where the given ones do not."""
    n = present.shape[0]
    if weights is None:
        # in NumPy where values are known: each eager operation of JAX is a program to compile at the first call
        kind = jnp if is_traced(present) else np
        here = kind.asarray(present)
        shares = here.astype(dtype) / kind.sum(here).astype(dtype)  # counted: half precision loses ones
        return held(shares) if kind is np else jnp.asarray(shares)
    weights = as_floats(weights, "weights").astype(dtype)
    if weights.shape != (n,):
        raise BadInput(f"Tokens: weights have shape {weights.shape}; they must be ({n},), one mass per token.")
    if is_traced(weights, present):
        return jnp.where(present, weights, 0.0)
    values = np.asarray(weights)
    if not np.isfinite(values).all() or (values < 0).any():
        worst = values[~np.isfinite(values)] if not np.isfinite(values).all() else values[values < 0]
        raise BadInput(f"Tokens: a weight is {worst[0]}; masses must be finite and >= 0.")
    if (values[~np.asarray(present)] != 0).any():
        raise BadInput("Tokens: a token that is not present has a positive weight; give absent tokens weight 0.")
    total = float(values.astype(float).sum())
    if abs(total - 1.0) > max(1e-6, 2 * float(jnp.finfo(weights.dtype).eps)):
        raise BadInput(f"Tokens: weights sum to {total:.6g}; masses must sum to 1. Divide them by their sum.")
    return weights / total

"""Randomness: every `seed=` of the library is an integer or a JAX key, turned into a key here."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from measureflow.errors import BadInput

__all__ = ["as_key"]


def as_key(seed: Any) -> jax.Array:
    """Return the JAX key of an integer seed; a key is returned as it is.

    Raises:
        BadInput: anything else.
    """
    if isinstance(seed, jax.Array) and (
        (jnp.issubdtype(seed.dtype, jax.dtypes.prng_key) and seed.shape == ())
        or (seed.dtype == np.uint32 and seed.shape == (2,))
    ):
        return seed
    if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool) and 0 <= int(seed) < 2**63:
        return jax.random.key(int(seed))
    raise BadInput(f"seed is {seed!r}; it must be an integer in [0, 2^63) or one JAX key (jax.random.key(0)).")

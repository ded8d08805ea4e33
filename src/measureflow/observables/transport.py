"""How far a measure is from another, at one depth or along a path."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from measureflow import measures
from measureflow.errors import BadInput
from measureflow.measures import Density, Gaussian, Measure, Tokens
from measureflow.observables.along import measure_of

__all__ = ["wasserstein"]


def wasserstein(subject: Any, reference: Measure, p: float = 2.0) -> Float[Array, "*s"]:
    r"""Return the distance $W_p$ of a measure, or of each state of a path, from a reference.

    The distance is `mf.measures.wasserstein`: exact, state by state.

    Main arguments:
        subject: tokens, a density on the circle, a Gaussian, or a path of one of them.
        reference: a measure of the same space.
        p: at least 1.

    Raises:
        BadInput: as `mf.measures.wasserstein`.

    Example:
        >>> import measureflow as mf
        >>> tokens = mf.uniform(mf.Sphere(3), n=10, seed=0)
        >>> path = mf.flow(tokens, mf.SelfAttention(beta=1.0), until=20.0, save=3)
        >>> distances = mf.observe.wasserstein(path, path[-1])
        >>> bool(distances[0] > distances[1] > distances[2] == 0)
        True
    """
    mu = measure_of(subject, (Tokens, Density, Gaussian))
    if not isinstance(reference, Measure):
        raise BadInput(f"wasserstein: reference is a {type(reference).__name__}; give a measure, such as path[-1].")
    if not mu.batch:
        return measures.wasserstein(mu, reference, p)
    mu = mu.replace(labels=None) if isinstance(mu, Tokens) else mu
    places = list(np.ndindex(*mu.batch))
    states = [jax.tree.map(lambda leaf, at=at: leaf[at], mu) for at in places]
    return jnp.asarray(np.array([float(measures.wasserstein(state, reference, p)) for state in states])).reshape(
        mu.batch
    )

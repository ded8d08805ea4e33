"""Cosines: the angles between tokens, raw or after the mean is taken away."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from measureflow.errors import BadInput
from measureflow.measures import Density, Tokens, as_tokens
from measureflow.observables.along import along, measure_of, unit
from measureflow.sums import Exact

__all__ = ["Histogram", "cosine", "cosine_histogram", "cosines", "order_parameter", "overlap", "smallest_cosine"]


class Histogram(eqx.Module):
    """How the cosines of pairs are distributed (of a path: along the leading axis s).

    Attributes:
        fraction: `(bins,)` share of the pairs in each bin.
        edges: `(bins + 1,)` from -1 to 1.
    """

    fraction: Float[Array, "*s b"]
    edges: Float[Array, "b1"]


def cosines(subject: Any, *, centred: bool = False) -> Float[Array, "*s p"]:
    r"""Return $\cos\angle(x_i, x_j)$ of all pairs $i<j$, in the order of `numpy.triu_indices(n, 1)`.

    A pair with a token that is not present is NaN. Every token present counts once, whatever its mass.
    `centred=True` first takes away the mean $\sum_i a_i x_i$: hidden states of a network share a mean
    direction that hides their angles. A token at the mean (or at 0) has no direction and gets cosine 0.
    Quadratic in n, as its result is; `cosine`, `cosine_histogram` and `smallest_cosine` are not, in memory.

    Example:
        >>> import measureflow as mf
        >>> from measureflow.observables import cosines
        >>> cosines(mf.equiangular(n=3, cosine=0.25)).round(12).tolist()
        [0.25, 0.25, 0.25]
    """
    return along(all_cosines, subject, centred=centred)


def cosine(subject: Any, *, centred: bool = False) -> Float[Array, "*s"]:
    """Return the mean of the cosines of all pairs of distinct present tokens; NaN where there is no pair.

    Memory and time linear in n. Arguments as in `cosines`.
    """
    return along(mean_cosine, subject, centred=centred)


def smallest_cosine(subject: Any, *, centred: bool = False) -> Float[Array, "*s"]:
    """Return the smallest cosine of all pairs of present tokens. Arguments as in `cosines`."""
    return along(least_cosine, subject, centred=centred)


def cosine_histogram(subject: Any, bins: int = 64, *, centred: bool = False) -> Histogram:
    """Return the shares of pairs whose cosine lies in each of `bins` equal cells of [-1, 1].

    Memory is linear in n.

    Raises:
        BadInput: bins is not a positive integer.
    """
    if isinstance(bins, bool) or not isinstance(bins, (int, np.integer)) or bins < 1:
        raise BadInput(f"cosine_histogram: bins is {bins!r}; it must be an integer of at least 1.")
    edges = jnp.linspace(-1.0, 1.0, int(bins) + 1)
    return Histogram(along(shares, subject, bins=int(bins), centred=centred), edges)


def order_parameter(subject: Any) -> Float[Array, "*s"]:
    r"""Return $|\sum_i a_i x_i/|x_i||$: 1 where tokens share one direction, near 0 where they balance out.

    On the circle it is Kuramoto's order parameter. Of a density, the same integral.
    """
    return along(mean_direction, subject, (Tokens, Density))


def overlap(subject: Any) -> Float[Array, "*s"]:
    r"""Return the cosine of the first two tokens, $\langle x_1, x_2\rangle$ on the sphere; for tokens drawn
    independently they stand for any pair.

    Raises:
        BadInput: fewer than two tokens.

    Example:
        >>> import measureflow as mf
        >>> from measureflow.observables import overlap
        >>> round(float(overlap(mf.equiangular(n=3, cosine=0.25))), 12)
        0.25
    """
    if measure_of(subject).n < 2:
        raise BadInput("overlap: there is one token; a pair needs two.")
    return along(first_overlap, subject)


def first_overlap(mu: Tokens) -> Array:
    """Return the cosine of the first two tokens of one measure, from the difference of their directions."""
    gap = unit(mu.points[0]) - unit(mu.points[1])
    return 1.0 - 0.5 * (gap @ gap)


def directions(mu: Tokens, centred: bool) -> Array:
    """Return unit vectors of the tokens, about the mean if centred; zero for absent tokens."""
    points = mu.points - mu.weights @ mu.points if centred else mu.points
    return jnp.where(mu.present[:, None], unit(points), 0.0)


def all_cosines(mu: Tokens, centred: bool) -> Array:
    """Return the cosines of all pairs of one measure."""
    first, second = np.triu_indices(mu.n, 1)
    here = directions(mu, centred)
    both = mu.present[first] & mu.present[second]
    return jnp.where(both, (here @ here.T)[first, second], jnp.nan)


def mean_cosine(mu: Tokens, centred: bool) -> Array:
    """Return the mean over pairs, from the sum of the directions."""
    here = directions(mu, centred)
    total = jnp.sum(here, axis=0)
    present = jnp.sum(mu.present)
    pairs = present * (present - 1)
    return jnp.where(pairs > 0, (total @ total - jnp.sum(here * here)) / jnp.maximum(pairs, 1), jnp.nan)


def least_cosine(mu: Tokens, centred: bool) -> Array:
    """Return the least cosine over pairs, row block by row block."""
    here = directions(mu, centred)

    def row(x: Array, token: Array) -> Array:
        return jnp.min(jnp.where(pairs(mu, token), x @ here.T, jnp.inf), axis=1)

    return jnp.min(jnp.where(mu.present, Exact().over_blocks(row, here, jnp.arange(mu.n), mu.n), jnp.inf))


def shares(mu: Tokens, bins: int, centred: bool) -> Array:
    """Return the histogram of the pairs of one measure; every pair is seen from both its ends."""
    here = jax.lax.stop_gradient(directions(mu, centred))

    def row(x: Array, token: Array) -> Array:
        cell = jnp.clip(jnp.floor((x @ here.T + 1.0) * (0.5 * bins)), 0, bins - 1).astype(int)
        cell = jnp.where(pairs(mu, token), cell, bins)  # beyond the last: counted nowhere
        return jax.vmap(lambda cells: jnp.zeros(bins).at[cells].add(1.0, mode="drop"))(cell)

    counts = Exact().over_blocks(row, here, jnp.arange(mu.n), mu.n)
    counts = jnp.sum(jnp.where(mu.present[:, None], counts, 0.0), axis=0)
    return counts / jnp.maximum(jnp.sum(counts), 1.0)


def pairs(mu: Tokens, token: Array) -> Bool[Array, "m n"]:
    """Tell which tokens are present and not the query itself."""
    return mu.present[None, :] & (token[:, None] != jnp.arange(mu.n)[None, :])


def mean_direction(mu: Tokens | Density) -> Array:
    """Return the length of the mean direction, with a zero derivative where it vanishes."""
    mu = as_tokens(mu)
    mean = mu.weights @ unit(mu.points)
    square = mean @ mean
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)

"""Clusters: connected components of the graph of near tokens, with the threshold that defines them."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from measureflow.errors import BadInput
from measureflow.measures import Tokens
from measureflow.observables.along import along
from measureflow.spaces import Sphere, is_traced
from measureflow.sums import Exact, squared_distances

__all__ = ["Clusters", "clusters"]

# up to this many tokens the graph is kept (16 MiB of booleans), beyond it every sweep computes it again in
# blocks
KEPT = 4096


class Clusters(eqx.Module):
    """The clusters of a measure (of a path: along the leading axis s).

    Attributes:
        count: `()` number of clusters that carry mass.
        membership: `(n,)` cluster of each token, numbered 0, 1, ... by first member; -1 for a token that is
            not present, and for one without mass that is near no cluster.
        delta: `()` the threshold on `1 - cosine`.
    """

    count: Int[Array, "*s"]
    membership: Int[Array, "*s n"]
    delta: Float[Array, ""]


def clusters(subject: Any, delta: Any = 1e-3) -> Clusters:
    r"""Find the connected components of the graph $\rho_{ij} > 1 - \delta$, i.e. $|x_i - x_j|^2 < 2\delta$.

    A chain of near tokens is one cluster. The distance decides, in every space: on the sphere it is the
    cosine's threshold, in Euclidean space tokens are joined below the distance $\sqrt{2\delta}$. Only tokens
    with mass join others; one without mass belongs to the first cluster it is near. Exact at any scale of
    delta (differences, not inner products), in memory linear in n beyond 4,096 tokens; of so many tokens on the circle
    neighbours are found by sorting, which tells angles apart down to rounding.

    Arguments:
        subject: a measure, or a path.
        delta: threshold > 0; part of the result.

    Raises:
        BadInput: delta is not a positive number.

    Example:
        >>> import measureflow as mf
        >>> from measureflow.observables import clusters
        >>> caps = [mf.cap(mf.Sphere(3), 20, centre=c, angle=0.01, seed=1) for c in ([1, 0, 0], [0, 1, 0])]
        >>> int(clusters(mf.mixture(caps)).count)
        2
    """
    if not is_traced(delta):
        try:
            number = float(delta)
        except (TypeError, ValueError):
            number = np.nan
        if not (np.isfinite(number) and number > 0):
            raise BadInput(f"clusters: delta is {delta!r}; it is a threshold on 1 - cosine and must be > 0 (try 1e-3).")
    threshold = jnp.asarray(delta, float)
    count, membership = along(components, subject, delta=threshold)
    return Clusters(count, membership, threshold)


def components(mu: Tokens, delta: Array) -> tuple[Array, Array]:
    """Return count and membership of one measure.

    Every token gets a pointer to the first token of its cluster.
    """
    points = jax.lax.stop_gradient(mu.points)
    massive = mu.present & (mu.weights > 0)
    tokens = jnp.arange(mu.n)
    least_of = least_neighbour(points, massive, delta)
    around = isinstance(mu.space, Sphere) and mu.space.d == 2 and mu.n > KEPT
    pointer = first_of_runs(points, massive, delta) if around else first_of_graph(least_of, massive)
    first = massive & (pointer == tokens)
    number = jnp.cumsum(first) - 1
    # a token without mass takes the first cluster it is near
    lost = jnp.any(mu.present & ~massive)
    follows = jax.lax.cond(lost, least_of, lambda labels: labels, pointer)
    own = jnp.where(massive, pointer, follows)
    near_none = ~mu.present | (own == mu.n)
    return jnp.sum(first), jnp.where(near_none, -1, number[jnp.minimum(own, mu.n - 1)])


def first_of_graph(least_of: Any, massive: Bool[Array, "n"]) -> Int[Array, "n"]:
    """Return the first token of each token's cluster, by sweeps over the graph.

    A pointer leads at first to the token itself. Each sweep hooks the end of a token's pointer, and the token, to the
    least end among its neighbours, and then halves all chains; when nothing moves any more, pointers end in the
    cluster's first token. Takes about log n sweeps, for a chain too.
    """
    tokens = jnp.arange(len(massive))

    def sweep(state: tuple[Array, Array]) -> tuple[Array, Array]:
        pointer, _ = state
        least = jnp.where(massive, least_of(pointer[pointer]), tokens)
        new = pointer.at[pointer].min(least)
        new = jnp.minimum(new, least)
        new = jnp.minimum(new, new[new])
        return new, jnp.any(new != pointer)

    return jax.lax.while_loop(lambda state: state[1], sweep, (tokens, jnp.asarray(True)))[0]


def first_of_runs(points: Float[Array, "n 2"], massive: Bool[Array, "n"], delta: Array) -> Int[Array, "n"]:
    """Return the first token of each token's cluster on the circle: a run of tokens with small gaps between them."""
    n = len(points)
    angle = jnp.where(massive, jnp.arctan2(points[:, 1], points[:, 0]), jnp.inf)
    order = jnp.argsort(angle)
    count = jnp.maximum(jnp.sum(massive), 1)
    place = jnp.arange(n)
    following = order[jnp.where(place + 1 < count, place + 1, 0)]
    gap = jnp.sum((points[order] - points[following]) ** 2, axis=1)
    ends = (gap >= 2.0 * delta) | (place >= count)
    run = jnp.cumsum(ends) - ends
    # no gap between the last and the first: they are one run
    run = jnp.where(~ends[count - 1] & (run == run[count - 1]), run[0], run)
    least = jax.ops.segment_min(jnp.where(place < count, order, n), run, n)
    return jnp.zeros(n, order.dtype).at[order].set(jnp.where(place < count, least[run], order))


def least_neighbour(points: Array, massive: Bool[Array, "n"], delta: Array) -> Any:
    """Return the function from labels to the least label among each token's neighbours with mass, or n."""
    n = points.shape[0]

    def near(x: Array, _: None = None) -> Array:
        return (squared_distances(x, points) < 2.0 * delta) & massive[None, :]

    def least(graph: Array, labels: Array) -> Array:
        return jnp.min(jnp.where(graph, labels[None, :], n), axis=1)

    if n <= KEPT:
        graph = Exact().over_blocks(near, points, None, n)
        return lambda labels: least(graph, labels)
    return lambda labels: Exact().over_blocks(lambda x, _: least(near(x), labels), points, None, n)

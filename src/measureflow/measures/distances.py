"""How far two measures are apart."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from measureflow.errors import BadInput
from measureflow.measures.tokens import Tokens
from measureflow.spaces import Sphere

__all__ = ["wasserstein_on_circle"]


def wasserstein_on_circle(mu: Tokens, nu: Tokens) -> Float[Array, ""]:
    r"""Return the distance $W_1$ between two measures on the circle, arc length being the cost.

    $$ W_1(\mu, \nu) = \min_c \int_0^{2\pi} |F_\mu(\theta) - F_\nu(\theta) - c|\, d\theta $$

    with the distribution functions from any angle on; the least is reached at the median of their difference. Exact up
    to rounding, in time `n log n`; can be jitted and vmapped.

    Raises:
        BadInput: a measure is not on `Sphere(2)`.

    Source: the transport problem on the circle, Rabin, Delon and Gousseau
        ([arXiv:0906.5499](https://arxiv.org/abs/0906.5499)).

    Example:
        >>> import measureflow as mf
        >>> from measureflow.measures import wasserstein_on_circle
        >>> one, other = mf.Tokens(mf.Sphere(2), [[1.0, 0.0]]), mf.Tokens(mf.Sphere(2), [[0.0, 1.0]])
        >>> round(float(wasserstein_on_circle(one, other)), 6)
        1.570796
    """
    for measure in (mu, nu):
        if not isinstance(measure, Tokens) or measure.space != Sphere(2):
            space = getattr(measure, "space", type(measure).__name__)
            raise BadInput(f"wasserstein_on_circle: {space!r} is not the circle; give tokens on mf.Sphere(2).")
    points = jnp.concatenate([mu.points, nu.points])
    here = jnp.concatenate([mu.present, nu.present])
    jumps = jnp.where(here, jnp.concatenate([mu.weights, -nu.weights]), 0)
    angles = jnp.where(here, jnp.arctan2(points[:, 1], points[:, 0]), jnp.pi)
    order = jnp.argsort(angles)
    angles, difference = angles[order], jnp.cumsum(jumps[order])
    # the difference of the distribution functions is constant from each angle to the next, round the circle
    arcs = jnp.diff(angles, append=angles[:1] + 2 * jnp.pi)
    by_value = jnp.argsort(difference)
    reached = jnp.cumsum(arcs[by_value])
    median = difference[by_value][jnp.searchsorted(reached, 0.5 * reached[-1])]
    return jnp.sum(arcs * jnp.abs(difference - median))

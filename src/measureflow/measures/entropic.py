"""Transport with entropy, by ott-jax: imported when it is asked for, since few need it."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from measureflow.errors import BadInput
from measureflow.measures.tokens import Tokens
from measureflow.spaces import Sphere

__all__ = ["divergence"]


@functools.cache
def parts() -> tuple[Any, ...]:
    """Return what is used of ott-jax, with the squared angle as a cost.

    Raises:
        BadInput: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # one of its own dependencies says that it is old
            from ott.geometry import costs, pointcloud
            from ott.tools.sinkhorn_divergence import sinkhorn_divergence
    except ImportError as error:
        raise BadInput(
            f"sinkhorn_divergence needs ott-jax ({error}): pip install 'measureflow[ot]'; wasserstein is exact and "
            f"needs nothing."
        ) from None

    @jax.tree_util.register_pytree_node_class
    class SquaredAngle(costs.CostFn):
        """The squared angle between two unit vectors, with derivatives where they meet."""

        def __call__(self, x: Array, y: Array) -> Array:
            """Return it."""
            gap, mean = jnp.sum((x - y) ** 2), jnp.sum((x + y) ** 2)
            apart = gap > 1e-12
            root, other = (jnp.sqrt(jnp.where(apart & (part > 0), part, 1.0)) for part in (gap, mean))
            return jnp.where(apart, (2.0 * jnp.arctan2(root, jnp.where(mean > 0, other, 0.0))) ** 2, gap)

    return sinkhorn_divergence, pointcloud.PointCloud, SquaredAngle(), costs.SqEuclidean()


def divergence(mu: Tokens, nu: Tokens, epsilon: Any) -> tuple[Array, Array]:
    """Return the Sinkhorn divergence, and whether the iterations converged."""
    return solved(mu.points, mu.weights, nu.points, nu.weights, epsilon, isinstance(mu.space, Sphere))


@functools.partial(jax.jit, static_argnames="on_sphere")
def solved(x: Array, a: Array, y: Array, b: Array, epsilon: Array, on_sphere: bool) -> tuple[Array, Array]:
    """Return both in one program."""
    solve, cloud, angle, plain = parts()
    cost = angle if on_sphere else plain
    # of the marginals; the value is right to the square of it
    run = {"threshold": 1e-4, "max_iterations": 20_000}
    value, out = solve(cloud, x, y, cost_fn=cost, epsilon=epsilon, a=a, b=b, solve_kwargs=run)
    return value, jnp.all(jnp.asarray(out.converged))

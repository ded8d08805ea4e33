"""The Jacobian of a field: how the tokens' velocities change when the tokens are moved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from measureflow.errors import BadInput
from measureflow.fields import Field
from measureflow.measures import Tokens
from measureflow.observables.along import along, field_of, measure_of

__all__ = ["derivative", "jacobian", "jacobian_product", "velocity_of"]

#: so many columns are taken at once that their blocks of pair weights hold about this many numbers
ENTRIES = 1 << 20


def jacobian(subject: Any, *, field: Field | None = None) -> Float[Array, "*s k k"]:
    r"""Return the Jacobian of the tokens' velocities, as a matrix on tangent vectors of all tokens together.

    $$ J = E^T\, DX(x)\, E, \qquad X(x_1..x_n) = (v(x_1;\mu), .., v(x_n;\mu)) $$

    What is differentiated is the vector field `X` on the product of n copies of the space, where moving a token moves
    the measure as well. The columns of `E` are orthonormal tangent vectors, `space.frame(points)`: d - 1 for each token
    on a sphere, d in Euclidean space, token by token; so `J` has `n (d - 1)` or `n d` rows. It is the covariant
    derivative of `X`; where the tokens rest (`X = 0`) it is the linearisation of the flow, and its eigenvalues do not
    depend on the frame. Absent tokens have zero rows and columns.

    Main arguments:
        subject: a measure, or a path (then one matrix per saved depth, with the path's own field if none is given).
        field: the field; one that changes with depth is taken at a depth with `field.at(t)`.

    `jacobian_product` gives `J w` without the matrix.

    Raises:
        BadInput: there is no field, or it changes with depth.

    Source: for the fields of [arXiv:2312.10794](https://arxiv.org/abs/2312.10794), sections 3 and 5.

    Example:
        >>> import jax.numpy as jnp
        >>> import measureflow as mf
        >>> met = mf.equiangular(n=3, cosine=1.0)  # at consensus deviations fall like e^-t
        >>> rates = jnp.linalg.eigvals(mf.observe.jacobian(met, field=mf.SelfAttention(beta=4.0)))
        >>> (jnp.sort(rates.real).round(9) + 0.0).tolist()
        [-1.0, -1.0, -1.0, -1.0, 0.0, 0.0]
    """
    field = steady("jacobian", field_of("jacobian", subject, field))
    return along(matrix, subject, field=field)


def jacobian_product(
    mu: Tokens, tangents: Float[Array, "n d"], *, field: Field, transpose: bool = False
) -> Float[Array, "n d"]:
    r"""Return $J w$ of `jacobian`, or $J^T w$, for tangent vectors `w`, without forming the matrix.

    The vectors are ambient, one row for each token; what of them is not tangent is left out. Time and memory are those
    of a derivative of the field: linear memory in n with every sum of the library.

    Raises:
        BadInput: the vectors do not fit the tokens; the field changes with depth.

    Example:
        >>> import jax.numpy as jnp
        >>> import measureflow as mf
        >>> met = mf.equiangular(n=3, cosine=1.0)
        >>> turn = jnp.cross(jnp.array([0.0, 0.0, 1.0]), met.points)  # a rotation moves consensus to consensus
        >>> bool(jnp.abs(mf.observe.jacobian_product(met, turn, field=mf.SelfAttention(beta=4.0))).max() < 1e-12)
        True
    """
    mu, field = measure_of(mu), steady("jacobian_product", field)
    tangents = jnp.asarray(tangents, mu.points.dtype)
    if tangents.shape != mu.points.shape:
        raise BadInput(f"jacobian_product: the vectors have shape {tangents.shape} and the tokens {mu.points.shape}.")
    return product(mu.replace(labels=None), tangents, field, transpose)


def steady(name: str, field: Field) -> Field:
    """Return the field, which must be the same at every depth."""
    if not field.autonomous:
        raise BadInput(f"{name}: {field!r} changes with depth; give the field at one depth, field.at(t).")
    return field


def velocity_of(mu: Tokens, field: Field, points: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Return the velocities of the tokens at `points`; absent tokens stand still."""
    moved = mu.replace(points=points)
    return jnp.where(mu.present[:, None], field(points, moved), 0)


@eqx.filter_jit
def product(mu: Tokens, tangents: Array, field: Field, transpose: bool) -> Array:
    """Return the product of one measure's Jacobian with tangent vectors."""

    def motion(points: Array) -> Array:
        return velocity_of(mu, field, points)

    start = mu.space.tangent(mu.points, tangents)
    if transpose:
        (out,) = jax.vjp(motion, mu.points)[1](start)
    else:
        out = jax.jvp(motion, (mu.points,), (start,))[1]
    return mu.space.tangent(mu.points, out)


def matrix(mu: Tokens, field: Field) -> Array:
    """Return the Jacobian of one measure."""
    return derivative(mu, lambda points: velocity_of(mu, field, points))


def derivative(mu: Tokens, motion: Callable[[Array], Array]) -> Array:
    """Return the covariant derivative of tangent vectors at the tokens, some columns at a time."""
    frame = mu.space.frame(mu.points)
    _, push = jax.linearize(motion, mu.points)
    n, _, k = frame.shape

    def column(index: Array) -> Array:
        unit = jnp.zeros(n * k, mu.points.dtype).at[index].set(1.0).reshape(n, k)
        pushed = push(jnp.einsum("ndk,nk->nd", frame, unit))
        return jnp.einsum("ndk,nd->nk", frame, pushed).ravel()

    together = min(n * k, max(1, ENTRIES // (mu.n * mu.n)))
    return jax.lax.map(column, jnp.arange(n * k), batch_size=together).T

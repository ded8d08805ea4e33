"""The exact pair sum by matrix products: several times faster in high dimension and for many small clouds at once."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from measureflow.measures import Tokens
from measureflow.spaces import Space, Sphere
from measureflow.sums.exact import Exact
from measureflow.sums.exponential import Exponential
from measureflow.sums.sum import Kernel, Sum

__all__ = ["Products"]

#: how much of the exponents that a type has may lie between two weights
ROOM = 0.8


class Products(Sum):
    r"""Sum every pair by matrix products: $\sum_j w_{ij} y_j - (\sum_j w_{ij}) x_i$ over the others, $j \ne i$.

    A token's weight on itself is left out, so the error is rounding relative to its weight on *others*: tokens in
    separate clusters keep their digits however slow they are, and what is lost is the motion of tokens that have come
    within rounding of each other, which `Exact` resolves and a flow that coarsens has merged long before.

    Softmax rows are divided last, and what is summed over a row is a product: that is what makes it fast on many small
    clouds under `jax.vmap`. Memory is linear in the number of tokens, in blocks like those of `Exact`.

    Example:
        >>> import measureflow as mf
        >>> field = mf.SelfAttention(beta=9.0, sum=mf.sums.Products())
        >>> tokens = mf.uniform(mf.Sphere(32), n=20, seed=0)
        >>> exact = mf.SelfAttention(beta=9.0)(tokens.points, tokens)
        >>> bool(abs(field(tokens.points, tokens) - exact).max() < 1e-14)
        True
    """

    block: int | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        Exact(self.block)  # says what a block may be

    def attend(
        self,
        kernel: Kernel,
        x: Float[Array, "m d"],
        rank: Int[Array, "m"] | None,
        mu: Tokens,
        values: Float[Array, "n v"],
    ) -> Float[Array, "m v"]:
        """Return `sum_j w(x, y_j) values_j` by a matrix product per block."""
        return Exact(self.block).attend(kernel, x, rank, mu, values)

    def pull(
        self, kernel: Kernel, x: Float[Array, "m d"], rank: Int[Array, "m"] | None, mu: Tokens
    ) -> tuple[Float[Array, "m d"], Float[Array, "m"]]:
        """Return `sum_j w (y_j - x)` and `sum_j w`."""
        index = jnp.arange(x.shape[0]) if x is mu.points else None
        plain = kernel.exponential()

        def rows(xs: Array, beside: tuple[Array | None, Array | None]) -> tuple[Array, Array]:
            ranks, own = beside
            if plain is not None and plain.form is None and not plain.causal:
                return exponential_pull(plain, xs, own, mu)
            weights = kernel.weights(xs, ranks, mu)
            others = weights if own is None else jnp.where(own[:, None] == jnp.arange(mu.n)[None, :], 0, weights)
            pulled = others @ mu.points - jnp.sum(others, axis=1)[:, None] * xs
            return pulled, jnp.sum(weights, axis=1)

        return Exact(self.block).over_blocks(rows, x, (rank, index), mu.n)

    def floor(self, kernel: Kernel, mu: Tokens) -> Float[Array, ""]:
        """Return a few roundings of the largest token times its weight on all."""
        total = self.pull(kernel, mu.points, mu.positions if kernel_is_masked(kernel) else None, mu)[1]
        size = jnp.max(jnp.abs(mu.points), initial=0.0)
        return 8 * jnp.finfo(mu.points.dtype).eps * size * jnp.max(total, initial=0.0)

    def settled(self, kernel: Kernel, mu: Tokens) -> Products:
        """Return this sum: nothing is chosen from values."""
        return self

    def explain(self, kernel: Kernel, mu: Tokens) -> str:
        """Say that every pair is summed, by matrix products."""
        return f"{self!r}: every one of {mu.n:,} x {mu.n:,} pairs by matrix products, up to rounding of the largest."


def kernel_is_masked(kernel: Kernel) -> bool:
    """Tell whether a kernel looks at positions."""
    return getattr(kernel, "mask", None) is not None


def exponential_pull(
    plain: Exponential, x: Float[Array, "m d"], own: Int[Array, "m"] | None, mu: Tokens
) -> tuple[Float[Array, "m d"], Float[Array, "m"]]:
    """Return pull and total weight of an exponential kernel; `own` are the queries' places among the atoms.

    Scales and masses go into the factors of the products: what is done to all pairs is two products and one
    exponential, on the sphere without a maximum.
    """
    c, cap = plain.number.astype(x.dtype), 0.9 * math.log(float(jnp.finfo(x.dtype).max))
    masses = jnp.where(mu.present, mu.weights, 0)
    logits = (c * x) @ mu.points.T
    top = tops(c, masses, logits, mu.space) if plain.normalised else plain.shift.astype(x.dtype)
    raised = jnp.exp(jnp.minimum(logits - top[..., None], cap))
    if own is not None:
        raised = jnp.where(own[:, None] == jnp.arange(mu.n)[None, :], 0, raised)
    weights = raised * masses  # in the pass of the exponential, and the sum apart: a product with d + 1 columns is slow
    total = jnp.sum(weights, axis=1)
    pulled = weights @ mu.points - total[:, None] * x
    if own is not None:
        self_logit = c * jnp.sum(mu.points[own] * x, axis=1)
        total = total + masses[own] * jnp.exp(jnp.minimum(self_logit - top, cap))
    if not plain.normalised:
        return pulled, total
    some = total > 0
    return pulled / jnp.where(some, total, 1)[:, None], some.astype(x.dtype)


def tops(
    c: Float[Array, ""], masses: Float[Array, "n"], logits: Float[Array, "m n"], space: Space
) -> Float[Array, "m"]:
    """Return what to take off each query's logits, so that none is large and not all are small."""
    c, logits = jax.lax.stop_gradient((c, logits))

    def largest(logits: Array) -> Array:
        # an atom without mass must not set the shift: the others could underflow beside it
        unseen = jnp.where(masses > 0, 0, -jnp.inf).astype(logits.dtype)
        top = jnp.max(logits + unseen, axis=1, initial=-jnp.inf)
        return jnp.where(jnp.isfinite(top), top, 0)

    if not isinstance(space, Sphere):
        return largest(logits)
    # a logit lies between -|c| and |c|: as long as e^(-2|c|) is far from underflow one shift serves all, and a pass
    # over all pairs is saved
    spread = 2 * jnp.abs(c)
    room = -ROOM * math.log(float(jnp.finfo(logits.dtype).tiny))
    return jax.lax.cond(spread <= room, lambda _: jnp.broadcast_to(jnp.abs(c), logits.shape[:1]), largest, logits)

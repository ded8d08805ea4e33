"""Attention without a layer norm, in the coordinates in which it neither grows nor overflows."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from measureflow.errors import BadInput
from measureflow.fields.attention import show
from measureflow.fields.field import Field, check_queries
from measureflow.fields.growth import Growth
from measureflow.fields.kernel import check_shapes, checked_beta
from measureflow.fields.matrices import Matrix, apply, as_matrix, is_scalar
from measureflow.fields.weightings import Hardmax, Softmax, Weighting, as_weighting
from measureflow.measures import Measure, Tokens
from measureflow.spaces import Euclidean, is_traced
from measureflow.sums import Exact, Kernel

__all__ = ["RescaledAttention"]

#: a logit this far below the largest has weight 0
FAR = 1e3


class RescaledAttention(Field):
    r"""Attention on R^d without a layer norm, for the rescaled tokens $z_i = e^{-tV} x_i$.

    $$ \dot z_i = \sum_j A_{ij}\, V (z_j - z_i), \qquad
       A_{ij} \propto a_j \exp\bigl(\beta \langle Q e^{tV} z_i, K e^{tV} z_j\rangle\bigr) $$

    The tokens $x_i$ of $\dot x_i = \sum_j A_{ij} V x_j$ grow like $e^{\lambda t}$ and their logits like
    $e^{2\lambda t}$. Here $e^{tV} = e^{\sigma t} E_t$ with $\sigma$ the largest real part of an eigenvalue of V, and
    only gaps to a row's largest logit are raised, in their logarithm: nothing overflows at any t, and attention goes
    over to hardmax where the gaps do. From about $t = 36/\sigma$ on a gap of 1e-16 decides: which of the tokens that
    have come so near each other is looked at is then chosen by rounding, where they still differ across the growing
    direction they wander, and steps are short.

    The field changes with depth (`at`), and the Euclidean tokens of the flow are the $z_i$; `unscaled` and
    `mf.observe.unscaled(path)` lead back to the $x_i$ by the logarithm of their length and their direction.

    Main arguments:
        beta: inverse temperature, >= 0 (1 in the paper); hardmax has none.
        value, query, key: `(d, d)` and `(k, d)` matrices, or numbers; `None` is the identity.

    Other arguments:
        weighting: `"softmax"`, or `"hardmax"` for the limit of an infinite beta, which is autonomous where V is a
            number.
        bounded: rescale only where V grows. Along eigenvalues of negative real part $z_i$ diverges like
            $e^{-\lambda t}$, and a step's error is relative to its length; with `bounded=True` these components are
            those of $x_i$, and the others have their digits.
        depth: where `field(x, mu)` is evaluated; `flow` goes through all depths.

    Raises:
        BadInput: beta, a matrix or the weighting does not fit; tokens that are not Euclidean.

    Source: RES of [arXiv:2305.05465](https://arxiv.org/abs/2305.05465); with hardmax (2312.10794, section 9.3).

    Example:
        >>> import measureflow as mf
        >>> tokens = mf.uniform(mf.Euclidean(2), n=20, seed=0)
        >>> path = mf.flow(tokens, mf.RescaledAttention(), until=400.0, save=3)
        >>> path.status, bool(abs(path.points[-1]).max() <= 1.0)  # the tokens themselves are of size e^400
        ('reached', True)
    """

    beta: Float[Array, ""]
    value: Matrix
    query: Matrix
    key: Matrix
    growth: Growth
    depth: Float[Array, ""]
    weighting: Weighting = eqx.field(static=True)
    bounded: bool = eqx.field(static=True)

    def __init__(
        self,
        beta: Any = None,
        *,
        value: Any = None,
        query: Any = None,
        key: Any = None,
        weighting: str | Weighting = "softmax",
        bounded: bool = False,
        depth: Any = 0.0,
    ) -> None:
        self.weighting = as_weighting(weighting)
        if not isinstance(self.weighting, (Softmax, Hardmax)):
            raise BadInput(f"RescaledAttention: weighting is {weighting!r}; it must be 'softmax' or 'hardmax'.")
        unsaid = beta is None and isinstance(self.weighting, Softmax)
        self.beta = checked_beta(1.0 if unsaid else beta, self.weighting)
        self.value, self.query, self.key = (
            as_matrix(matrix, name) for matrix, name in ((value, "value"), (query, "query"), (key, "key"))
        )
        check_shapes(self.query, self.key, self.value)
        self.bounded = bool(bounded)
        self.growth = Growth.of(self.value, self.bounded)
        self.depth = jnp.asarray(depth, float)
        if self.depth.ndim or not (is_traced(self.depth) or math.isfinite(float(self.depth))):
            raise BadInput(f"RescaledAttention: depth is {depth!r}; it is one finite number.")

    def output(self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None) -> Array:
        r"""Return $\sum_j A_{ij} V (z_j - z_i)$, the differences taken before they are summed."""
        self.check(x, mu)
        pulled, _ = Exact().pull(self.kernel(), x, None, mu)
        moved = apply(self.value, pulled)
        return moved if self.growth.rest is None else moved + apply(self.growth.rest, x)

    def weights(self, x: Float[Array, "m d"], mu: Tokens) -> Float[Array, "m n"]:
        """Return the attention matrix at this depth, from the queries `x` to the atoms of `mu` (quadratic memory)."""
        self.check(x, mu)
        return self.kernel().weights(x, None, mu)

    def unscaled(self, z: Float[Array, "m d"]) -> tuple[Float[Array, "m"], Float[Array, "m d"]]:
        r"""Return $\log |x|$ and $x/|x|$ of $x = e^{tV} z$ at this depth; a token at 0 has no direction: zeros."""
        x = apply(self.growth.shape(self.depth), z)
        # scaled first: a square may underflow
        top = jnp.max(jnp.abs(x), axis=-1, keepdims=True)
        some = top > 0
        unit = x / jnp.where(some, top, 1)
        length = jnp.sqrt(jnp.sum(unit * unit, axis=-1, keepdims=True))
        logs = jnp.log(jnp.where(some, top, 1)) + jnp.log(jnp.where(some, length, 1)) + self.growth.rate * self.depth
        return jnp.where(some, logs, -jnp.inf)[..., 0], unit / jnp.where(some, length, 1)

    def kernel(self) -> RescaledKernel:
        """Return the weights at this depth."""
        shape = self.growth.shape(self.depth)
        query, key = (shape if matrix is None else times(matrix, shape) for matrix in (self.query, self.key))
        return RescaledKernel(self.beta, query, key, 2.0 * self.growth.rate * self.depth, self.weighting)

    def check(self, x: Array, mu: Measure) -> None:
        """Raise `BadInput` where the tokens are not Euclidean, or a matrix does not act on them."""
        if not (isinstance(mu, Tokens) and isinstance(mu.space, Euclidean)):
            raise BadInput(f"RescaledAttention moves tokens of mf.Euclidean(d), and these live in {mu.space!r}.")
        check_queries(x, mu)
        for name, matrix in (("query", self.query), ("key", self.key), ("value", self.value)):
            if matrix is not None and matrix.ndim == 2 and matrix.shape[1] != mu.d:
                raise BadInput(
                    f"{name} has shape {matrix.shape} and the tokens are in R^{mu.d}; give a matrix (.., {mu.d})."
                )

    def at(self, t: Any) -> RescaledAttention:
        """Return the field at depth `t`."""
        return eqx.tree_at(lambda field: field.depth, self, jnp.asarray(t, float))

    @property
    def autonomous(self) -> bool:
        """Whether depth changes nothing: hardmax, where V is a number."""
        return isinstance(self.weighting, Hardmax) and is_scalar(self.value)

    def __repr__(self) -> str:
        parts = [] if isinstance(self.weighting, Hardmax) else [f"beta={show(self.beta)}"]
        for name in ("value", "query", "key"):
            matrix = getattr(self, name)
            if matrix is not None:
                parts.append(f"{name}={show(matrix)}")
        if not isinstance(self.weighting, Softmax):
            parts.append(f"weighting={self.weighting!r}")
        if self.bounded:
            parts.append("bounded=True")
        return f"RescaledAttention({', '.join(parts)})"


class RescaledKernel(Kernel):
    r"""Attention weights with logits $e^{g} s_{ij}$ whose factor may be far beyond the largest float."""

    beta: Float[Array, ""]
    query: Matrix
    key: Matrix
    log_factor: Float[Array, ""]
    weighting: Weighting = eqx.field(static=True)

    def weights(self, x: Float[Array, "m d"], rank: Int[Array, "m"] | None, mu: Tokens) -> Float[Array, "m n"]:
        """Return the rows of weights on mu's atoms."""
        points, masses = mu.atoms()
        scores = self.beta * (apply(self.query, x) @ apply(self.key, points).T)
        allowed = jnp.broadcast_to(mu.present[None, :], scores.shape)
        if isinstance(self.weighting, Hardmax):
            return self.weighting(scores, masses, allowed, self.beta)
        seen = allowed & (masses > 0)
        top = jax.lax.stop_gradient(jnp.max(scores, axis=1, where=seen, initial=-jnp.inf, keepdims=True))
        gap = jnp.where(seen, top - scores, 0)
        some = gap > 0
        raised = jnp.minimum(self.log_factor + jnp.log(jnp.where(some, gap, 1)), math.log(FAR))
        logits = jnp.where(some, -jnp.exp(raised), 0)
        return self.weighting(logits, masses, allowed, self.beta)


def times(matrix: Array, shape: Matrix) -> Matrix:
    """Return the product of a matrix or number with the shape of an exponential."""
    if shape is None:
        return matrix
    return matrix * shape if matrix.ndim == 0 or shape.ndim == 0 else matrix @ shape

"""The sub-layers of a trained transformer as fields: what a network adds to its tokens.

Numbers stay as they were trained, norms and biases inside: nothing is folded. Every product is taken in the
wider of the tokens' precision and the weights', named explicitly, so a float32 model on float32 tokens has
no float64 in its programs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from measureflow.fields import Field, LayerNorm, PostLN, Softmax, Weighting
from measureflow.fields.layer_norm import wider
from measureflow.language.activations import ACTIVATIONS
from measureflow.measures import Tokens
from measureflow.spaces import Euclidean
from measureflow.sums import Exact

__all__ = ["Affine", "Attention", "Block", "Heads", "Join", "LayerNorm", "TrainedPerceptron"]

EXACT = jax.lax.Precision.HIGHEST  # an accelerator would otherwise round the factors to bfloat16 or tf32


def einsum(formula: str, *factors: Array) -> Array:
    """Return the sum of products in the full precision of its factors."""
    return jnp.einsum(formula, *factors, precision=EXACT)


def in_precision_of(module: Any, x: Array) -> tuple[Any, Array]:
    """Return a module and an array in the wider of their two precisions."""
    dtype = wider(jax.tree.leaves(module)[0].dtype, x.dtype)
    return jax.tree.map(lambda leaf: leaf.astype(dtype), module), x.astype(dtype)


class Affine(eqx.Module):
    """The affine map `W x + b`."""

    weight: Float[Array, "k d"]
    bias: Float[Array, "k"]

    def __call__(self, x: Float[Array, "m d"]) -> Float[Array, "m k"]:
        """Return the image of each point."""
        return einsum("kd,md->mk", self.weight, x) + self.bias


class Heads(eqx.Module):
    """An affine map per head, `W_h x + b_h`: the queries, keys or values of all heads."""

    weight: Float[Array, "h k d"]
    bias: Float[Array, "h k"]

    def __call__(self, x: Float[Array, "m d"]) -> Float[Array, "h m k"]:
        """Return the image of each point in each head."""
        return einsum("hkd,md->hmk", self.weight, x) + self.bias[:, None, :]


class Join(eqx.Module):
    """The map that joins the heads: `sum_h W_h y_h + b`."""

    weight: Float[Array, "d h k"]
    bias: Float[Array, "d"]

    def __call__(self, y: Float[Array, "h m k"]) -> Float[Array, "m d"]:
        """Return the joined point of each query."""
        return einsum("dhk,hmk->md", self.weight, y) + self.bias


class Sublayer(Field):
    """Half a layer of a trained post-norm network: a field whose step of size 1 is the network's map."""

    span: ClassVar[float] = 0.5


def behind(norm: LayerNorm, x: Float[Array, "m d"], residual: Float[Array, "m d"]) -> Float[Array, "m d"]:
    """Return what one layer of `mf.PostLN` with a trained norm adds to `x`, where the sub-layer puts out `residual`."""
    return PostLN(norm).step(Euclidean(x.shape[1]), x, residual, jnp.ones((), x.dtype)) - x


class Attention(Sublayer):
    r"""Trained multi-head attention with its residual and its layer norm `N`, arXiv:1706.03762.

    $$ A(x; \mu) = N\Bigl(x + \sum_h O_h \int V_h y \, p_h(x, dy)\Bigr) - x, \qquad
       p_h(x, dy) \propto e^{\langle Q_h x, K_h y\rangle / \sqrt k} \, d\mu(y) $$

    `Q`, `K`, `V` are affine (biases inside). The masses of `mu` enter the softmax: equal masses give the
    trained network, and a token of weight 0, or one that is not present, is not attended to. With
    `weighting=mf.fields.Sinkhorn(...)` each head is doubly stochastic over `mu` (arXiv:2110.11773).
    """

    query: Heads
    key: Heads
    value: Heads
    join: Join
    norm: LayerNorm
    weighting: Weighting = eqx.field(static=True, default=Softmax())

    @property
    def beta(self) -> float:
        """Inverse temperature of the logits, `1 / sqrt(k)` with `k` the width of a head."""
        return 1.0 / math.sqrt(self.query.weight.shape[-2])

    def weights(self, x: Float[Array, "m d"], mu: Tokens) -> Float[Array, "h m n"]:
        """Return each head's attention from the queries `x` to the tokens of `mu`; rows sum to 1."""
        self, x = in_precision_of(self, x)
        points, masses = (leaf.astype(x.dtype) for leaf in mu.atoms())
        keys = self.key(points)
        return self.attend(x, keys, masses, mu.present, self.potentials(points, keys, masses, mu.present))

    def potentials(self, points: Array, keys: Array, masses: Array, present: Array) -> Float[Array, "h n"] | None:
        """Return what each head adds to the logits of each token, where the weighting balances them; else `None`."""
        if not self.weighting.balances:
            return None
        # an absent token may hold anything
        queries = self.query(jnp.where(present[:, None], points, 0))
        keys, masses = jnp.where(present[:, None], keys, 0), jnp.where(present, masses, 0)
        logits = einsum("hmk,hnk->hmn", queries, keys) * self.beta
        return jax.vmap(lambda head: self.weighting.potential(head, masses))(logits)

    def attend(
        self, x: Array, keys: Array, masses: Array, present: Array, potentials: Array | None
    ) -> Float[Array, "h m n"]:
        """Return each head's weights of the keys, by the masses of the tokens that are present."""
        logits = einsum("hmk,hnk->hmn", self.query(x), keys) * self.beta
        if potentials is not None:
            logits = logits + potentials[:, None, :]
        allowed = jnp.broadcast_to(present, logits.shape[1:])
        beta = jnp.ones((), logits.dtype)
        return jax.vmap(lambda head: self.weighting(head, masses, allowed, beta))(logits)

    def output(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> Float[Array, "m d"]:
        """Return what the sub-layer adds to each query: its norm of the residual sum, less the query."""
        self, x = in_precision_of(self, x)
        return self.over_rows(x, mu, lambda queries, joined: behind(self.norm, queries, joined))

    def over_rows(
        self, x: Float[Array, "m d"], mu: Tokens, finished: Callable[[Array, Array], Array]
    ) -> Float[Array, "m d"]:
        """Return `finished(queries, joined)` of what the heads put out, some queries at a time."""
        points, masses = (leaf.astype(x.dtype) for leaf in mu.atoms())
        keys, values = self.key(points), self.value(points)
        potentials = self.potentials(points, keys, masses, mu.present)

        def rows(queries: Array, _: None) -> Array:
            weights = self.attend(queries, keys, masses, mu.present, potentials)
            mixed = einsum("hmn,hnk->hmk", weights, values)
            return finished(queries, self.join(mixed))

        return Exact().over_blocks(rows, x, None, mu.n)

    def joined(self, x: Float[Array, "m d"], mu: Tokens) -> Float[Array, "m d"]:
        """Return what the heads put out, joined: no residual and no norm."""
        self, x = in_precision_of(self, x)
        return self.over_rows(x, mu, lambda _, joined: joined)

    @property
    def bare(self) -> Bare:
        """The attention alone, without residual and norm: the map whose Lipschitz constant the bounds are on."""
        return Bare(self)

    @property
    def forms(self) -> list[HeadForm]:
        r"""What each head is as a model of the theorems: logits $\langle y, Ax + c\rangle$, values $Vy$."""
        weights = (self.query.weight, self.query.bias, self.key.weight, self.value.weight, self.join.weight)
        query, bias, key, value, output = (np.asarray(one, float) for one in weights)
        return [
            HeadForm(
                form=self.beta * key[h].T @ query[h],
                shift=self.beta * key[h].T @ bias[h],
                value=output[:, h] @ value[h],
            )
            for h in range(len(query))
        ]


class HeadForm(NamedTuple):
    """A head in the coordinates of the tokens."""

    form: Float[np.ndarray, "d d"]
    shift: Float[np.ndarray, "d"]
    value: Float[np.ndarray, "d d"]


class Bare(Sublayer):
    r"""Trained multi-head attention alone, $\sum_h O_h \int V_h y\,p_h(x, dy)$: no residual, no norm."""

    attention: Attention

    def output(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> Float[Array, "m d"]:
        """Return what the heads put out, joined."""
        return self.attention.joined(x, mu)


class TrainedPerceptron(Sublayer):
    r"""A trained perceptron with its residual and its norm: $A(x) = N(x + W\sigma(Ux + a) + b) - x$."""

    inner: Affine
    outer: Affine
    norm: LayerNorm
    activation: str = eqx.field(static=True)

    def output(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> Float[Array, "m d"]:
        """Return what the sub-layer adds to each query; the measure is not looked at."""
        self, x = in_precision_of(self, x)
        return behind(self.norm, x, self.outer(ACTIVATIONS[self.activation](self.inner(x))))


class Block(eqx.Module):
    """One distinct layer of a network: its two fields, applied in turn."""

    attention: Attention
    perceptron: TrainedPerceptron

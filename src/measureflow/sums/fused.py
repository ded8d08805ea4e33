"""The device's fused attention as a pair sum: where it exists, and where its precision is that of the tokens."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from measureflow.measures import Tokens
from measureflow.sums.exponential import Exponential

__all__ = ["fused_sums", "suits"]

#: the fused kernel multiplies in half precision: nothing is lost where the tokens have no more
HALF = (jnp.float16, jnp.bfloat16)
#: what it takes as width of a head: multiples of the one up to the other
STEP, WIDEST = 8, 128
#: the logit of a token that may not be seen; its exponential is 0 and it is finite in both half precisions
UNSEEN = -6e4


def suits(exponential: Exponential | None, x: Array, values: Array, platform: str) -> bool:
    """Tell whether the fused attention of this platform computes the sum as precisely as its tokens are known.

    cuDNN's is half precision inside, so tokens in float32 or float64 never take it. A causal kernel looks at positions,
    the fused mask at the order of rows: it is not used either.
    """
    if exponential is None or not exponential.normalised or exponential.causal or platform not in ("gpu", "cuda"):
        return False
    half = x.dtype in HALF and values.dtype == x.dtype
    return half and head_width(x, values) <= WIDEST


def head_width(x: Array, values: Array) -> int:
    """Return the width of a head that holds a token with one coordinate more, and a value."""
    return -(-max(x.shape[1] + 1, values.shape[1]) // STEP) * STEP


def fused_sums(
    exponential: Exponential,
    x: Float[Array, "m d"],
    mu: Tokens,
    values: Float[Array, "n v"],
    implementation: str = "cudnn",
) -> Float[Array, "m v"]:
    r"""Return the softmax-weighted sums of the values by one call of fused attention.

    The masses are a coordinate of the keys, $\log(n a_j)$, which is 0 for equal ones: no mask and no bias, which would
    make the fused kernel slow.
    """
    queries = (
        x * exponential.number.astype(x.dtype) if exponential.form is None else x @ exponential.form.astype(x.dtype)
    )
    seen = mu.present & (mu.weights > 0)
    share = jnp.where(seen, mu.weights, 1).astype(jnp.float32) * jnp.sum(seen)
    logs = jnp.where(seen, jnp.log(share), UNSEEN).astype(x.dtype)
    keys = jnp.concatenate([jnp.where(mu.present[:, None], mu.points, 0), logs[:, None]], axis=1)
    queries = jnp.concatenate([queries, jnp.ones_like(queries[:, :1])], axis=1)
    width = head_width(x, values)
    heads = [
        jnp.pad(a, ((0, 0), (0, width - a.shape[1])))[None, :, None, :]
        for a in (queries, keys, jnp.where(mu.present[:, None], values, 0))
    ]
    attention = functools.partial(jax.nn.dot_product_attention, scale=1.0)
    out = attention(*heads, implementation="cudnn") if implementation == "cudnn" else attention(*heads)
    return out[0, :, 0, : values.shape[1]]

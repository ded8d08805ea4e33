from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow.sums.fused import fused_sums, suits

SPACE = mf.Sphere(5)
WIDE = mf.Tokens(
    SPACE,
    mf.uniform(SPACE, n=40, seed=0).points,
    np.r_[0.0, np.full(19, 0.01), np.full(18, 0.045), 0.0, 0.0],
    present=np.arange(40) < 38,
)


def halved(mu: mf.Tokens, dtype: str) -> mf.Tokens:
    return mu.replace(points=mu.points.astype(dtype), weights=mu.weights.astype(dtype))


@pytest.mark.parametrize(
    ("words", "dtype", "platform", "fits"),
    [
        ({}, "bfloat16", "gpu", True),
        ({}, "float16", "gpu", True),
        ({"query": np.eye(5)}, "bfloat16", "gpu", True),
        ({}, "float32", "gpu", False),  # it would lose half of the digits
        ({}, "float64", "gpu", False),
        ({}, "bfloat16", "cpu", False),
        ({}, "bfloat16", "tpu", False),
        ({"mask": "causal"}, "bfloat16", "gpu", False),
        ({"weighting": "unnormalised"}, "bfloat16", "gpu", False),
        ({"score": "l2"}, "bfloat16", "gpu", False),
    ],
)
def test_fused_attention_is_used_only_where_nothing_is_lost(words, dtype, platform, fits):
    kernel, mu = mf.SelfAttention(4.0, **words).kernel, halved(WIDE, dtype)
    assert suits(kernel.exponential(), mu.points, mu.points, platform) is fits


def test_heads_too_wide_for_it_are_summed_otherwise():
    kernel, x = mf.SelfAttention(4.0).kernel, jnp.ones((3, 128), jnp.bfloat16)
    assert not suits(kernel.exponential(), x, x, "gpu")
    assert suits(kernel.exponential(), x[:, :127], x[:, :127], "gpu")


@pytest.mark.parametrize("words", [{}, {"query": np.diag([1.0, 2.0, -1.0, 0.5, 0.0])}])
@pytest.mark.parametrize(("dtype", "ulp"), [("bfloat16", 2.0**-8), ("float16", 2.0**-11)])
def test_fused_attention_is_exact_to_the_precision_of_the_tokens(words, dtype, ulp):
    field, mu = mf.SelfAttention(4.0, **words), halved(WIDE, dtype)
    # the tokens as they are in half precision, summed in float64
    same = mu.replace(points=mu.points.astype(float), weights=WIDE.weights)
    exact = np.asarray(field.output(same.points, same))[:38]
    exponential = field.kernel.exponential()
    fused = np.asarray(fused_sums(exponential, mu.points, mu, mu.points, "xla").astype(float))[:38]
    # logits of up to 8 are off by their own rounding
    assert np.abs(fused - exact).max() < 12 * ulp
    lost = mu.replace(weights=jnp.where(mu.present, 1 / 38, 0).astype(dtype))  # masses forgotten
    wrong = np.asarray(fused_sums(exponential, lost.points, lost, lost.points, "xla").astype(float))[:38]
    assert np.abs(wrong - exact).max() > 24 * ulp

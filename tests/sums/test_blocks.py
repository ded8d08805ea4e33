"""Blocks of rows keep what is sharded over devices where it is: the same numbers, every device on its share."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import jax.numpy as jnp
import numpy as np
import pytest

from measureflow.sums.blocks import joined, split, summed_blocks, tree_sum


@pytest.mark.parametrize("n", [1, 7, 24])
def test_split_rows_are_joined_again(n):
    rows = jnp.arange(3.0 * n).reshape(n, 3)
    count = -(-n // 5)
    np.testing.assert_array_equal(joined(split(rows, count, 5), n), rows)
    np.testing.assert_array_equal(tree_sum(split(rows, count, 5)).sum(axis=0), rows.sum(axis=0))
    np.testing.assert_array_equal(summed_blocks(lambda a: jnp.sum(a, axis=0), (rows,), 5), rows.sum(axis=0))
    assert not n % 5 or np.asarray(split(rows, count, 5, fill=rows[-1:]))[-1, -1, 0] == rows[-1, 0]


PROGRAM = """
    from functools import partial
    import jax, jax.numpy as jnp, numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec
    import measureflow as mf
    from measureflow.sums import Exact

    assert jax.device_count() == 8
    hasty_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    shares = NamedSharding(Mesh(jax.devices(), ("tokens",)), PartitionSpec("tokens"))

    def cloud(d, n, filled):
        # a number of tokens that the devices do not divide is filled up with absent ones
        points = np.array(mf.uniform(mf.Sphere(d), filled, seed=1).points)
        weights = np.where(np.arange(filled) < n, np.random.default_rng(d).uniform(0.5, 1.5, filled), 0.0)
        return mf.Tokens(mf.Sphere(d), points, weights / weights.sum(), present=np.arange(filled) < n)

    def same(alone, shared, what):
        for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(shared), strict=True):
            a, b = np.asarray(a), np.asarray(b)
            assert np.abs(a - b).max() <= 1e-12 * max(1.0, np.abs(a).max()), what

    cases = [
        (3, 32, mf.SelfAttention(3.0, sum=Exact(block=16))),
        (3, 29, mf.SelfAttention(3.0, mask="causal", sum=Exact(block=8))),
    ]
    for d, n, field in cases:
        mu = cloud(d, n, 32)
        spread = jax.device_put(mu, shares)

        @hasty_jit
        def program(mu, field=field):
            def loss(points):
                raw = field.output(points, mu.replace(points=points))
                return jnp.sum(jnp.sin(raw)), raw
            return jax.grad(loss, has_aux=True)(mu.points)

        alone, shared = program(mu), program(spread)
        same(alone, shared, field)
        # the queries stay where they are: every device has its share of the result
        assert shared[1].sharding.is_equivalent_to(shares, 2), (field, shared[1].sharding)
        print(field, flush=True)

    wide, circle = cloud(24, 24, 24), cloud(2, 24, 24)
    parts = [
        (wide, mf.SelfAttention(3.0, sum=Exact(block=8))),  # differences by matrix products
        (circle, mf.SelfAttention(3.0, sum=mf.sums.Harmonic(degree=16))),
    ]
    for mu, field in parts:
        velocity = hasty_jit(lambda mu, field=field: field(mu.points, mu))
        shared = velocity(jax.device_put(mu, shares))
        same(velocity(mu), shared, field)
        assert shared.sharding.is_equivalent_to(shares, 2), (field, shared.sharding)

    field, spread = mf.SelfAttention(3.0), jax.device_put(circle, shares)
    alone, shared = (mf.flow(mu, field, until=4.0, save=3) for mu in (circle, spread))
    same(alone.points, shared.points, "flow")
    assert shared.stats["accepted"] > 5
    alone, shared = (mf.layers(mu, field, depth=3, step=0.1) for mu in (circle, spread))
    same(alone.points, shared.points, "layers")

    print("same")
"""


@pytest.mark.slow
def test_sums_flows_and_layers_of_tokens_sharded_over_devices_are_the_same_and_each_device_has_its_share():
    flags = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM)]
    child = subprocess.run(command, env=flags, capture_output=True, text=True, check=False)
    assert child.stdout.strip().endswith("same"), child.stdout + child.stderr[-3000:]

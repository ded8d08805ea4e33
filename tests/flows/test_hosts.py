"""Tokens that lie on two hosts, two processes with two devices each, move as they do on one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap

import jax.numpy as jnp
import numpy as np
import pytest

from measureflow.flows.hosts import gathered, on_host, spans_hosts

PROGRAM = """
    import sys
    import jax
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"localhost:{sys.argv[2]}", 2, int(sys.argv[1]))
    import numpy as np
    import measureflow as mf
    from jax.sharding import Mesh, NamedSharding, PartitionSpec
    from measureflow.flows.hosts import spans_hosts

    def spread_out(leaf):
        part = PartitionSpec("tokens") if leaf.ndim else PartitionSpec()
        whole = np.asarray(leaf)
        return jax.make_array_from_callback(leaf.shape, NamedSharding(mesh, part), lambda index: whole[index])

    mesh = Mesh(jax.devices(), ("tokens",))
    field = mf.SelfAttention(beta=1.0, sum=mf.sums.Exact())
    tokens = mf.uniform(mf.Sphere(3), n=16, seed=0)
    spread = jax.tree.map(spread_out, tokens)
    assert spans_hosts(spread) and not spans_hosts(tokens)
    run = {"until": 0.1, "save": [0.0, 0.05, 0.1], "record": ["energy"]}
    both = mf.flow(spread, field, **run)
    if sys.argv[1] == "0":  # the other host has the same numbers, which it prints below
        one = mf.flow(tokens, field, **run)
        assert one.stats["accepted"] == both.stats["accepted"]
        assert np.abs(np.asarray(one.points) - np.asarray(both.points)).max() < 1e-12
        assert np.abs(np.asarray(one.recorded["energy"]) - np.asarray(both.recorded["energy"])).max() < 1e-12
    try:
        mf.flow(spread, field, until=0.1, store="run.zarr")
    except mf.BadInput as error:
        print(error)
    print("numbers", both.stats["accepted"], np.asarray(both.points).tolist(), both.recorded["energy"].tolist())
    print("same")
"""


@pytest.mark.slow
@pytest.mark.timeout(600)  # every exchange between the two is slow on a busy machine
def test_tokens_on_two_hosts_move_as_on_one():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    flags = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM)]
    hosts = [
        subprocess.Popen(
            [*command, str(k), str(port)], env=flags, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for k in range(2)
    ]
    told = [host.communicate(timeout=550)[0] for host in hosts]
    for said in told:
        assert "same" in said.splitlines(), said[-3000:]
        assert "several hosts, where there is no store=" in said
    here, there = (next(line for line in said.splitlines() if line.startswith("numbers ")) for said in told)
    assert here == there


def test_what_lies_on_one_host_is_left_alone():
    tree = {"x": jnp.arange(3.0), "n": 3}
    assert gathered(tree) is tree
    assert not spans_hosts(tree)
    assert np.array_equal(on_host(tree["x"]), [0.0, 1.0, 2.0])

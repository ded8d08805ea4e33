"""Exact sums against torch's scaled_dot_product_attention in d = 64: nanoseconds per pair, errors of both, peak memory.

Calls of ours and of the peer alternate. Printed are the least and the median of the processor time, which a busy
machine disturbs least, and the least of the wall time; the errors are those at a few queries from a sum in extended
precision. Peak memory is that of a fresh process each, interpreter and libraries included (`nothing` is that alone).
Run:

    python benchmarks/exact.py            # seconds and errors
    python benchmarks/exact.py memory     # peak memory at n = 65,536: minutes

torch is optional (`pip install torch`).
"""

from __future__ import annotations

import importlib
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import measureflow as mf

BETA, D, N, LARGE, QUERIES, REPEATS = 9.0, 64, 16_384, 65_536, 8, 5
Call = Callable[[], Any]


def tokens(n: int, dtype: str) -> mf.Tokens:
    """Return uniform tokens in that precision."""
    start = mf.uniform(mf.Sphere(D), n=n, seed=0)
    return mf.Tokens(start.space, np.asarray(start.points, dtype), np.asarray(start.weights, dtype))


def reference(points: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return softmax outputs at the chosen tokens in extended precision."""
    wide = points.astype(np.longdouble)
    weights = np.exp(np.longdouble(BETA) * (wide[chosen] @ wide.T - 1))
    return weights @ wide / weights.sum(1, keepdims=True)


def torch_attention(points: np.ndarray) -> Call | None:
    """Return a call of torch's attention, `None` where torch is not installed."""
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        return None
    x = torch.from_numpy(points.copy())[None, None]

    def call() -> np.ndarray:
        with torch.inference_mode():
            return torch.nn.functional.scaled_dot_product_attention(x, x, x, scale=BETA)[0, 0].numpy()

    return call


def side_by_side(dtype: str) -> None:
    """Print nanoseconds per pair and errors of one precision."""
    mu = tokens(N, dtype)
    field, points = mf.SelfAttention(BETA), np.asarray(mu.points)
    general = mf.SelfAttention(BETA, query=np.eye(D), key=np.eye(D))
    output = jax.jit(lambda field, mu: field.output(mu.points, mu))
    velocity = jax.jit(lambda field, mu: field(mu.points, mu))
    calls: dict[str, Call] = {
        "output": lambda: jax.block_until_ready(output(field, mu)),
        "output, Q K": lambda: jax.block_until_ready(output(general, mu)),
        "velocity": lambda: jax.block_until_ready(velocity(field, mu)),
    }
    peer = torch_attention(points)
    if peer is not None:
        calls["torch SDPA"] = peer
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    results = {name: np.asarray(call()) for name, call in calls.items()}
    for _ in range(REPEATS):
        for name, call in calls.items():
            processor, wall = time.process_time(), time.perf_counter()
            call()
            taken[name].append((time.process_time() - processor, time.perf_counter() - wall))
    chosen = np.linspace(0, N - 1, QUERIES).astype(int)
    truth = reference(points, chosen)
    print(f"{dtype}, d = {D}, n = {N:,}, beta = {BETA:g}; ns per pair")
    base = min(times[0] for times in taken["torch SDPA"]) if peer is not None else float("nan")
    for name, times in taken.items():
        processor, wall = ([1e9 * t / N**2 for t in column] for column in zip(*times, strict=True))
        exact = truth
        if name == "velocity":
            at = points[chosen].astype(np.longdouble)
            exact = truth - at * np.sum(truth * at, axis=1, keepdims=True)
        error = float(np.abs(results[name][chosen] - exact).max() / np.abs(exact).max())
        print(
            f"  {name:<12} processor {min(processor):6.2f} (median {statistics.median(processor):6.2f})  "
            f"wall {min(wall):6.2f}  error {error:.1e}  torch / this {base * 1e9 / N**2 / min(processor):5.2f}"
        )
    if peer is None:
        print("  torch SDPA   peer not installed")


def alone(what: str, dtype: str) -> None:
    """Run one thing in this process and print its peak memory."""
    if what.startswith("torch"):
        torch = importlib.import_module("torch")
        rng = np.random.default_rng(0).normal(size=(1, 1, LARGE, D)).astype(dtype)
        x = torch.from_numpy(rng / np.linalg.norm(rng, axis=-1, keepdims=True)).requires_grad_(
            what.endswith("gradient")
        )
        result = torch.nn.functional.scaled_dot_product_attention(x, x, x, scale=BETA)
        if what.endswith("gradient"):
            result.sin().sum().backward()
    elif what != "nothing":
        mu, field = tokens(LARGE, dtype), mf.SelfAttention(BETA)

        def loss(points: Any) -> Any:
            return jnp.sum(jnp.sin(field.output(points, mu.replace(points=points))))

        jax.block_until_ready(jax.jit(jax.value_and_grad(loss) if what.endswith("gradient") else loss)(mu.points))
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB", flush=True)


def memory() -> None:
    """Print the peak memory of fresh processes."""
    for dtype in ("float32", "float64"):
        for what in ("nothing", "ours", "ours, gradient", "torch", "torch, gradient"):
            child = subprocess.run([sys.executable, __file__, what, dtype], capture_output=True, text=True, check=False)
            print(f"{dtype}, n = {LARGE:,}: {what:<16} {child.stdout.strip() or 'failed'}", flush=True)


def main() -> None:
    """Print the tables."""
    if len(sys.argv) == 3:
        alone(*sys.argv[1:])
    elif sys.argv[1:] == ["memory"]:
        memory()
    else:
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
        for dtype in ("float32", "float64"):
            side_by_side(dtype)


if __name__ == "__main__":
    main()

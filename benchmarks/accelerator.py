"""The same code on an accelerator: sums and flows with their errors and times, beside torch's attention on that card.

Errors are those at a few queries from a sum in extended precision on the processor; times are the median of several
calls after a warm one, the arrays staying on the card. Flows are run again in a second process on the processor alone,
and compared. Run on a machine with a GPU (two minutes); it also runs without one, slowly:

    python benchmarks/accelerator.py

torch is optional (`pip install torch`).
"""

from __future__ import annotations

import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

import measureflow as mf

BETA, QUERIES, REPEATS = 9.0, 8, 7
#: name, dimension, tokens, dtype, beta, sum
CASES: list[tuple[str, int, int, str, float, Any]] = [
    ("exact", 64, 16_384, "float32", 9.0, mf.sums.Exact()),
    ("exact", 64, 16_384, "float64", 9.0, mf.sums.Exact()),
    ("exact", 64, 65_536, "float32", 9.0, mf.sums.Exact()),
    ("exact", 64, 16_384, "bfloat16", 9.0, mf.sums.Exact()),
    ("exact", 2, 32_768, "float64", 9.0, mf.sums.Exact()),
    ("harmonic", 2, 32_768, "float64", 9.0, mf.sums.Harmonic(tolerance=1e-12)),
    ("harmonic", 2, 1_048_576, "float64", 9.0, mf.sums.Harmonic(tolerance=1e-12)),
    ("harmonic", 3, 32_768, "float64", 9.0, mf.sums.Harmonic(tolerance=1e-10)),
    ("neighbours", 2, 65_536, "float64", 1e4, mf.sums.Neighbours(tolerance=1e-12)),
    ("neighbours", 3, 65_536, "float64", 1e3, mf.sums.Neighbours(tolerance=1e-12)),
    ("planned", 2, 65_536, "float32", 9.0, None),
]


def tokens(d: int, n: int, dtype: str) -> mf.Tokens:
    """Return uniform tokens in that precision."""
    start = mf.uniform(mf.Sphere(d), n=n, seed=0)
    return mf.Tokens(start.space, start.points.astype(dtype), start.weights.astype(dtype))


def reference(points: np.ndarray, beta: float) -> np.ndarray:
    """Return softmax outputs at the first tokens in extended precision."""
    wide = points.astype(np.longdouble)
    weights = np.exp(np.longdouble(beta) * (wide[:QUERIES] @ wide.T - 1))
    return weights @ wide / weights.sum(1, keepdims=True)


def median_seconds(call: Callable[[], Any]) -> float:
    """Return the median seconds of a call."""
    call()
    taken = []
    for _ in range(REPEATS):
        tick = time.perf_counter()
        call()
        taken.append(time.perf_counter() - tick)
    return statistics.median(taken)


def torch_attention(points: np.ndarray, dtype: str, beta: float) -> tuple[float, np.ndarray] | None:
    """Return seconds and outputs of torch's attention on the card; `None` without torch or memory."""
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        return None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    x = torch.from_numpy(points.astype(np.float64)).to(device, getattr(torch, dtype))[None, None]

    def call() -> Any:
        with torch.inference_mode():
            out = torch.nn.functional.scaled_dot_product_attention(x, x, x, scale=beta)
            if device == "cuda":
                torch.cuda.synchronize()
            return out

    try:
        return median_seconds(call), call()[0, 0, :QUERIES].double().cpu().numpy()
    except torch.OutOfMemoryError:
        return None


def sums() -> None:
    """Print times and errors of every kind of sum."""
    print(
        f"{'sum':10} {'d':>3} {'n':>9} {'dtype':9} {'beta':>6} {'ms':>9} {'error':>9} | torch: {'ms':>7} {'error':>9}"
    )
    for name, d, n, dtype, beta, sum in CASES:
        mu = tokens(d, n, dtype)
        kernel = mf.SelfAttention(beta).kernel
        field = mf.SelfAttention(beta, sum=mf.sums.plan(kernel, mu).sum if sum is None else sum.settled(kernel, mu))
        output = jax.jit(lambda field, mu: field.output(mu.points, mu))
        seconds = median_seconds(lambda: jax.block_until_ready(output(field, mu)))  # noqa: B023  called here
        points = np.asarray(mu.points)
        exact = reference(points, beta)
        error = relative(np.asarray(output(field, mu)[:QUERIES]), exact)
        line = f"{name:10} {d:>3} {n:>9,} {dtype:9} {beta:>6g} {1e3 * seconds:>9.2f} {error:>9.1e} |"
        peer = torch_attention(points, dtype, beta) if n <= 65_536 else None
        if peer is not None:
            line += f"        {1e3 * peer[0]:>7.2f} {relative(peer[1], exact):>9.1e}  {peer[0] / seconds:.2f}x"
        print(line, flush=True)


def relative(found: np.ndarray, exact: np.ndarray) -> float:
    """Return the largest error over the largest output."""
    return float(np.max(np.abs(found.astype(np.longdouble) - exact)) / np.max(np.abs(exact)))


def gradient() -> None:
    """Print what a gradient through one exact velocity takes."""
    for dtype in ("float32", "float64"):
        mu = tokens(64, 16_384, dtype)
        loss = jax.jit(jax.grad(lambda x, mu: jnp.sum(mf.SelfAttention(BETA)(x, mu) ** 2)))
        seconds = median_seconds(lambda: jax.block_until_ready(loss(mu.points, mu)))  # noqa: B023  called here
        print(f"gradient, d = 64, n = 16,384, {dtype}: {1e3 * seconds:.1f} ms", flush=True)


def flows() -> dict[str, Any]:
    """Return what flows give: merges of a coarsening run, overlaps of an ensemble, modes of a density; and seconds."""
    found: dict[str, Any] = {}

    def timed(name: str, call: Callable[[], Any]) -> Any:
        tick = time.perf_counter()
        result = call()
        found[f"seconds: {name}"] = time.perf_counter() - tick
        return result

    circle, field = mf.Sphere(2), mf.SelfAttention(25.0)
    for name, seed in (("the first", 1), ("another", 2)):
        path = timed(
            f"coarsening, 100 tokens, beta 25, to 1e12, {name}",
            lambda: mf.flow(mf.uniform(circle, n=100, seed=seed), field, until=1e12),  # noqa: B023  called at once
        )
        since = np.sort(np.asarray(path.merges.since))
        found[f"times of the merges, {name}"] = since[np.isfinite(since)].tolist()
    keys = jax.random.split(jax.random.key(0), 512)
    clouds = jax.vmap(lambda key: mf.uniform(mf.Sphere(8), n=32, seed=key))(keys)
    times = [0.0, 1.0, 5.0, 30.0]
    for name in ("the first", "again"):
        moved = timed(
            f"512 clouds of 32 tokens, d = 8, {name}",
            lambda: mf.flows.ensemble(clouds, mf.SelfAttention(4.0), save=times, record="overlap"),
        )
    found["overlaps of clouds"] = np.asarray(moved.recorded["overlap"])[:8].ravel().tolist()
    start = mf.Density.uniform(mf.Sphere(3), mode=(2, 1), amplitude=0.3, size=32)
    path = timed("density on S2", lambda: mf.flow(start, mf.SelfAttention(1.0), until=1.0, save=[0.0, 1.0]))
    found["values of the density"] = np.asarray(path.values[-1]).ravel().tolist()
    return found


def compared() -> None:
    """Print the flows of this device beside those of a processor."""
    here = flows()
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, __file__, "flows"], env=environment, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr[-2000:])
        return
    there = json.loads(done.stdout.splitlines()[-1])
    for name, value in here.items():
        if name.startswith("seconds"):
            print(f"{name.removeprefix('seconds: ')}: {value:.2f} s, on the processor {there[name]:.2f} s")
            continue
        mine, other = np.asarray(value), np.asarray(there[name])
        same = mine.shape == other.shape
        text = f"{np.max(np.abs(mine - other) / np.maximum(np.abs(other), 1e-300)):.1e}" if same else "another number"
        print(f"{name}: {mine.size} numbers, largest relative difference {text}", flush=True)


def main() -> None:
    """Run the parts."""
    if sys.argv[1:] == ["flows"]:
        print(json.dumps(flows()))
        return
    print(f"{jax.devices()[0].device_kind}, {os.cpu_count()} processors, jax {jax.__version__}", flush=True)
    sums()
    gradient()
    compared()


if __name__ == "__main__":
    assert ml_dtypes  # NumPy knows bfloat16 only where it is imported
    main()

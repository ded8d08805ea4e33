"""Harmonic sums against torch's scaled_dot_product_attention and against exact sums: seconds, ratios, errors of all.

Every softmax output is compared, at a few queries, with a sum in extended precision. Calls of ours and of the peers
alternate, and the median is printed, with the least in brackets; busy machines show in their difference. Run:

    python benchmarks/sums.py

Peers are optional: torch and pykeops (quadratic), finufft (on the circle: moments and series by nonuniform FFT, the
same mathematics as ours). `pip install torch pykeops finufft`.
"""

from __future__ import annotations

import importlib
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import measureflow as mf

BETA, QUERIES, REPEATS = 9.0, 32, 7
Call = Callable[[], Any]


def reference(points: np.ndarray, queries: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Return softmax outputs at the queries in extended precision."""
    wide = points.astype(np.longdouble)
    weights = np.exp(np.longdouble(BETA) * (queries.astype(np.longdouble) @ wide.T - 1))
    weights = weights if mask is None else weights * mask
    return (weights @ wide / weights.sum(1, keepdims=True)).astype(float)


def seconds(calls: dict[str, Call], repeats: int) -> dict[str, list[float]]:
    """Return the seconds of each call, taken in turn."""
    for call in calls.values():
        call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            tick = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - tick)
    return taken


def ours(tokens: mf.Tokens, mask: str | None, sum: mf.sums.Sum) -> Call:
    """Return a call of the field's output, compiled."""
    field = mf.SelfAttention(BETA, mask=mask, sum=sum)
    output = jax.jit(lambda field, tokens: field.output(tokens.points, tokens))
    return lambda: jax.block_until_ready(output(field, tokens))


def torch_attention(points: np.ndarray, mask: str | None) -> Call | None:
    """Return a call of torch's attention in float64, `None` where torch is not installed."""
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        return None
    x = torch.from_numpy(points.copy())[None, None]
    attention = torch.nn.functional.scaled_dot_product_attention

    def call() -> np.ndarray:
        with torch.inference_mode():
            return attention(x, x, x, scale=BETA, is_causal=mask is not None)[0, 0].numpy()

    return call


def keops_attention(points: np.ndarray, mask: str | None) -> Call | None:
    """Return a call of pykeops' softmax-weighted sum, `None` where it is not installed or knows no mask."""
    if mask is not None:
        return None
    try:
        numpy_keops = importlib.import_module("pykeops.numpy")
    except ImportError:
        return None
    x = numpy_keops.LazyTensor(points[:, None, :])
    y = numpy_keops.LazyTensor(points[None, :, :])
    return lambda: (BETA * (x | y)).sumsoftmaxweight(y, axis=1)


def finufft_attention(points: np.ndarray, mask: str | None, degree: int) -> Call | None:
    """Return a call of the circle's sums by nonuniform FFT in NumPy, `None` off the circle or without finufft."""
    if mask is not None or points.shape[1] != 2:
        return None
    try:
        finufft = importlib.import_module("finufft")
    except ImportError:
        return None
    from scipy.special import ive

    modes = np.arange(-degree, degree + 1)
    coefficients = ive(np.abs(modes), BETA)

    def call() -> np.ndarray:
        angles = np.arctan2(points[:, 1], points[:, 0])
        columns = np.stack([np.ones(len(points)), points[:, 0], points[:, 1]]).astype(complex)
        moments = finufft.nufft1d1(angles, columns, len(modes), eps=1e-13, isign=-1)
        total, *sums = finufft.nufft1d2(angles, coefficients * moments, eps=1e-13, isign=1).real
        return np.stack(sums, axis=1) / total[:, None]

    return call


def side_by_side(d: int, n: int, mask: str | None = None, *, peers: bool = True) -> float:
    """Print one row and return the harmonic sum's median seconds."""
    tokens = mf.uniform(mf.Sphere(d), n=n, seed=0)
    points = np.asarray(tokens.points)
    settled = mf.sums.Harmonic().settled(mf.SelfAttention(BETA, mask=mask).kernel, tokens)
    calls: dict[str, Call] = {"harmonic": ours(tokens, mask, settled)}
    others = {
        "torch SDPA": torch_attention(points, mask) if peers else None,
        "pykeops": keops_attention(points, mask) if peers else None,
        "finufft": finufft_attention(points, mask, settled.degree or 1),
    }
    calls.update({name: call for name, call in others.items() if call is not None})
    if peers:
        calls["exact"] = ours(tokens, mask, mf.sums.Exact())
    taken = seconds(calls, REPEATS if peers else 3 * REPEATS)
    if peers:  # what takes milliseconds is timed again alone: after seconds of a peer its data is out of the caches
        for name in calls.keys() & {"harmonic", "finufft"}:
            taken[name] = seconds({name: calls[name]}, 3 * REPEATS)[name]
    chosen = np.linspace(0, n - 1, QUERIES).astype(int)
    allowed = None if mask is None else np.arange(n)[None, :] <= chosen[:, None]
    truth = reference(points, points[chosen], allowed)
    kernel = mf.SelfAttention(BETA, mask=mask).kernel
    bound = float(settled.error_bound(kernel, tokens.points, tokens))
    base = statistics.median(taken["harmonic"])
    name = {2: "circle", 3: "S²"}[d] + ("" if mask is None else ", causal")
    print(f"{name}, n = {n:,}, beta = {BETA:g}, float64, degree {settled.degree}, proven bound {bound:.1e}")
    for label, call in calls.items():
        error = np.abs(np.asarray(call())[chosen] - truth).max() / np.abs(truth).max()
        middle, least = statistics.median(taken[label]), min(taken[label])
        print(f"  {label:<11}{middle:10.4f} s ({least:.4f})  error {error:.1e}  ratio {middle / base:8.1f}")
    missing = [name for name, call in others.items() if call is None]
    if peers and missing:
        print(f"  no peer here: {', '.join(missing)}")
    return base


def main() -> None:
    """Print the table."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    small = side_by_side(2, 32_768)
    side_by_side(3, 32_768)
    side_by_side(2, 32_768, "causal")
    large = side_by_side(2, 1_048_576, peers=False)
    side_by_side(2, 1_048_576, "causal", peers=False)
    print(f"circle, seconds from n = 32,768 to 1,048,576: ratio {large / small:.1f} for 32 times the tokens")


if __name__ == "__main__":
    main()

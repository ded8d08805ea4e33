"""Sums over neighbours against exact and harmonic ones where beta is large: processor seconds, ratios, errors of all.

Every softmax output is compared, at a few queries, with a sum in extended precision from differences. Calls alternate;
the least processor time of each is printed, which a busy machine changes less than the time on the clock. Run:

    python benchmarks/neighbours.py
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import measureflow as mf

QUERIES, REPEATS = 32, 3
N = 32_768


def reference(points: np.ndarray, queries: np.ndarray, beta: float) -> np.ndarray:
    """Return softmax outputs at the queries in extended precision."""
    wide = points.astype(np.longdouble)
    logits = np.longdouble(beta) * (queries.astype(np.longdouble) @ wide.T)
    weights = np.exp(logits - logits.max(1, keepdims=True))
    return (weights @ wide / weights.sum(1, keepdims=True)).astype(float)


def call_of(tokens: mf.Tokens, beta: float, sum: mf.sums.Sum, velocity: bool) -> Callable[[], Any]:
    """Return a call of the field, compiled."""
    field = mf.SelfAttention(beta, sum=sum)
    if velocity:
        compiled = jax.jit(lambda field, tokens: field(tokens.points, tokens))
    else:
        compiled = jax.jit(lambda field, tokens: field.output(tokens.points, tokens))
    return lambda: jax.block_until_ready(compiled(field, tokens))


def row(name: str, tokens: mf.Tokens, beta: float, *, harmonic: bool, velocity: bool = False) -> None:
    """Print one comparison."""
    sums: dict[str, mf.sums.Sum] = {"neighbours": mf.sums.Neighbours(), "exact": mf.sums.Exact()}
    kernel = mf.SelfAttention(beta).kernel
    if harmonic:
        sums["harmonic"] = mf.sums.Harmonic().settled(kernel, tokens)
    calls = {label: call_of(tokens, beta, sum, velocity) for label, sum in sums.items()}
    results = {label: np.asarray(call()) for label, call in calls.items()}
    taken = dict.fromkeys(calls, np.inf)
    for _ in range(REPEATS):
        for label, call in calls.items():
            tick = time.process_time()
            call()
            taken[label] = min(taken[label], time.process_time() - tick)
    points = np.asarray(tokens.points)
    chosen = np.linspace(0, tokens.n - 1, QUERIES).astype(int)
    truth = reference(points, points[chosen], beta)
    if velocity:
        truth -= np.sum(truth * points[chosen], axis=1, keepdims=True) * points[chosen]
    said = mf.sums.Neighbours().explain(kernel, tokens).partition(": ")[2]
    print(f"{name}, n = {tokens.n:,}, beta = {beta:g}, {'velocity' if velocity else 'output'}: {said}")
    for label, result in results.items():
        error = np.abs(result[chosen] - truth).max() / np.abs(truth).max()
        print(f"  {label:<11}{taken[label]:9.4f} s  error {error:.1e}  ratio {taken[label] / taken['neighbours']:7.2f}")


def clustered(d: int, n: int) -> mf.Tokens:
    """Return tokens in 64 heaps."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(64, d))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    points = points[rng.integers(0, 64, n)] + 0.05 * rng.normal(size=(n, d))
    return mf.Tokens(mf.Sphere(d), points / np.linalg.norm(points, axis=1, keepdims=True))


def main() -> None:
    """Print the table."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    circle, sphere = (mf.uniform(mf.Sphere(d), n=N, seed=0) for d in (2, 3))
    row("circle", circle, 1e4, harmonic=True)
    row("S²", sphere, 1e2, harmonic=True)
    row("S²", sphere, 1e3, harmonic=True)
    row("S²", sphere, 1e3, harmonic=False, velocity=True)
    row("S^7, 64 heaps", clustered(8, N), 2e2, harmonic=False)


if __name__ == "__main__":
    main()

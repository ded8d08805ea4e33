"""Coarsening flow against a fixed-step script: how far in time each gets, how fast, and how wrong.

The peer is the scheme of the published figures, `x <- N(x + 0.1 A(x))` in NumPy on dense matrices. Both start from the
same tokens; the errors are against this library at rtol 1e-11, at a time that both reach. Run:

    python benchmarks/coarsening.py
"""

from __future__ import annotations

import time

import numpy as np

import measureflow as mf

N, BETA, SEEDS, STEP, SHARED_TIME = 100, 25.0, 20, 0.1, 5.0


def fixed_steps(x: np.ndarray, until: float) -> np.ndarray:
    """Take normalised Euler steps up to a time."""
    for _ in range(round(until / STEP)):
        weights = np.exp(BETA * (x @ x.T - 1.0))
        x = x + STEP * (weights @ x) / weights.sum(1, keepdims=True)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x


def error_of(points: np.ndarray, exact: np.ndarray) -> float:
    """Return the median distance of a token from where it should be."""
    return float(np.median(np.linalg.norm(points - exact, axis=1)))


def to_consensus() -> None:
    """Print how far in time each gets."""
    field, consensus = mf.SelfAttention(beta=BETA), mf.Consensus(1e-3, cap=1e30)
    mf.flow(mf.uniform(mf.Sphere(2), n=N, seed=0), field, until=consensus, save=2)  # compile
    seconds, evaluations, times, rates = [], [], [], []
    for seed in range(SEEDS):
        tokens = mf.uniform(mf.Sphere(2), n=N, seed=seed)
        tick = time.perf_counter()
        path = mf.flow(tokens, field, until=consensus, save=2)
        seconds.append(time.perf_counter() - tick)
        evaluations.append(path.stats["evaluations"])
        times.append(float(path.times[-1]))
        tick = time.perf_counter()
        fixed_steps(np.asarray(tokens.points), 100 * STEP)
        rates.append((time.perf_counter() - tick) / 100)
    reach = np.array(seconds) / np.array(rates) * STEP
    exact = mf.flow(tokens, field, until=SHARED_TIME, save=2, solver=mf.Adaptive(1e-11, 1e-12)).points[-1]
    ours = mf.flow(tokens, field, until=SHARED_TIME, save=2).points[-1]
    theirs = fixed_steps(np.asarray(tokens.points), SHARED_TIME)
    print(f"circle, n = {N}, beta = {BETA:g}, from uniform tokens to one cluster at delta = 1e-3, {SEEDS} seeds")
    print(
        f"  measureflow: median {np.median(seconds):.2f} s, slowest {max(seconds):.2f} s; evaluations median "
        f"{np.median(evaluations):,.0f}, most {max(evaluations):,}; time reached, median {np.median(times):.1e}"
    )
    print(
        f"  fixed steps of {STEP:g}: t = {np.median(reach):.1e} in the same seconds; ratio of times reached "
        f"{np.median(np.array(times) / reach):.1e}"
    )
    wrong, wronger = error_of(ours, exact), error_of(theirs, exact)
    print(f"  median error of a token at t = {SHARED_TIME:g}: {wrong:.1e} against {wronger:.1e}")


def two_clusters() -> None:
    """Print the error of the time at which two clusters with masses meet, against the quadrature of the clock."""
    print("two clusters, masses 1/4 and 3/4, cosine -0.2 at the start: time at which it passes 0.9")
    for beta in (12.0, 25.0, 40.0):
        angle = np.arccos(-0.2)
        points = [[1.0, 0.0], [np.cos(angle), np.sin(angle)]]
        tokens = mf.Tokens(mf.Sphere(2), points, weights=[0.25, 0.75])
        tick = time.perf_counter()
        path = mf.flow(tokens, mf.SelfAttention(beta=beta), until=mf.Overlap(0, 1, 0.9), save=2)
        seconds = time.perf_counter() - tick
        exact = mf.theory.merge_time(beta=beta, start=-0.2, masses=(0.25, 0.75), end=0.9)
        error = abs(float(path.times[-1]) / exact - 1)
        print(f"  beta {beta:g}: t = {exact:.6e}, relative error {error:.1e}, {seconds:.2f} s")


def many_tokens(d: int, n: int, beta: float, until: float) -> None:
    """Print how long a flow of many tokens takes, all of it: choosing sums, compiling, stepping."""
    tokens = mf.uniform(mf.Sphere(d), n=n, seed=0)
    tick = time.perf_counter()
    path = mf.flow(tokens, mf.SelfAttention(beta=beta), until=until, save=20, keep="last")
    seconds = time.perf_counter() - tick
    x = np.asarray(tokens.points)[: min(n, 2000)]
    tick = time.perf_counter()
    fixed_steps(x, 3 * STEP)
    step = (time.perf_counter() - tick) / 3 * (n / len(x)) ** 2
    print(f"S^{d - 1}, n = {n:,}, beta = {beta:g}, uniform, to t = {until:g}: {seconds:.1f} s with all compilation")
    print(f"  {path.stats['evaluations']:,} evaluations, sums: {path.stats.get('sums', 'exact')}")
    reach = seconds / step * STEP
    print(f"  fixed steps in the same seconds: t = {reach:.1e} ({step:.2g} s a step, scaled up from {len(x):,} tokens)")


if __name__ == "__main__":
    to_consensus()
    two_clusters()
    many_tokens(2, 10_000, 100.0, 1e30)
    many_tokens(3, 2_000, 16.0, 1e12)

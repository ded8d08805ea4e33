"""Sinkhorn attention against ott-jax's own iterations at equal iterations: seconds, marginal errors of both, the ratio.

n = 4,096 tokens in d = 64, the score <Qx, Ky>/sqrt(d), a fixed number of full iterations (rows, then columns) from
zero potentials, in the precision named. ott-jax runs its log-domain iterations on the same cost, computed once
(`stored`) and from the points (`cloud`); its convergence test is off. Ours is the whole of attention: potentials, then
the output at every token, in the same number of half steps (and one more of softmax); `ours, potentials` leaves the
output out. Calls alternate, and the least time of each counts. The errors are those of the columns once the rows are
exact. Run:

    python benchmarks/sinkhorn.py             # float64 and float32
    python benchmarks/sinkhorn.py --tokens 1024 --iterations 5

ott-jax is optional (`pip install 'measureflow[ot]'`).
"""

from __future__ import annotations

import argparse
import importlib
import os
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import measureflow as mf
from measureflow.fields.balancing import half_steps

D, REPEATS, BAR = 64, 3, 1.3


def peer(cloud: bool, iterations: int) -> Callable[..., Any] | None:
    """Return ott-jax's column potential after so many iterations, `None` where it is not installed."""
    try:
        geometry, clouds, costs, problem, solver = (
            importlib.import_module(f"ott.{name}")
            for name in (
                "geometry.geometry",
                "geometry.pointcloud",
                "geometry.costs",
                "problems.linear.linear_problem",
                "solvers.linear.sinkhorn",
            )
        )
    except ImportError:
        return None
    solve = solver.Sinkhorn(
        threshold=0.0,
        norm_error=1,
        inner_iterations=iterations,
        min_iterations=iterations,
        max_iterations=iterations,
        implicit_diff=None,
    )

    def potential(q: Any, k: Any, masses: Any) -> Any:
        geom = (
            clouds.PointCloud(q, k, cost_fn=costs.NegDotProduct(), epsilon=1.0)
            if cloud
            else geometry.Geometry(cost_matrix=-(q @ k.T), epsilon=1.0)
        )
        out = solve(problem.LinearProblem(geom, a=masses, b=masses))
        return out.g - jnp.log(masses)  # theirs holds the masses

    return potential


def error(q: Any, k: Any, masses: np.ndarray, g: Any) -> float:
    """Return the largest relative error of a column, in extended sums, the rows exact."""
    logits = np.asarray(q, float) @ np.asarray(k, float).T + np.asarray(g, float)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True)) * masses
    return float(np.abs(masses @ (weights / weights.sum(axis=1, keepdims=True)) / masses - 1).max())


def side_by_side(n: int, iterations: int, dtype: str) -> None:
    """Print the table of one precision."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, D)).astype(dtype)
    query, key = (rng.normal(size=(2, D, D)) / np.sqrt(D)).astype(dtype)
    mu = mf.Tokens(mf.Euclidean(D), x)
    beta, half = 1.0 / np.sqrt(D), 2 * iterations + 1
    masses = np.full(n, 1.0 / n, dtype)

    def field(key: Any) -> mf.SelfAttention:
        return mf.SelfAttention(beta, query=query, key=key, weighting=mf.fields.Sinkhorn(iterations=half))

    output = jax.jit(lambda field, mu: field.output(mu.points, mu))
    potentials = jax.jit(lambda q, k, a: half_steps(q @ k.T, a, half))
    q, k = (jnp.asarray((x @ part.T).astype(dtype)) for part in (beta * query, key))
    calls: dict[str, Callable[[], Any]] = {
        "ours": lambda: output(field(key), mu),
        "ours, potentials": lambda: potentials(q, k, jnp.asarray(masses)),
    }
    for name, cloud in (("ott-jax, stored", False), ("ott-jax, cloud", True)):
        theirs = peer(cloud, iterations)
        if theirs is not None:
            program = jax.jit(theirs)
            calls[name] = lambda program=program: program(q, k, jnp.asarray(masses))
    results = {name: np.asarray(jax.block_until_ready(call())) for name, call in calls.items()}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(REPEATS):
        for name, call in calls.items():
            processor, wall = time.process_time(), time.perf_counter()
            jax.block_until_ready(call())
            taken[name].append((time.process_time() - processor, time.perf_counter() - wall))
    print(f"{dtype}, n = {n:,}, d = {D}, {iterations} iterations of both sides")
    best = {name: tuple(map(min, zip(*times, strict=True))) for name, times in taken.items()}
    fastest = min((best[name] for name in best if name.startswith("ott")), default=(np.nan, np.nan))
    for name, (processor, wall) in best.items():
        potential = results["ours, potentials"] if name == "ours" else results[name]
        off = error(q, k, masses.astype(float), potential)
        ratio = processor / fastest[0]
        told = f"  {name:<17} processor {processor:6.2f} s  wall {wall:6.2f} s  columns off {off:.1e}"
        print(told + (f"  / fastest ott-jax {ratio:5.2f}" if name.startswith("ours") else ""))
    if np.isnan(fastest[0]):
        print("  ott-jax           peer not installed")
    else:
        ratio = best["ours"][0] / fastest[0]
        print(f"  bar {BAR}: {'kept' if ratio <= BAR else 'MISSED'} at {ratio:.2f}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--iterations", type=int, default=10)
    options = parser.parse_args()
    n, iterations = options.tokens, options.iterations
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start; least of {REPEATS} alternating calls")
    for dtype in ("float64", "float32"):
        side_by_side(n, iterations, dtype)


if __name__ == "__main__":
    main()

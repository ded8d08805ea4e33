"""Fit the planner's costs to this machine: seconds of each kind of sum over sizes, spaces, degrees, betas and dtypes.

Prints the table that the planner reads; `--write` puts this device's part of it into the installed package. All cases
of a kind are timed in turn, several rounds, and the least of each counts, so that a busy moment spoils a round and not
a case. Run on a quiet machine, once per device (a few minutes for each dtype):

    python benchmarks/fit_sums.py --write
    python benchmarks/fit_sums.py float32 --write
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from scipy.optimize import nnls

import measureflow as mf
from measureflow.sums.neighbours import looked_up
from measureflow.sums.planner import neighbours_units

SIZES = {
    "exact": (32, 512, 2048, 8192),
    "circle": (2048, 16384, 131072),
    "causal": (2048, 16384),
    "sphere": (1024, 8192),
    "hypersphere": (1024, 8192),
    "neighbours": (1024, 4096, 16384, 65536),
}
SPACES = {"circle": (2,), "causal": (2,), "sphere": (3,), "hypersphere": (4, 6)}
DEGREES = {"circle": (10, 30, 80), "causal": (10, 30, 80), "sphere": (10, 30, 80), "hypersphere": (4, 8, 12)}
DIMENSIONS = (2, 3, 16)
#: dimension and beta of the sums over neighbours: from most pairs to few
NEAR = ((2, 1e3), (2, 1e5), (3, 1e2), (3, 1e4), (8, 3e2))
ROUNDS = 5
#: a case may take this many pairs, so that the whole takes minutes
MOST_PAIRS = 1.5e8
#: an accelerator is asked for this many times as many tokens, as it is busy only then
LARGER = 1 if jax.default_backend() == "cpu" else 4
#: what one sum does, by the name of its cost, and a call of it
Case = tuple[dict[str, float], Callable[[], Any]]


def output(tokens: mf.Tokens, beta: float, mask: str | None, sum: mf.sums.Sum) -> Callable[[], Any]:
    """Return a call of the field's output, compiled."""
    field = mf.SelfAttention(beta, mask=mask, sum=sum)
    compiled = jax.jit(lambda field, tokens: field.output(tokens.points, tokens))
    return lambda: jax.block_until_ready(compiled(field, tokens))


def uniform(d: int, n: int, dtype: str) -> mf.Tokens:
    """Return uniform tokens of that dtype."""
    space = mf.Sphere(d)
    return mf.Tokens(space, mf.uniform(space, n=n, seed=0).points.astype(dtype))


def exact_cases(dtype: str) -> list[Case]:
    """Return exact sums of several sizes and dimensions."""
    return [
        (
            {"call": 1.0, "pair": float(n * n), "pair_coordinate": float(n * n * d)},
            output(mu, 9.0, None, mf.sums.Exact()),
        )
        for d in DIMENSIONS
        for n in (LARGER * size for size in SIZES["exact"])
        for mu in [uniform(d, n, dtype)]
    ]


def harmonic_cases(kind: str, dtype: str) -> list[Case]:
    """Return harmonic sums of several sizes and degrees."""
    mask = "causal" if kind == "causal" else None
    cases: list[Case] = []
    for d in SPACES[kind]:
        for n in (LARGER * size for size in SIZES[kind]):
            tokens = uniform(d, n, dtype)
            for degree in DEGREES[kind]:
                sum = mf.sums.Harmonic(degree=degree)
                _, modes, _ = sum.work(mf.SelfAttention(9.0, mask=mask).kernel, tokens)
                units = {"call": 1.0, "token": 2.0 * n, "token_mode": 2.0 * n * modes}
                cases.append((units, output(tokens, 9.0, mask, sum)))
    return cases


def neighbours_cases(dtype: str) -> list[Case]:
    """Return sums over neighbours, with the pairs that they were seen to sum."""
    sum, cases = mf.sums.Neighbours(tolerance=1e-14 if dtype == "float64" else 1e-6), []
    for d, beta in NEAR:
        for n in (LARGER * size for size in SIZES["neighbours"]):
            tokens = uniform(d, n, dtype)
            exponential = mf.SelfAttention(beta).kernel.exponential()
            assert exponential is not None
            allowed = sum.allowed(tokens.points)
            met = looked_up(exponential, allowed, True, tokens.points, None, tokens, tokens.points).met
            share = float(np.mean(np.minimum(met, n))) / n
            if share * n * n <= LARGER**2 * MOST_PAIRS:
                cases.append((neighbours_units(n, n, d, share), output(tokens, beta, None, sum)))
    return cases


def fitted(cases: list[Case]) -> dict[str, float]:
    """Return non-negative costs per unit that fit the least times in relative terms."""
    taken = np.full(len(cases), np.inf)
    for _, call in cases:
        call()
    for _ in range(ROUNDS):
        for i, (_, call) in enumerate(cases):
            tick = time.perf_counter()
            call()
            taken[i] = min(taken[i], time.perf_counter() - tick)
    names = list(cases[0][0])
    rows = np.array([[units[name] for name in names] for units, _ in cases])
    costs, _ = nnls(rows / taken[:, None], np.ones(len(cases)))
    worst = np.max(np.abs(np.log2((rows @ costs) / taken)))
    print(f"  {len(cases)} cases, predictions within a factor of {2**worst:.2f}", file=sys.stderr)
    return {name: float(f"{cost:.2g}") for name, cost in zip(names, costs, strict=True)}


def main() -> None:
    """Print the table, and store it if asked to."""
    device = jax.default_backend()
    stored = Path(mf.sums.__file__).with_name("costs.json")
    table = json.loads(stored.read_text(encoding="utf-8"))
    kind = f"{os.cpu_count()} cores of {platform.machine()}" if device == "cpu" else jax.devices()[0].device_kind
    here = table.setdefault(device, {})
    here["machine"] = f"{kind}, jax {jax.__version__}"
    for dtype in [word for word in sys.argv[1:] if not word.startswith("-")] or ["float64", "float32"]:
        costs: dict[str, Any] = {"exact": fitted(exact_cases(dtype))}
        for kind in SPACES:
            costs[kind] = fitted(harmonic_cases(kind, dtype))
        costs["neighbours"] = fitted(neighbours_cases(dtype))
        here[dtype] = costs
        text = json.dumps(table, indent=2) + "\n"
        print(text, end="", flush=True)
        if "--write" in sys.argv[1:]:
            stored.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

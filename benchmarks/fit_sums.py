"""Fit the planner's costs to this machine: seconds of exact and harmonic sums over sizes, degrees and spaces.

Prints the table that the planner reads; `--write` stores it in the installed package. Run on a quiet machine:

    python benchmarks/fit_sums.py --write
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from pathlib import Path

import jax
import numpy as np
from scipy.optimize import nnls

import measureflow as mf

SIZES = {
    "exact": (512, 2048, 8192),
    "circle": (2048, 16384, 131072),
    "causal": (2048, 16384),
    "sphere": (1024, 8192),
    "hypersphere": (1024, 8192),
}
DEGREES = {"circle": (10, 30, 80), "causal": (10, 30, 80), "sphere": (10, 30, 80), "hypersphere": (6, 12, 24)}
DIMENSIONS = (2, 3, 16)


def seconds(tokens: mf.Tokens, mask: str | None, sum: mf.sums.Sum) -> float:
    """Return the least seconds of one output of the field."""
    field = mf.SelfAttention(9.0, mask=mask, sum=sum)
    output = jax.jit(lambda field, tokens: field.output(tokens.points, tokens))
    taken = []
    for _ in range(6):
        tick = time.perf_counter()
        jax.block_until_ready(output(field, tokens))
        taken.append(time.perf_counter() - tick)
    return min(taken[1:])


def fitted(rows: list[list[float]], times: list[float], names: list[str]) -> dict[str, float]:
    """Return non-negative costs per unit that fit the times in relative terms."""
    scale = 1.0 / np.array(times)
    costs, _ = nnls(np.array(rows) * scale[:, None], np.ones(len(times)))
    return {name: float(f"{cost:.2g}") for name, cost in zip(names, costs, strict=True)}


def exact_costs() -> dict[str, float]:
    """Fit seconds per call, per pair, and per pair and coordinate."""
    rows, times = [], []
    for d in DIMENSIONS:
        for n in SIZES["exact"]:
            rows.append([1.0, float(n * n), float(n * n * d)])
            times.append(seconds(mf.uniform(mf.Sphere(d), n=n, seed=0), None, mf.sums.Exact()))
    return fitted(rows, times, ["call", "pair", "pair_coordinate"])


def harmonic_costs(kind: str) -> dict[str, float]:
    """Fit seconds per call, per token, and per token and mode."""
    d, mask = {"sphere": 3, "hypersphere": 4}.get(kind, 2), ("causal" if kind == "causal" else None)
    rows, times = [], []
    for n in SIZES[kind]:
        for degree in DEGREES[kind]:
            modes = {2: 2 * degree + 1, 3: (degree + 1) ** 2, 4: (degree + 1) * (degree + 2) * (2 * degree + 3) // 6}[d]
            rows.append([1.0, 2.0 * n, 2.0 * n * modes])
            times.append(seconds(mf.uniform(mf.Sphere(d), n=n, seed=0), mask, mf.sums.Harmonic(degree=degree)))
    return fitted(rows, times, ["call", "token", "token_mode"])


def main() -> None:
    """Print the table, and store it if asked to."""
    device = jax.devices()[0]
    machine = f"{os.cpu_count()} cores of {platform.machine()}, float64, jax {jax.__version__} on {device.platform}"
    table = {"machine": machine, "fitted_by": "benchmarks/fit_sums.py", "exact": exact_costs()}
    for kind in DEGREES:
        table[kind] = harmonic_costs(kind)
    text = json.dumps(table, indent=2) + "\n"
    print(text, end="")
    if "--write" in sys.argv[1:]:
        Path(mf.sums.__file__).with_name("costs.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

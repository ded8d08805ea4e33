"""The phase diagram of arXiv:2312.10794, figure 3, P(<x_1, x_2> >= 1 - delta) over beta and t, beside its scheme.

Ours is `mf.flows.ensemble` with error control, one program per dimension, in a process for each core, as a sweep has
them; the peer is the scheme of the published figures, `x <- N(x + 0.1 A x)` in torch, in float64, on the same clouds.
Both errors are against this library at rtol 1e-11, landing on every saved time. Cells are compared at the peer's own
times (multiples of 0.1). Run:

    python benchmarks/phase_diagram.py                  # three betas, all cells measured, errors of both
    python benchmarks/phase_diagram.py --full --picture phase.png

The peer's seconds of betas that were not run are never reported. Without torch, ours alone is timed.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import measureflow as mf

try:
    import torch
except ImportError:
    torch = None

N, DELTA, UNTIL, STEP = 32, 1e-3, 30.0, 0.1
DIMENSIONS = (2, 8, 128, 512)
#: 200 checkpoints, moved to the peer's nearest step
TIMES = np.unique(np.round(np.linspace(0.0, UNTIL, 200) / STEP)) * STEP
#: what the bar on the errors asks for: a median of a token of 1e-6, and probabilities within one cloud
OURS = mf.Adaptive(rtol=1.5e-5, atol=1.5e-7, coarsen=False, dense=True)
SHARP = mf.Adaptive(rtol=1e-11, atol=1e-13, coarsen=False, pair="dopri8")


def overlap(mu: mf.Tokens) -> jax.Array:
    """Return <x_1, x_2>."""
    return mu.points[0] @ mu.points[1]


def flowed(points: np.ndarray, beta: float, sharp: bool = False, keep: bool = False) -> tuple[np.ndarray, Any]:
    """Flow clouds; return the overlaps at all times, and the last points where asked for."""
    tokens = jax.vmap(lambda x: mf.Tokens(mf.Sphere(points.shape[-1]), x))(jnp.asarray(points))
    field = mf.SelfAttention(beta, sum=mf.sums.Products())
    run = mf.flows.ensemble(
        tokens, field, save=TIMES, record={"o": overlap}, solver=SHARP if sharp else OURS, keep=keep
    )
    return run.recorded["o"], run.points


@functools.cache
def cores() -> list[ProcessPoolExecutor]:
    """Return a process for each core, as a sweep has them: a program for small clouds runs on one core alone.

    Two threads of one process would not do: programs that run at once may wait for each other in XLA's own pool.
    """
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # its QR in a process for each core waited for the other's threads
    return [ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) for _ in range(os.cpu_count() or 1)]


def ours(points: np.ndarray, beta: float, sharp: bool = False, keep: bool = False) -> tuple[np.ndarray, Any]:
    """Flow all clouds, an equal part on each core."""
    parts = np.array_split(points, len(cores()))
    waiting = [core.submit(flowed, part, beta, sharp, keep) for core, part in zip(cores(), parts, strict=True)]
    overlaps, last = zip(*[one.result() for one in waiting], strict=True)
    return np.concatenate(overlaps), np.concatenate(last) if keep else None


def theirs(points: np.ndarray, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Take normalised Euler steps on all clouds at once."""
    x, overlaps, wanted = torch.from_numpy(points.copy()), [], set(np.round(TIMES / STEP).astype(int).tolist())
    with torch.no_grad():
        for k in range(round(UNTIL / STEP) + 1):
            if k in wanted:
                overlaps.append((x[:, 0] * x[:, 1]).sum(-1).numpy())
            if k * STEP < UNTIL - STEP / 2:
                x = x + STEP * torch.softmax(beta * x @ x.transpose(1, 2), -1) @ x
                x = x / x.norm(dim=-1, keepdim=True)
    return np.stack(overlaps, axis=1), x.numpy()


def clouds(d: int, replicas: int) -> np.ndarray:
    """Return uniform clouds."""
    draw = np.random.default_rng(d).normal(size=(replicas, N, d))
    return draw / np.linalg.norm(draw, axis=-1, keepdims=True)


def timed(run: object, *arguments: object) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Return a result with its seconds on the wall and on the processors."""
    wall, cpu = time.perf_counter(), spent()
    overlaps, last = run(*arguments)
    return overlaps, last, time.perf_counter() - wall, spent() - cpu


def spent() -> float:
    """Return the processor seconds of this process and of the others."""
    return time.process_time() + sum(core.submit(time.process_time).result() for core in cores())


def probability(overlaps: np.ndarray) -> np.ndarray:
    """Return the share of clouds whose first two tokens have met, at every time."""
    return (overlaps >= 1 - DELTA).mean(axis=0)


def errors(found: tuple[np.ndarray, ...], exact: tuple[np.ndarray, ...]) -> tuple[float, float]:
    """Return the median error of a token at the end, and the largest of a cell's probability."""
    token = np.median(np.linalg.norm(found[1] - exact[1], axis=-1))
    return float(token), float(np.abs(probability(found[0]) - probability(exact[0])).max())


def main() -> None:
    """Print the table, and draw the picture where one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="20 betas")
    parser.add_argument("--betas", type=float, nargs="+", default=[0.5, 4.5, 9.0])
    parser.add_argument("--replicas", type=int, default=512)
    parser.add_argument("--no-errors", action="store_true", help="leave out the runs at rtol 1e-11")
    parser.add_argument("--picture", help="write the diagram to this file")
    options = parser.parse_args()
    betas = np.linspace(0.1, 9.0, 20) if options.full else np.array(options.betas)
    print(f"n = {N}, {len(betas)} betas, {options.replicas} replicas, {len(TIMES)} times to t = {UNTIL:g}; seconds are")
    print("wall (processor); errors: median of a token at the end, largest of a cell's probability, in replicas")
    grid: dict[int, list[np.ndarray]] = {d: [] for d in DIMENSIONS}
    total = np.zeros(4)
    for d in DIMENSIONS:
        points, tick = clouds(d, options.replicas), time.perf_counter()
        ours(points, 1.0, keep=not options.no_errors)
        print(f"d = {d}: compiled and ran once in {time.perf_counter() - tick:.1f} s")
        for beta in betas:
            a = timed(ours, points, beta, False, not options.no_errors)
            grid[d].append(probability(a[0]))
            line = f"  beta {beta:4.2f}: ours {a[2]:6.2f} ({a[3]:6.2f}) s"
            b = timed(theirs, points, beta) if torch is not None else None
            if b is not None:
                total += (a[2], a[3], b[2], b[3])
                line += f", fixed steps {b[2]:6.2f} ({b[3]:6.2f}) s"
            if not options.no_errors:
                exact = ours(points, beta, sharp=True, keep=True)
                for name, run in (("ours", a), ("fixed steps", b)):
                    if run is not None:
                        token, cell = errors(run, exact)
                        line += f"; {name} {token:.1e}, {cell * options.replicas:.0f}/{options.replicas}"
            print(line, flush=True)
    if torch is not None:
        print(
            f"all that ran: ours {total[0]:.1f} ({total[1]:.1f}) s, fixed steps {total[2]:.1f} ({total[3]:.1f}) s: "
            f"ratio {total[2] / total[0]:.1f} ({total[3] / total[1]:.1f})"
        )
    if options.picture:
        draw(grid, betas, options.picture)


def draw(grid: dict[int, list[np.ndarray]], betas: np.ndarray, name: str) -> None:
    """Draw the probabilities over t and beta, and the time at which equiangular tokens meet."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, len(grid), figsize=(3.2 * len(grid), 3), sharey=True, layout="constrained")
    fine = np.linspace(betas[0], betas[-1], 200)
    curve = mf.theory.clustering_time(fine, n=N, delta=DELTA)
    for ax, (d, rows) in zip(axes, grid.items(), strict=True):
        image = ax.pcolormesh(TIMES, betas, np.array(rows), vmin=0, vmax=1, cmap="cividis", shading="nearest")
        ax.plot(curve, fine, "--", color="white", lw=1, label=r"$T_\delta(\beta, n)$, arXiv:2312.10794 (6.7)")
        ax.set(xlim=(0, UNTIL), xlabel="$t$", title=f"$d = {d}$")
    axes[0].set_ylabel(r"$\beta$")
    axes[0].legend(fontsize=6, loc="lower right", facecolor="0.25", labelcolor="white")
    fig.colorbar(image, label=r"$P(\langle x_1, x_2\rangle \geq 1 - \delta)$")
    fig.savefig(name, dpi=200)


if __name__ == "__main__":
    main()

"""Gradients through layers and flow: memory, seconds and error beside a plain loop of layers under torch's autograd.

Memory of ours is what the compiled program allocates beyond its arguments; torch's is the growth of the peak of its own
process. Errors are relative to a fourth-order difference quotient along one direction. Times are process time, least of
several, the two in turn. Run:

    python benchmarks/gradients.py

torch is optional (`pip install torch`).
"""

from __future__ import annotations

import importlib
import multiprocessing
import resource
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import measureflow as mf

BETA, STEP, D, REPEATS = 2.0, 0.05, 3, 3
MIB = 2.0**20


def cloud(n: int) -> mf.Tokens:
    """Return tokens on S^2."""
    return mf.uniform(mf.Sphere(D), n=n, seed=0)


def weights(n: int) -> np.ndarray:
    """Return what the last points are multiplied with."""
    return np.sin(np.arange(n * D, dtype=float)).reshape(n, D)


def layers_loss(n: int, depth: int, keep: str = "last") -> Callable[[Any, Any], Any]:
    """Return a loss behind `depth` layers, as a function of points and beta."""
    tokens = cloud(n)

    def loss(points: Any, beta: Any) -> Any:
        path = mf.layers(tokens.replace(points=points), mf.SelfAttention(beta), depth=depth, step=STEP, keep=keep)
        return jnp.sum(path.points[-1] * weights(n))

    return loss


def flow_loss(n: int, saved: int) -> Callable[[Any, Any], Any]:
    """Return a loss at the end of a flow, as a function of points and beta."""
    tokens = cloud(n)

    def loss(points: Any, beta: Any) -> Any:
        save = np.linspace(0.0, 5.0, saved + 1)[1:]
        path = mf.flow(tokens.replace(points=points), mf.SelfAttention(beta), until=5.0, save=save, keep="last")
        return jnp.sum(path.points[-1] * weights(n))

    return loss


def compiled(loss: Callable[[Any, Any], Any], n: int) -> Any:
    """Return the program of value and gradient."""
    slopes = jax.value_and_grad(loss, argnums=(0, 1))
    return jax.jit(slopes).lower(cloud(n).points, jnp.asarray(BETA)).compile()


def mebibytes(program: Any) -> float:
    """Return how much a program allocates beyond its arguments."""
    return program.memory_analysis().temp_size_in_bytes / MIB


def torch_gradient(n: int, depth: int) -> Callable[[], tuple[np.ndarray, float]]:
    """Return a call that differentiates the same layers by torch's autograd."""
    torch: Any = importlib.import_module("torch")
    points, factors = torch.tensor(np.asarray(cloud(n).points)), torch.tensor(weights(n))

    def call() -> tuple[np.ndarray, float]:
        start = points.clone().requires_grad_(True)
        beta = torch.tensor(BETA, dtype=torch.float64, requires_grad=True)
        x = start
        for _ in range(depth):
            x = x + STEP * torch.softmax(beta * (x @ x.T), dim=1) @ x
            x = x / x.norm(dim=1, keepdim=True)
        (x * factors).sum().backward()
        return start.grad.numpy(), float(beta.grad)

    return call


def peak_of_torch(n: int, depth: int, answer: Any) -> None:
    """Put into `answer` by how much the peak of this process grows over one gradient."""
    torch_gradient(8, 1)()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    torch_gradient(n, depth)()
    answer.put((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def torch_mebibytes(n: int, depth: int) -> float | None:
    """Return the memory that torch takes, in a process of its own; `None` where it is not installed."""
    try:
        importlib.import_module("torch")
    except ImportError:
        return None
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=peak_of_torch, args=(n, depth, answer))
    process.start()
    grown = answer.get()
    process.join()
    return grown


def least_seconds(calls: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Return the least process time of each call, taken in turn."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(REPEATS):
        for name, call in calls.items():
            tick = time.process_time()
            jax.block_until_ready(call())
            taken[name].append(time.process_time() - tick)
    return {name: min(times) for name, times in taken.items()}


def error(program: Any, gradient: tuple[Any, Any], n: int) -> float:
    """Return the relative error of a gradient along one direction, against difference quotients of our loss."""
    move = np.cos(np.arange(n * D, dtype=float)).reshape(n, D)
    points = np.asarray(cloud(n).points)
    move = move - (move * points).sum(axis=1, keepdims=True) * points

    def at(h: float) -> float:
        moved = mf.Sphere(D).exp(jnp.asarray(points), h * jnp.asarray(move))
        return float(program(moved, jnp.asarray(BETA + h))[0])

    h = 1e-3
    quotient = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
    return abs(float(np.sum(np.asarray(gradient[0]) * move)) + float(gradient[1]) - quotient) / abs(quotient)


def main() -> None:
    """Print the tables."""
    print("memory of a gradient through layers, d = 3, float64 (MiB)")
    for n, depth in ((512, 50), (512, 200), (4096, 200)):
        ours = mebibytes(compiled(layers_loss(n, depth), n))
        peer = torch_mebibytes(n, depth) if n * n * depth <= 512 * 512 * 200 else None
        said = "not run" if peer is None else f"{peer:,.0f} ({peer / ours:,.0f} times)"
        print(f"  n = {n:5d}, {depth:3d} layers: measureflow {ours:6.1f}; torch {said}", flush=True)
    print("memory of a gradient through a flow up to t = 5, whatever its number of steps up to 4,096 (MiB)")
    for n, saved in ((512, 1), (4096, 1)):
        print(f"  n = {n:5d}, {saved:2d} saved times: {mebibytes(compiled(flow_loss(n, saved), n)):6.1f}", flush=True)
    n, depth = 512, 50
    program = compiled(layers_loss(n, depth), n)
    points, beta = cloud(n).points, jnp.asarray(BETA)
    calls: dict[str, Callable[[], Any]] = {"measureflow": lambda: program(points, beta)[1]}
    try:
        calls["torch"] = torch_gradient(n, depth)
    except ImportError:
        print("torch is not installed: no peer")
    gradients = {name: call() for name, call in calls.items()}
    taken = least_seconds(calls)
    print(f"gradient through {depth} layers of {n} tokens")
    for name, gradient in gradients.items():
        ratio = taken[name] / taken["measureflow"]
        print(f"  {name:12s} {taken[name]:6.2f} s ({ratio:.2f} times ours), error {error(program, gradient, n):.1e}")


if __name__ == "__main__":
    main()

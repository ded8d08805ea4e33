"""Bounds with their constants: near-sharp for a slow linear equation, void where weights jump between layers."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.paths.style import ACCENT, MUTED, THEORY

PAPER = "2205.14612"
DEPTH = 16


def linear(rate: float, points: np.ndarray, depth: int) -> Any:
    """Return layers of x' = rate x beside their flow, and the largest error of their reconstruction."""
    one = np.eye(1)
    field = mf.Perceptron(one, rate * one, activation="identity")
    path = mf.layers(mf.Tokens(mf.Euclidean(1), points), field, depth=depth, step=1.0 / depth)
    found, back = mf.compare(path), mf.flows.reconstruct(path)
    off = np.sqrt(((np.asarray(back.points - path.points)) ** 2).sum(axis=-1).mean(axis=-1)).max()
    return found, float(off)


@claim(PAPER, "error bounds", covers=["3.2"], status="derived", id=f"{PAPER}/bounds",
       states={"layers": theory.error_of_euler_layers, "reconstruction": theory.error_of_reconstruction})  # fmt: skip
def errors_stay_below_their_bounds_and_come_near(case: Case) -> None:
    """Euler layers stay within (e^L - 1)/(2LN) sup|x''| of their equation, and activations reconstructed backwards
    within (e^L - 1) C/N of the layers; a slow linear equation comes near both."""
    rate, depth = case.draw("rate", 0.1, 0.3), case.given("depth", DEPTH)
    case.require("the equation is not at rest, and expands", rate > 0)
    points = case.generator("points").normal(size=(case.given("n", 4), 1))
    found, off = case.measure(linear, rate, points, depth)
    size = float(np.sqrt((points**2).mean()))
    because = "rtol of the constants, and of the flow"
    for measured, exact, name in (
        (found.lipschitz, rate, "L"),
        (found.bend, rate**2 * np.exp(rate) * size, "x''"),
        (found.speed, rate * np.exp(rate) * size, "speed"),
    ):
        case.compare(measured, exact, within=1e-5 * exact, because=because, name=name)
    bound = case.statement.layers(lipschitz=rate, bend=found.bend, step=1.0 / depth)
    case.compare(found.bound[0], bound, within=1e-6, relative=True, because=because, name="the bound of compare")
    case.at_most(found.worst[0], bound, within=1e-3 * found.worst[0], because=because, name="layers")
    share = min(0.7, 0.95 * rate / np.expm1(rate) * max(0.1, 1.0 - rate * (1.0 + rate) / depth))
    reason = "rate/(e^rate - 1)"
    case.at_least(found.worst[0], share * bound, within=1e-3 * bound, because=reason, name="layers, near sharp")
    bound = case.statement.reconstruction(lipschitz=rate, speed=found.speed, step=1.0 / depth)
    case.at_most(off, bound, within=1e-3 * off, because=because, name="reconstruction")
    share, because = min(0.5, float(np.exp(-2.2 * rate))), "a factor of about e^-2 rate"
    case.at_least(off, share * bound, within=1e-3 * bound, because=because, name="reconstruction, near sharp")


@errors_stay_below_their_bounds_and_come_near.figure
def errors_and_bounds_against_depth(case: Case, ax: Any) -> None:
    """Draw both errors and their bounds for several depths."""
    rate, depth, n = (case.instance[name] for name in ("rate", "depth", "n"))
    points, depths = case.generator("points").normal(size=(n, 1)), [depth, 2 * depth, 4 * depth]
    found, off = zip(*(case.measure(linear, rate, points, one) for one in depths), strict=True)
    layers = [
        case.statement.layers(lipschitz=rate, bend=one.bend, step=1 / k) for one, k in zip(found, depths, strict=True)
    ]
    back = [case.statement.reconstruction(lipschitz=rate, speed=one.speed, step=1 / k)
            for one, k in zip(found, depths, strict=True)]  # fmt: skip
    for errors, bounds, colour, name in (
        ([one.worst[0] for one in found], layers, ACCENT[0], "layers from their equation"),
        (off, back, ACCENT[1], "reconstruction from the layers"),
    ):
        ax.plot(depths, errors, "o", color=colour, ms=8, label=name)
        ax.plot(depths, bounds, "--", color=THEORY, lw=1.3, label="bound" if colour == ACCENT[1] else None)
    ax.set(xscale="log", yscale="log", xlabel="layers $N$", ylabel="largest error")
    ax.set_xticks(depths, [str(one) for one in depths])
    ax.tick_params(axis="x", which="minor", labelbottom=False)
    ax.set_title(f"x' = {rate:.3g} x, n = {n}", fontsize=11, loc="left")
    ax.legend(fontsize=9)


@errors_stay_below_their_bounds_and_come_near.mutation("layers")
def half_lost(*, lipschitz: float, bend: float, step: float) -> float:
    """The half of the local error is lost twice."""
    return 0.5 * theory.error_of_euler_layers(lipschitz=lipschitz, bend=bend, step=step)


@errors_stay_below_their_bounds_and_come_near.mutation("layers")
def speed_for_bend(*, lipschitz: float, bend: float, step: float) -> float:
    """The speed stands where the second derivative belongs."""
    return theory.error_of_euler_layers(lipschitz=lipschitz, bend=bend / lipschitz, step=step)


@errors_stay_below_their_bounds_and_come_near.mutation("reconstruction")
def second_order(*, lipschitz: float, speed: float, step: float) -> float:
    """The error of the reconstruction is of second order in the step."""
    return step * theory.error_of_reconstruction(lipschitz=lipschitz, speed=speed, step=step)


class Wave(mf.Field):
    """A field that vanishes at every layer: sin^2(pi N t), whatever the tokens."""

    count: Any
    depth: Any = 0.0

    def output(self, x: Any, mu: Any, positions: Any = None) -> Any:
        """Return the same everywhere."""
        return jnp.full_like(x, jnp.sin(jnp.pi * self.count * self.depth) ** 2)

    def at(self, t: Any) -> Wave:
        """Return the field at depth t."""
        return Wave(self.count, jnp.asarray(t, float))


def wave(depth: int, tokens: mf.Tokens) -> tuple[float, float, float]:
    """Return where layers and flow of the wave end, and its largest derivative in depth."""
    field = Wave(jnp.asarray(float(depth)))
    end = np.asarray(mf.layers(tokens, field, depth=depth, step=1.0 / depth).points[-1] - tokens.points)
    nodes, weights = np.polynomial.legendre.leggauss(8)
    times = (np.arange(depth)[:, None] + 0.5 * (nodes + 1.0)) / depth
    values = np.sin(np.pi * depth * times) ** 2
    steep = np.pi * depth * np.abs(np.sin(2 * np.pi * np.linspace(0.0, 1.0, 401))).max()
    return float(np.abs(end).max()), float((values @ weights).sum() / (2 * depth)), float(steep)


@claim(PAPER, "non-smooth depth", covers=["3.2"], status="derived", id=f"{PAPER}/sharpness",
       states=lambda n: (0.5, theory.error_of_euler_layers(lipschitz=0.0, bend=np.pi * n, step=1.0 / n)))  # fmt: skip
def layers_need_not_approach_an_equation_whose_weights_oscillate(case: Case) -> None:
    """Layers that see only zeros of sin^2(pi N s) stay where they are and the equation moves by 1/2, for every N: the
    bound, which is pi/2 for every N, does not vanish, and must not."""
    tokens = mf.Tokens(mf.Euclidean(1), case.generator("points").normal(size=(3, 1)))
    depths = np.array(case.given("depths", (8, 32)))
    stays, moves, steep = np.array([case.measure(wave, int(depth), tokens) for depth in depths]).T
    distance, bound = np.array([case.predict(int(depth)) for depth in depths]).T
    apart, over, because = np.abs(moves - stays), {"layers": depths}, "quadrature, and pi in the sine"
    case.compare(apart, distance, within=1e-9, because=because, name="layers from their equation", over=over)
    case.compare(steep / (2 * depths), bound, within=1e-3, because="401 places", name="the bound", over=over)
    case.at_most(apart, bound, within=1e-9, because="quadrature", name="below the bound", over=over)


@layers_need_not_approach_an_equation_whose_weights_oscillate.figure
def wave_between_layers(case: Case, ax: Any) -> None:
    """Draw the wave of the first depth with what its layers see, and the distance at every depth in the legend."""
    depths, apart = np.array(case.instance["depths"]), case.curves[0]
    count, line = int(depths[0]), np.linspace(0.0, 1.0, 400)
    ax.plot(line, np.sin(np.pi * count * line) ** 2, color=MUTED, lw=1.0, label="speed of the equation")
    ax.plot(line, line / 2 - np.sin(2 * np.pi * count * line) / (4 * np.pi * count), color=ACCENT[1],
            label="where it has moved to")  # fmt: skip
    ax.plot(np.arange(count + 1) / count, np.zeros(count + 1), "o", color=ACCENT[0], ms=7, label="what layers see")
    for depth, found in zip(depths, apart.measured, strict=True):
        ax.plot(
            [1.0],
            [found],
            "s",
            color=ACCENT[0],
            ms=7,
            mfc="none",
            label=f"distance at the end, N = {depth}: {found:.4g}",
        )
    ax.axhline(0.5, color=THEORY, ls="--", lw=1.2, label="stated distance 1/2")
    ax.set(xlabel="depth $s$", ylabel=r"$\sin^2(\pi N s)$ and its integral", ylim=(-0.1, 1.75))
    ax.set_title(f"N = {count}", fontsize=11, loc="left")
    ax.legend(fontsize=8.5, loc="upper left", ncols=2)


@layers_need_not_approach_an_equation_whose_weights_oscillate.mutation
def first_order(depth: int) -> tuple[float, float]:
    """Layers approach any equation at first order."""
    return 0.5 / depth, np.pi / (2 * depth)


@layers_need_not_approach_an_equation_whose_weights_oscillate.mutation
def mean_of_sine(depth: int) -> tuple[float, float]:
    """The mean of sin^2 is taken for that of |sin|."""
    return 2.0 / np.pi, np.pi / 2

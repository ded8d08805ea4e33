"""Weights along depth of a trained linear net, and how well activations are reconstructed, against the depth."""

from __future__ import annotations

from typing import Any

import numpy as np

from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.figures import figure
from measureflow.claims.p2205_14612.orders import METHODS, errors
from measureflow.paths.style import ACCENT, MUTED, THEORY, caption, shades
from measureflow.paths.style import figure as sheet

PAPER = "2205.14612"


@figure(PAPER, "Weights", title="weights of a trained linear net are smooth in depth")
def weights_along_depth(case: Case) -> Any:
    """Entries of the weights against depth at four steps of training: d = 2, N = 100 (20 at smoke), target
    I + Gaussian, weights of zero at first, until the loss is 1e-5. Right: the eigenvalues of the symmetric part, which
    are constant in depth (dashed).

    Curves, no jumps: training keeps the layers a discretised equation. The published target is one draw of another
    generator; here it is drawn among those with a positive determinant, which alone can be reached from the identity,
    and the rate is 10, a tenth of the published one, at which gradient descent explodes for some of them.
    """
    depth, tolerance = case.given("N", 20 if case.tier == "smoke" else 100), case.given("loss", 1e-5)
    rng, target = case.generator("target"), -np.eye(2)
    while np.linalg.eigvals(target).real.min() < 0.3 or np.linalg.norm(target, 2) > 2.5:
        target = np.eye(2) + rng.normal(size=(2, 2))
    options = {"rate": 0.1 * depth, "tolerance": tolerance, "most": 5_000}
    last = theory.train_linear_net(target, depth, **options)
    keep = sorted({1, max(last.steps // 8, 2), max(last.steps // 3, 3), last.steps})
    net = theory.train_linear_net(target, depth, **options, keep=keep)
    drawing = sheet(12.0, 5.2)
    left, right = drawing.subplots(1, 2)
    places = np.arange(depth) / depth
    for step, weights, colour in zip(net.kept, net.history, shades(len(net.kept)), strict=True):
        left.plot(places, weights.reshape(depth, -1), color=colour, lw=1.5)
        left.plot([], [], color=colour, label=f"step {step}")
    roots = theory.symmetric_eigenvalues_along_depth(net.weights)
    right.plot(places, roots, "o", ms=3, color=ACCENT[0])
    for root in roots.mean(axis=0):
        right.axhline(root, ls="--", color=THEORY, lw=1.2)
    right.plot([], [], "o", ms=3, color=ACCENT[0], label="eigenvalues of $S$")
    right.plot([], [], "--", color=THEORY, label="constant in depth")
    left.set(xlabel="depth $n/N$", ylabel=r"entries of $\theta_n$", title=f"$N={depth}$, four moments of training")
    right.set(xlabel="depth $n/N$", ylabel="eigenvalue", title="symmetric part, at the end")
    for axes in (left, right):
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.08), ncols=4, fontsize=9)
    caption(drawing, f"linear residual net, loss |prod(I + theta/N) - B|^2 down to {net.loss:.1e} in {net.steps} steps")
    return drawing


@figure(PAPER, "Reconstruction", title="activations reconstructed backwards, against the depth")
def reconstruction_against_depth(case: Case) -> Any:
    """Largest error of activations reconstructed from the last ones, tanh layers of R^4, against N (64 and 256 at
    smoke; 16 .. 1,024, and up to 16,384 at the full tier): smooth weights, slope -1 (Euler) and -3 (Heun, to rounding),
    and independent weights, about -1 for both."""
    most = {"smoke": 0, "standard": 10}.get(case.tier, 14)
    # each is a program of its own
    depths = case.given("depths", (64, 256) if not most else tuple(2**k for k in range(4, most + 1, 2)))
    drawing = sheet(8.0, 5.6)
    axes = drawing.subplots()
    for method, colour in zip(METHODS, ACCENT, strict=False):
        for rough, style in ((0, "o-"), (1, "s:")):
            found = [errors(case.seed, depth, method, rough)[1] for depth in depths]
            label = f"{method.capitalize()}, {'independent' if rough else 'smooth'} weights"
            axes.plot(depths, found, style, color=colour, ms=5, label=label)
            if not rough:
                power = {"euler": 1, "heun": 3}[method]
                line = found[0] * (np.array(depths) / depths[0]) ** -float(power)
                axes.plot(depths, np.maximum(line, 1e-15), "--", color=THEORY, lw=1.0, label=f"$N^{{-{power}}}$")
    if most:
        axes.axhline(2e-15, color=MUTED, lw=0.8, ls=":", label="rounding")
    axes.set(xscale="log", yscale="log", xlabel="layers $N$", ylabel="largest error of an activation")
    axes.legend(fontsize=9)
    caption(drawing, "four tokens through tanh layers; backwards by the same method from the last state")
    return drawing

"""Constant against number of tokens: the model-free form of the paper's figures."""

from __future__ import annotations

from typing import Any

import numpy as np

from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.figures import figure
from measureflow.claims.p2312_14820.instances import balls, stretches
from measureflow.paths.style import ACCENT, MUTED, THEORY, caption
from measureflow.paths.style import figure as sheet

PAPER = "2312.14820"


@figure(PAPER, "Growth", title="one token against all others: growth like sqrt n, and its end")
def constant_against_the_number_of_tokens(case: Case) -> Any:
    """Local Lipschitz constant of attention against n: adversarial tokens (A = -1, V = 1 on the line, R = 1.3, 1.5
    and, from the standard tier, 1.7) and random tokens of the ball of R^8 with random Gaussian Q, K, V.

    The first grow like sqrt(n) up to n of about e^(2 gamma R^2) (dotted) and then fall slowly, near the lower bound
    (dashed) and below both upper ones, that of n tokens and that of measures (W_2), whichever is smaller. The second
    hardly grow at all: nothing there is adversarial.
    """
    small = case.tier == "smoke"
    radii, most = case.given("radii", (1.3, 1.5) if small else (1.3, 1.5, 1.7)), case.given("n", 200 if small else 2000)
    draws = case.given("draws", 2 if small else 10)
    drawing = sheet(12.0, 5.6)
    left, right = drawing.subplots(1, 2)
    counts = np.unique(np.geomspace(2, most, 12 if case.tier == "smoke" else 24).astype(int))
    for radius, colour in zip(radii, ACCENT, strict=False):
        form = np.array([[-1.0]])
        options = {"form": form, "radius": radius}
        exact = [stretches(theory.adversarial_tokens(n, **options)[None], form)[0] for n in counts]
        lower = [theory.lipschitz_of_adversarial_tokens(n, **options) for n in counts]
        upper = [
            min(theory.lipschitz_of_attention(n, **options), theory.lipschitz_of_measures(**options, n=n, p=2))
            for n in counts
        ]
        left.plot(counts, exact, "o", ms=5, color=colour, label=f"exact, $R={radius:g}$")
        left.plot(counts, lower, "--", lw=1.3, color=THEORY, label="lower bound" if radius == radii[0] else None)
        left.plot(counts, upper, "-", lw=1.0, color=colour, alpha=0.6, label=f"upper bound, $R={radius:g}$")
        if np.exp(2 * radius**2) <= counts[-1]:
            left.axvline(np.exp(2 * radius**2), color=colour, ls=":", lw=1.2)
    left.set(title=r"adversarial tokens, $d=1$; dotted: $n=e^{2\gamma R^2}$")
    few = counts[counts <= (100 if case.tier == "smoke" else 300)]
    d, radius = case.given("d", 8), case.given("radius of random tokens", 2.0)
    rng = case.generator("random heads")
    found = []
    for _ in range(draws):
        query, key, value = (rng.normal(size=(d, d)) / np.sqrt(d) for _ in range(3))
        form = key.T @ query / np.sqrt(d)
        found.append([
            np.linalg.norm(theory.jacobian_of_attention(radius * balls(rng, 1, n, d)[0], form=form, value=value), 2)
            for n in few
        ])  # fmt: skip
    right.plot(few, np.median(found, axis=0), "o-", color=ACCENT[0], label="random tokens, median")
    reference = np.sqrt(few / few[0]) * np.median(found, axis=0)[0]
    right.plot(few, reference, ":", color=MUTED, label=r"$\sqrt{n}$")
    right.set(title=rf"random $Q,K,V$ in $\mathbb{{R}}^{{{d}}}$, $R={radius:g}$, {draws} draws")
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", xlabel="tokens $n$", ylabel="local Lipschitz constant")
    left.set_ylim(bottom=0.25)  # room for the legend below the curves
    left.legend(loc="lower center", ncols=2, fontsize=9, frameon=True, framealpha=1.0, edgecolor="none")
    right.legend(loc="upper left", fontsize=9)
    caption(drawing, "exact: largest singular value of the Jacobian of softmax attention in closed form")
    return drawing

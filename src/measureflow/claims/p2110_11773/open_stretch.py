"""Open questions about doubly stochastic attention: its Lipschitz constant, and where its flow ends."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration
from measureflow.claims.instances import normalised
from measureflow.paths.style import ACCENT, THEORY

#: numbers of tokens on the line by tier
SIZES, MANY = {"smoke": (8,)}, (4, 8, 16, 32, 64, 128)


@exploration("2110.11773", "regularity and limits", covers=["Q6"], id="2110.11773/Q6")
def how_much_does_balanced_attention_stretch(case: Case) -> dict[str, Any]:
    """Does the Lipschitz constant of Sinkhorn attention grow with n as softmax's does, and where do its flows end?

    Softmax stretches one token against n - 1 others by about sqrt(n) (arXiv:2312.14820): all of them attend to the one.
    Balanced columns forbid that, but no bound is known. Reported: the exact local constants of both at those tokens of
    the line (A = -1, R = 1.5), and at random ones; and for attraction on the sphere (beta = 2) the length of the mean
    of the tokens at t = 100: 1 is one cluster.
    """
    sizes, radius = case.given("n", SIZES.get(case.tier, MANY)), case.given("R", 1.5)
    kinds = ("softmax", "sinkhorn")
    found: dict[str, Any] = {"n": list(sizes), "R": radius}
    for kind in kinds:
        field = mf.SelfAttention(beta=1.0, query=-1.0, weighting=kind)
        found[f"{kind}, adversarial"], found[f"{kind}, random"] = [], []
        for n in sizes:
            bad = theory.adversarial_tokens(n, form=[[-1.0]], radius=radius)
            drawn = case.generator(f"tokens {n}").uniform(-radius, radius, (n, 1))
            for name, points in (("adversarial", bad), ("random", drawn)):
                stretch = mf.observe.lipschitz(mf.Tokens(mf.Euclidean(1), points), field)
                found[f"{kind}, {name}"].append(float(stretch))
    n = case.given("tokens on the sphere", {"smoke": 8}.get(case.tier, 32))
    beta, until = case.given("beta on the sphere", 2.0), case.given("t", 100.0)
    tokens = mf.Tokens(mf.Sphere(3), normalised(case.generator("sphere").normal(size=(n, 3))))
    for kind in kinds:
        last = mf.flow(tokens, mf.SelfAttention(beta=beta, weighting=kind), until=until, save=2, keep="last")
        found[f"{kind}, length of the mean at t = {until:g}"] = float(
            np.linalg.norm(np.asarray(last.points[-1]).mean(axis=0))
        )
    return found


@how_much_does_balanced_attention_stretch.figure
def stretches(findings: Findings, ax: Any) -> None:
    """Draw the local constants of both kinds over n, at the worst tokens of softmax and at random ones."""
    found = findings.found
    n = np.array(found["n"], float)
    for kind, colour, marker in (("softmax", ACCENT[0], "o"), ("sinkhorn", ACCENT[1], "s")):
        for what, style in (("adversarial", "-"), ("random", ":")):
            face, label = colour if style == "-" else "white", f"{kind}, {what} tokens"
            ax.plot(n, found[f"{kind}, {what}"], marker + style, ms=8, color=colour, mfc=face, label=label)
        name = next(name for name in found if name.startswith(f"{kind}, length"))
        ax.plot([], [], " ", label=f"sphere: {name.split(', ')[1]} {found[name]:.3f}")
    fine = np.geomspace(n.min() / 1.5, n.max() * 1.5, 50)
    worst = found["softmax, adversarial"][0]
    ax.plot(fine, worst * (fine / n[0]) ** 0.5, "--", color=THEORY, label="$n^{1/2}$, as softmax may grow")
    ax.set(xscale="log", yscale="log", xlabel="tokens $n$ on the line", ylabel="local Lipschitz constant")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=10)

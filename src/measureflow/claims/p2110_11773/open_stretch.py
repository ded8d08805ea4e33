"""Open questions about doubly stochastic attention: its Lipschitz constant, and where its flow ends."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.exploration import exploration
from measureflow.claims.instances import normalised


@exploration("2110.11773", "regularity and limits", covers=["Q6"], id="2110.11773/Q6")
def how_much_does_balanced_attention_stretch(case: Case) -> dict[str, Any]:
    """Does the Lipschitz constant of Sinkhorn attention grow with n as softmax's does, and where do its flows end?

    Softmax stretches one token against n - 1 others by about sqrt(n) (arXiv:2312.14820): all of them attend to the one.
    Balanced columns forbid that, but no bound is known. Reported: the exact local constants of both at those tokens of
    the line (A = -1, R = 1.5), and at random ones; and for attraction on the sphere (beta = 2) the length of the mean
    of the tokens at t = 100: 1 is one cluster.
    """
    sizes = (8,) if case.tier == "smoke" else (4, 8, 16, 32, 64, 128)
    kinds = ("softmax", "sinkhorn")
    found: dict[str, Any] = {"n": list(sizes)}
    for kind in kinds:
        field = mf.SelfAttention(beta=1.0, query=-1.0, weighting=kind)
        found[f"{kind}, adversarial"], found[f"{kind}, random"] = [], []
        for n in sizes:
            bad = theory.adversarial_tokens(n, form=[[-1.0]], radius=1.5)
            drawn = case.generator(f"tokens {n}").uniform(-1.5, 1.5, (n, 1))
            for name, points in (("adversarial", bad), ("random", drawn)):
                stretch = mf.observe.lipschitz(mf.Tokens(mf.Euclidean(1), points), field)
                found[f"{kind}, {name}"].append(float(stretch))
    n = 8 if case.tier == "smoke" else 32
    tokens = mf.Tokens(mf.Sphere(3), normalised(case.generator("sphere").normal(size=(n, 3))))
    for kind in kinds:
        last = mf.flow(tokens, mf.SelfAttention(beta=2.0, weighting=kind), until=100.0, save=2, keep="last")
        found[f"{kind}, length of the mean at t = 100"] = float(
            np.linalg.norm(np.asarray(last.points[-1]).mean(axis=0))
        )
    return found

"""Exploration of remark 3.5 of arXiv:2312.10794: several heads, a perceptron, unequal masses."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration
from measureflow.claims.instances import velocity
from measureflow.paths.style import ACCENT

SIZE = {"smoke": (16, 1, 20.0), "standard": (64, 16, 100.0), "full": (128, 64, 1000.0)}
#: heads where there are several: two are as much a sum as four, in half of the program
HEADS = {"smoke": 2}
BETA, DIM = 4.0, 3


def layers_of(case: Case, replica: int) -> dict[str, mf.Field]:
    """Return fields that differ from SA by one part each; matrices are drawn, heads share the speed of one."""
    rng = case.generator(f"matrices {replica}")

    def matrix() -> np.ndarray:
        return rng.normal(size=(DIM, DIM)) / np.sqrt(DIM)

    count = HEADS.get(case.tier, 4)
    heads = [mf.SelfAttention(BETA, query=matrix(), key=matrix(), value=1 / count) for _ in range(count)]
    mixed = [mf.SelfAttention(BETA, query=matrix(), key=matrix(), value=matrix() / count) for _ in range(count)]
    one = mf.SelfAttention(BETA)
    perceptron = mf.Perceptron(matrix(), 0.3 * matrix(), activation="relu")
    return {
        "one head, V = I": one,
        f"{count} heads, V = I": mf.MultiHead(heads),
        f"{count} heads, random V": mf.MultiHead(mixed),
        "one head and a perceptron": one + perceptron,
        "one head, doubly stochastic": mf.SelfAttention(BETA, weighting="sinkhorn"),
    }


def masses_of(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return masses of a heavy tail: the largest is many times the median."""
    drawn = rng.pareto(1.5, size=n) + 0.05
    return drawn / drawn.sum()


@exploration("2312.10794", "remark 3.5", covers=["P16"])
def do_heads_perceptrons_and_masses_keep_the_clusters(case: Case) -> dict[str, Any]:
    """Do tokens still gather in one place with several heads, with a perceptron, and with unequal masses?

    For one head and V = I they do (a theorem). With several heads of V = I the tokens of a hemisphere still do; for
    random V, with a perceptron, or with doubly stochastic attention no theory is known. Uniform tokens on S² are
    followed to a time; what is reported is how many clusters (cosine above 0.999) there are, the mean cosine, and
    whether what is left still moves. Masses stay what they are: unbalanced flows are not part of this study.
    """
    n, replicas, until = SIZE[case.tier]
    rows: dict[str, list[tuple[int, float, float]]] = {}
    for replica in range(replicas):
        points = np.asarray(mf.uniform(mf.Sphere(DIM), n=n, seed=case.seed + replica).points)
        equal = mf.Tokens(mf.Sphere(DIM), points)
        heavy = mf.Tokens(mf.Sphere(DIM), points, masses_of(case.generator(f"masses {replica}"), n))
        fields = layers_of(case, replica)
        starts = {name: (equal, field) for name, field in fields.items()}
        starts["one head, unequal masses"] = (heavy, fields["one head, V = I"])
        for name, (tokens, field) in starts.items():
            path = mf.flow(tokens, field, until=until, save=[0.0, until], keep="last")
            last = path[-1]
            speed = float(np.linalg.norm(np.asarray(velocity(field, last)), axis=1).max())
            count = int(mf.observe.clusters(last).count)
            rows.setdefault(name, []).append((count, float(mf.observe.cosine(last)), speed))
    found: dict[str, Any] = {"beta": BETA, "tokens": n, "replicas": replicas, "until": until}
    for name, values in rows.items():
        counts, cosines, speeds = map(np.array, zip(*values, strict=True))
        found[name] = {"clusters": counts.tolist(), "mean cosine": cosines.mean(), "largest speed": speeds.max()}
    return found


@do_heads_perceptrons_and_masses_keep_the_clusters.figure
def counts(findings: Findings, ax: Any) -> None:
    """Draw the number of clusters at the end for every kind of layer."""
    kinds = {name: row["clusters"] for name, row in findings.found.items() if isinstance(row, dict)}
    for place, values in enumerate(kinds.values()):
        ax.plot(values, [place] * len(values), "o", color=ACCENT[0], alpha=0.6)
    ax.set(xlabel=f"clusters at t = {findings.found['until']:g}", xlim=(0, None))
    ax.set_yticks(range(len(kinds)), list(kinds))

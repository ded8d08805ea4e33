"""Exploration of remark 3.5 of arXiv:2312.10794: several heads, a perceptron, unequal masses."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration
from measureflow.claims.instances import velocity
from measureflow.paths.style import ACCENT, MUTED, THEORY

TOKENS, REPLICAS = {"smoke": 16, "standard": 64, "full": 128}, {"smoke": 1, "standard": 16, "full": 64}
UNTIL = {"smoke": 20.0, "standard": 100.0, "full": 1000.0}
#: heads where there are several: two are as much a sum as four, in half of the program
HEADS = {"smoke": 2}
BETA, DIM = 4.0, 3


def layers_of(case: Case, replica: int) -> dict[str, mf.Field]:
    """Return fields that differ from SA by one part each; matrices are drawn, heads share the speed of one."""
    rng, beta, d = case.generator(f"matrices {replica}"), case.given("beta", BETA), case.given("d", DIM)

    def matrix() -> np.ndarray:
        return rng.normal(size=(d, d)) / np.sqrt(d)

    count = case.given("heads", HEADS.get(case.tier, 4))
    heads = [mf.SelfAttention(beta, query=matrix(), key=matrix(), value=1 / count) for _ in range(count)]
    mixed = [mf.SelfAttention(beta, query=matrix(), key=matrix(), value=matrix() / count) for _ in range(count)]
    one = mf.SelfAttention(beta)
    strength = case.given("strength of the perceptron", 0.3)
    perceptron = mf.Perceptron(matrix(), strength * matrix(), activation="relu")
    return {
        "one head, V = I": one,
        f"{count} heads, V = I": mf.MultiHead(heads),
        f"{count} heads, random V": mf.MultiHead(mixed),
        "one head and a perceptron": one + perceptron,
        "one head, doubly stochastic": mf.SelfAttention(beta, weighting="sinkhorn"),
    }


def masses_of(rng: np.random.Generator, n: int, tail: float) -> np.ndarray:
    """Return masses of a heavy tail: the largest is many times the median."""
    drawn = rng.pareto(tail, size=n) + 0.05
    return drawn / drawn.sum()


@exploration("2312.10794", "remark 3.5", covers=["P16"])
def do_heads_perceptrons_and_masses_keep_the_clusters(case: Case) -> dict[str, Any]:
    """Do tokens still gather in one place with several heads, with a perceptron, and with unequal masses?

    For one head and V = I they do (a theorem). With several heads of V = I the tokens of a hemisphere still do; for
    random V, with a perceptron, or with doubly stochastic attention no theory is known. Uniform tokens on S² are
    followed to a time; what is reported is how many clusters (cosine above 0.999) there are, the mean cosine, and
    whether what is left still moves. Masses stay what they are; that they move is `P16-masses`.
    """
    n, replicas = case.given("n", TOKENS[case.tier]), case.given("replicas", REPLICAS[case.tier])
    until, beta, d = case.given("t", UNTIL[case.tier]), case.given("beta", BETA), case.given("d", DIM)
    tail = case.given("tail of the masses", 1.5)
    case.require("the tail of the masses is positive", tail > 0)
    rows: dict[str, list[tuple[int, float, float]]] = {}
    for replica in range(replicas):
        points = np.asarray(mf.uniform(mf.Sphere(d), n=n, seed=case.seed + replica).points)
        equal = mf.Tokens(mf.Sphere(d), points)
        heavy = mf.Tokens(mf.Sphere(d), points, masses_of(case.generator(f"masses {replica}"), n, tail))
        fields = layers_of(case, replica)
        starts = {name: (equal, field) for name, field in fields.items()}
        starts["one head, unequal masses"] = (heavy, fields["one head, V = I"])
        for name, (tokens, field) in starts.items():
            path = mf.flow(tokens, field, until=until, save=[0.0, until], keep="last")
            last = path[-1]
            speed = float(np.linalg.norm(np.asarray(velocity(field, last)), axis=1).max())
            count = int(mf.observe.clusters(last).count)
            rows.setdefault(name, []).append((count, float(mf.observe.cosine(last)), speed))
    found: dict[str, Any] = {"beta": beta, "d": d, "tokens": n, "replicas": replicas, "until": until}
    for name, values in rows.items():
        counts, cosines, speeds = map(np.array, zip(*values, strict=True))
        found[name] = {"clusters": counts.tolist(), "mean cosine": cosines.mean(), "largest speed": speeds.max()}
    return found


@do_heads_perceptrons_and_masses_keep_the_clusters.figure
def counts(findings: Findings, ax: Any) -> None:
    """Draw the number of clusters at the end for every kind of layer."""
    found = findings.found
    kinds = {name: row for name, row in found.items() if isinstance(row, dict)}
    for place, row in enumerate(kinds.values()):
        values = row["clusters"]
        ax.plot(values, place + np.linspace(-0.2, 0.2, len(values) + 2)[1:-1], "o", ms=8, color=ACCENT[0], alpha=0.6)
        said = f"mean cosine {row['mean cosine']:.2f}, largest speed {row['largest speed']:.1g}"
        ax.annotate(said, (1.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=9, color=MUTED)
    ax.axvline(1, ls="--", color=THEORY, zorder=0, label="one cluster: the end of one head with $V = I$ (a theorem)")
    ax.plot([], [], "o", color=ACCENT[0], label="a replica")
    ax.set(xlabel=f"clusters at t = {found['until']:g}", xlim=(0.5, None), ylim=(-0.5, len(kinds) - 0.5))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_yticks(range(len(kinds)), list(kinds))
    head = rf"n = {found['tokens']} tokens on $S^{{{found['d'] - 1}}}$, $\beta$ = {found['beta']:g}"
    ax.legend(title=head, loc="lower center", bbox_to_anchor=(0.6, 1.0), ncols=2, fontsize=9)

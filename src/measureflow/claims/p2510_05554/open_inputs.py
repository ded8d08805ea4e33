"""Exploration: what beta = gamma log n does to inputs that are not equiangular, beside beta = n^(2/(d-1))."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration
from measureflow.claims.instances import normalised
from measureflow.paths.style import THEORY, shades

SIZES = {"smoke": (64, 256), "standard": (128, 512, 2048, 8192), "full": (128, 512, 2048, 8192, 32768)}
REPLICAS = {"smoke": 1, "standard": 4, "full": 8}


def chains(points: np.ndarray, beta: float) -> int:
    """Return the number of clusters: tokens of cosine above 1 - 1/(8 beta) in a chain are one."""
    return int(mf.observe.clusters(mf.Tokens(mf.Sphere(points.shape[1]), points), delta=0.125 / beta).count)


@exploration("2510.05554", "inputs that are not equiangular", covers=["P15"], id="2510.05554/P15-inputs")
def what_do_layers_do_to_uniform_inputs_of_a_long_context(case: Case) -> dict[str, Any]:
    """What does beta = gamma log n do over layers to inputs that are not equiangular, and where does n^(2/(d-1)) begin?

    For equiangular inputs gamma_c = 1/(1 - rho) tells copying from collapse. Uniform inputs have near neighbours, of
    cosine 1 - n^(-2/(d-1)): with beta = gamma log n the many tokens nearer than beta^(-1/2) are averaged, whatever
    gamma is, and clusters form within a few layers; their number should grow like the modes of a density,
    (gamma log n)^((d-1)/2). Only at beta of order n^(2/(d-1)) does a token see itself alone, and layers copy.
    Residual layers N(x + A(x)). Reported, for each scaling and n: how far a token moves in the first layer against the
    distance of its nearest neighbour, the share of distinct places that is left at the end, and the number of clusters
    over the power that is expected. Open: the theory of the iteration, and the crossover.
    """
    d, depth = case.given("d", 3), case.given("layers", 12)
    sizes, replicas = case.given("n", SIZES[case.tier]), case.given("replicas", REPLICAS[case.tier])
    gamma, share = case.given("gamma", 2.0), case.given("beta / beta_n", 1.0)
    scalings = {
        "beta = gamma log n": lambda n: gamma * float(np.log(n)),
        "beta ~ n^(2/(d-1))": lambda n: share * theory.critical_beta_of_nearest_key(n=n, d=d),
    }
    found: dict[str, Any] = {"d": d, "layers": depth, "n": list(sizes)}
    for name, scaling in scalings.items():
        rows = []
        for n in sizes:
            beta, seen = scaling(n), []
            for k in range(replicas):
                start = normalised(case.generator(f"tokens {n} {k}").normal(size=(n, d)))
                tokens = mf.Tokens(mf.Sphere(d), start)
                path = mf.layers(tokens, mf.SelfAttention(beta), depth=depth, step=1.0)
                first, last = np.asarray(path.points)[[1, -1]]
                moved = float(np.median(np.linalg.norm(first - start, axis=1)))
                seen.append((moved, moved / nearest(start), chains(last, beta)))
            rows.append((beta, *np.mean(seen, axis=0)))
        betas, moved, ratio, clusters = map(np.array, zip(*rows, strict=True))
        found[name] = {
            "beta": betas,
            "move of the first layer": moved,
            "the same over the distance of the nearest": ratio,
            "clusters at the end": clusters,
            "clusters over beta^((d-1)/2)": clusters / betas ** ((d - 1) / 2),
            "clusters over n": clusters / np.array(sizes),
        }
    return found


def nearest(points: np.ndarray) -> float:
    """Return the median distance of the nearest other token, over 500 of them."""
    cosines = points[:500] @ points.T
    np.put_along_axis(cosines, np.arange(len(cosines))[:, None], -1.0, axis=1)
    return float(np.median(np.sqrt(np.maximum(2 - 2 * cosines.max(axis=1), 0.0))))


@what_do_layers_do_to_uniform_inputs_of_a_long_context.figure
def clusters_against_the_context(findings: Findings, ax: Any) -> None:
    """Draw the number of clusters against n for both scalings, with the power that is expected, and n itself."""
    found, n = findings.found, np.array(findings.found["n"], float)
    rows = {name: row for name, row in found.items() if isinstance(row, dict)}
    for (name, row), colour in zip(rows.items(), shades(len(rows)), strict=True):
        ax.plot(n, row["clusters at the end"], "o-", color=colour, label=name)
    logs = rows["beta = gamma log n"]
    power = np.asarray(logs["beta"]) ** ((found["d"] - 1) / 2)
    ax.plot(n, power * logs["clusters at the end"][0] / power[0], "--", color=THEORY, label=r"$\beta^{(d-1)/2}$")
    ax.plot(n, n, ":", color="0.6", label="$n$: nothing has met")
    ax.set(xscale="log", yscale="log", xlabel="tokens $n$", ylabel=f"clusters after {found['layers']} layers")
    ax.set_title(f"uniform inputs of $S^{{{found['d'] - 1}}}$")
    ax.legend()

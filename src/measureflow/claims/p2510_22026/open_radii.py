"""Exploration: what radii that differ across tokens do to metastable states under Pre-LN."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration
from measureflow.paths.style import THEORY, shades

TOKENS, REPLICAS = {"smoke": 12, "standard": 32, "full": 64}, {"smoke": 2, "standard": 24, "full": 200}
#: clusters are counted at these values of the clock log(1 + t) of equal radii
CLOCKS = np.array([0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0])


def counts(tokens: mf.Tokens, beta: float, times: np.ndarray, scheme: Any = None) -> np.ndarray:
    """Return the number of clusters of directions at times."""
    path = mf.flow(tokens, mf.SelfAttention(beta), until=times[-1], save=times, normalisation=scheme)
    seen = np.asarray(mf.observe.clusters(path.on_sphere()).count)
    # a path ends early where nothing moves any more
    return np.append(seen, np.full(len(times), seen[-1]))[: len(times)]


@exploration("2510.22026", "radii that differ; open problem", covers=["P14"], id="2510.22026/P14-radii")
def do_radii_that_differ_change_the_plateaus(case: Case) -> dict[str, Any]:
    """Under Pre-LN a token of large radius turns slowly: does a spread of the first radii change how clusters wait?

    For equal radii Pre-LN is Post-LN on the clock log(1 + t), but for radii that grow a little less than t while tokens
    have not met. Here uniform directions on the circle get radii e^(s g), g normal, s the spread. In the clock a token
    of radius r starts later by log r for good, so that delays of order s are to be set against plateaus of e^(beta
    gap): one would expect the first count to change and the lasting ones not to. Reported: mean numbers of clusters
    along the clock for several spreads, beside those of Post-LN at that clock. Open: any theorem.
    """
    n, replicas = case.given("n", TOKENS[case.tier]), case.given("replicas", REPLICAS[case.tier])
    beta, spreads = case.given("beta", 4.0), case.given("spreads", (0.0, 1.0, 2.0))
    times = np.expm1(CLOCKS)
    rows: dict[str, list[np.ndarray]] = {}
    for k in range(replicas):
        rng = case.generator(f"tokens {k}")
        turns, spread = rng.uniform(0.0, 2 * np.pi, n), rng.normal(size=n)
        directions = np.stack([np.cos(turns), np.sin(turns)], axis=1)
        for s in spreads:
            start = mf.Tokens(mf.Euclidean(2), np.exp(s * spread)[:, None] * directions)
            rows.setdefault(f"spread {s:g}", []).append(counts(start, beta, times, mf.PreLN()))
        rows.setdefault("Post-LN", []).append(counts(mf.Tokens(mf.Sphere(2), directions), beta, CLOCKS))
    return {
        "n": n,
        "beta": beta,
        "replicas": replicas,
        "log(1 + t)": CLOCKS,
        **{name: np.mean(found, axis=0) for name, found in rows.items()},
        "error of a mean": float(max(np.std(found, axis=0).max() for found in rows.values()) / np.sqrt(replicas)),
    }


@do_radii_that_differ_change_the_plateaus.figure
def counts_along_the_clock(findings: Findings, ax: Any) -> None:
    """Draw the mean number of clusters along the clock, for every spread, and under Post-LN."""
    found = findings.found
    spreads = [name for name in found if name.startswith("spread")]
    for name, colour in zip(spreads, shades(len(spreads)), strict=True):
        ax.plot(found["log(1 + t)"], found[name], "o-", ms=4, color=colour, label=f"Pre-LN, {name}")
    ax.plot(found["log(1 + t)"], found["Post-LN"], "--", color=THEORY, label="Post-LN at that clock")
    ax.set(xlabel=r"clock $\log(1 + t)$", ylabel="clusters", yscale="log")
    ax.set_title(rf"$n = {found['n']}$, $\beta = {found['beta']:g}$, circle, replicas: {found['replicas']}")
    ax.legend()

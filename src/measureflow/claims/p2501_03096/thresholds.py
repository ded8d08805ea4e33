"""Where two clusters lose their stability, the window of single clusters of figure 2, and the figure."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.optimize import brentq

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.figures import figure
from measureflow.claims.p2501_03096.rates import N, at_axis, spectrum
from measureflow.claims.published import normalised_steps
from measureflow.flows.rest import come_to_rest
from measureflow.paths.style import ACCENT, MUTED, THEORY, caption, shades
from measureflow.paths.style import figure as sheet

PAPER = "2501.03096"
#: the pairs that lose their stability: the other eigenvalue, and the axis at which they are
PAIRS = {"low": (1.0, 1), "high": (1.0, 0), "negative": (-1.0, 1)}


def rightmost(case: Case, mu: tuple[float, float], at: int) -> float:
    """Return the largest rate about two balanced clusters at an eigenvector."""
    n = case.given("n", N)
    return float(spectrum(case, at_axis(n // 2, at, d=2, n=n), mf.gradient_attention(np.diag(mu)))[-1])


@claim(
    PAPER,
    "two balanced clusters, attraction",
    covers=["T9"],
    status="derived",
    states={
        "low": lambda: theory.single_cluster_window()[0],
        "high": lambda: theory.single_cluster_window()[1],
        "negative": lambda: math.tanh(1.0),
    },
)
def two_clusters_lose_their_stability_at_hyperbolic_tangents(case: Case) -> None:
    """For D = diag(d, 1) a balanced pair is stable for d < tanh 1 at e_2, for d tanh d > 1 at e_1; for the eigenvalue
    -1 at its axis for d < tanh 1."""
    below, above = case.draw("below", 0.3, 0.7), case.draw("above", 0.8, 0.95)
    beyond = case.draw("beyond", 1.25, 1.6)
    case.require(
        "the pair is balanced, of clusters of several tokens", case.given("n", N) % 2 == 0 and case.given("n", N) >= 4
    )
    because = "rounding of the eigenvalues, whose slope in d is about 1 at the threshold"
    for name, within, (other, at) in zip(
        PAIRS, ((below, above), (1.05, beyond), (below, above)), PAIRS.values(), strict=True
    ):

        def change(d: float, other: float = other, at: int = at) -> float:
            return rightmost(case, (d, other), at)

        signs = [np.sign(change(d)) for d in within]
        case.require(f"the sign changes within the bracket of {name}", signs[0] * signs[1] < 0)
        measured = brentq(change, *within, xtol=1e-12)
        case.compare(measured, getattr(case.statement, name)(), within=1e-9, because=because, name=f"threshold, {name}")


pair_thresholds = two_clusters_lose_their_stability_at_hyperbolic_tangents


@pair_thresholds.figure
def largest_rates_about_pairs(case: Case, ax: Any) -> None:
    """Draw the largest rate about each balanced pair against d, and where it is stated to change its sign."""
    places = np.linspace(0.3, 1.6, 14)
    for (name, (other, at)), colour, size in zip(PAIRS.items(), ACCENT, (9, 5, 5), strict=True):
        found = [rightmost(case, (float(d), other), at) for d in places]
        ax.plot(
            places, found, "o-", color=colour, ms=size, lw=1.0, label=f"D = diag(d, {other:g}), pair at $e_{at + 1}$"
        )
        ax.axvline(getattr(case.statement, name)(), color=THEORY, ls="--", lw=1.3)
    ax.axhline(0.0, color=MUTED, lw=0.8)
    ax.plot([], [], "--", color=THEORY, lw=1.3, label="stated thresholds")
    ax.set(xlabel="$d$", ylabel="largest rate about the pair")
    ax.set_title(f"n = {case.instance['n']}, V = D; above zero the pair falls apart", fontsize=11, loc="left")
    ax.set_ylim(top=1.5 * ax.get_ylim()[1])
    ax.legend(fontsize=9, loc="upper center")


@pair_thresholds.mutation("negative")
def where_the_energies_are_equal() -> float:
    """log cosh 1 = 0.4338, where the pair ceases to be the global maximum: it is stable beyond."""
    return math.log(math.cosh(1.0))


@pair_thresholds.mutation("low")
def equal_eigenvalues_low() -> float:
    """The pair is stable as long as its eigenvalue is the larger one."""
    return 1.0


@pair_thresholds.mutation("high")
def equal_eigenvalues_high() -> float:
    """The pair is stable as soon as its eigenvalue is the larger one."""
    return 1.0


@pair_thresholds.mutation("high")
def inverse_of_the_low_threshold() -> float:
    """1/tanh 1 = 1.313: the eigenvalue inside the tanh is left at 1."""
    return 1.0 / math.tanh(1.0)


def ends(points: np.ndarray, D: np.ndarray, softmax: bool = True) -> np.ndarray:
    """Return which clouds end in one cluster, by the mean of their tokens (its length is 1 only there)."""
    forms = np.broadcast_to(D, (len(points), *D.shape[-2:]))
    rest = come_to_rest(points, forms, forms, softmax=softmax, tol=1e-6)
    return np.linalg.norm(rest.points.mean(axis=1), axis=1) > 1 - 1e-6


def normal_clouds(rng: np.random.Generator, count: int, n: int, d: int = 2) -> np.ndarray:
    """Draw clouds of standard-normal directions."""
    draw = rng.normal(size=(count, n, d))
    return draw / np.linalg.norm(draw, axis=2, keepdims=True)


@claim(
    PAPER,
    "figure 2, the window",
    covers=["1.7"],
    status="derived",
    states=lambda d: theory.stable_limits([d, 1.0]),
    id=f"{PAPER}/T9-window",
)
def inside_the_window_every_run_ends_in_one_cluster(case: Case) -> None:
    """D = diag(d, 1), attraction: all runs end in one cluster iff no balanced pair is linearly stable."""
    places, runs = runs_to_rest(case)
    low, high = theory.single_cluster_window()
    near = [d for d in places.values() if not low <= d <= high and min(abs(d - low), abs(d - high)) < 0.25]
    case.require("no d is outside of the window and near to it, where few runs end in pairs", not near)
    because = "counts are whole numbers: all runs, or at least one fewer"
    for (name, d), alone in zip(places.items(), runs, strict=True):
        single = bool(alone.all())
        pair = any(kind == "two clusters" for kind, _ in case.predict(d))
        case.compare(single, not pair, within=0.05, because=because, name=f"all end in one cluster, {name}")


def runs_to_rest(case: Case) -> tuple[dict[str, float], list[np.ndarray]]:
    """Draw d inside of the window, below and above it, and return which runs end in one cluster for each."""
    count, n = case.given("runs", 32 if case.tier == "smoke" else 128), case.given("n", 16)
    low, high = theory.single_cluster_window()
    clouds = normal_clouds(case.generator("clouds"), count, n)
    places = {
        "inside": case.draw("inside", low + 0.08, high - 0.08),
        "below": case.draw("below", 0.05, 0.45),
        "above": case.draw("above", 1.6, 2.2),
    }
    return places, [case.measure(ends, clouds, np.diag([d, 1.0])) for d in places.values()]


window = inside_the_window_every_run_ends_in_one_cluster


@window.figure
def shares_of_single_clusters(case: Case, ax: Any) -> None:
    """Draw the share of runs that end in one cluster at each d, and the window where none may do otherwise."""
    places, runs = runs_to_rest(case)
    low, high = theory.single_cluster_window()
    ax.axvspan(low, high, color=THEORY, alpha=0.12, lw=0, label="stated: all runs")
    for edge in (low, high):
        ax.axvline(edge, color=THEORY, ls="--", lw=1.3)
    ax.plot(list(places.values()), [alone.mean() for alone in runs], "o", color=ACCENT[0], ms=9, label="measured")
    ax.set(xlabel="$d$", ylabel="runs that end in one cluster", ylim=(-0.03, 1.08))
    about = (case.instance["runs"], case.instance["n"])
    ax.set_title("{} runs of n = {} tokens, D = diag(d, 1), V = D".format(*about), fontsize=11, loc="left")
    ax.legend(fontsize=9, loc="center left")


@window.mutation
def by_the_larger_energy(d: float) -> list[tuple[str, int]]:
    """Runs end where the energy is largest: one cluster has the larger energy for every d > 0."""
    return [("one cluster", int(d < 1.0))]


@window.mutation
def pairs_at_the_larger_eigenvalue(d: float) -> list[tuple[str, int]]:
    """The pair at the larger eigenvalue is stable for every d but 1."""
    return [("one cluster", 0), ("two clusters", 0)]


#: the counts that the released code stores: runs out of 100 that end in one cluster, for 20 values of d in [0, 1.5]
STORED = (
    math.nan, 1, 1, 1, 2, 2, 5, 8, 16, 50, 100, 100, 100, 100, 100, 100, 45, 6, 3, 1,
)  # fmt: skip


@figure(PAPER, "Fig. 2", title="One cluster or two: the window of exclusively single clusters")
def one_cluster_or_two(case: Case) -> Any:
    """d = 2, D = diag(d_1, 1), d_1 in 20 values of [0, 1.5], N = 100, 100 repeats, from standard-normal directions.

    Published: 1500 projected Euler steps of USA, tau = 0.1.
    Runs that end in one cluster: published scheme, USA and SA followed to rest. The counts jump to all runs exactly
    in the window of linear theory, (tanh 1, 1.1997). Counts of the released code are crosses (values below 0.24, of
    which 0 to 1 is known, at 1).
    """
    repeats = case.given("repeats", {"smoke": 12, "standard": 30, "full": 100}[case.tier])
    n = case.given("n", {"smoke": 16, "standard": 24, "full": 100}[case.tier])
    steps = case.given("steps", {"smoke": 300, "standard": 900, "full": 1500}[case.tier])
    values = np.linspace(0.0, 1.5, 20)[:: 3 if case.tier == "smoke" else 1]
    shares: dict[str, np.ndarray] = {}
    # all values at once, so that one program has them all
    clouds = np.concatenate([normal_clouds(case.generator(f"clouds {k}"), repeats, n) for k in range(len(values))])
    forms = np.repeat([np.diag([d, 1.0]) for d in values], repeats, axis=0)
    moved = normalised_steps(clouds, 0.1, steps, form=forms, value=forms, softmax=False)
    # as k-means of three centres counts: one cluster where the tokens are on one side
    sides = np.sign(np.einsum("rnd,rd->rn", moved, np.repeat([axis(d) for d in values], repeats, axis=0)))
    for name, single in (
        ("published steps (USA)", np.abs(sides.mean(axis=1)) == 1),
        ("USA to rest", ends(clouds, forms, False)),
        ("SA to rest", ends(clouds, forms, True)),
    ):
        shares[name] = single.reshape(len(values), repeats).mean(axis=1)
    drawing = sheet(8.5, 5.0)
    ax = drawing.subplots()
    low, high = theory.single_cluster_window()
    ax.axvspan(low, high, color=THEORY, alpha=0.12, lw=0)
    for edge, said in ((low, r"$\tanh 1$"), (high, r"$d\tanh d = 1$")):
        ax.axvline(edge, ls="--", color=THEORY, lw=1.4)
        ax.annotate(said, (edge, 1.03), xycoords=("data", "axes fraction"), ha="center", color=THEORY)
    for (name, share), mark, shade in zip(shares.items(), "o^s", shades(3), strict=True):
        ax.plot(values, share, mark + "-", color=shade, lw=1.2, ms=6, label=name)
    ax.plot(np.linspace(0.0, 1.5, 20), np.array(STORED) / 100, "x", color=MUTED, ms=8, label="released code")
    ax.set(xlabel="$d_1$", ylabel="runs that end in one cluster", ylim=(-0.03, 1.03))
    ax.legend(loc="center left")
    said = f"D = diag(d_1, 1), N = {n}, {repeats} runs a value, {steps} published steps of 0.1"
    said += (
        "" if n == 100 else "; with fewer tokens than the released 100, more runs outside the window end in one cluster"
    )
    caption(drawing, f"arXiv:{PAPER}, figure 2 ({case.tier}): {said}; the window of linear theory is shaded")
    return drawing


def axis(d: float) -> np.ndarray:
    """Return the eigenvector of the larger eigenvalue of diag(d, 1)."""
    return np.array([1.0, 0.0]) if d > 1 else np.array([0.0, 1.0])

"""Orders: layers against their equation, and activations reconstructed backwards against the layers."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.p2205_14612.instances import D, N, Weights, layered, solved
from measureflow.paths.style import ACCENT, MUTED, THEORY

PAPER = "2205.14612"
DEPTHS = (64, 256)
METHODS = ("euler", "heun")


def errors(seed: int, depth: int, method: str, rough: int = 0, n: int = N, d: int = D) -> tuple[float, float]:
    """Return the largest error of the layers against their equation (smooth weights), and of the reconstruction."""
    rng = np.random.default_rng(seed)
    weights, points = Weights.drawn(rng, d), rng.normal(size=(n, d))
    field = layered(weights, depth, np.random.default_rng([seed, rough, depth]) if rough else None)
    path = mf.layers(mf.Tokens(mf.Euclidean(d), points), field, depth=depth, step=1.0 / depth, method=method)
    forth = np.asarray(path.points)
    back = np.asarray(mf.flows.reconstruct(path).points)
    off = 0.0 if rough else np.abs(forth - solved(weights, points, np.arange(depth + 1) / depth)).max()
    return float(off), float(np.abs(back - forth).max())


def sizes(case: Case, method: str, which: int, rough: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the two depths and the error at each; of rough weights its mean square over draws."""
    draws, depths = range(1, rough + 1) if rough else (0,), case.given("depths", DEPTHS)
    n, d = case.given("n", N), case.given("d", D)
    found = [
        np.sqrt(np.mean([case.measure(errors, case.seed, depth, method, k, n, d)[which] ** 2 for k in draws]))
        for depth in depths
    ]
    return np.array(depths), np.array(found)


def slope(case: Case, method: str, which: int, rough: int = 0) -> float:
    """Return the order of an error between the two depths."""
    depths, found = sizes(case, method, which, rough)
    return float(-np.log(found[1] / found[0]) / np.log(depths[1] / depths[0]))


@claim(
    PAPER,
    "Euler and Heun",
    covers=["T19", "3.2"],
    status="derived",
    states={
        "trajectory": lambda method: {"euler": 1.0, "heun": 2.0}[method],
        "reconstruction": lambda method: {"euler": 1.0, "heun": 3.0}[method],
        "rough": lambda method: (0.5, 1.75),
    },
)
def layers_and_their_reversal_have_these_orders(case: Case) -> None:
    """With weights smooth in depth, layers are of order 1 (Euler) and 2 (Heun) near their equation, and activations
    reconstructed backwards of order 1 and 3, one more than the method has; with independent weights both
    reconstructions fall back to an order of about 1."""
    because = "the next order, at 64 layers, changes a slope by a few hundredths"
    depths = case.given("depths", DEPTHS)
    case.require("two depths, the second larger", len(depths) == 2 and depths[0] < depths[1])
    # the next order, a part of 1/N of the error; beyond a tenth the orders could not be told from others
    within = min(0.09 * max(1.0, DEPTHS[0] / depths[0]), 0.095)
    for method in METHODS:
        for which, name in enumerate(("trajectory", "reconstruction")):
            stated = getattr(case.statement, name)(method)
            found, said = slope(case, method, which), f"order of the {name}, {method}"
            case.compare(found, stated, within=within, because=because, name=said)
        low, high = case.statement.rough(method)
        found = slope(case, method, 1, rough=3)
        because_rough = "three draws of the weights at each of two depths"
        case.at_least(found, low, within=0.1, because=because_rough, name=f"rough, {method}, at least")
        case.at_most(found, high, within=0.1, because=because_rough, name=f"rough, {method}, at most")


@layers_and_their_reversal_have_these_orders.figure
def errors_against_depth(case: Case, ax: Any) -> None:
    """Draw the errors at both depths, with lines of the stated orders from the first."""
    for method, mark in zip(METHODS, "os", strict=True):
        for which, (name, colour) in enumerate(zip(("trajectory", "reconstruction"), ACCENT, strict=False)):
            depths, found = sizes(case, method, which)
            order = getattr(case.statement, name)(method)
            ax.plot(depths, found, mark, color=colour, ms=8, label=f"{name}, {method}: order {order:g}")
            label = "stated orders" if (method, which) == ("heun", 1) else None
            ax.plot(depths, found[0] * (depths / depths[0]) ** -order, "--", color=THEORY, lw=1.3, label=label)
        depths, found = sizes(case, method, 1, rough=3)
        ax.plot(depths, found, mark + ":", color=MUTED, ms=6, mfc="none", label=f"reconstruction, {method}, rough")
    ax.set(xscale="log", yscale="log", xlabel="layers $N$", ylabel="largest error")
    ax.set_xticks(depths, [str(one) for one in depths])
    ax.tick_params(axis="x", which="minor", labelbottom=False)
    ax.set_xlim(0.8 * depths[0], 1.3 * depths[1])
    ax.set_ylim(top=300 * ax.get_ylim()[1])
    ax.set_title("n = {}, d = {}, tanh".format(case.instance["n"], case.instance["d"]), fontsize=11, loc="left")
    ax.legend(fontsize=8.5, ncols=2, loc="upper center")


@layers_and_their_reversal_have_these_orders.mutation("reconstruction")
def order_of_the_method(method: str) -> float:
    """Reconstruction has the order of the method, O(1/N^2) for Heun as printed."""
    return {"euler": 1.0, "heun": 2.0}[method]


@layers_and_their_reversal_have_these_orders.mutation("trajectory")
def heun_ignored(method: str) -> float:
    """Heun is accepted and ignored: both are of order 1."""
    return 1.0


@layers_and_their_reversal_have_these_orders.mutation("rough")
def smoothness_does_not_matter(method: str) -> tuple[float, float]:
    """Independent weights are reconstructed like smooth ones."""
    return {"euler": (0.5, 1.75), "heun": (2.9, 3.1)}[method]

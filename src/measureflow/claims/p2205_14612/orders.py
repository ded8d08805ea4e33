"""Orders: layers against their equation, and activations reconstructed backwards against the layers."""

from __future__ import annotations

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.p2205_14612.instances import D, N, Weights, layered, solved

PAPER = "2205.14612"
DEPTHS = (64, 256)
METHODS = ("euler", "heun")


def errors(seed: int, depth: int, method: str, rough: int = 0) -> tuple[float, float]:
    """Return the largest error of the layers against their equation (smooth weights), and of the reconstruction."""
    rng = np.random.default_rng(seed)
    weights, points = Weights.drawn(rng), rng.normal(size=(N, D))
    field = layered(weights, depth, np.random.default_rng([seed, rough, depth]) if rough else None)
    path = mf.layers(mf.Tokens(mf.Euclidean(D), points), field, depth=depth, step=1.0 / depth, method=method)
    forth = np.asarray(path.points)
    back = np.asarray(mf.flows.reconstruct(path).points)
    off = 0.0 if rough else np.abs(forth - solved(weights, points, np.arange(depth + 1) / depth)).max()
    return float(off), float(np.abs(back - forth).max())


def slope(case: Case, method: str, which: int, rough: int = 0) -> float:
    """Return the order of an error between the two depths; of rough weights, that of its mean square over draws."""
    draws = range(1, rough + 1) if rough else (0,)
    sizes = [
        np.sqrt(np.mean([case.measure(errors, case.seed, depth, method, k)[which] ** 2 for k in draws]))
        for depth in DEPTHS
    ]
    return float(-np.log(sizes[1] / sizes[0]) / np.log(DEPTHS[1] / DEPTHS[0]))


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
    for method in METHODS:
        for which, name in enumerate(("trajectory", "reconstruction")):
            stated = getattr(case.statement, name)(method)
            case.compare(slope(case, method, which), stated, within=0.09, because=because, name=f"{name}, {method}")
        low, high = case.statement.rough(method)
        found = slope(case, method, 1, rough=3)
        because_rough = "three draws of the weights at each of two depths"
        case.at_least(found, low, within=0.1, because=because_rough, name=f"rough, {method}, at least")
        case.at_most(found, high, within=0.1, because=because_rough, name=f"rough, {method}, at most")


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

"""Minimising movements in the metric with mobility mu/Z: they lose energy, and small steps become the softmax flow."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import N, cloud, follow
from measureflow.paths.style import ACCENT, THEORY

#: how long the scheme is followed, and its longer step
UNTIL, STEP = 0.6, 0.06


def limit(D: np.ndarray) -> mf.SelfAttention:
    """Return the field that the scheme tends to: softmax attention with form D and V = -D."""
    return mf.SelfAttention(1.0, query=D, value=-D)


def order() -> float:
    """Return the order of the scheme."""
    return 1.0


@claim(
    "2501.03096",
    "minimising movements",
    covers=["1.2"],
    id="2501.03096/minimising-movements",
    status="derived",
    states={"limit": limit, "order": order},
)
def minimising_movements_follow_the_softmax_flow(case: Case) -> None:
    """The JKO scheme of E in W_m loses energy at every step and tends to SA with V = -D, at first order in the step."""
    (D, tokens), until, longer = instance(case), case.given("until", UNTIL), case.given("step", STEP)
    steps, size = (longer, longer / 2), max(1.0, case.instance["kappa"] * longer / STEP)
    paths = [case.measure(mf.minimising_movements, tokens, D, step=step, until=until) for step in steps]
    for path, step in zip(paths, steps, strict=True):
        energy = np.asarray(case.measure(energies, path))
        because = "rounding of the energy"
        case.at_most(np.diff(energy).max(), 0.0, within=1e-13, because=because, name=f"energy, step {step:g}")
    ends = [np.asarray(path.points[-1]) for path in paths]
    flowed = follow(case, tokens, case.statement.limit(D), np.array([0.0, until]), rtol=1e-10)[-1]
    moved = np.abs(flowed - np.asarray(tokens.points)).max()
    case.require("the tokens move", moved > 0.02)
    # of a scheme of first order twice the shorter steps less the longer ones are right to second
    better = 2.0 * ends[1] - ends[0]
    because = f"what Richardson's extrapolation leaves of a first-order scheme with steps {longer:g} and {longer / 2:g}"
    case.compare(better / moved, flowed / moved, within=2e-3 * size**2, because=because, name="points in the limit")
    exact = follow(case, tokens, limit(D), np.array([0.0, until]), rtol=1e-10)[-1]
    errors = [np.sqrt(((end - exact) ** 2).sum(axis=1).mean()) for end in ends]
    measured = np.log(errors[0] / errors[1]) / np.log(steps[0] / steps[1])
    because = "steps of 0.06 and 0.03 see the second-order term of the error as up to 0.04 of the order"
    case.compare(measured, case.statement.order(), within=min(0.08 * size, 0.095), because=because, name="order")


def instance(case: Case) -> tuple[np.ndarray, mf.Tokens]:
    """Draw a form near a multiple of the identity, and tokens of a cap."""
    d, n = case.given("d", 3), case.given("n", N)
    draw = case.generator("form").normal(size=(d, d))
    return case.given("kappa", 1.0) * (np.eye(d) + 0.12 * (draw + draw.T)), cloud(case, d=d, n=n, angle=1.2)


def energies(path: mf.Path) -> Any:
    """Return the energy along a path."""
    return path.energy


@minimising_movements_follow_the_softmax_flow.figure
def energies_of_both(case: Case, ax: Any) -> None:
    """Draw the energy along the scheme, with both steps, over that along the flow."""
    (D, tokens), until, longer = instance(case), case.instance["until"], case.instance["step"]
    weights = np.asarray(tokens.weights)

    def energy(points: Any) -> list[float]:
        return [0.5 * float(weights @ np.exp(x @ D @ x.T) @ weights) for x in np.asarray(points)]

    for step, colour, mark in zip((longer, longer / 2), ACCENT, "os", strict=False):
        path = case.measure(mf.minimising_movements, tokens, D, step=step, until=until)
        ax.plot(np.asarray(path.times), energy(path.points), mark, color=colour, ms=7, mfc="none",
                label=f"scheme, step {step:g}")  # fmt: skip
    times = np.linspace(0.0, until, 25)
    points = follow(case, tokens, limit(D), times, rtol=1e-10)
    ax.plot(times, energy(points), "--", color=THEORY, label="softmax flow, V = -D")
    ax.set(xlabel="$t$", ylabel="energy $E$")
    about = (len(weights), len(D), case.instance["kappa"])
    ax.set_title("n = {}, d = {}, kappa = {:g}".format(*about), fontsize=11, loc="left")
    ax.legend(fontsize=9)


@minimising_movements_follow_the_softmax_flow.mutation("limit")
def plain_metric(D: np.ndarray) -> mf.SelfAttention:
    """USA, to which the scheme in the plain metric tends."""
    return mf.SelfAttention(1.0, query=D, value=-D, weighting="unnormalised")


@minimising_movements_follow_the_softmax_flow.mutation("limit")
def ascent(D: np.ndarray) -> mf.SelfAttention:
    """V = D: the energy would rise."""
    return mf.SelfAttention(1.0, query=D, value=D)


@minimising_movements_follow_the_softmax_flow.mutation("limit")
def energy_without_half(D: np.ndarray) -> mf.SelfAttention:
    """The energy without its 1/2: twice as fast."""
    return mf.SelfAttention(1.0, query=D, value=-2.0 * D)


@minimising_movements_follow_the_softmax_flow.mutation("order")
def second_order() -> float:
    """Second order, as of the distance inside a step."""
    return 2.0

"""The neighbour that is no gradient flow: an antisymmetric form turns polygons rigidly, and no energy is monotone."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import speeds

PAPER = "2501.03096"
#: the generator of rotations of the plane, and the corners of the many-sided polygon
TURN, CORNERS = np.array([[0.0, -1.0], [1.0, 0.0]]), 60


def turning(kappa: float, twist: float) -> mf.SelfAttention:
    """Return attention with logits <x, (kappa + twist A) y> and values -y."""
    return mf.SelfAttention(1.0, query=(kappa * np.eye(2) + twist * TURN).T, value=-1.0)


def polygon(corners: int, phase: float) -> mf.Tokens:
    """Return tokens at the corners of a regular polygon; those beyond stand massless on the first."""
    angles = phase + 2 * np.pi * np.arange(CORNERS) / corners
    masses = np.where(np.arange(CORNERS) < corners, 1.0 / corners, 0.0)
    return mf.Tokens(mf.Sphere(2), np.stack([np.cos(angles), np.sin(angles)], axis=1), masses)


@claim(
    PAPER,
    "asymmetric forms",
    covers=["T21"],
    status="derived",
    states={
        "ring": lambda twist: theory.rotation_of_ring(twist),
        "polygon": lambda corners, twist, kappa: theory.rotation_of_polygon(corners, twist=twist, kappa=kappa),
        "sense": lambda: 1.0,
    },
)
def an_antisymmetric_form_turns_rings_and_polygons_rigidly(case: Case) -> None:
    """Under D = kappa + eps A, V = -Id, a k-gon turns rigidly at a known speed, the ring at I_1(eps)/I_0(eps)."""
    twist, kappa = case.draw("twist", 0.4, 1.6), case.draw("kappa", 0.3, 1.0)
    corners, phase = case.choose("corners", [3, 4, 5]), case.draw("phase", 0.0, 6.0)
    because = "rounding of sums of sixty terms; the sum over sixty corners is the integral to rounding"
    for name, k, own in (("ring", CORNERS, 0.0), ("polygon", corners, kappa)):
        tokens = polygon(k, phase)
        v = speeds(case, turning(own, twist), tokens)[:k]
        sideways = np.asarray(tokens.points)[:k] @ TURN.T
        predicted = case.statement.ring(twist) if name == "ring" else case.statement.polygon(k, twist, kappa)
        turned = (v * sideways).sum(axis=1)
        # the same speed at every corner: the polygon turns rigidly
        case.compare(turned, case.statement.sense() * predicted, within=1e-12, because=because, name=name)


turning_rings = an_antisymmetric_form_turns_rings_and_polygons_rigidly


@turning_rings.mutation("ring")
def half_the_twist(twist: float) -> float:
    """The first order eps/2 of the speed."""
    return 0.5 * twist


@turning_rings.mutation("ring")
def without_its_denominator(twist: float) -> float:
    """USA: I_1 alone."""
    from scipy.special import i1

    return float(i1(twist))


@turning_rings.mutation("polygon")
def only_the_twist_weighs(corners: int, twist: float, kappa: float) -> float:
    """The symmetric part is left out of the weights."""
    return theory.rotation_of_polygon(corners, twist=twist)


@turning_rings.mutation("polygon")
def polygon_as_a_ring(corners: int, twist: float, kappa: float) -> float:
    """The integral in place of the sum over few corners."""
    return theory.rotation_of_polygon(4000, twist=twist, kappa=kappa)


@turning_rings.mutation("sense")
def other_sense() -> float:
    """The ring turns against the generator."""
    return -1.0


@claim(
    PAPER,
    "asymmetric forms, no monotone energy",
    covers=["1.8"],
    status="derived",
    states={"period": lambda speed: 2 * np.pi / speed, "energies": lambda: 0},
    id=f"{PAPER}/T21-returns",
)
def what_turns_rigidly_returns_so_that_no_energy_can_be_monotone(case: Case) -> None:
    """After a period a triangle is where it was, having moved all the while: no function of the state can fall."""
    twist, phase = case.draw("twist", 0.6, 1.6), case.draw("phase", 0.0, 6.0)
    angles = phase + 2 * np.pi * np.arange(3) / 3
    start = mf.Tokens(mf.Sphere(2), np.stack([np.cos(angles), np.sin(angles)], axis=1))
    period = case.statement.period(theory.rotation_of_polygon(3, twist=twist))
    field = turning(0.0, twist)
    solver = mf.Adaptive(rtol=1e-11, atol=1e-12, pair="dopri8", coarsen=False)
    path = case.measure(mf.flow, start, field, until=period, save=[0.0, 0.5 * period, period], solver=solver)
    x = np.asarray(path.points)
    because = "the solver's tolerance over one turn, in which nearby states part by less than e^3"
    case.compare(x[-1], x[0], within=1e-8, because=because, name="after a period")
    because = "a turn by half a circle"
    case.compare(x[1], -x[0], within=1e-8, because=because, name="after half a period")
    because = "the library must not promise an energy where there is none"
    case.compare(abs(field.energy_sign), case.statement.energies(), within=0.01, because=because, name="energies")


returning = what_turns_rigidly_returns_so_that_no_energy_can_be_monotone


@returning.mutation("period")
def period_at_the_frequency(speed: float) -> float:
    """The 2 pi between angular speed and frequency is lost."""
    return 1.0 / speed


@returning.mutation("period")
def period_of_a_third(speed: float) -> float:
    """A third of a turn puts the triangle onto itself, but its tokens elsewhere."""
    return 2 * np.pi / speed / 3


@returning.mutation("energies")
def an_energy_is_proved() -> Any:
    """An energy is promised."""
    return 1

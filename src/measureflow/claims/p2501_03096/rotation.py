"""The neighbour that is no gradient flow: an antisymmetric form turns polygons rigidly, and no energy is monotone."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import speeds
from measureflow.paths.style import ACCENT, THEORY, shades

PAPER = "2501.03096"
#: the generator of rotations of the plane, and the corners of the many-sided polygon
TURN, CORNERS = np.array([[0.0, -1.0], [1.0, 0.0]]), 60


def turning(kappa: float, twist: float) -> mf.SelfAttention:
    """Return attention with logits <x, (kappa + twist A) y> and values -y."""
    return mf.SelfAttention(1.0, query=(kappa * np.eye(2) + twist * TURN).T, value=-1.0)


def polygon(corners: int, phase: float) -> mf.Tokens:
    """Return tokens at the corners of a regular polygon; those beyond stand massless on the first."""
    places = np.arange(max(CORNERS, corners))
    angles = phase + 2 * np.pi * places / corners
    masses = np.where(places < corners, 1.0 / corners, 0.0)
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
        turned = speeds_along(case, k, phase, own, twist)
        predicted = case.statement.ring(twist) if name == "ring" else case.statement.polygon(k, twist, kappa)
        stated, over = case.statement.sense() * predicted, {"corner": np.arange(1, k + 1)}
        # the same speed at every corner: the polygon turns rigidly
        case.compare(turned, stated, within=1e-12, because=because, name=f"angular speeds, {name}", over=over)


def speeds_along(case: Case, corners: int, phase: float, kappa: float, twist: float) -> np.ndarray:
    """Return the angular speed at every corner of a polygon."""
    tokens = polygon(corners, phase)
    v = speeds(case, turning(kappa, twist), tokens)[:corners]
    return (v * (np.asarray(tokens.points)[:corners] @ TURN.T)).sum(axis=1)


turning_rings = an_antisymmetric_form_turns_rings_and_polygons_rigidly


@turning_rings.figure
def speeds_of_rotation(case: Case, ax: Any) -> None:
    """Draw how fast the ring and the polygon turn, for many twists, with all of their corners."""
    twist, kappa, corners, phase = (case.instance[name] for name in ("twist", "kappa", "corners", "phase"))
    line, places = np.linspace(0.0, 2.0 * twist, 100), np.append(np.linspace(0.2, 1.8, 7), 1.0) * twist
    for k, own, colour, name in (
        (CORNERS, 0.0, ACCENT[0], "ring, kappa = 0"),
        (corners, kappa, ACCENT[1], f"{corners} corners, kappa = {kappa:.3g}"),
    ):
        law = [theory.rotation_of_polygon(k, twist=eps, kappa=own) for eps in line]
        ax.plot(line, law, "--", color=THEORY, lw=1.3, label="stated" if k == corners else None)
        found = [speeds_along(case, k, phase, own, float(eps)) for eps in places]
        ax.plot(np.repeat(places, k), np.ravel(found), "o", color=colour, ms=6, label=name)
    ax.set(xlabel=r"$\epsilon$", ylabel="angular speed of every corner")
    ax.set_title(rf"$D = \kappa + \epsilon A$, $V = -I$; $\epsilon$ = {twist:.3g}", fontsize=11, loc="left")
    ax.legend(fontsize=9)


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
    twist, corners = case.draw("twist", 0.6, 1.6), case.given("corners", 3)
    period, field = case.statement.period(theory.rotation_of_polygon(corners, twist=twist)), turning(0.0, twist)
    x = turned(case, [0.0, 0.5 * period, period])
    because = "the solver's tolerance over one turn, in which nearby states part by less than e^3"
    case.compare(x[-1], x[0], within=1e-8, because=because, name="places after a period")
    because = "a turn by half a circle"
    case.compare(x[1], -x[0], within=1e-8, because=because, name="places after half a period")
    because = "the library must not promise an energy where there is none"
    case.compare(abs(field.energy_sign), case.statement.energies(), within=0.01, because=because, name="energies")


def turned(case: Case, times: list[float]) -> np.ndarray:
    """Return the corners of a polygon at some times of its flow."""
    twist, phase, corners = case.draw("twist", 0.6, 1.6), case.draw("phase", 0.0, 6.0), case.given("corners", 3)
    angles = phase + 2 * np.pi * np.arange(corners) / corners
    start = mf.Tokens(mf.Sphere(2), np.stack([np.cos(angles), np.sin(angles)], axis=1))
    solver = mf.Adaptive(rtol=1e-11, atol=1e-12, pair="dopri8", coarsen=False)
    path = case.measure(mf.flow, start, turning(0.0, twist), until=times[-1], save=times, solver=solver)
    return np.asarray(path.points)


returning = what_turns_rigidly_returns_so_that_no_energy_can_be_monotone


@returning.figure
def corners_over_a_period(case: Case, ax: Any) -> None:
    """Draw the angles of the corners over a period, and where they return to."""
    twist, corners = case.instance["twist"], case.instance["corners"]
    speed = theory.rotation_of_polygon(corners, twist=twist)
    times = np.linspace(0.0, 2 * np.pi / speed, 41)
    x = turned(case, times.tolist())
    angles = np.unwrap(np.arctan2(x[..., 1], x[..., 0]), axis=0)
    for k, colour in enumerate(shades(corners)):
        ax.plot(times, angles[:, k], "o", color=colour, ms=4)
        label = r"a turn at the stated speed" if k == 0 else None
        ax.plot(times, angles[0, k] + speed * times, "--", color=THEORY, lw=1.2, label=label)
    ax.axvline(times[-1], color=THEORY, lw=0.8, ls=":", label=f"period {times[-1]:.3g}")
    ax.set(xlabel="$t$", ylabel="angle of each corner")
    ax.set_title(f"{corners} corners, eps = {twist:.3g}, kappa = 0, V = -Id", fontsize=11, loc="left")
    ax.legend(fontsize=9)


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

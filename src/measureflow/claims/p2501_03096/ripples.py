"""Ripples of a turning ring on the sphere: which of them an antisymmetric form makes grow, and how fast."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.paths.style import ACCENT, MUTED, THEORY

PAPER = "2501.03096"
#: tokens of the ring (sums over so many are the integrals to rounding where the form is not above 2.3), and the degrees
#: of its ripples
N, DEGREES = 24, np.arange(7)
AXIS = np.array([0.0, 0.0, 1.0])


@eqx.filter_jit
def pushed(field: mf.Field, points: Any, along: Any) -> Any:
    """Return the derivatives of the velocities of all tokens along many of their displacements."""
    tokens = mf.Tokens(mf.Sphere(3), points)

    def velocity(x: Any) -> Any:
        return field(x, tokens.replace(points=x))

    _, push = jax.linearize(velocity, points)
    return jax.vmap(push)(along)


def responses(kappa: float, twist: float) -> theory.RingRates:
    """Return what the library's field makes of ripples of the ring, seen from its tokens: their complex rates."""
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    field = mf.SelfAttention(1.0, query=(kappa * np.eye(3) + twist * turn).T, value=-1.0)
    # a larger form has more modes, which sums over few tokens alias
    n = N + 4 * int(np.ceil(max(0.0, np.hypot(kappa, twist) - 2.3)))
    angles = 2 * np.pi * np.arange(n) / n
    points = np.stack([np.cos(angles), np.sin(angles), 0.0 * angles], axis=1)
    sides = points @ turn.T
    ripples = np.cos(np.outer(DEGREES, angles))
    moves = np.concatenate([ripples[..., None] * sides, ripples[..., None] * AXIS])
    found = np.asarray(pushed(field, points, moves)).reshape(2, len(DEGREES), n, 3)
    modes = np.exp(-1j * np.outer(DEGREES, angles))
    within = (modes * (found[0] * sides).sum(axis=-1)).mean(axis=1)
    out = (modes * found[1, ..., 2]).mean(axis=1)
    # the mean of e^(-im phi) cos(m phi) is a half, but for m = 0
    return theory.RingRates(*(rates * np.where(DEGREES > 0, 2.0, 1.0) for rates in (within, out)))


@claim(
    PAPER,
    "asymmetric forms, ripples of the ring",
    covers=["1.8"],
    status="derived",
    states={
        "rates": lambda twist, kappa: theory.rates_of_ring(DEGREES, twist=twist, kappa=kappa),
        "selected": lambda: (3, 2),
    },
    id=f"{PAPER}/T21-ripples",
)
def a_turning_ring_breaks_into_three_and_ripples_twice(case: Case) -> None:
    """Ripples e^(im phi) of the ring under D = kappa + eps A, V = -Id, grow at rates of Bessel functions, in its plane
    and out of it. For kappa = 0 the fastest in the plane has m = 3, so that three clusters are selected; out of it
    m = 2 at I_2(eps)/I_0(eps)."""
    twist = case.draw("twist", 0.4, 2.0)
    because = "rounding of sums of 24 terms"
    for kappa in (0.0, case.draw("kappa", 0.3, 1.0)):
        measured, stated = case.measure(responses, kappa, twist), case.statement.rates(twist, kappa)
        for name, one, other in zip(("in the plane", "out of it"), measured, stated, strict=True):
            for what, part in (("growth", np.real), ("turning", np.imag)):
                said, over = f"{what} {name}, kappa = {kappa:.3g}", {"m": DEGREES}
                case.compare(part(one), part(other), within=1e-12, because=because, name=said, over=over)
    fastest = [int(np.real(rates).argmax()) for rates in case.measure(responses, 0.0, twist)]
    case.compare(fastest, case.statement.selected(), within=0.05, because="whole numbers", name="fastest")


ripples = a_turning_ring_breaks_into_three_and_ripples_twice


@ripples.figure
def growth_of_ripples(case: Case, ax: Any) -> None:
    """Draw at which rates the ripples of the ring grow, in its plane and out of it."""
    twist = case.instance["twist"]
    measured, stated = case.measure(responses, 0.0, twist), case.statement.rates(twist, 0.0)
    for name, colour, one, other in zip(("in the plane", "out of it"), ACCENT, measured, stated, strict=False):
        ax.plot(DEGREES, np.real(other), "--", color=THEORY, lw=1.3, label="stated" if name == "out of it" else None)
        ax.plot(DEGREES, np.real(one), "o", color=colour, ms=8, label=f"{name}: fastest m = {np.real(one).argmax()}")
    ax.axhline(0.0, color=MUTED, lw=0.8)
    ax.set(xlabel="$m$", ylabel="rate of growth of the ripple")
    ax.set_title(f"eps = {twist:.3g}, kappa = 0, V = -Id", fontsize=11, loc="left")
    ax.legend(fontsize=9)


@ripples.mutation("rates")
def ring_at_rest(twist: float, kappa: float) -> theory.RingRates:
    """Ripples are seen from a ring that does not turn: the term of its speed is lost."""
    found, m = theory.rates_of_ring(DEGREES, twist=twist, kappa=kappa), DEGREES
    speed = theory.rotation_of_polygon(N, twist=twist, kappa=kappa)
    weights = 1.0 + found.out[0] - found.out
    return theory.RingRates(found.within - 1j * m * speed * weights, found.out)


@ripples.mutation("rates")
def other_sign_of_the_values(twist: float, kappa: float) -> theory.RingRates:
    """V = Id: what decays grows."""
    found = theory.rates_of_ring(DEGREES, twist=twist, kappa=kappa)
    return theory.RingRates(-found.within, -found.out)


@ripples.mutation("rates")
def flow_without_denominator(twist: float, kappa: float) -> theory.RingRates:
    """USA's rates, at another clock."""
    found = theory.rates_of_ring(DEGREES, twist=twist, kappa=kappa)
    whole = np.i0(np.hypot(twist, kappa))
    return theory.RingRates(whole * found.within, whole * found.out)


@ripples.mutation("rates")
def curvature_forgotten(twist: float, kappa: float) -> theory.RingRates:
    """The pull <x, u> z out of the plane, of the sphere's curvature, is lost."""
    found = theory.rates_of_ring(DEGREES, twist=twist, kappa=kappa)
    return theory.RingRates(found.within, found.out - (1.0 + found.out[0]))


@ripples.mutation("selected")
def two_clusters() -> tuple[int, int]:
    """The ripple out of the plane, m = 2, is taken for the clusters of the ring."""
    return 2, 2

"""The published first-order scheme for densities: what its numerical diffusion takes from every rate."""

from __future__ import annotations

from typing import Any

import numpy as np

from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.p2410_23228.figures import COURANT, lax_friedrichs
from measureflow.paths.style import ACCENT, MUTED, THEORY

MODES = np.arange(1, 6)


def rates_of_the_scheme(size: int, beta: float, shares: tuple[float, ...], end: float) -> np.ndarray:
    """Return the rates at which modes of amplitude 1e-5 grow under Lax-Friedrichs steps on a grid."""
    angles = 2 * np.pi * np.arange(size) / size
    start = (1 + 1e-5 * np.cos(np.outer(angles, MODES)) @ np.array(shares)) / (2 * np.pi)
    last, _ = lax_friedrichs(start, beta, end)
    first, after = (np.fft.rfft(u)[MODES].real for u in (start, last))
    return np.log(after / first) / end


def diffusion_of_the_grid(dx: float, dt: float) -> float:
    """Return the numerical diffusion of Lax-Friedrichs steps."""
    return dx**2 / (2 * dt)


@claim(
    "2410.23228",
    "published scheme",
    covers=["6.1"],
    status="derived",
    id="2410.23228/lax-friedrichs",
    states={"diffusion": diffusion_of_the_grid, "laplacian": lambda k: k**2},
)
def published_scheme_lowers_every_rate(case: Case) -> None:
    """Lax-Friedrichs steps with dt = 0.02 dx, as published, lower the rate of mode k by k^2 dx^2/(2 dt) = 25 k^2 dx.

    Derived here: the mean of both neighbours is the density and dx^2/2 of its second derivative. At the published
    10,000 points it is 0.0157 k^2, of rates of 5 to 19 at beta = 5; on coarser grids it is larger by as much.
    """
    beta = case.draw("beta", 3.6, 5.2)
    shares = tuple(case.generator("shares").uniform(0.5, 1.0, len(MODES)))
    exact = theory.growth_rates_around_uniform(MODES, beta=beta, d=2, model="unnormalised")
    worst = float((exact**2 / (50.0 / COURANT * MODES**2))[1:].max())
    case.require("Euler's steps lose a fiftieth of it at most", worst < 0.03)
    for size in case.given("points", (500, 1000)):
        case.require("the grid resolves the modes", size >= 100)
        dx = 2 * np.pi / size
        found = case.measure(rates_of_the_scheme, size, beta, shares, 0.05)
        stated = case.statement.diffusion(dx, COURANT * dx) * case.statement.laplacian(MODES)
        lost = (exact - found) / (diffusion_of_the_grid(dx, COURANT * dx) * MODES**2)
        expected = stated / (diffusion_of_the_grid(dx, COURANT * dx) * MODES**2)
        because = "what Euler's steps lose, dt/2 times the square of the rate: a fiftieth of it"
        case.compare(lost[1:], expected[1:], within=0.06, because=because,
                     name=f"loss on {size} points, over k^2 dx^2/2dt", over={"k": MODES[1:]})  # fmt: skip


@published_scheme_lowers_every_rate.figure
def lowered_rates(case: Case, ax: Any) -> Any:
    """Draw the rates of the modes, and what steps on each grid make of them, measured and as stated."""
    beta, shares = case.instance["beta"], tuple(case.generator("shares").uniform(0.5, 1.0, len(MODES)))
    exact = theory.growth_rates_around_uniform(MODES, beta=beta, d=2, model="unnormalised")
    ax.plot(MODES, exact, color=MUTED, label="rates of the flow")
    for size, colour in zip(case.instance["points"], ACCENT, strict=False):
        dx = 2 * np.pi / size
        stated = case.statement.diffusion(dx, COURANT * dx) * case.statement.laplacian(MODES)
        found = case.measure(rates_of_the_scheme, size, beta, shares, 0.05)
        ax.plot(MODES, found, "o", color=colour, label=f"steps on {size} points")
        ax.plot(MODES, exact - stated, "--", color=THEORY, label="" if colour != ACCENT[0] else "stated")
    ax.set(xlabel="$k$", ylabel="growth rate", title=rf"$\beta = {beta:.3g}$, $dt = {COURANT:g}\,dx$")
    ax.legend()
    return ax


@published_scheme_lowers_every_rate.mutation("diffusion")
def no_diffusion(dx: float, dt: float) -> float:
    """The scheme is taken to be exact."""
    return 0.0


@published_scheme_lowers_every_rate.mutation("diffusion")
def units_of_a_speed(dx: float, dt: float) -> float:
    """dx/(2 dt), the square forgotten."""
    return dx / (2 * dt)


@published_scheme_lowers_every_rate.mutation("diffusion")
def half_forgotten(dx: float, dt: float) -> float:
    """dx^2/dt, without the half."""
    return dx**2 / dt


@published_scheme_lowers_every_rate.mutation("laplacian")
def loss_of_first_order(k: np.ndarray) -> np.ndarray:
    """k stands for k^2."""
    return k

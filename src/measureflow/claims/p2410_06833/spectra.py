"""Spectra along plateaus: which directions are fast and which are slow while clusters wait."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.figures import figure
from measureflow.claims.p2410_06833.steps import tokens_at
from measureflow.paths.style import THEORY, caption, shades
from measureflow.paths.style import figure as sheet
from measureflow.paths.timelines import angles as draw_angles

#: how far tokens of a cluster are apart
SPREAD = 1e-7


def rates_of(tokens: mf.Tokens, beta: float) -> np.ndarray:
    """Return the real parts of the eigenvalues of the Jacobian, in order."""
    matrix = np.asarray(mf.observe.jacobian(tokens, field=mf.SelfAttention(beta)))
    return np.sort(np.linalg.eigvals(matrix).real)


@claim(
    "2410.06833",
    "section 3, linearisation on a plateau",
    covers=["1.8"],
    status="derived",
    states={"rate": lambda masses: 1.0, "slow": lambda clusters: clusters},
    id="2410.06833/spectrum",
)
def a_plateau_has_as_many_slow_directions_as_clusters(case: Case) -> None:
    """On a plateau of K clusters SA has n - K rates of -1, whatever the masses, and K that are nearly zero."""
    clusters = case.choose("clusters", [2, 3, 4])
    n, beta = case.given("n", 8), case.draw("beta", 20.0, 30.0)
    case.require("every cluster has two tokens", clusters >= 1 and n >= 2 * clusters)
    pull = float(beta * np.exp(beta * (np.cos(2 * np.pi * 0.9 / clusters) - 1.0))) if clusters > 1 else 0.0
    case.require("clusters hardly pull at each other", pull < 1e-4)
    sizes = np.full(clusters, 2)
    np.add.at(sizes, case.generator("sizes").integers(clusters, size=n - 2 * clusters), 1)
    turns = 2 * np.pi / clusters * (np.arange(clusters) + case.generator("turns").uniform(-0.05, 0.05, clusters))
    places = np.repeat(turns, sizes) + case.generator("spread").uniform(-SPREAD, SPREAD, n)
    rates = case.measure(rates_of, tokens_at(places), beta)
    because = (
        "neighbours pull with e^(-beta (1 - cos)), times beta for their change: below 1e-6 at beta 20 and 4 clusters"
    )
    slow = case.statement.slow(clusters)
    fast, over = -case.statement.rate(sizes / n), {"direction": 1 + np.arange(n)}
    stated = np.where(np.arange(n) < n - slow, fast, 0.0)
    case.compare(rates, stated, within=1e-4, because=because, name="rate of a direction", over=over)


@a_plateau_has_as_many_slow_directions_as_clusters.mutation("rate")
def rate_of_the_cosine(masses: Any) -> float:
    """The rate of 1 - rho is given for that of the distance."""
    return 2.0


@a_plateau_has_as_many_slow_directions_as_clusters.mutation("rate")
def share_of_the_cluster(masses: Any) -> float:
    """A cluster contracts at its share of the mass, as under USA*."""
    return float(np.min(masses))


@a_plateau_has_as_many_slow_directions_as_clusters.mutation("slow")
def rotation_forgotten(clusters: int) -> int:
    """K - 1 slow directions: the rotation of all tokens is left out."""
    return clusters - 1


@figure("2410.06833", "Spectrum", title="rates along a run: fast and slow directions")
def spectrum_along_a_run(case: Case) -> Any:
    """SA on the circle, uniform tokens, beta = 9: their angles, and the eigenvalues of the Jacobian along the run.

    On a plateau of K clusters n - K rates are -1; the K slow ones, one of them the rotation, are of the size of the
    pull between clusters. They are what Lyapunov exponents over the plateau come to, without the steps that its length
    asks for.
    """
    n, beta = case.given("n", {"smoke": 8}.get(case.tier, 24)), case.given("beta", 9.0)
    drawing = sheet(11.0, 5.0)
    left, right = drawing.subplots(1, 2)
    tokens = tokens_at(case.generator("uniform").uniform(0.0, 2 * np.pi, n))
    path = mf.flow(tokens, mf.SelfAttention(beta), until=1e8, save=120)
    draw_angles(path, left)
    rates = np.sort(np.linalg.eigvals(np.asarray(mf.observe.jacobian(path))).real, axis=1)
    times = np.asarray(path.times)
    for k, shade in enumerate(shades(n)):
        right.plot(times[1:], rates[1:, k], color=shade, lw=1.4)
    right.axhline(-1.0, ls="--", color=THEORY, lw=1.4, label="$-1$, within clusters")
    right.set_yscale("symlog", linthresh=1e-8)
    right.set_yticks([sign * 10.0**k for sign in (-1, 1) for k in range(-8, 1, 2)] + [0.0])  # each decade is too many
    for axes in (left, right):
        axes.set(xscale="log", xlabel="time $t$", xlim=(0.1, 3.0 * float(times[-1])))
    right.set(ylabel="real parts of the eigenvalues", ylim=(-3.0, 3.0))
    right.legend(loc="upper right")
    caption(drawing, f"arXiv:2410.06833: SA on the circle, {n} uniform tokens, beta = {beta:g}")
    return drawing

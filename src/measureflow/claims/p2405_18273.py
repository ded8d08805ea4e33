"""Claims of arXiv:2405.18273, synchronisation on circles and spheres with nonlinear interactions."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import root_scalar
from scipy.special import expit

from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.exploration import Findings, exploration
from measureflow.claims.instances import normalised
from measureflow.paths.style import ACCENT, MUTED


def logistic(cosine: Any, middle: float, width: float) -> tuple[np.ndarray, np.ndarray]:
    r"""Return $\phi'$ and $\phi''$ of a real-analytic interaction that is increasing and convex: a smooth step."""
    step = expit((np.asarray(cosine) - middle) / width)
    return step, step * (1.0 - step) / width


def rates_of_polygon(n: int, middle: float, width: float) -> np.ndarray:
    r"""Return the Hessian's eigenvalues of $\frac12\sum_{ij}\phi(\cos(\theta_i-\theta_j))$ at a regular polygon.

    With $g(x) = \phi'\cos x - \phi''\sin^2 x$: $-\sum_m g(2\pi m/n)(1-\cos(2\pi jm/n))$, j = 1..n-1.
    """
    angles, modes = 2 * np.pi * np.arange(1, n) / n, np.arange(1, n)
    slope, bend = logistic(np.cos(angles), middle, width)
    g = slope * np.cos(angles) - bend * np.sin(angles) ** 2
    return -(1 - np.cos(np.outer(modes, angles))) @ g


def hessian(n: int, middle: float, width: float, turn: float) -> np.ndarray:
    """Return the Hessian of the energy at a regular polygon by a complex step and a central difference."""
    places = turn + 2 * np.pi * np.arange(n) / n

    def gradient(theta: np.ndarray) -> np.ndarray:
        apart = theta[:, None] - theta[None]
        step = 1.0 / (1.0 + np.exp(-(np.cos(apart) - middle) / width))
        return -(step * np.sin(apart)).sum(axis=1)

    return np.stack([np.imag(gradient(places + 1e-30j * row)) / 1e-30 for row in np.eye(n)], axis=1)


@claim(
    "2405.18273",
    "the circle",
    covers=["3.3"],
    status="theorem",
    id="2405.18273/spurious-maximum",
    states=lambda n, middle, width: np.sort(np.append(rates_of_polygon(n, middle, width), 0.0)),
)
def convex_interactions_may_keep_a_polygon_on_the_circle(case: Case) -> None:
    """On the circle an increasing, convex, analytic interaction can make a polygon of n >= 5 tokens a local maximum."""
    n = case.choose("n", [5, 6, 8])
    # the step of phi' lies between the cosines of nearest and next tokens: only neighbours pull, and they hold
    middle = 0.5 * float(np.cos(2 * np.pi / n) + np.cos(4 * np.pi / n))
    width = case.draw("width", 0.02, 0.03) * float(np.cos(2 * np.pi / n) - np.cos(4 * np.pi / n))
    measured = np.sort(np.linalg.eigvalsh(hessian(n, middle, width, case.draw("turn", 0.0, 6.0))))
    because = "rounding of sums of n terms of size 1"
    case.compare(measured, case.predict(n, middle, width), within=1e-12 / width, because=because)
    case.at_most(case.predict(n, middle, width)[:-1], -0.1, within=1e-3, because="a maximum up to rotations")


@convex_interactions_may_keep_a_polygon_on_the_circle.mutation
def bend_forgotten(n: int, middle: float, width: float) -> Any:
    """g = phi' cos x, without the term of phi''."""
    angles = 2 * np.pi * np.arange(1, n) / n
    g = logistic(np.cos(angles), middle, width)[0] * np.cos(angles) + 1e-3
    return np.sort(np.append(-(1 - np.cos(np.outer(np.arange(1, n), angles))) @ g, 0.0))


@convex_interactions_may_keep_a_polygon_on_the_circle.mutation
def always_a_saddle(n: int, middle: float, width: float) -> Any:
    """As on spheres of higher dimension, where such an interaction brings all tokens together."""
    return np.sort(np.append(-rates_of_polygon(n, middle, width), 0.0))


def ascent(points: np.ndarray, graph: np.ndarray, coefficients: tuple[float, ...], until: float) -> np.ndarray:
    """Follow the gradient of half the sum of phi(<x_i, x_j>) over a graph, by midpoint steps with projection.

    phi' is the polynomial of these coefficients.
    """
    step = 0.3 / float(graph.sum(axis=1).max() * sum(coefficients))

    def velocity(x: np.ndarray) -> np.ndarray:
        cosines, pull = x @ x.T, 0.0
        for one in reversed(coefficients):
            pull = pull * cosines + one
        moved = (graph * pull) @ x
        return moved - (moved * x).sum(axis=1, keepdims=True) * x

    for _ in range(round(until / step)):
        points = points + step * velocity(normalised(points + step / 2 * velocity(points)))
        points = normalised(points)
    return points


def ring(n: int) -> np.ndarray:
    """Return the graph of neighbours on a ring."""
    return np.roll(np.eye(n), 1, axis=1) + np.roll(np.eye(n), -1, axis=1)


@claim(
    "2405.18273",
    "spheres, and decreasing coefficients",
    covers=["3.3"],
    status="theorem",
    id="2405.18273/synchrony",
    states={
        "ring": lambda n, d: 1.0 if d > 2 else float(np.cos(2 * np.pi / n)),
        "series": lambda degree: 1.0,
    },
)
def connected_tokens_synchronise_from_three_dimensions_on(case: Case) -> None:
    """On S^(d-1), d >= 3, an increasing convex interaction brings the tokens of any connected graph together, where on
    the circle a ring of n >= 5 stays a polygon; on the circle all-to-all interactions do if the Taylor coefficients of
    phi' fall."""
    n, convex = case.draw("n", 8, 10, integer=True), (1.0, case.draw("slope of phi'", 0.2, 0.8))
    turn = 2 * np.pi * np.arange(n) / n
    polygon = np.stack([np.cos(turn), np.sin(turn), np.zeros(n)], axis=1)
    near = normalised(polygon + case.generator("near").normal(0.0, 0.02, (n, 3)))
    extra = np.triu(case.generator("graph").uniform(size=(n, n)) < 0.1, 1)
    starts = {
        "a ring on the circle": (normalised(near[:, :2]), ring(n)),
        "a ring on S^2": (near, ring(n)),
        "a graph on S^2": (normalised(case.generator("far").normal(size=(n, 3))), np.maximum(ring(n), extra | extra.T)),
    }
    because = "a long gradient ascent: what is left of a ring falls at least like e^(-t/3)"
    for name, (start, graph) in starts.items():
        ended = case.measure(ascent, start, graph, convex, 40.0)
        cosine = float((ended * np.roll(ended, 1, axis=0)).sum(axis=1).min())
        stated = case.statement.ring(n, start.shape[1])
        case.compare(cosine, stated, within=1e-3, because=because, name=name)
    coefficients = np.sort(case.generator("series").uniform(0.0, 1.0, 6))[::-1]
    case.require("the first one is not small", coefficients[0] > 0.3)
    start = normalised(case.generator("circle").normal(size=(n, 2)))
    ended = case.measure(ascent, start, 1 - np.eye(n), tuple(coefficients / n), 120.0)
    case.compare((ended @ ended.T).min(), case.statement.series(6), within=1e-3, because=because, name="falling series")


@connected_tokens_synchronise_from_three_dimensions_on.mutation("ring")
def circle_like_spheres(n: int, d: int) -> float:
    """A ring synchronises on the circle too."""
    return 1.0


@connected_tokens_synchronise_from_three_dimensions_on.mutation("ring")
def polygon_in_every_dimension(n: int, d: int) -> float:
    """A ring stays a polygon in any dimension."""
    return float(np.cos(2 * np.pi / n))


@connected_tokens_synchronise_from_three_dimensions_on.mutation("series")
def opposite_clusters(degree: int) -> float:
    """Two opposite clusters are left."""
    return -1.0


#: tokens of polygons by tier
POLYGONS = {"smoke": (5, 6, 7, 8)}


@exploration("2405.18273", "open: kernels with spurious maxima", covers=["P20"])
def how_soft_may_a_kernel_be_that_keeps_a_polygon(case: Case) -> dict[str, Any]:
    """For which increasing convex interactions on the circle are there local maxima other than consensus?

    Exponential kernels have none (2507.22857). For phi' a logistic step of width w, placed as well as possible, this
    finds the largest width at which the regular polygon of n tokens is still a local maximum, in units of the gap of
    the cosines of nearest and next tokens. It says nothing about other maxima or kernels.
    """
    sizes = list(case.given("n", POLYGONS.get(case.tier, tuple(range(5, 25)))))
    case.require("n is at least 4, so that nearest and next tokens are others", min(sizes) >= 4)
    widths, places = [], []
    for n in sizes:
        near, next_ = np.cos(2 * np.pi / n), np.cos(4 * np.pi / n)

        def largest(middle: float, n: int = n, gap: float = near - next_) -> float:
            def top(width: float) -> float:
                return float(rates_of_polygon(n, middle, width * gap).max())

            return float(root_scalar(top, bracket=(1e-3, 2.0)).root) if top(1e-3) < 0 < top(2.0) else 0.0

        middles = near - (near - next_) * np.linspace(0.05, 0.95, 37)
        found = [largest(float(middle)) for middle in middles]
        widths.append(max(found))
        places.append(float((near - middles[int(np.argmax(found))]) / (near - next_)))
    return {"n": sizes, "largest width over gap": widths, "place of the step in the gap": places}


@how_soft_may_a_kernel_be_that_keeps_a_polygon.figure
def widest_steps(findings: Findings, ax: Any) -> None:
    """Draw over n the largest width of the step with which a polygon is a maximum, and where the step is best put."""
    found = findings.found
    n, widths, places = (np.array(value, float) for value in found.values())
    ax.fill_between(n, 0, widths, color=ACCENT[0], alpha=0.12, lw=0)
    ax.plot(n, widths, "o-", color=ACCENT[0], label="largest width of the step: softer kernels let the polygon go")
    ax.plot(n, places, "s:", color=ACCENT[1], label="best place of the step: 0 at the nearest token, 1 at the next")
    ax.axhline(0, color=MUTED, lw=1)
    ax.annotate(
        "the polygon is a local maximum", (n[widths.argmax()], widths.max() / 2), ha="right", va="center", fontsize=10
    )
    ax.set(xlabel="tokens $n$", ylabel="share of the gap of cosines", xticks=n if len(n) < 25 else None)
    ax.set_ylim(-0.02, 1.2 * max(widths.max(), places.max()))
    ax.legend()

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
from measureflow.paths.style import ACCENT, FAINT, MUTED, THEORY


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
        at = (np.cos(apart) - middle) / width
        step = 1.0 / (1.0 + np.exp(-(np.clip(at.real, -500, 500) + 1j * at.imag)))
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
    n, share = case.choose("n", [5, 6, 8]), case.draw("width", 0.02, 0.03)
    case.require("there are five tokens and more, and the step is narrow", n >= 5 and 0 < share < 0.1)
    middle, width = step_between(n, share)
    measured = np.sort(np.linalg.eigvalsh(hessian(n, middle, width, case.draw("turn", 0.0, 6.0))))
    because, over = "rounding of sums of n terms of size 1", {"eigenvalue, in order": np.arange(1, n + 1)}
    stated, name = case.predict(n, middle, width), "eigenvalues of the Hessian at the polygon"
    case.compare(measured, stated, within=1e-12 / width, because=because, name=name, over=over)
    # all of them fall like 1/n^2, with the difference of two cosines
    most = -0.1 * min(1.0, 8 / n) ** 2
    because, name = "a maximum up to rotations", "eigenvalues that are not of a rotation"
    case.at_most(stated[:-1], most, within=1e-3, because=because, name=name)


def step_between(n: int, share: float) -> tuple[float, float]:
    """Return the middle and the width of a step of phi' between the cosines of nearest and next tokens, so that only
    neighbours pull, and hold; `share` is that of the width in the gap of the cosines."""
    near, following = float(np.cos(2 * np.pi / n)), float(np.cos(4 * np.pi / n))
    return 0.5 * (near + following), share * (near - following)


@convex_interactions_may_keep_a_polygon_on_the_circle.figure
def interaction_and_polygon(case: Case, ax: Any) -> None:
    """Draw phi' over the cosine of a pair, with the pairs of the polygon, and the eigenvalues of its Hessian inset."""
    n, turn = case.instance["n"], case.instance["turn"]
    middle, width = step_between(n, case.instance["width"])
    fine, pairs = np.linspace(-1.0, 1.0, 600), np.cos(2 * np.pi * np.arange(1, n // 2 + 1) / n)
    ax.plot(fine, logistic(fine, middle, width)[0], color=ACCENT[0], label=r"$\phi'$, increasing: $\phi$ is convex")
    ax.plot(pairs, logistic(pairs, middle, width)[0], "o", color=ACCENT[0], ms=9, label=f"pairs of a polygon, $n={n}$")
    ax.set(xlabel=r"cosine $\langle x_i, x_j\rangle$", ylabel=r"$\phi'$", title="a local maximum that is no consensus")
    inset, places = ax.inset_axes((0.14, 0.2, 0.42, 0.4)), np.arange(1, n + 1)
    inset.axhline(0.0, color=FAINT, lw=1)
    inset.plot(places, case.predict(n, middle, width), "--", color=THEORY, label="stated")
    measured = np.sort(np.linalg.eigvalsh(hessian(n, middle, width, turn)))
    inset.plot(places, measured, "o", color=ACCENT[1], ms=4, label="measured")
    inset.set_title("eigenvalues of the Hessian", fontsize=10)
    inset.tick_params(labelsize=8)
    inset.legend(fontsize=9)
    ax.legend(loc="upper left")


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
    d, until = case.given("d", 3), case.given("t", 40.0)
    case.require("there are five tokens and more, in three dimensions and more", n >= 5 and d >= 3)
    case.require("the interaction is increasing and convex", 0 <= convex[1] <= 1)
    held = np.cos(2 * np.pi / n) + convex[1] * np.cos(4 * np.pi / n) > 0.1
    case.require("neighbours hold each other on the circle, which they may cease to for n = 5 and 6", bool(held))
    case.require("the ascent is long", until >= 30)
    because = "a long gradient ascent: what is left of a ring falls at least like e^(-t/3)"
    for name, (start, graph) in starts(case, n, d).items():
        ended = case.measure(ascent, start, graph, convex, until * max(1.0, n / 10) ** 2)
        stated = case.statement.ring(n, start.shape[1])
        case.compare(least_of_neighbours(ended), stated, within=1e-3, because=because, name=f"least cosine, {name}")
    coefficients = np.sort(case.generator("series").uniform(0.0, 1.0, 6))[::-1]
    case.require("the first one is not small", coefficients[0] > 0.3)
    start = normalised(case.generator("circle").normal(size=(n, 2)))
    ended = case.measure(ascent, start, 1 - np.eye(n), tuple(coefficients / n), 120.0)
    name = "least cosine, all to all on the circle, falling series"
    case.compare((ended @ ended.T).min(), case.statement.series(6), within=1e-3, because=because, name=name)


def starts(case: Case, n: int, d: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Draw tokens near a polygon on the circle and on the sphere, and anywhere on it, with graphs that connect them."""
    turn = 2 * np.pi * np.arange(n) / n
    polygon = np.stack([np.cos(turn), np.sin(turn), *np.zeros((d - 2, n))], axis=1)
    near = normalised(polygon + case.generator("near").normal(0.0, 0.02, (n, d)))
    extra = np.triu(case.generator("graph").uniform(size=(n, n)) < 0.1, 1)
    far = normalised(case.generator("far").normal(size=(n, d)))
    return {
        "a ring on the circle": (normalised(near[:, :2]), ring(n)),
        f"a ring on S^{d - 1}": (near, ring(n)),
        f"a graph on S^{d - 1}": (far, np.maximum(ring(n), extra | extra.T)),
    }


def least_of_neighbours(points: np.ndarray) -> float:
    """Return the least cosine of neighbours on the ring."""
    return float((points * np.roll(points, 1, axis=0)).sum(axis=1).min())


@connected_tokens_synchronise_from_three_dimensions_on.figure
def neighbours_over_time(case: Case, ax: Any) -> None:
    """Draw the least cosine of neighbours along each gradient ascent, and where it is stated to end."""
    n, d, until = (case.instance[name] for name in ("n", "d", "t"))
    convex, step = (1.0, case.instance["slope of phi'"]), until * max(1.0, n / 10) ** 2 / 40
    for (name, (start, graph)), shade in zip(starts(case, n, d).items(), ACCENT, strict=True):
        points = [start]
        for _ in range(40):
            points.append(case.measure(ascent, points[-1], graph, convex, step))
        seen = [least_of_neighbours(x) for x in points]
        ax.plot(
            step * np.arange(41), seen, "o-", color=shade, ms=4, lw=1, label=name.replace(f"S^{d - 1}", f"$S^{d - 1}$")
        )
        ax.axhline(case.statement.ring(n, start.shape[1]), ls="--", color=THEORY)
    ax.plot([], [], "--", color=THEORY, label="stated ends")
    ax.set(xlabel="time $t$", ylabel="least cosine of neighbours", title=f"$n={n}$, $\\phi'(u)=1+{convex[1]:.2f}u$")
    ax.legend()


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

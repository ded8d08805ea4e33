"""Finitely many tokens may rest in clusters although the form is positive: two single ones hold the others together."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import iv

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.p2501_03096.rates import N, expected, spectrum
from measureflow.flows.limits import KINDS, clusters_of
from measureflow.flows.phase_maps import PhaseMap, phase_map
from measureflow.paths.style import ACCENT, MUTED, THEORY

PAPER = "2501.03096"


def polygon(corners: int) -> np.ndarray:
    """Return the corners of a regular polygon."""
    angles = 2 * np.pi * np.arange(corners) / corners
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def rate_at_polygon(corners: int, kappa: float) -> float:
    """Return the rate at which clusters at the corners of a polygon fall apart: a sum over multiples of k."""
    multiples = corners * np.arange(1, 20)
    return float(2 * multiples**2 @ iv(multiples, kappa) / (iv(0, kappa) + 2 * iv(multiples, kappa).sum()))


def come_back(x: np.ndarray, form: np.ndarray) -> np.ndarray:
    """Return where tokens are at rest again after being pushed aside: their angles, by an integrator of stiff equations
    that knows nothing of ours."""
    from scipy.integrate import solve_ivp  # imported when used: it is slow to import

    def motion(_: float, angles: np.ndarray) -> np.ndarray:
        y = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        kernel = np.exp(y @ form @ y.T)
        return -(kernel * (np.stack([-y[:, 1], y[:, 0]], axis=1) @ form @ y.T)).sum(axis=1) / kernel.sum(axis=1)

    start = np.arctan2(x[:, 1], x[:, 0]) + 1e-3 * np.random.default_rng(0).normal(size=len(x))
    found = solve_ivp(motion, (0.0, 2.5e3), start, method="LSODA", rtol=1e-8, atol=1e-11).y[:, -1]
    return np.stack([np.cos(found), np.sin(found)], axis=1)


def clusters_at_rest(points: np.ndarray, form: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the clusters of tokens that have come to rest, where they truly are at rest, and their masses."""
    from scipy.optimize import root  # imported when used: it is slow to import

    member = clusters_of(points)
    masses = np.bincount(member) / len(points)
    centres = np.stack([np.bincount(member, points[:, axis]) for axis in range(2)], axis=1)

    def corners(angles: np.ndarray) -> np.ndarray:
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)

    def pulls(angles: np.ndarray) -> np.ndarray:
        x = corners(angles)
        return (np.exp(x @ form @ x.T) * (np.stack([-x[:, 1], x[:, 0]], axis=1) @ form @ x.T)) @ masses

    return corners(root(pulls, np.arctan2(centres[:, 1], centres[:, 0]), tol=1e-13).x), masses


def are_held(points: np.ndarray, form: np.ndarray, *, counterweights: bool) -> bool:
    """Tell whether tokens at rest under repulsion are at clusters that are stable; with counterweights: held by single
    tokens, without which the others would fall apart."""
    centres, masses = clusters_at_rest(points, form)
    apart = np.linalg.norm(points[:, None] - centres, axis=2).min(axis=1).max()
    if apart > 1e-3:
        return False
    held = slowest_rate(theory.rates_of_clusters, centres, masses, form, len(points)) < 0
    return held and (
        not counterweights or (bool(singles(masses, len(points)).any()) and alone(centres, masses, form) > 0)
    )


def singles(masses: np.ndarray, n: int) -> np.ndarray:
    """Tell which clusters are single tokens."""
    return masses < 1.5 / n


def slowest_rate(rates_of: Any, centres: np.ndarray, masses: np.ndarray, form: np.ndarray, n: int) -> float:
    """Return the largest rate about clusters under repulsion; a single token has nothing within it."""
    rates = rates_of(centres, masses, form=form, sign=-1)
    return float(max(rates.within[~singles(masses, n)].max(), rates.between.max()))


def alone(centres: np.ndarray, masses: np.ndarray, form: np.ndarray) -> float:
    """Return the largest rate at which a cluster falls apart in the potential of those that are not the lightest."""
    heavy = masses > 1.5 * masses.min()
    x = centres[heavy]
    logits, turned = x @ form @ x.T, np.stack([-x[:, 1], x[:, 0]], axis=1) @ form @ x.T
    kernel = np.exp(logits)
    return float(-((kernel * (turned**2 - logits)) @ masses[heavy] / (kernel @ masses[heavy])).min())


def arrangement(form: np.ndarray, n: int) -> tuple[np.ndarray, list[float], tuple[int, ...]]:
    """Return where two heavy clusters and two single tokens rest, their masses, and how many tokens each has."""
    half = (n - 2) // 2
    masses = [half / n, half / n, 1 / n, 1 / n]
    angle = theory.angle_of_counterweights(list(np.diag(form)), masses[:2], n)
    corners = np.array([[1.0, 0.0], [-1.0, 0.0], [np.cos(angle), np.sin(angle)], [np.cos(angle), -np.sin(angle)]])
    return corners, masses, (half, half, 1, 1)


STATES = {
    "angle": theory.angle_of_counterweights,
    "rates": theory.rates_of_clusters,
    "polygon": rate_at_polygon,
}


@claim(
    PAPER,
    "clusters of finitely many tokens under repulsion by a positive form",
    covers=["1.5", "1.6"],
    status="derived",
    states=STATES,
    id=f"{PAPER}/counterweights",
)
def single_tokens_hold_clusters_that_a_positive_form_repels(case: Case) -> None:
    """D = diag(a, b), 0 < a << b, V = -D: two heavy clusters at the ends of the first axis and two single tokens at
    an angle are at rest and stable, though spread tokens have less energy. For D = kappa some cluster must be single:
    those at the corners of a polygon fall apart, at a rate of Bessel functions that is soon too slow to be seen."""
    a, b = case.draw("a", 0.25, 0.35), case.draw("b", 1.8, 2.4)
    form, n = np.diag([a, b]), case.given("n", N)
    case.require("two clusters of several tokens and two single ones", n >= 6 and n % 2 == 0)
    case.require("0 < a < b", 0 < a < b)
    corners, masses, counts = case.measure(arrangement, form, n)
    about = theory.rates_of_clusters(corners, masses, form=form, sign=-1)
    least = max(about.within[:2].max(), about.between.max())
    case.require("single tokens hold the others, at a rate that is seen", least < -2e-3)
    x = np.repeat(corners, counts, axis=0)
    rest = case.measure(come_back, x, form)
    because = "a time of many times the inverse of the least rate, and rtol 1e-8"
    case.compare(np.abs(rest - x).max(), 0.0, within=1e-6, because=because, name="comes back")
    stated = case.statement.angle([a, b], masses[:2], n)
    case.compare(np.arctan2(*rest[-2, ::-1]), stated, within=1e-6, because=because, name="angle")
    rates = case.statement.rates(corners, masses, form=form, sign=-1)
    measured = spectrum(case, mf.Tokens(mf.Sphere(2), x), mf.gradient_attention(form, sign=-1))
    because = "eigenvalues of a matrix of size 1, symmetric up to masses"
    over = {"rate, in order": np.arange(1, len(measured) + 1)}
    case.compare(measured, expected(rates, counts), within=1e-7, because=because, name="rates", over=over)
    because = "the least rate of these forms is above 2e-3"
    slowest = max(rates.within[:2].max(), rates.between.max())  # a single token has nothing within it
    case.at_most(slowest, -2e-3, within=1e-5, because=because, name="stable")
    least = case.measure(theory.extremal_energy, form).minimum
    energy = float(np.exp(x @ form @ x.T).mean())
    case.at_least(energy, 1.0001 * least, within=1e-9, because="the minimum is spread", name="energy")
    kappa = case.draw("kappa", 0.8, 1.5)
    for corner in case.given("corners", (3, 5, 8)):
        found = theory.rates_of_clusters(polygon(corner), np.full(corner, 1 / corner), form=kappa * np.eye(2), sign=-1)
        stated = case.statement.polygon(corner, kappa)
        because = "rounding of sums of numbers of size 1"
        case.compare(found.within, stated, within=1e-13, because=because, name=f"{corner} corners")


held = single_tokens_hold_clusters_that_a_positive_form_repels


@held.figure
def clusters_and_their_counterweights(case: Case, ax: Any) -> None:
    """Draw where tokens that were pushed aside are at rest again, with the predicted angle of the single ones."""
    a, b, n = (case.instance[name] for name in ("a", "b", "n"))
    form = np.diag([a, b])
    corners, masses, counts = case.measure(arrangement, form, n)
    rest = case.measure(come_back, np.repeat(corners, counts, axis=0), form)
    turn = np.linspace(0.0, 2 * np.pi, 200)
    ax.plot(np.cos(turn), np.sin(turn), color=MUTED, lw=0.8)
    first = np.cumsum(counts) - 1
    ax.scatter(*rest[first].T, s=900.0 * np.array(masses), color=ACCENT[0], zorder=3, label="at rest, area by mass")
    for corner in corners[2:]:
        label = rf"predicted angle {np.degrees(np.arctan2(*corners[2, ::-1])):.1f}$^\circ$" if corner[1] > 0 else None
        ax.plot(*np.stack([0.0 * corner, 1.15 * corner]).T, "--", color=THEORY, lw=1.4, label=label)
    ax.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal", xlim=(-1.4, 1.4), ylim=(-1.3, 1.75))
    ax.set_title(f"n = {n}, D = diag({a:.3g}, {b:.3g}), V = -D", fontsize=11, loc="left")
    ax.legend(fontsize=9, loc="upper center")


@held.mutation("rates")
def held_by_the_clusters_alone(points: np.ndarray, masses: Any, *, form: np.ndarray, sign: int) -> Any:
    """The single tokens are left out of the potential: clusters fall apart at mu tanh mu."""
    right = theory.rates_of_clusters(points, masses, form=form, sign=sign)
    alone = theory.rates_of_two_clusters(np.diag(form), 0, sign=sign)
    return right._replace(within=np.concatenate([alone.within, right.within[2:]]))


@held.mutation("rates")
def clusters_that_do_not_see_each_other_move(points: np.ndarray, masses: Any, *, form: np.ndarray, sign: int) -> Any:
    """A cluster's pull is held while it moves: every cluster moves as one token in the potential of the others."""
    right = theory.rates_of_clusters(points, masses, form=form, sign=sign)
    return right._replace(between=np.sort(right.within)[None])


@held.mutation("rates")
def attraction(points: np.ndarray, masses: Any, *, form: np.ndarray, sign: int) -> Any:
    """The sign of the force."""
    return theory.rates_of_clusters(points, masses, form=form, sign=-sign)


@held.mutation("polygon")
def one_harmonic_squared(corners: int, kappa: float) -> float:
    """The square of the number of corners is lost."""
    return rate_at_polygon(corners, kappa) / corners**2


@held.mutation("angle")
def heavy_clusters_in_balance(eigenvalues: Any, masses: Any, n: int) -> float:
    """The pulls of the two heavy clusters on a single token are taken to cancel."""
    a, b = eigenvalues
    return float(np.arcsin(np.sqrt(np.log((a + b) / (b - a)) / (2 * b))))


def clouds_at_rest(case: Case) -> tuple[int, np.ndarray, PhaseMap, np.ndarray]:
    """Return the number of tokens, eigenvalues of positive forms, where random tokens end, and which in clusters."""
    n, cells = case.given("n", 16), case.given("cells", 6)
    low, high = case.generator("eigenvalues").uniform(size=(2, cells))
    values = np.stack([0.15 + 0.5 * (np.arange(cells) + low) / cells, 0.9 + 1.1 * (np.arange(cells) + high) / cells])
    found = case.measure(phase_map, *values, sign=-1, n=n, seed=case.seed)
    return n, values, found, np.argwhere((found.kind == KINDS.index("several clusters")) & found.decided)


@claim(
    PAPER,
    "clusters that random tokens find under repulsion by a positive form",
    covers=["1.6"],
    status="derived",
    states=theory.rates_of_clusters,
    id=f"{PAPER}/held-clusters",
)
def random_tokens_rest_in_clusters_only_where_single_ones_hold_them(case: Case) -> None:
    """Where 16 random tokens come to rest in several clusters although the form is positive, these are stable; among
    them are single tokens, and without those the others would fall apart."""
    n, values, found, several = clouds_at_rest(case)
    case.require("some clouds end in clusters", len(several) >= 3)
    slowest, left, least = [], [], n
    for i, j in several:
        form = np.diag([values[0, i], values[1, j]])
        centres, masses = case.measure(clusters_at_rest, found.ends[i, j], form)
        slowest.append(slowest_rate(case.predict, centres, masses, form, n))
        least = min(least, int(singles(masses, n).sum()))
        left.append(alone(centres, masses, form))
    because = "eigenvalues of a matrix of size 1; what falls apart does so at more than 1e-3"
    over = {"ratio of the eigenvalues": values[1, several[:, 1]] / values[0, several[:, 0]]}
    case.at_most(slowest, 0.0, within=1e-5, because=because, name="stable", over=over)
    case.at_least(left, 0.0, within=1e-5, because=because, name="alone", over=over)
    case.at_least(least, 1.0, within=0.1, because="a number of tokens", name="single tokens")


found_clusters = random_tokens_rest_in_clusters_only_where_single_ones_hold_them


@found_clusters.figure
def rates_with_and_without_single_tokens(case: Case, ax: Any) -> None:
    """Draw the largest rate about every limit, as it is and without its single tokens."""
    for curve, colour, label in zip(case.curves, ACCENT, ("as they rest", "without the single tokens"), strict=False):
        ax.plot(curve.places, curve.measured, "o", color=colour, ms=7, label=label)
    ax.axhline(0.0, color=THEORY, ls="--", lw=1.2, label="below: stable")
    ax.set(xlabel="ratio of the eigenvalues of $D$", ylabel="largest rate about the clusters")
    ax.set_ylim(top=1.4 * ax.get_ylim()[1])
    n, cells = case.instance["n"], case.instance["cells"]
    said = f"{len(case.curves[0].places)} of {cells**2} clouds of n = {n} tokens end in clusters"
    ax.set_title(said, fontsize=11, loc="left")
    ax.legend(fontsize=9)


@found_clusters.mutation
def without_the_single_tokens(points: np.ndarray, masses: np.ndarray, *, form: np.ndarray, sign: int) -> Any:
    """The potential of the single tokens does not count."""
    right = theory.rates_of_clusters(points, masses, form=form, sign=sign)
    return right._replace(within=np.full_like(right.within, alone(points, masses, form)))


@found_clusters.mutation
def with_the_sign_of_attraction(points: np.ndarray, masses: np.ndarray, *, form: np.ndarray, sign: int) -> Any:
    """The sign of the force."""
    return theory.rates_of_clusters(points, masses, form=form, sign=-sign)

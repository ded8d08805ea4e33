"""Densities on the circle that end in several clusters, and the bound on beta that they call for."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.exploration import Findings, exploration
from measureflow.claims.instances import N, follow
from measureflow.claims.runge_kutta import classical_step
from measureflow.fields import Unnormalised
from measureflow.paths.style import ACCENT, MUTED, THEORY, shades

#: half the width of an arc, and tokens on one side of it
WIDTH, SIDE = 0.05, 10

#: tokens of an arc at these parts of its half width
PLACES = np.array([1.0, 0.5, -0.5, -1.0])

#: both models, by their weighting
MODELS = {"unnormalised": "USA", "softmax": "SA"}


def left_at_the_antipode(share: float, beta: float, model: str, until: float, width: float) -> float:
    """Return the mass within 0.1 of pi of an even density of two arcs, `share` about pi and the rest about 0.

    One side of it is followed and the other is its mirror image: evenness is exact, and rounding cannot break it.
    """
    inside = width * (np.arange(SIDE) + 0.5) / SIDE
    masses = np.repeat([(1 - share) / SIDE, share / SIDE], SIDE)

    def velocity(theta: np.ndarray) -> np.ndarray:
        apart = np.stack([theta[:, None] - theta, theta[:, None] + theta])
        kernel = 0.5 * np.exp(beta * np.cos(apart)) * masses
        pulled = -(kernel * np.sin(apart)).sum(axis=(0, 2))
        return pulled / kernel.sum(axis=(0, 2)) if model == "softmax" else pulled

    theta = np.concatenate([inside, np.pi - inside])
    for _ in range(round(until / 0.2)):
        theta = classical_step(velocity, theta, 0.2)
    return float(masses[np.cos(theta) < -np.cos(0.1)].sum())


@claim(
    "2504.14697",
    "a bound on beta is needed",
    covers=["5.1"],
    status="derived",
    id="2504.14697/two-arcs",
    states={
        "stays": lambda share, beta: share if beta > 0.5 * np.log((1 - share) / share) else 0.0,
        "unnormalised": lambda share, beta: share * np.exp(beta) - (1 - share) * np.exp(-beta),
        "softmax": lambda share, beta: float(np.tanh(beta - 0.5 * np.log((1 - share) / share))),
    },
)
def an_even_density_ends_in_two_clusters_above_a_beta(case: Case) -> None:
    """Of an even density on two narrow arcs, 1-a about 0 and a about pi, the mass a stays for beta > log((1-a)/a)/2,
    under USA and SA: though the mean is not 0, two clusters are the end. Below it one is.

    Derived here, as the printed example has no formula: about pi the arc's own pull a e^beta meets that of the other,
    (1-a) e^(-beta), away from the antipode. It shrinks at their difference under USA; SA divides it by their sum.
    """
    share, width = case.draw("a", 0.15, 0.3), case.given("half the width of an arc", WIDTH)
    case.require("the smaller arc is about pi, and both are narrow", 0 < share < 0.5 and 0 < width <= 0.1)
    border = 0.5 * np.log((1 - share) / share)
    below, above = border * case.draw("beta below", 0.1, 0.4), border * case.draw("beta above", 1.3, 1.8)
    case.require("one beta on either side of the border", 0 < below < border < above)
    case.require("the density has a mean", (1 - 2 * share) * np.cos(width) > 0.1)
    # the last token of the arc begins at a twentieth of its width from pi
    out, need = ((1 - share) * np.exp(-below) - share * np.exp(below)), np.log(0.1 / (width / (2 * SIDE)))
    case.require("what leaves has left by t = 60", out * 60.0 > 1.5 * need)
    for side, beta in (("below the border", below), ("above it", above)):
        for model, name in MODELS.items():
            left = case.measure(left_at_the_antipode, share, beta, model, 60.0, width)
            stated = case.statement.stays(share, beta)
            because = "t = 60, where the last token has left at a rate of 1/5 and more; a bound on rounding"
            case.compare([left], stated, within=1e-3, because=because, name=f"mass left at pi, {name}, {side}",
                         over={"beta": [beta]})  # fmt: skip
        angles = np.concatenate([1e-4 * PLACES, np.pi + 1e-4 * PLACES])
        points = np.stack([np.cos(angles), np.sin(angles), np.zeros(N)], axis=1)
        tokens = mf.Tokens(mf.Sphere(3), points, np.repeat([(1 - share) / 4, share / 4], 4))
        for model, name in MODELS.items():
            ends = follow(case, tokens, mf.SelfAttention(beta, weighting=model), np.array([1.0]))[-1]
            rate = -float(np.log(np.linalg.norm(ends[4] - ends[7]) / np.linalg.norm(points[4] - points[7])))
            stated = getattr(case.statement, model)(share, beta)
            because = "arcs of 1e-4, whose square and more is left out"
            case.compare([rate], stated, within=1e-5, because=because, name=f"rate of the arc, {name}, {side}",
                         over={"beta": [beta]})  # fmt: skip


@an_even_density_ends_in_two_clusters_above_a_beta.figure
def what_stays(case: Case, ax: Any) -> Any:
    """Draw the mass that is left about pi at t = 60, over beta, and the border stated for it."""
    share, width = case.instance["a"], case.instance["half the width of an arc"]
    border = 0.5 * np.log((1 - share) / share)
    betas = border * np.array([0.1, 0.3, 0.5, 0.7, 0.85, 1.15, 1.3, 1.6, 2.0])
    for (model, name), colour, marker in zip(MODELS.items(), ACCENT, "os", strict=False):
        found = [case.measure(left_at_the_antipode, share, float(beta), model, 60.0, width) for beta in betas]
        ax.plot(betas, found, marker, ms=7 if marker == "o" else 4, color=colour, label=name)
    fine = border * np.linspace(0.1, 2.0, 400)
    ax.plot(fine, [case.statement.stays(share, beta) for beta in fine], "--", color=THEORY, label="stated")
    ax.set(xlabel=r"$\beta$", ylabel=r"mass about $\pi$ at $t = 60$", title=f"two arcs, $a = {share:.2f}$ about $\\pi$")
    ax.legend()
    return ax


two_arcs = an_even_density_ends_in_two_clusters_above_a_beta


@two_arcs.mutation("stays")
def one_cluster_at_every_beta(share: float, beta: float) -> float:
    """No bound on beta: a density with a mean gathers at one point."""
    return 0.0


@two_arcs.mutation("stays")
def half_lost(share: float, beta: float) -> float:
    """The border is log((1-a)/a): the logits 2 beta apart are taken for beta."""
    return share if beta > np.log((1 - share) / share) else 0.0


@two_arcs.mutation("stays")
def whatever_the_masses(share: float, beta: float) -> float:
    """The border does not depend on a: it is 0, that of two equal masses."""
    return share


@two_arcs.mutation("unnormalised")
def rate_of_softmax(share: float, beta: float) -> float:
    """The rate of SA is given for USA."""
    return float(np.tanh(beta - 0.5 * np.log((1 - share) / share)))


@two_arcs.mutation("unnormalised")
def other_arc_forgotten(share: float, beta: float) -> float:
    """a e^beta: the pull of the other arc is left out."""
    return share * float(np.exp(beta))


@two_arcs.mutation("softmax")
def rate_of_one_cluster(share: float, beta: float) -> float:
    """1, as inside one cluster far from the others."""
    return 1.0


#: means of the densities, and times at which they are looked at, by tier
SEVERAL, LATER = (0.05, 0.1, 0.2, 0.3, 0.4, 0.45, 0.49), (20.0, 80.0, 320.0)
MEANS = {"smoke": (0.1, 0.4)}
TIMES = {"smoke": (20.0,)}


@exploration("2504.14697", "large beta", covers=["P12"])
def at_which_beta_does_a_density_cease_to_make_one_cluster(case: Case) -> dict[str, Any]:
    """Up to which beta does a density on the circle with a mean converge to one point?

    For |beta| < beta_0(mu_0) it does (USA), and for a large beta a circle has several clusters. The study takes
    quantiles of 1 + 2R cos(theta) and follows USA, in the clock of e^(beta(cos - 1)), and SA. The density is even, so
    that a mass m about the antipode with m e^beta > (1-m) e^(-beta) is never left once the rest has met: not a plateau
    but a limit of two points. Given is the least beta of a grid with such a mass within 0.3 of the antipode, an
    estimate of a beta_0 that has no closed form. What has not left yet counts as well: later times tell.
    """
    n, means = case.given("n", 64), list(case.given("R", MEANS.get(case.tier, SEVERAL)))
    case.require("R is between 0 and 1/2, so that 1 + 2R cos is a density", min(means) >= 0 and max(means) <= 0.5)
    count, times = {"smoke": 6, "standard": 16, "full": 41}[case.tier], case.given("t", TIMES.get(case.tier, LATER))
    betas = np.array(case.given("betas", tuple(np.geomspace(0.5, 16.0, count).tolist())))
    shares = (np.arange(n) + 0.5) / n
    grid = np.linspace(-np.pi, np.pi, 20_001)
    found: dict[str, Any] = {"R": means, "beta": betas}
    for name, model in (("USA", Unnormalised(shifted=True)), ("SA", "softmax")):
        behind = np.empty((len(means), len(betas), len(times)))
        for (i, mean), (j, beta) in itertools.product(enumerate(means), enumerate(betas)):
            angles = np.interp(shares, (grid + np.pi) / (2 * np.pi) + mean * np.sin(grid) / np.pi, grid)
            start = mf.Tokens(mf.Sphere(2), np.stack([np.cos(angles), np.sin(angles)], axis=1))
            field, solver = mf.SelfAttention(float(beta), weighting=model), mf.Adaptive(coarsen=False)
            path = mf.flow(start, field, until=times[-1], save=times, solver=solver)
            behind[i, j] = (np.asarray(path.points)[..., 0] < -np.cos(0.3)).mean(axis=1)
        stays = behind > 1 / (1 + np.exp(2 * betas))[:, None]
        least = np.where(stays.any(axis=1), betas[stays.argmax(axis=1)], np.inf)
        for k, time in enumerate(times):
            found[f"{name}: least beta with a mass that stays, t = {time:g}"] = least[:, k]
            found[f"{name}: mass at the antipode at t = {time:g}, by R and beta"] = behind[..., k]
    return found


@at_which_beta_does_a_density_cease_to_make_one_cluster.figure
def masses_at_the_antipode(findings: Findings, ax: Any) -> None:
    """Draw the mass at the antipode over beta for each mean at the last time, and the least that stays for ever."""
    found = findings.found
    betas, means = np.array(found["beta"]), found["R"]
    late = [name for name in found if name.startswith("USA: mass at the antipode")][-1].removeprefix("USA: ")
    for row, (mean, colour) in enumerate(zip(means, shades(len(means), high=0.8), strict=True)):
        for model, style, marker in (("USA", "-", "o"), ("SA", ":", "s")):
            mass = np.array(found[f"{model}: {late}"])[row]
            label = f"R = {mean:g}" if model == "USA" else None
            ax.plot(betas, mass, marker, ls=style, color=colour, mfc=colour if model == "USA" else "white", label=label)
    ax.plot([], [], "o-", color=MUTED, label="USA")
    ax.plot([], [], "s:", color=MUTED, mfc="white", label="SA")
    fine = np.geomspace(betas.min(), betas.max(), 200)
    label = r"more than $1/(1 + e^{2\beta})$ stays, if the rest meets"
    ax.plot(fine, 1 / (1 + np.exp(2 * fine)), "--", color=THEORY, label=label)
    ax.set(xscale="log", xlabel=r"$\beta$", ylabel=late.split(",")[0], ylim=(-0.01, None))
    ax.set_title(r"densities $1 + 2R\,\cos\theta$ on the circle")
    ax.legend()

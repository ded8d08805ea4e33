"""Saddles on the circle: how fast equal clusters at the corners of a polygon part, and when they cease to."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from scipy.optimize import brentq

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.paths.style import ACCENT, FAINT, THEORY

#: tokens of most instances: those beyond the clusters have no mass, so that all instances are of one shape
TOKENS = 6


def polygon(clusters: int, turn: float) -> mf.Tokens:
    """Return tokens at the corners of a regular polygon, and massless ones on top of the first."""
    size = max(clusters, TOKENS)
    angles = turn + 2 * np.pi * np.arange(size) / clusters
    masses = np.where(np.arange(size) < clusters, 1.0 / clusters, 0.0)
    return mf.Tokens(mf.Sphere(2), np.stack([np.cos(angles), np.sin(angles)], axis=1), masses)


def attention(beta: float, model: str) -> mf.SelfAttention:
    """Return SA or USA at a beta of any sign: a negative one is `query=-1`, tokens attend to what is opposite."""
    return mf.SelfAttention(abs(beta), query=float(np.copysign(1.0, beta)), weighting=model)


def rates(case: Case, tokens: mf.Tokens, field: mf.Field, clusters: int) -> np.ndarray:
    """Return the eigenvalues of the Jacobian on the tokens with mass, in order."""
    matrix = np.asarray(case.measure(mf.observe.jacobian, tokens, field=field))[:clusters, :clusters]
    return np.sort(np.linalg.eigvals(matrix).real)


@claim(
    "2312.10794",
    "section 5, clusters on the circle",
    covers=["V10"],
    status="derived",
    states=lambda k, beta, model: theory.eigenvalues_of_equal_clusters(k, beta=beta, model=model),
)
def equal_clusters_part_at_known_rates(case: Case) -> None:
    """Linearised about K equal clusters on the circle, SA and USA have the eigenvalues sigma_j, and 0 for rotations, at
    any beta, negative ones too."""
    clusters, beta = case.choose("clusters", [3, 4, 6]), case.draw("beta", 2.0, 6.0)
    case.require("there are two clusters and more", clusters >= 2)
    tokens = polygon(clusters, case.draw("turn", 0.0, 6.0))
    opposite = case.draw("negative beta", -2.0, -0.1)
    for at, model in itertools.product((beta, opposite), ("softmax", "unnormalised")):
        measured = rates(case, tokens, attention(at, model), clusters)
        predicted = np.sort(np.append(case.predict(clusters, at, model), 0.0))
        size = np.exp(abs(at)) if model == "unnormalised" else 1.0
        because = "rounding of sums of terms of size 1 under SA and e^|beta| under USA"
        # for more than a few clusters the eigenvalues come from longer sums
        within, over = 1e-12 * size * max(clusters / 6, 1), {"eigenvalue, in order": np.arange(1, clusters + 1)}
        case.compare(measured, predicted, within=within, because=because, name=f"{model}, beta {at:.3g}", over=over)


@equal_clusters_part_at_known_rates.figure
def rates_over_beta(case: Case, ax: Any) -> None:
    """Draw the eigenvalues measured at both betas under SA, and those that are stated over beta."""
    clusters, turn = case.instance["clusters"], case.instance["turn"]
    both = case.instance["negative beta"], case.instance["beta"]
    betas = np.linspace(1.3 * min(both), 1.2 * max(both), 200)
    ax.axhline(0.0, color=FAINT, lw=1)
    ax.plot(betas, [np.sort(case.predict(clusters, beta, "softmax")) for beta in betas], "--", color=THEORY, lw=1.5)
    for beta in both:
        measured = rates(case, polygon(clusters, turn), attention(beta, "softmax"), clusters)
        ax.plot(np.full(clusters, beta), measured, "o", color=ACCENT[0])
    ax.plot([], [], "o", color=ACCENT[0], label="Jacobian of SA (0: rotations)")
    ax.plot([], [], "--", color=THEORY, label=r"stated $\sigma_j$")
    ax.set(xlabel=r"$\beta$", ylabel="growth rate", title=f"$K={clusters}$ equal clusters on the circle")
    ax.legend()


@equal_clusters_part_at_known_rates.mutation
def sine_lost(k: int, beta: float, model: str) -> Any:
    """The term beta sin^2 of g is lost: the weights are held fixed."""
    angles, modes = 2 * np.pi * np.arange(k) / k, np.arange(1, k)
    kernel = np.exp(beta * np.cos(angles))
    bend = 1 - np.cos(np.outer(modes, angles))
    return -(bend @ (np.cos(angles) * kernel)) / (kernel.sum() if model == "softmax" else k)


@equal_clusters_part_at_known_rates.mutation
def sign_of_the_rates(k: int, beta: float, model: str) -> Any:
    """The sign is wrong: the state would be stable."""
    return -theory.eigenvalues_of_equal_clusters(k, beta=beta, model=model)


@equal_clusters_part_at_known_rates.mutation
def denominators_exchanged(k: int, beta: float, model: str) -> Any:
    """SA is divided by K and USA by the partition function."""
    return theory.eigenvalues_of_equal_clusters(k, beta=beta, model={"softmax": "unnormalised"}.get(model, "softmax"))


@claim(
    "2312.10794",
    "section 5, after Theorem 5.1",
    covers=["V13"],
    status="derived",
    states=lambda: np.cos(2 * np.pi / 3) / np.sin(2 * np.pi / 3) ** 2,
)
def three_tokens_on_the_circle_switch_stability(case: Case) -> None:
    """Under SA and under USA three tokens at 120 degrees are unstable for beta > -2/3, and stable below."""
    tokens = polygon(3, case.draw("turn", 0.0, 6.0))
    inside, outside = case.draw("above", -0.6, -0.1), case.draw("below", -1.5, -0.75)
    for model in ("softmax", "unnormalised"):

        def fastest(beta: float, model: str = model) -> float:
            return fastest_rate(case, tokens, beta, model)

        case.require("the sign changes between the two", fastest(inside) > 0 > fastest(outside))
        measured = brentq(fastest, outside, inside, xtol=1e-13)
        because = (
            "rounding of the eigenvalues, whose slope in beta is 3/4 e^(1/3) at the switch, and 10 % less under SA"
        )
        case.compare(measured, case.predict(), within=1e-11, because=because, name=f"beta of the switch, {model}")


def fastest_rate(case: Case, tokens: mf.Tokens, beta: float, model: str) -> float:
    """Return the eigenvalue of three tokens that is largest in size."""
    found = rates(case, tokens, attention(beta, model), 3)
    return float(found[np.abs(found).argmax()])


@three_tokens_on_the_circle_switch_stability.figure
def switch(case: Case, ax: Any) -> None:
    """Draw the rate at which three tokens at 120 degrees part, over beta, and where it is stated to change sign."""
    tokens, inside, outside = (
        polygon(3, case.instance["turn"]),
        case.instance["above"],
        case.instance["below"],
    )
    betas = np.linspace(outside, inside, 15)
    ax.axhline(0.0, color=FAINT, lw=1)
    for model, said, shade in (("softmax", "SA", ACCENT[0]), ("unnormalised", "USA", ACCENT[1])):
        found = [fastest_rate(case, tokens, float(beta), model) for beta in betas]
        ax.plot(betas, found, "o-", lw=1, ms=5, color=shade, label=f"Jacobian of {said}")
    ax.axvline(case.predict(), ls="--", color=THEORY, label=r"stated: $\beta=-2/3$")
    ax.set(xlabel=r"$\beta$", ylabel="growth rate", title="three tokens at 120 degrees")
    ax.legend()


@three_tokens_on_the_circle_switch_stability.mutation
def inverse() -> float:
    """The fraction is upside down."""
    return -1.5


@three_tokens_on_the_circle_switch_stability.mutation
def sine_not_squared() -> float:
    """The square of the sine is forgotten."""
    return float(np.cos(2 * np.pi / 3) / np.sin(2 * np.pi / 3))


@three_tokens_on_the_circle_switch_stability.mutation
def exterior_angle() -> float:
    """The exterior angle is taken for the angle between tokens: the switch would lie at a positive beta."""
    return 2.0 / 3.0


@three_tokens_on_the_circle_switch_stability.mutation
def cosine_alone() -> float:
    """The square of the sine is taken for 1: the switch would lie at the cosine of 120 degrees."""
    return float(np.cos(2 * np.pi / 3))

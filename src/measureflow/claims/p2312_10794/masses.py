"""Two clusters with masses: the scalar equation of the cosine between them."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import N, follow, gaps, masses
from measureflow.paths.style import ACCENT, THEORY


@claim("2312.10794", "(2.2), two clusters", covers=["V9"], status="derived", states=theory.cosine_of_two_clusters)
def two_clusters_follow_one_scalar_equation(case: Case) -> None:
    """Tokens in two points move as two clusters of their joint masses, by one equation for the cosine; under USA it
    knows no masses."""
    n, start = case.given("n", N), case.draw("start", -0.6, 0.6)
    case.require("there are two tokens and more, and two points", n >= 2 and abs(start) < 1)
    weights = masses(case, n)
    beta = case.draw("beta (1 - start)", 1.0, 4.0) / (1.0 - start)  # the clusters meet within the run, or nearly
    first = case.draw("tokens in the first cluster", 2, max(n - 2, 2), integer=True)
    case.require("there are two clusters", 0 < first < n)
    ends = np.array([[1.0, 0.0, 0.0], [start, np.sqrt(1 - start**2), 0.0]])
    tokens = mf.Tokens(mf.Sphere(3), ends[(np.arange(n) >= first).astype(int)], weights)
    until, joint = case.given("t", 12.0), float(weights[:first].sum())
    for model in ("softmax", "unnormalised"):
        # near consensus USA is e^beta times as fast
        times = np.linspace(0.0, until, 25) * (np.exp(-beta) if model == "unnormalised" else 1.0)
        field = mf.SelfAttention(beta, weighting=model)
        measured = 1.0 - gaps(follow(case, tokens, field, times), 0, n - 1)
        instance = {"beta": beta, "start": float(ends[0] @ ends[1]), "masses": (joint, 1 - joint)}
        predicted = case.predict(times, **instance, model=model)
        because = f"rtol 1e-12 over t = {until:g}, grown by the wait before the meeting"
        name, over = f"cosine between the clusters, {model}", {"t": times}
        case.compare(measured, predicted, within=1e-11, because=because, name=name, over=over)


@two_clusters_follow_one_scalar_equation.figure
def meeting(case: Case, ax: Any) -> None:
    """Draw particles over the equation, from equal masses to very unequal ones, for the case's beta and start."""
    start = case.instance["start"]
    beta = case.instance["beta (1 - start)"] / (1.0 - start)
    shares = zip((0.5, 0.2, 0.05), ACCENT, strict=True)
    met = max(0.9, 0.5 * (1.0 + start))
    end = 1.5 * theory.merge_time(beta=beta, start=start, end=met)  # equal masses meet last
    fine, coarse = np.linspace(0.0, end, 300), np.linspace(0.0, end, 21)
    ends = np.array([[1.0, 0.0, 0.0], [start, np.sqrt(1 - start**2), 0.0]])
    for share, shade in shares:
        tokens = mf.Tokens(mf.Sphere(3), ends, [share, 1 - share])
        cosine = 1.0 - gaps(follow(case, tokens, mf.SelfAttention(beta), coarse), 0, 1)
        ax.plot(coarse, cosine, "o", color=shade, ms=5, label=f"tokens, $a_1={share:g}$")
        ax.plot(fine, case.predict(fine, beta=beta, start=start, masses=(share, 1 - share)), "--", color=THEORY)
    ax.plot([], [], "--", color=THEORY, label="scalar equation")
    ax.set(xlabel="time $t$", ylabel="cosine $u$", title=rf"two clusters, $\beta={beta:.2f}$")
    ax.legend()


@two_clusters_follow_one_scalar_equation.mutation
def masses_dropped(times: Any, *, beta: float, start: float, masses: Any, model: str = "softmax") -> Any:
    """The clusters are taken as equal."""
    return theory.cosine_of_two_clusters(times, beta=beta, start=start, model=model)


@two_clusters_follow_one_scalar_equation.mutation
def factor_two_lost(times: Any, *, beta: float, start: float, masses: Any, model: str = "softmax") -> Any:
    """Only one of the two clusters moves, or both at half their speed: a factor 2 is lost."""
    return theory.cosine_of_two_clusters(np.asarray(times) / 2, beta=beta, start=start, masses=masses, model=model)


@two_clusters_follow_one_scalar_equation.mutation
def beta_doubled(times: Any, *, beta: float, start: float, masses: Any, model: str = "softmax") -> Any:
    """e^(beta |x-y|^2) stands where e^(beta |x-y|^2 / 2) belongs."""
    return theory.cosine_of_two_clusters(times, beta=2 * beta, start=start, masses=masses, model=model)


@two_clusters_follow_one_scalar_equation.mutation
def mass_factor_of_sa(times: Any, *, beta: float, start: float, masses: Any, model: str = "softmax") -> Any:
    """Under USA the clusters are drawn by a_2/a_1 + a_1/a_2, as under SA while they are apart."""
    clock = np.asarray(times) * (masses[1] / masses[0] + masses[0] / masses[1] if model == "unnormalised" else 1.0)
    return theory.cosine_of_two_clusters(clock, beta=beta, start=start, masses=masses, model=model)

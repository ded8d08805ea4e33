"""The main theorem: tokens of separated caps stay in them and collapse there, for a time exponential in beta."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import brentq

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import N, normalised
from measureflow.fields import Unnormalised


def capped(case: Case, centres: np.ndarray, epsilon: float) -> tuple[mf.Tokens, np.ndarray]:
    """Return tokens spread over the caps of size epsilon, in turn, and the cap of each."""
    generator, cap = case.generator("tokens in caps"), np.arange(N) % len(centres)
    middle = centres[cap]
    side = generator.normal(size=middle.shape)
    side = normalised(side - (side * middle).sum(axis=1, keepdims=True) * middle)
    angle = np.arccos(1.0 - epsilon) * np.sqrt(generator.uniform(0.3, 1.0, (N, 1)))
    return mf.Tokens(mf.Sphere(centres.shape[1]), np.cos(angle) * middle + np.sin(angle) * side), cap


def seen(case: Case, tokens: mf.Tokens, field: mf.Field, times: np.ndarray) -> np.ndarray:
    """Return the points along a coarsening flow, remembered."""
    path = case.measure(mf.flow, tokens, field, until=float(times[-1]), save=times)
    case.require("the flow ran to its end", path.status in ("reached", "stationary"))
    reached = np.searchsorted(np.asarray(path.times), times, side="right") - 1
    return np.asarray(path.points)[reached]


def within_caps(points: np.ndarray, cap: np.ndarray) -> np.ndarray:
    """Return the largest squared distance of tokens that share a cap, at each time."""
    squares = ((points[:, :, None] - points[:, None]) ** 2).sum(axis=-1)
    return np.where(cap[:, None] == cap[None, :], squares, 0.0).max(axis=(1, 2))


@claim(
    "2410.06833",
    "main theorem",
    covers=["V15"],
    status="theorem",
    states={
        "window": theory.metastable_window,
        "spread": lambda rate, beta: 2.0 * np.exp(-rate * beta),
        "growth": lambda: 2.0,
    },
)
def separated_caps_hold_their_tokens_and_collapse(case: Case) -> None:
    """Up to T_2 tokens stay in caps of twice the size; from T_1 on those of a cap are within 2 e^(-lambda beta)."""
    epsilon, beta = case.draw("epsilon", 0.004, 0.0055), case.draw("beta", 20.0, 24.0)
    turn = case.draw("angle between the centres", 1.5, 1.65)
    centres = np.array([[1.0, 0.0, 0.0], [np.cos(turn), np.sin(turn), 0.0]])
    given = {"beta": beta, "epsilon": epsilon, "overlap": theory.largest_overlap_of_caps(centres, epsilon)}
    case.require("the tokens are separated", theory.margin_of_separation(N, **given) > 0)
    rate = 0.9 * min(theory.bounds_of_collapse(N, **given))
    collapsed, left = case.statement.window(N, rate=rate, **given)
    tokens, cap = capped(case, centres, epsilon)
    times = np.unique(np.append(np.concatenate([[0.0], np.geomspace(1e-2, left, 15)]), min(collapsed, left)))
    because = "rounding, beside the solver's rtol 1e-8 and merges at 3e-7, whose squares count"
    for name, weighting in (("SA", "softmax"), ("USA*", Unnormalised(shifted=True))):
        points = seen(case, tokens, mf.SelfAttention(beta, weighting=weighting), times)
        inside = (points * centres[cap]).sum(axis=-1).min(axis=1)
        bound = 1.0 - case.statement.growth() * epsilon
        case.at_least(inside, bound, within=1e-5, because=because, name=f"{name}: cosine with the centre")
        diameters = within_caps(points, cap)[times >= collapsed]
        stated = case.statement.spread(rate, beta)
        case.at_most(diameters, stated, within=1e-5, because=because, name=f"{name}: squared diameter")


@separated_caps_hold_their_tokens_and_collapse.figure
def collapse(case: Case, ax: Any) -> Any:
    """Draw the diameters of the caps against the bound of the theorem, in its window."""
    epsilon, beta = case.instance["epsilon"], case.instance["beta"]
    turn = case.instance["angle between the centres"]
    centres = np.array([[1.0, 0.0, 0.0], [np.cos(turn), np.sin(turn), 0.0]])
    given = {"beta": beta, "epsilon": epsilon, "overlap": theory.largest_overlap_of_caps(centres, epsilon)}
    rate = 0.9 * min(theory.bounds_of_collapse(N, **given))
    collapsed, left = case.statement.window(N, rate=rate, **given)
    tokens, cap = capped(case, centres, epsilon)
    times = np.geomspace(1e-2, left, 120)
    for name, weighting, style in (("SA", "softmax", "-"), ("USA*", Unnormalised(shifted=True), ":")):
        points = seen(case, tokens, mf.SelfAttention(beta, weighting=weighting), times)
        apart = within_caps(points, cap)
        ax.loglog(times, np.where(apart > 1e-18, apart, np.nan), style, color="0.1", label=name)  # joined from there on
    ax.hlines(case.statement.spread(rate, beta), collapsed, left, colors="0.5", linestyles="--", label="theorem")
    ax.set(xlabel="time $t$", ylabel="largest $|x_i-x_j|^2$ in a cap", title=rf"$\beta={beta:.1f}$")
    ax.legend(loc="lower left")
    return ax


def variances(points: np.ndarray, masses: np.ndarray, cap: np.ndarray) -> np.ndarray:
    """Return the largest variance of the law within a cap, at each time."""
    found = []
    for one in range(cap.max() + 1):
        share = np.where(cap == one, masses, 0.0) / masses[cap == one].sum()
        mean = np.einsum("n,snd->sd", share, points)
        found.append(np.einsum("n,snd->s", share, (points - mean[:, None]) ** 2))
    return np.max(found, axis=0)


@claim(
    "2410.06833",
    "main theorem, mean field",
    covers=["V15"],
    status="theorem",
    states={
        "window": lambda caps, **given: theory.metastable_window(caps, **given),
        "spread": lambda rate, beta: np.exp(-rate * beta),
        "growth": lambda: 2.0,
    },
    id="2410.06833/mean-field",
)
def laws_on_separated_caps_stay_and_collapse(case: Case) -> None:
    """For a mean of k laws, each on its cap, k takes the place of n: the supports stay in caps of twice the size up to
    T_2, and from T_1 on the variance in a cap is at most e^(-lambda beta), however many tokens there are."""
    epsilon, beta = case.draw("epsilon", 0.004, 0.0055), case.draw("beta", 20.0, 24.0)
    turn = case.draw("angle between the centres", 1.5, 1.65)
    centres = np.array([[1.0, 0.0, 0.0], [np.cos(turn), np.sin(turn), 0.0]])
    given = {"beta": beta, "epsilon": epsilon, "overlap": theory.largest_overlap_of_caps(centres, epsilon)}
    margin = theory.margin_of_separation(len(centres), **given)
    case.require("the laws are separated by more than 8 epsilon", margin > 8 * epsilon)
    rate = 0.9 * min(theory.bounds_of_collapse(len(centres), **given))
    collapsed, left = case.statement.window(len(centres), rate=rate, **given)
    tokens, cap = capped(case, centres, epsilon)
    drawn = case.generator("masses").dirichlet(np.ones(N))
    masses = drawn / np.bincount(cap, drawn)[cap] / len(centres)  # a law in each cap, of half the mass
    times = np.unique(np.append(np.concatenate([[0.0], np.geomspace(1e-2, left, 15)]), min(collapsed, left)))
    because = "rounding, beside the solver's rtol 1e-8 and merges at 3e-7, whose squares count"
    for name, weighting in (("SA", "softmax"), ("USA*", Unnormalised(shifted=True))):
        law = mf.Tokens(mf.Sphere(3), tokens.points, masses)
        points = seen(case, law, mf.SelfAttention(beta, weighting=weighting), times)
        inside = (points * centres[cap]).sum(axis=-1).min(axis=1)
        bound = 1.0 - case.statement.growth() * epsilon
        case.at_least(inside, bound, within=1e-5, because=because, name=f"{name}: cosine with the centre")
        spread = variances(points, masses, cap)[times >= collapsed]
        stated = case.statement.spread(rate, beta)
        case.at_most(spread, stated, within=1e-6, because=because, name=f"{name}: variance")


@separated_caps_hold_their_tokens_and_collapse.mutation("window")
@laws_on_separated_caps_stay_and_collapse.mutation("window")
def collapsed_from_the_start(n: int, **given: float) -> tuple[float, float]:
    """T_1 is 0."""
    return 0.0, theory.metastable_window(n, **given)[1]


@separated_caps_hold_their_tokens_and_collapse.mutation("window")
@laws_on_separated_caps_stay_and_collapse.mutation("window")
def exponent_doubled(n: int, **given: float) -> tuple[float, float]:
    """T_2 grows like e^(2 (1-alpha) beta), as if chords stood for their squares."""
    collapsed, left = theory.metastable_window(n, **given)
    return collapsed, left * np.exp((1.0 - given["overlap"]) * given["beta"])


@separated_caps_hold_their_tokens_and_collapse.mutation("growth")
@laws_on_separated_caps_stay_and_collapse.mutation("growth")
def half_the_cap() -> float:
    """The tokens stay in caps of half the size, not of twice."""
    return 0.5


@claim(
    "2410.06833",
    "main theorem, first bound on lambda",
    covers=["E1"],
    status="erratum",
    states=lambda n, **given: theory.bounds_of_collapse(n, **given)[0],
)
def collapse_comes_before_the_caps_are_left(case: Case) -> None:
    """T_1 = T_2 for lambda equal to its first bound, and T_1 < T_2 below it."""
    n, beta = case.draw("tokens", 4, 40, integer=True), case.draw("beta", 20.0, 80.0)
    given = {"beta": beta, "epsilon": case.draw("epsilon", 1e-3, 1e-2), "overlap": case.draw("overlap", 0.0, 0.3)}
    case.require("the tokens are separated", theory.margin_of_separation(n, **given) > 0)

    def excess(log_rate: float) -> float:
        collapsed, left = theory.metastable_window(n, rate=float(np.exp(log_rate)), **given)
        return np.log(collapsed) - np.log(left)

    case.require("T_1 < T_2 for a small lambda", excess(-300.0) < 0)
    measured = brentq(excess, -300.0, 200.0, xtol=1e-13)
    because = "rounding of logarithms, a hundredfold where T_1 is nearly all 2n e^(8 epsilon beta)"
    case.compare(measured, np.log(case.predict(n, **given)), within=1e-9, because=because)


@collapse_comes_before_the_caps_are_left.mutation
def reciprocal_as_printed(n: int, *, beta: float, epsilon: float, overlap: float) -> float:
    """The printed form: the middle factor stands upside down."""
    share = (beta - 1.0) * epsilon / (beta**2 * n * n * np.e)
    return theory.bounds_of_collapse(n, beta=beta, epsilon=epsilon, overlap=overlap)[0] / share**2


@collapse_comes_before_the_caps_are_left.mutation
def one_n_lost(n: int, **given: float) -> float:
    """n stands where n^2 belongs."""
    return n * theory.bounds_of_collapse(n, **given)[0]


@claim(
    "2410.06833",
    "uniform data in high dimension, overlap of caps",
    covers=["E2"],
    status="erratum",
    states=lambda epsilon: 4.0 * np.sqrt(epsilon),
)
def caps_about_a_frame_overlap_by_the_root(case: Case) -> None:
    """Caps of size 2 epsilon about orthogonal centres reach inner products of 4 sqrt(epsilon), to leading order."""
    epsilon = case.draw("epsilon", 1e-5, 1e-4, log=True)
    around = 2 * np.pi * (np.arange(720) + case.draw("turn", 0.0, 1.0)) / 720
    height, side = 1.0 - 2.0 * epsilon, 2.0 * np.sqrt(epsilon * (1.0 - epsilon))
    rim = np.stack([np.full(720, height), side * np.cos(around), side * np.sin(around)], axis=1)
    # the rims of the caps about e_1 and e_2
    measured = float((rim @ rim[:, [1, 0, 2]].T).max())
    stated = case.predict(epsilon)
    because = "3 epsilon from the next order and 1e-5 from 720 points on a rim"
    case.compare(measured / stated, 1.0, within=1e-3, because=because, name="order")
    case.at_most(measured, stated, within=1e-9, because="rounding", name="bound")


@caps_about_a_frame_overlap_by_the_root.mutation
def squares_as_printed(epsilon: float) -> float:
    """The printed form: epsilon^2 + 2 epsilon, without the root."""
    return epsilon**2 + 2.0 * epsilon


@caps_about_a_frame_overlap_by_the_root.mutation
def caps_of_size_epsilon(epsilon: float) -> float:
    """The caps have size epsilon, not 2 epsilon."""
    return 4.0 * np.sqrt(epsilon / 2.0)

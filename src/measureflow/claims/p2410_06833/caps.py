"""The main theorem: tokens of separated caps stay in them and collapse there, for a time exponential in beta."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import N, normalised
from measureflow.fields import Unnormalised
from measureflow.paths.style import ACCENT, FAINT, THEORY

MODELS: tuple[tuple[str, Any], ...] = (("SA", "softmax"), ("USA*", Unnormalised(shifted=True)))


class Caps(NamedTuple):
    """Two caps, and what the theorem asks of them."""

    centres: np.ndarray
    n: int
    beta: float
    epsilon: float
    overlap: float

    @property
    def given(self) -> dict[str, float]:
        """What the bounds of the theorem depend on, beside the number of tokens or laws."""
        return {"beta": self.beta, "epsilon": self.epsilon, "overlap": self.overlap}

    def rate(self, share: float, count: int) -> float:
        """Return a share of the largest lambda for a number of tokens or laws."""
        return share * min(theory.bounds_of_collapse(count, **self.given))


def two_caps(case: Case) -> Caps:
    """Return two caps of one size about centres at an angle."""
    d, n = case.given("d", 3), case.given("n", N)
    case.require("d is at least 2, and there are two tokens or more", d >= 2 and n >= 2)
    epsilon, beta = case.draw("epsilon", 0.004, 0.0055), case.draw("beta", 20.0, 24.0)
    turn = case.draw("angle between the centres", 1.5, 1.65)
    centres = np.eye(2, d)
    centres[1, :2] = np.cos(turn), np.sin(turn)
    return Caps(centres, n, beta, epsilon, theory.largest_overlap_of_caps(centres, epsilon))


def share_of_the_bound(case: Case) -> float:
    """Return lambda over its largest value."""
    share = case.given("lambda over its bound", 0.9)
    case.require("lambda is positive and below its bound", 0.0 < share < 1.0)
    return share


def capped(case: Case, caps: Caps) -> tuple[mf.Tokens, np.ndarray]:
    """Return tokens spread over the caps, in turn, and the cap of each."""
    centres, generator, cap = caps.centres, case.generator("tokens in caps"), np.arange(caps.n) % len(caps.centres)
    middle = centres[cap]
    side = generator.normal(size=middle.shape)
    side = normalised(side - (side * middle).sum(axis=1, keepdims=True) * middle)
    angle = np.arccos(1.0 - caps.epsilon) * np.sqrt(generator.uniform(0.3, 1.0, (caps.n, 1)))
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
    caps = two_caps(case)
    case.require("the tokens are separated", theory.margin_of_separation(caps.n, **caps.given) > 0)
    rate = caps.rate(share_of_the_bound(case), caps.n)
    collapsed, left = case.statement.window(caps.n, rate=rate, **caps.given)
    tokens, cap = capped(case, caps)
    times = np.unique(np.append(np.concatenate([[0.0], np.geomspace(1e-2, left, 15)]), min(collapsed, left)))
    because = "rounding, beside the solver's rtol 1e-8 and merges at 3e-7, whose squares count"
    for name, weighting in MODELS:
        points = seen(case, tokens, mf.SelfAttention(caps.beta, weighting=weighting), times)
        inside = (points * caps.centres[cap]).sum(axis=-1).min(axis=1)
        bound, over = 1.0 - case.statement.growth() * caps.epsilon, {"t": times}
        case.at_least(inside, bound, within=1e-5, because=because, name=f"{name}: cosine with the centre", over=over)
        diameters, over = within_caps(points, cap)[times >= collapsed], {"t": times[times >= collapsed]}
        stated = case.statement.spread(rate, caps.beta)
        case.at_most(diameters, stated, within=1e-5, because=because, name=f"{name}: squared diameter", over=over)


@separated_caps_hold_their_tokens_and_collapse.figure
def collapse(case: Case, ax: Any) -> Any:
    """Draw the diameters of the caps against the bound of the theorem, in its window."""
    caps = two_caps(case)
    tokens, cap = capped(case, caps)
    rate = caps.rate(case.instance["lambda over its bound"], caps.n)
    window = case.statement.window(caps.n, rate=rate, **caps.given)
    draw_collapse(case, ax, caps, window, tokens, lambda points: within_caps(points, cap))
    ax.hlines(case.statement.spread(rate, caps.beta), *window, colors=THEORY, linestyles="--", label="theorem: at most")
    ax.set_ylabel("largest $|x_i-x_j|^2$ in a cap")
    ax.legend(loc="lower left")
    return ax


def draw_collapse(
    case: Case, ax: Any, caps: Caps, window: tuple[float, float], tokens: mf.Tokens, spread: Callable[..., Any]
) -> None:
    """Draw how the spread of caps falls under both models, and the window of the theorem."""
    times = np.geomspace(1e-2, window[1], 120)
    for (name, weighting), colour in zip(MODELS, ACCENT, strict=False):
        points = seen(case, tokens, mf.SelfAttention(caps.beta, weighting=weighting), times)
        apart = spread(points)
        ax.loglog(times, np.where(apart > 1e-18, apart, np.nan), color=colour, label=name)  # joined from there on
    ax.axvspan(*window, color=FAINT, alpha=0.5, lw=0, label="from $T_1$ to $T_2$")
    ax.set(xlabel="$t$", title=rf"$n = {caps.n}$, $d = {caps.centres.shape[1]}$, $\beta = {caps.beta:.1f}$, "
           rf"$\epsilon = {caps.epsilon:.4f}$")  # fmt: skip


def variances(points: np.ndarray, masses: np.ndarray, cap: np.ndarray) -> np.ndarray:
    """Return the largest variance of the law within a cap, at each time."""
    found = []
    for one in range(cap.max() + 1):
        share = np.where(cap == one, masses, 0.0) / masses[cap == one].sum()
        mean = np.einsum("n,snd->sd", share, points)
        found.append(np.einsum("n,snd->s", share, (points - mean[:, None]) ** 2))
    return np.max(found, axis=0)


def laws_on_caps(case: Case, caps: Caps) -> tuple[mf.Tokens, np.ndarray]:
    """Return a law on each cap, of equal mass together and of random masses within, and the cap of each token."""
    tokens, cap = capped(case, caps)
    drawn = case.generator("masses").dirichlet(np.ones(caps.n))
    masses = drawn / np.bincount(cap, drawn)[cap] / len(caps.centres)
    return mf.Tokens(tokens.space, tokens.points, masses), cap


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
    caps = two_caps(case)
    laws = len(caps.centres)
    margin = theory.margin_of_separation(laws, **caps.given)
    case.require("the laws are separated by more than 8 epsilon", margin > 8 * caps.epsilon)
    rate = caps.rate(share_of_the_bound(case), laws)
    collapsed, left = case.statement.window(laws, rate=rate, **caps.given)
    law, cap = laws_on_caps(case, caps)
    times = np.unique(np.append(np.concatenate([[0.0], np.geomspace(1e-2, left, 15)]), min(collapsed, left)))
    because = "rounding, beside the solver's rtol 1e-8 and merges at 3e-7, whose squares count"
    for name, weighting in MODELS:
        points = seen(case, law, mf.SelfAttention(caps.beta, weighting=weighting), times)
        inside = (points * caps.centres[cap]).sum(axis=-1).min(axis=1)
        bound, over = 1.0 - case.statement.growth() * caps.epsilon, {"t": times}
        case.at_least(inside, bound, within=1e-5, because=because, name=f"{name}: cosine with the centre", over=over)
        spread = variances(points, np.asarray(law.weights), cap)[times >= collapsed]
        stated, over = case.statement.spread(rate, caps.beta), {"t": times[times >= collapsed]}
        case.at_most(spread, stated, within=1e-6, because=because, name=f"{name}: variance", over=over)


@laws_on_separated_caps_stay_and_collapse.figure
def collapse_of_laws(case: Case, ax: Any) -> Any:
    """Draw the variances within the caps against the bound of the theorem, in its window."""
    caps = two_caps(case)
    law, cap = laws_on_caps(case, caps)
    rate = caps.rate(case.instance["lambda over its bound"], len(caps.centres))
    window = case.statement.window(len(caps.centres), rate=rate, **caps.given)
    draw_collapse(case, ax, caps, window, law, lambda points: variances(points, np.asarray(law.weights), cap))
    ax.hlines(case.statement.spread(rate, caps.beta), *window, colors=THEORY, linestyles="--", label="theorem: at most")
    ax.set_ylabel("largest variance in a cap")
    ax.legend(loc="lower left")
    return ax


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
    stated = np.log(case.predict(n, **given))
    case.compare(measured, stated, within=1e-9, because=because, name="log of lambda where T_1 = T_2")


@collapse_comes_before_the_caps_are_left.figure
def two_times(case: Case, ax: Any) -> Any:
    """Draw the logarithms of T_1 and T_2 along lambda, and the bound where they meet."""
    n, given = case.instance["tokens"], {name: case.instance[name] for name in ("beta", "epsilon", "overlap")}
    bound = case.predict(n, **given)
    rates = bound * np.geomspace(0.1, 3.0, 80)
    times = np.log([theory.metastable_window(n, rate=float(rate), **given) for rate in rates])
    for values, name, colour in zip(times.T, (r"$\log T_1$", r"$\log T_2$"), ACCENT, strict=False):
        ax.semilogx(rates, values, color=colour, label=name)
    ax.axvline(bound, color=THEORY, ls="--", label=r"stated bound on $\lambda$")
    about = rf"$n = {n}$, $\beta = {given['beta']:.3g}$, $\epsilon = {given['epsilon']:.2g}$, "
    ax.set(xlabel=r"$\lambda$", ylabel="logarithm of a time", title=about + rf"$\alpha = {given['overlap']:.2g}$")
    ax.legend()
    return ax


@collapse_comes_before_the_caps_are_left.mutation
def reciprocal_as_printed(n: int, *, beta: float, epsilon: float, overlap: float) -> float:
    """The printed form: the middle factor stands upside down."""
    share = (beta - 1.0) * epsilon / (beta**2 * n * n * np.e)
    return theory.bounds_of_collapse(n, beta=beta, epsilon=epsilon, overlap=overlap)[0] / share**2


@collapse_comes_before_the_caps_are_left.mutation
def one_n_lost(n: int, **given: float) -> float:
    """n stands where n^2 belongs."""
    return n * theory.bounds_of_collapse(n, **given)[0]


def overlap_of_rims(epsilon: float, turn: float) -> float:
    """Return the largest inner product of the rims of two caps of size 2 epsilon, about e_1 and e_2."""
    around = 2 * np.pi * (np.arange(720) + turn) / 720
    height, side = 1.0 - 2.0 * epsilon, 2.0 * np.sqrt(epsilon * (1.0 - epsilon))
    rim = np.stack([np.full(720, height), side * np.cos(around), side * np.sin(around)], axis=1)
    return float((rim @ rim[:, [1, 0, 2]].T).max())


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
    measured = overlap_of_rims(epsilon, case.draw("turn", 0.0, 1.0))
    stated = case.predict(epsilon)
    because, within = "3 epsilon from the next order and 1e-5 from 720 points on a rim", max(1e-3, 6.0 * epsilon)
    case.compare(measured / stated, 1.0, within=within, because=because, name="overlap over the stated one")
    case.at_most(measured, stated, within=1e-9, because="rounding", name="overlap of two caps")


@caps_about_a_frame_overlap_by_the_root.figure
def overlaps(case: Case, ax: Any) -> Any:
    """Draw the overlap of two caps against their size."""
    sizes = case.instance["epsilon"] * np.geomspace(0.01, 100.0, 25)
    found = [overlap_of_rims(float(size), case.instance["turn"]) for size in sizes]
    ax.loglog(sizes, found, "o", color=ACCENT[0], ms=5, label="largest inner product of the rims")
    ax.loglog(sizes, case.predict(sizes), "--", color=THEORY, label="stated")
    ax.set(xlabel=r"$\epsilon$", ylabel="overlap", title="caps of size $2\\epsilon$ about orthogonal centres")
    ax.legend()
    return ax


@caps_about_a_frame_overlap_by_the_root.mutation
def squares_as_printed(epsilon: float) -> float:
    """The printed form: epsilon^2 + 2 epsilon, without the root."""
    return epsilon**2 + 2.0 * epsilon


@caps_about_a_frame_overlap_by_the_root.mutation
def caps_of_size_epsilon(epsilon: float) -> float:
    """The caps have size epsilon, not 2 epsilon."""
    return 4.0 * np.sqrt(epsilon / 2.0)

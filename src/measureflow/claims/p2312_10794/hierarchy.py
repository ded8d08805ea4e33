"""The hierarchy of laws on the circle: the law of two tokens moves with a velocity that holds that of a third."""

from __future__ import annotations

from typing import Any

import numpy as np

from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.runge_kutta import classical_step
from measureflow.paths.style import ACCENT, THEORY

__all__ = ["evolved", "moved", "pull", "pulls"]

#: replicas by tier, those moved at once (their pairs stay near the core), sines in a fit of g, and bins
REPLICAS, AT_ONCE, SINES, BINS = {"smoke": 100_000, "standard": 200_000, "full": 400_000}, 500, 10, 4096
#: the waves whose means are compared
WAVES = np.arange(1, 4)


def pull(x: Any, beta: float) -> np.ndarray:
    """Return -h'(x)/beta = e^(beta cos x) sin x."""
    return np.exp(beta * np.cos(x)) * np.sin(x)


def pulls(theta: np.ndarray, beta: float) -> np.ndarray:
    """Return `pull(theta_i - theta_j)` of all pairs of each replica."""
    c, s = np.cos(theta), np.sin(theta)
    cosine = c[:, :, None] * c[:, None] + s[:, :, None] * s[:, None]
    return np.exp(beta * cosine) * (s[:, :, None] * c[:, None] - c[:, :, None] * s[:, None])


def moved(theta: np.ndarray, beta: float) -> np.ndarray:
    """Return the USA velocity of each token of each replica on the circle."""
    return -pulls(theta, beta).mean(axis=2)


def evolved(theta: np.ndarray, beta: float, until: float, steps: int) -> np.ndarray:
    """Follow all replicas by the classical pair of order 4."""
    parts = []
    for first in range(0, len(theta), AT_ONCE):
        part = theta[first : first + AT_ONCE]
        for _ in range(steps):
            part = classical_step(lambda x: moved(x, beta), part, until / steps)
        parts.append(part)
    return np.concatenate(parts)


def pairs(theta: np.ndarray, beta: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of all pairs their difference x, its velocity, and the mean of pull(theta_3 - theta_1) over third tokens.

    The pair (1, 2) and its mirror image (-2, -1) have the same x and are of the same law: the mean is over both.
    """
    n = theta.shape[1]
    one, two = np.triu_indices(n, 1)
    x = theta[:, two] - theta[:, one]
    total = pulls(theta, beta).sum(axis=2)
    third = (total[:, two] - total[:, one] - 2 * pull(x, beta)) / (2 * (n - 2))
    return x, (total[:, one] - total[:, two]) / n, third


#: the middles of the bins of x
PLACES = 2 * np.pi * (np.arange(BINS) + 0.5) / BINS


def sines(x: np.ndarray) -> np.ndarray:
    """Return sin(jx), j = 1, 2, ..., along a last axis: g is odd."""
    return np.sin(x[..., None] * np.arange(1, SINES + 1))


def binned(x: np.ndarray) -> np.ndarray:
    """Return the bins of differences."""
    return np.floor(x.ravel() % (2 * np.pi) * (BINS / (2 * np.pi))).astype(int) % BINS


def law(theta: np.ndarray, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the law psi of a difference, by bins, and psi times the mean of the third token's pull there."""
    psi, third_of = np.zeros(BINS), np.zeros(BINS)
    for first in range(0, len(theta), AT_ONCE):
        x, _, third = pairs(theta[first : first + AT_ONCE], beta)
        where = binned(x)
        psi += np.bincount(where, minlength=BINS)
        third_of += np.bincount(where, third.ravel(), minlength=BINS)
    return psi / psi.sum(), third_of / psi.sum()


def fitted(theta: np.ndarray, beta: float) -> np.ndarray:
    """Return g/beta in the bins, fitted by sines with weights psi."""
    psi, third_of = law(theta, beta)
    rows = sines(PLACES)
    return rows @ np.linalg.solve(rows.T * psi @ rows, rows.T @ third_of)


def speeds_of_waves(theta: np.ndarray, beta: float, fit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return d/dt E cos(kx), and the standard error of a mean over replicas of what a third token adds to the fit."""
    n, rates, rests = theta.shape[1], [], []
    for first in range(0, len(theta), AT_ONCE):
        x, speed, third = pairs(theta[first : first + AT_ONCE], beta)
        waves = -WAVES * np.sin(x[..., None] * WAVES)
        rest = 2 * (n - 2) / n * (third - fit[binned(x)].reshape(x.shape))
        rates.append((waves * speed[..., None]).mean(axis=1))
        rests.append((waves * rest[..., None]).mean(axis=1))
    return np.concatenate(rates).mean(axis=0), np.concatenate(rests).std(axis=0) / np.sqrt(len(theta))


def runs(seed: int, n: int, beta: float, replicas: int) -> tuple[float, list[np.ndarray]]:
    """Return a step and the replicas before it, half-way and after it, from independent uniform tokens."""
    start = np.random.default_rng(seed).uniform(0, 2 * np.pi, (replicas, n))
    states, step = [evolved(start, beta, 4.5 * n / (2 * np.exp(beta)), 12)], 0.2
    for _ in range(2):
        states.append(evolved(states[-1], beta, step / 2, 1))
    return step, states


@claim(
    "2312.10794",
    "Problem 4, first equation of the hierarchy",
    covers=["3.4"],
    status="derived",
    tier="standard",
    states=lambda slope, g, n, beta: 2 / (beta * n) * slope - 2 * (n - 2) / (beta * n) * g,
)
def the_law_of_two_tokens_moves_with_the_mean_of_a_third(case: Case) -> None:
    """For independent uniform tokens on the circle under USA the law psi of theta_2 - theta_1 obeys
    d_t psi + d_x(v psi) = 0 with v = 2/(beta n) h'(x) - 2(n-2)/(beta n) g(t, x), g = E[-h'(theta_3) | 0, x].

    g is fitted, as a sum of sines, on one half of the replicas. On the other half d/dt E cos(kx) is compared with
    -k E[sin(kx) v(x)], and E cos(kx) a time later with that of the old differences carried along by v. Fewer replicas
    do not tell n - 1 from n - 2.
    """
    n, beta = case.choose("n", [4, 6, 9]), case.draw("beta", 0.9, 1.2)
    replicas = case.given("replicas", REPLICAS[case.tier])
    case.require("there is a third token, and beta is not 0", n >= 3 and beta != 0)
    step, states = case.measure(runs, case.seed, n, beta, replicas)
    fits = [case.measure(fitted, theta[: replicas // 2], beta) for theta in states]
    others = [theta[replicas // 2 :] for theta in states]
    found, error = case.measure(speeds_of_waves, others[0], beta, fits[0])
    psi, later = (case.measure(law, theta, beta)[0] for theta in others[::2])
    slope = -beta * pull(PLACES, beta)
    v = [case.predict(slope, beta * fit, n, beta) for fit in fits]

    def at(x: np.ndarray, k: int) -> np.ndarray:
        return np.interp(x, PLACES, v[k], period=2 * np.pi)

    because = "eight standard errors of a third token about its fit, of either half of the replicas"
    within = 8 * np.sqrt(2) * error
    stated = psi @ (-WAVES * np.sin(np.outer(PLACES, WAVES)) * v[0][:, None])
    case.compare(found, stated, within=within, because=because, name="d/dt E cos kx", over={"k": WAVES})
    # the classical step, whose stages see g at the three times
    one = v[0]
    two = at(PLACES + step / 2 * one, 1)
    three = at(PLACES + step / 2 * two, 1)
    there = PLACES + step / 6 * (one + 2 * two + 2 * three + at(PLACES + step * three, 2))
    waves, carried = np.cos(np.outer(PLACES, WAVES)), np.cos(np.outer(there, WAVES))
    because = "the same, times the step"
    # old and new differences are of the same replicas: what is left is what the third token added on the way
    case.compare(
        later @ waves,
        psi @ carried,
        within=within * step,
        because=because,
        name="E cos kx, carried along",
        over={"k": WAVES},
    )


@the_law_of_two_tokens_moves_with_the_mean_of_a_third.figure
def velocity_of_a_difference(case: Case, ax: Any) -> None:
    """Draw the stated velocity of a difference x, with its parts: of the pair itself, and of a third token."""
    n, beta, replicas = (case.instance[name] for name in ("n", "beta", "replicas"))
    _, states = case.measure(runs, case.seed, n, beta, replicas)
    fit, slope = case.measure(fitted, states[0][: replicas // 2], beta), -beta * pull(PLACES, beta)
    psi, third_of = case.measure(law, states[0][replicas // 2 :], beta)
    bins = slice(BINS // 64, None, BINS // 32)
    seen = third_of[bins] / np.maximum(psi[bins], 1e-300)
    ax.plot(PLACES[bins], case.predict(0 * slope[bins], beta * seen, n, beta), "o", color=ACCENT[1], ms=5, mfc="none",
            label="of third tokens, measured")  # fmt: skip
    ax.plot(PLACES, case.predict(0 * slope, beta * fit, n, beta), color=ACCENT[1], label="the same, fitted")
    ax.plot(PLACES, case.predict(slope, 0 * fit, n, beta), color=ACCENT[0], label="of the pair")
    ax.plot(PLACES, case.predict(slope, beta * fit, n, beta), "--", color=THEORY, label="stated velocity $v(x)$")
    head = rf"$n={n}$, $\beta={beta:.2f}$, {replicas:,} replicas"
    ax.set(xlabel=r"difference $x=\theta_2-\theta_1$", ylabel="velocity", title=head)
    ax.legend()


hierarchy = the_law_of_two_tokens_moves_with_the_mean_of_a_third


@hierarchy.mutation
def one_token_too_many(slope: Any, g: Any, n: int, beta: float) -> Any:
    """n - 1 for n - 2: the second token is counted among the third ones."""
    return 2 / (beta * n) * slope - 2 * (n - 1) / (beta * n) * g


@hierarchy.mutation
def factor_two_lost(slope: Any, g: Any, n: int, beta: float) -> Any:
    """The first token stays where it is: the factor 2 is lost."""
    return 1 / (beta * n) * slope - (n - 2) / (beta * n) * g


@hierarchy.mutation
def sign_of_the_third(slope: Any, g: Any, n: int, beta: float) -> Any:
    """The third token's mean has the other sign."""
    return 2 / (beta * n) * slope + 2 * (n - 2) / (beta * n) * g

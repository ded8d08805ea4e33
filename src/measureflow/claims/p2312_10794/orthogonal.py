"""How long orthogonal tokens wait, and how fast they come together then: the bounds of the proof."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import N, follow, gaps
from measureflow.paths.style import ACCENT, MUTED, THEORY


@claim(
    "2312.10794",
    "after (6.7) and (6.9), bounds",
    covers=["3.2", "Thm 6.8"],
    id="2312.10794/equiangular-bounds",
    states={
        "wait": lambda n, beta: n * np.exp(beta) / 2,
        "wait_usa": lambda n, beta: n / 2,
        "rate": lambda n, beta: n / (n + np.exp(beta / 2)),
        "rate_usa": lambda n, beta: np.exp(beta / 2),
    },
)
def orthogonal_tokens_have_half_met_after_a_bounded_wait(case: Case) -> None:
    """From gamma(0) = 0 the common cosine is at least 1/2 at t = n e^beta/2 (USA: n/2), and 1 - gamma falls at least at
    the rate n/(n + e^(beta/2)) (USA: e^(beta/2)) from where it is 1/2."""
    n, beta = case.given("n", N), case.draw("beta", 4.5, 5.0)
    because = "rtol 1e-8; a bound"
    parts = {
        "SA": ("softmax", case.statement.wait(n, beta), case.statement.rate(n, beta)),
        "USA": ("unnormalised", case.statement.wait_usa(n, beta), case.statement.rate_usa(n, beta)),
    }
    for name, (weighting, wait, rate) in parts.items():
        times, gap = gap_of_orthogonal_tokens(case, weighting, n, beta)
        half = float(np.interp(wait, times, gap))  # beyond the last time, what it was then
        case.at_most(half, 0.5, within=5e-3, because=because, name=f"{name}: gap after the wait")
        begun = int(np.argmax(gap <= 0.5))
        seen = slice(begun, max(int(np.argmax(gap < 1e-4)), begun + 2))
        fallen = np.log(gap[seen] / gap[begun])
        stated = -rate * (times[seen] - times[begun])
        name, over = f"{name}: logarithm of the gap", {"t": times[seen]}
        case.at_most(fallen, stated, within=1e-3, because=because, name=name, over=over)


def gap_of_orthogonal_tokens(case: Case, weighting: str, n: int, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Return times until the gap 1 - rho of n orthogonal tokens is below 1e-4, and the gap, which only falls."""
    # a sixth of the wait at a large beta
    wait = n * np.exp(beta) / 2 if weighting == "softmax" else n / 2
    met = float(theory.clustering_time(beta, n=n, delta=5e-5, model=weighting))
    last = max(0.15 * wait, met)
    times = np.concatenate([[0.0], np.geomspace(0.01 * last, last, 80)])
    half = float(theory.clustering_time(beta, n=n, delta=0.5, model=weighting))
    if not ((times > half) & (times < met)).any():  # under USA at a large beta
        times = np.sort(np.append(times, np.linspace(half, met, 20)))
    tokens, field = mf.equiangular(n=n, cosine=0.0), mf.SelfAttention(beta, weighting=weighting)
    return times, gaps(follow(case, tokens, field, times, rtol=1e-8))


@orthogonal_tokens_have_half_met_after_a_bounded_wait.figure
def wait_and_collapse(case: Case, ax: Any) -> None:
    """Draw the gap of SA on its way, the bound of the wait, and the slowest that it may fall after it."""
    n, beta = case.instance["n"], case.instance["beta"]
    times, gap = gap_of_orthogonal_tokens(case, "softmax", n, beta)
    wait, rate = case.statement.wait(n, beta), case.statement.rate(n, beta)
    ax.loglog(times[gap > 1e-4], gap[gap > 1e-4], "-", color=ACCENT[0], label="tokens under SA")
    later = np.linspace(wait, wait + 3.0 / rate, 50)
    ax.axhline(0.5, ls=":", color=MUTED)
    ax.plot(later, 0.5 * np.exp(-rate * (later - wait)), "--", color=THEORY, label=r"latest by the bounds")
    ax.plot([wait], [0.5], "v", color=THEORY, ms=8)
    ax.set(xlabel="time $t$", ylabel=r"gap $1-\gamma$", title=rf"$n={n}$, $\beta={beta:.2f}$")
    ax.legend()


@orthogonal_tokens_have_half_met_after_a_bounded_wait.mutation("wait")
def wait_without_temperature(n: int, beta: float) -> float:
    """e^beta is lost, as in the clock of USA."""
    return n / 2


@orthogonal_tokens_have_half_met_after_a_bounded_wait.mutation("wait_usa")
def temperature_twice(n: int, beta: float) -> float:
    """e^(-beta) too much: as if the wait were that of the shifted kernel and the clock not."""
    return float(n * np.exp(-beta) / 2)


@orthogonal_tokens_have_half_met_after_a_bounded_wait.mutation("rate")
def local_rate_from_the_start(n: int, beta: float) -> float:
    """The rate at consensus is given for the whole way."""
    return 2.0


@orthogonal_tokens_have_half_met_after_a_bounded_wait.mutation("rate_usa")
def exponent_at_consensus(n: int, beta: float) -> float:
    """e^beta in place of e^(beta/2)."""
    return float(2 * np.exp(beta))

"""How long orthogonal tokens wait, and how fast they come together then: the bounds of the proof."""

from __future__ import annotations

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import N, follow, gaps


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
    beta = case.draw("beta", 4.5, 5.0)
    frame = mf.equiangular(n=N, cosine=0.0)
    because = "rtol 1e-8; a bound"
    parts = {
        "SA": ("softmax", case.statement.wait(N, beta), case.statement.rate(N, beta)),
        "USA": ("unnormalised", case.statement.wait_usa(N, beta), case.statement.rate_usa(N, beta)),
    }
    for name, (weighting, wait, rate) in parts.items():
        # to a sixth of the wait: the gap only falls, and is below 1e-4 by then
        last = 0.15 * (N * np.exp(beta) / 2 if name == "SA" else N / 2)
        times = np.concatenate([[0.0], np.geomspace(0.01 * last, last, 80)])
        gap = gaps(follow(case, frame, mf.SelfAttention(beta, weighting=weighting), times, rtol=1e-8))
        half = float(np.interp(wait, times, gap))  # beyond the last time, what it was then
        case.at_most(half, 0.5, within=5e-3, because=because, name=f"{name}: gap after the wait")
        begun = int(np.argmax(gap <= 0.5))
        seen = slice(begun, max(int(np.argmax(gap < 1e-4)), begun + 2))
        fallen = np.log(gap[seen] / gap[begun])
        stated = -rate * (times[seen] - times[begun])
        case.at_most(fallen, stated, within=1e-3, because=because, name=f"{name}: logarithm of the gap")


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

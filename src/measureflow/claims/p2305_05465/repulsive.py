"""Repulsion without a layer norm: all tokens fall to the origin, more slowly than any exponential."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import follow, speeds
from measureflow.claims.p2305_05465.hulls import TOKENS, D, box
from measureflow.paths.style import ACCENT, THEORY


@claim(
    "2305.05465",
    "Theorem C.5",
    covers=["C.5"],
    status="derived",
    states={
        "value": lambda: -1.0,
        "log_variance": lambda t: -np.log(2 * t),
        "speed": lambda t, n, d: n * d / (8 * t**3),
    },
    id="2305.05465/C.5",
)
def repelled_tokens_fall_to_the_origin(case: Case) -> None:
    r"""With V = -I and Q^T K = I the tokens go to 0, and the integral of |x'|^2 is finite.

    How fast is derived here: near 0 the weights are uniform to first order, the mean dies like e^-t, and what is left
    obeys x_i' = -C x_i with C the second moments; so C' = -2 C^2, every eigenvalue of C falls like 1/(2t), and
    sum |x_i'|^2 like n d/(8 t^3).
    """
    time, n, d, b = case.given("t", 4000.0), case.given("n", TOKENS), case.given("d", D), case.draw("form", 0.7, 1.5)
    case.require("there are more tokens than dimensions, and a form", n > d >= 1 and b > 0)
    spread = np.cov(np.asarray(box(case, n=n, d=d).points).T, bias=True)
    least = float(np.linalg.eigvalsh(np.atleast_2d(spread)).min())
    case.require(
        "the time is long, also by the direction in which tokens spread least", b * time * min(least, 0.1) >= 30
    )
    x = falling(case, n, d, b, np.array([time]))[0]
    moments = np.linalg.eigvalsh(x.T @ x / n)
    rest = np.log(time) / time
    because = f"what is left of the beginning and of the next order, log(t)/t = {rest:.2g} at t = {time:g}"
    within, stated = max(0.03, 14 * rest), case.statement.log_variance(time)
    name, over = "log of b times an eigenvalue of C", {"eigenvalue, in order": np.arange(1, d + 1)}
    case.compare(np.log(moments * b), stated, within=within, because=because, name=name, over=over)
    speed = (speeds(case, mf.SelfAttention(b, value=-1.0), mf.Tokens(mf.Euclidean(d), x)) ** 2).sum() * b
    stated, within = case.statement.speed(time, n, d), max(0.06, 28 * rest)
    case.compare(speed, stated, within=within, relative=True, because=because, name="b sum |x'|^2")


def falling(case: Case, n: int, d: int, b: float, times: np.ndarray) -> np.ndarray:
    """Return where tokens of the cube are at some times under V = -I, as it is stated."""
    return follow(case, box(case, n=n, d=d), mf.SelfAttention(b, value=case.statement.value()), times, rtol=1e-9)


@repelled_tokens_fall_to_the_origin.figure
def moments_over_time(case: Case, ax: Any) -> None:
    """Draw the eigenvalues of the second moments over time, and the power that is stated."""
    n, d, b, until = (case.instance[name] for name in ("n", "d", "form", "t"))
    times = np.geomspace(0.1, until, 40)
    x = falling(case, n, d, b, times)
    ax.loglog(times, b * np.linalg.eigvalsh(np.swapaxes(x, 1, 2) @ x / n), "o", color=ACCENT[0], ms=4)
    ax.plot([], [], "o", color=ACCENT[0], ms=4, label="eigenvalues of $bC$")
    late = times[times > 0.5]
    ax.plot(late, np.exp(case.statement.log_variance(late)), "--", color=THEORY, label="$1/(2t)$")
    ax.set(xlabel="time $t$", ylabel="second moments", title=f"$V=-I$, $Q^\\top K={b:.2f}\\,I$, $n={n}$, $d={d}$")
    ax.legend()


@repelled_tokens_fall_to_the_origin.mutation("log_variance")
def twice_as_wide(t: float) -> float:
    """The factor 2 of C' = -2 C^2 is lost."""
    return -np.log(t)


@repelled_tokens_fall_to_the_origin.mutation("log_variance")
def like_the_mean(t: float) -> float:
    """Everything falls like the mean, e^-t."""
    return -t


@repelled_tokens_fall_to_the_origin.mutation("speed")
def speed_not_integrable(t: float, n: int, d: int) -> float:
    """The squared speed falls like 1/t, whose integral is infinite."""
    return n * d / (8 * t)

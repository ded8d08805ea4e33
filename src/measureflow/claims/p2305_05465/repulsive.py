"""Repulsion without a layer norm: all tokens fall to the origin, more slowly than any exponential."""

from __future__ import annotations

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import follow, speeds
from measureflow.claims.p2305_05465.hulls import TOKENS, D, box


@claim(
    "2305.05465",
    "Theorem C.5",
    covers=["C.5"],
    status="derived",
    states={
        "value": lambda: -1.0,
        "log_variance": lambda t: -np.log(2 * t),
        "speed": lambda t: TOKENS * D / (8 * t**3),
    },
    id="2305.05465/C.5",
)
def repelled_tokens_fall_to_the_origin(case: Case) -> None:
    r"""With V = -I and Q^T K = I the tokens go to 0, and the integral of |x'|^2 is finite.

    How fast is derived here: near 0 the weights are uniform to first order, the mean dies like e^-t, and what is left
    obeys x_i' = -C x_i with C the second moments; so C' = -2 C^2, every eigenvalue of C falls like 1/(2t), and
    sum |x_i'|^2 like n d/(8 t^3).
    """
    time, b = 4000.0, case.draw("form", 0.7, 1.5)
    field = mf.SelfAttention(b, value=case.statement.value())
    x = follow(case, box(case), field, np.array([time]), rtol=1e-9)[0]
    moments = np.linalg.eigvalsh(x.T @ x / TOKENS)
    because = "what is left of the beginning and of the next order, log(t)/t = 2e-3 at t = 4000"
    case.compare(np.log(moments * b), case.statement.log_variance(time), within=0.03, because=because, name="log C")
    speed = (speeds(case, mf.SelfAttention(b, value=-1.0), mf.Tokens(mf.Euclidean(D), x)) ** 2).sum() * b
    case.compare(speed, case.statement.speed(time), within=0.06, relative=True, because=because, name="sum |x'|^2")


@repelled_tokens_fall_to_the_origin.mutation("log_variance")
def twice_as_wide(t: float) -> float:
    """The factor 2 of C' = -2 C^2 is lost."""
    return -np.log(t)


@repelled_tokens_fall_to_the_origin.mutation("log_variance")
def like_the_mean(t: float) -> float:
    """Everything falls like the mean, e^-t."""
    return -t


@repelled_tokens_fall_to_the_origin.mutation("speed")
def speed_not_integrable(t: float) -> float:
    """The squared speed falls like 1/t, whose integral is infinite."""
    return TOKENS * D / (8 * t)

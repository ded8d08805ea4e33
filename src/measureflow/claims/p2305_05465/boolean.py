"""On the line attention becomes Boolean: every token but one ends by looking at one of the two outermost."""

from __future__ import annotations

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import follow

#: tokens on the line
TOKENS = 6


def gaps_on_the_line(x: np.ndarray, log_factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Return for each row of scores `x_i x_j` the place of the largest, and the logarithm of its gap to the next."""
    scores = np.outer(x, x)
    top = scores.argmax(axis=1)
    # differences of tokens first: those that have met keep their digits
    away = np.abs(x[:, None] * (x[top][:, None] - x[None, :]))
    away[np.arange(len(x)), top] = np.inf
    return top, log_factor + np.log(away.min(axis=1))


@claim(
    "2305.05465",
    "Theorem 2.1",
    covers=["T2.1", "P2.b", "V24"],
    status="derived",
    states={
        "rate": lambda v, _first, _last: v,
        "places": lambda x: {int(x.argmin()), int(x.argmax())},
        "most": lambda: 3,
    },
    id="2305.05465/T2.1",
)
def attention_on_the_line_becomes_boolean_doubly_exponentially(case: Case) -> None:
    """For d = 1, V > 0, QK > 0 all rows but one tend to the outermost tokens, and log(-log(1 - max_j P_ij)) grows at V.

    The rate is derived here: gaps between tokens that attend alike become constant, and are multiplied by a token of
    size e^(Vt). The worst row is left out, as the theorem allows one; with it the matrix has rank 3 at most.
    """
    v, b = case.draw("value", 1.4, 2.2), case.draw("form", 0.5, 2.0)
    points = case.generator("tokens").uniform(-3, 3, (TOKENS, 1))
    points[:2] = np.array([[1.0], [-1.0]]) * np.maximum(
        np.abs(points[:2]), 1.5
    )  # neither side is drawn over to the other
    start = mf.Tokens(mf.Euclidean(1), points)
    times = np.array([9.0, 12.0]) / v
    field = mf.RescaledAttention(value=v, query=b)
    first, last = follow(case, start, field, times, rtol=1e-11)[..., 0]
    (_, early), (top, late) = (
        gaps_on_the_line(x, np.log(b) + 2 * v * t) for x, t in zip((first, last), times, strict=True)
    )
    kept = np.argsort(late)[1:]  # the worst row looks at two tokens, perhaps for ever
    slope = np.median(((late - early) / (times[1] - times[0]))[kept])
    because = "corrections of e^(-Vt) = 1e-4 at the first time"
    case.compare(slope, case.statement.rate(v, *times), within=0.02, because=because, name="rate")
    astray = sum(int(k) not in case.statement.places(np.asarray(start.points)[:, 0]) for k in top[kept])
    because = "a number of rows"
    case.compare(astray, 0, within=0.05, because=because, name="rows that look at no outermost token")
    matrix = mf.observe.attention(mf.Tokens(mf.Euclidean(1), last[:, None]), field.at(times[1]))
    rank = int(mf.observe.numerical_rank(matrix))
    case.at_most(rank, case.statement.most(), within=0.05, because="a rank", name="rank of the matrix")


@attention_on_the_line_becomes_boolean_doubly_exponentially.mutation("rate")
def rate_of_the_logits(v: float, _first: float, _last: float) -> float:
    """The logits' own rate 2V is taken: tokens that attend alike would stay apart in proportion."""
    return 2 * v


@attention_on_the_line_becomes_boolean_doubly_exponentially.mutation("rate")
def simply_exponential(v: float, first: float, last: float) -> float:
    """The entries converge exponentially once, like e^(-Vt)."""
    return float(np.log(last / first) / (last - first))


@attention_on_the_line_becomes_boolean_doubly_exponentially.mutation("rate")
def value_forgotten(_v: float, _first: float, _last: float) -> float:
    """V is taken for 1."""
    return 1.0


@attention_on_the_line_becomes_boolean_doubly_exponentially.mutation("places")
def innermost_tokens(x: np.ndarray) -> set[int]:
    """Tokens look at those nearest to 0."""
    return {int(np.abs(x).argmin())}


@attention_on_the_line_becomes_boolean_doubly_exponentially.mutation("most")
def one_row_for_all() -> int:
    """All rows are alike: rank 1, as if all tokens looked at one."""
    return 1

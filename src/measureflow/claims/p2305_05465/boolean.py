"""On the line attention becomes Boolean: every token but one ends by looking at one of the two outermost."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import follow
from measureflow.paths.style import ACCENT, INK, THEORY

#: tokens on the line, and the kinds of starts whose last rows are looked at
TOKENS, KINDS = 6, ("positive", "both signs", "tie")


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
    n, v, b = case.given("n", TOKENS), case.draw("value", 1.4, 2.2), case.draw("form", 0.5, 2.0)
    case.require("V and QK are positive", min(v, b) > 0)
    case.require("there are four tokens and more: of three one stands alone, and decides twice as fast", n >= 4)
    start, times = on_a_line(case, n), np.array([9.0, 12.0]) / v
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


def on_a_line(case: Case, n: int) -> mf.Tokens:
    """Draw tokens on the line, so that neither side is drawn over to the other."""
    points = case.generator("tokens").uniform(-3, 3, (n, 1))
    points[:2] = np.array([[1.0], [-1.0]]) * np.maximum(np.abs(points[:2]), 1.5)
    return mf.Tokens(mf.Euclidean(1), points)


@attention_on_the_line_becomes_boolean_doubly_exponentially.figure
def rows_over_time(case: Case, ax: Any) -> None:
    """Draw the logarithm of the gap of logits of each row, log(-log(1 - max_j P_ij)), and lines of slope V."""
    n, v, b = (case.instance[name] for name in ("n", "value", "form"))
    times = np.linspace(1.0, 12.0, 45) / v
    x = follow(case, on_a_line(case, n), mf.RescaledAttention(value=v, query=b), times, rtol=1e-11)[..., 0]
    seen = np.array([gaps_on_the_line(at, np.log(b) + 2 * v * t)[1] for at, t in zip(x, times, strict=True)])
    ax.plot(times, seen, color=ACCENT[0], lw=1.2)
    ax.plot([], [], color=ACCENT[0], lw=1.2, label="rows of attention")
    rate, half = case.statement.rate(v, times[0], times[-1]), times >= times[-1] / 2
    lines = seen[-1] - rate * (times[-1] - times[half])[:, None]
    ax.plot(times[half], lines, "--", color=THEORY)
    ax.plot([], [], "--", color=THEORY, label=f"slope $V={v:.2f}$")
    head = f"$n={n}$ tokens on the line, $QK={b:.2f}$"
    ax.set(xlabel="time $t$", ylabel=r"$\log(-\log(1-\max_jP_{ij}))$", title=head)
    ax.legend()


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


def started(case: Case, kind: str, n: int) -> np.ndarray:
    """Return where tokens start: all positive, of both signs, or three of which the middle one is at 0."""
    drawn = case.generator(f"tokens {kind}").uniform(0.5, 3.0, n)
    if kind == "positive":
        return drawn
    if kind == "both signs":  # neither side is drawn over to the other
        return np.concatenate([[1.5 + drawn[0] / 2, -1.5 - drawn[1] / 2], 2 * drawn[2:] - 3.5])
    return np.concatenate([(1.0 + drawn[0] / 2) * np.array([-1.0, 0.0, 1.0]), drawn[3:]])


def outermost(x: np.ndarray, kind: str) -> set[int]:
    """Return the tokens that are looked at in the end."""
    return {int(x.argmax())} if kind == "positive" else {int(x.argmin()), int(x.argmax())}


@claim(
    "2305.05465",
    "Theorem 2.1, rank and exceptional row",
    covers=["T2.1"],
    status="derived",
    states={
        "rank": lambda kind: {"positive": 1, "both signs": 2, "tie": 3}[kind],
        "undecided": lambda kind: int(kind == "tie"),
        "seen": outermost,
        "row": lambda: [1 / 3, 1 / 3, 1 / 3],
    },
    id="2305.05465/T2.1-rank",
)
def attention_on_the_line_ends_with_one_two_or_three_different_rows(case: Case) -> None:
    """For d = 1, V > 0, QK > 0 attention ends of rank 1 where all tokens are positive, of rank 2 where they have both
    signs, and no row is left out; from (-s, 0, s) the middle token stays at 0 with the row (1/3, 1/3, 1/3), of rank 3.

    The third is exceptional: between the tokens drawn to either side there is one start from which a token never
    decides. An error at this start grows like exp(c e^(2Vt)): it is looked at as soon as the others have decided, when
    their logits are 60 apart; the random starts at Vt = 15.
    """
    count, v, b = case.given("n", TOKENS), case.draw("value", 1.4, 2.2), case.draw("form", 0.5, 2.0)
    case.require("there are three tokens and more, and V, QK are positive", count >= 3 and min(v, b) > 0)
    for kind in KINDS:
        x, last, rows = rows_at_the_end(case, kind, count, v, b)
        n = len(rows)
        boolean = rows.max(axis=1) > 1 - 1e-6
        because = "a number of rows"
        rank = int(mf.observe.numerical_rank(rows))
        case.compare(rank, case.statement.rank(kind), within=0.05, because="a rank", name=f"rank, {kind}")
        undecided = case.statement.undecided(kind)
        case.compare((~boolean).sum(), undecided, within=0.05, because=because, name=f"undecided rows, {kind}")
        seen = np.isin(np.arange(n), rows.argmax(axis=1)[boolean])
        stated = np.isin(np.arange(n), list(case.statement.seen(x, kind)))
        name, over = f"who is looked at, {kind}", {"token": np.arange(1, n + 1)}
        case.compare(seen, stated, within=0.05, because="yes or no", name=name, over=over)
        if kind == "tie":
            because = "rounding of 1e-16, which grows by e^20 at most by then"
            case.compare(last[1], 0.0, within=1e-7, because=because, name="middle token")
            case.compare(rows[1], case.statement.row(), within=1e-6, because=because, name="its row")


ranks = attention_on_the_line_ends_with_one_two_or_three_different_rows


def rows_at_the_end(case: Case, kind: str, count: int, v: float, b: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where tokens start, where they end, and the matrix of their attention there."""
    n = 3 if kind == "tie" else count  # those beyond have no mass, so that all instances are of one shape
    masses, x = np.where(np.arange(count) < n, 1.0 / n, 0.0), started(case, kind, count)
    case.require("the logits at the tie are of order 1 at first", kind != "tie" or 0.5 < b * x[0] ** 2 < 20)
    field, start = mf.RescaledAttention(value=v, query=b), mf.Tokens(mf.Euclidean(1), x[:, None], masses)
    until = (15.0 if kind != "tie" else 0.5 * np.log(60.0 / (b * x[0] ** 2))) / v
    last = follow(case, start, field, until * np.array([0.5, 1.0]), rtol=1e-11)[-1]
    matrix = mf.observe.attention(mf.Tokens(mf.Euclidean(1), last, masses), field.at(until))
    return x[:n], last, np.asarray(matrix)[:n, :n]


@ranks.figure
def matrices_at_the_end(case: Case, ax: Any) -> None:
    """Draw the three matrices of attention side by side, tokens in order of their start."""
    count, v, b = (case.instance[name] for name in ("n", "value", "form"))
    left = 0.0
    for kind in KINDS:
        x, _, rows = rows_at_the_end(case, kind, count, v, b)
        order, n = np.argsort(x), len(x)
        place = (left, left + n, n, 0.0)
        ax.imshow(rows[order][:, order], extent=place, cmap="Purples", vmin=0, vmax=1, origin="upper", zorder=1)
        ax.plot([left, left + n, left + n, left, left], [0, 0, n, n, 0], color=INK, lw=1, zorder=2)
        ax.text(left, -0.25, f"{kind}\nrank {case.statement.rank(kind)}", va="bottom", fontsize=11)
        left += n + 1.5
    ax.set(xlim=(-0.5, left - 1), ylim=(count + 0.3, -2.2), xticks=[], yticks=[], aspect="equal")
    ax.set(xlabel="token that is looked at, from left to right", ylabel="token that looks")
    ax.set_title(f"attention at the end, $V={v:.2f}$, $QK={b:.2f}$")


@ranks.mutation("rank")
def exceptional_row_not_counted(kind: str) -> int:
    """Rank 2 from the tie too, as if the middle row were a mean of the others in the limit."""
    return 1 if kind == "positive" else 2


@ranks.mutation("rank")
def two_leaders_always(kind: str) -> int:
    """Rank 2 where all tokens are positive: the smallest leads as well."""
    return 3 if kind == "tie" else 2


@ranks.mutation("undecided")
def every_row_boolean(_kind: str) -> int:
    """The exceptional row is Boolean too."""
    return 0


@ranks.mutation("seen")
def both_ends(x: np.ndarray, _kind: str) -> set[int]:
    """The smallest token is looked at although it is positive."""
    return {int(x.argmin()), int(x.argmax())}


@ranks.mutation("row")
def outermost_alone() -> list[float]:
    """The middle token looks at the outermost ones only, not at itself."""
    return [1 / 2, 0.0, 1 / 2]

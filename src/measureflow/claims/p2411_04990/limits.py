"""Where causal tokens end: at the first one for V = I, and what is proved or conjectured for other values."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np
from scipy.linalg import expm

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import N, cloud, follow, gaps, masses, speeds
from measureflow.paths.style import ACCENT, MUTED, THEORY, shades

head = eqx.filter_jit(lambda field, mu: field.output(mu.points, mu))


@claim("2411.04990", "Theorem (V = I)", covers=["V27"], states=lambda points: points[0])
def causal_tokens_all_end_where_the_first_one_stands(case: Case) -> None:
    """Under causal attention with V = I and any Q, K every token converges to the place of the first one."""
    tokens, field = causal_texts(case)
    until = case.given("t", 120.0)
    points = follow(case, tokens, field, np.array([until]), rtol=1e-10)[-1]
    require_rest(case, points, field, until)
    limit = case.predict(np.asarray(tokens.points))
    because = (
        "deviations fall like e^(-t/2), to rounding at t = 120, after a wait that depends on the draw (40 mostly do)"
    )
    case.compare(points, limit, within=1e-6, because=because, name="coordinates of the tokens in the end")


def causal_texts(case: Case) -> tuple[mf.Tokens, mf.SelfAttention]:
    """Return tokens of the sphere, and causal attention with V = I and random Q, K."""
    n, d = case.given("n", N), case.given("d", 3)
    case.require("d >= 2, and beta is not negative", d >= 2 and n >= 1)
    query, key = case.generator("query and key").normal(size=(2, d, d)) / np.sqrt(d)
    beta = case.draw("beta", 0.2, 1.5)
    return cloud(case, n=n, d=d), mf.SelfAttention(beta, query=query, key=key, mask="causal")


def require_rest(case: Case, points: np.ndarray, field: mf.SelfAttention, until: float) -> None:
    """Require that tokens have come to rest, where a user's numbers may make them wait."""
    if case.unusual:
        tokens = mf.Tokens(mf.Sphere(points.shape[1]), points)
        speed = float(np.abs(speeds(case, field, tokens)).max())
        case.require("the tokens have come to rest by then", until >= 60.0 and speed < 1e-7)


@causal_tokens_all_end_where_the_first_one_stands.figure
def gathering_at_the_first(case: Case, ax: Any) -> Any:
    """Draw the distances of the tokens from the stated limit along time."""
    tokens, field = causal_texts(case)
    draw_gathering(case, ax, tokens, field, case.predict(np.asarray(tokens.points)), case.instance["t"])
    ax.set_title(rf"$n = {tokens.n}$, $d = {tokens.d}$, $\beta = {case.instance['beta']:.2f}$, random $Q$, $K$")
    return ax


def draw_gathering(
    case: Case, ax: Any, tokens: mf.Tokens, field: mf.SelfAttention, limit: np.ndarray, until: float
) -> None:
    """Draw the distances of all tokens from a limit, down to rounding."""
    times = np.linspace(0.0, until, 121)
    points = follow(case, tokens, field, times, rtol=1e-10)
    away = np.linalg.norm(points - limit, axis=-1)
    late = times[np.argmax(away.max(axis=1) < 1e-10) or -1]
    for k, shade in enumerate(shades(points.shape[1])):
        label = {0: "first token", 1: "second token", points.shape[1] - 1: "last token"}.get(k, "")
        if away[:, k].max() < 1e-11:  # it is there from the start
            continue
        ax.semilogy(times, np.where(away[:, k] > 1e-11, away[:, k], np.nan), color=shade, label=label)
    ax.semilogy(times, np.exp(-times / 2), "--", color=THEORY, label="$e^{-t/2}$")
    ax.set(xlabel="$t$", ylabel="distance from the stated limit", xlim=(0.0, max(late, 10.0)), ylim=(1e-11, 3.0))
    ax.legend()


@causal_tokens_all_end_where_the_first_one_stands.mutation
def the_last_token_leads(points: Any) -> Any:
    """The limit is the place of the last token: the mask is upside down."""
    return points[-1]


@causal_tokens_all_end_where_the_first_one_stands.mutation
def the_mean_leads(points: Any) -> Any:
    """The limit is the direction of the mean, as if all tokens were alike."""
    return points.mean(axis=0) / np.linalg.norm(points.mean(axis=0))


@causal_tokens_all_end_where_the_first_one_stands.mutation
def the_antipode_leads(points: Any) -> Any:
    """The limit is the antipode of the first token."""
    return -points[0]


@claim(
    "2411.04990", "local rate of the theorem", covers=["V8"], status="derived", states=theory.rates_at_causal_consensus
)
def the_second_causal_token_closes_at_its_share(case: Case) -> None:
    """Near consensus token 2 closes on token 1 at the rate 1 - a_2/(a_1 + a_2): 1/2 for equal masses."""
    beta = case.draw("beta", 0.0, 4.0)
    n, d = case.given("n", 8), case.given("d", 3)
    case.require("there are two tokens or more, and d >= 2", n >= 2 and d >= 2)
    weights = case.choose("equal masses", [True, False, False])
    weights = np.full(n, 1.0 / n) if weights else masses(case, n)
    tokens = cloud(case, n=n, d=d, angle=1e-3, weights=weights)
    times = np.linspace(0.0, 6.0, 13)
    points = follow(case, tokens, mf.SelfAttention(beta, mask="causal"), times)
    rate = -np.polyfit(times, 0.5 * np.log(gaps(points)), 1)[0]
    because = "corrections of relative order beta (1 - rho), below 1e-5, and rtol 1e-12 over a distance of 1e-5"
    within = 1e-4 * max(1.0, abs(beta) / 4.0)
    case.compare(rate, case.predict(weights)[0], within=within, relative=True, because=because, name="rate of token 2")


@the_second_causal_token_closes_at_its_share.figure
def closing(case: Case, ax: Any) -> Any:
    """Draw the distance of the second token from the first along time, and its stated rate."""
    n, d, beta = (case.instance[name] for name in ("n", "d", "beta"))
    weights = np.full(n, 1.0 / n) if case.instance["equal masses"] else masses(case, n)
    times = np.linspace(0.0, 6.0, 13)
    tokens = cloud(case, n=n, d=d, angle=1e-3, weights=weights)
    away = np.sqrt(2 * gaps(follow(case, tokens, mf.SelfAttention(beta, mask="causal"), times)))
    rate = float(case.predict(weights)[0])
    ax.semilogy(times, away, "o", color=ACCENT[0], label="$|x_2-x_1|$")
    ax.semilogy(times, away[0] * np.exp(-rate * times), "--", color=THEORY, label=f"stated rate {rate:.3f}")
    ax.set(xlabel="$t$", ylabel="distance of the first two", title=rf"$n = {n}$, $d = {d}$, $\beta = {beta:.2f}$")
    ax.legend()
    return ax


@the_second_causal_token_closes_at_its_share.mutation
def diagonal_lost(masses: Any) -> Any:
    """Tokens do not see themselves: token 2 is pulled by token 1 alone, at rate 1."""
    return np.ones(len(masses) - 1)


@the_second_causal_token_closes_at_its_share.mutation
def share_of_all_tokens(masses: Any) -> Any:
    """The denominator sums over all tokens, not over the prefix."""
    return 1.0 - np.asarray(masses)[1:]


@the_second_causal_token_closes_at_its_share.mutation
def rate_of_the_cosine(masses: Any) -> Any:
    """The rate of 1 - rho is given for that of the distance."""
    return 2.0 * theory.rates_at_causal_consensus(masses)


def unit(case: Case, name: str, d: int) -> np.ndarray:
    """Draw a matrix of norm 1."""
    matrix = case.generator(name).normal(size=(d, d))
    return matrix / np.linalg.norm(matrix, 2)


@claim(
    "2411.04990",
    "Conjecture 2",
    covers=["E13"],
    status="erratum",
    states=lambda point, top: top @ point / np.linalg.norm(top @ point),
)
def causal_tokens_gather_at_the_first_ones_shadow_in_the_top_space(case: Case) -> None:
    """With V = 1 on a plane L of R^4 and <Vz,z> < |z|^2 on its complement, which V preserves, causal tokens gather at
    the direction of x_1's projection on L, whatever Q and K."""
    tokens, field, first, top = shadows(case)
    until = case.given("t", 400.0)
    points = follow(case, tokens, field, np.array([until]), rtol=1e-10)[-1]
    require_rest(case, points, field, until)
    because = "deviations fall like e^(-t/2) or faster, after a wait that depends on the draw; a conjecture"
    limit = case.predict(first, top)
    case.compare(points, limit, within=1e-6, because=because, name="coordinates of the tokens in the end")


def shadows(case: Case) -> tuple[mf.Tokens, mf.SelfAttention, np.ndarray, np.ndarray]:
    """Return tokens, causal attention with V = 1 on L alone, the first token, and the projection on L."""
    n, d, k = case.given("n", N), case.given("d", 4), case.given("dimension of L", 2)
    case.require("L is a part of the space", 1 <= k < d and n >= 1)
    tokens = cloud(case, n=n, d=d)
    first = np.asarray(tokens.points)[0]
    columns = case.generator("axes").normal(size=(d, d))
    # the first axis of L is a tilt away from the first token
    beside = columns[:, 0] - (columns[:, 0] @ first) * first
    tilt = case.draw("tilt of L", 0.3, 1.2)
    columns[:, 0] = np.cos(tilt) * first + np.sin(tilt) * beside / np.linalg.norm(beside)
    axes, _ = np.linalg.qr(columns)
    top, rest = axes[:, :k] @ axes[:, :k].T, d - k
    low, turn = case.generator("lower values").uniform(-0.5, 0.3, rest), case.draw("turn", 0.5, 1.5)
    lower = np.diag(low) + turn * (np.eye(rest, k=1) - np.eye(rest, k=-1))
    case.require("<Vz,z> < |z|^2 on the complement", bool(np.linalg.eigvalsh(lower + lower.T).max() < 2.0))
    value = top + axes[:, k:] @ lower @ axes[:, k:].T
    case.require("the first token is not near the complement of L", float(np.linalg.norm(top @ first)) > 0.2)
    query, key = (case.draw(f"norm of {name}", 0.3, 1.0) * unit(case, name, d) for name in ("Q", "K"))
    field = mf.SelfAttention(case.draw("beta", 0.2, 1.0), query=query, key=key, value=value, mask="causal")
    return tokens, field, first, top


@causal_tokens_gather_at_the_first_ones_shadow_in_the_top_space.figure
def gathering_at_the_shadow(case: Case, ax: Any) -> Any:
    """Draw the distances of the tokens from the stated limit along time."""
    tokens, field, first, top = shadows(case)
    draw_gathering(case, ax, tokens, field, case.predict(first, top), case.instance["t"])
    k, beta = case.instance["dimension of L"], case.instance["beta"]
    ax.set_title(rf"$n = {tokens.n}$, $d = {tokens.d}$, $\dim L = {k}$, $\beta = {beta:.2f}$")
    return ax


@causal_tokens_gather_at_the_first_ones_shadow_in_the_top_space.mutation
def projection_on_the_complement_as_printed(point: Any, top: Any) -> Any:
    """The printed symbols: the projection on the complement of L."""
    rest = point - top @ point
    return rest / np.linalg.norm(rest)


@causal_tokens_gather_at_the_first_ones_shadow_in_the_top_space.mutation
def where_the_first_one_started(point: Any, top: Any) -> Any:
    """x_1 itself, as for V = I."""
    return point


@claim(
    "2411.04990",
    "Theorem (V = I), dimension",
    covers=["E13"],
    status="erratum",
    id="2411.04990/E13-dimension",
    states=lambda points: np.broadcast_to(points[0], points.shape) if points.shape[1] > 1 else points,
)
def causal_tokens_need_a_second_dimension_to_meet(case: Case) -> None:
    """The theorem needs d >= 2: on {-1, 1} no token moves, so those opposite to the first stay there, whatever Q, K
    and beta; for d = 3 all meet the first."""
    tokens, field = causal_texts(case)
    signs = np.where(np.arange(tokens.n) % 2 == 0, 1.0, -1.0)[:, None]
    query, key = case.generator("query and key").normal(size=(2, tokens.d, tokens.d)) / np.sqrt(tokens.d)
    flat = mf.SelfAttention(case.instance["beta"], query=query[:1, :1], key=key[:1, :1], mask="causal")
    # P_x of what the head puts out, by hand: the library's spheres begin at d = 2
    outputs = np.asarray(case.measure(head, flat, mf.Tokens(mf.Euclidean(1), signs)))
    speed = outputs - signs * (signs * outputs)
    measured = signs if np.abs(speed).max() < 1e-12 else np.full_like(signs, np.nan)
    because = "they have no tangent to move along"
    case.compare(measured, case.predict(signs), within=1e-6, because=because, name="tokens of {-1, 1} in the end",
                 over={"token": 1 + np.arange(tokens.n)[:, None]})  # fmt: skip
    until = case.given("t", 120.0)
    points = follow(case, tokens, field, np.array([until]), rtol=1e-10)[-1]
    require_rest(case, points, field, until)
    because = "deviations fall like e^(-t/2), to rounding at t = 120, after a wait that depends on the draw"
    stated, over = case.predict(np.asarray(tokens.points)), {"token": 1 + np.arange(tokens.n)[:, None]}
    case.compare(points, stated, within=1e-6, because=because, name="coordinates of the tokens in the end", over=over)


@causal_tokens_need_a_second_dimension_to_meet.figure
def meeting_or_not(case: Case, ax: Any) -> Any:
    """Draw the distances from the first token along time, and how far those of {-1, 1} stay from it."""
    tokens, field = causal_texts(case)
    signs = case.curves[0].measured
    draw_gathering(case, ax, tokens, field, np.asarray(tokens.points)[0], case.instance["t"])
    ax.axhline(np.abs(signs - signs[0]).max(), color=MUTED, ls=":", label=r"opposite tokens of $\{-1,1\}$")
    ax.set(
        title=rf"$n = {tokens.n}$, $d = {tokens.d}$ and $d = 1$, $\beta = {case.instance['beta']:.2f}$",
        ylim=(1e-11, 10),
    )
    ax.legend()
    return ax


@causal_tokens_need_a_second_dimension_to_meet.mutation
def any_dimension_as_printed(points: Any) -> Any:
    """The printed form: every token converges to the first, for any d."""
    return np.broadcast_to(points[0], points.shape)


@causal_tokens_need_a_second_dimension_to_meet.mutation
def nothing_moves_in_any_dimension(points: Any) -> Any:
    """Tokens stay where they are."""
    return points


@claim(
    "2411.04990",
    "the first token",
    covers=["7.1"],
    status="derived",
    id="2411.04990/first-token",
    states=lambda point, value, t: expm(t * value) @ point,
)
def the_first_token_follows_its_value_alone(case: Case) -> None:
    """Under a causal mask token 1 obeys x' = P_x V x, so it is the direction of e^(tV) x_1(0), whatever beta, and goes
    to the top eigenspace of V: shown for a symmetric V at t = 40."""
    n, d = case.given("n", N), case.given("d", 3)
    case.require("d >= 2, and there is a token", d >= 2 and n >= 1)
    tokens = cloud(case, n=n, d=d)
    first = np.asarray(tokens.points)[0]
    value = case.generator("value").normal(size=(d, d))
    axes, _ = np.linalg.qr(case.generator("axes").normal(size=(d, d)))
    until = case.draw("t", 0.5, 1.0)
    case.require("t is of order one", 0 < until <= 5)
    beta = case.draw("beta", 0.2, 1.0)
    field = mf.SelfAttention(beta, value=value, mask="causal")
    found = follow(case, tokens, field, np.array([until]), rtol=1e-10)[-1, 0]
    ahead = case.predict(first, value, until)
    case.compare(found, ahead / np.linalg.norm(ahead), within=1e-7, because="rtol 1e-10 over t = 1, speeds up to 3",
                 name="coordinates of token 1")  # fmt: skip
    # symmetric and with its values apart, so that the end is reached by then
    value, late = axes @ np.diag([1.0, *np.linspace(-0.5, -0.8, d - 1)]) @ axes.T, 40.0
    field = mf.SelfAttention(beta, value=value, mask="causal")
    found = follow(case, tokens, field, np.array([late]), rtol=1e-10)[-1, 0]
    ahead = case.predict(first, value, late)
    because = "e^-60; rtol 1e-10 of a flow that contracts"
    case.compare(
        found, ahead / np.linalg.norm(ahead), within=1e-7, because=because, name="coordinates of token 1 at t = 40"
    )
    case.compare(abs(found @ axes[:, 0]), 1.0, within=1e-7, because=because, name="cosine with the top eigenvector")


@the_first_token_follows_its_value_alone.figure
def way_of_the_first(case: Case, ax: Any) -> Any:
    """Draw the coordinates of the first token along time, and the direction of e^(tV) x_1(0)."""
    n, d, beta, until = (case.instance[name] for name in ("n", "d", "beta", "t"))
    tokens, value = cloud(case, n=n, d=d), case.generator("value").normal(size=(d, d))
    times = np.linspace(0.0, 3.0 * until, 31)
    found = follow(case, tokens, mf.SelfAttention(beta, value=value, mask="causal"), times, rtol=1e-10)[:, 0]
    first = np.asarray(tokens.points)[0]
    ahead = np.array([case.predict(first, value, t) for t in times])
    ahead = ahead / np.linalg.norm(ahead, axis=1, keepdims=True)
    for k, shade in enumerate(shades(d)):
        ax.plot(times, found[:, k], "o", ms=5, color=shade, label=f"coordinate {k + 1}")
        ax.plot(times, ahead[:, k], "--", color=THEORY, lw=1.4, label="" if k else r"$e^{tV}x_1(0)$, normalised")
    ax.set(xlabel="$t$", ylabel="first token", title=rf"$n = {n}$, $d = {d}$, $\beta = {beta:.2f}$")
    ax.legend()
    return ax


@the_first_token_follows_its_value_alone.mutation
def value_transposed(point: Any, value: Any, t: float) -> Any:
    """V is transposed."""
    return expm(t * value.T) @ point


@the_first_token_follows_its_value_alone.mutation
def one_layer_for_the_flow(point: Any, value: Any, t: float) -> Any:
    """I + tV in place of its exponential."""
    return point + t * value @ point

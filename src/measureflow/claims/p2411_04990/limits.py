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
from measureflow.claims.instances import N, cloud, follow, gaps, masses

head = eqx.filter_jit(lambda field, mu: field.output(mu.points, mu))


@claim("2411.04990", "Theorem (V = I)", covers=["V27"], states=lambda points: points[0])
def causal_tokens_all_end_where_the_first_one_stands(case: Case) -> None:
    """Under causal attention with V = I and any Q, K every token converges to the place of the first one."""
    query, key = case.generator("query and key").normal(size=(2, 3, 3)) / np.sqrt(3)
    field = mf.SelfAttention(case.draw("beta", 0.2, 1.5), query=query, key=key, mask="causal")
    tokens = cloud(case)
    points = follow(case, tokens, field, np.array([120.0]), rtol=1e-10)[-1]
    limit = case.predict(np.asarray(tokens.points))
    because = (
        "deviations fall like e^(-t/2), to rounding at t = 120, after a wait that depends on the draw (40 mostly do)"
    )
    case.compare(points, limit, within=1e-6, because=because)


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
    weights = case.choose("equal masses", [True, False, False])
    weights = np.full(8, 0.125) if weights else masses(case)
    tokens = cloud(case, angle=1e-3, weights=weights)
    times = np.linspace(0.0, 6.0, 13)
    points = follow(case, tokens, mf.SelfAttention(beta, mask="causal"), times)
    rate = -np.polyfit(times, 0.5 * np.log(gaps(points)), 1)[0]
    because = "corrections of relative order beta (1 - rho), below 1e-5, and rtol 1e-12 over a distance of 1e-5"
    case.compare(rate, case.predict(weights)[0], within=1e-4, relative=True, because=because)


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
    tokens = cloud(case, d=4)
    first = np.asarray(tokens.points)[0]
    columns = case.generator("axes").normal(size=(4, 4))
    # the first axis of L is a tilt away from the first token
    beside = columns[:, 0] - (columns[:, 0] @ first) * first
    tilt = case.draw("tilt of L", 0.3, 1.2)
    columns[:, 0] = np.cos(tilt) * first + np.sin(tilt) * beside / np.linalg.norm(beside)
    axes, _ = np.linalg.qr(columns)
    top = axes[:, :2] @ axes[:, :2].T
    low, turn = case.generator("lower values").uniform(-0.5, 0.3, 2), case.draw("turn", 0.5, 1.5)
    lower = np.diag(low) + turn * np.array([[0.0, 1.0], [-1.0, 0.0]])
    case.require("<Vz,z> < |z|^2 on the complement", bool(np.linalg.eigvalsh(lower + lower.T).max() < 2.0))
    value = top + axes[:, 2:] @ lower @ axes[:, 2:].T
    case.require("the first token is not near the complement of L", float(np.linalg.norm(top @ first)) > 0.2)
    query, key = (case.draw(f"norm of {name}", 0.3, 1.0) * unit(case, name, 4) for name in ("Q", "K"))
    field = mf.SelfAttention(case.draw("beta", 0.2, 1.0), query=query, key=key, value=value, mask="causal")
    points = follow(case, tokens, field, np.array([400.0]), rtol=1e-10)[-1]
    because = "deviations fall like e^(-t/2) or faster, after a wait that depends on the draw; a conjecture"
    case.compare(points, case.predict(first, top), within=1e-6, because=because)


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
    query, key = case.generator("query and key").normal(size=(2, 3, 3)) / np.sqrt(3)
    beta = case.draw("beta", 0.2, 1.5)
    signs = np.where(np.arange(N) % 2 == 0, 1.0, -1.0)[:, None]
    field = mf.SelfAttention(beta, query=query[:1, :1], key=key[:1, :1], mask="causal")
    # P_x of what the head puts out, by hand: the library's spheres begin at d = 2
    outputs = np.asarray(case.measure(head, field, mf.Tokens(mf.Euclidean(1), signs)))
    speed = outputs - signs * (signs * outputs)
    measured = signs if np.abs(speed).max() < 1e-12 else np.full_like(signs, np.nan)
    because = "they have no tangent to move along"
    case.compare(measured, case.predict(signs), within=1e-6, because=because, name="d = 1")
    tokens = cloud(case)
    field = mf.SelfAttention(beta, query=query, key=key, mask="causal")
    points = follow(case, tokens, field, np.array([120.0]), rtol=1e-10)[-1]
    because = "deviations fall like e^(-t/2), to rounding at t = 120, after a wait that depends on the draw"
    case.compare(points, case.predict(np.asarray(tokens.points)), within=1e-6, because=because, name="d = 3")


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
    tokens = cloud(case)
    first = np.asarray(tokens.points)[0]
    value = case.generator("value").normal(size=(3, 3))
    axes, _ = np.linalg.qr(case.generator("axes").normal(size=(3, 3)))
    until = case.draw("t", 0.5, 1.0)
    beta = case.draw("beta", 0.2, 1.0)
    field = mf.SelfAttention(beta, value=value, mask="causal")
    found = follow(case, tokens, field, np.array([until]), rtol=1e-10)[-1, 0]
    ahead = case.predict(first, value, until)
    case.compare(found, ahead / np.linalg.norm(ahead), within=1e-7, because="rtol 1e-10 over t = 1, speeds up to 3")
    # symmetric and with its values apart, so that the end is reached by then
    value, late = axes @ np.diag([1.0, -0.5, -0.8]) @ axes.T, 40.0
    field = mf.SelfAttention(beta, value=value, mask="causal")
    found = follow(case, tokens, field, np.array([late]), rtol=1e-10)[-1, 0]
    ahead = case.predict(first, value, late)
    because = "e^-60; rtol 1e-10 of a flow that contracts"
    case.compare(found, ahead / np.linalg.norm(ahead), within=1e-7, because=because, name="t = 40")
    case.compare(abs(found @ axes[:, 0]), 1.0, within=1e-7, because=because, name="cosine with the top eigenvector")


@the_first_token_follows_its_value_alone.mutation
def value_transposed(point: Any, value: Any, t: float) -> Any:
    """V is transposed."""
    return expm(t * value.T) @ point


@the_first_token_follows_its_value_alone.mutation
def one_layer_for_the_flow(point: Any, value: Any, t: float) -> Any:
    """I + tV in place of its exponential."""
    return point + t * value @ point

"""How consensus is reached: local rates, collapse in a hemisphere, and the contraction of one layer."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import N, cloud, follow, gaps, masses
from measureflow.paths.style import ACCENT, FAINT, MUTED, THEORY


@claim(
    "2312.10794",
    "section 6, rates",
    covers=["V8"],
    status="derived",
    states={
        "softmax": lambda beta: theory.rate_at_consensus(beta=beta),
        "unnormalised": lambda beta: theory.rate_at_consensus(beta=beta, model="unnormalised"),
    },
)
def tokens_that_have_almost_met_close_at_known_rates(case: Case) -> None:
    """Near consensus 1 - rho decays at rate 2 under SA and 2 e^beta under USA, for any masses."""
    n, d, beta = case.given("n", N), case.given("d", 3), case.draw("beta", 0.5, 2.0)
    size = case.given("angle", 1e-2)
    case.require("there are tokens, in two dimensions and more", n >= 1 and d >= 2)
    case.require("there are two tokens and more, and near", n >= 2 and size > 0 and beta * size**2 < 0.02)
    for model in ("softmax", "unnormalised"):
        times, spread = spread_over_time(case, model, n, d, beta, size)
        rate = -np.polyfit(times, np.log(spread), 1)[0]
        within = max(1e-3, 3 * (1 + beta) * size**2)
        because = "corrections of relative order beta (1 - rho), below 1e-3 of the rate at 1 - rho < 2e-4"
        predicted = getattr(case.statement, model)(beta)
        name = f"rate of 1 - rho, {model}"
        case.compare(rate, predicted, within=within, relative=True, because=because, name=name)


def spread_over_time(case: Case, model: str, n: int, d: int, beta: float, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Return times, and 1 - rho summed over the pairs of n tokens of a small cap."""
    times = np.linspace(0.0, 2.0, 11) / (np.exp(beta) if model == "unnormalised" else 1.0)
    tokens = cloud(case, d=d, n=n, angle=size, weights=masses(case, n))
    points = follow(case, tokens, mf.SelfAttention(beta, weighting=model), times)
    return times, np.array([gaps(points, i, j) for i in range(n) for j in range(i)]).sum(axis=0)


@tokens_that_have_almost_met_close_at_known_rates.figure
def closing(case: Case, ax: Any) -> None:
    """Draw 1 - rho over time under both models, and the exponentials of the stated rates."""
    n, d, beta, size = (case.instance[name] for name in ("n", "d", "beta", "angle"))
    for model, said, shade in (("softmax", "SA", ACCENT[0]), ("unnormalised", "USA", ACCENT[1])):
        times, spread = spread_over_time(case, model, n, d, beta, size)
        rate = getattr(case.statement, model)(beta)
        ax.semilogy(times, spread / spread[0], "o", color=shade, label=f"tokens under {said}")
        ax.semilogy(times, np.exp(-rate * times), "--", color=THEORY)
    ax.plot([], [], "--", color=THEORY, label=r"$e^{-2t}$ and $e^{-2e^\beta t}$")
    head = rf"$n={n}$, $d={d}$, $\beta={beta:.2f}$"
    ax.set(xlabel="time $t$", ylabel=r"sum of $1-\rho$ over its first value", title=head)
    ax.legend()


@tokens_that_have_almost_met_close_at_known_rates.mutation("softmax")
def rate_of_the_distance(beta: float) -> float:
    """The rate of |x - y| is given for that of 1 - rho."""
    return 1.0


@tokens_that_have_almost_met_close_at_known_rates.mutation("softmax")
def one_over_n(beta: float) -> float:
    """Every other token pulls with 1/n of the whole, and the sum over them is forgotten."""
    return 2.0 / N


@tokens_that_have_almost_met_close_at_known_rates.mutation("unnormalised")
def clock_of_the_shifted_model(beta: float) -> float:
    """e^beta is lost, as under the kernel e^(beta (rho - 1))."""
    return 2.0


@tokens_that_have_almost_met_close_at_known_rates.mutation("unnormalised")
def exponent_of_the_wrong_sign(beta: float) -> float:
    """e^(-beta) stands where e^beta belongs."""
    return 2.0 * float(np.exp(-beta))


@claim(
    "2312.10794",
    "Lemma 6.4",
    covers=["V25"],
    states={"extreme": lambda heights: heights.min(axis=-1), "rate": theory.hemisphere_rate},
)
def tokens_in_a_hemisphere_collapse(case: Case) -> None:
    """Tokens in an open hemisphere about w: min <x_i, w> never falls, and they collapse at least at a known rate, under
    SA and USA with any Q and K."""
    n, d = case.given("n", N), case.given("d", 3)
    case.require("there are tokens, in two dimensions and more", n >= 1 and d >= 2)
    matrices, w = attention_of_norm_one(case, d), np.eye(d)[-1]
    tokens = cloud(case, d=d, n=n, angle=1.4, centre=w)
    case.require("all tokens lie in an open hemisphere", bool((np.asarray(tokens.points) @ w > 0).all()))
    slow = np.array([0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 60.0])  # USA slows down by up to e^beta with its weights
    for model, beta, times in (
        ("softmax", case.draw("beta", 2.0, 3.0), np.linspace(0.0, 24.0, 97)),
        ("unnormalised", case.draw("beta of USA", 0.7, 1.0), slow),
    ):
        field = mf.SelfAttention(beta, weighting=model, **matrices)
        points = visited(case, tokens, field, times)
        because = f"rtol 1e-10 over t = {times[-1]:g}, contracting"
        extreme = case.statement.extreme(points @ w)
        name, over = f"growth of the least height, {model}", {"t": times[1:]}
        case.at_least(np.diff(extreme), 0.0, within=1e-9, because=because, name=name, over=over)
        limit = points[-1].mean(axis=0) / np.linalg.norm(points[-1].mean(axis=0))
        gap = 0.5 * ((points - limit) ** 2).sum(axis=-1).max(axis=1)  # 1 - alpha
        begun = int(np.argmax(gap <= 0.5))
        rate = case.statement.rate(n, beta=beta, norm=1.0, model=model)
        bound = gap[begun] * np.exp(-rate * (times[begun:] - times[begun]))
        because += "; the limit is that of the last time"
        name, over = f"distance 1 - alpha from the limit, {model}", {"t": times[begun:]}
        case.at_most(gap[begun:], bound, within=1e-8, because=because, name=name, over=over)


def visited(case: Case, tokens: mf.Tokens, field: mf.Field, times: np.ndarray) -> np.ndarray:
    """Return the points at the given times; where they are few, each by a flow of its own, which may come to rest."""
    if len(times) > 10:
        return follow(case, tokens, field, times, rtol=1e-10)
    later = [follow(case, tokens, field, times[[k]], rtol=1e-10)[-1] for k in range(1, len(times))]
    return np.stack([np.asarray(tokens.points), *later])


@tokens_in_a_hemisphere_collapse.figure
def heights(case: Case, ax: Any) -> None:
    """Draw the heights of all tokens over time under SA: the least of them never falls."""
    n, d, beta = (case.instance[name] for name in ("n", "d", "beta"))
    field, w = mf.SelfAttention(beta, **attention_of_norm_one(case, d)), np.eye(d)[-1]
    times = np.linspace(0.0, 24.0, 97)
    seen = visited(case, cloud(case, d=d, n=n, angle=1.4, centre=w), field, times) @ w
    ax.plot(times, seen, color=FAINT, lw=1.5)
    ax.plot([], [], color=FAINT, lw=1.5, label=r"$\langle x_i, w\rangle$ of each token")
    ax.plot(times, case.statement.extreme(seen), color=ACCENT[0], label="least of them")
    head = rf"a random form $Q^\top K$ of norm 1, $n={n}$, $d={d}$, $\beta={beta:.2f}$"
    ax.set(xlabel="time $t$", ylabel=r"height $\langle x, w\rangle$", title=head)
    ax.legend()


def attention_of_norm_one(case: Case, d: int) -> dict[str, Any]:
    """Draw query and key matrices whose form Q^T K has norm 1."""
    query, key = case.generator("query and key").normal(size=(2, d, d))
    return {"query": query / np.linalg.norm(query.T @ key, 2), "key": key}


@tokens_in_a_hemisphere_collapse.mutation("extreme")
def greatest_height(heights: Any) -> Any:
    """The greatest height never falls, in place of the least."""
    return heights.max(axis=-1)


@tokens_in_a_hemisphere_collapse.mutation("extreme")
def mean_height_falls(heights: Any) -> Any:
    """The least depth, in place of height, never falls: the sign of V = -I."""
    return -heights.min(axis=-1)


@tokens_in_a_hemisphere_collapse.mutation("rate")
def sign_of_the_exponent(n: int, *, beta: float, norm: float, model: str) -> float:
    """e^(+2 beta |Q^T K|) stands where e^(-2 beta |Q^T K|) belongs."""
    return float(np.exp(2 * beta * norm)) / (2 * n)


@claim(
    "2312.10794",
    "section 2, the discrete map",
    covers=["V29"],
    status="derived",
    states=theory.contraction_of_a_layer,
)
def one_layer_contracts_by_one_over_one_plus_its_step(case: Case) -> None:
    """A layer N(x + h A(x)) shrinks deviations from consensus by 1/(1+h), not by e^(-h)."""
    beta, step, size = (
        case.draw("beta", 0.0, 5.0),
        case.draw("step", 0.05, 1.0),
        case.draw("size", 1e-5, 1e-4, log=True),
    )
    n, d = case.given("n", N), case.given("d", 3)
    case.require("there are tokens, in two dimensions and more", n >= 1 and d >= 2)
    case.require("there are two tokens and more, and near", n >= 2 and size > 0 and (1 + beta) * size**2 < 1e-2)
    tokens = cloud(case, d=d, n=n, angle=size, weights=masses(case, n))
    path = case.measure(mf.layers, tokens, mf.SelfAttention(beta), depth=1, step=step)
    points = np.asarray(path.points)
    spread = [np.linalg.norm(state - np.asarray(tokens.weights) @ state) for state in points]
    because = "corrections of relative order beta size^2, and rounding over the size"
    within = 2 * (1 + beta) * size**2 + 1e-15 / size
    name = "spread after a layer over the one before"
    case.compare(spread[1] / spread[0], case.predict(step), within=within, because=because, name=name)


@one_layer_contracts_by_one_over_one_plus_its_step.figure
def factors_over_steps(case: Case, ax: Any) -> None:
    """Draw the factor of a layer over its step, with the measured one, and that of a flow over the same time."""
    beta, step = case.instance["beta"], case.instance["step"]
    steps = np.linspace(0.01, max(1.0, step), 100)
    ax.plot(steps, [case.predict(float(h)) for h in steps], "--", color=THEORY, label="$1/(1+h)$")
    ax.plot(steps, np.exp(-steps), ":", color=MUTED, label="flow, $e^{-h}$")
    ax.plot([step], [case.comparisons[0].measured], "o", color=ACCENT[0], ms=9, label="a layer")
    head = rf"$n={case.instance['n']}$, $d={case.instance['d']}$, $\beta={beta:.2f}$"
    ax.set(xlabel="step $h$", ylabel="spread after a layer over before", title=head)
    ax.legend()


@one_layer_contracts_by_one_over_one_plus_its_step.mutation
def contraction_of_the_flow(step: float) -> float:
    """The layer is taken for the flow over a time h."""
    return float(np.exp(-step))


@one_layer_contracts_by_one_over_one_plus_its_step.mutation
def norm_forgotten(step: float) -> float:
    """The normalisation is forgotten: 1 - h, as for an Euler step of the flow."""
    return 1.0 - step

"""Rényi centres: how many a causal text has, and how long they keep others and themselves in place."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import N, follow, normalised, speeds
from measureflow.fields import Unnormalised
from measureflow.paths.style import ACCENT, MUTED, THEORY

#: repetitions of a text, and how many centres fit on the circle at the angles that are drawn
TEXTS, ROOM = 300, 24


@eqx.filter_jit
def strong_centres(points: Any, field: mf.SelfAttention, angle: Any) -> Any:
    """Return how many tokens of each text give no one more than e^(beta (cos angle - 1)) of what they give themselves.

    Under a causal mask these are the tokens that have none before them within the angle.
    """
    least = jnp.exp(field.beta * (jnp.cos(angle) - 1))

    def one(text: Any) -> Any:
        weights = field.weights(text, mf.Tokens(mf.Sphere(text.shape[1]), text))
        own = jnp.diagonal(weights)
        others = jnp.max(weights - jnp.diag(own), axis=1)
        return jnp.sum(others < least * own)

    return jax.lax.map(one, points, batch_size=20)


@claim(
    "2411.04990",
    "strong Rényi centres",
    covers=["V21"],
    status="derived",
    states=lambda n, angle, d: theory.expected_strong_centres(n, angle=angle, d=d),
)
def strong_centres_are_as_many_as_caps_allow(case: Case) -> None:
    """Of n independent tokens (1 - (1-p)^n)/p attend to none before them within an angle whose cap has mass p."""
    d, n = case.choose("d", [2, 3]), case.given("n", 250)
    angle = case.draw("angle", 0.1, 0.2) * (1.0 if d == 2 else 2.5)
    case.require("an angle of the sphere, and a text", d >= 2 and 0 < angle < np.pi and 2 <= n <= 5000)
    points = normalised(case.generator("texts").normal(size=(TEXTS, n, d)))
    field = mf.SelfAttention(case.draw("c", 1.5, 3.0) ** 2 / angle**2, mask="causal")
    found = np.asarray(case.measure(strong_centres, points, field, np.asarray(angle)))
    error = float(found.std() / np.sqrt(TEXTS))
    because = f"six standard errors of {error:.2g} over {TEXTS} texts"
    within = 6 * max(error, 1.0 / TEXTS)
    case.compare([found.mean()], case.predict(n, angle, d), within=within, because=because,
                 name="mean number of centres", over={"n": [n]})  # fmt: skip


@strong_centres_are_as_many_as_caps_allow.figure
def centres_over_n(case: Case, ax: Any) -> Any:
    """Draw the stated number of centres along a text, and the mean of the texts at its end."""
    d, (curve,) = case.instance["d"], case.curves
    angle = case.instance["angle"] * (1.0 if d == 2 else 2.5)
    numbers = np.unique(np.linspace(1, 1.5 * curve.places[0], 60).astype(int))
    ax.plot(numbers, [case.predict(int(n), angle, d) for n in numbers], "--", color=THEORY, label="stated")
    ax.axhline(1.0 / theory.cap_mass(angle, d=d), color=MUTED, lw=1, ls=":", label="limit, $1/p$")
    ax.errorbar(
        curve.places, curve.measured, curve.within, fmt="o", color=ACCENT[0], capsize=4, label=f"mean of {TEXTS} texts"
    )
    ax.set(xlabel="$n$", ylabel="strong centres", title=rf"$d = {d}$, $\delta = {angle:.3g}$")
    ax.legend()
    return ax


@strong_centres_are_as_many_as_caps_allow.mutation
def half_a_cap(n: int, angle: float, d: int) -> float:
    """Tokens on one side only count as near: half the mass."""
    share = theory.cap_mass(angle, d=d) / 2
    return (1 - (1 - share) ** n) / share


@strong_centres_are_as_many_as_caps_allow.mutation
def cap_of_the_radius_halved(n: int, angle: float, d: int) -> float:
    """The angle is taken for the diameter of the cap."""
    return theory.expected_strong_centres(n, angle=angle / 2, d=d)


@strong_centres_are_as_many_as_caps_allow.mutation
def centres_see_centres_only(n: int, angle: float, d: int) -> float:
    """Ordinary Rényi centres: only centres, not all tokens before, keep a token from being one."""
    return theory.expected_parked_centres(angle=angle) if d == 2 else 1.6 / theory.cap_mass(angle, d=d)


@eqx.filter_jit
def parked_centres(points: Any, field: mf.SelfAttention, angle: Any, room: int) -> Any:
    """Return how many tokens of each text on the circle have no centre before them within an angle, as texts grow.

    A token becomes a centre if it gives no centre before it a weight of e^(beta (cos angle - 1)). What n tokens have
    not found falls like 1/n: taken out by the counts at n/2 and n.
    """
    least = jnp.exp(field.beta * (jnp.cos(angle) - 1))

    def read(state: tuple[Any, Any], token: Any) -> tuple[tuple[Any, Any], Any]:
        centres, found = state
        # room for centres that are not there yet: absent tokens are given nothing
        mu = mf.Tokens(mf.Sphere(2), centres, jnp.full(room, 1 / room), present=jnp.arange(room) < found)
        alone = room * jnp.max(field.weights(token[None], mu)) < least
        centres = jnp.where(alone, centres.at[found].set(token), centres)
        return (centres, found + alone), found + alone

    def one(text: Any) -> Any:
        start = jnp.tile(text[0], (room, 1)), jnp.asarray(0)
        counts = jax.lax.scan(read, start, text)[1]
        return 2 * counts[-1] - counts[len(text) // 2 - 1]

    return jax.vmap(one)(points)


@claim(
    "2411.04990",
    "Rényi centres",
    covers=["V21"],
    status="derived",
    id="2411.04990/V21-parking",
    states=lambda angle: theory.expected_parked_centres(angle=angle),
)
def ordinary_centres_park_on_the_circle(case: Case) -> None:
    """A long text on the circle leaves 0.7476 * 2 pi / delta centres where centres alone keep others away."""
    angle, texts, n = case.draw("angle", 0.28, 0.36), 400, case.given("n", 1600)
    case.require("many centres, in a text that is long for them", 0.02 < angle <= 1.0 and 400 / angle <= n <= 20_000)
    room = max(ROOM, int(2 * np.pi / angle) + 2)
    turns = case.generator("turns").uniform(0, 2 * np.pi, (texts, n))
    points = np.stack([np.cos(turns), np.sin(turns)], axis=-1)
    field = mf.SelfAttention(case.draw("c", 1.5, 3.0) ** 2 / angle**2, weighting=Unnormalised(shifted=True))
    found = np.asarray(case.measure(parked_centres, points, field, np.asarray(angle), room))
    error = float(found.std() / np.sqrt(texts))
    because = f"six standard errors of {error:.2g}; what n tokens have not found falls like 1/n, and is taken out"
    case.compare(found.mean(), case.predict(angle), within=6 * error, because=because, name="mean number of centres")


@ordinary_centres_park_on_the_circle.figure
def counts_of_centres(case: Case, ax: Any) -> Any:
    """Draw the stated number of centres over their angle, and the mean of the texts."""
    angle, (curve,) = case.instance["angle"], case.curves
    angles = angle * np.linspace(0.6, 1.8, 60)
    ax.plot(
        angles,
        [case.predict(float(one)) for one in angles],
        "--",
        color=THEORY,
        label=r"stated: $0.7476\cdot2\pi/\delta$",
    )
    ax.plot(angles, 2 * np.pi / angles, ":", color=MUTED, label=r"packed, $2\pi/\delta$")
    ax.errorbar([angle], curve.measured, curve.within, fmt="o", color=ACCENT[0], capsize=4, label="mean of 400 texts")
    ax.set(xlabel=r"angle $\delta$", ylabel="centres", title=f"$n = {case.instance['n']}$")
    ax.legend()
    return ax


@ordinary_centres_park_on_the_circle.mutation
def packed_without_gaps(angle: float) -> float:
    """Centres stand as close as they can: 2 pi / delta."""
    return 2 * np.pi / angle


@ordinary_centres_park_on_the_circle.mutation
def strong_ones(angle: float) -> float:
    """pi / delta: no token, rather than no centre, may stand before."""
    return np.pi / angle


@ordinary_centres_park_on_the_circle.mutation
def cars_of_twice_the_length(angle: float) -> float:
    """The angle is taken on both sides of a centre: half as many."""
    return theory.expected_parked_centres(angle=2 * angle)


def pull(angle: Any, beta: float) -> Any:
    """Return h(x) = e^(beta (cos x - 1)) sin x, the pull of one token on another at an angle."""
    return np.exp(beta * (np.cos(angle) - 1)) * np.sin(angle)


@claim(
    "2411.04990",
    "metastability of strong centres",
    covers=["7.1"],
    id="2411.04990/frozen-centres",
    states={
        "time": lambda index, beta, c, epsilon: epsilon * c * beta**-0.5 / (index * pull(c * beta**-0.5, beta)),
        "peak": lambda beta: np.arccos((np.sqrt(4 * beta**2 + 1) - 1) / (2 * beta)),
    },
)
def strong_centres_stay_for_an_exponential_time(case: Case) -> None:
    """A strong centre s moves less than eps c beta^(-1/2) up to T with T s h(c beta^(-1/2)) < eps c beta^(-1/2)."""
    beta, c, epsilon = case.draw("beta", 100.0, 400.0), case.draw("c", 2.5, 3.0), case.given("epsilon", 0.05)
    n = case.given("n", N)
    case.require("tokens before a centre, near each other", 2 <= n <= 30 and 0 < epsilon <= 0.1)
    case.require("the reach is small on the circle", c < 0.5 * np.sqrt(beta))
    reach = c * (1 + 2 * epsilon) * beta**-0.5
    peak = case.statement.peak(beta)
    slope = 1 / np.tan(peak) - beta * np.sin(peak)
    case.compare(slope / np.sqrt(beta), 0.0, within=1e-9, because="rounding of a cosine near 1", name="h is largest")
    case.require("c lies beyond the maximum of h", c > np.sqrt(beta) * peak)
    # the closest that a strong centre may have others before it: on one side, all at the border of its reach
    angles = 0.01 * np.arange(n) * beta**-0.5
    angles[-1] = angles[-2] + 1.001 * reach
    # on a great circle of S^2, where they stay
    tokens = mf.Tokens(mf.Sphere(3), np.stack([np.cos(angles), np.sin(angles), np.zeros(n)], axis=1))
    until = 0.999 * case.statement.time(n, beta, c, epsilon)
    case.require("the time is finite", bool(np.isfinite(until)))
    points = follow(case, tokens, mf.SelfAttention(beta, mask="causal"), np.array([until]), rtol=1e-8)[-1]
    moved = abs(np.arctan2(points[-1, 1], points[-1, 0]) - angles[-1])
    step = epsilon * c * beta**-0.5
    because = "a bound: the pull of the tokens before is overestimated"
    case.at_most(moved, step, within=0.05 * step, because=because, name="angle that the centre has moved")


@strong_centres_stay_for_an_exponential_time.figure
def frozen_until(case: Case, ax: Any) -> Any:
    """Draw the pull h of a token at an angle, where it is largest, where the centre stands, and the time it stays."""
    beta, c, epsilon, n = (case.instance[name] for name in ("beta", "c", "epsilon", "n"))
    scaled = np.linspace(0.0, 1.2 * c, 200)
    ax.plot(scaled, pull(scaled * beta**-0.5, beta), color=ACCENT[0], label="$h$, the pull of one token")
    ax.axvline(case.statement.peak(beta) * np.sqrt(beta), color=THEORY, ls="--", label="stated maximum of $h$")
    ax.axvline(
        c, color=MUTED, ls=":", label=rf"$c$: it stays up to $T = {case.statement.time(n, beta, c, epsilon):.3g}$"
    )
    ax.set(
        xlabel=r"$\sqrt{\beta}\,\times$ angle",
        ylabel="pull",
        title=rf"$n = {n}$, $\beta = {beta:.3g}$, $\epsilon = {epsilon:g}$",
    )
    ax.legend()
    return ax


@strong_centres_stay_for_an_exponential_time.mutation("time")
def clock_of_the_log_density(index: int, beta: float, c: float, epsilon: float) -> float:
    """beta times as long: the velocity is taken for (1/beta) of itself."""
    return beta**0.5 * epsilon * c / (index * pull(c * beta**-0.5, beta))


@strong_centres_stay_for_an_exponential_time.mutation("time")
def half_forgotten_in_the_exponent(index: int, beta: float, c: float, epsilon: float) -> float:
    """h ~ e^(-c^2) in place of e^(-c^2/2)."""
    return epsilon / (index * np.exp(-(c**2)))


@strong_centres_stay_for_an_exponential_time.mutation("peak")
def maximum_of_the_gaussian(beta: float) -> float:
    """beta^(-1/2), which it tends to."""
    return beta**-0.5


@claim(
    "2411.04990",
    "interaction inequality",
    covers=["7.1"],
    id="2411.04990/interaction",
    states={
        "count": lambda b, epsilon: np.exp(3 * b**2 / 8) * epsilon / (b + 2 * epsilon),
        "beta": lambda b: b**2 / 2,
    },
)
def one_near_token_outweighs_many_far_ones(case: Case) -> None:
    """N < e^(3b^2/8) eps/(b + 2 eps) tokens at b beta^(-1/2) pull less than one at eps beta^(-1/2), for beta >= b^2/2,
    b >= 9/2 and eps < 1/10."""
    b, epsilon = case.draw("b", 5.0, 7.0), case.draw("eps", 0.02, 0.09)
    case.require("b >= 9/2 and eps < 1/10", 4.5 <= b <= 30 and 0 < epsilon < 0.1)
    beta = case.draw("beta over its bound", 1.0, 1.2) * case.statement.beta(b)
    case.require("beta is not far below its bound", case.instance["beta over its bound"] >= 1)
    count = case.statement.count(b, epsilon)
    pulls = pulls_of_far_and_near(case, b, epsilon, beta, count)
    because = "rounding; a bound that leaves b^2/24 and more"
    case.at_most(
        np.log(pulls[0]), np.log(pulls[1]), within=0.02, because=because, name="log of the pull of the far ones"
    )


def pulls_of_far_and_near(case: Case, b: float, epsilon: float, beta: float, count: float) -> list[float]:
    """Return the pulls of tokens at b beta^(-1/2), `count` of them, and of one at eps beta^(-1/2)."""
    # the last token of a text on a great circle of S^2: all far ones before it on one side, the near one on the other
    angles = np.array([b, -epsilon, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]) / np.sqrt(beta)
    points = np.stack([np.cos(angles), np.sin(angles), np.zeros(N)], axis=1)
    pulls = []
    for seen in (np.array([count, 0.0]), np.array([0.0, 1.0])):
        weights = np.append(seen, [0.0] * (N - 3) + [1.0]) / (1.0 + seen.sum())
        field = mf.SelfAttention(beta, weighting=Unnormalised(shifted=True), mask="causal")
        moved = speeds(case, field, mf.Tokens(mf.Sphere(3), points, weights))[-1]
        pulls.append(abs(float(moved[1])) * (1.0 + seen.sum()))
    return pulls


@one_near_token_outweighs_many_far_ones.figure
def far_and_near(case: Case, ax: Any) -> Any:
    """Draw both pulls over b, of as many far tokens as are stated and of the near one."""
    epsilon, share = case.instance["eps"], case.instance["beta over its bound"]
    places = np.linspace(4.5, 1.3 * case.instance["b"], 10)
    found = []
    for b in places:
        beta = share * case.statement.beta(b)
        found.append(pulls_of_far_and_near(case, float(b), epsilon, beta, case.statement.count(b, epsilon)))
    far, near = np.transpose(found)
    ax.semilogy(places, near, "--", color=THEORY, label=r"one token at $\epsilon\beta^{-1/2}$")
    ax.semilogy(places, far, "o-", color=ACCENT[0], label=r"as many as stated at $b\beta^{-1/2}$")
    ax.set(xlabel="$b$", ylabel="pull", title=rf"$\epsilon = {epsilon:.2g}$, $\beta = {share:.2g}\,b^2/2$")
    ax.legend()
    return ax


@one_near_token_outweighs_many_far_ones.mutation("count")
def exponent_of_the_gaussian(b: float, epsilon: float) -> float:
    """e^(b^2/2): the cosine's fourth power, which makes far tokens pull more, is left out."""
    return float(np.exp(b**2 / 2)) * epsilon / (b + 2 * epsilon)


@one_near_token_outweighs_many_far_ones.mutation("count")
def sine_of_the_near_one_forgotten(b: float, epsilon: float) -> float:
    """The factor eps/(b + 2 eps) of the two sines is left out."""
    return float(np.exp(3 * b**2 / 8))


@one_near_token_outweighs_many_far_ones.mutation("beta")
def any_beta(b: float) -> float:
    """beta may be a third as large: the far tokens may stand beyond a quarter of the circle."""
    return b**2 / 6

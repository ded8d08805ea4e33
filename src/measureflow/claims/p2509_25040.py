"""Claims of arXiv:2509.25040, on the multiscale dynamics of attention: where it goes first, and how pairs merge last.

The law of merging is quoted in [arXiv:2512.01868](https://arxiv.org/abs/2512.01868), without masses and in a clock that
stands still; stated here is the form that follows from the equations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import MAX_STEPS, speeds
from measureflow.claims.runge_kutta import classical_step
from measureflow.fields import NearestPair, Paced, Unnormalised
from measureflow.paths.style import ACCENT, FAINT, MUTED, THEORY

SOLVER = mf.Adaptive(rtol=1e-9, atol=1e-11, coarsen=False, max_steps=MAX_STEPS)


def clusters(case: Case) -> tuple[mf.Tokens, float, float]:
    """Return clusters on the circle, beta, and the cosine of the first two, the nearest pair by far."""
    start, beta = case.draw("cosine of the pair", 0.7, 0.8), case.draw("beta", 80.0, 120.0)
    case.require("the pair are two, in sight of each other", 0 < start < 1)
    others = case.given("angles of the others", (2.2, 3.4, 4.6))
    angles = np.array([0.0, np.arccos(start), *others])
    pair = [case.draw("smaller mass", 0.05, 0.1), case.given("larger mass", 0.3)]
    masses = np.array([*pair, *[case.given("mass of another", 0.2)] * len(others)])
    case.require("all masses are positive", bool(masses.min() > 0))
    cosines = np.cos(angles[:, None] - angles[None, :]) - 2.0 * np.eye(len(angles))
    cosines[0, 1] = cosines[1, 0] = -1.0
    rest = max(np.exp(beta * (cosines.max() - start)), np.exp(beta * (start - 1.0))) * masses.max() / masses.min()
    case.require("the pair is the nearest by far, and its pull is small", bool(rest < 2e-5))
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return mf.Tokens(mf.Sphere(2), points, masses / masses.sum()), beta, start


def speeds_of_a_pair(masses: np.ndarray) -> dict[str, np.ndarray]:
    """Return the factors of `P y_j` and `P y_i` in the velocities of tokens i and j, in the clock of the pair."""
    one, two = masses
    return {"SA": np.array([two / one, one / two]), "USA*": np.array([two, one])}


@claim("2509.25040", "pair merging, velocities", covers=["E8"], status="erratum", states=speeds_of_a_pair)
def nearest_pair_pulls_by_its_masses(case: Case) -> None:
    """In the clock dt = e^(beta (1 - rho)) ds the nearest pair moves by y_i' = (a_j/a_i) P y_j, and all others rest."""
    tokens, beta, cosine = clusters(case)
    points, masses = np.asarray(tokens.points), np.asarray(tokens.weights)
    clock = np.exp(beta * (1.0 - cosine))
    pulls = np.stack([points[1] - cosine * points[0], points[0] - cosine * points[1]])
    size = np.sqrt(1.0 - cosine**2)
    for name, weighting in (("SA", "softmax"), ("USA*", Unnormalised(shifted=True))):
        found = clock * speeds(case, mf.SelfAttention(beta, weighting=weighting), tokens)
        stated = case.statement.speeds_of_a_pair(masses[:2])[name][:, None] * pulls
        because = "a_j/a_i e^(-beta (1 - rho)) in the denominator, at most 7e-7, and the pull of the other clusters"
        within = 1e-4 * np.abs(stated).max()
        case.compare(found[:2], stated, within=within, because=because, name=f"{name}: velocity of the pair")
        if len(found) > 2:
            case.at_most(
                np.abs(found[2:]), 0.0, within=1e-4 * size, because=because, name=f"{name}: speed of the others"
            )


@nearest_pair_pulls_by_its_masses.figure
def velocities(case: Case, ax: Any) -> Any:
    """Draw the clusters on the circle, sized by mass, with their velocities under SA and what is stated of the pair."""
    tokens, beta, cosine = clusters(case)
    points, masses = np.asarray(tokens.points), np.asarray(tokens.weights)
    found = np.exp(beta * (1.0 - cosine)) * speeds(case, mf.SelfAttention(beta), tokens)
    pulls = np.stack([points[1] - cosine * points[0], points[0] - cosine * points[1]])
    stated = case.statement.speeds_of_a_pair(masses[:2])["SA"][:, None] * pulls
    scale = 0.8 / np.abs(found).max()
    around = np.linspace(0.0, 2 * np.pi, 200)
    ax.plot(np.cos(around), np.sin(around), color=FAINT, lw=1)
    ax.scatter(*points.T, s=600 * masses, color=ACCENT[1], zorder=3)
    for k, (point, moved) in enumerate(zip(points, scale * found, strict=True)):
        ax.plot(
            *np.stack([point, point + moved]).T, color=ACCENT[0], label="" if k else "velocity, in the pair's clock"
        )
    for k, (point, moved) in enumerate(zip(points, scale * stated, strict=False)):
        ax.plot(*np.stack([point, point + moved]).T, "--", color=THEORY, label="" if k else "stated")
    ax.set(aspect="equal", xticks=[], yticks=[], title=rf"SA, $\beta = {beta:.3g}$, masses of the pair "
           f"{masses[0]:.2f} and {masses[1]:.2f}")  # fmt: skip
    ax.legend(loc="lower left")
    return ax


@nearest_pair_pulls_by_its_masses.mutation
def masses_ignored_as_printed(masses: np.ndarray) -> dict[str, np.ndarray]:
    """The printed form: the masses are left out."""
    return {"SA": np.ones(2), "USA*": np.ones(2)}


@nearest_pair_pulls_by_its_masses.mutation
def masses_exchanged(masses: np.ndarray) -> dict[str, np.ndarray]:
    """The heavier cluster moves faster."""
    return speeds_of_a_pair(masses[::-1])


@nearest_pair_pulls_by_its_masses.mutation
def models_exchanged(masses: np.ndarray) -> dict[str, np.ndarray]:
    """SA and USA* change places."""
    stated = speeds_of_a_pair(masses)
    return {"SA": stated["USA*"], "USA*": stated["SA"]}


def cosine_in_the_moving_clock(times: np.ndarray, start: float, masses: np.ndarray, beta: float) -> np.ndarray:
    """Return the cosine of the pair under SA, `tanh(artanh u_0 + (a_2/a_1 + a_1/a_2) s)`."""
    one, two = masses
    return np.tanh(np.arctanh(start) + (two / one + one / two) * times)


@claim(
    "2509.25040",
    "pair merging, clock",
    covers=["E8"],
    status="erratum",
    states=cosine_in_the_moving_clock,
    id="2509.25040/clock",
)
def nearest_pair_closes_in_a_moving_clock(case: Case) -> None:
    """The clock of the pair moves with it: there its cosine is a hyperbolic tangent, with the masses in its rate."""
    tokens, beta, cosine = clusters(case)
    case.require("the pair is not yet within a cosine of 0.95", cosine < 0.9)
    masses = np.asarray(tokens.weights)[:2]
    times, measured = along_the_clock(case, tokens, beta, cosine, 9)
    predicted = case.predict(times * np.log(beta), cosine, masses, beta)
    because = "a_j/a_i e^(-beta (1 - rho)) in the denominator, which is felt towards the end"
    over = {"s": times[:-2] * np.log(beta)}
    case.compare(measured[:-2], predicted[:-2], within=1e-3, because=because, name="cosine of the pair", over=over)


def along_the_clock(
    case: Case, tokens: mf.Tokens, beta: float, cosine: float, saved: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return times in the moving clock, over log beta, until the pair has a cosine of 0.95, and its cosine at them."""
    masses = np.asarray(tokens.weights)[:2]
    pull = masses[1] / masses[0] + masses[0] / masses[1]
    end = (np.arctanh(0.95) - np.arctanh(cosine)) / pull
    times = np.linspace(0.0, end, saved) / np.log(beta)  # the pace has the factor log beta
    field = Paced(mf.SelfAttention(beta), NearestPair(beta, 0.1))
    path = case.measure(mf.flow, tokens, field, until=times[-1], save=times, solver=SOLVER, reduce=False)
    case.require("the flow ran to its end", path.status == "reached")
    points = np.asarray(path.points)
    return times, (points[:, 0] * points[:, 1]).sum(axis=-1)


@nearest_pair_closes_in_a_moving_clock.mutation
def clock_stands_as_printed(times: np.ndarray, start: float, masses: np.ndarray, beta: float) -> np.ndarray:
    """The printed clock is that of the start: the pair accelerates by e^(beta (rho - rho_0)) and closes in 1/beta."""
    one, two = masses
    t = times * np.exp(beta * (1.0 - start))
    return theory.cosine_of_two_clusters(t, beta=beta, start=start, masses=masses / (one + two))


@nearest_pair_closes_in_a_moving_clock.mutation
def masses_left_out_as_printed(times: np.ndarray, start: float, masses: np.ndarray, beta: float) -> np.ndarray:
    """The masses are left out: both move at unit rate."""
    return cosine_in_the_moving_clock(times, start, np.ones(2), beta)


@nearest_pair_closes_in_a_moving_clock.mutation
def one_of_them_frozen(times: np.ndarray, start: float, masses: np.ndarray, beta: float) -> np.ndarray:
    """Only the lighter one moves, and by the inverse of its mass."""
    return np.tanh(np.arctanh(start) + times / masses[0])


@nearest_pair_closes_in_a_moving_clock.figure
def closing(case: Case, ax: Any) -> Any:
    """Draw the cosine of the pair in the moving clock, as measured and stated, and in the printed clock."""
    tokens, beta, start = clusters(case)
    masses = np.asarray(tokens.weights)[:2]
    times, found = along_the_clock(case, tokens, beta, start, 33)
    times = times * np.log(beta)
    ax.plot(times, found, "o", ms=5, color=ACCENT[0], label="measured")
    ax.plot(times, case.predict(times, start, masses, beta), "--", color=THEORY, label="stated: the clock moves")
    ax.plot(
        times,
        clock_stands_as_printed(times, start, masses, beta),
        ":",
        color=MUTED,
        label="printed: the clock of the start",
    )
    ax.set(xlabel="rescaled time $s$", ylabel="cosine of the pair",
           title=rf"$\beta = {beta:.3g}$, masses {masses[0]:.2f} and {masses[1]:.2f}")  # fmt: skip
    ax.legend()
    return ax


def drift(x: np.ndarray, form: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Return the velocity for beta = infinity and a law of full support, P_x V Bx/|Bx|, B = K^T Q."""
    seen = x @ form.T
    seen = seen / np.linalg.norm(seen, axis=1, keepdims=True) @ value.T
    return seen - (seen * x).sum(axis=1, keepdims=True) * x


def after_the_drift(x: np.ndarray, form: np.ndarray, value: np.ndarray, slope: Callable[[Any], Any]) -> np.ndarray:
    """Return beta times what is left of the velocity at large beta; `slope` is that of the log-density by the angle."""
    seen = x @ form.T
    sharp = np.linalg.norm(seen, axis=1, keepdims=True)
    seen = seen / sharp
    tangent = np.stack([-seen[:, 1], seen[:, 0]], axis=1)
    left = (slope(np.arctan2(seen[:, 1], seen[:, 0]))[:, None] * tangent - 0.5 * seen) / sharp @ value.T
    return left - (left * x).sum(axis=1, keepdims=True) * x


@claim(
    "2509.25040",
    "first phase",
    covers=["6.2"],
    status="derived",
    states={"drift": drift, "next": after_the_drift},
    id="2509.25040/first-phase",
)
def at_first_every_token_goes_where_matrices_send_it(case: Case) -> None:
    """At large beta a law of full support moves by x' = P_x V Bx/|Bx|, B = K^T Q, whatever the law, which turns all
    tokens to a set that Q, K and V fix; the law is felt in the next order, 1/beta.

    Derived here, on the circle: attention looks at the direction of Bx within (beta |Bx|)^(-1/2), so that its mean is
    shorter by 1/(2 beta |Bx|) and moves up the log-density by its slope over beta |Bx|.
    """
    beta = case.draw("beta", 90.0, 110.0)
    case.require("beta is large", beta >= 40.0)
    size = int(np.ceil(256 * max(1.0, np.sqrt(beta / 110.0))))  # a fine grid for the kernel
    angles = 2 * np.pi * np.arange(size) / size
    most = case.given("largest amplitude of the law", 0.3)
    case.require("the law has full support", 0.1 <= most < 0.5)
    shares, phases = case.generator("shares").uniform(0.1, most, 2), case.generator("phases").uniform(0, 6, 2)

    def density(theta: Any) -> Any:
        return 1 + shares[0] * np.cos(theta + phases[0]) + shares[1] * np.cos(2 * theta + phases[1])

    def slope(theta: Any) -> Any:
        bend = -shares[0] * np.sin(theta + phases[0]) - 2 * shares[1] * np.sin(2 * theta + phases[1])
        return bend / density(theta)

    far = case.given("matrices to the identity", 0.3)
    turn = case.generator("matrices").uniform(-far, far, (2, 2, 2))
    form, value = np.eye(2) + turn
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    case.require("B keeps all directions apart from 0", float(np.linalg.norm(x @ form.T, axis=1).min()) > 0.3)
    tokens = mf.Tokens(mf.Sphere(2), x, density(angles) / density(angles).sum())
    one, two, four = (
        speeds(case, mf.SelfAttention(factor * beta, query=form, value=value), tokens) for factor in (1.0, 2.0, 4.0)
    )
    because = "three beta extrapolated to infinity: terms of order (9/(beta |Bx|))^3"
    limit = (8 * four - 6 * two + one) / 3
    rough, stated = max(1.0, 90.0 / beta), case.statement.drift(x, form, value)
    over, name = {"angle": np.repeat(angles[:, None], 2, axis=1)}, "velocity, in both coordinates"
    case.compare(limit, stated, within=2e-5 * rough**3, because=because, name=name, over=over)
    rest = [factor * beta * (found - drift(x, form, value)) for factor, found in ((1, one), (2, two), (4, four))]
    limit = (8 * rest[2] - 6 * rest[1] + rest[0]) / 3
    stated = case.statement.next(x, form, value, slope)
    because, name = because + ", times beta", "next order, times beta"
    case.compare(limit, stated, within=0.005 * rough**2, because=because, name=name, over=over)


@at_first_every_token_goes_where_matrices_send_it.figure
def drift_of_the_angles(case: Case, ax: Any) -> Any:
    """Draw the velocity for an infinite beta along the circle, and what is stated of it and of the next order."""
    for curve, colour, label in zip(case.curves, ACCENT, ("drift", r"next order, $\times\beta$"), strict=False):
        angles, found, stated = (part.reshape(-1, 2).T for part in (curve.places, curve.measured, curve.stated))
        across = np.stack([-np.sin(angles[0]), np.cos(angles[0])])
        ax.plot(angles[0], (found * across).sum(axis=0), color=colour, lw=3, alpha=0.6, label=label)
        ax.plot(angles[0], (stated * across).sum(axis=0), "--", color=THEORY, lw=1.4)
    ax.plot([], [], "--", color=THEORY, label="stated")
    ax.set(
        xlabel="angle",
        ylabel="angular velocity",
        title=rf"from $\beta = {case.instance['beta']:.3g}$, twice and four times it",
    )
    ax.legend()
    return ax


@at_first_every_token_goes_where_matrices_send_it.mutation("drift")
def length_of_what_is_sought_kept(x: np.ndarray, form: np.ndarray, value: np.ndarray) -> np.ndarray:
    """P_x V B x: the length of Bx is kept, as under linear attention."""
    seen = x @ form.T @ value.T
    return seen - (seen * x).sum(axis=1, keepdims=True) * x


@at_first_every_token_goes_where_matrices_send_it.mutation("drift")
def query_and_key_exchanged(x: np.ndarray, form: np.ndarray, value: np.ndarray) -> np.ndarray:
    """B is transposed."""
    return drift(x, form.T, value)


@at_first_every_token_goes_where_matrices_send_it.mutation("next")
def law_not_felt(x: np.ndarray, form: np.ndarray, value: np.ndarray, slope: Callable[[Any], Any]) -> np.ndarray:
    """The law is uniform: the mean is shorter, and that is all."""
    return after_the_drift(x, form, value, lambda theta: 0 * theta)


@at_first_every_token_goes_where_matrices_send_it.mutation("next")
def downhill(x: np.ndarray, form: np.ndarray, value: np.ndarray, slope: Callable[[Any], Any]) -> np.ndarray:
    """Tokens go down the density: the sign of heat."""
    return after_the_drift(x, form, value, lambda theta: -slope(theta))


def from_its_projection(ratio: float, times: tuple[float, ...]) -> np.ndarray:
    """Return W_2 of a density under the drift of B = diag(ratio, 1), V = 1, from its projection on {e_1, -e_1}.

    Tokens between e_2 and e_1 stand for all: cells are ever smaller towards e_2, which tokens leave last.
    """
    edges = np.append(0.0, np.exp(np.linspace(-26.0, np.log(np.pi / 2), 400)))
    angle, shares = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
    shares = shares * (1 - 0.3 * np.cos(angle))
    shares /= shares.sum()

    def speed(a: np.ndarray) -> np.ndarray:
        return (ratio - 1) * np.sin(a) * np.cos(a) / np.sqrt(np.cos(a) ** 2 + (ratio * np.sin(a)) ** 2)

    found, now, step = [], 0.0, 0.05
    for time in times:
        while now < time - 1e-9:
            angle = classical_step(speed, angle, step)
            now += step
        found.append(np.sqrt(shares @ (2 * np.sin((np.pi / 2 - angle) / 2)) ** 2))
    return np.array(found)


@claim(
    "2509.25040",
    "first phase, where it ends",
    covers=["6.2"],
    status="derived",
    states=lambda ratio: min(0.5 * (ratio - 1), 1 - 1 / ratio),
    id="2509.25040/projection",
)
def drift_takes_densities_to_their_projection(case: Case) -> None:
    """With V = 1 and a symmetric B > 0 the drift takes a density on the circle to its projection on the top eigenvector
    and its opposite, at the rate min((l_1/l_2 - 1)/2, 1 - l_2/l_1) in W_2.

    Derived here: tokens come near the top eigenvector at 1 - l_2/l_1 and leave the other at l_1/l_2 - 1, so that of a
    density there the mass e^(-(l_1/l_2 - 1) t) has not left, whose root is felt.
    """
    slow = case.choose("leaving is slower", [True, False])
    ratio = case.draw("l_1/l_2 to 1", 1.3, 1.5) if slow else case.draw("l_1/l_2", 4.0, 6.0)
    times = case.given("t", (36.0, 42.0) if slow else (6.0, 8.0))
    case.require("two times, in order", len(times) == 2 and 0 < times[0] < times[1])
    case.require("l_1 is the larger, not by so much that steps of 0.05 err", 1 < ratio <= 20)
    apart = abs(0.5 * (ratio - 1) - (1 - 1 / ratio))
    case.require("the faster of the two is over by then", apart * np.exp(-2 * apart * times[0]) < 2e-3)
    case.require("cells are as fine as what is left by then", ratio > 2 or (ratio - 1) * times[1] < 24)
    distances = case.measure(from_its_projection, ratio, times)
    rate = float(np.log(distances[0] / distances[1]) / (times[1] - times[0]))
    because = "what is faster has a share of e^(-5) by then, which falls at the difference of the rates, 1/6"
    case.compare(rate, case.predict(ratio), within=3e-3, because=because, name="rate in W_2")


@drift_takes_densities_to_their_projection.figure
def towards_the_projection(case: Case, ax: Any) -> Any:
    """Draw the distance from the projection along time, and its stated rate."""
    ratio = case.instance.get("l_1/l_2 to 1") or case.instance["l_1/l_2"]
    times = np.linspace(0.0, case.instance["t"][1], 41)
    found = case.measure(from_its_projection, ratio, tuple(float(t) for t in times))
    ax.semilogy(times, found, "o", ms=5, color=ACCENT[0], label="$W_2$, measured")
    rate = case.predict(ratio)
    ax.semilogy(
        times, found[-1] * np.exp(rate * (times[-1] - times)), "--", color=THEORY, label=f"stated rate {rate:.3g}"
    )
    ax.set(xlabel="$t$", ylabel="distance from the projection", title=rf"$\ell_1/\ell_2 = {ratio:.3g}$")
    ax.legend()
    return ax


@drift_takes_densities_to_their_projection.mutation
def rate_of_single_tokens(ratio: float) -> float:
    """Tokens near the top eigenvector for all, and where that is the answer, the way out for the way in."""
    return 1 - 1 / ratio if ratio < 2 else 0.5 * (ratio - 1)


@drift_takes_densities_to_their_projection.mutation
def gap_of_the_eigenvalues(ratio: float) -> float:
    """l_1 - l_2, as under the linear flow of B."""
    return ratio - 1

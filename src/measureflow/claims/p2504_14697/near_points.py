"""Near one point and near two opposite ones: a gradient inequality, and rates at which tokens part."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import N, cloud, masses, speeds
from measureflow.paths.style import ACCENT, THEORY

#: both models, by their weighting
MODELS = {"softmax": "SA", "unnormalised": "USA"}


@claim(
    "2504.14697",
    "stationary measures",
    covers=["5.1"],
    status="derived",
    id="2504.14697/opposite-points",
    states={
        "softmax": lambda plus, minus, beta: (
            minus / (plus * np.exp(2 * beta) + minus) + plus / (minus * np.exp(2 * beta) + plus)
        ),
        "unnormalised": lambda plus, minus, beta: np.exp(-beta),
    },
)
def opposite_points_are_unstable(case: Case) -> None:
    """Masses a and b at opposite points part at the rate b/(a e^(2 beta) + b) + a/(b e^(2 beta) + a) > 0 under SA, and
    at e^(-beta) under USA, whatever the masses."""
    share, beta = case.draw("mass at x", 0.3, 0.7), case.draw("beta", 0.3, 2.0)
    case.require("both points have mass", 0 < share < 1)
    turn = case.draw("turn", 0.0, 6.0)
    for model, name in MODELS.items():
        measured = rate_of_parting(case, share, beta, turn, model)
        stated = getattr(case.statement, model)(share, 1 - share, beta)
        because = "rounding of sums of size 1, and of e^beta under USA"
        within = 1e-12 * max(1.0, float(np.exp(beta - 2.0)))
        case.compare(measured, stated, within=within, because=because, name=f"rate of parting, {name}")


def rate_of_parting(case: Case, share: float, beta: float, turn: float, model: str) -> float:
    """Return the largest rate of two masses at opposite points."""
    # six tokens on the circle, four without mass on top of the first: the shape that other saddles have
    weights = np.array([share, 1 - share, 0.0, 0.0, 0.0, 0.0])
    angles = turn + np.pi * np.array([0, 1, 0, 0, 0, 0])
    tokens = mf.Tokens(mf.Sphere(2), np.stack([np.cos(angles), np.sin(angles)], axis=1), weights)
    field = mf.SelfAttention(beta, weighting=model)
    jacobian = np.asarray(case.measure(mf.observe.jacobian, tokens, field=field))[:2, :2]
    return float(np.linalg.eigvals(jacobian).real.max())


@opposite_points_are_unstable.figure
def partings(case: Case, ax: Any) -> Any:
    """Draw the rates under both models over beta, measured and stated."""
    share, betas = case.instance["mass at x"], case.instance["beta"] * np.linspace(0.1, 2.0, 8)
    fine = np.linspace(betas[0], betas[-1], 80)
    for (model, name), colour in zip(MODELS.items(), ACCENT, strict=False):
        found = [rate_of_parting(case, share, float(beta), case.instance["turn"], model) for beta in betas]
        ax.plot(betas, found, "o", color=colour, label=name)
        ax.plot(fine, getattr(case.statement, model)(share, 1 - share, fine), "--", color=THEORY, lw=1.4)
    ax.plot([], [], "--", color=THEORY, label="stated")
    ax.set(
        xlabel=r"$\beta$", ylabel="rate of parting", title=f"masses {share:.2f} and {1 - share:.2f}", ylim=(0.0, None)
    )
    ax.legend()
    return ax


@opposite_points_are_unstable.mutation("softmax")
def attracting(plus: float, minus: float, beta: float) -> float:
    """The sign is wrong: two opposite points would be stable."""
    weight = np.exp(2 * beta)
    return -(minus / (plus * weight + minus) + plus / (minus * weight + plus))


@opposite_points_are_unstable.mutation("softmax")
def rate_of_the_cosine(plus: float, minus: float, beta: float) -> float:
    """The rate of 1 + rho is given for that of the angle."""
    weight = np.exp(2 * beta)
    return 2 * (minus / (plus * weight + minus) + plus / (minus * weight + plus))


@opposite_points_are_unstable.mutation("softmax")
def exponent_halved(plus: float, minus: float, beta: float) -> float:
    """The logits of opposite points differ by 2 beta; beta stands in its place."""
    weight = np.exp(beta)
    return minus / (plus * weight + minus) + plus / (minus * weight + plus)


@opposite_points_are_unstable.mutation("unnormalised")
def pull_of_the_lighter_point(plus: float, minus: float, beta: float) -> float:
    """The lighter mass times e^(-beta): one of the two points alone moves."""
    return float(min(plus, minus) * np.exp(-beta))


def shortfall(points: np.ndarray, shares: np.ndarray, beta: float) -> float:
    """Return how far the energy is below e^beta/(2 beta), that of one point, from differences."""
    gaps = 0.5 * ((points[:, None] - points[None]) ** 2).sum(axis=-1)
    return float(-shares @ np.expm1(-beta * gaps) @ shares * np.exp(beta) / (2 * beta))


def constant_in_a_cap(beta: float, angle: float) -> float:
    """Return c in |grad E|^2 >= 2c (max E - E) on a cap of half the aperture `angle`."""
    nearest = np.cos(2 * angle)
    return float(nearest**2 * np.exp(beta * (2 * nearest - 1)))


@claim(
    "2504.14697",
    "inequality of Polyak and Lojasiewicz near one point",
    covers=["7.3"],
    status="derived",
    id="2504.14697/gradient-inequality",
    states={"constant": constant_in_a_cap, "local": lambda beta: float(np.exp(beta))},
)
def in_a_cap_the_slope_bounds_what_is_missing_of_the_energy(case: Case) -> None:
    """For a law on a cap of angle r < pi/4 under USA, int |X|^2 dmu >= 2c (max E - E), c = cos^2(2r) e^(beta (2 cos 2r
    - 1)); as the cap shrinks 2c = 2 e^beta is attained.

    Derived here: the velocity along the mean m is half the integral of e^(beta <x,y>) (1 - <x,y>) <x + y, m>, at least
    cos(2r) e^(beta cos 2r) (1 - |m|^2); |P_x m|^2 has at most the mean |m|^2 (1 - |m|^2); and max E - E is at most
    e^beta (1 - |m|^2)/2. Cauchy and Schwarz do the rest.
    """
    n, d = case.given("n", N), case.given("d", 3)
    case.require("there are two tokens or more, and d >= 2", n >= 2 and d >= 2)
    beta, angle = case.draw("beta", 2.0, 4.0), case.draw("angle of the cap", 0.3, 0.5)
    case.require("the cap is narrower than pi/4", 1e-3 < angle < np.pi / 4)
    ratio = logs_of_the_ratio(case, n, d, beta, angle)
    stated = np.log(case.statement.constant(beta, angle))
    because = "rounding; a bound"
    for name in ("a cap", "its ends"):
        case.at_least(ratio[name], stated, within=0.02, because=because, name=f"log of the ratio in {name}")
    because = "terms of beta r^2 = 4e-6, and rounding of differences of 1e-3"
    stated, within = np.log(case.statement.local(beta)), 1e-4 * max(1.0, beta / 4.0)
    case.compare(ratio["a narrow cap"], stated, within=within, because=because, name="log of the ratio near one point")


def logs_of_the_ratio(case: Case, n: int, d: int, beta: float, angle: float) -> dict[str, float]:
    """Return the logarithm of half of int |X|^2 over what is missing of the energy, for tokens in caps."""
    field, shares = mf.SelfAttention(beta, weighting="unnormalised"), masses(case, n)
    # half of the tokens at one end of the cap and half at the other: where the bound is nearly attained
    rim = angle * np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    ends = np.zeros((n, d))
    ends[:, 0], ends[:, 1] = np.cos(rim), np.sin(rim)
    starts = {
        "a cap": (np.asarray(cloud(case, n=n, d=d, angle=angle).points), shares),
        "its ends": (ends, np.full(n, 1 / n)),
        "a narrow cap": (np.asarray(cloud(case, n=n, d=d, angle=1e-3).points), shares),
    }
    ratio = {}
    for name, (points, weights) in starts.items():
        moved = speeds(case, field, mf.Tokens(mf.Sphere(d), points, weights))
        ratio[name] = np.log(float(weights @ (moved**2).sum(axis=1)) / shortfall(points, weights, beta) / 2)
    return ratio


@in_a_cap_the_slope_bounds_what_is_missing_of_the_energy.figure
def constants(case: Case, ax: Any) -> Any:
    """Draw the ratio for tokens in caps, and at their ends, over the angle of the cap, and the stated bound."""
    n, d, beta = (case.instance[name] for name in ("n", "d", "beta"))
    angles = np.linspace(0.05, 0.75, 12)
    found = [logs_of_the_ratio(case, n, d, beta, float(angle)) for angle in angles]
    for name, colour in zip(("a cap", "its ends"), ACCENT, strict=False):
        ax.plot(
            angles,
            [one[name] for one in found],
            "o",
            color=colour,
            label=f"tokens in {name}".replace("in its", "at its"),
        )
    ax.plot(
        angles,
        [np.log(case.statement.constant(beta, angle)) for angle in angles],
        "--",
        color=THEORY,
        label="stated: at least",
    )
    ax.axhline(np.log(case.statement.local(beta)), color=THEORY, lw=1, ls=":", label="stated near one point")
    ax.set(
        xlabel="angle of the cap",
        ylabel=r"$\log\,(\int|X|^2/2(\max E-E))$",
        title=rf"$n = {n}$, $d = {d}$, $\beta = {beta:.3g}$",
    )
    ax.legend()
    return ax


@in_a_cap_the_slope_bounds_what_is_missing_of_the_energy.mutation("constant")
def local_constant_in_the_whole_cap(beta: float, angle: float) -> float:
    """e^beta, the constant near one point, in the whole cap."""
    return float(np.exp(beta))


@in_a_cap_the_slope_bounds_what_is_missing_of_the_energy.mutation("constant")
def energy_of_another_scale(beta: float, angle: float) -> float:
    """e^beta (1 - |m|^2)/2, what is missing of the energy at most, is taken for (1 - |m|^2)/2."""
    return constant_in_a_cap(beta, angle) * float(np.exp(beta))


@in_a_cap_the_slope_bounds_what_is_missing_of_the_energy.mutation("local")
def rate_of_softmax(beta: float) -> float:
    """1, as under SA and its metric."""
    return 1.0


@in_a_cap_the_slope_bounds_what_is_missing_of_the_energy.mutation("local")
def half_of_it(beta: float) -> float:
    """The 2 of 2c is counted twice: the energy would be missing at half the rate of squared distances."""
    return float(np.exp(beta)) / 2

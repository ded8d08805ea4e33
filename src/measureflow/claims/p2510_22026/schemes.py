"""Where the layer norm stands: clocks, first speeds of equiangular tokens, and local rates of every scheme."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import N, cloud, speeds
from measureflow.claims.p2510_22026.instances import RADIAL, SWITCH, TITLES, at_radius, run, scheme_of, schemes_of
from measureflow.paths.style import ACCENT, THEORY, shades

#: how each scheme is marked in a picture
MARKS = {"post": "o", "pre": "s", "mix": "^", "peri": "D", "ngpt": "v", "sqrt": "x"}
#: how far runs go: their gaps fall by about e^-24, or like a power of the time
ENDS = {"post": 12.0, "sqrt": 48.0, "pre": 2000.0, "peri": 2000.0, "mix": 2000.0}


def turning(
    case: Case, name: str, alpha: float, tokens: mf.Tokens, field: mf.Field, radius: float = 1.0, depth: float = 0.0
) -> Any:
    """Return the velocities of the directions under a scheme, at a depth and a radius that all tokens share."""
    motion = mf.fields.Normalised(field, scheme_of(name, alpha))
    states = at_radius(name, tokens, radius)
    points = np.asarray(tokens.points)
    moved = speeds(case, dataclasses.replace(motion, depth=np.asarray(depth)), states)
    across = moved - (moved * points).sum(axis=1, keepdims=True) * points
    return across / (radius if name in RADIAL else 1.0)


def pair_gap(points: Any) -> Any:
    """Return `1 - rho` of the first two tokens, from their difference."""
    return 0.5 * ((points[..., 0, :] - points[..., 1, :]) ** 2).sum(axis=-1)


@functools.cache
def equations(times: tuple[float, ...], **options: Any) -> Any:
    """Return gap and radius of the two scalar equations, solved once for truth and mutations."""
    return theory.gap_and_radius_of_normalised_tokens(np.array(times), **options)


@claim(
    "2510.22026",
    "table of rates; the equiangular system",
    covers=["V17"],
    status="derived",
    states={"system": equations, "clock": theory.clock_of_normalisation},
)
def equiangular_tokens_close_at_rate_two_in_the_clock_of_their_scheme(case: Case) -> None:
    """Under every scheme equiangular tokens follow two scalar equations, for the cosine and for the radius, and end
    like e^(-2 tau): tau is t (Post), log t (Pre, Mix, Peri), the integral of alpha (nGPT) and 2 sqrt t (sqrt)."""
    beta, start, alpha = case.draw("beta", 1.0, 3.0), case.draw("start", 0.1, 0.5), case.draw("alpha", 0.4, 0.8)
    n = case.given("n", N)
    case.require("equiangular tokens that do not wait far apart, and have not met", n >= 2 and 0 <= start <= 0.9)
    case.require("alpha is positive, and beta not so large that tokens wait", alpha > 0 and 0 <= beta <= 4)
    frame = mf.equiangular(n=n, cosine=start)
    for name in schemes_of(case):
        options = {"scheme": name, "alpha": alpha, "switch": SWITCH}
        times = ENDS.get(name, 12.0 / alpha) * np.array([0.01, 0.1, 0.5, 1.0])
        points, radii = run(case, name, alpha, frame, beta, times)
        gap, radius = case.statement.system(tuple(times), n=n, beta=beta, start=start, **options)
        because = "rtol 1e-12 of the flow beside a difference of directions of at least 1e-6, and 1e-9 of the system"
        measured = pair_gap(points)
        case.compare(
            measured, gap, within=2e-5 * measured, because=because, name=f"gap, {TITLES[name]}", over={"t": times}
        )
        case.compare(radii[:, 0], radius, within=1e-7, relative=True, because=because, name=f"radius, {TITLES[name]}",
                     over={"t": times})  # fmt: skip
        exponent = -np.diff(np.log(measured[2:])) / np.diff(case.statement.clock(times[2:], **options))
        because = "corrections of relative order log(t)/t, with t = 2000, where radii grow, else e^(-12)"
        case.compare(
            exponent, 2.0, within=1e-2 * max(1.0, np.exp(beta - 3.0)), because=because, name=f"exponent, {TITLES[name]}"
        )


@equiangular_tokens_close_at_rate_two_in_the_clock_of_their_scheme.mutation("system")
def radius_not_felt(times: Any, *, scheme: str, **options: Any) -> Any:
    """Pre-LN has the speed of Post-LN: the factor r is lost."""
    return equations(times, scheme="post" if scheme == "pre" else scheme, **options)


@equiangular_tokens_close_at_rate_two_in_the_clock_of_their_scheme.mutation("system")
def size_of_the_output_lost(times: Any, *, scheme: str, **options: Any) -> Any:
    """Peri-LN has the factor r alone: |A| is lost."""
    return equations(times, scheme="pre" if scheme == "peri" else scheme, **options)


@equiangular_tokens_close_at_rate_two_in_the_clock_of_their_scheme.mutation("system")
def alpha_upside_down(times: Any, *, scheme: str, alpha: float, **options: Any) -> Any:
    """The factor of nGPT is alpha |A|, as the printed rate Var/alpha would have it."""
    return equations(times, scheme=scheme, alpha=1 / alpha if scheme == "ngpt" else alpha, **options)


@equiangular_tokens_close_at_rate_two_in_the_clock_of_their_scheme.mutation("system")
def switch_too_late(times: Any, *, scheme: str, switch: float, **options: Any) -> Any:
    """Mix-LN goes over to Pre-LN one unit of depth too late."""
    return equations(times, scheme=scheme, switch=switch + 1.0 if scheme == "mix" else switch, **options)


@equiangular_tokens_close_at_rate_two_in_the_clock_of_their_scheme.mutation("clock")
def exponential_under_pre_ln(times: Any, *, scheme: str, **options: Any) -> Any:
    """Pre-LN is given the clock of Post-LN: an exponential rate."""
    return theory.clock_of_normalisation(times, scheme="post" if scheme == "pre" else scheme, **options)


@equiangular_tokens_close_at_rate_two_in_the_clock_of_their_scheme.mutation("clock")
def first_power(times: Any, *, scheme: str, **options: Any) -> Any:
    """Where radii grow the gap falls like 1/t, as the angle does."""
    return theory.clock_of_normalisation(times, scheme=scheme, **options) * (0.5 if scheme in RADIAL else 1.0)


@equiangular_tokens_close_at_rate_two_in_the_clock_of_their_scheme.mutation("clock")
def two_of_the_root_lost(times: Any, *, scheme: str, **options: Any) -> Any:
    """The exponent of sqrt-scaling is 2 sqrt t: the integral of 1/sqrt t is missed."""
    return theory.clock_of_normalisation(times, scheme=scheme, **options) * (0.5 if scheme == "sqrt" else 1.0)


@equiangular_tokens_close_at_rate_two_in_the_clock_of_their_scheme.figure
def gaps_of_all_schemes(case: Case, ax: Any) -> Any:
    """Draw the gap of every scheme along depth, particles over the two equations."""
    beta, start, alpha = (case.instance[name] for name in ("beta", "start", "alpha"))
    n, names = case.instance["n"], case.instance["schemes"]
    frame, fine = mf.equiangular(n=n, cosine=start), np.geomspace(0.05, 2000.0, 120)
    for name, shade in zip(names, shades(len(names)), strict=True):
        options = {"scheme": name, "alpha": alpha, "switch": SWITCH}
        end = ENDS[name] if name in ENDS else 12.0 / alpha
        times = end * np.array([0.01, 0.1, 0.5, 1.0])
        gap, _ = case.statement.system(tuple(fine[fine <= end]), n=n, beta=beta, start=start, **options)
        ax.plot(fine[fine <= end], gap, "--", lw=1.2, color=shade, label=TITLES[name])
        points, _ = run(case, name, alpha, frame, beta, times)
        ax.plot(times, pair_gap(points), MARKS[name], color=shade, ms=5, mew=1.2)
    ax.set(
        xscale="log",
        yscale="log",
        ylim=(1e-17, 3),
        xlabel="depth $t$",
        ylabel=r"$1-\rho$",
        title=rf"$n = {n}$, $\beta = {beta:.2f}$, $\alpha = {alpha:.2f}$",
    )
    ax.legend(ncol=2, loc="lower left", title="two equations (dashed), particles (marks)")
    return ax


@claim(
    "2510.22026",
    "first speeds of the equiangular system",
    covers=["V17"],
    id="2510.22026/V17-first-speeds",
    status="derived",
    states=theory.initial_speed_of_normalised_tokens,
)
def orthogonal_tokens_start_at_known_speeds(case: Case) -> None:
    """The cosine of n orthogonal tokens starts at the speed 2/(e^beta + n - 1), and where outputs are normalised (Peri,
    nGPT) at 2 alpha/sqrt(e^(2 beta) + n - 1)."""
    beta, alpha, n = case.draw("beta", 0.5, 3.0), case.draw("alpha", 0.3, 3.0), case.given("n", N)
    case.require("there are two tokens or more, and alpha is positive", n >= 2 and alpha > 0)
    for name in schemes_of(case):
        measured = first_speed_of(case, name, n, beta, alpha)
        predicted = case.predict(scheme=name, n=n, beta=beta, alpha=alpha)
        because = "rounding of sums of terms of size 1"
        case.compare([measured], predicted, within=1e-12 * max(1.0, alpha / 3), because=because,
                     name=f"first speed, {TITLES[name]}", over={"beta": [beta]})  # fmt: skip


def first_speed_of(case: Case, name: str, n: int, beta: float, alpha: float) -> float:
    """Return how fast the cosine of two of n orthogonal tokens grows at first."""
    frame = mf.equiangular(n=n, cosine=0.0)
    points = np.asarray(frame.points)
    moved = turning(case, name, alpha, frame, mf.SelfAttention(beta))
    return float(moved[0] @ points[1] + points[0] @ moved[1])


@orthogonal_tokens_start_at_known_speeds.figure
def first_speeds(case: Case, ax: Any) -> Any:
    """Draw the first speeds of every scheme over beta, measured and stated."""
    n, alpha, names = case.instance["n"], case.instance["alpha"], case.instance["schemes"]
    betas = case.instance["beta"] * np.linspace(0.1, 1.5, 6)
    fine = np.linspace(betas[0], betas[-1], 60)
    for name, shade in zip(names, shades(len(names)), strict=True):
        found = [first_speed_of(case, name, n, float(beta), alpha) for beta in betas]
        ax.semilogy(betas, found, MARKS[name], color=shade, label=TITLES[name])
        stated = [case.predict(scheme=name, n=n, beta=float(beta), alpha=alpha) for beta in fine]
        ax.semilogy(fine, stated, "--", color=THEORY, lw=1, zorder=1)
    ax.plot([], [], "--", color=THEORY, label="stated")
    ax.set(xlabel=r"$\beta$", ylabel="first speed of the cosine", title=rf"$n = {n}$, $\alpha = {alpha:.2f}$")
    ax.legend(ncol=2)
    return ax


def first_speed(own: float, n: int, size: bool, alpha: float) -> float:
    """Return the first speed for another weight of the token itself."""
    return 2.0 * alpha / np.sqrt(own**2 + n - 1) if size else 2.0 / (own + n - 1)


@orthogonal_tokens_start_at_known_speeds.mutation
def one_token_too_many(*, scheme: str, n: int, beta: float, alpha: float) -> float:
    """n stands where n - 1 belongs."""
    return theory.initial_speed_of_normalised_tokens(scheme=scheme, n=n + 1, beta=beta, alpha=alpha)


@orthogonal_tokens_start_at_known_speeds.mutation
def output_not_normalised(*, scheme: str, n: int, beta: float, alpha: float) -> float:
    """Peri-LN and nGPT start like Post-LN."""
    return first_speed(np.exp(beta), n, False, alpha) * (alpha if scheme == "ngpt" else 1.0)


@orthogonal_tokens_start_at_known_speeds.mutation
def only_one_token_moves(*, scheme: str, n: int, beta: float, alpha: float) -> float:
    """The factor 2 is lost."""
    return theory.initial_speed_of_normalised_tokens(scheme=scheme, n=n, beta=beta, alpha=alpha) / 2


@orthogonal_tokens_start_at_known_speeds.mutation
def square_of_the_own_weight_lost(*, scheme: str, n: int, beta: float, alpha: float) -> float:
    """|A| is taken as the root of e^beta + n - 1."""
    size = scheme in ("peri", "ngpt")
    return first_speed(np.exp(beta / 2 if size else beta), n, size, alpha if scheme == "ngpt" else 1.0)


@claim(
    "2510.22026",
    "theorem on the local cone, row of nGPT",
    covers=["E9"],
    status="erratum",
    states={"rate": theory.rate_of_variance, "cone": theory.cone_of_local_rates},
)
def variance_in_a_narrow_cone_falls_at_the_speed_of_the_scheme(case: Case) -> None:
    """In a cone with delta < min(1, beta^-2)/(100 n^2) the variance of directions falls at the rate 2/s: 2 alpha under
    nGPT. (Printed: Var/alpha; and for small beta wider cones are admitted, such as antipodes, where nothing moves.)"""
    beta, alpha = case.draw("beta", 0.3, 3.0), case.choose("alpha", [0.2, 0.5, 4.0])
    radius, depth, n = case.draw("radius", 1.5, 4.0), case.draw("depth", 3.0, 8.0), case.given("n", N)
    case.require("there are two tokens or more", n >= 2)
    case.require("alpha, beta, radius and depth are positive", min(alpha, beta, radius) > 0 and depth >= 0)
    query, key = (scaled(case, name, n) for name in ("query", "key"))
    delta = 0.9 * min(case.statement.cone(n, beta), theory.cone_of_local_rates(n, beta))
    tokens = cloud(case, n=n, d=n, angle=0.5 * float(np.arccos(1 - delta)))
    field = mf.SelfAttention(beta, query=query, key=key)
    for name in schemes_of(case):
        moved = turning(case, name, alpha, tokens, field, radius, depth)
        rate = case.statement.rate(depth, scheme=name, radius=radius, alpha=alpha, switch=SWITCH)
        because = "weights and projections differ from the mean's by terms of order (beta + beta^2) delta < 2e-4"
        case.compare(shrinking(tokens, moved), rate, within=1e-3, relative=True, because=because,
                     name=f"rate of the variance, {TITLES[name]}")  # fmt: skip
    # two places as far apart as the hypothesis admits at a small beta: antipodal they would stand still
    cold = case.draw("small beta", 0.002, 0.008)
    case.require("a beta is small", 0 < cold <= 0.01)
    angle = np.arccos(np.clip(1 - 0.9 * case.statement.cone(n, cold), -1, 1))
    ends = np.array([np.eye(n)[0], np.cos(angle) * np.eye(n)[0] + np.sin(angle) * np.eye(n)[1]])
    tokens = mf.Tokens(mf.Sphere(n), ends[np.arange(n) % 2])
    moved = turning(case, "post", alpha, tokens, mf.SelfAttention(cold, query=query, key=key))
    because = "terms of order beta + delta < 1e-2 in the rate 2"
    rate = case.statement.rate(0.0, scheme="post")
    case.compare(shrinking(tokens, moved), rate, within=2e-2, because=because, name="rate of the variance, two places")


@variance_in_a_narrow_cone_falls_at_the_speed_of_the_scheme.figure
def rates_of_schemes(case: Case, ax: Any) -> Any:
    """Draw the rate of the variance under every scheme, measured and stated."""
    curves = case.curves[: len(case.instance["schemes"])]
    places = np.arange(len(curves))
    ax.plot(places, [curve.stated[0] for curve in curves], "_", ms=30, mew=2, color=THEORY, label="stated, $2/s$")
    ax.plot(places, [curve.measured[0] for curve in curves], "o", color=ACCENT[0], label="measured")
    ax.set_xticks(places, [TITLES[name] for name in case.instance["schemes"]], fontsize=10)
    n, alpha, radius, depth = (case.instance[name] for name in ("n", "alpha", "radius", "depth"))
    ax.set(
        yscale="log",
        ylabel="rate of the variance",
        title=rf"$n = {n}$, $\alpha = {alpha:g}$, $r = {radius:.2f}$, $t = {depth:.2f}$",
    )
    ax.legend()
    return ax


def scaled(case: Case, name: str, d: int) -> np.ndarray:
    """Draw a matrix of norm 1."""
    matrix = case.generator(name).normal(size=(d, d))
    return matrix / np.linalg.norm(matrix, 2)


def shrinking(tokens: mf.Tokens, moved: np.ndarray) -> float:
    """Return the rate at which the variance of directions falls, from differences."""
    points = np.asarray(tokens.points)
    apart, parting = points - points.mean(axis=0), moved - moved.mean(axis=0)
    return float(-2 * (apart * parting).sum() / (apart**2).sum())


@variance_in_a_narrow_cone_falls_at_the_speed_of_the_scheme.mutation("rate")
def printed_rate(times: Any, *, alpha: float = 1.0, **options: Any) -> Any:
    """The printed row of nGPT: Var/alpha in the place of alpha Var."""
    return theory.rate_of_variance(times, alpha=1 / alpha, **options)


@variance_in_a_narrow_cone_falls_at_the_speed_of_the_scheme.mutation("cone")
def printed_cone(n: int, beta: float) -> float:
    """The printed hypothesis delta < 1/(100 n^2 beta^2) alone, which a small beta lets everything pass."""
    return 1.0 / (100 * n**2 * beta**2)


@variance_in_a_narrow_cone_falls_at_the_speed_of_the_scheme.mutation("rate")
def rate_of_the_deviation(times: Any, **options: Any) -> Any:
    """The rate of the deviation is given for that of its square."""
    return theory.rate_of_variance(times, **options) / 2


@variance_in_a_narrow_cone_falls_at_the_speed_of_the_scheme.mutation("rate")
def scale_of_the_depth(times: Any, *, scheme: str, **options: Any) -> Any:
    """Sqrt-scaling is given the scale t of the schemes whose radii grow."""
    rate = theory.rate_of_variance(times, scheme=scheme, **options)
    return rate / np.sqrt(1.0 + times) if scheme == "sqrt" else rate

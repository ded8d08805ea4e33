"""Where the layer norm stands: clocks, first speeds, local rates and ends of every scheme."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import equinox as eqx
import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import N, cloud, normalised, speeds
from measureflow.claims.p2510_22026.instances import RADIAL, SWITCH, TITLES, at_radius, run, scheme_of

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
    frame = mf.equiangular(n=N, cosine=start)
    for name in theory.SCHEMES:
        options = {"scheme": name, "alpha": alpha, "switch": SWITCH}
        times = ENDS.get(name, 12.0 / alpha) * np.array([0.01, 0.1, 0.5, 1.0])
        points, radii = run(case, name, alpha, frame, beta, times)
        gap, radius = case.statement.system(tuple(times), n=N, beta=beta, start=start, **options)
        because = "rtol 1e-12 of the flow beside a difference of directions of at least 1e-6, and 1e-9 of the system"
        measured = pair_gap(points)
        case.compare(measured, gap, within=2e-5 * measured, because=because, name=f"gap, {name}")
        case.compare(radii[:, 0], radius, within=1e-7, relative=True, because=because, name=f"radius, {name}")
        exponent = -np.diff(np.log(measured[2:])) / np.diff(case.statement.clock(times[2:], **options))
        because = "corrections of relative order log(t)/t, with t = 2000, where radii grow, else e^(-12)"
        case.compare(exponent, 2.0, within=1e-2, because=because, name=f"exponent, {name}")


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
    frame, fine = mf.equiangular(n=N, cosine=start), np.geomspace(0.05, 2000.0, 120)
    marks = {"post": "o", "pre": "s", "mix": "^", "peri": "D", "ngpt": "v", "sqrt": "x"}
    for name in theory.SCHEMES:
        options = {"scheme": name, "alpha": alpha, "switch": SWITCH}
        end = ENDS[name] if name in ENDS else 12.0 / alpha
        times = end * np.array([0.01, 0.1, 0.5, 1.0])
        gap, _ = case.statement.system(tuple(fine[fine <= end]), n=N, beta=beta, start=start, **options)
        (line,) = ax.plot(fine[fine <= end], gap, "--", lw=1.2, label=TITLES[name])
        points, _ = run(case, name, alpha, frame, beta, times)
        ax.plot(times, pair_gap(points), marks[name], color=line.get_color(), ms=5, mew=1.2)
    ax.set(
        xscale="log",
        yscale="log",
        ylim=(1e-17, 3),
        xlabel="depth $t$",
        ylabel=r"$1-\rho$",
        title=rf"$n={N}$, $\beta={beta:.2f}$",
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
    beta, alpha = case.draw("beta", 0.5, 3.0), case.draw("alpha", 0.3, 3.0)
    frame = mf.equiangular(n=N, cosine=0.0)
    points = np.asarray(frame.points)
    for name in theory.SCHEMES:
        moved = turning(case, name, alpha, frame, mf.SelfAttention(beta))
        measured = moved[0] @ points[1] + points[0] @ moved[1]
        predicted = case.predict(scheme=name, n=N, beta=beta, alpha=alpha)
        because = "rounding of sums of terms of size 1"
        case.compare(measured, predicted, within=1e-12, because=because, name=name)


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
    radius, depth = case.draw("radius", 1.5, 4.0), case.draw("depth", 3.0, 8.0)
    query, key = (scaled(case, name) for name in ("query", "key"))
    delta = 0.9 * min(case.statement.cone(N, beta), theory.cone_of_local_rates(N, beta))
    tokens = cloud(case, d=N, angle=0.5 * float(np.arccos(1 - delta)))
    field = mf.SelfAttention(beta, query=query, key=key)
    for name in theory.SCHEMES:
        moved = turning(case, name, alpha, tokens, field, radius, depth)
        rate = case.statement.rate(depth, scheme=name, radius=radius, alpha=alpha, switch=SWITCH)
        because = "weights and projections differ from the mean's by terms of order (beta + beta^2) delta < 2e-4"
        case.compare(shrinking(tokens, moved), rate, within=1e-3, relative=True, because=because, name=name)
    # two places as far apart as the hypothesis admits at a small beta: antipodal they would stand still
    cold = case.draw("small beta", 0.002, 0.008)
    angle = np.arccos(np.clip(1 - 0.9 * case.statement.cone(N, cold), -1, 1))
    ends = np.array([np.eye(N)[0], np.cos(angle) * np.eye(N)[0] + np.sin(angle) * np.eye(N)[1]])
    tokens = mf.Tokens(mf.Sphere(N), ends[np.arange(N) % 2])
    moved = turning(case, "post", alpha, tokens, mf.SelfAttention(cold, query=query, key=key))
    because = "terms of order beta + delta < 1e-2 in the rate 2"
    rate = case.statement.rate(0.0, scheme="post")
    case.compare(shrinking(tokens, moved), rate, within=2e-2, because=because, name="two places")


def scaled(case: Case, name: str) -> np.ndarray:
    """Draw a matrix of norm 1."""
    matrix = case.generator(name).normal(size=(N, N))
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


head = eqx.filter_jit(lambda field, mu: field.output(mu.points, mu))

#: tokens and dimension of the claim on first velocities: d <= n log n <= e^sqrt(d)
MANY, WIDE = 1024, 512


def outputs_of_uniform_tokens(seed: int, beta: float) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return uniform tokens and what heads put out: with Q^T K = V = 1, and with random matrices of norm 1.

    These shrink most directions and turn half of them round, in axes of their own.
    """
    generator = np.random.default_rng(seed)
    points = normalised(generator.normal(size=(MANY, WIDE)))
    turned, _ = np.linalg.qr(generator.normal(size=(WIDE, WIDE)))
    one, axes = np.eye(WIDE), generator.uniform(-1.0, 1.0, (2, WIDE))
    axes[:, 0] = 1.0
    forms = {"Q = K = V = 1": (one, one), "random Q, K, V": (turned * axes[0], turned.T * axes[1])}
    outputs = {}
    for name, (form, value) in forms.items():
        field = mf.SelfAttention(beta, query=form, value=value)
        outputs[name] = np.asarray(head(field, mf.Tokens(mf.Sphere(WIDE), points)))
    return points, outputs


@claim(
    "2510.22026",
    "theorem on the initial velocity",
    covers=["V17"],
    id="2510.22026/V17-initial-velocity",
    states={"speed": theory.speed_of_uniform_tokens, "bound": theory.bound_on_initial_output},
)
def uniform_tokens_start_slowly_unless_outputs_are_normalised(case: Case) -> None:
    """Of uniform tokens every output is at most C (sqrt(log n/n) + log n/d): Post-LN and Pre-LN start at a speed of
    order 1/sqrt n, Peri-LN and nGPT at a speed near their own."""
    beta, alpha = 1.0, case.draw("alpha", 0.3, 3.0)
    case.require("d <= n log n <= e^sqrt d", WIDE <= MANY * np.log(MANY) <= np.exp(np.sqrt(WIDE)))
    points, outputs = case.measure(outputs_of_uniform_tokens, case.seed, beta)
    bound = case.statement.bound(MANY, WIDE, constant=0.5)
    for name, those in outputs.items():
        because = "the printed constant is 128; 1/2 holds here with room for a fifth, and what is left is rounding"
        sizes = np.linalg.norm(those, axis=1)
        case.at_most(sizes, bound, within=1e-2 * bound, because=because, name=f"outputs, {name}")
    output = outputs["Q = K = V = 1"]
    size = np.linalg.norm(output, axis=1)
    across = np.sqrt(np.maximum(size**2 - (output * points).sum(axis=1) ** 2, 0))
    for name in ("post", "pre", "peri", "ngpt"):
        measured = np.sqrt(np.mean((across / theory.speed_factor(name, size=size, alpha=alpha)) ** 2))
        predicted = case.statement.speed(scheme=name, n=MANY, d=WIDE, beta=beta, alpha=alpha)
        because = (
            "the tokens' mean, to which all are drawn, has a length with relative fluctuations of 1/sqrt(2 d) = 3 %, "
            "of which half of the tolerance is four"
        )
        case.compare(np.log(measured), np.log(predicted), within=0.25, because=because, name=f"log of speed, {name}")


@uniform_tokens_start_slowly_unless_outputs_are_normalised.mutation("speed")
def all_start_slowly(*, scheme: str, n: int, d: int, beta: float, alpha: float) -> float:
    """Peri-LN and nGPT start as slowly as Post-LN."""
    return theory.speed_of_uniform_tokens(scheme="post", n=n, d=d, beta=beta, alpha=alpha)


@uniform_tokens_start_slowly_unless_outputs_are_normalised.mutation("speed")
def all_start_fast(*, scheme: str, n: int, d: int, beta: float, alpha: float) -> float:
    """Pre-LN normalises its output too."""
    scheme = "peri" if scheme == "pre" else scheme
    return theory.speed_of_uniform_tokens(scheme=scheme, n=n, d=d, beta=beta, alpha=alpha)


@uniform_tokens_start_slowly_unless_outputs_are_normalised.mutation("speed")
def mean_field_of_the_sum(*, scheme: str, n: int, d: int, beta: float, alpha: float) -> float:
    """The sum of n random vectors is taken to be of order 1/n: the fluctuation is lost."""
    speed = theory.speed_of_uniform_tokens(scheme=scheme, n=n, d=d, beta=beta, alpha=alpha)
    return speed / np.sqrt(n) if scheme in ("post", "pre") else speed


@uniform_tokens_start_slowly_unless_outputs_are_normalised.mutation("bound")
def fluctuation_not_bounded(n: int, d: int, *, constant: float) -> float:
    """The bound is log n/n + log n/d: the root is forgotten."""
    return constant * (np.log(n) / n + np.log(n) / d)


@claim(
    "2510.22026",
    "lemma on the change of time",
    covers=["V17"],
    id="2510.22026/V17-change-of-time",
    states=theory.clock_of_normalisation,
)
def change_of_time_divides_the_speed_factor(case: Case) -> None:
    """A change of time t(tau) turns s into s/t'(tau): sqrt-scaling is Post-LN in the clock 2 (sqrt(t + 1) - 1), and
    nGPT with alpha is nGPT with 1 in the clock of the integral of alpha."""
    beta, alpha = case.draw("beta", 0.5, 4.0), case.draw("alpha", 0.3, 2.0)
    tokens, times = cloud(case, d=N), np.array([1.0, 3.0, 8.0])
    for name, plain in (("sqrt", "post"), ("ngpt", "ngpt")):
        measured, _ = run(case, name, alpha, tokens, beta, times)
        expected, _ = run(case, plain, 1.0, tokens, beta, case.predict(times, scheme=name, alpha=alpha))
        because = "rtol 1e-12 of both flows, grown by e^((3 + 2 beta) t) at the very most and tenfold as a rule"
        case.compare(measured, expected, within=1e-8, because=because, name=name)


@change_of_time_divides_the_speed_factor.mutation
def multiplied(times: Any, *, scheme: str, alpha: float) -> Any:
    """s is multiplied by t'(tau): the clock is the integral of s, not of 1/s."""
    return times / alpha if scheme == "ngpt" else ((1 + times) ** 1.5 - 1) * 2 / 3


@change_of_time_divides_the_speed_factor.mutation
def root_itself(times: Any, *, scheme: str, alpha: float) -> Any:
    """The clock of sqrt-scaling is sqrt(t + 1) - 1, that of nGPT the square root of the integral."""
    return np.sqrt(alpha * times) if scheme == "ngpt" else np.sqrt(1 + times) - 1


@claim(
    "2510.22026",
    "theorem on asymptotic clustering",
    covers=["V17"],
    id="2510.22026/V17-consensus",
    states=lambda scheme: 1.0,
)
def every_scheme_ends_in_one_cluster(case: Case) -> None:
    """From almost every start, under every scheme, all directions meet, whatever Q and K (of norm 1 here)."""
    beta, alpha = case.draw("beta", 0.3, 1.5), case.draw("alpha", 0.5, 2.0)
    query, key = (scaled(case, name) for name in ("query", "key"))
    tokens = cloud(case, d=N)
    for name in theory.SCHEMES:
        end = {"sqrt": 600.0, "ngpt": 45.0 / alpha}.get(name, 1e7 if name in RADIAL else 45.0)
        points, _ = run(case, name, alpha, tokens, beta, np.array([end]), query=query, key=key)
        because = "1 - rho is e^(-2 tau) with tau = 45, or 1e-14 times a factor that the wait before sets (1e6 at most)"
        case.compare((points[-1] @ points[-1].T).min(), case.predict(name), within=1e-3, because=because, name=name)


@every_scheme_ends_in_one_cluster.mutation
def opposite_ends(scheme: str) -> float:
    """Tokens gather at two opposite points."""
    return -1.0


@every_scheme_ends_in_one_cluster.mutation
def radii_win(scheme: str) -> float:
    """Where radii grow, the directions freeze before they meet."""
    return 0.9 if scheme in RADIAL else 1.0

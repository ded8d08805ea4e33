"""First velocities of uniform tokens, changes of time, and ends of every scheme."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import N, cloud, normalised
from measureflow.claims.p2510_22026.instances import RADIAL, TITLES, run, schemes_of
from measureflow.claims.p2510_22026.schemes import scaled
from measureflow.paths.style import ACCENT, THEORY, shades

head = eqx.filter_jit(lambda field, mu: field.output(mu.points, mu))


def outputs_of_uniform_tokens(seed: int, beta: float, n: int, d: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return uniform tokens and what heads put out: with Q^T K = V = 1, and with random matrices of norm 1.

    These shrink most directions and turn half of them round, in axes of their own.
    """
    generator = np.random.default_rng(seed)
    points = normalised(generator.normal(size=(n, d)))
    turned, _ = np.linalg.qr(generator.normal(size=(d, d)))
    one, axes = np.eye(d), generator.uniform(-1.0, 1.0, (2, d))
    axes[:, 0] = 1.0
    forms = {"Q = K = V = 1": (one, one), "random Q, K, V": (turned * axes[0], turned.T * axes[1])}
    outputs = {}
    for name, (form, value) in forms.items():
        field = mf.SelfAttention(beta, query=form, value=value)
        outputs[name] = np.asarray(head(field, mf.Tokens(mf.Sphere(d), points)))
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
    beta, alpha = case.given("beta", 1.0), case.draw("alpha", 0.3, 3.0)
    n, d = case.given("n", 1024), case.given("d", 512)
    case.require("d <= n log n <= e^sqrt d", 2 <= d <= n * np.log(n) <= np.exp(np.sqrt(d)))
    case.require("beta is of order one, and alpha positive", 0 <= beta <= 1 and alpha > 0)
    points, outputs = case.measure(outputs_of_uniform_tokens, case.seed, beta, n, d)
    bound = case.statement.bound(n, d, constant=0.5)
    for name, those in outputs.items():
        because = "the printed constant is 128; 1/2 holds here with room for a fifth, and what is left is rounding"
        sizes = np.linalg.norm(those, axis=1)
        case.at_most(sizes, bound, within=1e-2 * bound, because=because, name=f"length of an output, {name}",
                     over={"token": np.arange(1, n + 1)})  # fmt: skip
    output = outputs["Q = K = V = 1"]
    size = np.linalg.norm(output, axis=1)
    across = np.sqrt(np.maximum(size**2 - (output * points).sum(axis=1) ** 2, 0))
    for name in ("post", "pre", "peri", "ngpt"):
        measured = np.sqrt(np.mean((across / theory.speed_factor(name, size=size, alpha=alpha)) ** 2))
        predicted = case.statement.speed(scheme=name, n=n, d=d, beta=beta, alpha=alpha)
        because = (
            "the tokens' mean, to which all are drawn, has a length with relative fluctuations of 1/sqrt(2 d) = 3 %, "
            "of which half of the tolerance is four"
        )
        within = max(0.25, 8.0 / np.sqrt(2.0 * d))
        case.compare(np.log(measured), np.log(predicted), within=within, because=because,
                     name=f"log of the speed, {TITLES[name]}")  # fmt: skip


@uniform_tokens_start_slowly_unless_outputs_are_normalised.figure
def starts(case: Case, ax: Any) -> Any:
    """Draw the first speeds of uniform tokens under four schemes, measured and stated."""
    curves = [curve for curve in case.curves if curve.name.startswith("log of the speed")]
    places = np.arange(len(curves))
    ax.plot(places, [np.exp(curve.stated[0]) for curve in curves], "_", ms=40, mew=2, color=THEORY, label="stated")
    ax.plot(places, [np.exp(curve.measured[0]) for curve in curves], "o", color=ACCENT[0], label="measured")
    ax.set_xticks(places, [curve.name.split(", ")[1] for curve in curves])
    n, d, alpha = (case.instance[name] for name in ("n", "d", "alpha"))
    ax.set(yscale="log", ylabel="first speed", title=rf"$n = {n}$, $d = {d}$, $\alpha = {alpha:.2f}$, $Q = K = V = 1$")
    ax.legend()
    return ax


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
    n, d = case.given("n", N), case.given("d", N)
    times = np.array(case.given("t", (1.0, 3.0, 8.0)))
    case.require("times are positive, in order, and not so late that errors grow", times[0] > 0 and times[-1] <= 8)
    case.require("there are two tokens or more, d >= 2 and 0 < alpha", n >= 2 and d >= 2 and 0 < alpha <= 5)
    case.require("the times are in order", bool(np.all(np.diff(times) > 0)))
    tokens = cloud(case, n=n, d=d)
    for name, plain in (("sqrt", "post"), ("ngpt", "ngpt")):
        measured, _ = run(case, name, alpha, tokens, beta, times)
        expected, _ = run(case, plain, 1.0, tokens, beta, case.predict(times, scheme=name, alpha=alpha))
        because = "rtol 1e-12 of both flows, grown by e^((3 + 2 beta) t) at the very most and tenfold as a rule"
        case.compare(measured, expected, within=1e-8, because=because, name=f"coordinates, {TITLES[name]}")


@change_of_time_divides_the_speed_factor.figure
def one_way_in_two_clocks(case: Case, ax: Any) -> Any:
    """Draw the least cosine along depth, and that of the plain scheme in the stated clock."""
    n, d, beta, alpha, last = (*(case.instance[name] for name in ("n", "d", "beta", "alpha")), case.instance["t"][-1])
    tokens, times = cloud(case, n=n, d=d), np.linspace(0.0, last, 33)[1:]
    for (name, plain), colour in zip((("sqrt", "post"), ("ngpt", "ngpt")), ACCENT, strict=False):
        own, _ = run(case, name, alpha, tokens, beta, times)
        other, _ = run(case, plain, 1.0, tokens, beta, case.predict(times, scheme=name, alpha=alpha))
        for points, style in ((own, "o"), (other, "--")):
            least = (points @ np.swapaxes(points, 1, 2)).min(axis=(1, 2))
            what = TITLES[name] if style == "o" else f"{TITLES[plain]} in the stated clock"
            ax.plot(times, least, style, ms=4, color=colour if style == "o" else THEORY, label=what)
    ax.set(xlabel="depth $t$", ylabel="least cosine", title=rf"$n = {n}$, $\beta = {beta:.2f}$, $\alpha = {alpha:.2f}$")
    ax.legend()
    return ax


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
    n, d = case.given("n", N), case.given("d", N)
    case.require("d >= 3, and alpha is positive", n >= 2 and d >= 3 and alpha > 0)
    case.require("beta is not so large that tokens wait", 0 <= beta <= 2)
    query, key = (scaled(case, name, d) for name in ("query", "key"))
    tokens = cloud(case, n=n, d=d)
    for name in schemes_of(case):
        points, _ = run(case, name, alpha, tokens, beta, np.array([end_of(name, alpha)]), query=query, key=key)
        because = "1 - rho is e^(-2 tau) with tau = 45, or 1e-14 times a factor that the wait before sets (1e6 at most)"
        case.compare((points[-1] @ points[-1].T).min(), case.predict(name), within=1e-3, because=because,
                     name=f"least cosine in the end, {TITLES[name]}")  # fmt: skip


def end_of(name: str, alpha: float) -> float:
    """Return how deep runs go that end in one cluster."""
    return {"sqrt": 600.0, "ngpt": 45.0 / alpha}.get(name, 1e7 if name in RADIAL else 45.0)


@every_scheme_ends_in_one_cluster.figure
def ends(case: Case, ax: Any) -> Any:
    """Draw the least cosine along depth under every scheme."""
    n, d, beta, alpha, names = (case.instance[name] for name in ("n", "d", "beta", "alpha", "schemes"))
    tokens, (query, key) = cloud(case, n=n, d=d), (scaled(case, name, d) for name in ("query", "key"))
    for name, shade in zip(names, shades(len(names)), strict=True):
        times = np.geomspace(0.1, end_of(name, alpha), 40)
        points, _ = run(case, name, alpha, tokens, beta, times, query=query, key=key)
        ax.semilogx(times, (points @ np.swapaxes(points, 1, 2)).min(axis=(1, 2)), color=shade, label=TITLES[name])
    ax.axhline(case.predict(names[0]), color=THEORY, ls="--", label="stated end")
    ax.set(
        xlabel="depth $t$", ylabel="least cosine", title=rf"$n = {n}$, $d = {d}$, $\beta = {beta:.2f}$, random $Q$, $K$"
    )
    ax.legend(fontsize=9)
    return ax


@every_scheme_ends_in_one_cluster.mutation
def opposite_ends(scheme: str) -> float:
    """Tokens gather at two opposite points."""
    return -1.0


@every_scheme_ends_in_one_cluster.mutation
def radii_win(scheme: str) -> float:
    """Where radii grow, the directions freeze before they meet."""
    return 0.9 if scheme in RADIAL else 1.0

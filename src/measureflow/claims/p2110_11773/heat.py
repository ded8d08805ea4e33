"""Attention of small bandwidth on a density: heat, each normalisation with its constant; and Gaussians exactly."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np
from scipy.integrate import solve_ivp

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.runge_kutta import classical_step
from measureflow.paths.style import ACCENT, MUTED, THEORY

#: points of the line over which densities are summed by the trapezoidal rule, exact to rounding where they are smooth
#: on the scale of the kernel
GRID = 240
#: half the width of the line, in deviations of what lives on it
WIDE = 6.5

barycentres = eqx.filter_jit(lambda field, mu: field.output(mu.points, mu))


def on_grid(density: Any, half: float) -> mf.Tokens:
    """Return a density on the line as weighted points."""
    x = np.linspace(-half, half, GRID)
    masses = density(x)
    return mf.Tokens(mf.Euclidean(1), x[:, None], masses / masses.sum())


def drift(case: Case, mu: mf.Tokens, weighting: str, epsilon: float) -> np.ndarray:
    """Return `(T(x) - x) / epsilon` at the points of a grid, for the Gaussian kernel of that bandwidth."""
    beta = np.asarray(1.0 / epsilon)
    if weighting == "sinkhorn":  # <x, y> is as good as -|x - y|^2/2
        field = mf.SelfAttention(beta, weighting="sinkhorn")
    else:
        field = mf.SelfAttention(0.5 * beta, score="l2", weighting=weighting)
    mean = np.asarray(case.measure(barycentres, field, mu))
    if weighting == "unnormalised":
        x = np.asarray(mu.points)
        total = np.exp(-0.5 * (x - x.T) ** 2 / epsilon) @ np.asarray(mu.weights)
        return (mean - total[:, None] * x) / (epsilon * np.sqrt(2 * np.pi * epsilon))
    return (mean - np.asarray(mu.points)) / epsilon


@claim(
    "2110.11773",
    "the heat equation as a limit",
    covers=["T13"],
    status="theorem",
    states={"limit": theory.drift_of_small_bandwidth, "order": lambda: 1.0},
)
def attention_of_small_bandwidth_is_heat(case: Case) -> None:
    r"""As the bandwidth falls (T(x) - x)/eps tends to (1/2) grad log rho (Sinkhorn), grad log rho (softmax), grad rho.

    The last is for the kernel without a denominator. The error is of first order in eps. On a mixture of two Gaussians
    on the line; the limit is read off two bandwidths by one step of Richardson's extrapolation.
    """
    mu, law = mixture(case)
    weights = np.asarray(mu.weights)

    def size(vector: np.ndarray) -> float:
        return float(np.sqrt(weights @ vector[:, 0] ** 2))

    coarse = case.given("bandwidth", 0.008)
    case.require("the grid resolves the bandwidth, and it is small", 0.008 <= coarse <= 0.03)
    fine, size_of_next = coarse / 2, coarse / 0.008
    for weighting in ("sinkhorn", "softmax", "unnormalised"):
        wide, narrow = (drift(case, mu, weighting, epsilon) for epsilon in (coarse, fine))
        stated = case.statement.limit(np.asarray(mu.points), weighting=weighting, **law)
        error = size(2 * narrow - wide - stated) / size(stated)
        because = "what extrapolation leaves, (eps / deviation^2)^2 with factors of a few"
        case.at_most(
            error, 0.0, within=5e-3 * size_of_next**2, because=because, name=f"error of the limit, {weighting}"
        )
        true = theory.drift_of_small_bandwidth(np.asarray(mu.points), weighting=weighting, **law)
        order = float(np.log2(size(wide - true) / size(narrow - true)))
        because = "the next order in eps, a few eps / deviation^2"
        within, name = min(0.08 * size_of_next, 0.099), f"order, {weighting}"
        case.compare(order, case.statement.order(), within=within, because=because, name=name)


def mixture(case: Case) -> tuple[mf.Tokens, dict[str, np.ndarray]]:
    """Draw a mixture of two Gaussians on the line: as weighted points of a grid, and its means, deviations, masses."""
    side, share = case.draw("distance", 0.8, 1.3), case.draw("mass", 0.3, 0.7)
    means, masses = np.array([[-side], [side]]), np.array([share, 1 - share])
    deviations = case.generator("deviations").uniform(0.75, 1.0, 2)

    def density(x: np.ndarray) -> np.ndarray:
        return (masses / deviations * np.exp(-0.5 * ((x[:, None] - means.T) / deviations) ** 2)).sum(axis=1)

    return on_grid(density, side + WIDE), {"means": means, "deviations": deviations, "masses": masses}


@attention_of_small_bandwidth_is_heat.mutation("limit")
def sinkhorn_without_its_half(points: Any, *, weighting: str, **law: Any) -> Any:
    """Sinkhorn has the constant of softmax: the factor 1/2 is lost (that of the kernel with 4 eps)."""
    kind = "softmax" if weighting == "sinkhorn" else weighting
    return theory.drift_of_small_bandwidth(points, weighting=kind, **law)


@attention_of_small_bandwidth_is_heat.mutation("limit")
def softmax_with_a_half(points: Any, *, weighting: str, **law: Any) -> Any:
    """Softmax has the constant of Sinkhorn."""
    kind = "sinkhorn" if weighting == "softmax" else weighting
    return theory.drift_of_small_bandwidth(points, weighting=kind, **law)


@attention_of_small_bandwidth_is_heat.mutation("limit")
def gradient_of_the_squared_density(points: Any, *, weighting: str, **law: Any) -> Any:
    """Without a denominator the drift is that of rho^2, twice as large as grad rho times rho over rho."""
    found = theory.drift_of_small_bandwidth(points, weighting=weighting, **law)
    return 2 * found if weighting == "unnormalised" else found


@attention_of_small_bandwidth_is_heat.mutation("order")
def second_order() -> float:
    """The error is of second order, as for a symmetric average."""
    return 2.0


@attention_of_small_bandwidth_is_heat.figure
def limits(case: Case, ax: Any) -> None:
    """Draw the three drifts at the wider bandwidth over their limits."""
    (mu, law), epsilon = mixture(case), case.instance["bandwidth"]
    x = np.asarray(mu.points)
    shown = np.abs(x[:, 0]) < 2.8
    for weighting, colour in zip(("sinkhorn", "softmax", "unnormalised"), ACCENT, strict=True):
        ax.plot(x[shown], drift(case, mu, weighting, epsilon)[shown], "o", ms=3.5, color=colour, label=weighting)
        limit = case.statement.limit(x, weighting=weighting, **law)
        label = r"limits: $\frac{1}{2}\nabla\log\rho$, $\nabla\log\rho$, $\nabla\rho$"
        ax.plot(x[shown], limit[shown], "--", color=THEORY, lw=1.2, label=label if weighting == "sinkhorn" else None)
    ax.set(xlabel="$x$", ylabel=r"$(T_\epsilon(x) - x)/\epsilon$")
    about = (epsilon, case.instance["distance"], case.instance["mass"])
    said = r"$\epsilon$ = {:g}, two Gaussians at $\pm${:.3g}, mass {:.2g} of the first".format(*about)
    ax.set_title(said, fontsize=11, loc="left")
    ax.legend(fontsize=9)


@claim(
    "2110.11773",
    "a Gaussian, one dimension",
    covers=["T12"],
    status="derived",
    states=lambda phi: 2 * phi / (1 + np.sqrt(1 + 4 * phi**2)),
)
def doubly_stochastic_attention_to_a_gaussian_is_linear(case: Case) -> None:
    """On N(0, s^2) with the kernel e^(xy/eps) the barycentre of x is gamma x, gamma = 2 phi/(1 + sqrt(1 + 4 phi^2)).

    Here phi = s^2/eps. The law is discretised on a grid, where sums are integrals to rounding.
    """
    deviation, epsilon = case.draw("deviation", 0.8, 1.2), case.draw("bandwidth", 0.1, 2.0, log=True)
    places, ratios = slopes_on_the_grid(case, deviation, epsilon)
    gamma = case.predict(deviation**2 / epsilon)
    because = "the tails cut off at 8 deviations, and the tolerance 1e-12 of the iteration"
    name = "barycentre of x, over x"
    case.compare(ratios, gamma, within=1e-8, because=because, name=name, over={"x": places})


def slopes_on_the_grid(case: Case, deviation: float, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """Return points of a discretised Gaussian, and their barycentres over them."""
    mu = on_grid(lambda x: np.exp(-0.5 * (x / deviation) ** 2), WIDE * 1.3 * deviation)
    mean = epsilon * drift(case, mu, "sinkhorn", epsilon) + np.asarray(mu.points)
    x = np.asarray(mu.points)
    near = (np.abs(x) < 3 * deviation) & (np.abs(x) > 0.3 * deviation)
    return x[near], mean[near] / x[near]


@doubly_stochastic_attention_to_a_gaussian_is_linear.figure
def slope_against_the_variance(case: Case, ax: Any) -> None:
    """Draw the slope of the barycentre, measured at several bandwidths, over its law."""
    deviation, epsilon = case.instance["deviation"], case.instance["bandwidth"]
    for k, one in enumerate(epsilon * np.geomspace(0.5, 8.0, 7)):
        ratios = slopes_on_the_grid(case, deviation, float(one))[1]
        label = "measured, at all x" if k == 0 else None
        ax.plot(np.full(len(ratios), deviation**2 / one), ratios, "o", color=ACCENT[0], ms=6, label=label)
    line = np.linspace(0.0, 2.2 * deviation**2 / epsilon, 200)
    ax.plot(line, case.predict(line), "--", color=THEORY, label=r"stated $\gamma(\varphi)$")
    ax.plot(line, np.minimum(line, 1.0), ":", color=MUTED, lw=1.2, label=r"softmax $\varphi$, to 1")
    ax.set(xlabel=r"$\varphi = s^2/\epsilon$", ylabel="slope of the barycentre")
    ax.set_title(
        rf"$s$ = {deviation:.3g}, $\epsilon$ from {epsilon / 2:.2g} to {8 * epsilon:.2g}", fontsize=11, loc="left"
    )
    ax.legend(fontsize=9)


@doubly_stochastic_attention_to_a_gaussian_is_linear.mutation
def softmax_slope(phi: float) -> float:
    """The slope of softmax attention, phi."""
    return phi


@doubly_stochastic_attention_to_a_gaussian_is_linear.mutation
def four_lost(phi: float) -> float:
    """The 4 under the root is lost."""
    return 2 * phi / (1 + np.sqrt(1 + phi**2))


@doubly_stochastic_attention_to_a_gaussian_is_linear.mutation
def slope_of_squared_distances(phi: float) -> float:
    """The slope of softmax to squared distances, phi/(1 + phi)."""
    return phi / (1 + phi)


@claim(
    "2110.11773",
    "a Gaussian, V = I",
    covers=["T15"],
    status="derived",
    states=lambda time, variance: spread_law(time, variance, lambda phi: 2 * phi / (1 + np.sqrt(1 + 4 * phi**2))),
    id="2110.11773/T15",
)
def under_sinkhorn_nothing_explodes(case: Case) -> None:
    r"""A Gaussian cloud under Sinkhorn attention, V = I, spreads as (s^2)' = 2 gamma(s^2) s^2: no faster than e^(2t).

    At the time where softmax attention has sent the variance to infinity, 1/(2 s_0^2), it is still finite. The tokens
    of a grid stay in proportion, so that they are the same Gaussian stretched.
    """
    times, variances = spreading(case)
    measured, stated = variances[-1], case.predict(times[-1], case.instance["variance"])
    because = "12 Runge-Kutta steps of length 0.04 / s_0^2, each with an error of about 1e-8"
    # a wider law feels more of its step, which is measured in units of 1 and not of 1/s_0^2
    within = 1e-6 * max(1.0, times[1] / 0.0521) ** 4 * max(1.0, case.instance["share of the blow-up time"])
    case.compare(np.log(measured), np.log(stated), within=within, because=because, name="log of the variance")


def spreading(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Return the times of some steps, and the variances of a Gaussian that Sinkhorn attention spreads."""
    variance, share = case.draw("variance", 0.8, 1.2), case.given("share of the blow-up time", 1.0)
    start = on_grid(lambda x: np.exp(-0.5 * x**2 / variance), WIDE * 1.2 * np.sqrt(variance))
    time, steps = share * 0.5 / variance, 12 * max(1, int(np.ceil(share)))
    states = [np.asarray(start.points)]
    for _ in range(steps):
        states.append(runge_kutta_step(case, start, states[-1], time / steps))
    found = [float(np.asarray(start.weights) @ x[:, 0] ** 2) for x in states]
    return np.append(np.arange(steps) * time / steps, time), np.array(found)


@under_sinkhorn_nothing_explodes.figure
def variance_beside_softmax(case: Case, ax: Any) -> None:
    """Draw the variance over time, its law, its bound, and what softmax attention does."""
    (times, found), start = spreading(case), case.instance["variance"]
    line, end = np.linspace(0.0, times[-1], 60), 0.5 / start
    ax.plot(times, found, "o", color=ACCENT[0], ms=6, label="measured")
    ax.plot(line, [case.predict(t, start) if t else start for t in line], "--", color=THEORY, label="stated")
    ax.plot(line, start * np.exp(2 * line), color=MUTED, lw=1.0, label=r"bound $s_0^2 e^{2t}$")
    before = line[line < 0.95 * end]
    ax.plot(before, start / (1 - 2 * start * before), ":", color=MUTED, label="softmax attention")
    ax.axvline(end, color=MUTED, lw=0.8, ls=":")
    ax.set(xlabel="$t$", ylabel="variance $s^2$", ylim=(0.0, 1.6 * start * np.exp(2 * times[-1])))
    ax.set_title(f"s_0^2 = {start:.3g}, V = 1; softmax explodes at t = {end:.3g}", fontsize=11, loc="left")
    ax.legend(fontsize=9)


def runge_kutta_step(case: Case, mu: mf.Tokens, x: np.ndarray, h: float) -> np.ndarray:
    """Return points of the line a classical step later."""
    field = mf.SelfAttention(np.asarray(1.0), weighting="sinkhorn")

    def velocity(y: np.ndarray) -> np.ndarray:
        return np.asarray(case.measure(barycentres, field, mu.replace(points=y)))

    return classical_step(velocity, x, h)


def spread_law(time: float, variance: float, gamma: Any) -> float:
    """Return the variance after a time under (s^2)' = 2 gamma(s^2) s^2."""
    found = solve_ivp(lambda _, s: 2 * gamma(s) * s, (0.0, time), [variance], rtol=1e-11, atol=1e-12)
    return float(found.y[0, -1])


@under_sinkhorn_nothing_explodes.mutation
def as_under_softmax(time: float, variance: float) -> float:
    """The slope of softmax: the variance s/(1 - 2 s t), shortly before it explodes."""
    return variance / max(1 - 2 * variance * 0.99 * time, 0.01)


@under_sinkhorn_nothing_explodes.mutation
def as_for_large_variance(time: float, variance: float) -> float:
    """The bound e^(2t), which is reached for large variance only."""
    return variance * np.exp(2 * time)


@under_sinkhorn_nothing_explodes.mutation
def two_lost(time: float, variance: float) -> float:
    """The factor 2 of the derivative of a square is lost."""
    return spread_law(time / 2, variance, lambda phi: 2 * phi / (1 + np.sqrt(1 + 4 * phi**2)))

"""The linear phase: rates of the modes around the uniform law, which one is selected, and when it shows."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.paths.style import ACCENT, MUTED, THEORY, shades

#: amplitude of each mode at the start: its square, the first term left out, is far below the tolerance
SMALL = 1e-7
MODES = 6
#: the printed switching values of beta, to their printed digits
PRINTED = {
    2: ([1.04446, 3.16543, 6.21130, 10.22848, 15.23628, 21.24045, 28.24296], 5e-6),
    3: ([1.8162, 4.4253, 7.9624, 12.4774], 5e-5),
    8: ([5.2511, 10.5003, 16.595, 23.6427], 5e-4),
    64: ([42.618, 77.737, 112.637, 148.134], 5e-4),
}
DIMENSIONS = tuple(sorted(PRINTED))
BECAUSE = "terms of second order, amplitude 1e-7 times a few, and the solver at rtol 1e-13 of the whole"


def measured_rates(
    case: Case, d: int, degrees: np.ndarray, harmonics: np.ndarray, project: Any, arguments: dict[str, Any]
) -> np.ndarray:
    """Return the rates at which the modes of a density near uniform grow over a fast mode's e-folding time."""
    shares = case.generator("amplitudes").uniform(0.5, 1.0, len(degrees))
    density = mf.Density(mf.Sphere(d), 1.0 + SMALL * (harmonics @ shares))
    field = mf.SelfAttention(arguments["beta"], weighting=arguments["model"])
    fastest = np.abs(theory.growth_rates_around_uniform(degrees, **arguments)).max()
    end = 0.7 / fastest
    solver = mf.Adaptive(rtol=1e-13, atol=1e-15, max_steps=5000)
    path = case.measure(
        mf.flow, density, field, until=end, save=[0.0, end], noise=1.0 / arguments["kappa"], solver=solver
    )
    case.require("the flow ran to its end", path.status == "reached")
    first, last = (np.abs(project(values)) for values in np.asarray(path.values))
    return np.log(last / first) / end


def instance(case: Case, d: int) -> tuple[dict[str, Any], np.ndarray]:
    """Draw a model near uniform, and say which modes are followed."""
    model, count = case.choose("model", ["unnormalised", "softmax"]), case.given("modes", MODES)
    case.require("the grid has room for the modes", 1 <= count <= 12)
    given = {"beta": case.draw("beta", 2.0, 8.0), "d": d, "model": model, "kappa": case.draw("kappa", 20.0, 60.0)}
    case.require("beta and kappa are positive", given["beta"] > 0 and given["kappa"] > 0)
    return given, np.arange(1, count + 1)


@claim(
    "2410.23228",
    "linear phase, d = 2",
    covers=["V11", "E8", "E11"],
    status="erratum",
    states=theory.growth_rates_around_uniform,
)
def fourier_modes_grow_at_their_rate(case: Case) -> None:
    """Near uniform on the circle mode k grows at k^2 (I_k/beta - 1/kappa), in the SA model with I_k/I_0."""
    (arguments, degrees), size = instance(case, 2), 64
    angles = 2 * np.pi * np.arange(size) / size
    harmonics = np.cos(np.outer(angles, degrees) + case.generator("phases").uniform(0, 2 * np.pi, len(degrees)))
    measured = measured_rates(case, 2, degrees, harmonics, lambda values: np.fft.rfft(values)[degrees], arguments)
    compare_rates(case, degrees, measured, arguments)


def compare_rates(case: Case, degrees: np.ndarray, measured: np.ndarray, arguments: dict[str, Any]) -> None:
    """Compare the rates of modes with the stated ones."""
    predicted, over = case.predict(degrees, **arguments), {"k": degrees}
    within = 1e-5 * np.abs(measured).max()
    case.compare(measured, predicted, within=within, because=BECAUSE, name="growth rate of a mode", over=over)


@claim(
    "2410.23228",
    "linear phase, d = 3",
    covers=["V11"],
    status="derived",
    states=theory.growth_rates_around_uniform,
    id="2410.23228/V11-sphere",
)
def zonal_harmonics_grow_at_their_rate(case: Case) -> None:
    """Near uniform on S^2 degree k grows at k(k+1) (a_k/beta - 1/kappa), in the SA model with a_k/a_0."""
    (arguments, degrees), size = instance(case, 3), 24
    heights, weights = np.polynomial.legendre.leggauss(size)
    harmonics = np.polynomial.legendre.legvander(heights, degrees[-1])[:, degrees]
    measured = measured_rates(case, 3, degrees, harmonics, lambda values: harmonics.T @ (weights * values), arguments)
    compare_rates(case, degrees, measured, arguments)


@fourier_modes_grow_at_their_rate.figure
@zonal_harmonics_grow_at_their_rate.figure
def rates_of_modes(case: Case, ax: Any) -> Any:
    """Draw the measured rates over the stated ones, which are a curve in the degree."""
    (curve,) = case.curves
    ax.axhline(0.0, color=MUTED, lw=1, ls=":")
    ax.plot(curve.places, curve.stated, "--", color=THEORY, label="stated")
    ax.plot(curve.places, curve.measured, "o", color=ACCENT[0], label="measured")
    beta, kappa, model = (case.instance[name] for name in ("beta", "kappa", "model"))
    title = rf"$\beta = {beta:.3g}$, $\kappa = {kappa:.3g}$, " + {"softmax": "SA"}.get(model, "USA")
    ax.set(xlabel="$k$", ylabel=r"growth rate $\lambda_k$", title=title)
    ax.legend()
    return ax


@fourier_modes_grow_at_their_rate.mutation
def smaller_by_pi_as_printed(degrees: Any, *, beta: float, d: int, model: str, kappa: float) -> Any:
    """The printed rates of the paper's notebook lack a factor pi."""
    return theory.growth_rates_around_uniform(degrees, beta=beta, d=d, model=model, kappa=kappa) / np.pi


def noise_upside_down(degrees: Any, *, beta: float, d: int, model: str, kappa: float) -> Any:
    """The noise lets modes grow: the Laplacian of the Fokker-Planck equation printed on the left side."""
    calm = theory.growth_rates_around_uniform(degrees, beta=beta, d=d, model=model)
    return 2 * calm - theory.growth_rates_around_uniform(degrees, beta=beta, d=d, model=model, kappa=kappa)


def models_exchanged(degrees: Any, *, beta: float, d: int, model: str, kappa: float) -> Any:
    """The rates of SA are given for USA, and those of USA for SA."""
    other = "softmax" if model == "unnormalised" else "unnormalised"
    return theory.growth_rates_around_uniform(degrees, beta=beta, d=d, model=other, kappa=kappa)


def factor_beta_lost(degrees: Any, *, beta: float, d: int, model: str, kappa: float) -> Any:
    """The velocity is taken for the gradient, without the 1/beta."""
    return beta * theory.growth_rates_around_uniform(degrees, beta=beta, d=d, model=model, kappa=beta * kappa)


def laplacian_of_the_circle(degrees: Any, *, beta: float, d: int, model: str, kappa: float) -> Any:
    """k^2 stands for k(k+1)."""
    rates = theory.growth_rates_around_uniform(degrees, beta=beta, d=d, model=model, kappa=kappa)
    return rates * degrees / (degrees + d - 2)


for near_miss in (noise_upside_down, models_exchanged, factor_beta_lost):
    fourier_modes_grow_at_their_rate.mutation(near_miss)
    zonal_harmonics_grow_at_their_rate.mutation(near_miss)
zonal_harmonics_grow_at_their_rate.mutation(laplacian_of_the_circle)


@claim(
    "2410.23228",
    "selected mode",
    covers=["V11"],
    status="derived",
    states=theory.switching_betas,
    id="2410.23228/V11-switching",
)
def dominant_mode_switches_at_these_betas(case: Case) -> None:
    """The fastest mode goes from k to k + 1 where k(k+d-2) I_(k+d/2-1) and its successor are equal."""
    d = case.choose("d", DIMENSIONS)
    case.require("d >= 2", d >= 2)
    printed, digit = PRINTED.get(d, ([np.nan] * 4, np.nan))  # of other dimensions none is printed
    count = len(printed)
    predicted = np.asarray(case.predict(count, d=d))
    if d in PRINTED:
        case.compare(printed, predicted, within=2 * digit, because="twice half the last printed digit",
                     name="beta at which k + 1 takes over", over={"k": np.arange(1, count + 1)})  # fmt: skip
    degrees = [theory.dominant_degree(beta=beta + side, d=d) for beta in predicted for side in (-1e-6, 1e-6)]
    wanted = [k + step for k in range(1, count + 1) for step in (0, 1)]
    because, over = "they are integers", {"beta": np.repeat(predicted, 2)}
    case.compare(degrees, wanted, within=0.1, because=because, name="fastest mode on both sides", over=over)


@dominant_mode_switches_at_these_betas.figure
def fastest_modes(case: Case, ax: Any) -> Any:
    """Draw the rates of the first modes over beta, and where the fastest one changes as stated."""
    d = case.instance["d"]
    switches = np.asarray(case.predict(4, d=d))
    betas, degrees = np.linspace(0.02 * switches[0], 1.15 * switches[-1], 300), np.arange(1, 6)
    rates = [theory.growth_rates_around_uniform(degrees, beta=beta, d=d, model="softmax") for beta in betas]
    for k, rate, colour in zip(degrees, np.array(rates).T, shades(len(degrees)), strict=True):
        ax.plot(betas, rate, color=colour, label=f"$k = {k}$")
    for k, beta in enumerate(switches):
        ax.axvline(beta, color=THEORY, ls="--", lw=1.2, label="" if k else "stated switches")
    ax.set(xlabel=r"$\beta$", ylabel="growth rate under SA", title=f"$d = {d}$")
    ax.legend()
    return ax


@dominant_mode_switches_at_these_betas.mutation
def kernel_alone(count: int, *, d: int) -> Any:
    """The eigenvalue of the Laplacian is forgotten: I_k alone never switches; the law sqrt(2 beta) does."""
    k = np.arange(1, count + 1) + d / 2 - 0.5
    return (k**2 - (d / 2 - 1) ** 2) / 2


@dominant_mode_switches_at_these_betas.mutation
def laplacian_of_a_plane(count: int, *, d: int) -> Any:
    """The switching values of the next dimension."""
    return theory.switching_betas(count, d=d + 1)


@dominant_mode_switches_at_these_betas.mutation
def degree_too_low(count: int, *, d: int) -> Any:
    """The switch from k - 1 to k is given for that from k to k + 1."""
    return np.concatenate([[0.1], theory.switching_betas(count, d=d)[:-1]])


#: modes of a start, and the amplitude of the fastest at which it is still alone in what it does
FIRST, REACHED = 5, 0.01


@claim(
    "2410.23228",
    "onset of clusters",
    covers=["V12"],
    status="derived",
    states={
        "time": lambda n, beta: theory.emergence_time(amplitude=n**-0.5, beta=beta, d=2, model="unnormalised"),
        "peak": lambda phase, degree: -phase / degree,
    },
)
def clusters_show_after_half_log_n_foldings(case: Case) -> None:
    """Fluctuations n^(-1/2) of the uniform law grow to clusters at t* ~ log n / (2 lambda), with the phase they had."""
    beta, n, degree, rate, phases = fluctuating(case)
    end, found = fastest_along(case, beta, n, degree, rate, 2)
    mode = found[-1]
    measured = end + np.log(1 / np.abs(mode)) / rate  # the rest of the way, at the rate of the linear phase
    because = "products of modes of amplitude 0.01 and less, beside a growth by n^(1/2)"
    case.compare(
        measured, case.statement.time(n, beta), within=0.03, relative=True, because=because, name="time of emergence"
    )
    turned = (-np.angle(mode) / degree - case.statement.peak(phases[degree - 1], degree)) % (2 * np.pi / degree)
    apart = min(turned, 2 * np.pi / degree - turned)
    because = "the phase that products of two other modes give, beside the gap 2 pi / k of the peaks"
    case.compare(
        apart, 0.0, within=0.02 * np.pi / degree * 2, because=because, name="angle of the peaks off the stated"
    )


def fluctuating(case: Case) -> tuple[float, float, int, float, np.ndarray]:
    """Return beta, a number of particles, the fastest mode, its rate, and the phases of the modes at the start."""
    beta, n = case.draw("beta", 4.5, 5.5), case.draw("n", 1e6, 1e9, log=True)
    degree = theory.dominant_degree(beta=beta, d=2)
    case.require("the fastest mode is one of those that fluctuate", degree <= FIRST)
    case.require("the fluctuations are small", n**-0.5 <= 0.1 * REACHED)
    rate = theory.growth_rates_around_uniform([degree], beta=beta, d=2, model="unnormalised")[0]
    generator = case.generator("fluctuations")
    generator.rayleigh(0.5**0.5, FIRST)
    return beta, n, degree, rate, generator.uniform(0, 2 * np.pi, FIRST)


def fastest_along(case: Case, beta: float, n: float, degree: int, rate: float, saved: int) -> tuple[float, np.ndarray]:
    """Return until when a density that fluctuates is followed, and its fastest mode at equal times up to then."""
    angles, degrees, generator = 2 * np.pi * np.arange(64) / 64, np.arange(1, FIRST + 1), case.generator("fluctuations")
    sizes, phases = generator.rayleigh(0.5**0.5, FIRST), generator.uniform(0, 2 * np.pi, FIRST)
    sizes[degree - 1] = 1.0  # the mean square of each: so the fastest mode is a typical one
    waves = np.cos(np.outer(angles, degrees) + phases)
    density = mf.Density(mf.Sphere(2), 1 + 2 * n**-0.5 * (waves @ sizes))
    end = np.log(REACHED * n**0.5) / rate
    solver = mf.Adaptive(rtol=1e-8, atol=1e-10, max_steps=5000)
    field = mf.SelfAttention(beta, weighting="unnormalised")
    times = np.linspace(0.0, end, saved)
    path = case.measure(mf.flow, density, field, until=end, save=times, solver=solver)
    case.require("the flow ran to its end", path.status == "reached")
    return end, np.fft.rfft(np.asarray(path.values), axis=-1)[:, degree] / len(angles)


@clusters_show_after_half_log_n_foldings.figure
def emergence(case: Case, ax: Any) -> Any:
    """Draw how the fastest mode grows out of its fluctuation, and when it is stated to be of order one."""
    beta, n, degree, rate, _ = fluctuating(case)
    end, found = fastest_along(case, beta, n, degree, rate, 25)
    times, stated = np.linspace(0.0, end, len(found)), float(case.statement.time(n, beta))
    ax.semilogy(times, np.abs(found), "o", color=ACCENT[0], ms=5, label=f"mode {degree}, measured")
    ax.semilogy([0.0, stated], [n**-0.5, 1.0], "--", color=THEORY, label=r"$n^{-1/2}e^{\lambda t}$")
    ax.axvline(stated, color=THEORY, lw=1, ls=":", label="stated time of emergence")
    ax.set(xlabel="$t$", ylabel="size of the fastest mode", title=rf"$n = {n:.1e}$, $\beta = {beta:.3g}$")
    ax.legend()
    return ax


@clusters_show_after_half_log_n_foldings.mutation("time")
def half_forgotten(n: float, beta: float) -> float:
    """log n / lambda: an amplitude 1/n, as of a grid."""
    return 2 * theory.emergence_time(amplitude=n**-0.5, beta=beta, d=2, model="unnormalised")


@clusters_show_after_half_log_n_foldings.mutation("time")
def rate_smaller_by_pi(n: float, beta: float) -> float:
    """The rate of the paper's notebook, too small by pi."""
    return np.pi * theory.emergence_time(amplitude=n**-0.5, beta=beta, d=2, model="unnormalised")


@clusters_show_after_half_log_n_foldings.mutation("peak")
def troughs(phase: float, degree: int) -> float:
    """Half a period off: clusters where the density was least."""
    return (np.pi - phase) / degree


@clusters_show_after_half_log_n_foldings.mutation("peak")
def sign_of_the_phase(phase: float, degree: int) -> float:
    """arg without its minus, shifted by a quarter of the period so that no phase hides it."""
    return (np.pi / 2 - phase) / degree

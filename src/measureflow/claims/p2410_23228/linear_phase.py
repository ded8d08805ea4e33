"""The linear phase: rates of the modes around the uniform law, which one is selected, and when it shows."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim

#: amplitude of each mode at the start: its square, the first term left out, is far below the tolerance
SMALL = 1e-7
DEGREES = np.arange(1, 7)
#: the printed switching values of beta, to their printed digits
PRINTED = {
    2: ([1.04446, 3.16543, 6.21130, 10.22848, 15.23628, 21.24045, 28.24296], 5e-6),
    3: ([1.8162, 4.4253, 7.9624, 12.4774], 5e-5),
    8: ([5.2511, 10.5003, 16.595, 23.6427], 5e-4),
    64: ([42.618, 77.737, 112.637, 148.134], 5e-4),
}
BECAUSE = "terms of second order, amplitude 1e-7 times a few, and the solver at rtol 1e-13 of the whole"


def measured_rates(case: Case, d: int, harmonics: np.ndarray, project: Any, arguments: dict[str, Any]) -> np.ndarray:
    """Return the rates at which the modes of a density near uniform grow over a fast mode's e-folding time."""
    shares = case.generator("amplitudes").uniform(0.5, 1.0, len(DEGREES))
    density = mf.Density(mf.Sphere(d), 1.0 + SMALL * (harmonics @ shares))
    field = mf.SelfAttention(arguments["beta"], weighting=arguments["model"])
    fastest = np.abs(theory.growth_rates_around_uniform(DEGREES, **arguments)).max()
    end = 0.7 / fastest
    solver = mf.Adaptive(rtol=1e-13, atol=1e-15, max_steps=5000)
    path = case.measure(
        mf.flow, density, field, until=end, save=[0.0, end], noise=1.0 / arguments["kappa"], solver=solver
    )
    case.require("the flow ran to its end", path.status == "reached")
    first, last = (np.abs(project(values)) for values in np.asarray(path.values))
    return np.log(last / first) / end


def instance(case: Case, d: int) -> dict[str, Any]:
    """Draw a model near uniform."""
    model = case.choose("model", ["unnormalised", "softmax"])
    return {"beta": case.draw("beta", 2.0, 8.0), "d": d, "model": model, "kappa": case.draw("kappa", 20.0, 60.0)}


@claim(
    "2410.23228",
    "linear phase, d = 2",
    covers=["V11", "E8", "E11"],
    status="erratum",
    states=theory.growth_rates_around_uniform,
)
def fourier_modes_grow_at_their_rate(case: Case) -> None:
    """Near uniform on the circle mode k grows at k^2 (I_k/beta - 1/kappa), in the SA model with I_k/I_0."""
    arguments, size = instance(case, 2), 64
    angles = 2 * np.pi * np.arange(size) / size
    harmonics = np.cos(np.outer(angles, DEGREES) + case.generator("phases").uniform(0, 2 * np.pi, len(DEGREES)))
    measured = measured_rates(case, 2, harmonics, lambda values: np.fft.rfft(values)[DEGREES], arguments)
    predicted = case.predict(DEGREES, **arguments)
    case.compare(measured, predicted, within=1e-5 * np.abs(measured).max(), because=BECAUSE)


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
    arguments, size = instance(case, 3), 24
    heights, weights = np.polynomial.legendre.leggauss(size)
    harmonics = np.polynomial.legendre.legvander(heights, DEGREES[-1])[:, DEGREES]
    measured = measured_rates(case, 3, harmonics, lambda values: harmonics.T @ (weights * values), arguments)
    predicted = case.predict(DEGREES, **arguments)
    case.compare(measured, predicted, within=1e-5 * np.abs(measured).max(), because=BECAUSE)


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
    d = case.choose("d", sorted(PRINTED))
    printed, digit = PRINTED[d]
    predicted = np.asarray(case.predict(len(printed), d=d))
    case.compare(printed, predicted, within=2 * digit, because="twice half the last printed digit")
    degrees = [theory.dominant_degree(beta=beta + side, d=d) for beta in predicted for side in (-1e-6, 1e-6)]
    wanted = [k + step for k in range(1, len(printed) + 1) for step in (0, 1)]
    case.compare(degrees, wanted, within=0.1, because="they are integers", name="k_max on both sides")


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
    beta, n = case.draw("beta", 4.5, 5.5), case.draw("n", 1e6, 1e9, log=True)
    degree, angles = theory.dominant_degree(beta=beta, d=2), 2 * np.pi * np.arange(64) / 64
    degrees = np.arange(1, FIRST + 1)
    generator = case.generator("fluctuations")
    sizes, phases = generator.rayleigh(0.5**0.5, FIRST), generator.uniform(0, 2 * np.pi, FIRST)
    sizes[degree - 1] = 1.0  # the mean square of each: so the fastest mode is a typical one
    waves = np.cos(np.outer(angles, degrees) + phases)
    density = mf.Density(mf.Sphere(2), 1 + 2 * n**-0.5 * (waves @ sizes))
    rate = theory.growth_rates_around_uniform([degree], beta=beta, d=2, model="unnormalised")[0]
    end = np.log(REACHED * n**0.5) / rate
    solver = mf.Adaptive(rtol=1e-8, atol=1e-10, max_steps=5000)
    field = mf.SelfAttention(beta, weighting="unnormalised")
    path = case.measure(mf.flow, density, field, until=end, save=[0.0, end], solver=solver)
    case.require("the flow ran to its end", path.status == "reached")
    mode = np.fft.rfft(np.asarray(path.values)[-1])[degree] / len(angles)
    measured = end + np.log(1 / np.abs(mode)) / rate  # the rest of the way, at the rate of the linear phase
    because = "products of modes of amplitude 0.01 and less, beside a growth by n^(1/2)"
    case.compare(measured, case.statement.time(n, beta), within=0.03, relative=True, because=because, name="t*")
    turned = (-np.angle(mode) / degree - case.statement.peak(phases[degree - 1], degree)) % (2 * np.pi / degree)
    apart = min(turned, 2 * np.pi / degree - turned)
    because = "the phase that products of two other modes give, beside the gap 2 pi / k of the peaks"
    case.compare(apart, 0.0, within=0.02 * np.pi / degree * 2, because=because, name="peaks")


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

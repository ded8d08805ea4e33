"""On either side of beta_*: where the uniform law wins up to its last, where it does not, and what falls on the way."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from scipy.integrate import cumulative_simpson

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.p2606_05140.states import (
    ANGLES,
    FINE,
    SIZE,
    at_rest,
    crossing,
    draw_free_energy,
    in_order,
    narrow_start,
)
from measureflow.paths.style import ACCENT, MUTED, THEORY
from measureflow.theory import funk_hecke_coefficients

#: times, in units of kappa, after which a polarisation that dies is small: it falls at 0.05 (d - 1)/kappa or faster
LONG = 400.0
#: heights on S^2 of a polarised state, which is narrower than what returns to uniform
FINER = 48


def zonal_nodes(d: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the heights of a density on the circle or on S^2 and their weights, of sum 1."""
    if d == 2:
        return np.cos(2 * np.pi * np.arange(size) / size), np.full(size, 1 / size)
    heights, weights = np.polynomial.legendre.leggauss(size)
    return heights, weights / 2


def zonal_at_the_end(beta: float, kappa: float, d: int, end: float, size: int) -> tuple[np.ndarray, str]:
    """Return where the noisy flow takes a density that is narrow at first, and the status of the path."""
    heights, weights = zonal_nodes(d, size)
    start = np.exp(2.0 * heights)
    density = mf.Density(mf.Sphere(d), start / (weights @ start))
    solver = mf.Adaptive(rtol=1e-8, atol=1e-10, max_steps=20_000)
    field = mf.SelfAttention(beta, weighting="unnormalised")
    path = mf.flow(density, field, until=end, save=[0.0, end], noise=1.0 / kappa, solver=solver)
    return np.asarray(path.values)[-1], path.status


def polarisation(beta: float, kappa: float, d: int, border: float) -> float:
    """Return the order parameter that a narrow start keeps: none up to the border, the branch's last beyond it."""
    if beta <= border:
        return 0.0
    return last_order_parameter(beta, kappa, d)


@functools.lru_cache(maxsize=32)
def last_order_parameter(beta: float, kappa: float, d: int) -> float:
    """Return the order parameter of the most polarised state; where there is none, that of a state to be rejected."""
    if beta <= theory.tricritical_beta(d=d) and kappa < theory.critical_kappa(beta=beta, d=d):
        return 0.5
    return float(theory.stationary_states(beta=beta, kappa=kappa, d=d)[-1].order_parameter)


@claim(
    "2606.05140",
    "continuous transition",
    covers=["V19", "5.5"],
    id="2606.05140/V19-phases",
    states=lambda beta, kappa, d: polarisation(beta, kappa, d, theory.tricritical_beta(d=d)),
)
def narrow_starts_go_back_to_uniform_up_to_beta_star(case: Case) -> None:
    """Up to beta_* a narrow start goes back to the uniform law at kappa just below kappa_#; beyond beta_* it does not.

    So that below beta_* no polarised state holds on before the uniform law gives way, in every dimension that is run;
    at beta = 4 on the circle one does, at as small a distance from kappa_#.
    """
    d = case.choose("d", [2, 3])
    case.require("on the circle or on S^2", d in SIZE)
    beta, kappa = below_the_border(case, d)
    heights, weights = zonal_nodes(d, SIZE[d])
    values, status = case.measure(zonal_at_the_end, beta, kappa, d, LONG * kappa, SIZE[d])
    case.require("the flow ran to its end", status in ("reached", "stationary"))
    because = "a rate of 0.05/kappa or more, for 400 kappa"
    case.compare(weights @ (heights * values), case.predict(beta, kappa, d), within=1e-3, because=because,
                 name="order parameter below beta_*")  # fmt: skip
    beta = case.draw("large beta", 3.9, 4.1)
    case.require("it is beyond beta_*, and can be resolved", theory.tricritical_beta(d=2) < beta <= 6)
    share, narrow = case.given("kappa / kappa_# beyond beta_*", 0.975), narrow_start(case)
    spinodal = theory.transition(beta=beta, d=2).spinodal / theory.critical_kappa(beta=beta, d=2)
    case.require("a polarised state is there", spinodal + 0.005 < share < 1)
    kappa = share * theory.critical_kappa(beta=beta, d=2)
    kept = at_rest(case, beta, kappa, narrow)[1][0]
    because = "after a time 60 kappa the slowest mode, of rate above 0.2/kappa, has fallen to 1e-5 of its start"
    case.compare(kept, case.predict(beta, kappa, 2), within=1e-3, because=because, name="order parameter beyond beta_*")


def below_the_border(case: Case, d: int) -> tuple[float, float]:
    """Return a beta below beta_* and a kappa below kappa_#."""
    share, below = case.draw("beta / beta_*", 0.8, 0.95), case.draw("kappa / kappa_#", 0.9, 0.95)
    case.require("beta is up to beta_*, and kappa not too near kappa_#", 0 < share <= 1 and 0 < below <= 0.95)
    beta = share * theory.tricritical_beta(d=d)
    return beta, below * theory.critical_kappa(beta=beta, d=d)


@narrow_starts_go_back_to_uniform_up_to_beta_star.figure
def where_narrow_starts_end(case: Case, ax: Any) -> Any:
    """Draw the densities at rest on either side of beta_*, the narrow start of one of them, and the uniform law."""
    d = case.instance["d"]
    beta, kappa = below_the_border(case, d)
    heights, weights = zonal_nodes(d, SIZE[d])
    values, _ = case.measure(zonal_at_the_end, beta, kappa, d, LONG * kappa, SIZE[d])
    order, start = np.argsort(heights), np.exp(2.0 * heights)
    angles = np.arccos(heights[order])
    ax.plot(angles, (start / (weights @ start))[order], ":", color=MUTED, label=rf"start, $d = {d}$")
    ax.plot(
        angles, values[order], color=ACCENT[0], lw=4, alpha=0.6, label=rf"end at $\beta = {beta:.2f}$, below $\beta_*$"
    )
    beta, share = case.instance["large beta"], case.instance["kappa / kappa_# beyond beta_*"]
    kappa = share * theory.critical_kappa(beta=beta, d=2)
    kept, _ = at_rest(case, beta, kappa, case.instance["concentration"])
    half = slice(0, len(kept) // 2 + 1)
    ax.plot(FINE[half], kept[half], color=ACCENT[1], label=rf"end at $\beta = {beta:.2f}$, beyond, $d = 2$")
    ax.axhline(1.0, color=THEORY, ls="--", label="uniform law")
    ax.set(xlabel="angle", ylabel="density", title=r"$\kappa$ just below $\kappa_\#$")
    ax.legend()
    return ax


@narrow_starts_go_back_to_uniform_up_to_beta_star.mutation
def polarised_at_every_beta(beta: float, kappa: float, d: int) -> float:
    """All transitions are discontinuous: beta_* is 0."""
    return polarisation(beta, kappa, d, 0.0)


@narrow_starts_go_back_to_uniform_up_to_beta_star.mutation
def never_polarised(beta: float, kappa: float, d: int) -> float:
    """All transitions are continuous: beta_* is infinite."""
    return 0.0


@narrow_starts_go_back_to_uniform_up_to_beta_star.mutation
def border_of_high_dimension(beta: float, kappa: float, d: int) -> float:
    """beta_* of d = 64 stands for that of every d."""
    return polarisation(beta, kappa, d, theory.tricritical_beta(d=64))


def zonal_free_energy(values: np.ndarray, beta: float, kappa: float, d: int) -> tuple[float, float]:
    """Return the free energy of a zonal density, less that of the uniform law, and its slope in kappa."""
    size = len(values)
    heights, weights = zonal_nodes(d, size)
    if d == 2:
        moments = 2 * np.abs(np.fft.rfft(values)[1 : size // 2] / size) ** 2
    else:
        harmonics = np.polynomial.legendre.legvander(heights, size - 1)[:, 1:]
        moments = (2 * np.arange(1, size) + 1) * (harmonics.T @ (weights * values)) ** 2
    kernel = funk_hecke_coefficients(np.arange(1, len(moments) + 1), beta=beta, d=d)
    pull = float(kernel @ moments) / (2 * beta)
    return float(weights @ (values * np.log(values))) - kappa * pull, -pull


@claim(
    "2606.05140",
    "discontinuous transition, d = 3",
    covers=["V19", "5.5"],
    tier="standard",
    id="2606.05140/V19-coexistence-sphere",
    states=lambda beta: theory.transition(beta=beta, d=3).coexistence / theory.critical_kappa(beta=beta, d=3),
)
def polarised_state_wins_first_on_the_sphere(case: Case) -> None:
    """On S^2, too, the polarised state has the lower free energy from some kappa_c < kappa_# on, beyond beta_*."""
    beta = case.draw("beta", 2.75, 2.9)
    onset = theory.critical_kappa(beta=beta, d=3)
    shares = in_order(case, case.given("kappa / kappa_#", (0.935, 0.96)))
    energies, slopes = np.transpose([energy_of_a_polarised_state(case, beta, share, onset) for share in shares])
    measured = crossing(case, shares, energies, slopes * onset)
    because = "a cubic through free energies and slopes at two kappa, the root within the width of their interval"
    case.compare(measured, case.predict(beta), within=5e-4, because=because, name="kappa_c / kappa_#")


def energy_of_a_polarised_state(case: Case, beta: float, share: float, onset: float) -> tuple[float, float]:
    """Return the free energy of the polarised state on S^2, less that of the uniform law, and its slope in kappa."""
    kappa = share * onset
    values, status = case.measure(zonal_at_the_end, beta, kappa, 3, 60 * share * onset, FINER)
    case.require("the flow ran to its end", status in ("reached", "stationary"))
    case.require("the state is polarised", bool(values.max() > 2.0))
    return zonal_free_energy(values, beta, kappa, 3)


@polarised_state_wins_first_on_the_sphere.figure
def free_energies_on_the_sphere(case: Case, ax: Any) -> Any:
    """Draw the free energy of the polarised state, less that of the uniform law, over kappa."""
    beta, ends = case.instance["beta"], case.instance["kappa / kappa_#"]
    onset, shares = theory.critical_kappa(beta=beta, d=3), np.linspace(ends[0], ends[1], 4)
    draw_free_energy(case, ax, shares, [energy_of_a_polarised_state(case, beta, s, onset)[0] for s in shares], beta)
    return ax


@polarised_state_wins_first_on_the_sphere.mutation
def continuous_on_the_sphere(beta: float) -> float:
    """kappa_# itself: no jump, as for beta below beta_*."""
    return 1.0


@polarised_state_wins_first_on_the_sphere.mutation
def share_of_the_circle(beta: float) -> float:
    """kappa_c / kappa_# of the circle."""
    return theory.transition(beta=beta, d=2).coexistence / theory.critical_kappa(beta=beta, d=2)


@polarised_state_wins_first_on_the_sphere.mutation
def spinodal_of_the_sphere(beta: float) -> float:
    """The spinodal is given for where the polarised state wins."""
    return theory.transition(beta=beta, d=3).spinodal / theory.critical_kappa(beta=beta, d=3)


def velocity_and_gradient(values: np.ndarray, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the velocity of attention on the circle, and the gradient of the log-density, of a density on ANGLES."""
    waves = np.arange(SIZE[2] // 2 + 1)
    waves[-1] = 0

    def slope(modes: np.ndarray) -> np.ndarray:
        return np.fft.irfft(1j * waves * modes, SIZE[2])

    kernel = funk_hecke_coefficients(np.arange(SIZE[2] // 2 + 1), beta=beta, d=2)
    return slope(kernel * np.fft.rfft(values)) / beta, slope(np.fft.rfft(np.log(values)))


def loss_of_free_energy(values: np.ndarray, beta: float, kappa: float) -> float:
    r"""Return $-\kappa\int|X - \kappa^{-1}\nabla\log\mu|^2d\mu$."""
    velocity, gradient = velocity_and_gradient(values, beta)
    return -kappa * float((values * (velocity - gradient / kappa) ** 2).mean())


@claim(
    "2606.05140",
    "free energy along the flow",
    covers=["V19", "E8", "5.5"],
    status="erratum",
    id="2606.05140/E8-free-energy",
    states={
        "loss": loss_of_free_energy,
        "energy": lambda values, beta, kappa: zonal_free_energy(values, beta, kappa, 2)[0],
    },
)
def free_energy_falls_along_the_noisy_flow(case: Case) -> None:
    r"""Along the flow with noise dF/dt = -kappa int |X - grad log mu / kappa|^2 dmu, F the entropy less kappa/(2 beta)
    of the double integral of e^(beta<x,y>): F falls, and is at rest where the Gibbs map is.

    Derived here: the equation is that mu moves by X - grad log mu / kappa = -grad(dF/dmu)/kappa.
    """
    beta = case.draw("beta", 1.0, 2.5)
    kappa = case.draw("kappa / kappa_#", 0.6, 1.5) * theory.critical_kappa(beta=beta, d=2)
    narrow, turn = case.draw("concentration", 0.5, 2.0), case.draw("second mode", -0.3, 0.3)
    case.require("64 angles resolve density and kernel", abs(narrow) <= 6 and abs(turn) <= 2 and 0 < beta <= 6)
    case.require("rates are of ten at most", kappa > 0.5)
    times = 1e-3 * np.array([0.0, 1.0, 2.0])
    path = noisy_path(case, beta, kappa, times, 1e-13)
    case.require("the flow ran to its end", path.status == "reached" and len(path.times) == 3)
    first, middle, last = np.asarray(path.values)
    energies = [case.statement.energy(values, beta, kappa) for values in (first, last)]
    measured = (energies[1] - energies[0]) / times[-1]
    because = "a central difference over 0.002: the square of that times rates of ten"
    stated = case.statement.loss(middle, beta, kappa)
    size = abs(loss_of_free_energy(middle, beta, kappa))
    case.compare(measured / size, stated / size, within=5e-4, because=because, name="dF/dt over its size")


def noisy_path(case: Case, beta: float, kappa: float, times: np.ndarray, rtol: float) -> mf.Path:
    """Return the noisy flow of the density of the instance."""
    narrow, turn = case.instance["concentration"], case.instance["second mode"]
    start = np.exp(narrow * np.cos(ANGLES) + turn * np.sin(2 * ANGLES))
    density = mf.Density(mf.Sphere(2), start / start.mean())
    solver = mf.Adaptive(rtol=rtol, atol=rtol / 100, max_steps=5000)
    field = mf.SelfAttention(beta, weighting="unnormalised")
    options = {"until": times[-1], "save": times, "noise": 1.0 / kappa, "solver": solver}
    return case.measure(mf.flow, density, field, **options)


@free_energy_falls_along_the_noisy_flow.figure
def falling(case: Case, ax: Any) -> Any:
    """Draw the free energy along the flow, and what the stated loss adds up to from the start."""
    beta = case.instance["beta"]
    kappa = case.instance["kappa / kappa_#"] * theory.critical_kappa(beta=beta, d=2)
    path = noisy_path(case, beta, kappa, np.linspace(0.0, 2.0, 81), 1e-8)
    times, values = np.asarray(path.times), np.asarray(path.values)
    energies = np.array([case.statement.energy(one, beta, kappa) for one in values])
    lost = cumulative_simpson([case.statement.loss(one, beta, kappa) for one in values], x=times, initial=0.0)
    ax.plot(times, energies, color=ACCENT[0], lw=4, alpha=0.6, label="free energy")
    ax.plot(times, energies[0] + lost, "--", color=THEORY, label="the stated loss, added up")
    ax.set(xlabel="$t$", ylabel="free energy, less that of the uniform law",
           title=rf"$d = 2$, $\beta = {beta:.3g}$, $\kappa = {kappa:.3g}$")  # fmt: skip
    ax.legend()
    return ax


@free_energy_falls_along_the_noisy_flow.mutation("energy")
def double_integral_counted_twice(values: np.ndarray, beta: float, kappa: float) -> float:
    """kappa/beta stands for kappa/(2 beta)."""
    energy, slope = zonal_free_energy(values, beta, kappa, 2)
    return energy + kappa * slope


@free_energy_falls_along_the_noisy_flow.mutation("loss")
def factor_kappa_lost(values: np.ndarray, beta: float, kappa: float) -> float:
    """Without the factor kappa."""
    return loss_of_free_energy(values, beta, kappa) / kappa


@free_energy_falls_along_the_noisy_flow.mutation("loss")
def sign_of_the_laplacian_as_printed(values: np.ndarray, beta: float, kappa: float) -> Any:
    """With the Laplacian on the printed side mu would move by X + grad log mu / kappa."""
    velocity, gradient = velocity_and_gradient(values, beta)
    with_sign = (velocity + gradient / kappa) * (velocity - gradient / kappa)
    return -kappa * float((values * with_sign).mean())

"""Where the uniform law gives way, the states that there are instead, and on which side their branch leaves it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.interpolate import CubicHermiteSpline
from scipy.optimize import root_scalar
from scipy.special import ive

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.paths.style import ACCENT, INK, MUTED, THEORY, shades

#: angles of every density on the circle, and heights on S^2: as in the linear phase, so that programs are shared
SIZE = {2: 64, 3: 24}
ANGLES = 2 * np.pi * np.arange(SIZE[2]) / SIZE[2]
#: a polarised state is narrower than what the linear phase needs
FINE = 2 * np.pi * np.arange(128) / 128
TINY = 1e-7
#: a lone mode of a density near uniform moves as long as this at the most, in e-foldings
FOLDINGS = 0.7


def onset(case: Case, beta: float, d: int) -> float:
    """Return the kappa at which the first harmonic neither grows nor falls: its rate is linear in 1/kappa."""
    heights, weights = (np.cos(ANGLES), 1 / SIZE[2]) if d == 2 else np.polynomial.legendre.leggauss(SIZE[3])
    density = mf.Density(mf.Sphere(d), 1.0 + TINY * heights)
    noises, rates = np.array([0.1, 0.4]), []
    end = FOLDINGS / (4.0 * (d - 1))
    for noise in noises:
        solver = mf.Adaptive(rtol=1e-13, atol=1e-15, max_steps=5000)
        field = mf.SelfAttention(beta, weighting="unnormalised")
        path = case.measure(mf.flow, density, field, until=end, save=[0.0, end], noise=noise, solver=solver)
        case.require("the flow ran to its end", path.status == "reached")
        first, last = np.asarray(path.values) @ (weights * heights)
        rates.append(np.log(last / first) / end)
    slope = (rates[1] - rates[0]) / (noises[1] - noises[0])
    return float(-slope / (rates[0] - slope * noises[0]))


@claim("2606.05140", "linear stability", covers=["V19"], states=theory.critical_kappa)
def uniform_law_gives_way_at_the_first_harmonic(case: Case) -> None:
    """The uniform law is stable under USA with noise up to kappa_# = beta / a_1(beta)."""
    d, beta = case.choose("d", [2, 3]), case.draw("beta", 0.5, 2.5)
    case.require("on the circle or on S^2, at a positive beta", d in SIZE and 0 < beta <= 20)
    because = "terms of second order, amplitude 1e-7, and the solver at rtol 1e-13 over less than one e-folding"
    predicted = case.predict(beta=beta, d=d)
    found, over = [onset(case, beta, d)], {"beta": [beta]}
    case.compare(found, predicted, within=1e-6, relative=True, because=because, name="kappa_#", over=over)


@uniform_law_gives_way_at_the_first_harmonic.figure
def onsets(case: Case, ax: Any) -> Any:
    """Draw kappa_# over beta: as the flow has it at some beta, and as stated."""
    d, own = case.instance["d"], case.instance["beta"]
    betas = own * np.array([0.1, 0.4, 0.7, 1.0, 1.5, 2.0])
    fine = np.linspace(betas[0], betas[-1], 80)
    ax.plot(
        fine,
        [case.predict(beta=float(beta), d=d) for beta in fine],
        "--",
        color=THEORY,
        label=r"stated: $\beta/a_1(\beta)$",
    )
    ax.plot(
        betas,
        [onset(case, float(beta), d) for beta in betas],
        "o",
        color=ACCENT[0],
        label="where the first harmonic rests",
    )
    ax.set(xlabel=r"$\beta$", ylabel=r"$\kappa_\#$", title=f"$d = {d}$")
    ax.legend()
    return ax


@uniform_law_gives_way_at_the_first_harmonic.mutation
def coupling_of_unit_noise(*, beta: float, d: int) -> float:
    """K_# of unit Brownian noise, half of kappa_#."""
    return theory.critical_kappa(beta=beta, d=d) / 2


@uniform_law_gives_way_at_the_first_harmonic.mutation
def order_of_the_partition_function(*, beta: float, d: int) -> float:
    """I_(d/2-1) stands for I_(d/2): the mean of the kernel for its first harmonic."""
    return float(beta / theory.funk_hecke_coefficients(0, beta=beta, d=d))


@uniform_law_gives_way_at_the_first_harmonic.mutation
def temperature_lost(*, beta: float, d: int) -> float:
    """The limit of Kuramoto, d, at every beta."""
    return float(d)


def at_rest(case: Case, beta: float, kappa: float, concentration: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the density on the circle where the noisy flow from a von Mises law comes to rest, and its cosines."""
    start = np.exp(concentration * (np.cos(FINE) - 1))
    density = mf.Density(mf.Sphere(2), start / start.mean())
    solver = mf.Adaptive(rtol=1e-9, atol=1e-11, max_steps=20_000)
    field = mf.SelfAttention(beta, weighting="unnormalised")
    end = 60.0 * kappa
    options = {"until": end, "save": [0.0, end], "keep": "last", "noise": 1.0 / kappa, "solver": solver}
    path = case.measure(mf.flow, density, field, **options)
    case.require("the flow ran to its end", path.status in ("reached", "stationary"))
    values = np.asarray(path.values)[-1]
    return values, (np.fft.rfft(values).real / len(values))[1:7]


def narrow_start(case: Case) -> float:
    """Return the concentration of the von Mises law that a noisy flow starts from."""
    concentration = case.given("concentration", 3.0)
    case.require("the start is narrow enough", 1.0 <= concentration <= 30.0)
    return concentration


def comes_to_rest(beta: float, share: float) -> bool:
    """Tell whether a narrow start is at rest after 60 kappa: slow are states near the onset and the spinodal."""
    if share >= 1:
        return share > 1.08
    found = theory.transition(beta=beta, d=2)
    return share < 0.8 or share > found.spinodal / found.onset + 0.012


@claim(
    "2606.05140",
    "free energy",
    covers=["V19"],
    id="2606.05140/V19-states",
    states=lambda beta, kappa: list(theory.stationary_states(beta=beta, kappa=kappa, d=2)),
)
def noisy_flow_comes_to_rest_at_a_fixed_point_of_the_gibbs_map(case: Case) -> None:
    """Attention with noise settles at a fixed point of mu ~ exp(kappa/beta int e^(beta<x,y>) dmu)."""
    bistable = case.choose("beyond beta_*", [True, False])
    beta = case.draw("beta", 3.8, 4.2) if bistable else case.draw("small beta", 1.3, 1.9)
    share = case.draw("kappa / kappa_#", 0.975, 0.99) if bistable else case.draw("kappa over kappa_#", 1.3, 2.0)
    kappa = share * theory.critical_kappa(beta=beta, d=2)
    case.require("the states can be resolved", 0 < beta <= 6 and 0 < share <= 3)
    case.require("the slowest mode is not too slow", comes_to_rest(beta, share))
    stated = [state.moments[:6] for state in case.predict(beta, kappa) if state.stable]
    polarised = at_rest(case, beta, kappa, narrow_start(case))[1]
    because = "after a time 60 kappa the slowest mode, of rate above 0.2 / kappa, has fallen to 1e-5 of its start"
    over = {"k": np.arange(1, 7)}
    case.compare(
        polarised, stated[-1], within=1e-4, because=because, name="mean cosine of k times the angle", over=over
    )


@noisy_flow_comes_to_rest_at_a_fixed_point_of_the_gibbs_map.figure
def branches(case: Case, ax: Any) -> Any:
    """Draw the polarised branches of three beta over the noise, and what the noisy flow found."""
    beyond = "beta" in case.instance
    beta = case.instance["beta" if beyond else "small beta"]
    for value, shade in zip((1.0, theory.tricritical_beta(d=2), beta, 6.0), shades(4), strict=True):
        onset = theory.critical_kappa(beta=value, d=2)
        branch = theory.branch_of_stationary_states(beta=value, d=2, top=0.93)
        share, order, stable = branch.kappas / onset, branch.order_parameters, branch.stable
        ax.plot(share, np.where(stable, order, np.nan), color=shade, label=rf"$\beta={value:.3g}$")
        ax.plot(share, np.where(stable, np.nan, order), ":", color=shade)
    found = theory.transition(beta=beta, d=2)
    marks = {r"$\kappa_\#$": found.onset, r"$\kappa_c$": found.coexistence, "spinodal": found.spinodal}
    for (name, kappa), line in zip(marks.items(), ("-", "--", ":"), strict=True):
        label = rf"{name} at $\beta={beta:.3g}$"
        ax.plot([kappa / found.onset] * 2, (0, 1), ls=line, lw=1.0, color=THEORY, label=label, zorder=0)
    share = case.instance["kappa / kappa_#" if beyond else "kappa over kappa_#"]
    order = at_rest(case, beta, share * found.onset, case.instance["concentration"])[1][0]
    ax.plot([share], [order], "o", color=INK, label="noisy flow at rest")
    span = (min(0.8, share - 0.05), max(1.3, share + 0.1))
    ax.set(xlabel=r"$\kappa/\kappa_\#$", ylabel=r"order parameter $m_1$", xlim=span, ylim=(-0.6, 1))
    ax.set_yticks(np.linspace(0, 1, 6))
    ax.legend(loc="lower center", ncols=2, fontsize=9)  # below 0, where nothing is drawn
    return ax


def states_at(beta: float, kappa: float) -> list[theory.StationaryState]:
    """Return the states, the uniform law alone where there is no other."""
    return list(theory.stationary_states(beta=beta, kappa=kappa, d=2))


@noisy_flow_comes_to_rest_at_a_fixed_point_of_the_gibbs_map.mutation
def noise_of_unit_strength(beta: float, kappa: float) -> Any:
    """sqrt(2/kappa) dW is read as sqrt(1/kappa) dW."""
    return states_at(beta, 2 * kappa)


@noisy_flow_comes_to_rest_at_a_fixed_point_of_the_gibbs_map.mutation
def beta_lost_in_the_exponent(beta: float, kappa: float) -> Any:
    """The exponent is kappa int e^(beta<x,y>), without the 1/beta."""
    return states_at(beta, beta * kappa)


@noisy_flow_comes_to_rest_at_a_fixed_point_of_the_gibbs_map.mutation
def sign_of_the_laplacian_as_printed(beta: float, kappa: float) -> Any:
    """With the Laplacian on the printed side the exponent has the other sign, and only the uniform law is left."""
    return states_at(beta, 1e-3)[:1]


def in_order(case: Case, given: tuple[float, ...]) -> np.ndarray:
    """Return two values of kappa / kappa_#, which must be below 1 and in order."""
    places = np.array(given)
    case.require("two places below kappa_#, in order", len(places) == 2 and 0 < places[0] < places[1] < 1)
    return places


def weight_of_polarisation(values: np.ndarray, beta: float, kappa: float) -> tuple[float, float]:
    """Return the free energy of a density on the circle, less that of the uniform law, and its slope in kappa."""
    modes = np.abs(np.fft.fft(values)) ** 2 / len(values) ** 2
    kernel = np.fft.fft(np.exp(beta * np.cos(FINE))).real / len(FINE)
    pull = float((kernel * modes)[1:].sum()) / (2 * beta)
    return float((values * np.log(values)).mean() - kappa * pull), -pull


@claim(
    "2606.05140",
    "discontinuous transition",
    covers=["V19"],
    tier="standard",
    id="2606.05140/V19-coexistence",
    states=lambda beta: theory.transition(beta=beta, d=2).coexistence / theory.critical_kappa(beta=beta, d=2),
)
def polarised_state_wins_before_the_uniform_one_fails(case: Case) -> None:
    """Beyond beta_* the polarised state has the lower free energy from some kappa_c < kappa_# on."""
    beta = case.draw("beta", 3.9, 4.3)
    onset = theory.critical_kappa(beta=beta, d=2)
    kappas = onset * in_order(case, case.given("kappa / kappa_#", (0.96, 0.99)))
    states = [at_rest(case, beta, float(kappa), narrow_start(case))[0] for kappa in kappas]
    case.require("both states are polarised", all(values.max() > 2.0 for values in states))
    energies, slopes = np.transpose(
        [weight_of_polarisation(*one) for one in zip(states, [beta] * 2, kappas, strict=True)]
    )
    measured = crossing(case, kappas / onset, energies, slopes * onset)
    because = "a cubic through free energies and slopes at two kappa, the root within the width of their interval"
    case.compare(measured, case.predict(beta), within=5e-4, because=because, name="kappa_c / kappa_#")


@polarised_state_wins_before_the_uniform_one_fails.figure
def free_energies(case: Case, ax: Any) -> Any:
    """Draw the free energy of the polarised state, less that of the uniform law, over kappa."""
    beta, ends = case.instance["beta"], case.instance["kappa / kappa_#"]
    onset, narrow = theory.critical_kappa(beta=beta, d=2), case.instance["concentration"]
    shares = np.linspace(ends[0], ends[1], 5)
    found = [at_rest(case, beta, float(share * onset), narrow)[0] for share in shares]
    energies = [weight_of_polarisation(one, beta, share * onset)[0] for one, share in zip(found, shares, strict=True)]
    draw_free_energy(case, ax, shares, energies, beta)
    return ax


def draw_free_energy(case: Case, ax: Any, shares: np.ndarray, energies: Sequence[float], beta: float) -> None:
    """Draw free energies of polarised states over kappa, and where they are stated to be the uniform law's."""
    ax.plot(shares, energies, "o-", color=ACCENT[0], label="polarised state, where the flow rests")
    ax.axhline(0.0, color=MUTED, lw=1, label="uniform law")
    ax.axvline(case.predict(beta), color=THEORY, ls="--", label=r"stated $\kappa_c$")
    ax.set(xlabel=r"$\kappa/\kappa_\#$", ylabel="free energy", title=rf"$\beta = {beta:.3g}$")
    ax.legend()


@polarised_state_wins_before_the_uniform_one_fails.mutation
def continuous_transition(beta: float) -> float:
    """kappa_# itself: no jump, as for beta below beta_*."""
    return 1.0


@polarised_state_wins_before_the_uniform_one_fails.mutation
def where_the_polarised_state_begins(beta: float) -> float:
    """The spinodal, where the polarised state is first there, is given for where it wins."""
    return theory.transition(beta=beta, d=2).spinodal / theory.critical_kappa(beta=beta, d=2)


@polarised_state_wins_before_the_uniform_one_fails.mutation
def energy_counted_twice(beta: float) -> float:
    """Without the 1/2 of the free energy's double integral."""
    return 0.5 * theory.transition(beta=beta, d=2).coexistence / theory.critical_kappa(beta=beta, d=2)


def crossing(case: Case, shares: np.ndarray, energies: np.ndarray, slopes: np.ndarray) -> float:
    """Return where a cubic through free energies and slopes at two places is 0, nearest to their middle."""
    roots = CubicHermiteSpline(shares, energies, slopes).roots(extrapolate=True)
    away = np.abs(roots - shares.mean())
    case.require("the root is near the two places", bool((away < 1.4 * np.ptp(shares)).any()))
    return float(roots[away.argmin()])


#: amplitudes of the first harmonic, and the times between which it is seen to grow: the others follow it by then
SMALL_MEANS, SEEN = (0.02, 0.04), (5.0, 6.0)


def bend_of_the_flow(case: Case, beta: float, d: int) -> float:
    """Return b of m' = b m^3 for the first harmonic m at kappa_#, where its linear rate is 0, as m tends to 0."""
    heights, weights = (np.cos(ANGLES), 1 / SIZE[2]) if d == 2 else np.polynomial.legendre.leggauss(SIZE[3])
    weights = np.broadcast_to(weights, heights.shape) / np.sum(np.broadcast_to(weights, heights.shape))
    field = mf.SelfAttention(beta, weighting="unnormalised")
    solver = mf.Adaptive(rtol=1e-13, atol=1e-15, max_steps=5000)
    noise = 1.0 / theory.critical_kappa(beta=beta, d=d)
    bends, squares = [], []
    for mean in SMALL_MEANS:
        density = mf.Density(mf.Sphere(d), 1.0 + d * mean * heights)
        options = {"until": SEEN[1], "save": [0.0, *SEEN], "noise": noise, "solver": solver}
        path = case.measure(mf.flow, density, field, **options)
        case.require("the flow ran to its end", path.status in ("reached", "stationary"))
        values = np.asarray(path.values)
        case.require("it was seen at both times", len(values) == 3)
        _, first, last = values @ (weights * heights)
        squares.append(first * last)
        bends.append(np.log(last / first) / (SEEN[1] - SEEN[0]) / squares[-1])
    return float(bends[0] - squares[0] * (bends[1] - bends[0]) / (squares[1] - squares[0]))


def bend_of_the_branch(case: Case, beta: float, d: int) -> float:
    """Return the slope of kappa/kappa_# - 1 by the square of the order parameter, where the branch begins."""
    branch = case.measure(theory.branch_of_stationary_states, beta=beta, d=d, top=0.05)
    squares = branch.order_parameters[1:3] ** 2
    rise = (branch.kappas[1:3] / theory.critical_kappa(beta=beta, d=d) - 1.0) / squares
    return float(rise[0] - squares[0] * (rise[1] - rise[0]) / (squares[1] - squares[0]))


@claim("2606.05140", "beta_*", covers=["V19"], id="2606.05140/V19-tricritical", states=theory.tricritical_beta)
def branch_turns_back_beyond_one_beta(case: Case) -> None:
    """The polarised branch leaves the uniform law towards larger kappa up to beta_*, and towards smaller beyond.

    At kappa_# a small polarisation dies under the noisy flow up to beta_*, and grows beyond.
    """
    d = case.choose("dimension of the flow", [2, 3])
    case.require("the flow is on the circle or on S^2", d in SIZE)
    measured = root_scalar(lambda beta: bend_of_the_flow(case, beta, d), bracket=(1.5, 3.0), xtol=1e-6).root
    because = "cubes of means of 0.02 and 0.04, extrapolated to 0, a few e-foldings after the start: terms of 1e-5"
    case.compare(measured, case.predict(d=d), within=2e-4, because=because, name="beta_* of the flow")
    d = case.choose("d", [2, 3, 5, 8])
    case.require("d is at least 2", d >= 2)
    measured = root_scalar(lambda beta: bend_of_the_branch(case, beta, d), bracket=(0.8, 3.5), xtol=1e-7).root
    because = "the bend at order parameters near 0.02 and 0.05, extrapolated to 0: terms of their fourth power"
    case.compare(measured, case.predict(d=d), within=1e-4, because=because, name="beta_* of the branch")


@branch_turns_back_beyond_one_beta.figure
def bends(case: Case, ax: Any) -> Any:
    """Draw how the branch leaves the uniform law over beta: its bend changes sign at the stated beta_*."""
    d = case.instance["d"]
    stated = case.predict(d=d)
    betas = stated * np.linspace(0.6, 1.4, 9)
    found = [bend_of_the_branch(case, float(beta), d) for beta in betas]
    ax.plot(betas, found, "o-", color=ACCENT[0], label=r"bend of the branch, $(\kappa/\kappa_\#-1)/m_1^2$")
    ax.axhline(0.0, color=MUTED, lw=1)
    ax.axvline(stated, color=THEORY, ls="--", label=rf"stated $\beta_* = {stated:.3f}$")
    ax.set(xlabel=r"$\beta$", ylabel="bend at the uniform law", title=f"$d = {d}$")
    ax.legend()
    return ax


@branch_turns_back_beyond_one_beta.mutation
def one_half_in_every_dimension(*, d: int) -> float:
    """The circle's 1/2 stands for 1/d, and in its own place 1/3."""
    wanted = 0.5 if d > 2 else 1 / 3
    return root_scalar(lambda beta: ive(d / 2 + 1, beta) / ive(d / 2, beta) - wanted, bracket=(0.1, 50.0)).root


@branch_turns_back_beyond_one_beta.mutation
def orders_one_too_low(*, d: int) -> float:
    """I_(d/2) / I_(d/2-1) is set equal to 1/d."""
    return root_scalar(lambda beta: ive(d / 2, beta) / ive(d / 2 - 1, beta) - 1 / d, bracket=(0.1, 50.0)).root


@claim(
    "2606.05140",
    "normal form on the circle",
    covers=["V19"],
    status="derived",
    id="2606.05140/V19-normal-form",
    states=theory.order_parameter_near_onset,
)
def order_parameter_grows_like_a_root(case: Case) -> None:
    """Just beyond kappa_# on the circle the order parameter is the root of kappa/kappa_# - 1, with a known factor."""
    beta, excess = case.draw("beta", 0.5, 1.5), case.draw("excess", 1e-4, 3e-4, log=True)
    border = theory.tricritical_beta(d=2)
    case.require("just beyond kappa_#, at a beta well below beta_*", 0 < excess <= 0.05 and 0 < beta <= 0.9 * border)
    measured, kappa = order_beyond(case, beta, excess)
    because = "terms of relative order excess, times up to 3"
    within = 2e-3 * max(1.0, excess / 3e-4) * max(1.0, (border - 1.5) / (border - beta)) ** 2
    case.compare(measured, case.predict(kappa, beta=beta), within=within, relative=True, because=because,
                 name="order parameter")  # fmt: skip


def order_beyond(case: Case, beta: float, excess: float) -> tuple[float, float]:
    """Return the order parameter of the most polarised state just beyond kappa_#, and kappa."""
    kappa = (1 + excess) * theory.critical_kappa(beta=beta, d=2)
    return case.measure(theory.stationary_states, beta=beta, kappa=kappa, d=2)[-1].order_parameter, kappa


@order_parameter_grows_like_a_root.figure
def root_of_the_excess(case: Case, ax: Any) -> Any:
    """Draw the order parameter over the excess, and the stated root."""
    beta, excesses = case.instance["beta"], case.instance["excess"] * np.geomspace(0.1, 1000.0, 9)
    excesses = excesses[excesses < 0.3]
    found = [order_beyond(case, beta, float(one)) for one in excesses]
    ax.loglog(excesses, [order for order, _ in found], "o", color=ACCENT[0], label="states of the Gibbs map")
    ax.loglog(excesses, [case.predict(kappa, beta=beta) for _, kappa in found], "--", color=THEORY, label="stated")
    ax.set(xlabel=r"$\kappa/\kappa_\#-1$", ylabel="order parameter $m_1$", title=rf"$d = 2$, $\beta = {beta:.3g}$")
    ax.legend()
    return ax


@order_parameter_grows_like_a_root.mutation
def law_of_kuramoto(kappa: float, *, beta: float) -> float:
    """m^2 = 2 (1 - kappa_#/kappa): the second harmonic is left out."""
    return float(np.sqrt(2 * (1 - theory.critical_kappa(beta=beta, d=2) / kappa)))


@order_parameter_grows_like_a_root.mutation
def linear_in_the_excess(kappa: float, *, beta: float) -> float:
    """The exponent is 1 in place of 1/2."""
    return kappa / theory.critical_kappa(beta=beta, d=2) - 1


@order_parameter_grows_like_a_root.mutation
def field_for_the_order_parameter(kappa: float, *, beta: float) -> float:
    """h_1 = c_1 m_1, the field, is given for m_1."""
    first = 2 * kappa / theory.critical_kappa(beta=beta, d=2)
    return first * theory.order_parameter_near_onset(kappa, beta=beta)

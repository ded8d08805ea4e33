"""Claims of arXiv:2510.20094, stationary states of noisy attention on the circle: branches of many humps."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import iv, ive

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import speeds
from measureflow.claims.p2606_05140.states import at_rest, narrow_start
from measureflow.paths.style import ACCENT, THEORY, shades

#: a grid of the circle that resolves the states at hand to rounding
GRID = 2 * np.pi * np.arange(64) / 64


def onset_of_humps(k: int, beta: float) -> float:
    """Return the kappa at which the branch of k humps leaves the uniform law."""
    return float(beta / iv(k, beta))


def bend_of_humps(k: int, beta: float) -> float:
    r"""Return by how much $\kappa/\kappa_k - 1$ exceeds 0 per square of the k-th moment, where the branch begins."""
    ratio = ive(2 * k, beta) / ive(k, beta)
    return float((1 - 2 * ratio) / (2 * (1 - ratio)))


@claim(
    "2510.20094",
    "bifurcations on the circle",
    covers=["5.5"],
    status="derived",
    id="2510.20094/branches",
    states={"onset": onset_of_humps, "bend": bend_of_humps},
)
def every_mode_has_a_branch_of_its_own(case: Case) -> None:
    r"""On the circle a branch of stationary states with k humps leaves the uniform law at kappa_k = beta/I_k, for every
    k: towards larger kappa where I_2k/I_k < 1/2 and towards smaller ones where it is more.

    Derived here: with c_j = 2 kappa I_j/beta the Gibbs law of the fields h_k = c_k m_k and h_2k has to third order
    m_k = h_k/2 - h_k^3/16 + h_k h_2k/4 and m_2k = h_2k/2 + h_k^2/8, so that
    kappa/kappa_k - 1 = m_k^2 (1 - 2r)/(2 (1 - r)), r = I_2k/I_k; for k = 1 it is the normal form of the first branch.
    """
    k = case.choose("k", [1, 2, 3])
    case.require("k is a number of humps that 64 places resolve", 1 <= k <= 5)
    beta = case.draw("beta / k^2", 1.2, 2.5) * k**2
    case.require("beta is positive, and densities are resolved", 0 < beta <= 60)
    branch = case.measure(theory.branch_of_stationary_states, beta=beta, d=2, degree=k, top=0.06)
    onset = case.statement.onset(k, beta)
    squares = branch.order_parameters[1:3] ** 2
    rise = (branch.kappas[1:3] / onset - 1.0) / squares
    bend = float(rise[0] - squares[0] * (rise[1] - rise[0]) / (squares[1] - squares[0]))
    because = "the bend at moments near 0.02 and 0.05, extrapolated to 0: terms of their fourth power"
    case.compare(branch.kappas[0] / onset, 1.0, within=1e-7, because="a moment of 1e-4, squared",
                 name="kappa where the branch begins, over kappa_k")  # fmt: skip
    case.compare(bend, case.statement.bend(k, beta), within=1e-3, because=because, name="bend of the branch")
    # a state is at rest: the velocity of attention is what diffusion takes away
    state = branch.states[-1]
    harmonics = np.cos(np.outer(np.arange(1, len(state.moments) + 1), GRID)).T
    order = np.arange(1, len(state.moments) + 1)
    fields = 2 * state.kappa * iv(order, beta) / beta * state.moments
    density = np.exp(harmonics @ fields)
    tokens = mf.Tokens(mf.Sphere(2), np.stack([np.cos(GRID), np.sin(GRID)], axis=1), density / density.sum())
    tangents = np.stack([-np.sin(GRID), np.cos(GRID)], axis=1)
    pulled = (speeds(case, mf.SelfAttention(beta, weighting="unnormalised"), tokens) * tangents).sum(axis=1)
    spread = -np.sin(np.outer(order, GRID)).T @ (order * fields) / state.kappa
    within = 1e-9 * iv(1, beta)
    case.compare(pulled, spread, within=within, because="fixed points to 1e-10 in the moments",
                 name="pull of attention, against diffusion", over={"angle": GRID})  # fmt: skip


@every_mode_has_a_branch_of_its_own.figure
def branch_of_humps(case: Case, ax: Any) -> Any:
    """Draw the branch over kappa, and its beginning as stated."""
    k, beta = case.instance["k"], case.instance["beta / k^2"] * case.instance["k"] ** 2
    branch = case.measure(theory.branch_of_stationary_states, beta=beta, d=2, degree=k, top=0.6)
    onset, orders = case.statement.onset(k, beta), branch.order_parameters
    ax.plot(branch.kappas / onset, orders, "o-", ms=3, color=ACCENT[0], label=f"states of {k} humps")
    small = np.linspace(0.0, min(0.4, orders.max()), 60)
    ax.plot(1 + case.statement.bend(k, beta) * small**2, small, "--", color=THEORY, label="stated onset and bend")
    ax.set(xlabel=r"$\kappa/\kappa_k$", ylabel=f"moment $m_{k}$", title=rf"$k = {k}$, $\beta = {beta:.2f}$")
    ax.legend()
    return ax


@every_mode_has_a_branch_of_its_own.mutation("onset")
def onset_of_the_first_harmonic(k: int, beta: float) -> float:
    """All branches leave at one kappa, and the k-th stands in the place of the next."""
    return float(beta / iv(k % 3 + 1, beta))


@every_mode_has_a_branch_of_its_own.mutation("onset")
def noise_of_unit_strength(k: int, beta: float) -> float:
    """sqrt(2/kappa) dW is read as sqrt(1/kappa) dW."""
    return float(beta / iv(k, beta)) / 2


@every_mode_has_a_branch_of_its_own.mutation("bend")
def second_harmonic_left_out(k: int, beta: float) -> float:
    """The mode 2k is left out, as for Kuramoto's model: every branch would be supercritical."""
    return 0.5


@every_mode_has_a_branch_of_its_own.mutation("bend")
def next_harmonic_for_the_double(k: int, beta: float) -> float:
    """k + 1 in place of 2k is fed (for k = 1: 3)."""
    ratio = ive(k + 1 + (k == 1), beta) / ive(k, beta)
    return float((1 - 2 * ratio) / (2 * (1 - ratio)))


#: how stiff the well of a hump is, in units of the noise: one over its squared width; and places that resolve it
STIFF, PLACES = (100.0, 200.0, 400.0), 240


def slow_rates(k: int, beta: float, stiffness: float) -> np.ndarray:
    """Return the k largest rates of the linearised flow about k equal humps, on the grid's Fourier modes.

    The perturbation g of a density f moves by g' = (g'/kappa - v[f] g - v[g] f)', v[f] = int e^(beta cos) f dy / beta
    differentiated. f is the fixed point of the Gibbs map on densities of period 2 pi/k, where it contracts.
    """
    kappa = stiffness * k * np.exp(-beta)
    x = 2 * np.pi * np.arange(PLACES) / PLACES
    pull = np.exp(beta * np.cos(x[:, None] - x[None])) / (beta * PLACES)
    f = 1 + 0.5 * np.cos(k * x)
    for _ in range(60):
        exponent = kappa * pull @ f
        f = np.exp(exponent - exponent.max()).reshape(k, -1).mean(axis=0)  # rounding would grow away from the period
        f = np.tile(f / f.mean(), k)
    waves = np.fft.fftfreq(PLACES, 1 / PLACES)
    waves[PLACES // 2] = 0.0
    slope = np.fft.ifft(1j * waves[:, None] * np.fft.fft(np.eye(PLACES), axis=0), axis=0).real
    flux = slope / kappa - np.diag(slope @ (pull @ f)) - f[:, None] * (slope @ pull)
    return np.sort(np.linalg.eigvals(slope @ flux).real)[::-1][:k]


def hold_together(k: int, beta: float) -> bool:
    """Tell whether a hump is pulled to its own place: by its own mass more than the others push."""
    angles = 2 * np.pi * np.arange(k) / k
    pull = np.exp(beta * (np.cos(angles) - 1)) * (np.cos(angles) - beta * np.sin(angles) ** 2)
    return bool(pull.sum() > 0.5)


@claim(
    "2510.20094",
    "metastable states of many humps",
    covers=["5.5"],
    status="derived",
    id="2510.20094/humps",
    states={
        "rates": lambda k, beta: theory.eigenvalues_of_equal_clusters(k, beta=beta, model="unnormalised"),
        "turn": lambda: 0.0,
    },
)
def humps_part_like_the_clusters_they_become(case: Case) -> None:
    """k equal humps rest at every large kappa, and part at k - 1 rates: as the noise falls, those of k clusters at the
    corners of a polygon, which are smaller than e^beta by a factor exponential in beta. All else decays.

    Derived here: the narrow humps of width (k/(kappa e^beta))^(1/2) move as points do, and turn freely.
    """
    k, beta = case.choose("k", [3, 4]), case.draw("beta", 4.0, 5.0)
    case.require("humps on 240 places", k >= 2 and PLACES % k == 0 and PLACES // k >= 40)
    case.require("humps hold together, and are narrower than the kernel", hold_together(k, beta) and beta <= 6)
    one, two, four = (case.measure(slow_rates, k, beta, stiffness) for stiffness in STIFF)
    found = (8 * four - 6 * two + one) / 3
    size = np.exp(beta)
    stated = np.sort(case.statement.rates(k, beta))[::-1]
    because = "three widths extrapolated to 0: what is left is the third power of beta^2, k^2 over the stiffness"
    within = 0.02 * max(1.0, beta / 5.0) ** 6 * max(1.0, k / 4.0) ** 4
    case.compare(found[:-1], stated, within=within, relative=True, because=because, name="rates of parting",
                 over={"rate": np.arange(1, k)})  # fmt: skip
    within = 1e-6 * size
    case.compare(four[-1], case.statement.turn(), within=within, because="rounding of rates of e^beta",
                 name="rate of turning together")  # fmt: skip


@humps_part_like_the_clusters_they_become.figure
def rates_of_narrow_humps(case: Case, ax: Any) -> Any:
    """Draw the rates of the humps over their squared width, and those of the clusters they become."""
    k, beta = case.instance["k"], case.instance["beta"]
    found = np.array([case.measure(slow_rates, k, beta, stiffness) for stiffness in STIFF])
    for rank, shade in enumerate(shades(k)):
        label = "turning together" if rank == k - 1 else f"rate {rank + 1}"
        ax.plot(1 / np.array(STIFF), found[:, rank], "o-", color=shade, label=label)
    for rank, rate in enumerate(case.statement.rates(k, beta)):
        ax.axhline(rate, color=THEORY, ls="--", lw=1.2, label="" if rank else "clusters, as stated")
    ax.set(xlabel="noise over the stiffness of a hump", ylabel="rate", xlim=(0.0, None),
           title=rf"$k = {k}$ humps, $\beta = {beta:.2f}$")  # fmt: skip
    ax.legend()
    return ax


@humps_part_like_the_clusters_they_become.mutation("rates")
def rates_of_softmax(k: int, beta: float) -> np.ndarray:
    """The rates of SA, divided by the partition function."""
    return theory.eigenvalues_of_equal_clusters(k, beta=beta)


@humps_part_like_the_clusters_they_become.mutation("rates")
def humps_at_rest_for_ever(k: int, beta: float) -> np.ndarray:
    """The sign is wrong: humps would be stable."""
    return -theory.eigenvalues_of_equal_clusters(k, beta=beta, model="unnormalised")


@humps_part_like_the_clusters_they_become.mutation("rates")
def weights_held_fixed(k: int, beta: float) -> np.ndarray:
    """The derivative of the weights, beta sin^2, is forgotten."""
    angles, modes = 2 * np.pi * np.arange(k) / k, np.arange(1, k)
    return -(1 - np.cos(np.outer(modes, angles))) @ (np.cos(angles) * np.exp(beta * np.cos(angles))) / k


@humps_part_like_the_clusters_they_become.mutation("turn")
def turning_is_resisted() -> float:
    """Turning all humps together costs energy: they would come back at the rate 1."""
    return -1.0


#: moments that are compared, the highest order of the sum, where I_j(beta) m_j is below rounding, and a grid for both
ORDERS, HIGHEST = np.arange(1, 7), 40
FINE = 2 * np.pi * np.arange(128) / 128


def what_attention_moves(moments: np.ndarray, beta: float, kappa: float) -> np.ndarray:
    r"""Return the right side of the system of stationary states, for as many moments as the largest order leaves."""
    orders = np.arange(-HIGHEST, HIGHEST + 1)
    full = np.concatenate([moments[::-1], [1.0], moments])
    shifted = full[np.subtract.outer(ORDERS, orders) + len(moments)]
    return kappa / beta * shifted @ (orders * iv(orders, beta) * full[orders + len(moments)])


def moments_of_branch(k: int, beta: float) -> tuple[float, np.ndarray]:
    """Return kappa and the moments of a state of k humps, up to the order that the system needs."""
    state = theory.branch_of_stationary_states(beta=beta, d=2, degree=k, top=0.6).states[-1]
    orders = np.arange(1, len(state.moments) + 1)
    field = np.cos(np.outer(FINE, orders)) @ (2 * state.kappa * iv(orders, beta) / beta * state.moments)
    return state.kappa, moments_on_a_grid(np.exp(field - field.max()))


def moments_on_a_grid(density: np.ndarray) -> np.ndarray:
    """Return the moments of an even density on a grid, up to the order that the system needs."""
    modes = np.fft.rfft(density).real
    return modes[1 : HIGHEST + ORDERS[-1] + 1] / modes[0]


@claim(
    "2510.20094",
    "system of Fourier coefficients",
    covers=["5.5"],
    id="2510.20094/coefficients",
    states={"left": lambda k, moments: k * moments, "right": what_attention_moves},
)
def moments_of_stationary_states_solve_a_quadratic_system(case: Case) -> None:
    r"""On the circle the moments of a stationary state solve k m_k = (kappa/beta) sum_j j I_j(beta) m_j m_(k-j), j over
    all integers and m_0 = 1.

    It is the balance of attention and noise in each mode: the noisy flow at rest obeys it, and states of many humps.
    """
    beta, share = case.draw("beta", 1.3, 1.9), case.draw("kappa over kappa_#", 1.3, 2.0)
    case.require("the noisy flow comes to rest, and is resolved", 0 < beta <= 4 and 1.08 < share <= 3)
    kappa = share * theory.critical_kappa(beta=beta, d=2)
    moments = moments_on_a_grid(at_rest(case, beta, kappa, narrow_start(case))[0])
    stated = case.statement.right(moments, beta, kappa)
    because = "the noisy flow is within 1e-5 of rest after 60 kappa, times orders up to 6 and kappa/beta"
    left = case.statement.left(ORDERS, moments[ORDERS - 1])
    case.compare(left, stated, within=1e-3, because=because, name="k m_k, noisy flow at rest", over={"k": ORDERS})
    k = case.choose("humps", [1, 2, 3])
    case.require("humps that 128 places resolve", 1 <= k <= 3 and 0 < case.draw("beta / k^2", 1.5, 2.2) <= 4)
    beta = case.draw("beta / k^2", 1.5, 2.2) * k**2
    kappa, moments = case.measure(moments_of_branch, k, beta)
    left = case.statement.left(ORDERS, moments[ORDERS - 1])
    stated = case.statement.right(moments, beta, kappa)
    because = "fixed points to 1e-10 in the moments"
    case.compare(left, stated, within=1e-7, because=because, name="k m_k, state of humps", over={"k": ORDERS})


@moments_of_stationary_states_solve_a_quadratic_system.mutation("left")
def laplacian_kept_whole(k: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """k^2 stands on the left: the velocity is not differentiated with the density."""
    return k**2 * moments


@moments_of_stationary_states_solve_a_quadratic_system.mutation("right")
def positive_orders_alone(moments: np.ndarray, beta: float, kappa: float) -> np.ndarray:
    """The sum runs over j >= 1."""
    full = np.concatenate([moments[::-1], [1.0], moments])
    j = np.arange(1, HIGHEST + 1)
    return kappa / beta * full[np.subtract.outer(ORDERS, j) + len(moments)] @ (j * iv(j, beta) * moments[j - 1])


@moments_of_stationary_states_solve_a_quadratic_system.mutation("right")
def noise_halved(moments: np.ndarray, beta: float, kappa: float) -> np.ndarray:
    """sqrt(2/kappa) dW is read as sqrt(1/kappa) dW."""
    return 2 * what_attention_moves(moments, beta, kappa)


@moments_of_stationary_states_solve_a_quadratic_system.mutation("right")
def kernel_of_the_other_moment(moments: np.ndarray, beta: float, kappa: float) -> np.ndarray:
    """I_(k-j) stands for I_j: the kernel acts on the density that is moved."""
    orders = np.arange(-HIGHEST, HIGHEST + 1)
    full = np.concatenate([moments[::-1], [1.0], moments])
    apart = np.subtract.outer(ORDERS, orders)
    return kappa / beta * (iv(apart, beta) * full[apart + len(moments)]) @ (orders * full[orders + len(moments)])

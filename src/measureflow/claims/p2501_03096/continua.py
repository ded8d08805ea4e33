"""Measures that are no clusters: what rests on a plane of the form, rates about the uniform law of S², and both clocks.

All is NumPy on quadrature nodes: no code of the library but what is stated.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import eval_legendre

from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.paths.style import ACCENT, THEORY

PAPER = "2501.03096"
#: nodes of a circle
NODES = 64
TURNS = 2 * np.pi * np.arange(NODES) / NODES
RING = np.stack([np.cos(TURNS), np.sin(TURNS)], axis=1)


def velocities(points: np.ndarray, masses: np.ndarray, form: np.ndarray, *, softmax: bool, sign: int = 1) -> np.ndarray:
    """Return the velocities of atoms on the sphere under attention with V = ±D."""
    kernel = np.exp(points @ form @ points.T) * masses
    pull = kernel @ points @ form
    pull = pull - (pull * points).sum(axis=1, keepdims=True) * points
    return sign * (pull / kernel.sum(axis=1, keepdims=True) if softmax else pull)


def on_plane(a: float, b: float, rng: np.random.Generator) -> np.ndarray:
    """Return the masses at the ring's nodes of the minimiser of diag(a, b)."""
    return theory.full_support_minimiser(np.diag([a, b])).density(RING) / NODES


def on_kernel(rng: np.random.Generator) -> np.ndarray:
    """Return any masses."""
    return rng.dirichlet(np.ones(NODES))


def laws_on_the_plane(case: Case) -> dict[str, tuple[tuple[float, ...], np.ndarray]]:
    """Return eigenvalues, the first two those of the plane, and masses at the ring's nodes, of each kind of law."""
    rng, kappa = case.generator("forms"), case.given("kappa", 1.0)
    a, b = kappa * rng.uniform(0.6, 1.0), kappa * rng.uniform(1.3, 2.0)
    beyond, level = kappa * rng.uniform(-2.0, 2.0), kappa * rng.uniform(-1.5, 1.5)
    return {
        "plane": ((a, b, beyond), case.statement.plane(a, b, case.generator("plane"))),
        "kernel": ((0.0, 0.0, beyond), case.statement.kernel(case.generator("kernel"))),
        "uniform": ((level, level, beyond), case.statement.uniform(case.generator("uniform"))),
    }


@claim(
    PAPER,
    "stationary measures of full dimension on an invariant plane",
    covers=["1.5"],
    status="derived",
    states={"plane": on_plane, "kernel": on_kernel, "uniform": lambda rng: np.full(NODES, 1.0 / NODES)},
    id=f"{PAPER}/1.5-continua",
)
def measures_on_invariant_planes_are_stationary(case: Case) -> None:
    """On the circle of an invariant plane are at rest, under SA and USA: the minimiser of the form on it, where it is
    positive there; any measure, where it vanishes there; the uniform law, where it is a multiple of the identity."""
    d, rng, laws = case.given("d", 3), case.generator("forms"), laws_on_the_plane(case)
    rng.uniform(size=4)  # those of the eigenvalues
    basis = np.linalg.qr(rng.normal(size=(d, d)))[0]
    points = RING @ basis[:, :2].T
    because = "rounding, and modes of the minimiser that 64 nodes alias: below 1e-12"
    for name, (eigenvalues, masses) in laws.items():
        # beyond the plane all eigenvalues are the same
        form = (basis * np.pad(eigenvalues, (0, max(d - 3, 0)), mode="edge")[:d]) @ basis.T
        size = max(1.0, np.exp(np.abs(eigenvalues).max() - 2.0))
        for softmax in (True, False):
            v = velocities(points, masses, form, softmax=softmax)
            clock = "SA" if softmax else "USA"
            over = {"angle": TURNS}
            case.compare(v.T, 0.0, within=1e-9 * size, because=because, name=f"velocities, {name}, {clock}", over=over)


resting_planes = measures_on_invariant_planes_are_stationary


@resting_planes.figure
def densities_at_rest(case: Case, ax: Any) -> None:
    """Draw the density of each law at rest, and the velocities that it gives its own atoms."""
    laws = laws_on_the_plane(case)
    for (name, (eigenvalues, masses)), colour in zip(laws.items(), ACCENT, strict=True):
        said = ", ".join(f"{one:.3g}" for one in eigenvalues[:2])
        ax.plot(TURNS, NODES * masses, color=colour, lw=1.4, label=f"{name}: eigenvalues {said}")
    fastest = max(np.abs(curve.measured).max() for curve in case.curves)
    ax.axhline(1.0, color=THEORY, ls="--", lw=1.0, label="uniform")
    ax.set(xlabel="angle in the plane", ylabel="density at rest")
    ax.set_ylim(top=1.45 * ax.get_ylim()[1])
    ax.set_title(f"largest velocity of all three, SA and USA: {fastest:.1g}", fontsize=11, loc="left")
    ax.legend(fontsize=9, loc="upper right")


@resting_planes.mutation("plane")
def uniform_for_every_form(a: float, b: float, rng: np.random.Generator) -> np.ndarray:
    """The uniform law, as for multiples of the identity."""
    return np.full(NODES, 1.0 / NODES)


@resting_planes.mutation("plane")
def axes_exchanged(a: float, b: float, rng: np.random.Generator) -> np.ndarray:
    """The minimiser gathers at the larger eigenvalue."""
    return on_plane(b, a, rng)


@resting_planes.mutation("uniform")
def any_measure_of_an_eigenspace(rng: np.random.Generator) -> np.ndarray:
    """Any measure rests in an eigenspace, as in the kernel."""
    return on_kernel(rng)


def rate_of_zonal_mode(degree: int, kappa: float, sign: int) -> float:
    """Return the rate of a zonal density mode of S² at first order, from velocities at the north-south nodes.

    The perturbed law is sigma (1 + eps P_k): d/dt of its moment with P_k, over that moment, by a difference in eps.
    """
    heights, weights = np.polynomial.legendre.leggauss(40)
    turns = 2 * np.pi * np.arange(48) / 48
    radii = np.sqrt(1.0 - heights**2)
    sources = np.stack(
        [np.outer(radii, np.cos(turns)), np.outer(radii, np.sin(turns)), np.outer(heights, np.ones(48))], axis=-1
    ).reshape(-1, 3)
    # the law is zonal, so that velocities are needed on one meridian only
    meridian = np.stack([radii, 0 * radii, heights], axis=1)
    kernel = np.exp(kappa * (meridian @ sources.T - 1.0))
    away = np.stack([-heights * radii, 0 * radii, radii**2], axis=1)  # of the height, along the sphere
    mode = eval_legendre(degree, heights)
    slope = np.polynomial.legendre.legval(heights, np.polynomial.legendre.legder(np.eye(degree + 1)[degree]))

    def moment(eps: float) -> float:
        law = weights / 2.0 * (1.0 + eps * mode)
        masses = np.repeat(law, 48) / 48
        pull = sign * kappa * (kernel * masses) @ sources / (kernel @ masses)[:, None]
        return float((law * slope * (pull * away).sum(axis=1)).sum())

    eps = 1e-4
    return (moment(eps) - moment(-eps)) / (2 * eps * float((weights / 2.0 * mode**2).sum()))


@claim(
    PAPER,
    "linear stability of the uniform measure of the sphere",
    covers=["1.6"],
    status="derived",
    states={
        "rates": lambda degrees, kappa, sign: theory.rates_around_uniform_of_form(degrees, kappa=kappa, d=3, sign=sign),
        "fastest": lambda kappa: float(np.sqrt(2.0 * kappa + 0.25) - 0.5),
    },
    id=f"{PAPER}/T8-sphere",
)
def density_modes_of_the_sphere_grow_by_their_laplacian(case: Case) -> None:
    """On S² a mode of degree k of the uniform density grows (V = kappa) or decays (V = -kappa) at k(k + 1) lam_k/lam_0;
    where kappa is large the fastest degree is that with k(k + 1) = 2 kappa."""
    kappa, sign = case.draw("kappa", 1.0, 6.0), case.choose("sign", [1, -1])
    degrees = np.arange(1, 1 + case.given("degrees", 4))
    measured = [case.measure(rate_of_zonal_mode, int(k), kappa, sign) for k in degrees]
    because = "a difference of 1e-4 of second order, and rounding of 1e-16/1e-4"
    stated, over = case.statement.rates(degrees, kappa, sign), {"degree": degrees}
    case.compare(measured, stated, within=1e-6 * max(1.0, kappa / 6.0), because=because, name="rates", over=over)
    large = case.draw("large kappa", 400.0, 800.0)
    many = np.arange(1, 1 + max(100, int(3 * np.sqrt(large))))
    fastest = int(many[theory.rates_around_uniform_of_form(many, kappa=large, d=3).argmax()])
    because = "a whole number, and the next order in 1/kappa"
    case.compare(fastest, case.statement.fastest(large), within=2.0, because=because, name="fastest degree")


sphere_rates = density_modes_of_the_sphere_grow_by_their_laplacian


@sphere_rates.mutation("rates")
def laplacian_of_the_circle(degrees: np.ndarray, kappa: float, sign: int) -> Any:
    """k^2 in place of k(k + 1)."""
    return theory.rates_around_uniform_of_form(degrees, kappa=kappa, d=3, sign=sign) * degrees / (degrees + 1)


@sphere_rates.mutation("rates")
def bessel_numbers_of_the_circle(degrees: np.ndarray, kappa: float, sign: int) -> Any:
    """I_k/I_0, those of the circle."""
    circle = theory.rates_around_uniform_of_form(degrees, kappa=kappa, d=2, sign=sign)
    return circle * (degrees + 1) / degrees


@sphere_rates.mutation("rates")
def attraction_for_repulsion(degrees: np.ndarray, kappa: float, sign: int) -> Any:
    """The other sign."""
    return -theory.rates_around_uniform_of_form(degrees, kappa=kappa, d=3, sign=sign)


@sphere_rates.mutation("fastest")
def fastest_of_the_order_of_kappa(kappa: float) -> float:
    """The fastest degree is kappa/2: without the root."""
    return 0.5 * kappa


def rates_within(mu: np.ndarray, counts: tuple[int, int], at: int, softmax: bool) -> list[float]:
    """Return the rates at which the tokens of each of two opposite clusters meet, by a difference."""
    side = (at + 1) % len(mu)
    points = np.zeros((sum(counts), len(mu)))
    points[:, at] = np.repeat([1.0, -1.0], counts)
    masses, eps, found = np.full(len(points), 1.0 / len(points)), 1e-5, []
    for first in (0, counts[0]):
        ends = []
        for step in (eps, -eps):
            x = points.copy()
            x[first : first + 2, side] = step, -step
            x /= np.linalg.norm(x, axis=1, keepdims=True)
            ends.append(velocities(x, masses, np.diag(mu), softmax=softmax)[first, side])
        found.append(float(ends[0] - ends[1]) / (2 * eps))
    return found


def local_clock(mu_k: float, masses: tuple[float, float]) -> np.ndarray:
    """Return Z at each of two opposite clusters: by how much USA is faster there than SA."""
    p, q = masses
    return np.array([p * np.exp(mu_k) + q * np.exp(-mu_k), q * np.exp(mu_k) + p * np.exp(-mu_k)])


def both_clocks(mu: np.ndarray, at: int, mass: float) -> np.ndarray:
    """Return the rates within two clusters under SA and under USA."""
    own = theory.rates_of_two_clusters(mu, at, mass=mass).within
    return np.stack([own, own * local_clock(float(mu[at]), (mass, 1.0 - mass))])


@claim(PAPER, "the clock of USA", covers=["1.6"], status="derived", states=both_clocks, id=f"{PAPER}/T8-clock")
def rates_without_denominator_are_those_times_the_partition_function(case: Case) -> None:
    """About clusters the rates of USA are those of SA times Z where the cluster stands, whatever its mass."""
    counts = case.choose("tokens", [(4, 2), (5, 3), (6, 2)])
    d, kappa = case.given("d", 3), case.given("kappa", 1.0)
    mu = kappa * case.generator("eigenvalues").uniform(0.5, 1.5, d)
    axes = list(range(d))
    at, mass = case.choose("at", axes), counts[0] / sum(counts)
    measured = [case.measure(rates_within, mu, counts, at, softmax) for softmax in (True, False)]
    because = "a difference of 1e-5 of second order, and rounding of 1e-16/1e-5"
    within = 1e-8 * max(1.0, float(mu.max() / 1.5) ** 3 * float(np.exp(mu.max() - 1.5)))
    case.compare(measured, case.predict(mu, at, mass), within=within, because=because, name="rates within, SA and USA")


clocks = rates_without_denominator_are_those_times_the_partition_function


@clocks.mutation
def one_clock_for_both(mu: np.ndarray, at: int, mass: float) -> np.ndarray:
    """Z is taken where the heavier cluster stands."""
    own = theory.rates_of_two_clusters(mu, at, mass=mass).within
    return np.stack([own, own * local_clock(float(mu[at]), (mass, 1.0 - mass))[0]])


@clocks.mutation
def balanced_masses(mu: np.ndarray, at: int, mass: float) -> np.ndarray:
    """Z of balanced clusters, cosh mu_k."""
    own = theory.rates_of_two_clusters(mu, at, mass=mass).within
    return np.stack([own, own * np.cosh(mu[at])])


@clocks.mutation
def clock_inverted(mu: np.ndarray, at: int, mass: float) -> np.ndarray:
    """1/Z for Z."""
    own = theory.rates_of_two_clusters(mu, at, mass=mass).within
    return np.stack([own, own / local_clock(float(mu[at]), (mass, 1.0 - mass))])

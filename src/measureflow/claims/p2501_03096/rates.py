"""Linear stability about clusters and the uniform measure, and algebraic decay where the form has a kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ive

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import speeds
from measureflow.flows.rest import come_to_rest
from measureflow.paths.style import ACCENT, MUTED, THEORY

__all__ = ["at_axis", "spectrum"]

PAPER = "2501.03096"
#: tokens and dimension of the linearisations, unless set
N, DIMENSION = 6, 3


def at_axis(count: int, at: int, weights: Any = None, *, d: int = DIMENSION, n: int = N) -> mf.Tokens:
    """Return n tokens at an axis: the first `count` at its one end, the others at the other."""
    points = np.zeros((n, d))
    points[:, at] = np.where(np.arange(n) < count, 1.0, -1.0)
    return mf.Tokens(mf.Sphere(d), points, weights)


def spectrum(case: Case, tokens: mf.Tokens, field: mf.Field) -> np.ndarray:
    """Return the eigenvalues of the tokens' Jacobian, in order."""
    return np.sort(np.linalg.eigvals(np.asarray(case.measure(mf.observe.jacobian, tokens, field=field))).real)


def expected(rates: theory.FormRates, counts: tuple[int, ...]) -> np.ndarray:
    """Return the spectrum that rates about clusters of so many tokens give, in order."""
    directions = len(rates.between)
    within = [np.full((count - 1) * directions, rate) for rate, count in zip(rates.within, counts, strict=True)]
    return np.sort(np.concatenate([*within, rates.between.ravel()]))


def draw_levels(ax: Any, case: Case, names: list[str]) -> None:
    """Draw measured rates over stated ones, as levels, a column for each comparison."""
    for place, curve in enumerate(case.curves):
        label = "stated" if place == 0 else None
        ax.hlines(curve.stated, place - 0.3, place + 0.3, color=THEORY, ls="--", lw=1.3, label=label)
        label = "measured" if place == 0 else None
        ax.plot(np.full(curve.entries, place), curve.measured, "o", color=ACCENT[0], ms=6, label=label)
    ax.axhline(0.0, color=MUTED, lw=0.8)
    ax.set_xticks(range(len(names)), names)
    ax.set(ylabel="rates: eigenvalues of the Jacobian", xlim=(-0.6, len(names) - 0.4))
    ax.legend(fontsize=9)


def drawn_form(case: Case) -> tuple[np.ndarray, int, int]:
    """Draw eigenvalues of a diagonal form, an axis and a sign."""
    ranges = ((-1.5, -0.5), (0.2, 0.7), (0.9, 1.5))
    mu = np.array([case.draw(f"mu{j}", *within) for j, within in enumerate(ranges)])
    mu = mu[case.generator("order").permutation(DIMENSION)]
    return mu, case.choose("at", [0, 1, 2]), case.choose("sign", [1, -1])


@claim(
    PAPER,
    "linear stability of clusters",
    covers=["T8"],
    status="derived",
    states={
        "one": lambda mu, at, sign: theory.rates_of_one_cluster(mu, at, sign=sign),
        "two": lambda mu, at, mass, sign: theory.rates_of_two_clusters(mu, at, mass=mass, sign=sign),
    },
)
def clusters_at_eigenvectors_are_left_or_met_at_known_rates(case: Case) -> None:
    """One cluster: -mu_k within and mu_j - mu_k as a whole; two clusters of any masses: tanh laws and a 2x2 matrix."""
    (mu, at, sign), n = drawn_form(case), case.given("n", N)
    case.require("two clusters of two tokens and more", n >= 4)
    case.require("eigenvalues are distinct and not 0", min(np.diff(np.sort(mu)).min(), np.abs(mu).min()) > 0.05)
    field = mf.gradient_attention(np.diag(mu), sign=sign)
    because = "an eigenvalue of 12 x 12 sums of size 1, in a Jordan block of none"
    measured = spectrum(case, at_axis(n, at, n=n), field)
    predicted, over = expected(case.statement.one(mu, at, sign), (n,)), {"rate, in order": range(1, len(measured) + 1)}
    case.compare(measured, predicted, within=1e-7, because=because, name="one cluster", over=over)
    masses = case.generator("masses").dirichlet(np.full(n, 4.0))
    for name, weights, mass, count in (
        ("balanced", None, n // 2 / n, n // 2),
        ("by numbers", None, 2 / n, 2),
        ("by masses", masses, float(masses[: n - 2].sum()), n - 2),
    ):
        measured = spectrum(case, at_axis(count, at, weights, n=n), field)
        predicted = expected(case.statement.two(mu, at, mass, sign), (count, n - count))
        case.compare(measured, predicted, within=1e-7, because=because, name=f"two clusters, {name}", over=over)


cluster_rates = clusters_at_eigenvectors_are_left_or_met_at_known_rates


@cluster_rates.figure
def spectra_about_clusters(case: Case, ax: Any) -> None:
    """Draw the spectrum about one cluster and about two."""
    draw_levels(ax, case, ["one cluster", "two,\nbalanced", "two,\nby numbers", "two,\nby masses"])
    mu, at, sign = drawn_form(case)
    said = ", ".join(f"{one:.3g}" for one in mu)
    about = f"n = {case.instance['n']}, D = diag({said}), V = {sign:+d} D, at e_{at + 1}"
    ax.set_title(about, fontsize=11, loc="left")


@cluster_rates.mutation("one")
def cluster_as_a_whole_by_its_target(mu: np.ndarray, at: int, sign: int) -> Any:
    """The cluster moves along e_j at mu_j, as if its own pull did not hold it."""
    right = theory.rates_of_one_cluster(mu, at, sign=sign)
    return right._replace(between=right.between + sign * mu[at])


@cluster_rates.mutation("one")
def sign_of_the_force(mu: np.ndarray, at: int, sign: int) -> Any:
    """Attraction for repulsion."""
    return theory.rates_of_one_cluster(mu, at, sign=-sign)


@cluster_rates.mutation("two")
def no_hyperbolic_tangent(mu: np.ndarray, at: int, mass: float, sign: int) -> Any:
    """Each cluster is held by itself alone: tanh(mu) is taken for 1."""
    right = theory.rates_of_two_clusters(mu, at, mass=mass, sign=sign)
    return right._replace(within=np.full(2, -sign * mu[at]))


@cluster_rates.mutation("two")
def masses_taken_as_equal(mu: np.ndarray, at: int, mass: float, sign: int) -> Any:
    """The balanced rates, whatever the masses."""
    return theory.rates_of_two_clusters(mu, at, mass=0.5, sign=sign)


@cluster_rates.mutation("two")
def half_the_logit(mu: np.ndarray, at: int, mass: float, sign: int) -> Any:
    """tanh(mu_k/2): the logits of the two clusters differ by mu_k in place of 2 mu_k."""
    half = theory.rates_of_two_clusters(mu / 2, at, mass=mass, sign=sign)
    return half._replace(within=2 * half.within, between=2 * half.between)


@claim(
    PAPER,
    "linear stability of the uniform measure",
    covers=["1.6"],
    status="derived",
    states=lambda degrees, kappa, sign: theory.rates_around_uniform_of_form(degrees, kappa=kappa, d=2, sign=sign),
    id=f"{PAPER}/T8-uniform",
)
def density_modes_about_the_uniform_measure_have_rates_of_bessel_functions(case: Case) -> None:
    """A mode of degree k of the uniform density grows (V = kappa) or decays (V = -kappa) at k^2 I_k/I_0 of kappa."""
    kappa, sign, n = case.draw("kappa", 1.5, 4.0), case.choose("sign", [1, -1]), case.given("n", 24)
    degrees = np.arange(1, 1 + case.given("degrees", 4))
    alias = 100.0 * ive(n - degrees[-1], kappa) / ive(0, kappa)
    case.require("so many tokens are the uniform law to modes of these degrees", alias < 1e-9)
    angles = 2 * np.pi * np.arange(n) / n + case.draw("phase", 0.0, 6.0)
    ring = mf.Tokens(mf.Sphere(2), np.stack([np.cos(angles), np.sin(angles)], axis=1))
    field = mf.gradient_attention(kappa * np.eye(2), sign=sign)
    matrix = np.asarray(case.measure(mf.observe.jacobian, ring, field=field))
    # the frame of a token is one tangent vector up to its sign: displacements sin(k angle) along the circle
    tangent = np.asarray(mf.Sphere(2).frame(ring.points))[:, :, 0]
    orientation = (tangent * np.stack([-np.sin(angles), np.cos(angles)], axis=1)).sum(axis=1)
    modes = np.sin(np.outer(degrees, angles)) * orientation
    measured = (modes @ matrix.T * modes).sum(axis=1) / (modes * modes).sum(axis=1)
    because = "n tokens are the uniform measure up to I_(n-k)/I_0 of kappa: I_20(4)/I_0(4) < 1e-12"
    stated, over = case.predict(degrees, kappa, sign), {"degree": degrees}
    case.compare(measured, stated, within=1e-9, because=because, name="rates of density modes", over=over)


uniform_rates = density_modes_about_the_uniform_measure_have_rates_of_bessel_functions


@uniform_rates.mutation
def values_of_the_identity(degrees: Any, kappa: float, sign: int) -> Any:
    """The clock of V = ±Id: kappa times too slow."""
    return theory.rates_around_uniform_of_form(degrees, kappa=kappa, d=2, sign=sign) / kappa


@uniform_rates.mutation
def laplacian_to_the_first_power(degrees: Any, kappa: float, sign: int) -> Any:
    """k in place of k^2."""
    return theory.rates_around_uniform_of_form(degrees, kappa=kappa, d=2, sign=sign) / degrees


@uniform_rates.mutation
def denominator_lost(degrees: Any, kappa: float, sign: int) -> Any:
    """USA: I_0 is not divided by."""
    from scipy.special import i0

    return theory.rates_around_uniform_of_form(degrees, kappa=kappa, d=2, sign=sign) * i0(kappa)


@claim(
    PAPER,
    "two tokens",
    covers=["1.6"],
    status="derived",
    states=lambda rho, kappa, sign: (
        2 * sign * kappa * (1 - rho**2) * np.exp(kappa * rho) / (np.exp(kappa) + np.exp(kappa * rho))
    ),
    id=f"{PAPER}/T8-two-tokens",
)
def two_tokens_meet_or_part_by_one_equation(case: Case) -> None:
    """For D = kappa, V = ±D: rho' = ±2 kappa (1 - rho^2) e^(kappa rho)/(e^kappa + e^(kappa rho))."""
    kappa, sign, rho = case.draw("kappa", 1.5, 3.0), case.choose("sign", [1, -1]), case.draw("rho", -0.9, 0.9)
    case.require("the cosine is one", -1.0 <= rho <= 1.0)
    measured, within = change_of_cosine(case, rho, kappa, sign), 1e-13 * max(1.0, kappa / 3.0)
    because = "rounding of numbers of size 1"
    case.compare(measured, case.predict(rho, kappa, sign), within=within, because=because, name="rho'")


def change_of_cosine(case: Case, rho: float, kappa: float, sign: int) -> float:
    """Return the derivative of the cosine of two tokens; the others have no mass."""
    d = case.given("d", DIMENSION)
    x = np.zeros((N, d))
    x[:, 0], x[1, :2] = 1.0, (rho, np.sqrt(1 - rho**2))
    tokens = mf.Tokens(mf.Sphere(d), x, np.where(np.arange(N) < 2, 0.5, 0.0))
    v = speeds(case, mf.gradient_attention(kappa * np.eye(d), sign=sign), tokens)
    return float(v[0] @ x[1] + x[0] @ v[1])


@two_tokens_meet_or_part_by_one_equation.figure
def speed_of_the_cosine(case: Case, ax: Any) -> None:
    """Draw how fast the cosine changes, measured at many cosines, over the equation."""
    kappa, sign, rho = (case.instance[name] for name in ("kappa", "sign", "rho"))
    places, line = np.append(np.linspace(-0.95, 0.95, 20), rho), np.linspace(-1.0, 1.0, 200)
    found = [change_of_cosine(case, float(one), kappa, sign) for one in places]
    ax.plot(line, case.predict(line, kappa, sign), "--", color=THEORY, label="stated")
    ax.plot(places, found, "o", color=ACCENT[0], ms=6, label="measured")
    ax.set(xlabel=r"$\rho$", ylabel=r"$\dot\rho$")
    ax.set_title(f"D = kappa = {kappa:.3g}, V = {sign:+d} D, d = {case.instance['d']}", fontsize=11, loc="left")
    ax.legend(fontsize=9)


@two_tokens_meet_or_part_by_one_equation.mutation
def clock_of_the_identity(rho: float, kappa: float, sign: int) -> float:
    """The factor kappa of the values is lost."""
    return 2 * sign * (1 - rho**2) * np.exp(kappa * rho) / (np.exp(kappa) + np.exp(kappa * rho))


@two_tokens_meet_or_part_by_one_equation.mutation
def weights_of_the_other_alone(rho: float, kappa: float, sign: int) -> float:
    """Tokens do not attend to themselves."""
    return 2 * sign * kappa * (1 - rho**2)


@claim(
    PAPER,
    "repulsion by a form with a kernel",
    covers=["T10"],
    status="derived",
    states={"variance": theory.variance_on_degenerate_form, "energy": theory.energy_on_degenerate_form},
)
def heights_over_the_kernel_decay_algebraically(case: Case) -> None:
    """D = lam e e^T, V = -D in dimension 3: 2 lam^2 t s^2 tends to 1 and 8 lam^2 t^2 (E2 - 1) too, without rate. At
    t = 1000 they are within the first correction, (q - lam g^2/2) log t/(2 lam^2 t) with kurtosis q and skewness g of
    the heights, which is found from those at t = 200."""
    lam, (early, *late) = case.draw("lam", 1.5, 2.0), heights(case)
    shape = {"kurtosis": (early**4).mean() / early.var() ** 2, "skewness": (early**3).mean() / early.var() ** 1.5}
    options = {"eigenvalue": lam, "start": float(early.var()), **shape}
    second = ((shape["kurtosis"] + lam * shape["skewness"] ** 2 / 2) / (2 * lam**2 * 200.0)) ** 2
    for t, h in zip((1000.0, 4000.0), late, strict=True):
        because = "the first correction, of order log t/(2 lam^2 t), is below 1.5 % at t = 1000"
        within = 0.03 * max(1.0, 1.5 / lam) ** 2
        case.compare(2 * lam**2 * t * h.var(), 1.0, within=within, because=because, name=f"the law at {t:g}")
        predicted = case.statement.variance(t - 200.0, **options)
        because = "half the square of the first correction at t = 200, both its terms taken as positive"
        case.compare(predicted / h.var(), 1.0, within=second / 2, because=because, name=f"variance at {t:g}")
        excess = np.expm1(lam * np.outer(h, h)).mean()
        predicted = case.statement.energy(t - 200.0, **options)
        because = "twice the relative error of the variance"
        case.compare(predicted / excess, 1.0, within=second, because=because, name=f"energy at {t:g}")


def heights(case: Case) -> list[np.ndarray]:
    """Return the heights of random tokens at t = 200, 1000 and 4000."""
    draw = case.generator("cloud").normal(size=(case.given("n", 24), case.given("d", 3)))
    start = draw / np.linalg.norm(draw, axis=1, keepdims=True)
    return case.measure(heights_at, start, case.draw("lam", 1.5, 2.0), (200.0, 1000.0, 4000.0))


def heights_at(start: np.ndarray, lam: float, times: tuple[float, ...]) -> list[np.ndarray]:
    """Return the heights at some times."""
    D, points, found = lam * np.diag(np.arange(start.shape[1]) == start.shape[1] - 1)[None], start[None], []
    for span in np.diff([0.0, *times]):
        points = come_to_rest(points, D, -D, until=float(span), tol=1e-300, rtol=1e-9).points
        found.append(points[0, :, -1])
    return found


decay = heights_over_the_kernel_decay_algebraically


@decay.figure
def variance_of_heights(case: Case, ax: Any) -> None:
    """Draw the variance of the heights and the excess energy at three times, over their laws."""
    lam, times = case.instance["lam"], np.array([200.0, 1000.0, 4000.0])
    found, line = heights(case), np.geomspace(100.0, 8000.0, 50)
    excess = [np.expm1(lam * np.outer(h, h)).mean() for h in found]
    for values, law, colour, name in (
        ([h.var() for h in found], 1 / (2 * lam**2 * line), ACCENT[0], "$s^2$, law $1/(2\\lambda^2t)$"),
        (excess, 1 / (8 * lam**2 * line**2), ACCENT[1], "$E_2 - 1$, law $1/(8\\lambda^2t^2)$"),
    ):
        ax.plot(times, values, "o", color=colour, ms=8, label=name)
        ax.plot(line, law, "--", color=THEORY, lw=1.3)
    ax.set(xscale="log", yscale="log", xlabel="$t$", ylabel="variance of heights; excess of energy")
    about = (case.instance["n"], case.instance["d"], lam)
    ax.set_title("n = {}, d = {}, lam = {:.3g}".format(*about), fontsize=11, loc="left")
    ax.legend(fontsize=9)


@decay.mutation("variance")
def eigenvalue_to_the_first_power(t: float, *, eigenvalue: float, **options: Any) -> Any:
    """1/(2 lam t): the force has lam once, the weights not at all."""
    return theory.variance_on_degenerate_form(t, eigenvalue=eigenvalue**0.5, **options)


@decay.mutation("variance")
def factor_two_lost(t: float, **options: Any) -> Any:
    """1/(lam^2 t)."""
    return theory.variance_on_degenerate_form(t / 2, **options)


@decay.mutation("variance")
def exponential_decay(t: float, *, eigenvalue: float, start: float, **shape: Any) -> Any:
    """Heights decay like their mean, e^(-lam t)."""
    return start * np.exp(-2 * eigenvalue * t)


@decay.mutation("variance")
def leading_order_alone(t: float, *, eigenvalue: float, start: float, **shape: Any) -> Any:
    """The first correction is left out."""
    return theory.variance_on_degenerate_form(t, eigenvalue=eigenvalue, start=start)


@decay.mutation("energy")
def energy_by_its_half(t: float, **options: Any) -> Any:
    """E in place of E2 = 2E: half the excess."""
    return 0.5 * theory.energy_on_degenerate_form(t, **options)


@claim(
    PAPER,
    "opposite points between the eigenvectors of an indefinite form",
    covers=["1.5"],
    status="derived",
    states=lambda mu, sign: theory.rates_of_null_pair(mu, sign=sign),
    id=f"{PAPER}/T8-null-pairs",
)
def opposite_points_where_the_form_vanishes_may_attract_under_repulsion(case: Case) -> None:
    """On the circle a balanced pair at x with <x, Dx> = 0 has rates -g^2, -2g^2 and -(g^2 + tr D), g = |Dx|, for
    V = -D: descent of the energy may end far above its minimum."""
    mu = np.array([-case.draw("mu1", 0.5, 1.2), case.draw("mu2", 1.3, 2.0)])
    sign, n = case.choose("sign", [-1, 1]), case.given("n", N)
    case.require("the pair is balanced", n % 2 == 0)
    case.require("the form is indefinite", mu[0] < 0 < mu[1])
    x = np.sqrt(np.array([mu[1], -mu[0]]) / (mu[1] - mu[0]))
    side = np.where(np.arange(n) < n // 2, 1.0, -1.0)
    tokens = mf.Tokens(mf.Sphere(2), side[:, None] * x)
    measured = spectrum(case, tokens, mf.gradient_attention(np.diag(mu), sign=sign))
    because = "the eigenvalues of a matrix of size 1, symmetric up to equal masses"
    predicted = expected(case.predict(mu, sign), (n // 2, n // 2))
    over = {"rate, in order": range(1, n + 1)}
    case.compare(measured, predicted, within=1e-7, because=because, name="rates about the pair", over=over)


null_pairs = opposite_points_where_the_form_vanishes_may_attract_under_repulsion


@null_pairs.figure
def spectrum_about_the_pair(case: Case, ax: Any) -> None:
    """Draw the spectrum about the pair."""
    draw_levels(ax, case, [r"pair at $x$, $\langle x, Dx\rangle = 0$"])
    one, other, n, sign = (case.instance[name] for name in ("mu1", "mu2", "n", "sign"))
    ax.set_title(f"n = {n}, D = diag({-one:.3g}, {other:.3g}), V = {sign:+d} D", fontsize=11, loc="left")


@null_pairs.mutation
def marginal_within(mu: np.ndarray, sign: int) -> Any:
    """x.Dx = 0, so that a cluster would not hold itself: rate 0 within, as for a Dirac."""
    right = theory.rates_of_null_pair(mu, sign=sign)
    return right._replace(within=0.0 * right.within)


@null_pairs.mutation
def without_the_trace(mu: np.ndarray, sign: int) -> Any:
    """The curvature of the form along the circle is left out: always stable under repulsion."""
    right = theory.rates_of_null_pair(mu, sign=sign)
    square = right.between[0, 0] / 2
    return right._replace(between=np.array([[2 * square, square]]))


@null_pairs.mutation
def all_signs(mu: np.ndarray, sign: int) -> Any:
    """Repulsion for attraction."""
    return theory.rates_of_null_pair(mu, sign=-sign)

"""The metric with mobility mu/Z: how far it is from the plain one, and that flows descend in it as fast as can be."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import N, cloud, follow, normalised
from measureflow.paths.style import ACCENT, MUTED

PAPER = "2501.03096"


def factors(norm: float) -> tuple[float, float]:
    """Return e^(-||D||/2) and e^(||D||/2)."""
    return float(np.exp(-norm / 2)), float(np.exp(norm / 2))


def pair(case: Case) -> tuple[mf.Tokens, mf.Tokens]:
    """Draw two sets of tokens on the circle."""
    n = case.given("n", 6)
    drawn = [normalised(case.generator(f"tokens {k}").normal(size=(n, 2))) for k in range(2)]
    return mf.Tokens(mf.Sphere(2), drawn[0]), mf.Tokens(mf.Sphere(2), drawn[1])


def at_angle(angle: float) -> mf.Tokens:
    """Return one token of the circle."""
    return mf.Tokens(mf.Sphere(2), [[np.cos(angle), np.sin(angle)]])


def symmetric(case: Case) -> np.ndarray:
    """Draw a symmetric form of the plane."""
    draw = case.generator("form").normal(size=(2, 2))
    return case.given("scale of D", 1.0) * (draw + draw.T)


@claim(PAPER, "equivalence with the plain distance", covers=["1.2"], id="2501.03096/sandwich", states=factors)
def the_metric_lies_between_multiples_of_the_plain_one(case: Case) -> None:
    """e^(-||D||/2) W_2 <= W_m <= e^(||D||/2) W_2, and one token attains both: under D = -k Id and D = k Id."""
    one, other = pair(case)
    D = symmetric(case)
    found = case.measure(mf.wasserstein_m, one, other, D, times=9)
    case.require("a critical path was found", found.residual < 1e-6)
    plain = float(case.measure(mf.measures.wasserstein, one, other))
    low, high = case.predict(float(np.linalg.norm(D, 2)))
    because = "nine times, of fourth order: below 1e-5 in these draws"
    case.at_least(found.distance / plain, low, within=1e-4, because=because, name="lower bound")
    case.at_most(found.distance / plain, high, within=1e-4, because=because, name="upper bound")
    kappa, angle = case.draw("kappa", 0.5, 2.0), case.draw("angle", 0.5, 3.0)
    case.require("one token goes the shorter way", 0 < angle <= np.pi)
    low, high = case.predict(kappa)
    for sign, factor in ((-1.0, low), (1.0, high)):
        alone = case.measure(mf.wasserstein_m, at_angle(0.0), at_angle(angle), sign * kappa, times=9)
        name = f"one token, D = {sign:+.0f} kappa"
        case.compare(alone.distance / angle, factor, within=1e-9, because="Z is constant: rounding", name=name)


@the_metric_lies_between_multiples_of_the_plain_one.mutation
def root_forgotten(norm: float) -> tuple[float, float]:
    """The bounds of Z stand where those of its root belong."""
    return float(np.exp(-norm)), float(np.exp(norm))


@the_metric_lies_between_multiples_of_the_plain_one.mutation
def no_mobility(norm: float) -> tuple[float, float]:
    """The two distances are the same."""
    return 1.0, 1.0


@the_metric_lies_between_multiples_of_the_plain_one.mutation
def mobility_inverted(norm: float) -> tuple[float, float]:
    """mu/Z weighs the velocity instead of the flux: the two bounds change places."""
    return float(np.exp(norm / 2)), float(np.exp(-norm / 2))


@the_metric_lies_between_multiples_of_the_plain_one.figure
def two_geodesics(case: Case, ax: Any) -> None:
    """Draw tokens on the circle along the geodesic, beside the plain one."""
    one, other = pair(case)
    D = symmetric(case)
    for form, shade, line, name in ((0.0, MUTED, "--", "$W_2$"), (D, ACCENT[0], "-", "$W_m$")):
        path = case.measure(mf.wasserstein_m, one, other, form, times=9).path
        points = np.asarray(path.points)
        angles = np.unwrap(np.arctan2(points[..., 1], points[..., 0]), axis=0)
        ax.plot(np.asarray(path.times), angles, color=shade, lw=1.4, ls=line)
        ax.plot([], [], color=shade, ls=line, label=f"geodesic of {name}")
    ax.set(xlabel="time $t$", ylabel=r"angle $\theta_i$")
    ax.set_ylim(top=ax.get_ylim()[1] + 1.2)
    ratio, (low, high) = float(case.curves[0].measured[0]), factors(float(np.linalg.norm(D, 2)))
    said = f"n = {len(one.points)}, {low:.2g} <= W_m/W_2 = {ratio:.3g} <= {high:.2g}"
    ax.set_title(said, fontsize=11, loc="left")
    ax.legend(loc="upper center", ncol=2, fontsize=9)


#: the length of time over which a slope is seen
SHORT = 0.02


def slope(Z: np.ndarray, gradient: np.ndarray, masses: np.ndarray) -> float:
    """Return the slope of E in the metric: the root of the integral of |grad Z|^2 / Z."""
    return float(np.sqrt(masses @ ((gradient**2).sum(axis=1) / Z)))


@claim(
    PAPER,
    "gradient flow in the metric",
    covers=["T2", "1.2"],
    id="2501.03096/slope",
    status="derived",
    states=slope,
)
def softmax_descends_at_the_speed_of_the_slope(case: Case) -> None:
    """Along SA with V = -D the speed in W_m, the drop of E per distance and the slope of E in the metric are equal."""
    kappa = case.draw("kappa", 0.8, 1.4)
    d, n = case.given("d", 3), case.given("n", N)
    D = kappa * np.eye(d) + np.diag(np.linspace(0.2, -0.2, d))
    tokens = cloud(case, d=d, n=n, angle=case.given("angle", 0.9))
    field = mf.SelfAttention(1.0, query=D, value=-D)
    points = follow(case, tokens, field, np.array([0.0, 0.5 * SHORT, SHORT]))
    ends = [mf.Tokens(mf.Sphere(d), points[k], tokens.weights) for k in (0, 2)]
    found = case.measure(mf.wasserstein_m, *ends, D, times=5)
    masses = np.asarray(tokens.weights)
    kernel = np.exp(points @ D @ points.transpose(0, 2, 1)) * masses
    Z, pulled = kernel.sum(axis=2), kernel @ points @ D
    energy = 0.5 * Z @ masses
    gradient = pulled[1] - (pulled[1] * points[1]).sum(axis=1, keepdims=True) * points[1]
    case.require("Z is not near 1, where the two metrics agree", Z.mean() > 1.3)
    stated = case.predict(Z[1], gradient, masses)
    because = f"a centred difference over a time of {SHORT}: of second order in it"
    speed, drop = found.distance / SHORT, (energy[0] - energy[2]) / found.distance
    within = 1e-3 * max(1.0, (kappa / 1.4) ** 2)
    case.compare(speed, stated, within=within, relative=True, because=because, name="speed in the metric")
    case.compare(drop, stated, within=within, relative=True, because=because, name="drop of E per distance")


@softmax_descends_at_the_speed_of_the_slope.mutation
def plain_slope(Z: np.ndarray, gradient: np.ndarray, masses: np.ndarray) -> float:
    """The slope in the plain metric, which USA follows."""
    return float(np.sqrt(masses @ (gradient**2).sum(axis=1)))


@softmax_descends_at_the_speed_of_the_slope.mutation
def plain_speed(Z: np.ndarray, gradient: np.ndarray, masses: np.ndarray) -> float:
    """The speed of SA in the plain metric."""
    return float(np.sqrt(masses @ ((gradient**2).sum(axis=1) / Z**2)))


@softmax_descends_at_the_speed_of_the_slope.mutation
def half_of_the_energy_lost(Z: np.ndarray, gradient: np.ndarray, masses: np.ndarray) -> float:
    """The energy without its 1/2, whose slope is twice as large."""
    return 2.0 * slope(Z, gradient, masses)

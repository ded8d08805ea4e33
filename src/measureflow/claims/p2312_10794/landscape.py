"""The landscape of the energy: its Hessian on the circle, and how unstable what is not consensus is at least."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import N, cloud, normalised, speeds
from measureflow.claims.p2312_10794.saddles import TOKENS, attention, polygon, rates
from measureflow.paths.style import ACCENT, FAINT, MUTED, THEORY, shades


@claim(
    "2312.10794",
    "section 5, Hessian on the circle",
    covers=["3.1"],
    id="2312.10794/hessian-on-the-circle",
    states=lambda x, beta: (np.cos(x) - beta * np.sin(x) ** 2) * np.exp(beta * np.cos(x)),
)
def hessian_on_the_circle_is_a_function_of_differences(case: Case) -> None:
    """On the circle d_i d_j E = g(theta_i - theta_j)/n^2 off the diagonal, g = (cos - beta sin^2) e^(beta cos)."""
    n, beta = case.given("n", TOKENS), case.draw("beta", 0.5, 4.0)
    case.require("there are two tokens and more", n >= 2)
    angles = case.generator("angles").uniform(0, 2 * np.pi, n)
    tokens = mf.Tokens(mf.Sphere(2), np.stack([np.cos(angles), np.sin(angles)], axis=1))
    field = attention(beta, "unnormalised")
    # USA is n grad E, so that its Jacobian is n times the Hessian
    measured = n * np.asarray(case.measure(mf.observe.jacobian, tokens, field=field))
    off = ~np.eye(n, dtype=bool)
    predicted = case.predict(angles[:, None] - angles[None], beta)
    because = "rounding of terms up to beta e^beta"
    within = 1e-13 * (1 + beta) * np.exp(beta)
    # the Jacobian chooses the sign of each tangent vector, so that the diagonal alone shows that of g
    apart = np.abs((angles[:, None] - angles[None] + np.pi) % (2 * np.pi) - np.pi)
    name, over = "size of the Hessian off the diagonal", {"angle between the two tokens": apart[off]}
    case.compare(np.abs(measured[off]), np.abs(predicted[off]), within=within, because=because, name=name, over=over)
    name, diagonal = "diagonal of the Hessian", -(predicted * off).sum(axis=1)
    case.compare(np.diag(measured), diagonal, within=n * within, because=because, name=name)


@hessian_on_the_circle_is_a_function_of_differences.figure
def hessian_over_angles(case: Case, ax: Any) -> None:
    """Draw the size of the Hessian's entries over the angle of their two tokens, and |g|."""
    n, beta = case.instance["n"], case.instance["beta"]
    seen = next(curve for curve in case.curves if curve.axis)
    fine = np.linspace(0.0, np.pi, 300)
    ax.plot(
        fine, np.abs(case.predict(fine, beta)), "--", color=THEORY, label=r"$|\cos x-\beta\sin^2x|\,e^{\beta\cos x}$"
    )
    ax.plot(seen.places, seen.measured, "o", color=ACCENT[0], ms=5, label=r"$n^2|\partial_i\partial_jE|$")
    ax.set(xlabel=r"angle $x$ between the two tokens", ylabel="size", title=rf"$n={n}$, $\beta={beta:.2f}$")
    ax.legend()


@hessian_on_the_circle_is_a_function_of_differences.mutation
def sine_not_squared(x: Any, beta: float) -> Any:
    """beta sin in place of beta sin^2."""
    return (np.cos(x) - beta * np.abs(np.sin(x))) * np.exp(beta * np.cos(x))


@hessian_on_the_circle_is_a_function_of_differences.mutation
def weights_held_fixed(x: Any, beta: float) -> Any:
    """The derivative of the weight is forgotten: cos alone."""
    return np.cos(x) * np.exp(beta * np.cos(x))


@hessian_on_the_circle_is_a_function_of_differences.mutation
def beta_twice(x: Any, beta: float) -> Any:
    """The derivative of E itself, without the 1/(2 beta)."""
    return beta * (np.cos(x) - beta * np.sin(x) ** 2) * np.exp(beta * np.cos(x)) * 2


@claim(
    "2312.10794",
    "proof of Theorem 4.1",
    covers=["3.1", "Thm 4.1"],
    id="2312.10794/strict-saddles",
    states={"balanced": lambda values: 1.0 - values.min(), "poles": lambda mean: 1.0},
)
def without_temperature_every_other_critical_point_is_a_strict_saddle(case: Case) -> None:
    """At beta = 0 every configuration of mean 0 is critical and grows at the rate 1 - lambda_min(C), C the mean of
    x x^T: at least 1 - 1/d, and this much if and only if C = 1/d, as for the cross-polytope; tokens at two poles with a
    mean grow at the rate 1, whatever the mean.

    Derived: about mean 0 each token moves at P_x m, so that m' = (1 - C)m, and C has the trace 1.
    """
    frame, _ = np.linalg.qr(case.generator("frame").normal(size=(3, 3)))
    # the corners of a cross-polytope, and a hexagon in a plane; two more tokens have no mass
    turn = np.pi / 3 * np.arange(6)
    hexagon = np.stack([np.cos(turn), np.sin(turn), np.zeros(6)], axis=1)
    plus = case.draw("tokens at one pole", 1, 2, integer=True)
    case.require("there are tokens at both poles, and a mean", 0 < plus < 6 and plus != 3)
    n = case.given("n", N)
    case.require("there are two tokens and more", n >= 2)
    poles = np.where(np.arange(6) < plus, 1.0, -1.0)[:, None] * np.eye(3)[0]
    shapes = {"cross-polytope": np.concatenate([np.eye(3), -np.eye(3)]) @ frame, "hexagon": hexagon @ frame}
    # one program for each dimension, so that the others wait for a longer tier
    for d in case.given("d", (2, 3) if case.tier == "smoke" else (2, 3, 4, 5, 6)):
        shapes[f"a cloud of mean 0, d = {d}"] = case.measure(balanced, case.seed + d, 6 if d == 2 else n, d)
    because = "rounding, and a mean of 1e-15"
    for name, points in shapes.items():
        case.require("the mean is 0", float(np.linalg.norm(points.mean(axis=0))) < 1e-14)
        values = np.linalg.eigvalsh(points.T @ points / len(points))
        growth, d = fastest(case, points), points.shape[1]
        case.compare(growth, case.statement.balanced(values), within=1e-10, because=because, name=name)
        case.at_least(growth, 1 - 1 / d, within=1e-10, because=because, name=f"{name}, at least 1 - 1/d")
        level = bool(np.ptp(values) < 1e-8)
        case.compare(growth - (1 - 1 / d) < 1e-8, level, within=0.05, because="yes or no", name=f"{name}, attained")
    one = case.statement.poles(abs(1 - plus / 3))
    case.compare(fastest(case, poles @ frame), one, within=1e-12, because="rounding", name="poles")


def balanced(seed: int, n: int, d: int) -> np.ndarray:
    """Return a random configuration of mean 0: random tokens go down the square of their mean."""
    points = normalised(np.random.default_rng(seed).normal(size=(n, d)))
    for _ in range(2000):
        points = normalised(points - points.mean(axis=0))
    return points


def fastest(case: Case, points: np.ndarray) -> float:
    """Return the largest rate at beta = 0, of tokens of equal mass."""
    n, d = points.shape
    more = max(N - n, 0) if d > 2 else 0  # tokens without mass fill up the shape that other claims have
    weights = np.where(np.arange(n + more) < n, 1 / n, 0.0)
    tokens = mf.Tokens(mf.Sphere(d), np.resize(points, (n + more, d)), weights)
    field = attention(0.0, "softmax") if d == 2 else mf.SelfAttention(0.0)
    matrix = np.asarray(case.measure(mf.observe.jacobian, tokens, field=field))[: n * (d - 1), : n * (d - 1)]
    return float(np.linalg.eigvals(matrix).real.max())


@without_temperature_every_other_critical_point_is_a_strict_saddle.figure
def rates_over_least_moment(case: Case, ax: Any) -> None:
    """Draw the rates of growth of all balanced shapes over what is stated, and the bound of each dimension."""
    seen = [one for one in case.comparisons if "at least" not in one.name and "attained" not in one.name]
    seen = [one for one in seen if one.name != "poles"]
    stated = np.array([one.expected for one in seen])
    ax.plot([0.4, 1.1], [0.4, 1.1], "--", color=THEORY, label=r"stated: $1-\lambda_{min}(C)$")
    for one, shade in zip(seen, shades(len(seen)), strict=True):
        ax.plot([one.expected], [one.measured], "o", color=shade, ms=9, label=one.name)
    for d in case.instance["d"]:
        ax.axhline(1 - 1 / d, color=MUTED, lw=1, ls=":")
        ax.annotate(f"$1-1/{d}$", (0.4, 1 - 1 / d), color=MUTED, fontsize=10, va="bottom")
    low = 0.45
    ax.set(
        xlim=(low - 0.05, max(1.02, stated.max())), xlabel="stated", ylabel="growth rate", title=r"mean 0, $\beta=0$"
    )
    ax.legend(loc="lower right")


@without_temperature_every_other_critical_point_is_a_strict_saddle.mutation("poles")
def length_of_the_mean(mean: float) -> float:
    """The tokens of the lighter pole leave at the length of the mean, each of them alone."""
    return mean


@without_temperature_every_other_critical_point_is_a_strict_saddle.mutation("balanced")
def hessian_for_the_rate(values: np.ndarray) -> float:
    """The Hessian of the energy sum_ij <x_i, x_j>/n, twice the rate of the tokens."""
    return 2 * (1 - values.min())


@without_temperature_every_other_critical_point_is_a_strict_saddle.mutation("balanced")
def largest_for_the_least(values: np.ndarray) -> float:
    """1 - lambda_max(C)."""
    return 1 - values.max()


@without_temperature_every_other_critical_point_is_a_strict_saddle.mutation("balanced")
def covariance_itself(values: np.ndarray) -> float:
    """lambda_max(C)."""
    return values.max()


@without_temperature_every_other_critical_point_is_a_strict_saddle.mutation("balanced")
def bound_for_the_rate(values: np.ndarray) -> float:
    """1 - 1/d for all, which only the evenly spread attain."""
    return 1 - 1 / len(values)


@without_temperature_every_other_critical_point_is_a_strict_saddle.mutation("balanced")
def balanced_is_stable(values: np.ndarray) -> float:
    """The sign is wrong."""
    return values.min() - 1


def generators(d: int) -> np.ndarray:
    """Return the rotations of the coordinate planes, `(d(d-1)/2, d, d)`, to first order."""
    planes = list(itertools.combinations(range(d), 2))
    turns = np.zeros((len(planes), d, d))
    for turn, (a, b) in zip(turns, planes, strict=True):
        turn[a, b], turn[b, a] = 1.0, -1.0
    return turns


def turned(points: np.ndarray, moved: np.ndarray, turn: np.ndarray, angle: float) -> np.ndarray:
    """Return the tokens, some turned by an angle in a plane: e^(sA) = 1 + sin(s) A + (1 - cos(s)) A^2."""
    rotation = np.eye(len(turn)) + np.sin(angle) * turn + (1 - np.cos(angle)) * turn @ turn
    return np.where(moved[:, None], points @ rotation.T, points)


def bend_by_field(case: Case, points: np.ndarray, moved: np.ndarray, field: mf.Field) -> float:
    """Return n^2 times the second derivatives of E, summed over planes, as some tokens turn: USA is n grad E."""
    step, total = 1e-4, 0.0
    for turn in generators(points.shape[1]):
        slopes = []
        for angle in (step, -step):
            at = turned(points, moved, turn, angle)
            pull = speeds(case, field, mf.Tokens(mf.Sphere(points.shape[1]), at))
            slopes.append(len(points) * float((pull * (at @ turn.T))[moved].sum()))
        total += (slopes[0] - slopes[1]) / (2 * step)
    return total


def bend_by_energy(points: np.ndarray, moved: np.ndarray, beta: float) -> float:
    """Return the same from the energy, with the first derivative by hand and the second by a complex step."""
    tiny, total = 1e-30, 0.0
    for turn in generators(points.shape[1]):
        ahead = points[moved] + 1j * tiny * points[moved] @ turn.T
        cosines, slopes = ahead @ points[~moved].T, (ahead @ turn.T) @ points[~moved].T
        total += float(np.imag(np.exp(beta * cosines) * slopes).sum()) / tiny
    return total


@claim(
    "2312.10794",
    "section 5, second-order condition",
    covers=["3.1"],
    id="2312.10794/second-order",
    states=lambda cosine, beta, d: np.exp(beta * cosine) * ((d - 1) * cosine - beta * (1 - cosine**2)),
)
def subsets_of_a_maximum_cannot_turn_away(case: Case) -> None:
    """At a maximum of the energy the sum of e^(beta cos)((d-1)cos - beta sin^2) over pairs of any subset S with the
    rest is not negative, in any dimension; at a critical point where it is, some direction grows as fast as it says.

    Derived here: turn S rigidly. The second derivatives of n^2 E in the d(d-1)/2 coordinate planes add up to minus the
    sum; and as only the angle between S and the rest counts, USA grows at least at minus the mean over these pairs,
    divided by d - 1. Every second corner of a polygon of an even number of corners attains it.
    """
    n, beta = case.given("n", N), case.draw("beta", 0.5, 3.0)
    count = case.draw("tokens that turn", 1, max(n // 2, 1), integer=True)
    case.require("some tokens turn, and some do not", 0 < count < n)
    moved = np.arange(n) < count
    higher, clusters = case.draw("d", 4, 7, integer=True), case.choose("clusters", [3, 4, 6])
    case.require("there are two dimensions and clusters, and more", higher >= 2 and clusters >= 2)
    for d in (3, higher):
        points = np.asarray(cloud(case, d=d, n=n).points)
        share = case.predict(points[moved] @ points[~moved].T, beta, d)
        size = (d - 1 + beta) * np.exp(beta)
        if d == 3:
            found = bend_by_field(case, points, moved, mf.SelfAttention(beta, weighting="unnormalised"))
            because = "central differences of angles of 1e-4, and rounding over them"
            case.compare(found, -share.sum(), within=1e-6 * size * n, because=because, name="S^2, by the velocities")
        else:
            found = bend_by_energy(points, moved, beta)
            case.compare(found, -share.sum(), within=1e-12 * size * n, because="rounding", name="by the energy")
    tokens = polygon(clusters, case.draw("turn", 0.0, 6.0))
    fastest = rates(case, tokens, attention(beta, "unnormalised"), clusters)
    corners = np.asarray(tokens.points)[:clusters]
    because = "rounding of sums of terms up to beta e^beta"
    within = 1e-12 * (1 + beta) * np.exp(beta)
    growths = growths_of_subsets(case, corners, beta)
    case.at_least(fastest.max(), max(growths.values()), within=within, because=because, name="growth of a polygon")
    if clusters % 2 == 0:
        every_second = growths[tuple(range(0, clusters, 2))]
        attained = np.abs(fastest - every_second).min()
        case.compare(attained, 0.0, within=within, because=because, name="every second corner")


def growths_of_subsets(case: Case, corners: np.ndarray, beta: float) -> dict[tuple[int, ...], float]:
    """Return at which rate each subset of the corners of a polygon turns away from the rest, as stated."""
    clusters = len(corners)
    return {
        chosen: -case.predict(corners[list(chosen)] @ np.delete(corners, chosen, axis=0).T, beta, 2).mean()
        for some in range(1, clusters // 2 + 1)
        for chosen in itertools.combinations(range(clusters), some)
    }


@subsets_of_a_maximum_cannot_turn_away.figure
def growth_of_subsets(case: Case, ax: Any) -> None:
    """Draw the stated growth of every subset of a polygon by its size, below the fastest rate of the Jacobian."""
    clusters, beta = case.instance["clusters"], case.instance["beta"]
    tokens = polygon(clusters, case.instance["turn"])
    fastest = rates(case, tokens, attention(beta, "unnormalised"), clusters).max()
    growths = growths_of_subsets(case, np.asarray(tokens.points)[:clusters], beta)
    ax.axhline(0.0, color=FAINT, lw=1)
    ax.plot([len(chosen) for chosen in growths], list(growths.values()), "_", color=THEORY, ms=26, mew=2,
            label="stated: a subset turns at least so fast")  # fmt: skip
    ax.axhline(fastest, color=ACCENT[0], label="fastest rate of the Jacobian")
    ax.set(xlabel="tokens that turn", ylabel="growth rate", title=rf"polygon of {clusters} tokens, $\beta={beta:.2f}$")
    ax.set(xticks=range(1, clusters // 2 + 1), xlim=(0.5, max(clusters // 2, 2) + 0.5))
    ax.margins(y=0.35)
    ax.legend()


@subsets_of_a_maximum_cannot_turn_away.mutation
def planes_for_dimensions(cosine: Any, beta: float, d: int) -> Any:
    """d in place of d - 1."""
    return np.exp(beta * cosine) * (d * cosine - beta * (1 - cosine**2))


@subsets_of_a_maximum_cannot_turn_away.mutation
def condition_of_the_circle(cosine: Any, beta: float, d: int) -> Any:
    """The condition of the circle in every dimension."""
    return np.exp(beta * cosine) * (cosine - beta * (1 - cosine**2))


@subsets_of_a_maximum_cannot_turn_away.mutation
def sine_without_its_square(cosine: Any, beta: float, d: int) -> Any:
    """beta sin in place of beta sin^2."""
    return np.exp(beta * cosine) * ((d - 1) * cosine - beta * np.sqrt(np.maximum(1 - cosine**2, 0.0)))


@subsets_of_a_maximum_cannot_turn_away.mutation
def sign_of_the_bend(cosine: Any, beta: float, d: int) -> Any:
    """The sign is wrong: at a maximum the sum would not be positive."""
    return -np.exp(beta * cosine) * ((d - 1) * cosine - beta * (1 - cosine**2))

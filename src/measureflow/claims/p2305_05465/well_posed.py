"""Well-posedness: two runs of tokens without a norm part, and meet, no faster than their radius allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.integrate import quad

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import follow
from measureflow.claims.p2305_05465.hulls import TOKENS, D
from measureflow.paths.style import ACCENT, THEORY


def rate_in_the_mean(value: float, form: float, radius: float) -> float:
    """Return the rate of W_2 in a ball: |V| (b R^2 + (1 + b R^2) e^(b R^2)), b the norm of the form."""
    reach = form * radius**2
    return value * (reach + (1 + reach) * np.exp(reach))


def rate_of_the_largest(value: float, form: float, radius: float) -> float:
    """Return the rate of the largest distance of a token from its twin in a ball: |V| (1 + 2 b R^2)."""
    return value * (1 + 2 * form * radius**2)


def lone(case: Case, n: int, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return two opposite clusters with a light token half-way, that token's twin moved towards one, and masses."""
    frame, _ = np.linalg.qr(case.generator("frame").normal(size=(d, d)))
    signs = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    points = signs[:, None] * frame[0] * case.generator("sizes").uniform(0.9, 1.0, (n, 1))
    points[1::2] = -points[::2]  # the mean is 0
    points[-2:] = frame[1] * np.array([[0.5], [0.4]])
    twin = points.copy()
    twin[-1] += 1e-7 * frame[0]
    shares = np.where(np.arange(n) < n - 2, 1.0, 1e-6)
    return points, twin, shares / shares.sum()


@claim(
    "2305.05465",
    "well-posedness",
    covers=["2.1"],
    status="derived",
    id="2305.05465/well-posed",
    states={"mean": rate_in_the_mean, "largest": rate_of_the_largest, "radius": lambda radius, grown: radius * grown},
)
def runs_depend_on_their_start_no_more_than_their_radius_allows(case: Case) -> None:
    """Tokens of a ball of radius R stay within R e^(|V|t), where two laws part in W_2, and tokens from their twins, no
    faster than at stated rates, and come near no faster either: runs are unique, forwards and backwards.

    Derived here: by a small displacement delta the output changes by the mean of V delta_j, and by V times a covariance
    of what is seen, of norm R^2 b at most for the query and again for the keys; a column of weights adds up to
    e^(2 b R^2) at most. The same field with -V runs backwards, so that the rates hold there too.
    """
    value, form = case.draw("value", 0.8, 1.2), case.draw("form", 2.0, 3.0)
    n, d, until = case.given("n", TOKENS), case.given("d", D), case.given("t", 0.5)
    case.require(
        "there are four tokens and more, an even number, and V is positive", n >= 4 and n % 2 == 0 and value > 0
    )
    case.require("there are two dimensions and more", d >= 2)
    points, twin, shares = lone(case, n, d)
    times = np.linspace(0.0, until, 3)
    radius = float(np.linalg.norm(points, axis=1).max())

    def run(start: np.ndarray, sign: float) -> np.ndarray:
        return follow(
            case, mf.Tokens(mf.Euclidean(d), start, shares), mf.SelfAttention(form, value=sign * value), times
        )

    def allowed(rate: Callable[[float, float, float], float]) -> np.ndarray:
        def at(s: float) -> float:
            return rate(value, form, case.statement.radius(radius, np.exp(value * s)))

        return np.array([quad(at, 0.0, t)[0] for t in times[1:]])

    forwards, backwards = ([run(start, sign) for start in (points, twin)] for sign in (1.0, -1.0))
    because = "rtol 1e-12 over displacements of 1e-7"
    for sign, (one, other) in ((1.0, forwards), (-1.0, backwards)):
        moved = np.linalg.norm(one - other, axis=-1)
        for name, size in (("mean", np.sqrt(moved**2 @ shares)), ("largest", moved.max(axis=1))):
            bound = allowed(getattr(case.statement, name))
            grown = np.log(size[1:] / size[0])
            way = "forwards" if sign > 0 else "backwards"
            said, over = f"{way}, {name}: log of the growth", {"t": times[1:]}
            case.at_most(grown, bound, within=0.02, because=because, name=said, over=over)
            case.at_least(grown, -bound, within=0.02, because=because, name=said, over=over)
    reach = np.linalg.norm(forwards[0], axis=-1).max(axis=1)[1:]
    most = case.statement.radius(radius, np.exp(value * times[1:]))
    name, over = "log of the radius", {"t": times[1:]}
    case.at_most(np.log(reach), np.log(most), within=0.01, because="rtol 1e-12", name=name, over=over)
    again = run(forwards[0][-1], -1.0)[-1]
    because = "rtol 1e-12, magnified by the growth back and forth"
    case.compare(again, points, within=1e-9, because=because, name="there and back")


@runs_depend_on_their_start_no_more_than_their_radius_allows.figure
def growth_and_bounds(case: Case, ax: Any) -> None:
    """Draw by how much twins have parted, forwards and backwards, and between which bounds they may."""
    value, form = case.instance["value"], case.instance["form"]
    for sense in ("forwards", "backwards"):
        for name, shade in (("mean", ACCENT[0]), ("largest", ACCENT[1])):
            said = f"{sense}, {name}: log of the growth"
            upper, lower = (curve for curve in case.curves if curve.name == said)
            times, sign = np.append(0.0, upper.places), 1.0 if sense == "forwards" else -1.0
            label = f"twins, {name}" if sign > 0 else None
            ax.plot(sign * times, np.append(0.0, upper.measured), "o-", color=shade, ms=5, lw=1, label=label)
            for curve in (upper, lower):
                label = f"bounds, {name}" if sign > 0 and curve is upper else None
                style = "--" if name == "mean" else ":"
                ax.plot(sign * times, np.append(0.0, curve.stated), style, color=THEORY, label=label)
    ax.set(xlabel="time $t$, backwards on the left", ylabel="logarithm of the growth", yscale="symlog")
    ax.set_title(f"$V={value:.2f}$, $Q^\\top K={form:.2f}\\,I$, $n={case.instance['n']}$, $d={case.instance['d']}$")
    ax.legend()


@runs_depend_on_their_start_no_more_than_their_radius_allows.mutation("mean")
def weights_held_fixed(value: float, form: float, radius: float) -> float:
    """W_2 grows like the tokens themselves, at |V|: the weights do not see them move."""
    return value


@runs_depend_on_their_start_no_more_than_their_radius_allows.mutation("largest")
def the_form_forgotten(value: float, form: float, radius: float) -> float:
    """The largest distance grows at |V|."""
    return value


@runs_depend_on_their_start_no_more_than_their_radius_allows.mutation("largest")
def contraction(value: float, form: float, radius: float) -> float:
    """All twins come together: the rate is -|V|."""
    return -value


@runs_depend_on_their_start_no_more_than_their_radius_allows.mutation("radius")
def tokens_stay_in_their_ball(radius: float, grown: float) -> float:
    """Tokens stay in the ball they start from, as on a sphere."""
    return radius

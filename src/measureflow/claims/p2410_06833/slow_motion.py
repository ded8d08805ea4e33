"""Slow motion: caps collapse to a manifold at a rate of order one, on which the energy is nearly flat."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import MAX_STEPS, N, speeds
from measureflow.fields import Unnormalised
from measureflow.paths.style import ACCENT, THEORY

SOLVER = mf.Adaptive(rtol=1e-10, atol=1e-12, coarsen=False, max_steps=MAX_STEPS)


#: tokens of each of two caps
CAP = N // 2


def two_caps(case: Case) -> tuple[np.ndarray, float]:
    """Return the angles of two caps of as many tokens, as narrow as the inequality asks, and beta."""
    half = case.given("tokens of a cap", CAP)
    case.require("a cap has two tokens or more", half >= 2)
    beta, apart = case.draw("beta", 20.0, 40.0), case.draw("angle between the caps", 1.3, 2.5)
    case.require(
        "beta > 1, and a cap hardly feels the other", beta > 1 and beta * np.exp(beta * (np.cos(apart) - 1)) < 1e-3
    )
    width = 0.125 * np.sqrt(0.9 / (beta + 0.5))
    angles = case.generator("caps").uniform(-0.5 * width, 0.5 * width, 2 * half)
    angles[[0, 1, half, half + 1]] = 0.5 * width * np.array([-1.0, 1.0, -1.0, 1.0])
    return angles + np.repeat([0.0, apart], half), beta


def collapsed(angles: np.ndarray) -> np.ndarray:
    """Return each cap collapsed to its mean."""
    return np.repeat(angles.reshape(2, -1).mean(axis=1), len(angles) // 2)


def gradient(angles: np.ndarray, beta: float) -> np.ndarray:
    """Return the gradient of the energy by the angles, of E = -(1/2 beta) sum_ij e^(beta (cos - 1))."""
    apart = angles[None, :] - angles[:, None]
    return -(np.exp(beta * (np.cos(apart) - 1.0)) * np.sin(apart)).sum(axis=1)


def drop(angles: np.ndarray, there: np.ndarray, beta: float) -> float:
    """Return E(u) - E(v), from differences."""
    half, other = (0.5 * (a[:, None] - a[None, :]) for a in (angles, there))
    u, v = -2.0 * beta * np.sin(half) ** 2, -2.0 * beta * np.sin(other) ** 2
    return float(-(np.exp(v) * np.expm1(u - v)).sum() / (2.0 * beta))


@claim(
    "2410.06833",
    "section 3, slow motion on the circle",
    covers=["V15"],
    status="derived",
    states={
        "convexity": lambda tokens: float(tokens),
        "flatness": lambda n, alpha, beta: n**1.5 * np.exp(-(1 - alpha) * beta),
        "own": lambda tokens, n: 0.5 * tokens * np.sqrt(n),
    },
    id="2410.06833/slow-manifold",
)
def caps_are_convex_and_their_manifold_is_flat(case: Case) -> None:
    """In caps of m tokens m|u-v|^2/2 = E(u)-E(v) = |grad E|^2/(2m) nearly; on the manifold |grad E| is tiny.

    On the manifold of caps of width w = e^(-lambda beta/2) it is at most m sqrt(n) w/2 more, which half of a cap's
    tokens at either end attain (derived): (H2) holds with this in place of w.
    """
    angles, beta = two_caps(case)
    there, n, half = collapsed(angles), len(angles), len(angles) // 2

    convexity = case.statement.convexity(half)
    square, fall = float(((angles - there) ** 2).sum()), drop(angles, there, beta)
    slope = float((gradient(angles, beta) ** 2).sum())
    because = "(3 beta + 1)/2 times the squared width of a cap, at most 1.5/64 where it is as wide as allowed; twofold"
    case.compare(
        2.0 * fall / square, convexity, within=0.045, relative=True, because=because, name="2 (E(u) - E(v)) / |u - v|^2"
    )
    case.compare(
        slope / (2.0 * fall),
        convexity,
        within=0.045,
        relative=True,
        because=because,
        name="|grad E|^2 / 2 (E(u) - E(v))",
    )
    apart = float(there[-1] - there[0])
    alpha = float(np.cos(apart))
    steep = float(np.sqrt((gradient(there, beta) ** 2).sum()))
    bound = case.statement.flatness(n, alpha, beta)
    case.at_most(steep, bound, within=1e-2 * bound, because="rounding, far below the bound", name="|grad E| on it")
    width = float(np.exp(-0.5 * case.draw("lambda", 0.4, 0.5) * beta))
    case.require("the caps are narrower than a bandwidth", beta * width**2 < 0.1)
    tilts = case.generator("states of the manifold").uniform(-0.5, 0.5, (20, 2, n))
    tilts[0] = np.tile(np.where(np.arange(half) < half // 2, 0.5, -0.5), 2)
    tilts[0, 1] *= 0.99
    changes = [abs(drop(there + width * one, there + width * other, beta)) for one, other in tilts]
    slopes = np.array(changes) / (width**2 * np.linalg.norm(tilts[:, 0] - tilts[:, 1], axis=1))
    own, far = case.statement.own(half, n), case.statement.flatness(n, float(np.cos(apart - width)), beta) / width
    because = "the share 3 beta w^2/2 of the kernel, and half of the hundredth by which the second state is narrower"
    attained = own * (1.0 - (half % 2) / half**2)  # with an odd number one end has a token more
    within = max(0.15, 0.5 * half * np.sqrt(n) * (2.5 * beta * width**2 + 0.005))
    case.compare(slopes[0], attained, within=within, because=because, name="(H2) at width w, attained")
    case.at_most(
        slopes, own + far, within=within, because=because, name="(H2) at width w, |E(v) - E(v')| over w |v - v'|"
    )


@caps_are_convex_and_their_manifold_is_flat.figure
def convexity_of_narrow_caps(case: Case, ax: Any) -> Any:
    """Draw both quotients of the inequality as the caps of the instance are narrowed or widened."""
    angles, beta = two_caps(case)
    there, scales = collapsed(angles), np.geomspace(0.1, 8.0, 40)
    states = [there + scale * (angles - there) for scale in scales]
    falls = np.array([drop(state, there, beta) for state in states])
    squares = np.array([((state - there) ** 2).sum() for state in states])
    slopes = np.array([(gradient(state, beta) ** 2).sum() for state in states])
    ax.semilogx(scales, 2.0 * falls / squares, color=ACCENT[0], label="$2(E(u)-E(v))/|u-v|^2$")
    ax.semilogx(scales, slopes / (2.0 * falls), color=ACCENT[1], label=r"$|\nabla E|^2/2(E(u)-E(v))$")
    ax.axhline(case.statement.convexity(len(angles) // 2), color=THEORY, ls="--", label="tokens of a cap")
    ax.axvline(1.0, color=THEORY, lw=1, ls=":", label="as wide as allowed")
    ax.set(xlabel="width over the widest allowed", ylabel="convexity")
    ax.set_title(rf"two caps of {len(angles) // 2} tokens, $\beta = {beta:.3g}$")
    ax.legend()
    return ax


@caps_are_convex_and_their_manifold_is_flat.mutation("own")
def width_itself_as_printed(tokens: int, n: int) -> float:
    """The printed form: the energy changes by e^(-lambda beta/2) per distance."""
    return 1.0


@caps_are_convex_and_their_manifold_is_flat.mutation("own")
def collapsed_states_alone(tokens: int, n: int) -> float:
    """The width of the caps adds nothing: the manifold is that of collapsed caps."""
    return 0.0


@caps_are_convex_and_their_manifold_is_flat.mutation("convexity")
def one_whatever_the_tokens(tokens: int) -> float:
    """The constant is 1, as in the abstract inequality, where it is the number of tokens."""
    return 1.0


@caps_are_convex_and_their_manifold_is_flat.mutation("convexity")
def tokens_of_both_caps(tokens: int) -> float:
    """The constant is the number of all tokens."""
    return 2.0 * tokens


@caps_are_convex_and_their_manifold_is_flat.mutation("flatness")
def exponent_of_the_chord(n: int, alpha: float, beta: float) -> float:
    """The exponent is twice as large."""
    return n**1.5 * np.exp(-2.0 * (1 - alpha) * beta)


@claim(
    "2410.06833",
    "section 3, approach of the slow manifold",
    covers=["V15"],
    status="derived",
    states=lambda tokens, n: tokens / n,
    id="2410.06833/approach",
)
def caps_approach_their_manifold_at_their_mass(case: Case) -> None:
    """Under USA* the distance from the manifold of collapsed caps falls like e^(-at), a the mass of a cap."""
    angles, beta = two_caps(case)
    times = np.array(case.given("t", (1.0, 3.0, 6.0)))
    case.require("the times are positive and in order", times[0] > 0 and bool(np.all(np.diff(times) > 0)))
    away = away_from_the_manifold(case, angles, beta, np.append(0.0, times))
    measured = np.log(away[:-1] / away[1:]) / np.diff(times, prepend=0.0)
    stated = case.predict(len(angles) // 2, len(angles))
    because = "(3 beta + 1)/2 times the squared width of a cap, at most 1.5/64 where it is as wide as allowed; twofold"
    case.compare(measured, stated, within=0.045, relative=True, because=because, name="rate", over={"t": times})


def away_from_the_manifold(case: Case, angles: np.ndarray, beta: float, times: np.ndarray) -> np.ndarray:
    """Return the distances from the manifold of collapsed caps along the flow of USA*."""
    tokens = mf.Tokens(mf.Sphere(2), np.stack([np.cos(angles), np.sin(angles)], axis=1))
    field = mf.SelfAttention(beta, weighting=Unnormalised(shifted=True))
    path = case.measure(mf.flow, tokens, field, until=times[-1], save=times, solver=SOLVER)
    case.require("the flow ran to its end", path.status == "reached")
    found = np.arctan2(*np.moveaxis(np.asarray(path.points), -1, 0)[::-1])
    return np.array([np.sqrt(((one - collapsed(one)) ** 2).sum()) for one in np.unwrap(found, axis=0)])


@caps_approach_their_manifold_at_their_mass.figure
def approach(case: Case, ax: Any) -> Any:
    """Draw the distance from the manifold along time."""
    angles, beta = two_caps(case)
    times = np.linspace(0.0, case.instance["t"][-1], 40)
    away = away_from_the_manifold(case, angles, beta, times)
    rate = case.predict(len(angles) // 2, len(angles))
    ax.semilogy(times, away, "o", color=ACCENT[0], ms=5, label="distance from the manifold")
    ax.semilogy(times, away[0] * np.exp(-rate * times), "--", color=THEORY, label=f"$e^{{-{rate:g}t}}$")
    ax.set(xlabel="$t$", ylabel="$|u-v|$", title=rf"two caps of {len(angles) // 2} tokens, $\beta = {beta:.3g}$")
    ax.legend()
    return ax


@caps_approach_their_manifold_at_their_mass.mutation
def rate_of_softmax(tokens: int, n: int) -> float:
    """The rate is 1, as under SA."""
    return 1.0


@caps_approach_their_manifold_at_their_mass.mutation
def rate_of_one_token(tokens: int, n: int) -> float:
    """The rate is 1/n: the caps' tokens are not counted."""
    return 1.0 / n


def least_rise(n: int, cosine: float, beta: float, overlap: float) -> tuple[float, float]:
    """Return the two terms of the least growth of the least inner product in a cap, its own and that of the others."""
    near = 2.0 / n * cosine * (1 - cosine) * np.exp(-beta * (1 - cosine))
    return float(near), float(-2.0 * n * np.exp(-(1 - overlap) * beta))


def rise(case: Case, points: np.ndarray, beta: float, weighting: Any) -> float:
    """Return how fast the inner product of the first two tokens grows."""
    moved = speeds(case, mf.SelfAttention(beta, weighting=weighting), mf.Tokens(mf.Sphere(3), points))
    return float(moved[0] @ points[1] + moved[1] @ points[0])


@claim(
    "2410.06833",
    "main theorem, within a cap",
    covers=["V15"],
    status="derived",
    states=least_rise,
    id="2410.06833/within-a-cap",
)
def least_inner_product_of_a_cap_rises(case: Case) -> None:
    """The least inner product rho of two tokens of a cap grows at least at 2/n rho (1 - rho) e^(-beta (1 - rho)) less
    2n e^(-(1 - alpha) beta), under SA and USA*.

    Derived here: of the tokens of the cap none takes the two apart, and each of them pulls the other by 1 - rho^2 with
    a weight of e^(-beta (1 - rho))/n at least; all others have a weight of e^(-beta (1 - alpha)) at most. Between
    separated caps the second term is a sixteenth of the first, or less, wherever the two are at the ends of a cap, and
    what the others do to tokens nearer to each other has their distance as a factor. So it is felt only where caps are
    not separated, which the inequality does not ask for: there the others do take the two apart.
    """
    n = case.given("n", N)
    case.require("there are three tokens or more", n > 2)
    beta, epsilon = case.draw("beta", 120.0, 200.0), case.draw("epsilon", 0.008, 0.012)
    turn = case.draw("angle between the centres", 1.8, 2.2)
    centres = np.array([[1.0, 0.0, 0.0], [np.cos(turn), np.sin(turn), 0.0]])
    overlap = theory.largest_overlap_of_caps(centres, epsilon)
    margin = theory.margin_of_separation(n, beta=beta, epsilon=epsilon, overlap=overlap)
    case.require("the caps are separated", margin > 0)
    # two tokens at the ends of one cap of size 2 epsilon, and the rest in the other: the slowest that we know of
    reach = np.arccos(1 - 2 * epsilon) * case.draw("share of the cap", 0.9, 1.0)
    points = ends_of_a_cap(case, n, centres, reach)
    cosine = float(points[0] @ points[1])
    stated = sum(case.predict(n, cosine, beta, overlap))
    case.require("the bound is positive", stated > 0)
    for name, weighting in (("SA", "softmax"), ("USA*", Unnormalised(shifted=True))):
        found = rise(case, points, beta, weighting)
        because = "rounding; a bound that leaves a factor 1 + 1/rho"
        case.at_least(np.log(found), np.log(stated), within=0.02, because=because, name=f"{name}: log of the rise")
    # all in one plane: the two at the ends of a wide cap, the rest where the other cap is nearest, nearer than the two
    beta, epsilon = case.draw("beta of near caps", 60.0, 90.0), case.draw("epsilon of near caps", 0.05, 0.062)
    reach = np.arccos(1 - 2 * epsilon)
    gap = 2 * reach * case.draw("gap over the width", 0.75, 0.85)
    angles = np.where(np.arange(n) < 2, 2.0 * reach * (np.arange(n) - 1), gap)
    points = np.stack([np.cos(angles), np.sin(angles), 0.0 * angles], axis=1)
    cosine, overlap = float(points[0] @ points[1]), float(np.cos(gap))
    weight = np.exp(-(1 - overlap) * beta)
    near, far = case.predict(n, cosine, beta, overlap)
    for name, weighting in (("SA", "softmax"), ("USA*", Unnormalised(shifted=True))):
        found = rise(case, points, beta, weighting) / weight
        case.require("the others take the two apart", found < 0)
        because = "rounding; the bound is four times what is found under SA"
        case.at_least(found, (near + far) / weight, within=0.02, because=because, name=f"{name}: rise, near caps")


def ends_of_a_cap(case: Case, n: int, centres: np.ndarray, reach: float) -> np.ndarray:
    """Return two tokens at the ends of one cap and the rest in the other, across the plane of the centres."""
    tilt = case.generator("tilts").uniform(-0.5, 0.5, n) * reach
    tilt[:2] = reach, -reach
    base = np.where(np.arange(n) < 2, 0, 1)
    lift = np.array([0.0, 0.0, 1.0])
    return np.cos(tilt)[:, None] * centres[base] + np.sin(tilt)[:, None] * lift


@least_inner_product_of_a_cap_rises.figure
def rise_within_a_cap(case: Case, ax: Any) -> Any:
    """Draw how fast the inner product of two tokens at the ends of a cap rises, over the width of the cap."""
    n, beta, epsilon, turn = (case.instance[k] for k in ("n", "beta", "epsilon", "angle between the centres"))
    centres = np.array([[1.0, 0.0, 0.0], [np.cos(turn), np.sin(turn), 0.0]])
    overlap = theory.largest_overlap_of_caps(centres, epsilon)
    states = [
        ends_of_a_cap(case, n, centres, reach) for reach in np.arccos(1 - 2 * epsilon) * np.linspace(0.1, 1.0, 12)
    ]
    cosines = np.array([float(points[0] @ points[1]) for points in states])
    for (name, weighting), colour in zip(
        (("SA", "softmax"), ("USA*", Unnormalised(shifted=True))), ACCENT, strict=False
    ):
        ax.semilogy(
            1 - cosines, [rise(case, points, beta, weighting) for points in states], "o", color=colour, label=name
        )
    stated = [sum(case.predict(n, float(cosine), beta, overlap)) for cosine in cosines]
    ax.semilogy(1 - cosines, stated, "--", color=THEORY, label="stated: at least")
    ax.set(
        xlabel=r"$1-\rho$",
        ylabel=r"rise of $\rho$",
        title=rf"$n = {n}$, $\beta = {beta:.3g}$, $\epsilon = {epsilon:.2g}$",
    )
    ax.legend()
    return ax


@least_inner_product_of_a_cap_rises.mutation
def one_token_for_all(n: int, cosine: float, beta: float, overlap: float) -> tuple[float, float]:
    """The weight of one token is not divided by n."""
    return least_rise(1, cosine, beta, overlap)[0], least_rise(n, cosine, beta, overlap)[1]


@least_inner_product_of_a_cap_rises.mutation
def angle_for_its_square(n: int, cosine: float, beta: float, overlap: float) -> tuple[float, float]:
    """The exponent is beta (1 - rho)/2: 1 - rho is taken for the squared distance."""
    near = 2.0 / n * cosine * (1 - cosine) * float(np.exp(-beta * (1 - cosine) / 2))
    return near, least_rise(n, cosine, beta, overlap)[1]


@least_inner_product_of_a_cap_rises.mutation
def others_left_out(n: int, cosine: float, beta: float, overlap: float) -> tuple[float, float]:
    """The tokens of other caps are left out."""
    return least_rise(n, cosine, beta, overlap)[0], 0.0


@least_inner_product_of_a_cap_rises.mutation
def one_of_the_others(n: int, cosine: float, beta: float, overlap: float) -> tuple[float, float]:
    """The others count as one token, of weight e^(-beta (1 - alpha)) on each of the two."""
    return least_rise(n, cosine, beta, overlap)[0], -2.0 * float(np.exp(-(1 - overlap) * beta))

"""Four repelled tokens on the circle: the rectangle they rest at, and where the steps of the published scheme fail."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import normalised
from measureflow.paths.style import ACCENT, MUTED, THEORY

PAPER = "2501.03096"
#: the ratios of the figure, and the coarse one of its two steps
RATIOS, STEP = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0), 0.05
#: those that the claim on the step looks at
LARGER = RATIOS[1:]
#: steps of the published scheme
COUNT = 10_000


def cross(angle: float) -> np.ndarray:
    """Return four points at an angle to the first axis and its reflections, counter-clockwise."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, s], [-c, s], [-c, -s], [c, -s]])


def published(points: np.ndarray, form: np.ndarray, step: float, count: int = COUNT) -> np.ndarray:
    """Return where repelled tokens of USA are after normalised Euler steps, the scheme of the released code."""
    for _ in range(count):
        points = normalised(points - step / len(points) * np.exp(points @ form @ points.T) @ points @ form)
    return points


def law(ratio: float) -> float:
    """Return the angle of the rectangle."""
    return theory.rectangle_of_four_tokens(ratio).angle


@claim(PAPER, "Fig. 4, four tokens", covers=["T11", "1.7"], status="derived", states=law)
def four_tokens_rest_at_a_rectangle(case: Case) -> None:
    """Four tokens at (±c, ±s) rest where tanh(c^2)/tanh(d_2 s^2) = d_2, D = diag(1, d_2), V = -D: in SA and in USA.

    Both fields vanish there, and SA takes a rectangle to it.
    """
    mild = case.draw("low", 0.5, 0.8) if case.index % 2 else case.draw("middle", 1.5, 4.0)
    until = case.given("until", 80.0)
    for ratio in (mild, case.draw("high", 6.0, 10.0)):
        form = np.diag([1.0, ratio])
        start = mf.Tokens(mf.Sphere(2), cross(case.draw(f"start {ratio:.3g}", 0.3, 1.0)))
        field = mf.SelfAttention(1.0, query=form, value=-form)
        path = case.measure(mf.flow, start, field, until=until, save=[until])
        case.require("the flow ran to its end", path.status in ("reached", "stationary"))
        end = np.asarray(path.points)[-1]
        found = np.arctan2(*np.abs(end).T[::-1])
        stated = case.predict(ratio)
        because = "a rest does not depend on the steps that lead to it; t = 80, at a rate of at least 0.3"
        rate, over = 0.3 * min(1.0, (ratio / 0.5) ** 1.5), {"token": np.arange(1, 5)}
        within = max(1e-8, np.exp(-rate * until))
        case.compare(found, stated, within=within, because=because, name=f"angles, SA, d_2 = {ratio:.3g}", over=over)
        points = cross(stated)
        force = np.exp(points @ form @ points.T) @ points @ form / 4
        slip = np.abs((force * points[:, ::-1] * [-1, 1]).sum(axis=1)) / np.exp(ratio)
        because, name = "rounding of terms of size e^d_2", f"slip, USA, d_2 = {ratio:.3g}"
        case.compare(slip, 0.0, within=1e-10, because=because, name=name, over=over)


@four_tokens_rest_at_a_rectangle.figure
def angles_of_rectangles(case: Case, ax: Any) -> None:
    """Draw the angle at which tokens come to rest, over the law of the rectangle."""
    found = [curve for curve in case.curves if curve.name.startswith("angles")]
    ratios = [ratio for name, ratio in case.instance.items() if name in ("low", "middle", "high")]
    line = np.geomspace(0.5 * min(1.0, *ratios), 1.3 * max(ratios), 200)
    ax.plot(
        line,
        [np.degrees(law(ratio)) for ratio in line],
        "--",
        color=THEORY,
        label=r"stated: $\tanh(c^2) = d_2\tanh(d_2 s^2)$",
    )
    for ratio, curve in zip(ratios, found, strict=True):
        label = "SA at rest" if curve is found[0] else None
        ax.plot([ratio] * 4, np.degrees(curve.measured), "o", color=ACCENT[0], ms=8, label=label)
    ax.axhline(45.0, color=MUTED, lw=0.8, ls=":", label="square")
    ax.set(xscale="log", xlabel="$d_2$", ylabel=r"angle of the tokens, in degrees")
    said = ", ".join(f"{ratio:.3g}" for ratio in ratios)
    ax.set_title(f"four tokens, D = diag(1, d_2), V = -D; d_2 = {said}", fontsize=11, loc="left")
    ax.legend(fontsize=9)


@four_tokens_rest_at_a_rectangle.mutation
def ratio_on_the_wrong_side(ratio: float) -> float:
    """d_2 divides where it multiplies: tanh(c^2)/tanh(d_2 s^2) = 1/d_2."""
    return bisected(lambda c, s: ratio * math.tanh(c * c) - math.tanh(ratio * s * s))


@four_tokens_rest_at_a_rectangle.mutation
def squares_lost(ratio: float) -> float:
    """The cosine and the sine stand without their squares."""
    return bisected(lambda c, s: math.tanh(c) - ratio * math.tanh(ratio * s))


@four_tokens_rest_at_a_rectangle.mutation
def tanh_of_a_small_form(ratio: float) -> float:
    """tanh is replaced by its argument, as for a small form: c^2 = d_2^2 s^2."""
    return math.atan(1.0 / ratio)


def bisected(pull: Any) -> float:
    """Return the angle at which a function of cosine and sine vanishes."""
    low, high = 0.0, 0.5 * math.pi
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if pull(math.cos(middle), math.sin(middle)) > 0 else (low, middle)
    return 0.5 * (low + high)


def attracts(ratio: float, step: float = STEP) -> float:
    r"""Tell whether the coarse step turns the pairs at ±e_2 into a trap.

    There the step takes x to the direction of $(1 - \tau\rho\sinh\rho)\,x$: across the origin where that is negative,
    and a small rectangle $(\pm a, \pm 1)$, whose own force across is of third order, to $a / |1 - \tau\rho\sinh\rho|$.
    """
    return float(step * ratio * math.sinh(ratio) > 2.0)


def ends(start: float, ratios: np.ndarray, step: float) -> np.ndarray:
    """Return at which angles to the first axis the published scheme, started at an angle, leaves the four tokens."""
    count = max(400, math.ceil(20.0 / step))
    found = [published(cross(start), np.diag([1.0, ratio]), step, count) for ratio in ratios]
    return np.array([np.arctan2(*np.abs(end).T[::-1]) for end in found])


def missed(angles: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    """Tell where tokens that stand at such angles are elsewhere than at the rectangle."""
    laws = np.array([law(ratio) for ratio in ratios])
    return (np.abs(angles - laws[:, None]).max(axis=1) > 1e-4).astype(float)


@claim(
    PAPER,
    "Fig. 4, the step of the released code",
    covers=["1.7", "8"],
    status="derived",
    states={"trap": attracts, "figure": lambda ratio: float(ratio >= 6)},
    id=f"{PAPER}/1.7-step",
)
def the_published_step_fails_from_six_on(case: Case) -> None:
    """Normalised Euler steps of 0.05 for USA from pi/4 reach the rectangle for d_2 <= 5 and miss it for d_2 >= 6.

    They fall into an artefact: two pairs that jump from e_2 to -e_2 and back at every step. It attracts where
    0.05 d_2 sinh d_2 > 2, from near e_2 already for d_2 = 4.
    """
    near, step = 0.5 * math.pi - case.draw("near", 0.005, 0.02), case.given("step", STEP)
    ratios, because = np.array(case.given("d_2", LARGER)), "yes or no"
    if step == STEP:  # of other steps the figure says nothing
        found = missed(case.measure(ends, 0.25 * math.pi, ratios, step), ratios)
        stated = [case.statement.figure(ratio) for ratio in ratios]
        case.compare(found, stated, within=0.05, because=because, name="misses from pi/4", over={"d_2": ratios})
    found = missed(case.measure(ends, near, ratios, step), ratios)
    stated = [case.statement.trap(ratio, step) for ratio in ratios]
    case.compare(found, stated, within=0.05, because=because, name="misses from near e_2", over={"d_2": ratios})


@the_published_step_fails_from_six_on.figure
def where_the_steps_end(case: Case, ax: Any) -> None:
    """Draw the angles at which the published steps leave the tokens, over the law of the rectangle."""
    step, ratios = case.instance["step"], np.array(case.instance["d_2"])
    line = np.linspace(0.5, 1.05 * ratios.max(), 200)
    ax.plot(line, [np.degrees(law(ratio)) for ratio in line], "--", color=THEORY, label="rectangle of four tokens")
    starts = {"start at pi/4": 0.25 * math.pi, "start near $e_2$": 0.5 * math.pi - case.instance["near"]}
    for (label, start), colour, mark in zip(starts.items(), ACCENT, "os", strict=False):
        angles = np.degrees(case.measure(ends, start, ratios, step).mean(axis=1))
        ax.plot(ratios, angles, mark, color=colour, ms=9, mfc="none", mew=2, label=label)
    trapped = [ratio for ratio in ratios if attracts(ratio, step)]
    if trapped:
        ax.axvspan(min(trapped) - 0.5, line[-1], color=MUTED, alpha=0.12, lw=0, label="trap at $e_2$ attracts")
    ax.set(xlabel="$d_2$", ylabel="mean angle at the end, in degrees")
    ax.set_title(f"USA, normalised Euler steps of {step:g}", fontsize=11, loc="left")
    ax.legend(fontsize=9)


@the_published_step_fails_from_six_on.mutation("trap")
def crossing_is_enough(ratio: float, step: float) -> float:
    """A step across the origin is held to be enough for a trap: 1 stands for 2."""
    return float(step * ratio * math.sinh(ratio) > 1.0)


@the_published_step_fails_from_six_on.mutation("trap")
def pace_of_softmax(ratio: float, step: float) -> float:
    """The pace of SA is taken, which has the partition function below: tanh stands for sinh."""
    return float(step * ratio * math.tanh(ratio) > 2.0)


@the_published_step_fails_from_six_on.mutation("figure")
def never(_ratio: float) -> float:
    """The step is held to be fine for every form of the figure."""
    return 0.0

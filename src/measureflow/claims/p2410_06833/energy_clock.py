"""The clock log beta / |grad E| of the unmodified flow: how long its steps are, for USA* and for SA."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import normalised
from measureflow.fields import Paced, SpeedOfEnergy, Unnormalised
from measureflow.paths.style import ACCENT, THEORY

#: the two models, and how far the rescaled time is saved: one program for the claim and the open question
WEIGHTINGS: dict[str, Any] = {"SA": "softmax", "USA*": Unnormalised(shifted=True)}
END, RIVALRY = 0.6, 0.25


class Meeting(NamedTuple):
    """Two clusters that are the nearest: their angle and their masses."""

    angle: float
    one: float
    two: float


def four_tokens(d: int) -> np.ndarray:
    """Return four tokens at unequal distances, on a curve that turns out of the plane where there is room."""
    angles = np.array([0.0, 0.5, 1.3, 2.5])
    height = 0.3 * np.sin(2.0 * angles)
    points = [np.cos(angles), np.sin(angles), *([height] if d == 3 else [])]
    return normalised(np.stack(points, axis=1))


def run(tokens: mf.Tokens, beta: float, model: str, save: int) -> mf.Path:
    """Return the path in the clock of the energy."""
    field = Paced(mf.SelfAttention(beta, weighting=WEIGHTINGS[model]), SpeedOfEnergy(beta))
    return mf.flow(tokens, field, until=30.0, save=np.linspace(0.0, END, save))


def meetings(points: np.ndarray, masses: np.ndarray, model: str) -> list[Meeting]:
    r"""Return which clusters meet one after the other, all but the nearest pair standing still.

    They come towards each other by shares of $a_j : a_i$ of their distance under USA*, of $a_j^2 : a_i^2$ under SA,
    where the velocity of i is $a_j/a_i$ times the kernel: SA does not keep the centre of mass.
    """
    found, points, masses = [], np.array(points, float), np.array(masses, float)
    while len(masses) > 1:
        cosines = points @ points.T - 2.0 * np.eye(len(masses))
        i, j = (int(k) for k in np.unravel_index(int(cosines.argmax()), cosines.shape))
        angle, one, two = float(np.arccos(cosines[i, j])), masses[i], masses[j]
        found.append(Meeting(angle, float(one), float(two)))
        power = 2 if model == "SA" else 1
        way = angle * two**power / (one**power + two**power)
        points[i] = (np.sin(angle - way) * points[i] + np.sin(way) * points[j]) / np.sin(angle)
        masses[i] = one + two
        points, masses = np.delete(points, j, axis=0), np.delete(masses, j)
    return found


def length_under_usa(meeting: Meeting, beta: float) -> float:
    r"""Return $\Delta s = \frac{u}{\log\beta}\sqrt{\frac{a_ia_j}{a_i+a_j}}$."""
    angle, one, two = meeting
    return float(angle * np.sqrt(one * two / (one + two)) / np.log(beta))


def length_under_sa(meeting: Meeting, beta: float) -> float:
    r"""Return $\Delta s = \frac{u}{\log\beta}\frac{\sqrt{a_ia_j(a_i^3+a_j^3)}}{a_i^2+a_j^2}$ as beta grows."""
    angle, one, two = meeting
    return float(angle * np.sqrt(one * two * (one**3 + two**3)) / ((one**2 + two**2) * np.log(beta)))


def step_lengths(path: mf.Path) -> np.ndarray:
    """Return the rescaled times from merge to merge."""
    return np.diff([0.0, *(moment for moment, *_ in path.merges.in_order())])


def on_the_circle(case: Case) -> tuple[np.ndarray, np.ndarray, float]:
    """Return points at unequal distances on the circle, their masses and beta, where whoever is nearest meets alone."""
    near = np.array(case.given("angles", (0.0, 0.5, 1.3, 2.5)))
    masses = case.generator("masses").dirichlet(np.full(len(near), case.given("evenness of the masses", 20.0)))
    beta = case.draw("beta", 100.0, 200.0)
    angles = near + case.generator("angles").uniform(-0.05, 0.05, len(near))
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rivalry = max(step.rivalry for step in theory.staircase(angles, beta=beta, masses=masses))
    case.require("the nearest pair is so by far", rivalry < RIVALRY)
    return points, masses, beta


@claim(
    "2410.06833",
    "section 5, clock of the energy",
    covers=["4.5"],
    status="derived",
    tier="standard",
    states=length_under_usa,
    id="2410.06833/clock-of-the-energy",
)
def steps_of_usa_in_the_clock_of_its_energy(case: Case) -> None:
    r"""In the clock $\log\beta/|\nabla E|$, $|\nabla E|^2 = \sum_i a_i|v_i|^2$, the nearest pair of unmodified USA*
    meets after $\Delta s = \frac{u}{\log\beta}\sqrt{a_ia_j/(a_i+a_j)}$: exactly so for a pair alone, at any beta.

    Derived here: the pair closes at the speed $(a_i+a_j) K\sin u$ and $|\nabla E|^2 = a_ia_j(a_i+a_j)(K\sin u)^2$, so
    that kernel and sine cancel. Others disturb it by their kernel over the pair's.
    """
    points, masses, beta = on_the_circle(case)
    path = case.measure(run, mf.Tokens(mf.Sphere(2), points, masses), beta, "USA*", 61)
    case.require("all tokens met", len(path.merges) == len(masses) - 1)
    expected = meetings(points, masses, "USA*")
    stated, over = [case.predict(meeting, beta) for meeting in expected], {"step": 1 + np.arange(len(expected))}
    because = "the next pair's kernel is below 1e-4 of the pair's, and pulls in its first part only"
    case.compare(step_lengths(path), stated, within=2e-3, relative=True, because=because, name="length of a step",
                 over=over)  # fmt: skip


@steps_of_usa_in_the_clock_of_its_energy.figure
def energy_in_its_clock(case: Case, ax: Any) -> Any:
    """Draw the energy along its own clock, and when the pairs meet as stated."""
    points, masses, beta = on_the_circle(case)
    path = case.measure(run, mf.Tokens(mf.Sphere(2), points, masses), beta, "USA*", 601)
    ends = np.cumsum([case.predict(stair, beta) for stair in meetings(points, masses, "USA*")])
    times = np.asarray(path.times)
    ax.plot(times, np.asarray(mf.observe.energy(path, beta=beta)), color=ACCENT[0], label="energy")
    for k, end in enumerate(ends):
        ax.axvline(end, color=THEORY, ls="--", lw=1.4, label="" if k else "meetings, as stated")
    ax.set(xlabel=r"rescaled time $s$", ylabel=r"energy $\bar E$", xlim=(0.0, 1.25 * ends[-1]),
           title=rf"$n = {len(masses)}$, $\beta = {beta:.0f}$, USA*")  # fmt: skip
    ax.legend()
    return ax


@steps_of_usa_in_the_clock_of_its_energy.mutation
def limit_in_the_clock_of_the_nearest_pair(meeting: Meeting, beta: float) -> float:
    """The steps are as long as in the other clock, 1/(2(a_i + a_j)), over log beta."""
    return 0.5 / ((meeting.one + meeting.two) * np.log(beta))


@steps_of_usa_in_the_clock_of_its_energy.mutation
def masses_dropped(meeting: Meeting, beta: float) -> float:
    """The masses are dropped: only the angle counts."""
    return meeting.angle / np.log(beta)


@steps_of_usa_in_the_clock_of_its_energy.mutation
def speed_of_one_of_the_two(meeting: Meeting, beta: float) -> float:
    """The gradient is that of one of the two clusters."""
    angle, one, two = meeting
    return float(angle * np.sqrt(one) * two / ((one + two) * np.log(beta)))


@steps_of_usa_in_the_clock_of_its_energy.mutation
def law_of_sa(meeting: Meeting, beta: float) -> float:
    """The law is that of SA."""
    return length_under_sa(meeting, beta)

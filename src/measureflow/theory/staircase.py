r"""The staircase of the energy: in the clock of the fastest pair, which pairs meet, when, and how high each step is."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from measureflow.errors import BadInput
from measureflow.theory.checks import as_beta, as_masses, as_numbers, in_interval

__all__ = ["Stair", "collision_radius", "crossing_time", "length_of_a_step", "rise_within_a_step", "staircase"]


class Stair(NamedTuple):
    """One step of the staircase: a pair of clusters that meets.

    Attributes:
        angle: angle between the two when they became the nearest pair.
        masses: their masses.
        length: rescaled time from the meeting before to this one.
        jump: how much the energy rises, `2 a_i a_j`.
        limit: the length as `beta` grows, `1/(2 (a_i + a_j))`.
        rivalry: `e^{-beta (1 - cos)}` of the next pair over that of this one: by about so much the other pairs disturb.
    """

    angle: float
    masses: tuple[float, float]
    length: float
    jump: float
    limit: float
    rivalry: float


def collision_radius(beta: float) -> float:
    r"""Return $r_\beta = 1/\sqrt{\beta\log\beta}$, the distance at which two tokens count as one.

    [arXiv:2410.06833](https://arxiv.org/abs/2410.06833), section 5.

    Raises:
        BadInput: `beta <= 1`.

    Example:
        >>> from measureflow import theory
        >>> round(theory.collision_radius(100.0), 6)
        0.046599
    """
    beta = in_interval("beta", as_beta(beta), 1.0, math.inf)
    return 1.0 / math.sqrt(beta * math.log(beta))


def crossing_time(rate: float, *, beta: float, start: float) -> float:
    r"""Return the time in which $\dot u = -c\log\beta\,\sin u$ brings the angle from `start` to the collision radius.

    $$ s = \frac{1}{c\log\beta}\log\frac{\tan(u_0/2)}{\tan(r_\beta/2)} \;\longrightarrow\; \frac1{2c} $$

    as `beta` grows, exact to rounding. [arXiv:2410.06833](https://arxiv.org/abs/2410.06833), time-scale lemma of
    section 5, where $2/c$ is printed; derived. `rate` is $c > 0$.

    Raises:
        BadInput: `beta <= 1`, a start that is not between the collision radius and pi, a rate that is not positive.

    Example:
        >>> from measureflow import theory
        >>> [round(theory.crossing_time(1.0, beta=beta, start=1.0), 3) for beta in (1e3, 1e9, 1e300)]
        [0.653, 0.577, 0.505]
    """
    rate, radius = in_interval("rate", rate, 0.0, math.inf), collision_radius(beta)
    start = in_interval("start", start, radius, math.pi)
    return (math.log(math.tan(start / 2.0)) - math.log(math.tan(radius / 2.0))) / (rate * math.log(beta))


def length_of_a_step(*, beta: float, start: float, masses: Any) -> float:
    r"""Return the rescaled time in which two clusters meet: the first two orders of `crossing_time`, $c = a_1+a_2$.

    $$ \Delta s = \frac{1}{2c}\left[1 + \frac{\log\log\beta + 2\log2 + 2\log\tan(u_0/2)}{\log\beta}\right] $$

    The clock is $dt/ds = \log\beta\,\min_{i,j} e^{\beta(1-\cos\theta_{ij})}$ over the pairs farther apart than
    $r_\beta$, `t` the time of USA* with masses of sum 1. Written for $n$ tokens of multiplicities $w$ and
    $\dot\theta_i = n^{-2}\sum_j w_j \dots$ the lengths are n times these: $n^2/(2(w_1+w_2))$ at the end. Relative error
    $O(r_\beta^2/\log\beta)$. Derived for [arXiv:2410.06833](https://arxiv.org/abs/2410.06833), section 5.

    Raises:
        BadInput: `beta <= 1`, a start that is not between the collision radius and pi, masses that are not two positive
            numbers of sum at most 1.

    Example:
        >>> from measureflow import theory
        >>> round(5 * theory.length_of_a_step(beta=1e3, start=0.3, masses=(0.2, 0.2)), 3)
        5.834
    """
    beta = in_interval("beta", as_beta(beta), 1.0, math.inf)
    start = in_interval("start", start, collision_radius(beta), math.pi)
    one, two = two_masses(masses)
    log_beta = math.log(beta)
    correction = math.log(log_beta) + 2.0 * math.log(2.0) + 2.0 * math.log(math.tan(start / 2.0))
    return (1.0 + correction / log_beta) / (2.0 * (one + two))


def rise_within_a_step(times: Any, *, beta: float, start: float, masses: Any) -> Float[np.ndarray, "*s"]:
    r"""Return by how much the energy has risen when the rescaled time s has passed since the pair became the nearest.

    $$ \bar E(s) - \bar E = 2a_1a_2\,e^{-\beta(1-\cos u)} = 2a_1a_2\exp\Big(-\frac{2\beta T^2}{1+T^2}\Big),
       \qquad T(s) = \tan\frac{u(s)}2 = \tan\frac{u_0}2\;\beta^{-cs},\quad c = a_1+a_2 $$

    above the sum of squares of the masses, exact for the pair alone; others disturb it by about the `rivalry` of the
    step. Half of the rise is reached where $2\beta T^2 = (1+T^2)\log2$, before the two meet by some
    $\frac{1}{2c}\frac{\log(2\log2\log\beta)}{\log\beta}$, and at $\pm p/(2c)$ from there the energy is within
    $1-2^{-\beta^{-p}}$ of the step, in shares of its height: so slowly do the steps become sharp.
    Derived for [arXiv:2410.06833](https://arxiv.org/abs/2410.06833), section 5, in the clock of `length_of_a_step`.

    Raises:
        BadInput: times that are no numbers, `beta <= 1`, a start outside `(0, pi)`, masses that are not two positive
            numbers of sum at most 1.

    Example:
        >>> from measureflow import theory
        >>> theory.rise_within_a_step([0.0, 0.6, 1.2, 1.8], beta=1e3, start=1.0, masses=(0.2, 0.2)).round(5).tolist()
        [0.0, 0.0, 0.03643, 0.07775]
    """
    beta = in_interval("beta", as_beta(beta), 1.0, math.inf)
    start = in_interval("start", start, 0.0, math.pi)
    one, two = two_masses(masses)
    square = (math.tan(start / 2.0) * beta ** (-(one + two) * as_numbers("times", times))) ** 2
    return 2.0 * one * two * np.exp(-2.0 * beta * square / (1.0 + square))


def staircase(angles: Any, *, beta: float, masses: Any = None) -> list[Stair]:
    r"""Return the steps of tokens on the circle: at each, the nearest pair meets in its centre of mass, others frozen.

    Step lengths are those of `length_of_a_step`; each neglects the other pairs, by about the `rivalry` of the step.
    `angles` are `(n,)`; `masses` of sum 1, equal if None.
    [arXiv:2410.06833](https://arxiv.org/abs/2410.06833), section 5, with heights and lengths derived.

    Raises:
        BadInput: `beta <= 1`, fewer than two tokens, two of them within the collision radius (they have met already; no
            later pair does, since merging only widens gaps), masses that do not sum to 1.

    Example:
        >>> from measureflow import theory
        >>> stairs = theory.staircase([0.0, 0.3, 0.75, 1.4, 2.4], beta=1e6)
        >>> [round(5 * stair.length, 3) for stair in stairs]
        [6.355, 4.669, 7.518, 3.218]
        >>> [round(stair.jump, 2) for stair in stairs]
        [0.08, 0.16, 0.08, 0.48]
    """
    angles = as_numbers("angles", angles)
    if angles.ndim != 1 or angles.size < 2:
        raise BadInput(f"theory: angles have shape {angles.shape}; give at least two of them, (n,).")
    places = np.sort(np.mod(angles, 2 * np.pi))
    shares = np.full(places.size, 1.0 / places.size)
    if masses is not None:
        shares = as_masses(masses, places.size)[np.argsort(np.mod(angles, 2 * np.pi))]
    stairs = []
    while places.size > 1:
        stair, places, shares = climbed(places, shares, beta)
        stairs.append(stair)
    return stairs


def climbed(
    places: Float[np.ndarray, "n"], shares: Float[np.ndarray, "n"], beta: float
) -> tuple[Stair, Float[np.ndarray, "n-1"], Float[np.ndarray, "n-1"]]:
    """Return the next step, and the clusters after it."""
    n = places.size
    gaps = np.diff(places, append=places[0] + 2 * np.pi)
    one = int(np.argmin(np.minimum(gaps, 2 * np.pi - gaps)))
    two = (one + 1) % n
    apart, radius = float(min(gaps[one], 2 * np.pi - gaps[one])), collision_radius(beta)
    if apart <= radius:
        raise BadInput(
            f"theory: the tokens at {places[one]:.6g} and {places[two]:.6g} are within r_beta = {radius:.6g} of each "
            f"other and count as one; join them, with masses=."
        )
    first, second = np.triu_indices(n, 1)
    cosines = np.sort(np.cos(places[first] - places[second]))
    pair, joint = (float(shares[one]), float(shares[two])), float(shares[one] + shares[two])
    stair = Stair(
        angle=apart,
        masses=pair,
        length=length_of_a_step(beta=beta, start=apart, masses=pair),
        jump=2.0 * pair[0] * pair[1],
        limit=1.0 / (2.0 * joint),
        rivalry=float(np.exp(beta * (cosines[-2] - cosines[-1]))) if len(cosines) > 1 else 0.0,
    )
    middle = places[one] + gaps[one] * pair[1] / joint if gaps[one] <= np.pi else places[one]
    if gaps[one] > np.pi:  # two clusters with the short way round the back
        middle = places[two] + (2 * np.pi - gaps[one]) * pair[0] / joint
    rest = np.arange(n)[(np.arange(n) != one) & (np.arange(n) != two)]
    places = np.append(places[rest], np.mod(middle, 2 * np.pi))
    shares = np.append(shares[rest], joint)
    order = np.argsort(places)
    return stair, places[order], shares[order]


def two_masses(masses: Any) -> tuple[float, float]:
    """Return two positive masses of sum at most 1."""
    pair = as_numbers("masses", masses)
    if pair.shape != (2,) or not (pair > 0).all() or pair.sum() > 1.0 + 1e-9:
        raise BadInput(f"theory: masses are {pair.tolist()}; give two positive ones of sum at most 1.")
    return float(pair[0]), float(pair[1])

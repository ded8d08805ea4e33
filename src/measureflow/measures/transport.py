"""Optimal plans between tokens: by order on the line and on the circle, by assignment or a linear program elsewhere.

In NumPy: a plan is no smooth function of the points, and where it is held a cost is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from measureflow.errors import BadInput

__all__ = ["Matching", "Plan", "circle_offset", "line_plan", "matched", "offsets", "pair_plan"]

#: masses below this are rounding of sums of masses
DUST = 1e-13
#: pairs for which an assignment and a linear program are solved
ASSIGNED, PROGRAMMED = 4_000_000, 200_000


class Plan(NamedTuple):
    """A coupling: which token gives how much mass to which."""

    rows: Int[np.ndarray, "k"]
    columns: Int[np.ndarray, "k"]
    masses: Float[np.ndarray, "k"]


class Matching(NamedTuple):
    """A plan in order round the circle, with the angle by which each piece moves on the covering line."""

    plan: Plan
    moved: Float[np.ndarray, "k"]


def pieces(
    ends: Float[np.ndarray, "n"], others: Float[np.ndarray, "m"]
) -> tuple[Float[np.ndarray, "k"], Float[np.ndarray, "k"]]:
    """Return the middles and masses of the pieces into which [0, 1] falls at two sets of points."""
    cuts = np.unique(np.concatenate([[0.0], ends[:-1], others, [1.0]]))
    masses = np.diff(cuts)
    kept = masses > DUST
    return (0.5 * (cuts[1:] + cuts[:-1]))[kept], masses[kept] / masses[kept].sum()


def line_plan(
    x: Float[np.ndarray, "n"], a: Float[np.ndarray, "n"], y: Float[np.ndarray, "m"], b: Float[np.ndarray, "m"]
) -> Plan:
    """Return the plan in order, optimal on the line for every convex cost."""
    rows, columns = np.argsort(x, kind="stable"), np.argsort(y, kind="stable")
    ends, others = np.cumsum(a[rows]), np.cumsum(b[columns])
    middles, masses = pieces(ends, others[:-1])
    return Plan(rows[np.searchsorted(ends[:-1], middles)], columns[np.searchsorted(others[:-1], middles)], masses)


def matched(
    x: Float[np.ndarray, "n"],
    a: Float[np.ndarray, "n"],
    y: Float[np.ndarray, "m"],
    b: Float[np.ndarray, "m"],
    offset: float,
) -> Matching:
    """Return the matching in order of the quantile u with the quantile u + offset, angles counted on the covering line.

    The angles x and y lie in one turn, and the quantile u + 1 is one turn further than u.
    """
    rows, columns = np.argsort(x, kind="stable"), np.argsort(y, kind="stable")
    ends, others = np.cumsum(a[rows]), np.cumsum(b[columns])
    middles, masses = pieces(ends, np.sort((others - offset) % 1.0))
    ahead = middles + offset
    turns = np.floor(ahead)
    i = rows[np.searchsorted(ends[:-1], middles)]
    j = columns[np.searchsorted(others[:-1], ahead - turns)]
    return Matching(Plan(i, j, masses), y[j] + 2 * np.pi * turns - x[i])


def offsets(
    x: Float[np.ndarray, "n"], a: Float[np.ndarray, "n"], y: Float[np.ndarray, "m"], b: Float[np.ndarray, "m"]
) -> Float[np.ndarray, "k"]:
    """Return every offset within one turn at which two borders between masses meet: one for each rotation."""
    ends = np.cumsum(a[np.argsort(x, kind="stable")])
    others = np.cumsum(b[np.argsort(y, kind="stable")])
    every = (others[None, :] - ends[:, None]).ravel() % 1.0
    every = np.sort(np.where(every > 1.0 - 1e-9, 0.0, every))  # a whole turn is none, up to rounding
    return every[np.concatenate([[True], np.diff(every) > 1e-9])]


def circle_offset(
    x: Float[np.ndarray, "n"],
    a: Float[np.ndarray, "n"],
    y: Float[np.ndarray, "m"],
    b: Float[np.ndarray, "m"],
    p: float,
) -> float:
    r"""Return the offset of the optimal matching for the p-th power of arc length.

    The cost is convex in the offset (Delon, Salomon and Sobolevski, arXiv:0902.3527), and for tokens linear between the
    offsets at which borders meet: the least is at one of these, found by golden sections of their list.
    """

    def cost(offset: float) -> float:
        plan, moved = matched(x, a, y, b, offset)
        return float(plan.masses @ np.abs(moved) ** p)

    # nobody moves by more than half a turn, so on average the tokens do not
    low = float(a @ x - b @ y) / (2 * np.pi) - 0.5
    every = np.sort(low + (offsets(x, a, y, b) - low) % 1.0)
    every = np.concatenate([[every[-1] - 1.0], every, [every[0] + 1.0]])
    known: dict[int, float] = {}

    def at(k: int) -> float:
        if k not in known:
            known[k] = cost(every[k])
        return known[k]

    left, right = 0, len(every) - 1
    while right - left > 3:
        first = left + int(0.382 * (right - left))
        second = max(left + int(0.618 * (right - left)), first + 1)
        if at(first) <= at(second):
            right = second
        else:
            left = first
    return float(every[min(range(left, right + 1), key=at)])


def pair_plan(costs: Float[np.ndarray, "n m"], a: Float[np.ndarray, "n"], b: Float[np.ndarray, "m"], name: str) -> Plan:
    """Return an optimal plan of a matrix of costs: an assignment where all masses are equal, else a linear program.

    Raises:
        BadInput: more pairs than are solved in a minute or so.
    """
    from scipy.optimize import linear_sum_assignment, linprog  # imported when used: it is slow to import

    n, m = costs.shape
    equal = n == m and np.ptp(a) < DUST and np.ptp(b) < DUST
    most = ASSIGNED if equal else PROGRAMMED
    if n * m > most:
        raise BadInput(
            f"{name}: {n:,} tokens to {m:,} are {n * m:,} pairs and {most:,} are solved exactly (of equal masses "
            f"{ASSIGNED:,}); draw fewer tokens, or use sinkhorn_divergence or sliced_wasserstein."
        )
    if equal:
        rows, columns = linear_sum_assignment(costs)
        return Plan(rows, columns, np.full(n, 1.0 / n))
    from scipy.sparse import coo_array

    i, j = (index.ravel() for index in np.indices((n, m)))
    pair = np.arange(n * m)
    equations = coo_array((np.ones(2 * n * m), (np.concatenate([i, n + j]), np.concatenate([pair, pair]))))
    solved = linprog(costs.ravel(), A_eq=equations.tocsr(), b_eq=np.concatenate([a, b]), method="highs")
    if not solved.success:
        raise BadInput(f"{name}: the linear program of {n} x {m} masses was not solved ({solved.message}).")
    kept = np.flatnonzero(solved.x > DUST)
    return Plan(i[kept], j[kept], solved.x[kept] / solved.x[kept].sum())

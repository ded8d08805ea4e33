"""Who chooses the sum: exact, harmonic or neighbours, from fitted costs and a proven error bound."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import warnings
from importlib import resources
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from measureflow.errors import BadInput
from measureflow.measures import Tokens
from measureflow.spaces import is_traced
from measureflow.sums.cells import halvings
from measureflow.sums.exact import Exact
from measureflow.sums.harmonic import Harmonic
from measureflow.sums.neighbours import QUERIES, Neighbours, atoms_per_block
from measureflow.sums.reach import share_of_pairs
from measureflow.sums.sum import Kernel, Sum

__all__ = ["Automatic", "Plan", "plan"]

#: exact sums that take no longer than this many seconds are not weighed against others: weighing takes as long, and
#: their error is relative to each entry
AT_ONCE = 1e-3
#: a flow's speeds lie this far above what a sum does not resolve, or the sum is exact
ABOVE_FLOOR = 1e3
#: where costs were not fitted, a fast sum must be predicted to be so many times cheaper
UNFITTED = 4.0
#: error allowed to a sum that nobody asked to be better or worse
DEFAULT_TOLERANCE = 1e-10


@dataclasses.dataclass(frozen=True)
class Plan:
    """A choice of sum, and why.

    Attributes:
        sum: the sum that was chosen, ready for use where beta is traced.
        seconds: predicted seconds of one sum over all pairs, by name of the sum, on the machine that was fitted.
        bound: proven error relative to the largest entry, `None` for the exact sum.
        reason: why, in one sentence.
        machine: where the costs were fitted.
    """

    sum: Sum
    seconds: dict[str, float]
    bound: float | None
    reason: str
    machine: str

    def explain(self) -> str:
        """Return the choice, its reason, and the predicted cost of every sum that was considered."""
        costs = ", ".join(f"{name} {seconds:.2g} s" for name, seconds in self.seconds.items())
        return f"{self.sum!r}: {self.reason} Predicted on {self.machine}: {costs}."


class Automatic(Sum):
    """Choose for each measure between exact, harmonic and neighbours' sums: the cheapest that keeps `tolerance`.

    Where tokens or beta are traced nothing can be looked at, and the sum is exact; to use a fast one inside `jit`,
    choose before: `sum=mf.sums.plan(kernel, mu).sum`. That also saves the check of the bound, which `Automatic` repeats
    at each call and which costs as much as the sum. `pull` is exact where the fastest query is slower than 1e3 times
    what the chosen sum does not resolve.

    Arguments:
        tolerance: error allowed, relative to the largest entry of the result; `None` is 1e-10, and in a flow a tenth
            of the solver's `rtol`.

    Example:
        >>> import measureflow as mf
        >>> tokens = mf.uniform(mf.Sphere(2), n=5000, seed=0)
        >>> field = mf.SelfAttention(beta=9.0, sum=mf.sums.Automatic())
        >>> print(field.sum.explain(field.kernel, tokens).split(":")[0])
        Harmonic(degree=24, tolerance=1e-10)
    """

    tolerance: float | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        if self.tolerance is not None:
            check_tolerance(self.tolerance)

    @property
    def allowed(self) -> float:
        """The error allowed."""
        return DEFAULT_TOLERANCE if self.tolerance is None else self.tolerance

    def attend(
        self,
        kernel: Kernel,
        x: Float[Array, "m d"],
        rank: Int[Array, "m"] | None,
        mu: Tokens,
        values: Float[Array, "n v"],
    ) -> Float[Array, "m v"]:
        """Return `sum_j w(x, y_j) values_j`."""
        made = self.planned(kernel, x, rank, mu, values)
        return (Exact() if made is None else made.sum).attend(kernel, x, rank, mu, values)

    def pull(
        self, kernel: Kernel, x: Float[Array, "m d"], rank: Int[Array, "m"] | None, mu: Tokens
    ) -> tuple[Float[Array, "m d"], Float[Array, "m"]]:
        """Return `sum_j w (y_j - x)` and `sum_j w`; exact where the chosen sum does not resolve the motion."""
        made = self.planned(kernel, x, rank, mu, None)
        if made is None or made.bound is None:
            return Exact().pull(kernel, x, rank, mu)
        moved, weight = made.sum.pull(kernel, x, rank, mu)
        here = mu.present if x is mu.points else jnp.ones(x.shape[0], bool)
        fastest = float(jnp.max(jnp.where(here, jnp.sqrt(jnp.sum(moved**2, axis=1)), 0)))
        # the bound is on the output, of which the pull is a part; only where that does not do is the floor asked for
        floor = 2 * made.bound * float(jnp.max(jnp.abs(moved + weight[:, None] * x)))
        if not fastest >= ABOVE_FLOOR * floor and x is mu.points:
            floor = float(made.sum.floor(kernel, mu))
        if not fastest >= ABOVE_FLOOR * floor:
            return Exact().pull(kernel, x, rank, mu)
        return moved, weight

    def floor(self, kernel: Kernel, mu: Tokens) -> Float[Array, ""]:
        """Return the floor of the sum that is chosen for the tokens of `mu`."""
        made = self.planned(kernel, mu.points, None, mu, None)
        return (Exact() if made is None else made.sum).floor(kernel, mu)

    def settled(self, kernel: Kernel, mu: Tokens) -> Sum:
        """Return the sum that is chosen for the tokens of `mu`."""
        return plan(kernel, mu, tolerance=self.allowed).sum

    def explain(self, kernel: Kernel, mu: Tokens) -> str:
        """Return which sum is chosen for the tokens of `mu` and why."""
        return plan(kernel, mu, tolerance=self.allowed).explain()

    def planned(self, kernel: Kernel, x: Array, rank: Array | None, mu: Tokens, values: Array | None) -> Plan | None:
        """Return the plan for these queries, `None` where nothing can be looked at."""
        if is_traced((kernel, x, mu, values)):
            return None
        values = None if values is mu.points else values
        return plan(kernel, mu, tolerance=self.allowed, queries=x, rank=rank, values=values)


def plan(
    kernel: Kernel,
    mu: Tokens,
    *,
    tolerance: float = DEFAULT_TOLERANCE,
    queries: Float[Array, "m d"] | None = None,
    rank: Int[Array, "m"] | None = None,
    values: Float[Array, "n v"] | None = None,
) -> Plan:
    """Choose the sum for the pairs of queries (`None`: mu's own tokens) and atoms, and say why.

    An exact sum costs `call + pairs * pair`, a harmonic one `call + tokens * (token + token_mode * modes)`, one over
    neighbours grows with the pairs that are near, which are counted for a sample. The constants are fitted by
    `benchmarks/fit_sums.py`, for each dtype and device. The cheapest sum is taken whose error bound for these queries
    is below `tolerance`, or below what rounding alone may do to an exact sum; where a cheaper one fails in that, there
    is a warning, unless no sum in this dtype could keep the tolerance. Where exact sums take less than a millisecond
    nothing is looked at.

    Raises:
        BadInput: a tolerance that is none; tokens or beta traced.

    Example:
        >>> import measureflow as mf
        >>> tokens = mf.uniform(mf.Sphere(3), n=40, seed=0)
        >>> mf.sums.plan(mf.SelfAttention(beta=9.0).kernel, tokens).sum
        Exact()
    """
    check_tolerance(tolerance)
    if is_traced((kernel, mu, queries)):
        raise BadInput("plan: tokens or beta are traced; plan outside jit, vmap and grad, for the largest beta.")
    x = mu.points if queries is None else queries
    costs, machine, fitted = costs_for(str(mu.points.dtype), jax.default_backend())
    exact = costs["exact"]
    seconds = {"exact": exact["call"] + x.shape[0] * mu.n * (exact["pair"] + exact["pair_coordinate"] * mu.d)}

    def made(sum: Sum, bound: float | None, reason: str) -> Plan:
        return Plan(sum, seconds, bound, reason, machine)

    if seconds["exact"] <= AT_ONCE:
        return made(Exact(), None, f"with {mu.n} tokens every pair is summed before another way is weighed.")
    sums, notes = considered(kernel, mu, x, tolerance, costs, seconds)
    allowed = max(tolerance, exact_rounding(kernel, mu))
    failed = ""
    for name in sorted(sums, key=seconds.__getitem__):
        if seconds[name] * (1.0 if fitted else UNFITTED) >= seconds["exact"]:
            continue
        bound = float(sums[name].error_bound(kernel, x, mu, values, rank))
        if bound <= allowed:
            return made(sums[name], bound, f"its error bound {bound:.1e} keeps the tolerance {tolerance:.1e}.")
        failed = failed or f"the {name} sum's error bound is {bound:.1e}, above the tolerance {tolerance:.1e}."
    if failed:
        if tolerance >= float(jnp.finfo(mu.points.dtype).eps):  # else no sum in this dtype could keep it
            warnings.warn(f"Sums are exact and take {seconds['exact']:.2g} s each: {failed}", stacklevel=2)
        return made(Exact(), None, failed)
    return made(Exact(), None, f"with {mu.n} tokens every pair costs less than another way; {'; '.join(notes)}.")


def considered(
    kernel: Kernel, mu: Tokens, x: Array, tolerance: float, costs: dict[str, Any], seconds: dict[str, float]
) -> tuple[dict[str, Harmonic | Neighbours], list[str]]:
    """Return the fast sums that this kernel has, with a note on each; their predicted costs are put in `seconds`."""
    sums: dict[str, Harmonic | Neighbours] = {}
    notes = []
    try:
        sums["harmonic"] = harmonic = Harmonic(tolerance=tolerance).settled(kernel, mu)
        seconds["harmonic"] = harmonic_seconds(costs, kernel, mu, harmonic, x.shape[0])
        notes.append(f"harmonics would need {harmonic.degree} degrees")
    except BadInput:
        notes.append("this kernel has no harmonic expansion on this space")
    exponential = kernel.exponential()
    cheapest = min(seconds.values())
    if exponential is None or exponential.concentration is None:
        return sums, notes
    if neighbours_seconds(costs, mu, x.shape[0], 0.0) >= cheapest:
        return sums, notes
    # far below the tolerance: the bound is relative to the output, and a flow must resolve slow motion
    neighbours = Neighbours(tolerance=max(1e-4 * tolerance, 1e-30))
    share = share_of_pairs(exponential, mu, x, neighbours.tolerance)
    sums["neighbours"] = neighbours
    seconds["neighbours"] = neighbours_seconds(costs, mu, x.shape[0], share)
    notes.append(f"neighbours would sum {100 * share:.2g} % of the pairs")
    return sums, notes


def harmonic_seconds(costs: dict[str, Any], kernel: Kernel, mu: Tokens, harmonic: Harmonic, queries: int) -> float:
    """Return the predicted seconds of a harmonic sum; infinite where its kind was not fitted."""
    kind, modes, pairs = harmonic.work(kernel, mu)
    if kind not in costs:
        return math.inf
    cost, exact = costs[kind], costs["exact"]
    near = queries * pairs * (exact["pair"] + exact["pair_coordinate"] * mu.d)
    return cost["call"] + (queries + mu.n) * (cost["token"] + cost["token_mode"] * modes) + near


def neighbours_seconds(costs: dict[str, Any], mu: Tokens, queries: int, share: float) -> float:
    """Return the predicted seconds of a sum over that share of the pairs."""
    units = neighbours_units(mu.n, queries, mu.d, share)
    return sum(costs["neighbours"][name] * unit for name, unit in units.items())


def neighbours_units(n: int, queries: int, d: int, share: float) -> dict[str, float]:
    """Return what a sum over neighbours does: calls, tokens sorted at a level, bounds between blocks, pairs."""
    levels = halvings(n, atoms_per_block(n))
    rows = 2 ** halvings(queries, QUERIES * atoms_per_block(queries))
    pairs = share * queries * n
    bounds = float(rows * 2**levels)
    return {
        "call": 1.0,
        "token_level": (n + queries) * levels,
        "bound": bounds,
        "pair": pairs,
        "pair_coordinate": pairs * d,
    }


def exact_rounding(kernel: Kernel, mu: Tokens) -> float:
    """Return what rounding may do to an exact sum: an inner product is off by `d u`, its weight by `c d u`."""
    exponential = kernel.exponential()
    c = 0.0
    if exponential is not None:
        number, form = exponential.concentration, exponential.form
        c = abs(float(number)) if number is not None else float(np.linalg.norm(np.asarray(form), 2))
    return float(jnp.finfo(mu.points.dtype).eps) * (c * (mu.d + 2) + math.log2(mu.n + 1) + 8)


@functools.cache
def costs_for(dtype: str, device: str) -> tuple[dict[str, Any], str, bool]:
    """Return the fitted constants in seconds, where they come from, and whether they are this device's and dtype's."""
    table = json.loads(resources.files("measureflow.sums").joinpath("costs.json").read_text(encoding="utf-8"))
    if dtype in table.get(device, {}):
        return table[device][dtype], f"{table[device]['machine']}, {dtype} on {device}", True
    machine = f"{table['cpu']['machine']}, float64 on cpu ({dtype} on {device} is not fitted)"
    return table["cpu"]["float64"], machine, False


def check_tolerance(tolerance: Any) -> None:
    """Raise `BadInput` unless the tolerance lies between 0 and 1."""
    if isinstance(tolerance, bool) or not isinstance(tolerance, (int, float)) or not 0 < tolerance < 1:
        raise BadInput(f"tolerance is {tolerance!r}; it must lie between 0 and 1, such as 1e-10.")

"""Who chooses the sum: exact or harmonic, from a fitted cost and a proven error bound."""

from __future__ import annotations

import dataclasses
import functools
import json
import warnings
from importlib import resources
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float, Int

from measureflow.errors import BadInput
from measureflow.measures import Tokens
from measureflow.spaces import is_traced
from measureflow.sums.exact import Exact
from measureflow.sums.harmonic import Harmonic
from measureflow.sums.sum import Kernel, Sum

__all__ = ["Automatic", "Plan", "plan"]


@dataclasses.dataclass(frozen=True)
class Plan:
    """A choice of sum, and why.

    Attributes:
        sum: the sum that was chosen, ready for use where beta is traced.
        seconds: predicted seconds of one sum over all pairs, by name of the sum, on the machine that was fitted.
        bound: proven error relative to the largest entry, `None` for the exact sum.
        reason: why, in one sentence.
    """

    sum: Sum
    seconds: dict[str, float]
    bound: float | None
    reason: str

    def explain(self) -> str:
        """Return the choice, its reason, and the predicted cost of every sum that was considered."""
        costs = ", ".join(f"{name} {seconds:.2g} s" for name, seconds in self.seconds.items())
        return f"{self.sum!r}: {self.reason} Predicted on {costs_table()['machine']}: {costs}."


class Automatic(Sum):
    """Choose for each measure between exact and harmonic sums: the cheaper one that keeps `tolerance`.

    Where tokens or beta are traced nothing can be looked at, and the sum is exact; to use a fast one inside `jit`,
    choose before: `sum=mf.sums.plan(kernel, mu).sum`. That also saves the check of the bound, which `Automatic` repeats
    at each call and which costs as much as the sum.

    Arguments:
        tolerance: error allowed, relative to the largest entry of the result.

    Example:
        >>> import measureflow as mf
        >>> tokens = mf.uniform(mf.Sphere(2), n=5000, seed=0)
        >>> field = mf.SelfAttention(beta=9.0, sum=mf.sums.Automatic())
        >>> print(field.sum.explain(field.kernel, tokens).split(":")[0])
        Harmonic(degree=24, tolerance=1e-10)
    """

    tolerance: float = eqx.field(static=True, default=1e-10)

    def __check_init__(self) -> None:
        check_tolerance(self.tolerance)

    def attend(
        self,
        kernel: Kernel,
        x: Float[Array, "m d"],
        rank: Int[Array, "m"] | None,
        mu: Tokens,
        values: Float[Array, "n v"],
    ) -> Float[Array, "m v"]:
        """Return `sum_j w(x, y_j) values_j`."""
        return self.chosen(kernel, x, rank, mu, values).attend(kernel, x, rank, mu, values)

    def pull(
        self, kernel: Kernel, x: Float[Array, "m d"], rank: Int[Array, "m"] | None, mu: Tokens
    ) -> tuple[Float[Array, "m d"], Float[Array, "m"]]:
        """Return `sum_j w (y_j - x)` and `sum_j w`."""
        return self.chosen(kernel, x, rank, mu, None).pull(kernel, x, rank, mu)

    def floor(self, kernel: Kernel, mu: Tokens) -> Float[Array, ""]:
        """Return the floor of the sum that is chosen for the tokens of `mu`."""
        return self.chosen(kernel, mu.points, None, mu, None).floor(kernel, mu)

    def settled(self, kernel: Kernel, mu: Tokens) -> Sum:
        """Return the sum that is chosen for the tokens of `mu`."""
        return plan(kernel, mu, tolerance=self.tolerance).sum

    def explain(self, kernel: Kernel, mu: Tokens) -> str:
        """Return which sum is chosen for the tokens of `mu` and why."""
        return plan(kernel, mu, tolerance=self.tolerance).explain()

    def chosen(self, kernel: Kernel, x: Array, rank: Array | None, mu: Tokens, values: Array | None) -> Sum:
        """Return the sum for these queries."""
        if is_traced((kernel, x, mu, values)):
            return Exact()
        values = None if values is mu.points else values
        return plan(kernel, mu, tolerance=self.tolerance, queries=x, rank=rank, values=values).sum


def plan(
    kernel: Kernel,
    mu: Tokens,
    *,
    tolerance: float = 1e-10,
    queries: Float[Array, "m d"] | None = None,
    rank: Int[Array, "m"] | None = None,
    values: Float[Array, "n v"] | None = None,
) -> Plan:
    """Choose the sum for the pairs of queries (`None`: mu's own tokens) and atoms, and say why.

    A harmonic sum costs `call + tokens * (token + token_mode * modes)`, the exact one `call + pairs * pair`, with
    constants fitted by `benchmarks/fit_sums.py`. A harmonic sum that is cheaper is taken only when its error bound for
    these queries is below `tolerance`; else the sum is exact, with a warning.

    Raises:
        BadInput: a tolerance that is none; tokens or beta traced.

    Example:
        >>> import measureflow as mf
        >>> tokens = mf.uniform(mf.Sphere(5), n=5000, seed=0)
        >>> mf.sums.plan(mf.SelfAttention(beta=9.0).kernel, tokens).sum
        Exact()
    """
    check_tolerance(tolerance)
    if is_traced((kernel, mu, queries)):
        raise BadInput("plan: tokens or beta are traced; plan outside jit, vmap and grad, for the largest beta.")
    x = mu.points if queries is None else queries
    pairs = x.shape[0] * mu.n
    costs = costs_table()
    exact = costs["exact"]
    seconds = {"exact": exact["call"] + pairs * (exact["pair"] + exact["pair_coordinate"] * mu.d)}
    try:
        harmonic = Harmonic(tolerance=tolerance).settled(kernel, mu)
    except BadInput:
        return Plan(Exact(), seconds, None, "this kernel has no harmonic expansion on this space.")
    seconds["harmonic"] = harmonic_seconds(costs, kernel, mu, harmonic, x.shape[0])
    if seconds["harmonic"] >= seconds["exact"]:
        return Plan(Exact(), seconds, None, f"with {mu.n} tokens every pair costs less than {harmonic.degree} degrees.")
    bound = float(harmonic.error_bound(kernel, x, mu, values, rank))
    if not bound <= tolerance:
        reason = f"the harmonic sum's error bound is {bound:.1e}, above the tolerance {tolerance:.1e}."
        warnings.warn(f"Sums are exact and take {seconds['exact']:.2g} s each: {reason}", stacklevel=2)
        return Plan(Exact(), seconds, bound, reason)
    return Plan(harmonic, seconds, bound, f"its error bound {bound:.1e} keeps the tolerance {tolerance:.1e}.")


def harmonic_seconds(costs: dict[str, Any], kernel: Kernel, mu: Tokens, harmonic: Harmonic, queries: int) -> float:
    """Return the predicted seconds of a harmonic sum."""
    kind, modes, pairs = harmonic.work(kernel, mu)
    cost, exact = costs[kind], costs["exact"]
    near = queries * pairs * (exact["pair"] + exact["pair_coordinate"] * mu.d)
    return cost["call"] + (queries + mu.n) * (cost["token"] + cost["token_mode"] * modes) + near


@functools.cache
def costs_table() -> dict[str, Any]:
    """Return the fitted constants, in seconds."""
    return json.loads(resources.files("measureflow.sums").joinpath("costs.json").read_text(encoding="utf-8"))


def check_tolerance(tolerance: Any) -> None:
    """Raise `BadInput` unless the tolerance lies between 0 and 1."""
    if isinstance(tolerance, bool) or not isinstance(tolerance, (int, float)) or not 0 < tolerance < 1:
        raise BadInput(f"tolerance is {tolerance!r}; it must lie between 0 and 1, such as 1e-10.")

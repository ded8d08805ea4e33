"""What a check found: verdicts with their numbers, one result per claim, shown as a table."""

from __future__ import annotations

import dataclasses
import html
import math
from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np

from measureflow.claims.case import Case, Comparison
from measureflow.claims.claim import Claim
from measureflow.claims.curves import Curve
from measureflow.claims.pictures import draw_comparison, draw_result
from measureflow.claims.recipes import command_of
from measureflow.paths.style import house, write

__all__ = ["Rejection", "Result", "Results", "plain"]


@dataclasses.dataclass(frozen=True)
class Rejection:
    """What a check did with a mutation: by how many tolerances it missed, at the draw that liked it best."""

    name: str
    what: str
    deviation: float
    rejected: bool


@dataclasses.dataclass(frozen=True)
class Result:
    """The verdict on one claim.

    Main attributes:
        verdict: `"consistent"` (every draw within half its tolerance, every mutation rejected by 10 tolerances or
            more), `"violated"` (some draw outside its tolerance) or `"inconclusive"` (`notes` say why).
        measured, expected, tolerance, because: the entry that fits worst over all draws and comparisons.
        deviation: its error in tolerances.
        mutation_rejected: one `Rejection` per mutation.
        hypotheses: each one named, and whether it held in every draw.
        instances: what each draw drew, chose or was given; comparisons: the worst entry of each comparison, per draw.
        parameters: what of it was set by the user.
        curves: what was compared, entry by entry, per draw; contrasts: the same under each mutation.
    """

    id: str
    title: str
    statement: str
    paper: str
    item: str
    covers: tuple[str, ...]
    status: str
    verdict: str
    measured: float
    expected: float
    tolerance: float
    because: str
    deviation: float
    mutation_rejected: tuple[Rejection, ...]
    hypotheses: dict[str, bool]
    instances: tuple[dict[str, Any], ...]
    comparisons: tuple[tuple[Comparison, ...], ...]
    notes: tuple[str, ...]
    seconds: float
    seed: int
    tier: str
    parameters: dict[str, Any]
    curves: tuple[tuple[Curve, ...], ...] = dataclasses.field(repr=False, compare=False)
    contrasts: dict[str, tuple[tuple[Curve, ...], ...]] = dataclasses.field(repr=False, compare=False)
    claim: Claim = dataclasses.field(repr=False, compare=False)
    cases: tuple[Case, ...] = dataclasses.field(repr=False, compare=False)

    @property
    def recipe(self) -> dict[str, Any]:
        """What `mf.check` needs to find this result again: claims, tier, seed and the parameters that were set."""
        return {
            "claims": [self.id],
            "tier": self.tier,
            "seed": self.seed,
            "parameters": {name: plain(value) for name, value in self.parameters.items()},
        }

    @property
    def command(self) -> str:
        """The command that finds this result again."""
        return command_of("check", self.id, self.tier, self.seed, self.recipe["parameters"])

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain numbers, strings, lists and dictionaries; NaN and infinity become
        `None`."""
        left_out = ("claim", "cases", "curves", "contrasts", "parameters")
        names = [field.name for field in dataclasses.fields(self) if field.name not in left_out]
        about = {name: getattr(self, name) for name in names}
        return plain({**about, "recipe": self.recipe, "command": self.command})

    def plot(self, where: Any = None) -> Any:
        """Draw the result: the claim's picture of its first instance, beside the errors of truth and mutations.

        A claim without a picture of its own shows what was measured against what is stated, and the nearest error.

        Main arguments:
            where: a file (.svg, .png, .pdf), which carries the recipe; `None` returns the Matplotlib figure; Matplotlib
                axes get the left part alone.

        Raises:
            BadInput: a file that cannot be, or nothing was compared.
        """
        if hasattr(where, "plot"):
            own = self.claim.picture if self.cases else None
            return own(self.cases[0], where) if own is not None else draw_comparison(self, where)
        with house():
            drawing = draw_result(self)
        return drawing if where is None else write(drawing, where, self.command, title=f"{self.id}: {self.title}")

    def __str__(self) -> str:
        worst = min((rejection.deviation for rejection in self.mutation_rejected), default=math.nan)
        rejected = sum(rejection.rejected for rejection in self.mutation_rejected)
        return (
            f"{self.verdict:12} {self.id:18} {self.title}: error {self.deviation:.2g} of tolerance "
            f"{self.tolerance:.2g}; {rejected} of {len(self.mutation_rejected)} mutations rejected"
            + (f" (nearest by {worst:.2g} tolerances)" if rejected else "")
            + f"; {self.seconds:.1f} s"
            + "".join(f"\n{'':12} {note}" for note in self.notes)
        )


class Results(Sequence[Result]):
    """The results of a check, in order; shows itself as a table.

    Main attributes:
        verdict: `"violated"` if one is, else `"inconclusive"` if one is, else `"consistent"`.
    """

    def __init__(self, results: Sequence[Result]) -> None:
        self.results = tuple(results)

    @overload
    def __getitem__(self, index: int) -> Result: ...
    @overload
    def __getitem__(self, index: slice) -> Results: ...
    def __getitem__(self, index: int | slice) -> Result | Results:
        """Return one result, or several."""
        return Results(self.results[index]) if isinstance(index, slice) else self.results[index]

    def __len__(self) -> int:
        """Number of claims checked."""
        return len(self.results)

    def __iter__(self) -> Iterator[Result]:
        """Go through the results in order."""
        return iter(self.results)

    @property
    def verdict(self) -> str:
        """The verdict on all of them together."""
        verdicts = {result.verdict for result in self.results}
        for verdict in ("violated", "inconclusive"):
            if verdict in verdicts:
                return verdict
        return "consistent"

    def to_json(self) -> list[dict[str, Any]]:
        """Return a list of plain objects, one per claim."""
        return [result.to_json() for result in self.results]

    def __repr__(self) -> str:
        return "\n".join(map(str, self.results)) if self.results else "no claims checked"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in ("verdict", "id", "claim", "error / tolerance", "s"))
        rows = "".join(
            f"<tr><td>{result.verdict}</td><td>{html.escape(result.id)}</td><td>{html.escape(result.title)}</td>"
            f"<td>{result.deviation:.2g}</td><td>{result.seconds:.1f}</td></tr>"
            for result in self.results
        )
        return f"<table><tr>{head}</tr>{rows}</table>"


def plain(value: Any) -> Any:
    """Return a value made of what JSON knows."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    if isinstance(value, dict):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    number = np.asarray(value) if isinstance(value, (np.generic, np.ndarray)) else None
    return repr(value) if number is None else plain(number.tolist())

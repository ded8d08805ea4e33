"""A claim: a published statement with its source, its hypotheses, its numerical check, and the errors it
must reject."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, overload

from measureflow.claims.case import Case
from measureflow.claims.parameters import Parameter, parameters_of
from measureflow.claims.registry import register
from measureflow.errors import BadInput

__all__ = ["STATUSES", "TIERS", "Claim", "Mutation", "check_tier", "claim"]

TIERS = ("smoke", "standard", "full")
STATUSES = ("theorem", "derived", "conjecture", "numerical", "erratum")

Part = Callable[..., Any]


def check_tier(verb: str, tier: Any) -> None:
    """Raise `BadInput` where a tier is none."""
    if tier not in TIERS:
        raise BadInput(f"{verb}: tier is {tier!r}; it is one of {', '.join(map(repr, TIERS))}.")


@dataclasses.dataclass(frozen=True)
class Mutation:
    """A near miss of a claim: a function that stands where one part of the statement stood."""

    name: str
    part: str
    replacement: Part
    what: str


@dataclasses.dataclass
class Claim:
    """A published statement that can be checked. Made by `@claim(...)` from its check.

    Main attributes:
        id: stable and unique, `paper/first covered item`.
        paper, item: arXiv id and the place in it; `covers`: ids of the table of predictions.
        status: how sure the source is; `tier`: the cheapest tier that runs it.
        statement: what is claimed, in words (the check's docstring); `title`: its name in words.
        parts: what the check takes from the statement, by name; `mutations`: what may stand there instead.
    """

    id: str
    slug: str
    title: str
    statement: str
    paper: str
    item: str
    covers: tuple[str, ...]
    status: str
    tier: str
    parts: dict[str, Part]
    check: Callable[[Case], Any]
    mutations: list[Mutation] = dataclasses.field(default_factory=list)
    picture: Callable[[Case, Any], Any] | None = None

    @overload
    def mutation(self, part: Part) -> Part: ...
    @overload
    def mutation(self, part: str) -> Callable[[Part], Part]: ...
    def mutation(self, part: str | Part) -> Any:
        """Register an error that the check must reject, as the function that stands in place of a stated
        part.

        `@the_claim.mutation` replaces the only part; `@the_claim.mutation("name")` one of several. The
        function's name and docstring say which error it is.
        """
        if callable(part):
            if len(self.parts) != 1:
                names = ", ".join(map(repr, self.parts))
                raise BadInput(f"claim {self.id}: it states several parts; name the one that is wrong: {names}.")
            return self._mutate(next(iter(self.parts)), part)
        if part not in self.parts:
            raise BadInput(f"claim {self.id}: it states no part {part!r}; it has {', '.join(map(repr, self.parts))}.")
        return lambda function: self._mutate(part, function)

    def _mutate(self, part: str, function: Part) -> Part:
        name = function.__name__
        if any(mutation.name == name for mutation in self.mutations):
            raise BadInput(f"claim {self.id}: it has a mutation {name!r} already; give each error its own name.")
        what = (inspect.getdoc(function) or name.replace("_", " ")).splitlines()[0]
        self.mutations.append(Mutation(name, part, function, what))
        return function

    def figure(self, draw: Callable[[Case, Any], Any]) -> Callable[[Case, Any], Any]:
        """Register the picture of the claim: a function `(case, ax)` that draws one instance on Matplotlib
        axes."""
        self.picture = draw
        return draw

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What a user may set, with where it comes from otherwise: `mf.check(claim, parameters={"beta": 4.0})`."""
        return parameters_of(self.check)

    def stated(self, mutation: Mutation | None = None) -> dict[str, Part]:
        """Return the parts of the statement, one of them replaced by a mutation."""
        return self.parts if mutation is None else {**self.parts, mutation.part: mutation.replacement}

    def __repr__(self) -> str:
        return f"Claim({self.id}: {self.title}; {len(self.mutations)} mutations)"


def claim(
    paper: str,
    item: str,
    *,
    covers: Sequence[str] = (),
    states: Part | Mapping[str, Part],
    status: str = "theorem",
    tier: str = "smoke",
    title: str | None = None,
    id: str | None = None,
) -> Callable[[Callable[[Case], Any]], Claim]:
    """Turn a check `(case)` into a claim, and put it where `mf.check` finds it.

    Main arguments:
        paper: arXiv id.
        item: where in the paper, such as `"(6.7)"`.
        states: the function that says what is claimed, or several by name. The check reads it through
            `case.predict` (one) or `case.statement.<name>` (several), and a mutation stands in the same place.
        covers: ids of the table of predictions, such as `["V5"]`.

    Other arguments:
        status: `"theorem"`, `"derived"`, `"conjecture"`, `"numerical"` or `"erratum"` (the corrected form is
            stated and the printed one is a mutation).
        tier: the cheapest tier that runs it.
        title: default, the function's name in words.
        id: default, `paper/first covered item`, or `paper/function-name` where nothing is covered.

    Raises:
        BadInput: an unknown status or tier, nothing stated, an id that another claim has.

    Example:
        >>> import measureflow as mf
        >>> from measureflow.claims import claim
        >>> @claim("2312.10794", "section 4", states=lambda t, start: mf.theory.cosine_of_two_tokens(
        ...     t, beta=0.0, start=start))
        ... def two_tokens_without_temperature(case):
        ...     '''The cosine of two tokens at beta = 0 is a hyperbolic tangent.'''
        ...     start = case.draw("start", -0.9, 0.9)
        ...     times = [0.5, 1.0, 2.0]
        ...     exact = [math.tanh(t + math.atanh(start)) for t in times]
        ...     case.compare(case.predict(times, start), exact, within=1e-12, because="rounding")
        >>> @two_tokens_without_temperature.mutation
        ... def clock_doubled(times, start):
        ...     return mf.theory.cosine_of_two_tokens([2 * t for t in times], beta=0.0, start=start)
        >>> import math
        >>> mf.check(two_tokens_without_temperature)[0].verdict
        'consistent'
    """
    check_tier("claim", tier)
    if status not in STATUSES:
        raise BadInput(f"claim: status is {status!r}; it is one of {', '.join(map(repr, STATUSES))}.")

    def turn(check: Callable[[Case], Any]) -> Claim:
        slug = check.__name__.replace("_", "-")
        parts = {getattr(states, "__name__", "statement"): states} if callable(states) else dict(states)
        if not parts:
            raise BadInput(f"claim {slug}: it states nothing; give states= a function or several by name.")
        made = Claim(
            id=id or f"{paper}/{covers[0] if covers else slug}",
            slug=slug,
            title=title or check.__name__.replace("_", " "),
            statement=inspect.getdoc(check) or "",
            paper=paper,
            item=item,
            covers=tuple(covers),
            status=status,
            tier=tier,
            parts=parts,
            check=check,
        )
        register(made)
        return made

    return turn

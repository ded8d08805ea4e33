"""An exploration: an open question as a study that can be run, with what it found and no verdict on truth."""

from __future__ import annotations

import dataclasses
import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from measureflow.claims.case import Case
from measureflow.claims.claim import TIERS, check_tier
from measureflow.claims.programs import let_go
from measureflow.claims.registry import Shelf
from measureflow.claims.results import plain
from measureflow.errors import BadInput
from measureflow.measures import as_key

__all__ = ["Exploration", "Findings", "exploration", "explorations", "explore"]

Study = Callable[[Case], Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Exploration:
    """An open question of the literature with a study of it. Made by `@exploration(...)`.

    Main attributes:
        id: stable and unique, `paper/first covered item`.
        paper, item: arXiv id and the place in it; `covers`: ids of the table of open problems.
        question: what is asked, and what is known of it (the study's docstring).
    """

    id: str
    slug: str
    title: str
    question: str
    paper: str
    item: str
    covers: tuple[str, ...]
    study: Study
    picture: list[Callable[[Findings, Any], Any]]

    def figure(self, draw: Callable[[Findings, Any], Any]) -> Callable[[Findings, Any], Any]:
        """Register the picture of the study: a function `(findings, ax)` that draws what was found."""
        self.picture[:] = [draw]
        return draw

    @property
    def tier(self) -> str:
        """An exploration runs at every tier; the tier says how large the study is."""
        return TIERS[0]

    def __repr__(self) -> str:
        return f"Exploration({self.id}: {self.title})"


@dataclasses.dataclass(frozen=True)
class Findings:
    """What one run of an exploration found. There is no verdict: the question stays open.

    Main attributes:
        found: numbers, lists and words by name, as the study gave them.
        instance: the random numbers of the run.
    """

    id: str
    title: str
    question: str
    paper: str
    item: str
    covers: tuple[str, ...]
    found: dict[str, Any]
    instance: dict[str, Any]
    seconds: float
    seed: int
    tier: str
    exploration: Exploration = dataclasses.field(repr=False, compare=False)

    def plot(self, ax: Any) -> Any:
        """Draw what was found on Matplotlib axes; `None` where the study has no picture."""
        return self.exploration.picture[0](self, ax) if self.exploration.picture else None

    def to_json(self) -> dict[str, Any]:
        """Return the findings as plain numbers, strings, lists and dictionaries."""
        names = [field.name for field in dataclasses.fields(self) if field.name != "exploration"]
        fields = {name: getattr(self, name) for name in names}
        return {**plain(fields), "verdict": "exploration"}

    def __str__(self) -> str:
        rows = "".join(f"\n{'':12} {name}: {short(value)}" for name, value in self.found.items())
        return f"{'exploration':12} {self.id:18} {self.title}; {self.seconds:.1f} s{rows}"


SHELF: Shelf[Exploration] = Shelf("exploration")


def exploration(
    paper: str, item: str, *, covers: Sequence[str], title: str | None = None, id: str | None = None
) -> Callable[[Study], Exploration]:
    """Turn a study `(case)` of an open question into an exploration, and put it where `mf.explore` finds it.

    The study draws its instance from the case as the check of a claim does, sizes itself by `case.tier`, and returns
    what it found by name. Its docstring is the question, with what is known.

    Main arguments:
        paper: arXiv id. item: where in the paper. covers: ids of the table of open problems, such as `["P3"]`.

    Other arguments:
        title: default, the function's name in words.
        id: default, `paper/first covered item`.

    Raises:
        BadInput: nothing covered, no question, or an id that another exploration has.
    """

    def turn(study: Study) -> Exploration:
        slug = study.__name__.replace("_", "-")
        question = inspect.getdoc(study) or ""
        if not covers or not question:
            raise BadInput(f"exploration {slug}: say which open problem it covers, and ask it in the docstring.")
        made = Exploration(
            id=id or f"{paper}/{covers[0]}",
            slug=slug,
            title=title or study.__name__.replace("_", " "),
            question=question,
            paper=paper,
            item=item,
            covers=tuple(covers),
            study=study,
            picture=[],
        )
        SHELF.add(made, study)
        return made

    return turn


def explorations() -> list[Exploration]:
    """Return every exploration known, in order of definition.

    Example:
        >>> import measureflow as mf
        >>> all(one.question for one in mf.claims.explorations())
        True
    """
    return SHELF.all()


def explore(
    wanted: Any = None,
    *,
    tier: str = "smoke",
    seed: int = 0,
    progress: Callable[[int, int, str], Any] | None = None,
) -> list[Findings]:
    """Run explorations and return what they found.

    Main arguments:
        wanted: an id, a paper, a covered item (`"P3"`), an exploration, or a list of these; `None` is all.
        tier: `"smoke"` (seconds), `"standard"` (minutes) or `"full"`: how large each study is.
        seed: draws the instances.

    Other arguments:
        progress: called as `progress(done, total, title)` before each study and once at the end.

    Raises:
        BadInput: nothing goes by a name (the nearest are given), an unknown tier, or a seed that is none.
    """
    as_key(seed)
    check_tier("explore", tier)
    chosen = SHELF.find(wanted)
    findings = []
    for done, one in enumerate(chosen):
        if progress is not None:
            progress(done, len(chosen), one.title)
        began = time.perf_counter()
        case = Case(one.id, {}, seed=seed, tier=tier)
        found = dict(one.study(case))
        about = {name: getattr(one, name) for name in ("id", "title", "question", "paper", "item", "covers")}
        seconds = time.perf_counter() - began
        run = {"instance": case.instance, "seconds": seconds, "seed": seed, "tier": tier, "exploration": one}
        findings.append(Findings(**about, found=found, **run))
        let_go()
    if progress is not None:
        progress(len(chosen), len(chosen), "")
    return findings


def short(value: Any) -> str:
    """Show a finding in a line: numbers with four digits."""
    value = plain(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        shown = [short(one) for one in value[:12]]
        return f"[{', '.join(shown)}{', ...' if len(value) > 12 else ''}]"
    if isinstance(value, dict):
        return ", ".join(f"{name} {short(part)}" for name, part in value.items())
    return str(value)

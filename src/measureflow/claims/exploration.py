"""An exploration: an open question as a study that can be run, with what it found and no verdict on truth."""

from __future__ import annotations

import dataclasses
import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from measureflow.claims.case import Case, NotApplicable
from measureflow.claims.claim import TIERS, check_tier
from measureflow.claims.parameters import Parameter, check_names, has, parameters_of
from measureflow.claims.programs import let_go
from measureflow.claims.recipes import command_of, read_recipe
from measureflow.claims.registry import Shelf
from measureflow.claims.results import plain
from measureflow.errors import BadInput
from measureflow.measures import as_key
from measureflow.paths.style import figure, house

__all__ = [
    "Exploration", "Findings", "exploration", "explorations", "explore", "explored", "find_explorations", "replica",
]  # fmt: skip

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

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What a user may set, with where it comes from otherwise."""
        return parameters_of(self.study)

    def __repr__(self) -> str:
        return f"Exploration({self.id}: {self.title})"


@dataclasses.dataclass(frozen=True)
class Findings:
    """What one run of an exploration found. There is no verdict: the question stays open.

    Main attributes:
        found: numbers, lists and words by name, as the study gave them.
        instance: what the run drew, chose or was given; parameters: what of it was set by the user.
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
    parameters: dict[str, Any]
    exploration: Exploration = dataclasses.field(repr=False, compare=False)

    def plot(self, ax: Any) -> Any:
        """Draw what was found on Matplotlib axes; `None` where the study has no picture."""
        return self.exploration.picture[0](self, ax) if self.exploration.picture else None

    def draw(self) -> Any:
        """Return a figure of what was found; `None` where the study has no picture."""
        if not self.exploration.picture:
            return None
        with house():
            drawing = figure(9, 5)
            self.plot(drawing.subplots())
        return drawing

    @property
    def command(self) -> str:
        """The command that finds this again."""
        return command_of("explore", self.id, self.tier, self.seed, plain(self.parameters))

    def to_json(self) -> dict[str, Any]:
        """Return the findings as plain numbers, strings, lists and dictionaries."""
        names = [field.name for field in dataclasses.fields(self) if field.name != "exploration"]
        fields = {name: getattr(self, name) for name in names}
        return {**plain(fields), "command": self.command, "verdict": "exploration"}

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


def find_explorations(wanted: Any = None) -> list[Exploration]:
    """Return the explorations that an id, a paper, a covered item or several of these stand for.

    Raises:
        BadInput: nothing goes by that name; the nearest names are given.
    """
    return SHELF.find(wanted)


def explore(
    wanted: Any = None,
    *,
    tier: str = "smoke",
    seed: int = 0,
    parameters: Mapping[str, Any] | None = None,
    progress: Callable[[int, int, str], Any] | None = None,
) -> list[Findings]:
    """Run explorations and return what they found.

    Main arguments:
        wanted: an id, a paper, a covered item (`"P3"`), an exploration, or a list of these; `None` is all.
            Or a recipe with `explorations`, `tier`, `seed` and `parameters`.
        tier: `"smoke"` (seconds), `"standard"` (minutes) or `"full"`: how large each study is.
        seed: draws the instances.
        parameters: values that stand for what the studies draw, choose or fix; `exploration.parameters` lists them.

    Other arguments:
        progress: called as `progress(done, total, title)` before each study and once at the end.

    Raises:
        BadInput: nothing goes by a name (the nearest are given), an unknown tier, a seed that is none, a parameter
            that no study asked for has, a value of the wrong kind, or one for which a study makes no sense.
    """
    return list(explored(wanted, tier=tier, seed=seed, parameters=parameters, progress=progress))


def explored(
    wanted: Any = None,
    *,
    tier: str = "smoke",
    seed: int = 0,
    parameters: Mapping[str, Any] | None = None,
    progress: Callable[[int, int, str], Any] | None = None,
) -> Iterator[Findings]:
    """Run explorations as `explore` does, and give what each found as soon as it is there.

    Raises:
        BadInput: as `explore`, before any work starts.
    """
    if isinstance(wanted, Mapping):
        wanted, tier, seed, parameters = read_recipe("explore", "explorations", wanted, parameters)
    as_key(seed)
    check_tier("explore", tier)
    chosen = SHELF.find(wanted)
    check_names("explore", chosen, parameters or {})
    return in_turn(chosen, {"seed": seed, "tier": tier, "parameters": parameters}, progress or (lambda *doing: None))


def in_turn(
    chosen: Sequence[Exploration], how: dict[str, Any], progress: Callable[[int, int, str], Any]
) -> Iterator[Findings]:
    """Run one after the other."""
    for done, one in enumerate(chosen):
        progress(done, len(chosen), one.title)
        began = time.perf_counter()
        case = Case(one.id, {}, **how)
        try:
            found = dict(one.study(case))
        except NotApplicable as unmet:
            raise BadInput(f"explore: {one.id} needs that {unmet}; this does not hold here.") from None
        about = {name: getattr(one, name) for name in ("id", "title", "question", "paper", "item", "covers")}
        seconds = time.perf_counter() - began
        used = {name: value for name, value in case.parameters.items() if has(one, name)}
        run = {"instance": used | case.instance, "seconds": seconds, "seed": how["seed"], "tier": how["tier"]}
        yield Findings(**about, found=found, **run, parameters=used, exploration=one)
        let_go()
    progress(len(chosen), len(chosen), "")


def replica(case: Case, name: Any) -> Case:
    """Return a case of its own for one of the many starts of a study: it draws anew, and takes what the user set."""
    return Case(f"{case.name} {name}", {}, seed=case.seed, tier=case.tier, parameters=case.parameters)


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

"""Which claims, explorations and figures there are, and how one is found: by id, paper, covered item or name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from measureflow.errors import BadInput

if TYPE_CHECKING:
    from measureflow.claims.claim import Claim

__all__ = ["Shelf", "all", "find", "register"]


class Named(Protocol):
    """What goes by names: its id, its paper, its slug, and what it covers."""

    @property
    def id(self) -> str: ...
    @property
    def slug(self) -> str: ...
    @property
    def paper(self) -> str: ...
    @property
    def covers(self) -> tuple[str, ...]: ...


One = TypeVar("One", bound=Named)


class Shelf(Generic[One]):
    """Things of one kind by id, in order of definition.

    Attributes:
        kind: what they are called, in the singular; `verb`: the command that runs them, for errors.
    """

    def __init__(self, kind: str, verb: str = "explore") -> None:
        self.kind = kind
        self.verb = verb
        self.things: dict[str, One] = {}
        self.sources: dict[str, tuple[str, str]] = {}

    def add(self, thing: One, source: Callable[..., Any]) -> None:
        """Add a thing; the same function defined again (a notebook cell run twice) replaces itself."""
        where = source.__module__, source.__qualname__
        if self.sources.get(thing.id, where) != where:
            other = self.things[thing.id].slug
            raise BadInput(
                f"{self.kind} {thing.id}: {other!r} has this id already; give {thing.slug!r} another with id=."
            )
        self.things[thing.id] = thing
        self.sources[thing.id] = where

    def all(self) -> list[One]:
        """Return everything, in order of definition."""
        return list(self.things.values())

    def find(self, wanted: Any) -> list[One]:
        """Return what an id, a paper, a covered item, a name, a thing or several of these stand for.

        `None` stands for all. Each comes once, in the order asked for.

        Raises:
            BadInput: nothing goes by that name; the nearest names are given.
        """
        if wanted is None:
            return self.all()
        if isinstance(wanted, str):
            return self.named(wanted)
        if hasattr(wanted, "slug"):
            return [wanted]
        if isinstance(wanted, Iterable):
            found = [thing for one in wanted for thing in self.find(one)]
            return list({thing.id: thing for thing in found}.values())
        raise BadInput(
            f"{self.verb}: {wanted!r} is no {self.kind}; give an id such as '2312.10794/V5', a paper, or a list of "
            f"these."
        )

    def named(self, name: str) -> list[One]:
        """Return what goes by a name."""
        key = name.strip().lower()
        if found := [thing for thing in self.all() if key in names_of(thing)]:
            return found
        known = sorted({one for thing in self.all() for one in names_of(thing)})
        near = difflib.get_close_matches(key, known, n=4, cutoff=0.5) or sorted({thing.paper for thing in self.all()})
        shown = {one: one for one in known}
        shown |= {one.lower(): one for thing in self.all() for one in (thing.id, *thing.covers)}
        raise BadInput(
            f"{self.verb}: no {self.kind} goes by {name!r}; the nearest are {', '.join(shown[one] for one in near)}. "
            f"`measureflow {self.verb}` without ids runs all of them."
        )


def names_of(thing: Named) -> set[str]:
    """Return what a thing may be called, in lower case."""
    plain = {thing.id, thing.paper, thing.slug, thing.slug.replace("-", "_"), *thing.covers}
    return {name.lower() for name in plain}


CLAIMS: Shelf[Claim] = Shelf("claim", "check")


def register(claim: Claim) -> None:
    """Add a claim."""
    CLAIMS.add(claim, claim.check)


def all() -> list[Claim]:
    """Return every claim known, the library's and your own, in order of definition.

    Example:
        >>> import measureflow as mf
        >>> [claim.id for claim in mf.claims.all() if "V5" in claim.covers]
        ['2312.10794/V5']
    """
    return CLAIMS.all()


def find(wanted: Any) -> list[Claim]:
    """Return the claims that an id, a paper, a covered item, a name, a claim or several of these stand for.

    `None` stands for all of them. Each claim comes once, in the order asked for.

    Raises:
        BadInput: nothing goes by that name; the nearest names are given.
    """
    return CLAIMS.find(wanted)

"""Which claims there are, and how one is found: by id, paper, covered item or name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from measureflow.errors import BadInput

if TYPE_CHECKING:
    from measureflow.claims.claim import Claim

__all__ = ["all", "find", "register"]

CLAIMS: dict[str, Claim] = {}


def register(claim: Claim) -> None:
    """Add a claim; the same function defined again (a notebook cell run twice) replaces itself."""
    other = CLAIMS.get(claim.id)
    if other is not None and source_of(other) != source_of(claim):
        raise BadInput(f"claim {claim.id}: {other.slug!r} has this id already; give {claim.slug!r} another with id=.")
    CLAIMS[claim.id] = claim


def source_of(claim: Claim) -> tuple[str, str]:
    """Return where the check of a claim is defined."""
    return claim.check.__module__, claim.check.__qualname__


def all() -> list[Claim]:
    """Return every claim known, the library's and your own, in order of definition.

    Example:
        >>> import measureflow as mf
        >>> [claim.id for claim in mf.claims.all() if "V5" in claim.covers]
        ['2312.10794/V5']
    """
    return list(CLAIMS.values())


def find(wanted: Any) -> list[Claim]:
    """Return the claims that an id, a paper, a covered item, a name, a claim or several of these stand for.

    `None` stands for all of them. Each claim comes once, in the order asked for.

    Raises:
        BadInput: nothing goes by that name; the nearest names are given.
    """
    if wanted is None:
        return all()
    if isinstance(wanted, str):
        return named(wanted)
    if hasattr(wanted, "check") and hasattr(wanted, "parts"):
        return [wanted]
    if isinstance(wanted, Iterable):
        found = [claim for one in wanted for claim in find(one)]
        return list({claim.id: claim for claim in found}.values())
    raise BadInput(f"check: {wanted!r} is no claim; give an id such as '2312.10794/V5', a paper, or a list of these.")


def named(name: str) -> list[Claim]:
    """Return the claims that go by a name."""
    key = name.strip().lower()
    names = [(claim, names_of(claim)) for claim in CLAIMS.values()]
    if found := [claim for claim, own in names if key in own]:
        return found
    known = sorted({one for _, own in names for one in own})
    near = difflib.get_close_matches(key, known, n=4, cutoff=0.5) or sorted({claim.paper for claim in all()})
    shown = {one: one for one in known} | {one.lower(): one for claim in all() for one in (claim.id, *claim.covers)}
    raise BadInput(
        f"check: no claim goes by {name!r}; the nearest are {', '.join(shown[one] for one in near)}. "
        f"`measureflow check` without ids runs all of them."
    )


def names_of(claim: Claim) -> set[str]:
    """Return what a claim may be called, in lower case."""
    plain = {claim.id, claim.paper, claim.slug, claim.slug.replace("-", "_"), *claim.covers}
    return {name.lower() for name in plain}

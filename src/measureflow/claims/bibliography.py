"""The papers that claims and predictions rest on: BibTeX entries by arXiv id, DOI or key."""

from __future__ import annotations

import difflib
import functools
import re
from importlib.resources import files

from measureflow.errors import BadInput

__all__ = ["entries", "entry", "key"]

ENTRY = re.compile(r"^@\w+\{(?P<key>[^,]+),\n.*?^\}", flags=re.MULTILINE | re.DOTALL)
FIELD = re.compile(r"^\s*(?P<name>eprint|doi)\s*=\s*\{(?P<value>[^}]*)\}", flags=re.MULTILINE)


@functools.cache
def entries() -> dict[str, str]:
    """Return every BibTeX entry by its key, in the order of the file.

    Example:
        >>> from measureflow.claims import bibliography
        >>> "geshkovski2025perspective" in bibliography.entries()
        True
    """
    text = files("measureflow.claims").joinpath("bibliography.bib").read_text("utf-8")
    return {found["key"].strip(): found.group(0) for found in ENTRY.finditer(text)}


@functools.cache
def names() -> dict[str, str]:
    """Return the key of every name that an entry goes by: its key, arXiv id and DOI."""
    known = {}
    for own, text in entries().items():
        known[own.lower()] = own
        known |= {found["value"].strip().lower(): own for found in FIELD.finditer(text)}
    return known


def key(name: str) -> str:
    """Return the key of the entry that goes by an arXiv id (with or without version), a DOI or a key.

    Raises:
        BadInput: no entry goes by that name; the nearest names are given.

    Example:
        >>> from measureflow.claims import bibliography
        >>> bibliography.key("2312.10794v4")
        'geshkovski2025perspective'
    """
    plain = re.sub(r"^arxiv:", "", name.strip().lower())
    plain = re.sub(r"^(\d{4}\.\d{4,5})v\d+$", r"\1", plain)
    if plain not in names():
        near = difflib.get_close_matches(plain, names(), n=3, cutoff=0.4)
        hint = f"the nearest are {', '.join(near)}" if near else f"there are {len(entries())} entries"
        raise BadInput(f"cite: the bibliography has no entry {name!r}; {hint}.")
    return names()[plain]


def entry(name: str) -> str:
    """Return the BibTeX entry that goes by an arXiv id, a DOI or a key.

    Raises:
        BadInput: no entry goes by that name; the nearest names are given.

    Example:
        >>> from measureflow.claims import bibliography
        >>> bibliography.entry("2312.10794").splitlines()[0]
        '@article{geshkovski2025perspective,'
    """
    return entries()[key(name)]

"""The one error of the library: bad input, said in one line that names the value and the cure."""

from __future__ import annotations

__all__ = ["BadInput"]


class BadInput(ValueError):
    """Raised before any work starts, with one line that names the offending value and what to do instead.

    The command line prints that line and ends with exit code 2.
    """

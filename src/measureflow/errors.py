"""The one error of the library: bad input, said in one line that names the value and the cure."""

from __future__ import annotations

import re

__all__ = ["BadInput"]


class BadInput(ValueError):
    """Raised before any work starts, with one line that names the offending value and what to do instead.

    The command line prints that line and ends with exit code 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(re.sub(r"\s*\n\s*", " ", message))  # a value's own repr may have several lines

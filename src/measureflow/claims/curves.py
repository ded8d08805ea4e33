"""What a comparison of a check held, entry by entry, small enough to keep for a picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from measureflow.errors import BadInput

__all__ = ["MOST", "Curve"]

#: more entries than this are thinned: a picture shows no more
MOST = 1000


@dataclasses.dataclass(frozen=True)
class Curve:
    """A comparison, whole: what was measured, what is stated, and the tolerance, along some axis.

    Main attributes:
        name: what is compared. sense: `"equal"`, `"at least"` or `"at most"`: how measured stands to stated.
        measured, stated, within: one number per entry.
        axis, places: what the entries run along; their number where the check does not say.
        entries: how many there were before thinning, which keeps the one that fits worst.
        deviation: its error in tolerances.
    """

    name: str
    sense: str
    measured: np.ndarray
    stated: np.ndarray
    within: np.ndarray
    axis: str
    places: np.ndarray
    entries: int
    deviation: float

    @classmethod
    def of(
        cls,
        name: str,
        sense: str,
        measured: np.ndarray,
        stated: np.ndarray,
        within: np.ndarray,
        over: Mapping[str, Any] | None,
        worst: int,
        deviation: float,
    ) -> Curve:
        """Return the curve of arrays of one shape; `over` names what the entries run along, in that shape or along
        its last axis, and `worst` is the entry that fits worst.

        Raises:
            BadInput: `over` has several axes, or another number of values than there are entries.
        """
        axis, places = "", np.arange(measured.size, dtype=float)
        if over is not None:
            if len(over) != 1:
                raise BadInput(f"claim: a comparison {name!r} runs over one axis, such as over={{'t': times}}.")
            ((axis, values),) = over.items()
            try:
                places = np.broadcast_to(np.asarray(values, dtype=float), measured.shape).ravel()
            except ValueError:
                shapes = f"{np.shape(values)} for entries of shape {measured.shape}"
                raise BadInput(f"claim: a comparison {name!r} is over {axis} of shape {shapes}.") from None
        kept: Any = slice(None)
        if measured.size > MOST:
            kept = np.unique(np.append(np.linspace(0, measured.size - 1, MOST).astype(int), worst))
        # copies: a view would keep the whole array
        found, said, near, along = (
            np.array(part.ravel()[kept], dtype=float) for part in (measured, stated, within, places)
        )
        return cls(name, sense, found, said, near, axis, along, measured.size, float(deviation))

"""Observables by name, so that a run can be told in words what to record."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from measureflow.errors import BadInput
from measureflow.observables.clusters import clusters
from measureflow.observables.cosines import (
    cosine,
    cosine_histogram,
    cosines,
    order_parameter,
    overlap,
    smallest_cosine,
)
from measureflow.observables.energies import dissipation, energy, participation, raw_dissipation, raw_energy
from measureflow.observables.marginals import column_sums, marginal_error
from measureflow.observables.ranks import effective_rank, participation_rank
from measureflow.observables.slopes import metric_slope, metric_speed, mobility

__all__ = ["NAMED", "named"]

Observable = Callable[..., Any]

#: what `record=("energy", ...)` may name; each takes a measure, and `field=` where it depends on one
NAMED: dict[str, Observable] = {
    "energy": lambda mu, field: energy(mu, field=field),
    "participation": lambda mu, field: participation(mu, field=field),
    "dissipation": dissipation,
    "raw_dissipation": raw_dissipation,
    "raw_energy": lambda mu, field: raw_energy(mu, field=field),
    "metric_slope": metric_slope,
    "metric_speed": metric_speed,
    "mobility": mobility,
    "clusters": lambda mu: clusters(mu).count,
    "membership": lambda mu: clusters(mu).membership,
    "cosine": cosine,
    "centred_cosine": lambda mu: cosine(mu, centred=True),
    "cosines": cosines,
    "smallest_cosine": smallest_cosine,
    "cosine_histogram": lambda mu: cosine_histogram(mu).fraction,
    "centred_cosine_histogram": lambda mu: cosine_histogram(mu, centred=True).fraction,
    "order_parameter": order_parameter,
    "overlap": overlap,
    "effective_rank": effective_rank,
    "centred_effective_rank": lambda mu: effective_rank(mu, centred=True),
    "participation_rank": participation_rank,
    "column_sums": column_sums,
    "marginal_error": marginal_error,
}


def named(name: str) -> Observable:
    """Return the observable of a name.

    Raises:
        BadInput: no observable has that name (the nearest known one is named).

    Example:
        >>> import measureflow as mf
        >>> from measureflow.observables import named
        >>> int(named("clusters")(mf.equiangular(n=4, cosine=1.0)))
        1
    """
    if name in NAMED:
        return NAMED[name]
    near = difflib.get_close_matches(name, NAMED, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise BadInput(f"record names {name!r}, which is no observable; {hint}Known are {', '.join(NAMED)}.")

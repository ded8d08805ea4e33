"""What is seen: functionals of a measure, or of a measure and a field, at one depth or along a path."""

from measureflow.observables.clusters import Clusters, clusters
from measureflow.observables.cosines import (
    Histogram,
    cosine,
    cosine_histogram,
    cosines,
    order_parameter,
    overlap,
    smallest_cosine,
)
from measureflow.observables.energies import dissipation, energy, participation, raw_dissipation, raw_energy
from measureflow.observables.jacobians import jacobian, jacobian_product
from measureflow.observables.lyapunov import Spectrum, lyapunov
from measureflow.observables.plateaus import Lifetimes, Plateaus, plateaus
from measureflow.observables.ranks import effective_rank, participation_rank
from measureflow.observables.registry import NAMED, named

__all__ = [
    "NAMED",
    "Clusters",
    "Histogram",
    "Lifetimes",
    "Plateaus",
    "Spectrum",
    "clusters",
    "cosine",
    "cosine_histogram",
    "cosines",
    "dissipation",
    "effective_rank",
    "energy",
    "jacobian",
    "jacobian_product",
    "lyapunov",
    "named",
    "order_parameter",
    "overlap",
    "participation",
    "participation_rank",
    "plateaus",
    "raw_dissipation",
    "raw_energy",
    "smallest_cosine",
]

"""What is seen: functionals of a measure, or of a measure and a field, at one depth or along a path."""

from measureflow.observables.attending import (
    Unscaled,
    attention,
    eigenfunctionals,
    leaders,
    levels,
    numerical_rank,
    unscaled,
)
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
from measureflow.observables.gradients import gradient_part
from measureflow.observables.hulls import Hull, distance_to_hull, hull
from measureflow.observables.jacobians import jacobian, jacobian_product
from measureflow.observables.lyapunov import Spectrum, lyapunov
from measureflow.observables.marginals import column_sums, marginal_error
from measureflow.observables.plateaus import Lifetimes, Plateaus, plateaus
from measureflow.observables.ranks import effective_rank, participation_rank
from measureflow.observables.registry import NAMED, named
from measureflow.observables.regularity import Stretch, lipschitz, stretch
from measureflow.observables.slopes import (
    EnergyBalance,
    asymmetry,
    energy_balance,
    metric_slope,
    metric_speed,
    mobility,
    partition,
)
from measureflow.observables.transport import wasserstein

__all__ = [
    "NAMED",
    "Clusters",
    "EnergyBalance",
    "Histogram",
    "Hull",
    "Lifetimes",
    "Plateaus",
    "Spectrum",
    "Stretch",
    "Unscaled",
    "asymmetry",
    "attention",
    "clusters",
    "column_sums",
    "cosine",
    "cosine_histogram",
    "cosines",
    "dissipation",
    "distance_to_hull",
    "effective_rank",
    "eigenfunctionals",
    "energy",
    "energy_balance",
    "gradient_part",
    "hull",
    "jacobian",
    "jacobian_product",
    "leaders",
    "levels",
    "lipschitz",
    "lyapunov",
    "marginal_error",
    "metric_slope",
    "metric_speed",
    "mobility",
    "named",
    "numerical_rank",
    "order_parameter",
    "overlap",
    "participation",
    "participation_rank",
    "partition",
    "plateaus",
    "raw_dissipation",
    "raw_energy",
    "smallest_cosine",
    "stretch",
    "unscaled",
    "wasserstein",
]

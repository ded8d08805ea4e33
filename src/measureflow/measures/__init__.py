"""What is moved: measures on a space, and the laws from which their tokens are drawn. Knows nothing of fields."""

from measureflow.measures.density import Density
from measureflow.measures.distances import (
    mmd,
    optimal_plan,
    sinkhorn_divergence,
    sliced_wasserstein,
    wasserstein,
    wasserstein_on_circle,
)
from measureflow.measures.gaussians import Gaussian
from measureflow.measures.grids import Circle, Grid, Meridian, Sphere2
from measureflow.measures.laws import cap, equiangular, gaussian, mixture, uniform, von_mises_fisher
from measureflow.measures.measure import Measure, measure_kind
from measureflow.measures.seeds import as_key
from measureflow.measures.tokens import Tokens, as_tokens
from measureflow.measures.transport import Plan

__all__ = [
    "Circle",
    "Density",
    "Gaussian",
    "Grid",
    "Measure",
    "Meridian",
    "Plan",
    "Sphere2",
    "Tokens",
    "as_key",
    "as_tokens",
    "cap",
    "equiangular",
    "gaussian",
    "measure_kind",
    "mixture",
    "mmd",
    "optimal_plan",
    "sinkhorn_divergence",
    "sliced_wasserstein",
    "uniform",
    "von_mises_fisher",
    "wasserstein",
    "wasserstein_on_circle",
]

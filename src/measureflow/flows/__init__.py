"""How depth runs: the discrete layer map, and the flow with controlled error. Knows nothing of what is predicted."""

from measureflow.flows.conditions import Condition, Consensus, Meeting, Overlap, Stationary, log_times
from measureflow.flows.ensembles import Ensemble, ensemble
from measureflow.flows.equiangular import Equiangular, equiangular
from measureflow.flows.flow import flow
from measureflow.flows.geodesics import Geodesic, wasserstein_m
from measureflow.flows.gram import gram
from measureflow.flows.layers import layers
from measureflow.flows.minimising import minimising_movements
from measureflow.flows.noisy import Splitting
from measureflow.flows.reduction import Span, span_reduction
from measureflow.flows.solver import Adaptive
from measureflow.flows.stairs import Stairs, stairs

__all__ = [
    "Adaptive",
    "Condition",
    "Consensus",
    "Ensemble",
    "Equiangular",
    "Geodesic",
    "Meeting",
    "Overlap",
    "Span",
    "Splitting",
    "Stairs",
    "Stationary",
    "ensemble",
    "equiangular",
    "flow",
    "gram",
    "layers",
    "log_times",
    "minimising_movements",
    "span_reduction",
    "stairs",
    "wasserstein_m",
]

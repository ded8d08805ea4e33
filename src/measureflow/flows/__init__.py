"""How depth runs: the discrete layer map, and the flow with controlled error. Knows nothing of what is predicted."""

from measureflow.flows.compare import Discretisation, compare
from measureflow.flows.conditions import Condition, Consensus, Meeting, Overlap, Spread, Stationary, log_times
from measureflow.flows.ensembles import Ensemble, ensemble
from measureflow.flows.equiangular import Equiangular, equiangular
from measureflow.flows.flow import flow
from measureflow.flows.geodesics import Geodesic, wasserstein_m
from measureflow.flows.gram import gram
from measureflow.flows.layers import layers
from measureflow.flows.limits import Limit
from measureflow.flows.minimising import minimising_movements
from measureflow.flows.noisy import Splitting
from measureflow.flows.phase_maps import PhaseMap, phase_map
from measureflow.flows.reduction import Span, span_reduction
from measureflow.flows.rest import Rest, come_to_rest
from measureflow.flows.reversal import memory_free_layers, reconstruct
from measureflow.flows.solver import Adaptive
from measureflow.flows.stairs import Stairs, stairs
from measureflow.flows.stationary import StationaryMeasure, continued, stationary

__all__ = [
    "Adaptive",
    "Condition",
    "Consensus",
    "Discretisation",
    "Ensemble",
    "Equiangular",
    "Geodesic",
    "Limit",
    "Meeting",
    "Overlap",
    "PhaseMap",
    "Rest",
    "Span",
    "Splitting",
    "Spread",
    "Stairs",
    "Stationary",
    "StationaryMeasure",
    "come_to_rest",
    "compare",
    "continued",
    "ensemble",
    "equiangular",
    "flow",
    "gram",
    "layers",
    "log_times",
    "memory_free_layers",
    "minimising_movements",
    "phase_map",
    "reconstruct",
    "span_reduction",
    "stairs",
    "stationary",
    "wasserstein_m",
]

"""How depth runs: the discrete layer map, and the flow with controlled error. Knows nothing of what is predicted."""

from measureflow.flows.compare import Discretisation, compare
from measureflow.flows.conditions import Condition, Consensus, Meeting, Overlap, Spread, Stationary, log_times
from measureflow.flows.ensembles import Ensemble, ensemble
from measureflow.flows.equiangular import Equiangular, equiangular
from measureflow.flows.flow import flow
from measureflow.flows.gram import gram
from measureflow.flows.layers import layers
from measureflow.flows.noisy import Splitting
from measureflow.flows.reduction import Span, span_reduction
from measureflow.flows.reversal import (
    memory_free_layers,
    reconstruct,
)
from measureflow.flows.solver import Adaptive
from measureflow.flows.stairs import Stairs, stairs

__all__ = [
    "Adaptive",
    "Condition",
    "Consensus",
    "Discretisation",
    "Ensemble",
    "Equiangular",
    "Meeting",
    "Overlap",
    "Span",
    "Splitting",
    "Spread",
    "Stairs",
    "Stationary",
    "compare",
    "ensemble",
    "equiangular",
    "flow",
    "gram",
    "layers",
    "log_times",
    "memory_free_layers",
    "reconstruct",
    "span_reduction",
    "stairs",
]

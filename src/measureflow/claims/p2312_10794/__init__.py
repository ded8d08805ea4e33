"""Claims of arXiv:2312.10794, a mathematical perspective on transformers: one module per theme of the paper."""

from measureflow.claims.p2312_10794 import (
    clustering,
    consensus,
    densities,
    equiangular,
    hemispheres,
    invariants,
    masses,
    mean_field,
    open_limits,
    open_repulsion,
    phase_diagrams,
    phase_figures,
    repulsion,
    saddles,
    stability,
    thresholds,
)

__all__ = [
    "clustering",
    "consensus",
    "densities",
    "equiangular",
    "hemispheres",
    "invariants",
    "masses",
    "mean_field",
    "open_limits",
    "open_repulsion",
    "phase_diagrams",
    "phase_figures",
    "repulsion",
    "saddles",
    "stability",
    "thresholds",
]

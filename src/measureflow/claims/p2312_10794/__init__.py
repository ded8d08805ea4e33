"""Claims of arXiv:2312.10794, a mathematical perspective on transformers: one module per theme of the paper."""

from measureflow.claims.p2312_10794 import (
    consensus,
    densities,
    equiangular,
    invariants,
    masses,
    mean_field,
    phase_diagrams,
    phase_figures,
    saddles,
    thresholds,
)

__all__ = [
    "consensus",
    "densities",
    "equiangular",
    "invariants",
    "masses",
    "mean_field",
    "phase_diagrams",
    "phase_figures",
    "saddles",
    "thresholds",
]

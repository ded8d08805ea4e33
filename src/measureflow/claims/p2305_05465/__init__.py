"""Claims of arXiv:2305.05465, the emergence of clusters in self-attention dynamics: tokens without a layer norm."""

from measureflow.claims.p2305_05465 import (
    alberts,
    boolean,
    figures,
    hulls,
    hyperplanes,
    open_shapes,
    perceptrons,
    repulsive,
    well_posed,
)

__all__ = [
    "alberts",
    "boolean",
    "figures",
    "hulls",
    "hyperplanes",
    "open_shapes",
    "perceptrons",
    "repulsive",
    "well_posed",
]

"""Claims of arXiv:2501.03096, self-attention with layer normalisation as a gradient flow: one module per theme."""

from measureflow.claims.p2501_03096 import (
    metric,
    minimising_movements,
    open_geometry,
    particles,
)

__all__ = [
    "metric",
    "minimising_movements",
    "open_geometry",
    "particles",
]

"""Claims of arXiv:2501.18322, Gaussian dynamics of deep transformers: one module per theme."""

from measureflow.claims.p2501_18322 import (
    cones,
    growth,
    linear,
    questions,
    ranks,
    sinkhorn,
    softmax,
    stability,
    structure,
)

__all__ = [
    "cones",
    "growth",
    "linear",
    "questions",
    "ranks",
    "sinkhorn",
    "softmax",
    "stability",
    "structure",
]

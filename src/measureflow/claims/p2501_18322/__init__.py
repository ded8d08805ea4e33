"""Claims of arXiv:2501.18322, Gaussian dynamics of deep transformers: one module per theme."""

from measureflow.claims.p2501_18322 import (
    growth,
    linear,
    ranks,
    sinkhorn,
    softmax,
)

__all__ = [
    "growth",
    "linear",
    "ranks",
    "sinkhorn",
    "softmax",
]

"""Claims of arXiv:2501.03096, the mean-field dynamics of self-attention with layer normalisation."""

from measureflow.claims.p2501_03096 import (
    extreme_figures,
    extremes,
    four_tokens,
    minimisers,
    open_minimisers,
)

__all__ = [
    "extreme_figures",
    "extremes",
    "four_tokens",
    "minimisers",
    "open_minimisers",
]

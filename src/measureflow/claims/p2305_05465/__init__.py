"""Claims of arXiv:2305.05465, the emergence of clusters in self-attention dynamics: tokens without a layer norm."""

from measureflow.claims.p2305_05465 import boolean, figures, hulls, hyperplanes, perceptrons, repulsive

__all__ = ["boolean", "figures", "hulls", "hyperplanes", "perceptrons", "repulsive"]

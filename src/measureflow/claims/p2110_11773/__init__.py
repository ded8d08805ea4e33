"""Claims of arXiv:2110.11773, Sinkformers: transformers with doubly stochastic attention."""

from measureflow.claims.p2110_11773 import classifiers, figures, gradients, heat, invariants, open_stretch

__all__ = ["classifiers", "figures", "gradients", "heat", "invariants", "open_stretch"]

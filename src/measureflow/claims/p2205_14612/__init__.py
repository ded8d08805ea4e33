"""Claims of arXiv:2205.14612, whether residual networks discretise equations: orders, bounds, training, reversal."""

from measureflow.claims.p2205_14612 import bounds, figures, linear, open_depth, orders, rough

__all__ = ["bounds", "figures", "linear", "open_depth", "orders", "rough"]

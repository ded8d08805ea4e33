"""Claims of arXiv:2411.04990, clustering in causal attention masking: one module per theme."""

from measureflow.claims.p2411_04990 import centres, limits, open_limits

__all__ = ["centres", "limits", "open_limits"]

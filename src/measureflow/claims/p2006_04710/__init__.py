"""Claims of arXiv:2006.04710, the Lipschitz constant of self-attention: why none exists for dot products, and L2."""

from measureflow.claims.p2006_04710 import l2

__all__ = ["l2"]

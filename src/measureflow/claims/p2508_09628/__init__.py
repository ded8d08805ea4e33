"""Claims of arXiv:2508.09628: attention's forward pass as Frank-Wolfe steps over the tokens' own hull."""

from measureflow.claims.p2508_09628 import hard_layers, metastable

__all__ = ["hard_layers", "metastable"]

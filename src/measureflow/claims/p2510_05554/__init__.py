"""Claims of arXiv:2510.05554, critical attention scaling: layers on a long context, at beta = gamma log n."""

from measureflow.claims.p2510_05554 import blocks, equiangular, open_inputs, open_layers

__all__ = ["blocks", "equiangular", "open_inputs", "open_layers"]

"""Claims of arXiv:2606.05140, phase transitions of the noisy transformer model in arbitrary dimension."""

from measureflow.claims.p2606_05140 import phases, states

__all__ = ["phases", "states"]

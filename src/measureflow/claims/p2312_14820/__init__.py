"""Claims of arXiv:2312.14820, how smooth is attention: its Jacobian, bounds on it, and what comes near them."""

from measureflow.claims.p2312_14820 import bounds, figures, growth, limits, open_samples, open_text

__all__ = ["bounds", "figures", "growth", "limits", "open_samples", "open_text"]

"""Claims and figures of arXiv:2410.23228, emergence of meta-stable clustering in mean-field transformer models."""

from measureflow.claims.p2410_23228 import figures, linear_phase, quasi_linear

__all__ = ["figures", "linear_phase", "quasi_linear"]

"""Claims and figures of arXiv:2410.23228, emergence of meta-stable clustering in mean-field transformer models."""

from measureflow.claims.p2410_23228 import clustering_phase, figures, linear_phase, particles, quasi_linear, schemes

__all__ = ["clustering_phase", "figures", "linear_phase", "particles", "quasi_linear", "schemes"]

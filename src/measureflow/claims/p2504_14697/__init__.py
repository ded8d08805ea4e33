"""Claims of arXiv:2504.14697, quantitative clustering in mean-field transformer models."""

from measureflow.claims.p2504_14697 import gathering, near_points, several_clusters

__all__ = ["gathering", "near_points", "several_clusters"]

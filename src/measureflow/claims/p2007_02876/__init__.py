"""Claims of arXiv:2007.02876, a mathematical theory of attention: a nonlinear Markov kernel, and what it contracts."""

from measureflow.claims.p2007_02876 import constants, contraction, entropy

__all__ = ["constants", "contraction", "entropy"]

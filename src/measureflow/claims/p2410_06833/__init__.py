"""Claims of arXiv:2410.06833, dynamic metastability in the self-attention model: one module per theme."""

from measureflow.claims.p2410_06833 import (
    caps,
    counts,
    energy_clock,
    lemma,
    pictures,
    profiles,
    questions,
    separated,
    slow_motion,
    spectra,
    steps,
)

__all__ = [
    "caps",
    "counts",
    "energy_clock",
    "lemma",
    "pictures",
    "profiles",
    "questions",
    "separated",
    "slow_motion",
    "spectra",
    "steps",
]

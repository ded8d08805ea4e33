"""Claims of arXiv:2501.03096, self-attention with layer normalisation as a gradient flow: one module per theme."""

from __future__ import annotations

from measureflow.claims.p2501_03096 import (
    continua,
    counterweights,
    dissipation,
    extreme_figures,
    extremes,
    families,
    four_tokens,
    metric,
    minimisers,
    minimising_movements,
    open_geometry,
    open_minimisers,
    open_questions,
    open_variants,
    particles,
    phase_map,
    rates,
    rotation,
    samples,
    thresholds,
)

__all__ = [
    "continua",
    "counterweights",
    "dissipation",
    "extreme_figures",
    "extremes",
    "families",
    "four_tokens",
    "metric",
    "minimisers",
    "minimising_movements",
    "open_geometry",
    "open_minimisers",
    "open_questions",
    "open_variants",
    "particles",
    "phase_map",
    "rates",
    "rotation",
    "samples",
    "thresholds",
]

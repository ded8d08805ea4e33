"""What moves a measure: scores, weightings, masks, heads, perceptrons, schedules, and where the layer norm stands."""

from measureflow.fields.attention import MultiHead, SelfAttention
from measureflow.fields.field import Field, Parallel, ranks_of
from measureflow.fields.kernel import AttentionKernel
from measureflow.fields.masks import Causal, Mask
from measureflow.fields.normalisations import Free, Normalisation, PostLN, default_normalisation
from measureflow.fields.paced import NearestPair, Pace, Paced, SpeedOfEnergy
from measureflow.fields.perceptron import Perceptron
from measureflow.fields.schedule import Schedule
from measureflow.fields.scores import L2, Dot, Score
from measureflow.fields.summing import all_exact, resolution, settled, sums_of, with_sums
from measureflow.fields.weightings import Softmax, Unnormalised, Weighting

__all__ = [
    "L2",
    "AttentionKernel",
    "Causal",
    "Dot",
    "Field",
    "Free",
    "Mask",
    "MultiHead",
    "NearestPair",
    "Normalisation",
    "Pace",
    "Paced",
    "Parallel",
    "Perceptron",
    "PostLN",
    "Schedule",
    "Score",
    "SelfAttention",
    "Softmax",
    "SpeedOfEnergy",
    "Unnormalised",
    "Weighting",
    "all_exact",
    "default_normalisation",
    "ranks_of",
    "resolution",
    "settled",
    "sums_of",
    "with_sums",
]

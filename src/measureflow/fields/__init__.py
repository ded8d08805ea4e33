"""What moves a measure: scores, weightings, masks, heads, perceptrons, schedules, and where the layer norm stands."""

from measureflow.fields.attention import MultiHead, SelfAttention
from measureflow.fields.field import Field, Parallel, ranks_of
from measureflow.fields.gradients import gradient_attention
from measureflow.fields.interpolated import Interpolated
from measureflow.fields.kernel import AttentionKernel
from measureflow.fields.layer_norm import LayerNorm
from measureflow.fields.masks import Causal, Mask
from measureflow.fields.normalisation import Free, Normalisation, Scheme
from measureflow.fields.normalisations import NGPT, MixLN, PeriLN, PostLN, PreLN, SqrtLN, default_normalisation
from measureflow.fields.normalised import Normalised, motion_under
from measureflow.fields.paced import NearestPair, Pace, Paced, SpeedOfEnergy
from measureflow.fields.perceptron import Perceptron
from measureflow.fields.rescaled import RescaledAttention
from measureflow.fields.schedule import Schedule
from measureflow.fields.scores import L2, Dot, Score
from measureflow.fields.summing import all_exact, resolution, settled, sums_of, with_sums
from measureflow.fields.weightings import Hardmax, Linear, Sinkhorn, Softmax, Unnormalised, Weighting

__all__ = [
    "L2",
    "NGPT",
    "AttentionKernel",
    "Causal",
    "Dot",
    "Field",
    "Free",
    "Hardmax",
    "Interpolated",
    "LayerNorm",
    "Linear",
    "Mask",
    "MixLN",
    "MultiHead",
    "NearestPair",
    "Normalisation",
    "Normalised",
    "Pace",
    "Paced",
    "Parallel",
    "Perceptron",
    "PeriLN",
    "PostLN",
    "PreLN",
    "RescaledAttention",
    "Schedule",
    "Scheme",
    "Score",
    "SelfAttention",
    "Sinkhorn",
    "Softmax",
    "SpeedOfEnergy",
    "SqrtLN",
    "Unnormalised",
    "Weighting",
    "all_exact",
    "default_normalisation",
    "gradient_attention",
    "motion_under",
    "ranks_of",
    "resolution",
    "settled",
    "sums_of",
    "with_sums",
]

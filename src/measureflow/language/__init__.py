"""A real transformer: families of checkpoints, weights as fields, the path of a text through them."""

from measureflow.language.blocks import Attention, LayerNorm, TrainedPerceptron
from measureflow.language.config import Config
from measureflow.language.families import FAMILIES
from measureflow.language.loading import export, load
from measureflow.language.model import Transformer
from measureflow.language.tracing import trace

__all__ = [
    "FAMILIES",
    "Attention",
    "Config",
    "LayerNorm",
    "TrainedPerceptron",
    "Transformer",
    "export",
    "load",
    "trace",
]

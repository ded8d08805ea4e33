"""ALBERT: post-norm layers that share their weights in groups, and a narrower embedding, arXiv:1909.11942."""

from measureflow.language.config import Key, size
from measureflow.language.families.bert import ENCODER_FIXED, ENCODER_KEYS
from measureflow.language.tables import COLUMNS, PLAIN, ROWS, Family

__all__ = ["ALBERT"]

LAYER = "encoder.albert_layer_groups.{group}.albert_layers.{place}"

ALBERT = Family(
    name="albert",
    keys=ENCODER_KEYS
    | {
        "embedding": Key(("embedding_size",), size(1_000_000)),
        "groups": Key(("num_hidden_groups",), size(1_000), 1),
        "inner": Key(("inner_group_num",), size(1_000), 1),
    },
    fixed=ENCODER_FIXED,
    leaves={
        "embedding.words": ("embeddings.word_embeddings.weight", PLAIN),
        "embedding.positions": ("embeddings.position_embeddings.weight", PLAIN),
        "embedding.types": ("embeddings.token_type_embeddings.weight", PLAIN),
        "embedding.norm.gain": ("embeddings.LayerNorm.weight", PLAIN),
        "embedding.norm.bias": ("embeddings.LayerNorm.bias", PLAIN),
        "embedding.widen.weight": ("encoder.embedding_hidden_mapping_in.weight", PLAIN),
        "embedding.widen.bias": ("encoder.embedding_hidden_mapping_in.bias", PLAIN),
    }
    | {
        f"blocks.{{block}}.{ours}": (f"{LAYER}.{theirs}", rule)
        for ours, theirs, rule in [
            ("attention.query.weight", "attention.query.weight", ROWS),
            ("attention.query.bias", "attention.query.bias", ROWS),
            ("attention.key.weight", "attention.key.weight", ROWS),
            ("attention.key.bias", "attention.key.bias", ROWS),
            ("attention.value.weight", "attention.value.weight", ROWS),
            ("attention.value.bias", "attention.value.bias", ROWS),
            ("attention.join.weight", "attention.dense.weight", COLUMNS),
            ("attention.join.bias", "attention.dense.bias", PLAIN),
            ("attention.norm.gain", "attention.LayerNorm.weight", PLAIN),
            ("attention.norm.bias", "attention.LayerNorm.bias", PLAIN),
            ("perceptron.inner.weight", "ffn.weight", PLAIN),
            ("perceptron.inner.bias", "ffn.bias", PLAIN),
            ("perceptron.outer.weight", "ffn_output.weight", PLAIN),
            ("perceptron.outer.bias", "ffn_output.bias", PLAIN),
            ("perceptron.norm.gain", "full_layer_layer_norm.weight", PLAIN),
            ("perceptron.norm.bias", "full_layer_layer_norm.bias", PLAIN),
        ]
    },
    prefixes=("", "albert."),
    spellings={
        "LayerNorm.gamma": "LayerNorm.weight",
        "LayerNorm.beta": "LayerNorm.bias",
        "layer_norm.gamma": "layer_norm.weight",
        "layer_norm.beta": "layer_norm.bias",
    },
    ignored=(
        "embeddings.position_ids",
        "embeddings.token_type_ids",
        "pooler.weight",
        "pooler.bias",
        "predictions.*",
        "sop_classifier.*",
        "classifier.weight",
        "classifier.bias",
        "qa_outputs.weight",
        "qa_outputs.bias",
    ),
)

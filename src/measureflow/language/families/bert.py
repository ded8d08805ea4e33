"""BERT: distinct post-norm layers, learned positions, arXiv:1810.04805."""

from measureflow.language.activations import ACTIVATIONS
from measureflow.language.config import Key, index, one_of, positive, size
from measureflow.language.tables import COLUMNS, PLAIN, ROWS, Family

__all__ = ["BERT", "ENCODER_FIXED", "ENCODER_KEYS"]

ENCODER_KEYS = {
    "vocabulary": Key(("vocab_size",), size(10_000_000)),
    "positions": Key(("max_position_embeddings",), size(10_000_000)),
    "token_types": Key(("type_vocab_size",), size(10_000)),
    "width": Key(("hidden_size",), size(1_000_000)),
    "layers": Key(("num_hidden_layers",), size(1_000)),
    "heads": Key(("num_attention_heads",), size(10_000)),
    "perceptron": Key(("intermediate_size",), size(10_000_000)),
    "activation": Key(("hidden_act",), one_of(ACTIVATIONS)),
    "epsilon": Key(("layer_norm_eps",), positive, 1e-12),
    "pad": Key(("pad_token_id",), index, 0),
}
ENCODER_FIXED = {
    "position_embedding_type": ("absolute",),
    "is_decoder": (False,),
    "add_cross_attention": (False,),
    "cross_attention_hidden_size": (None,),
    "pruned_heads": ({},),
}
LAYER = "encoder.layer.{block}"

BERT = Family(
    name="bert",
    keys=ENCODER_KEYS,
    fixed=ENCODER_FIXED,
    leaves={
        "embedding.words": ("embeddings.word_embeddings.weight", PLAIN),
        "embedding.positions": ("embeddings.position_embeddings.weight", PLAIN),
        "embedding.types": ("embeddings.token_type_embeddings.weight", PLAIN),
        "embedding.norm.gain": ("embeddings.LayerNorm.weight", PLAIN),
        "embedding.norm.bias": ("embeddings.LayerNorm.bias", PLAIN),
    }
    | {
        f"blocks.{{block}}.{ours}": (f"{LAYER}.{theirs}", rule)
        for ours, theirs, rule in [
            ("attention.query.weight", "attention.self.query.weight", ROWS),
            ("attention.query.bias", "attention.self.query.bias", ROWS),
            ("attention.key.weight", "attention.self.key.weight", ROWS),
            ("attention.key.bias", "attention.self.key.bias", ROWS),
            ("attention.value.weight", "attention.self.value.weight", ROWS),
            ("attention.value.bias", "attention.self.value.bias", ROWS),
            ("attention.join.weight", "attention.output.dense.weight", COLUMNS),
            ("attention.join.bias", "attention.output.dense.bias", PLAIN),
            ("attention.norm.gain", "attention.output.LayerNorm.weight", PLAIN),
            ("attention.norm.bias", "attention.output.LayerNorm.bias", PLAIN),
            ("perceptron.inner.weight", "intermediate.dense.weight", PLAIN),
            ("perceptron.inner.bias", "intermediate.dense.bias", PLAIN),
            ("perceptron.outer.weight", "output.dense.weight", PLAIN),
            ("perceptron.outer.bias", "output.dense.bias", PLAIN),
            ("perceptron.norm.gain", "output.LayerNorm.weight", PLAIN),
            ("perceptron.norm.bias", "output.LayerNorm.bias", PLAIN),
        ]
    },
    prefixes=("", "bert."),
    spellings={"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"},
    ignored=(
        "embeddings.position_ids",
        "embeddings.token_type_ids",
        "pooler.dense.weight",
        "pooler.dense.bias",
        "cls.predictions.*",
        "cls.seq_relationship.*",
        "classifier.weight",
        "classifier.bias",
        "qa_outputs.weight",
        "qa_outputs.bias",
    ),
)

"""The shape of a trained transformer: `Config`, and how it is read, strictly, from a `config.json`.

A key of the file is either used, known to be irrelevant to the forward pass, or refused by name: a key that
is silently dropped may be the one that changes the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measureflow.errors import BadInput
from measureflow.fields import Softmax, Weighting
from measureflow.language.strict import parse, quoted

__all__ = ["Config", "Key", "read_json"]

LARGEST_FILE = 16_000_000
IRRELEVANT = frozenset(  # training, decoding, labels and book-keeping: nothing here enters a hidden state
    """
    _attn_implementation _name_or_path architectures attention_dropout attention_probs_dropout_prob
    auto_map bad_words_ids begin_suppress_tokens bos_token_id classifier_dropout classifier_dropout_prob
    chunk_size_feed_forward cls_token_id decoder_start_token_id directionality diversity_penalty do_sample
    down_scale_factor dtype early_stopping encoder_no_repeat_ngram_size eos_token_id eos_token_ids
    exponential_decay_length_penalty finetuning_task forced_bos_token_id forced_eos_token_id gap_size
    gradient_checkpointing hidden_dropout_prob id2label initializer_range is_encoder_decoder label2id
    length_penalty max_length mask_token_id min_length model_max_length net_structure_type
    no_repeat_ngram_size num_beam_groups num_beams num_labels num_memory_blocks num_return_sequences
    output_attentions output_hidden_states output_past output_scores pad_token_id pooler_fc_size
    pooler_num_attention_heads pooler_num_fc_layers pooler_size_per_head pooler_type prefix problem_type
    remove_invalid_values repetition_penalty return_dict return_dict_in_generate sep_token_id
    suppress_tokens task_specific_params temperature tf_legacy_loss tie_encoder_decoder
    tie_word_embeddings tokenizer_class top_k top_p torch_dtype torchscript transformers_version typical_p
    unk_token_id use_bfloat16 use_cache
    """.split()  # noqa: SIM905 (a column of words reads better)
)


@dataclass(frozen=True)
class Config:
    """The numbers that fix the shapes and the arithmetic of a trained transformer.

    Main arguments:
        family: the family of checkpoints, such as `"bert"`; `mf.language.FAMILIES` names them all.
        vocabulary, positions, token_types: rows of the three embedding tables.
        width: dimension `d` in which the tokens move.
        layers: layers as trained, each an attention and a perceptron.
        heads: attention heads `h`; each has width `d / h`.
        perceptron: inner width of the perceptron.
        activation: its nonlinearity, as spelled in `config.json`.
        epsilon: what the layer norms add to the variance.

    Other arguments:
        embedding: width of the embedding tables where an affine map widens them (ALBERT); else 0.
        groups, inner: ALBERT's sharing: `layers` run through `groups` groups of `inner` distinct layers each;
            `groups = 0` where nothing is shared.
        pad: the id that fills a shorter text of a batch.
        weighting: what every head does with its logits: `mf.fields.Softmax()`, as trained, or another.
    """

    family: str
    vocabulary: int
    positions: int
    token_types: int
    width: int
    layers: int
    heads: int
    perceptron: int
    activation: str
    epsilon: float
    embedding: int = 0
    groups: int = 0
    inner: int = 1
    pad: int = 0
    weighting: Weighting = Softmax()  # noqa: RUF009 (it has no state)

    @property
    def depth(self) -> int:
        """Layers as trained, those inside a group counted one by one."""
        return self.layers * self.inner

    @property
    def distinct(self) -> int:
        """Layers with weights of their own."""
        return self.groups * self.inner if self.groups else self.layers

    def order(self, depth: int) -> list[int]:
        """Return which distinct layer stands at each of the first `depth` places.

        A network whose layers are all one group can be run deeper than it was trained: the group goes on.
        """
        if not self.groups:
            return list(range(depth))
        groups = [int(layer / (self.layers / self.groups)) for layer in range(self.layers)]
        return [groups[min(at // self.inner, self.layers - 1)] * self.inner + at % self.inner for at in range(depth)]


@dataclass(frozen=True)
class Key:
    """How one number stands in `config.json`: spellings (new and old), its check, its default if any."""

    spellings: tuple[str, ...]
    check: Callable[[Any], str | None]
    default: Any = None


def size(largest: int) -> Callable[[Any], str | None]:
    """Return the check for a whole number in `1 .. largest`."""

    def check(value: Any) -> str | None:
        good = type(value) is int and 1 <= value <= largest
        return None if good else f"a whole number in 1 .. {largest:,}"

    return check


def positive(value: Any) -> str | None:
    """Check for a positive finite number below one."""
    good = type(value) is float and 0 < value < 1
    return None if good else "a number between 0 and 1"


def one_of(names: Mapping[str, Any]) -> Callable[[Any], str | None]:
    """Return the check for one of the names given."""
    return lambda value: None if isinstance(value, str) and value in names else f"one of {', '.join(sorted(names))}"


def index(value: Any) -> str | None:
    """Check for a token id."""
    return None if type(value) is int and value >= 0 else "a token id, a whole number >= 0"


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file of at most 16 MB; `BadInput` names what is wrong with it."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            size = f"{path.stat().st_size:,} bytes"
            raise BadInput(f"{path.name} has {size}; at most {LARGEST_FILE:,} are read. Fetch it again.")
        text = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}); check that you may read it.") from None
    try:
        table = parse(text)
    except ValueError as error:
        raise BadInput(f"{path.name} is no valid JSON ({error}); fetch it again.") from None
    if not isinstance(table, dict):
        raise BadInput(f"{path.name} holds no table of keys; fetch it again.")
    return table


def read_config(
    table: dict[str, Any],
    family: str,
    keys: Mapping[str, Key],
    fixed: Mapping[str, tuple[Any, ...]],
    ignore: tuple[str, ...] = (),
) -> Config:
    """Build a `Config` from the keys of a `config.json`.

    `keys` says where each field of `Config` comes from; `fixed` names keys that must have one of the given
    values, because another value means arithmetic that the family's blocks do not do; `ignore` names keys to
    drop.
    """
    table = {key: value for key, value in table.items() if key not in ignore}
    rest = {key: value for key, value in table.items() if key not in IRRELEVANT and key != "model_type"}
    for key, allowed in fixed.items():
        if key in rest and rest[key] not in allowed:
            raise BadInput(
                f"config.json: {key} is {quoted(rest[key])}; the {family} blocks here compute "
                f"{quoted(allowed[0])} only. Load another checkpoint."
            )
        rest.pop(key, None)
    values: dict[str, Any] = {"family": family}
    missing = []
    for field, key in keys.items():
        there = [name for name in key.spellings if table.get(name) is not None]
        if not there and key.default is None:
            missing.append(key.spellings[0])
            continue
        values[field] = key.default if not there else table[there[0]]
        wanted = key.check(values[field]) if there else None
        if wanted is not None:
            raise BadInput(f"config.json: {there[0]} is {quoted(values[field])}; it must be {wanted}.")
        for name in key.spellings:
            rest.pop(name, None)
    if missing:
        raise BadInput(f"config.json lacks {', '.join(missing)}, which a {family} checkpoint needs; fetch it again.")
    if rest:
        names = sorted(map(quoted, rest))
        raise BadInput(
            f"config.json has keys that {family} does not know: {', '.join(names[:20])}. They may change the "
            f"model; if they do not, say so: mf.load(..., ignore=({', '.join(names[:20])},))."
        )
    return checked(Config(**values))


def checked(config: Config) -> Config:
    """Check the numbers against each other."""
    if config.width % config.heads:
        raise BadInput(
            f"config.json: {config.heads} heads do not divide the width {config.width}; "
            "num_attention_heads must divide hidden_size."
        )
    return config

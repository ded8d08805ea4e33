"""A trained transformer: an embedding, distinct layers, and the sequence of fields that they make."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from measureflow.errors import BadInput
from measureflow.fields import Field, Softmax, Weighting
from measureflow.fields.weightings import as_weighting
from measureflow.language.blocks import Affine, Attention, Block, Heads, Join, LayerNorm, TrainedPerceptron
from measureflow.language.config import Config
from measureflow.language.embedding import Embedding
from measureflow.language.tokenisers import Tokeniser
from measureflow.measures import Tokens
from measureflow.spaces import Euclidean

__all__ = ["Transformer", "assemble"]


class Transformer(eqx.Module):
    """A trained transformer as a sequence of fields on `Euclidean(d)`, made by `mf.load`.

    `mf.layers(model.embed(text), model.fields)` is its forward pass: what `mf.trace(model, text)` returns.

    Attributes:
        embedding: what puts tokens into space.
        blocks: the distinct layers, each with an `attention` and a `perceptron` field.
        config: the numbers that fix its shapes.
        tokeniser: what cuts texts, or `None` (then token ids are needed).
        name: how it was asked for.
    """

    embedding: Embedding
    blocks: tuple[Block, ...]
    config: Config = eqx.field(static=True)
    tokeniser: Tokeniser | None = eqx.field(static=True)
    name: str = eqx.field(static=True)

    @property
    def fields(self) -> tuple[Field, ...]:
        """The sub-layers in the order they act, two for each layer as trained."""
        return self.sublayers()

    def sublayers(self, depth: int | None = None) -> tuple[Field, ...]:
        """Return the sub-layers of the first `depth` layers, two for each (`None`: as trained).

        Raises:
            BadInput: `depth` is negative, or more than was trained while layers have weights of their own.
        """
        trained = self.config.depth
        depth = trained if depth is None else depth
        if isinstance(depth, bool) or not isinstance(depth, (int, np.integer)) or depth < 0:
            raise BadInput(f"depth is {depth!r}; it must be a number of layers, >= 0.")
        if depth > trained and self.config.groups != 1:
            raise BadInput(
                f"depth is {depth}, but {self.name} has {trained} layers whose weights differ; only a model "
                f"that shares one set of weights (ALBERT) goes on past its depth. Give depth <= {trained}."
            )
        at = [self.blocks[block] for block in self.config.order(int(depth))]
        return tuple(field for block in at for field in (block.attention, block.perceptron))

    def attending(self, weighting: str | Weighting) -> Transformer:
        """Return the same weights with another weighting in every head: `"sinkhorn"`, or `mf.fields.Sinkhorn(...)`.

        The checkpoint was trained with softmax; what it does with another is for you to see (arXiv:2110.11773
        trains, or goes on training, with the other).

        Raises:
            BadInput: a weighting that is none.

        Example:
            >>> import measureflow as mf
            >>> model = mf.load("all-minilm-l6-v2").attending("sinkhorn")  # doctest: +SKIP
        """
        chosen = as_weighting(weighting)
        blocks = tuple(
            dataclasses.replace(block, attention=dataclasses.replace(block.attention, weighting=chosen))
            for block in self.blocks
        )
        return dataclasses.replace(self, blocks=blocks, config=dataclasses.replace(self.config, weighting=chosen))

    def encode(self, text: str | Sequence[int] | Any) -> list[int]:
        """Return the token ids of a text (with special tokens), or check ids given as integers.

        Raises:
            BadInput: no tokeniser, an id outside the vocabulary, or more tokens than the model has positions.
        """
        if isinstance(text, str):
            if self.tokeniser is None:
                raise BadInput(
                    f"{self.name} came without tokenizer.json or vocab.txt, so a text cannot be cut; give "
                    "token ids, or the characters it was trained on: mf.load(..., characters='...')."
                )
            ids = self.tokeniser.encode(text)
        else:
            ids = whole_ids(text)
        if not ids:
            raise BadInput("the text has no tokens; give at least one.")
        size = self.config.vocabulary
        wrong = [token for token in ids if not 0 <= token < size]
        if wrong:
            raise BadInput(f"token id {wrong[0]} is outside the vocabulary of {self.name}, 0 .. {size - 1}.")
        if len(ids) > self.config.positions:
            raise BadInput(
                f"the text has {len(ids):,} tokens and {self.name} has {self.config.positions:,} positions; "
                "shorten it, or trace it in pieces."
            )
        return ids

    def word(self, token: int) -> str:
        """Return the word (piece) of a token id, or the id in digits."""
        return str(token) if self.tokeniser is None else self.tokeniser.word(token)

    def embed(self, text: Any, *, present: Any = None, positions: Any = None, token_types: Any = None) -> Tokens:
        """Put a text into space: its tokens after the embedding, before the first layer.

        Main arguments:
            text: a text, or token ids.

        Other arguments:
            present: `(n,)` booleans; a token that is not present (padding) neither moves nor pulls.
            positions: `(n,)` places in the text that the embedding uses, default `0 .. n-1`, padding counted.
            token_types: `(n,)` integers, default 0 (BERT's first segment).

        Raises:
            BadInput: as `encode`; a position or a token type that the model does not have.
        """
        ids = self.encode(text)
        places = rows_of(positions, np.arange(len(ids)), self.config.positions, "positions")
        types = rows_of(token_types, np.zeros(len(ids)), self.config.token_types, "token_types")
        points = embedded(self.embedding, jnp.asarray(ids, jnp.int32), places, types)
        return Tokens(
            Euclidean(self.config.width),
            points,
            positions=places,
            present=present,
            labels=[self.word(token) for token in ids],
        )

    def __repr__(self) -> str:
        c = self.config
        shared = f", {c.distinct} distinct" if c.groups else ""
        heads = "" if c.weighting == Softmax() else f" of {c.weighting!r}"
        numbers = sum(leaf.size for leaf in jax.tree.leaves(self))
        return (
            f"Transformer({self.name!r}: {c.family.upper()}, {c.depth} layers{shared}, width {c.width}, "
            f"{c.heads} heads{heads}, perceptron {c.perceptron}, vocabulary {c.vocabulary:,}, {c.positions:,} "
            f"positions, {numbers:,} parameters)"
        )


@eqx.filter_jit
def embedded(embedding: Embedding, words: Array, positions: Array, types: Array) -> Array:
    """Compile the embedding once per number of tokens."""
    return embedding(words, positions, types)


def whole_ids(values: Any) -> list[int]:
    """Return token ids as integers, or raise `BadInput` where they are something else."""
    try:
        ids = np.asarray(values)
    except ValueError:
        ids = np.asarray(None)
    if ids.ndim != 1 or (ids.size and not np.issubdtype(ids.dtype, np.integer)):
        raise BadInput(
            f"token ids have shape {ids.shape} and dtype {ids.dtype}; give a text or a list of whole numbers."
        )
    return [int(token) for token in ids]


def rows_of(given: Any, default: np.ndarray, count: int, name: str) -> Int[Array, "n"]:
    """Return the rows of an embedding table, one per token, checked against its length."""
    rows = np.asarray(default if given is None else given)
    if rows.shape != default.shape:
        raise BadInput(f"{name} have shape {rows.shape}; give one for each of the {len(default)} tokens.")
    if given is not None and not np.issubdtype(rows.dtype, np.integer):
        raise BadInput(f"{name} have dtype {rows.dtype}; they must be integers.")
    if rows.min() < 0 or rows.max() >= count:
        raise BadInput(f"{name} lie in {rows.min()} .. {rows.max()}; the model has 0 .. {count - 1}.")
    return jnp.asarray(rows, jnp.int32)


def assemble(
    config: Config, leaf: Callable[..., Any], *, tokeniser: Tokeniser | None = None, name: str = "model"
) -> Transformer:
    """Return a transformer of the given shape; `leaf(*shape)` makes each of its arrays."""
    d, e = config.width, config.embedding or config.width
    h, k = config.heads, config.width // config.heads

    def norm(width: int) -> LayerNorm:
        return LayerNorm(leaf(width), leaf(width), config.epsilon)

    def block() -> Block:
        attention = Attention(
            query=Heads(leaf(h, k, d), leaf(h, k)),
            key=Heads(leaf(h, k, d), leaf(h, k)),
            value=Heads(leaf(h, k, d), leaf(h, k)),
            join=Join(leaf(d, h, k), leaf(d)),
            norm=norm(d),
            weighting=config.weighting,
        )
        inner, outer = (
            Affine(leaf(config.perceptron, d), leaf(config.perceptron)),
            Affine(leaf(d, config.perceptron), leaf(d)),
        )
        return Block(attention, TrainedPerceptron(inner, outer, norm(d), config.activation))

    embedding = Embedding(
        words=leaf(config.vocabulary, e),
        positions=leaf(config.positions, e),
        types=leaf(config.token_types, e),
        norm=norm(e),
        widen=Affine(leaf(d, e), leaf(d)) if config.embedding else None,
    )
    return Transformer(embedding, tuple(block() for _ in range(config.distinct)), config, tokeniser, name)

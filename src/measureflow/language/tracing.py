"""Tracing: a text through a trained model, as the path that its tokens take."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from measureflow.errors import BadInput
from measureflow.fields import Field
from measureflow.flows import layers
from measureflow.language.model import Transformer
from measureflow.measures import Tokens
from measureflow.paths import Path, Recipe
from measureflow.paths.recipe import describe, fingerprint

__all__ = ["trace"]

#: hidden states share a mean direction that hides their angles, so both readings are recorded
RAW_AND_CENTRED = ("cosine", "centred_cosine", "effective_rank", "centred_effective_rank")


def trace(
    model: Transformer, text: Any, depth: int | None = None, *, keep: Any = "all", record: Any = RAW_AND_CENTRED
) -> Path:
    """Follow the tokens of a text through a trained model: every hidden state, as a `Path` on `Euclidean(d)`.

    Times are layers, 0 (after the embedding) to `depth`; labels are the tokens' words. One text gives what
    `mf.layers(model.embed(text), model.fields)` gives.

    Main arguments:
        model: a model of `mf.load`.
        text: a text; or its token ids; or tokens of `model.embed` (masked, or moved by you); or a list of texts or
            of lists of ids.
        depth: layers to run; `None` is as trained. A model that shares its weights (ALBERT) can go deeper.

    Other arguments:
        keep: `"all"`, `"last"`, `"sublayers"` (each half of a layer too) or indices, as in `layers`.
        record: as in `layers`; by default the mean cosine and the effective rank, raw and about the mean.

    Of several texts the path is a batch, as `jax.vmap` makes it: `points (b, s, n, d)` with n the most tokens of a
    text, the others padded on the right; `path.measure.present (b, s, n)` says which are there (padding neither
    moves nor pulls), and `labels` is one tuple of words per text.

    Raises:
        BadInput: no model; a text that cannot be cut or is longer than the model's positions; a depth that the
            model does not have.

    Example:
        >>> import measureflow as mf
        >>> model = mf.load("all-minilm-l6-v2")  # doctest: +SKIP
        >>> path = mf.trace(model, "A transformer moves a measure.")  # doctest: +SKIP
        >>> mf.observe.cosine(path, centred=True)  # doctest: +SKIP
    """
    if not isinstance(model, Transformer):
        raise BadInput(f"trace: model is {type(model).__name__}; give a model, such as mf.load(folder).")
    fields = model.sublayers(depth)
    if not fields:
        raise BadInput("trace: depth is 0; it must be a number of layers, at least 1.")
    recipe = recipe_of(model, text, depth=len(fields) // 2, keep=keep, record=record)
    if is_several(text):
        path = trace_batch(model, list(text), fields, keep, record)
    else:
        tokens = text if isinstance(text, Tokens) else model.embed(text)
        if tokens.d != model.config.width:
            raise BadInput(f"trace: tokens lie in R^{tokens.d} and {model.name} moves them in R^{model.config.width}.")
        path = layers(tokens, fields, keep=keep, record=record)
    return dataclasses.replace(path, recipe=recipe)


def is_several(text: Any) -> bool:
    """Tell whether these are several texts: a sequence of texts, or of sequences of ids."""
    if isinstance(text, (str, Tokens)) or not isinstance(text, (Sequence, np.ndarray, jax.Array)):
        return False
    return len(text) > 0 and (isinstance(text[0], str) or np.ndim(text[0]) > 0)


def trace_batch(model: Transformer, texts: list[Any], fields: tuple[Field, ...], keep: Any, record: Any) -> Path:
    """Trace several texts at once, padded on the right to the longest."""
    ids = [model.encode(text) for text in texts]
    longest = max(map(len, ids))
    rows = [
        model.embed(row + [model.config.pad] * (longest - len(row)), present=np.arange(longest) < len(row))
        for row in ids
    ]
    labels = tuple(row.labels for row in rows)
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(row.replace(labels=None) for row in rows))
    path = eqx.filter_vmap(lambda tokens: layers(tokens, fields, keep=keep, record=record))(batch)
    # the fields once, not one copy of the weights per text
    return dataclasses.replace(path, field=fields, measure=path.tokens.replace(labels=labels))


def recipe_of(model: Transformer, text: Any, **options: Any) -> Recipe:
    """Return the recipe of a trace: the model by name and by the hash of its weights, and the text itself."""
    named = {"name": model.name, "family": model.config.family, "rebuildable": False}
    weights = fingerprint((model.embedding, model.blocks))
    return Recipe.of("trace", model={**named, "sha256": weights}, text=describe(text), **options)

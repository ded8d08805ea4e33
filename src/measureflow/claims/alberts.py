"""The ALBERT of the published figures: one trained layer that is run again and again, where such a model is at hand."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import jax
import jax.numpy as jnp

from measureflow.claims.case import Case
from measureflow.claims.traces import words_in_classes
from measureflow.errors import BadInput
from measureflow.language import Config, Transformer, load
from measureflow.language.model import assemble

__all__ = ["PLACE", "albert_of_figures", "context_of", "random_albert"]

#: the variable of the environment that names a folder, or a hub name, of a trained ALBERT
PLACE = "MEASUREFLOW_ALBERT"
PUBLISHED = "albert-xlarge-v2"
#: tokens of the published paragraph, and the deviation of ALBERT's weights before training
TOKENS, INITIAL = 300, 0.02


def albert_of_figures(case: Case) -> tuple[Transformer, str]:
    """Return a model of shared weights, and what it is in words.

    That of the parameter `model` (a folder or a hub name), which `MEASUREFLOW_ALBERT` sets too, else the published one
    where it is found, else a network of its shape as it is before training; at the tier smoke a small one of those.
    """
    wanted = case.given("model", "" if case.tier == "smoke" else os.environ.get(PLACE, ""))
    if case.tier == "smoke" and not wanted:
        return random_albert(case, width=48, heads=4, layers=6), "a small ALBERT with random weights"
    try:
        model = load(wanted or PUBLISHED)
    except BadInput:
        if wanted:
            raise
        return random_albert(case), f"random weights in the shape of {PUBLISHED}, which was not found"
    if model.config.groups != 1:
        raise BadInput(f"model ({PLACE}) is {wanted!r}: its layers are not one, repeated; give an ALBERT of one group.")
    return model, f"{model.name}, as trained"


def random_albert(case: Case, *, width: int = 2048, heads: int = 16, layers: int = 24) -> Transformer:
    """Return an ALBERT as it is before training: normal weights, norms without bias."""
    rng = case.generator("weights")
    config = Config(
        family="albert", vocabulary=1000, positions=512, token_types=2, width=width, layers=layers, heads=heads,
        perceptron=4 * width, activation="gelu", epsilon=1e-12, embedding=min(width, 128), groups=1,
    )  # fmt: skip
    made = assemble(config, lambda *shape: jnp.asarray(INITIAL * rng.normal(size=shape), jnp.float32), name="random")

    def begun(path: Any, leaf: Any) -> Any:
        name = getattr(path[-1], "name", "")
        return jnp.ones_like(leaf) if name == "gain" else jnp.zeros_like(leaf) if name == "bias" else leaf

    parts = {name: getattr(made, name) for name in ("embedding", "blocks")}
    return dataclasses.replace(made, **jax.tree_util.tree_map_with_path(begun, parts))


def context_of(case: Case, model: Transformer) -> Any:
    """Return a context of at least 300 tokens where the model has as many positions: words, or ids drawn at random for
    a model that reads no English."""
    rng, most = case.generator("context"), min(40 if case.tier == "smoke" else TOKENS, model.config.positions)
    if model.tokeniser is not None:
        text = " ".join(words_in_classes(rng, 8) for _ in range(6))
        ids = list(model.tokeniser.encode(text))
        if len(ids) < 2 * len(text.split()):  # words, where letters would be five times as many
            return ids[: min(2 * TOKENS, model.config.positions)]
    return rng.integers(0, model.config.vocabulary, most).tolist()

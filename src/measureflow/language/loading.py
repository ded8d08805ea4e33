"""From a folder of files to a model: `load`, and `export` for the way back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from measureflow.errors import BadInput
from measureflow.language import tables
from measureflow.language.config import read_config, read_json
from measureflow.language.families import FAMILIES
from measureflow.language.folders import WEIGHTS, find_folder
from measureflow.language.model import Transformer, assemble
from measureflow.language.strict import quoted
from measureflow.language.tensors import CURE_PICKLE, read_header
from measureflow.language.tokenisers import SPECIAL, Symbols, read_tokeniser

__all__ = ["export", "load"]

PRECISIONS = ("float32", "float64", "bfloat16", "float16")


def load(
    model: str | os.PathLike[str],
    *,
    dtype: Any = "float32",
    ignore: str | Sequence[str] = (),
    characters: str | None = None,
) -> Transformer:
    """Read a trained transformer: `config.json` and `model.safetensors` of a BERT or an ALBERT.

    Every tensor of the file is used or ignored by name, every weight is filled from exactly one tensor, and
    nothing is folded or renamed on the way. Everything is checked before the first weight is read; no pickle
    is opened and no code of a checkpoint is run.

    Main arguments:
        model: a folder, or a hub name such as `"all-minilm-l6-v2"`: looked for as a local folder, in an
            installed package that ships it, in the hub's cache, and (with the extra `[hub]`) on the hub.

    Other arguments:
        dtype: precision of the weights, `"float32"`, `"float64"`, `"bfloat16"` or `"float16"`.
        ignore: patterns of tensor names, and keys of `config.json`, that you declare irrelevant for hidden
        states. characters: the characters of a model without tokeniser files, in the order of their ids.

    Raises:
        BadInput: not found; a pickle; a truncated, damaged or hostile file; an unknown family; keys or
            tensors that are missing, unknown or of the wrong shape; weights that are not finite.

    Example:
        >>> import measureflow as mf
        >>> model = mf.load("all-minilm-l6-v2")  # doctest: +SKIP
        >>> path = mf.trace(model, "A transformer moves a measure.")  # doctest: +SKIP
    """
    precision = as_precision(dtype)
    ignored = (ignore,) if isinstance(ignore, str) else tuple(ignore)
    folder = find_folder(model)
    weights = weights_in(folder)
    table = read_json(folder / "config.json")
    family = family_of(table)
    config = read_config(table, family.name, family.keys, family.fixed, ignored)
    header = read_header(weights)
    skeleton = assemble(config, lambda *shape: jax.ShapeDtypeStruct(shape, precision))
    tokeniser = read_tokeniser(folder) if characters is None else Symbols(characters, SPECIAL)
    filled = tables.fill(skeleton, family, config, header, precision, ignored)
    return Transformer(filled.embedding, filled.blocks, config, tokeniser, display_name(model))


def export(model: Transformer, prefix: str = "") -> dict[str, np.ndarray]:
    """Return the weights of a model under the names of its family: the inverse of `load`.

    For an unchanged float32 model, names and bytes are those of its file (a head that was ignored is gone).
    `prefix` is put before each name, as in `"bert."`.
    """
    return tables.export(model, FAMILIES[model.config.family], model.config, prefix)


def as_precision(dtype: Any) -> np.dtype:
    """Return the precision of the weights, if it is one that weights can have."""
    try:
        precision = jnp.dtype(dtype)
    except TypeError:
        precision = None
    if precision is None or precision.name not in PRECISIONS:
        raise BadInput(f"dtype is {dtype!r}; it must be one of {', '.join(PRECISIONS)}.")
    if precision.name == "float64" and jnp.result_type(float) != precision:
        raise BadInput("dtype is float64, but JAX's 64-bit mode is off; unset MEASUREFLOW_X64.")
    return precision


def weights_in(folder: Path) -> Path:
    """Return the path of the weights, or say what the folder holds instead and what to do."""
    if not (folder / "config.json").is_file():
        raise BadInput(f"{folder} holds no config.json; give the folder of a checkpoint: config.json and {WEIGHTS}.")
    weights = folder / WEIGHTS
    if weights.is_file():
        return weights
    if (folder / f"{WEIGHTS}.index.json").is_file():
        raise BadInput(f"{folder} holds its weights in several files; save them as one {WEIGHTS}.")
    pickles = sorted(
        path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl") for path in folder.glob(pattern)
    )
    if pickles:
        raise BadInput(f"{folder} holds {pickles[0]} and no {WEIGHTS}. {CURE_PICKLE}")
    raise BadInput(f"{folder} holds no {WEIGHTS}; fetch it, or give another folder.")


def family_of(table: dict[str, Any]) -> tables.Family:
    """Return the family that `config.json` names."""
    known = ", ".join(FAMILIES)
    if "model_type" not in table:
        raise BadInput(f"config.json names no model_type; add one of {known}.")
    name = table["model_type"]
    if not isinstance(name, str) or name not in FAMILIES:
        raise BadInput(f"config.json: model_type {quoted(name)} is no family known here; known are {known}.")
    return FAMILIES[name]


def display_name(model: str | os.PathLike[str]) -> str:
    """Return the last part of a path or hub name: what a caption calls the model."""
    return Path(os.fspath(model)).name or str(Path(model).resolve().name)

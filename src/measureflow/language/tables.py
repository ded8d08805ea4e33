"""Families of checkpoints: one table each says which tensor of a file is which leaf of our model.

A table holds in both directions. Every tensor of a file is used or ignored by name, every leaf is filled
from exactly one tensor, and no number is changed on the way (weights are never folded). Knows nothing of how
a file is laid out and nothing of what the leaves compute.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from measureflow.errors import BadInput
from measureflow.language.config import Config, Key
from measureflow.language.strict import quoted
from measureflow.language.tensors import FLOATS, Header, read_tensor

__all__ = ["COLUMNS", "PLAIN", "ROWS", "Family", "Rule", "export", "fill", "names_of"]


@dataclass(frozen=True)
class Rule:
    """How a leaf lies in a file: the shape it is stored in; the order of its numbers is the same in both."""

    stored: Callable[[tuple[int, ...]], tuple[int, ...]]


PLAIN = Rule(lambda shape: shape)
# heads are consecutive rows: (h, k, ...) -> (h k, ...)
ROWS = Rule(lambda shape: (shape[0] * shape[1], *shape[2:]))
# heads are consecutive columns: (..., h, k) -> (..., h k)
COLUMNS = Rule(lambda shape: (*shape[:-2], shape[-2] * shape[-1]))


@dataclass(frozen=True)
class Family:
    """One family of checkpoints, declared.

    Main arguments:
        name: its `model_type` in `config.json`.
        keys: where each field of `Config` comes from.
        fixed: keys that must have one of the given values, because the blocks compute nothing else.
        leaves: address of a leaf of our model -> name of the tensor, and its rule. `{block}` is the number of
            the block, `{group}` and `{place}` its group and its place there.

    Other arguments:
        prefixes: what a file may put before every name (a model with a head does).
        spellings: endings that older files use, with today's.
        ignored: patterns of tensors that do not enter a hidden state (heads, poolers, buffers).
    """

    name: str
    keys: Mapping[str, Key]
    fixed: Mapping[str, tuple[Any, ...]]
    leaves: Mapping[str, tuple[str, Rule]]
    prefixes: tuple[str, ...]
    spellings: Mapping[str, str]
    ignored: tuple[str, ...]


def names_of(model: Any, family: Family, config: Config) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Return for each tensor name its leaf's number in the flattened model, and the shape it is stored in."""
    wanted: dict[str, tuple[int, tuple[int, ...]]] = {}
    for number, (path, leaf) in enumerate(jax.tree_util.tree_flatten_with_path(model)[0]):
        steps = jax.tree_util.keystr(path, simple=True, separator=".").split(".")
        block = int(steps[1]) if steps[0] == "blocks" else 0
        address = ".".join(["blocks", "{block}", *steps[2:]] if steps[0] == "blocks" else steps)
        template, rule = family.leaves[address]
        name = template.format(block=block, group=block // config.inner, place=block % config.inner)
        wanted[name] = number, rule.stored(leaf.shape)
    return wanted


def fill(model: Any, family: Family, config: Config, header: Header, dtype: Any, ignore: tuple[str, ...]) -> Any:
    """Return the model with every leaf read from the file.

    `model` has shapes for leaves. Names, shapes and kinds are all checked before the first tensor is read.

    Raises:
        BadInput: a tensor is missing (the nearest unexpected one is named), unexpected, of another shape than
            `config.json` asks for, not floating, or holds NaN or infinity.
    """
    wanted = names_of(model, family, config)
    there = match(wanted, family, config, header, ignore)
    for name, (_, shape) in wanted.items():
        stored = header.tensors[there[name]]
        if stored.shape != shape:
            raise BadInput(
                f"tensor {quoted(there[name])} has shape {list(stored.shape)} in {header.path.name}, but "
                f"config.json asks for {list(shape)}: the two belong to different models. Fetch both again."
            )
        if stored.kind not in FLOATS:
            raise BadInput(
                f"tensor {quoted(there[name])} is stored as {stored.kind}; a weight must be one of "
                f"{', '.join(FLOATS)}. Quantised checkpoints are not read: fetch the plain one."
            )
    leaves, structure = jax.tree_util.tree_flatten(model)
    for name, (number, _) in wanted.items():
        leaves[number] = jnp.asarray(converted(header, there[name], dtype).reshape(leaves[number].shape))
    return jax.tree_util.tree_unflatten(structure, leaves)


def converted(header: Header, name: str, dtype: Any) -> np.ndarray:
    """Read one tensor as `dtype`; refuse NaN, infinity, and numbers too large for `dtype`."""
    stored = read_tensor(header, name)
    with np.errstate(over="ignore"):
        values = stored.astype(dtype)
    bad = values.size - int(np.count_nonzero(np.isfinite(values)))
    if bad:
        finite = bool(np.isfinite(stored).all())
        why = f"are too large for {np.dtype(dtype).name}; give a wider dtype=" if finite else "are NaN or infinite"
        cure = "." if finite else "; the checkpoint is damaged or training diverged. Fetch it again."
        raise BadInput(f"tensor {quoted(name)} of {header.path.name}: {bad:,} of its numbers {why}{cure}")
    return values


def match(
    wanted: Mapping[str, Any], family: Family, config: Config, header: Header, ignore: tuple[str, ...]
) -> dict[str, str]:
    """Return the name in the file of each wanted tensor, every other tensor being ignored by name."""
    file, size = header.path.name, f"checkpoint of a {config.layers}-layer {family.name.upper()}"

    def plain(name: str, prefix: str) -> str:
        name = name.removeprefix(prefix)
        for old, new in family.spellings.items():
            if name.endswith(old):
                return name.removesuffix(old) + new
        return name

    def dispensable(name: str, prefix: str) -> bool:
        patterns = (*family.ignored, *ignore)
        return any(fnmatchcase(form, pattern) for form in {name, name.removeprefix(prefix)} for pattern in patterns)

    def found(prefix: str) -> int:
        return sum(plain(name, prefix) in wanted for name in header.tensors if name.startswith(prefix))

    prefix = max(family.prefixes, key=found)
    there: dict[str, str] = {}
    unexpected = []
    for name in header.tensors:
        form = plain(name, prefix)
        if name.startswith(prefix) and form in wanted:
            if form in there:
                raise BadInput(f"{file} holds {quoted(there[form])} and {quoted(name)}, two spellings of one tensor.")
            there[form] = name
        elif not dispensable(name, prefix):
            unexpected.append(name)
    missing = [name for name in wanted if name not in there]
    if missing:
        raise BadInput(missing_line(prefix + missing[0], len(missing), unexpected, f"{file} ({size})"))
    if unexpected:
        more = f" and {len(unexpected) - 1:,} more" if len(unexpected) > 1 else ""
        raise BadInput(
            f"{file} ({size}) holds a tensor that the family does not know: {quoted(unexpected[0])}{more}. "
            f"If no hidden state needs it, say so: mf.load(..., ignore=({quoted(unexpected[0])},))."
        )
    return there


def missing_line(name: str, count: int, unexpected: list[str], where: str) -> str:
    """Say which tensor is missing, and which unexpected one may be the same under another name."""
    more = f" ({count - 1:,} more are)" if count > 1 else ""
    near = difflib.get_close_matches(name, unexpected[:1000], n=1, cutoff=0.0)
    if near:
        cure = f"The nearest unexpected tensor is {quoted(near[0])}: rename it, or fetch the file again."
    else:
        cure = "config.json may belong to another model, or the file is incomplete: fetch both again."
    return f"tensor {quoted(name)} is missing{more} from {where}. {cure}"


def export(model: Any, family: Family, config: Config, prefix: str = "") -> dict[str, np.ndarray]:
    """Return the tensors of a model under the names of its family, each in the shape it is stored in.

    The inverse of `fill`: for a file of the same numbers, names and bytes are the same (heads that were
        ignored are gone).
    """
    leaves = jax.tree_util.tree_leaves(model)
    named = names_of(model, family, config).items()
    return {prefix + name: np.asarray(leaves[number]).reshape(shape) for name, (number, shape) in named}

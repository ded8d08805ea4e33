"""Recipes: what a run was made of, as plain data with a content hash. Reading one never imports or runs anything."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import types
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from measureflow import fields, measures, spaces, sums
from measureflow.errors import BadInput
from measureflow.fields import RescaledAttention, SelfAttention
from measureflow.measures import Measure, Tokens

__all__ = ["Recipe", "describe", "fingerprint", "rebuild", "register"]

#: arrays of up to this many numbers are written out in a recipe; larger ones are named by their hash
SPELLED_OUT = 4096

REGISTERED: dict[str, type] = {}

Noun = TypeVar("Noun", bound=type)


def register(cls: Noun) -> Noun:
    """Let a library noun be stored by its name and rebuilt from its values."""
    REGISTERED[cls.__name__] = cls
    return cls


#: what a recipe may name; kernels and other inner parts are none of it
KINDS = (
    spaces.Space,
    measures.Grid,
    sums.Sum,
    fields.Field,
    fields.Score,
    fields.Weighting,
    fields.Mask,
    fields.Normalisation,
    fields.Pace,
)

for _room in (spaces, measures, sums, fields):
    for _name in _room.__all__:
        _noun = getattr(_room, _name)
        if isinstance(_noun, type) and issubclass(_noun, KINDS):
            register(_noun)


def arguments(noun: Any) -> dict[str, Any]:
    """Return the keyword arguments from which a library noun is built again."""
    if isinstance(noun, SelfAttention):
        kernel = noun.kernel
        return {
            "beta": None if isinstance(kernel.weighting, fields.Hardmax) else kernel.beta,
            "query": kernel.query,
            "key": kernel.key,
            "value": noun.value,
            "score": kernel.score,
            "weighting": kernel.weighting,
            "mask": kernel.mask,
            "sum": noun.sum,
        }
    if isinstance(noun, RescaledAttention):
        names = ("beta", "value", "query", "key", "weighting", "bounded", "depth")
        hard = isinstance(noun.weighting, fields.Hardmax)
        return {name: None if hard and name == "beta" else getattr(noun, name) for name in names}
    if isinstance(noun, fields.Interpolated):
        return {"fields": [noun.node(k) for k in range(len(noun.times))], "times": noun.times}
    return {field.name: getattr(noun, field.name) for field in dataclasses.fields(noun)}


def describe(value: Any) -> Any:
    """Return `value` as JSON-ready data: library nouns by registered name and arguments, others by their hash."""
    if isinstance(value, Tokens):
        return {"noun": "Tokens", "n": value.n, "space": describe(value.space), "sha256": fingerprint(value)}
    if isinstance(value, Measure):
        held = {name: describe(part) for name, part in value.held().items()}
        noun = {"noun": type(value).__name__, "space": describe(value.space), **held}
        return {**noun, "sha256": fingerprint(value)}
    if REGISTERED.get(type(value).__name__) is type(value):
        return {"noun": type(value).__name__, **{name: describe(v) for name, v in arguments(value).items()}}
    if isinstance(value, eqx.Module):
        name = f"{type(value).__module__}.{type(value).__qualname__}"
        return {"noun": name, "sha256": fingerprint(value), "code": code_print(type(value)), "rebuildable": False}
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        array = np.asarray(value)
        if array.size <= SPELLED_OUT:
            return array.tolist()
        return {"array": list(array.shape), "sha256": fingerprint(array), "rebuildable": False}
    if isinstance(value, (list, tuple)):
        return [describe(item) for item in value]
    if isinstance(value, dict):
        return {str(key): describe(item) for key, item in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if callable(value):
        name = getattr(value, "__name__", type(value).__name__)
        return {"function": name, "code": code_print(value), "rebuildable": False}
    return {"noun": type(value).__name__, "rebuildable": False}


def rebuild(data: Any) -> Any:
    """Return the noun that `describe` wrote, by calling its registered constructor.

    Raises:
        BadInput: a part is not registered in this library, or was stored by hash only.
    """
    try:
        return built(data)
    except RecursionError:
        raise BadInput("the recipe is nested too deeply to be one of ours.") from None


def built(data: Any) -> Any:
    """Return the noun of `data`, its parts first."""
    if isinstance(data, list):
        parts = [built(item) for item in data]
        return tuple(parts) if any(isinstance(part, eqx.Module) for part in parts) else parts  # as nouns hold them
    if not isinstance(data, dict):
        return data
    noun = data.get("noun")
    if data.get("rebuildable") is False or not isinstance(noun, str) or noun not in REGISTERED:
        raise BadInput(
            f"the recipe's {data.get('noun', data.get('function', 'part'))!r} cannot be rebuilt: it is no noun of this "
            f"library or was stored by its hash. Make the object in Python and pass it."
        )
    values = {name: built(value) for name, value in data.items() if name != "noun"}
    try:
        return REGISTERED[noun](**values)
    except BadInput:
        raise
    except Exception as error:  # whatever a constructor makes of values that it was never meant to see
        raise BadInput(f"the recipe of {noun} does not fit: {error}.") from None


def fingerprint(value: Any) -> str:
    """Return the SHA-256 of a PyTree's structure and leaves."""
    digest = hashlib.sha256(str(jax.tree.structure(value)).encode())
    for leaf in jax.tree.leaves(value):
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        array = np.ascontiguousarray(leaf)
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def code_print(value: Any) -> str:
    """Return the SHA-256 of what a function or a class of one's own does: its code and what the code closes over.

    Functions that it calls by name are not followed.
    """
    digest = hashlib.sha256()
    for part in code_parts(value, set()):
        digest.update(part + b"\0")
    return digest.hexdigest()


def code_parts(value: Any, seen: set[int]) -> Iterator[bytes]:
    """Yield the parts of a piece of code; nothing in them depends on the process."""
    if id(value) in seen:
        return
    if isinstance(value, types.CodeType):
        yield value.co_code
        yield from code_parts((value.co_consts, value.co_names, value.co_varnames), seen)
    elif isinstance(value, types.FunctionType):
        seen.add(id(value))
        cells = tuple(cell.cell_contents for cell in value.__closure__ or ())
        yield from code_parts((value.__code__, value.__defaults__, value.__kwdefaults__, cells), seen)
    elif isinstance(value, functools.partial):
        yield from code_parts((value.func, value.args, value.keywords), seen)
    elif isinstance(value, type) and value.__module__.partition(".")[0] not in ("measureflow", "equinox", "builtins"):
        seen.add(id(value))
        yield from code_parts((value.__qualname__, value.__bases__, *own_functions(value)), seen)
    elif callable(getattr(value, "__wrapped__", None)):  # jitted, cached, decorated
        yield from code_parts(value.__wrapped__, seen)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from code_parts(item, seen)
    elif isinstance(value, dict):
        yield from code_parts(sorted(value.items(), key=lambda item: str(item[0])), seen)
    elif isinstance(value, (bool, int, float, complex, str, bytes, type(None))):
        yield repr(value).encode()
    elif eqx.is_array(value) or isinstance(value, eqx.Module):
        yield fingerprint(value).encode()
    else:
        yield f"{type(value).__module__}.{getattr(value, '__qualname__', type(value).__qualname__)}".encode()


def own_functions(cls: type) -> list[Any]:
    """Return the methods that a class defines itself, by name."""
    # properties keep theirs as fget, Equinox its methods as method
    held = {name: getattr(part, "fget", getattr(part, "method", part)) for name, part in vars(cls).items()}
    return [(name, held[name]) for name in sorted(held) if isinstance(held[name], types.FunctionType)]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a path was made of: the verb, its nouns and options, in JSON. Equal recipes have equal hashes.

    Attributes:
        text: canonical JSON.
    """

    text: str

    @classmethod
    def of(cls, verb: str, **parts: Any) -> Recipe:
        """Write the recipe of a call."""
        return cls(json.dumps({"verb": verb, **describe(parts)}, sort_keys=True))

    @property
    def data(self) -> dict[str, Any]:
        """The recipe as a dictionary.

        Raises:
            BadInput: the text is no recipe.
        """
        try:
            data = json.loads(self.text)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"this is no recipe ({type(error).__name__}: {error}); give the JSON text of one.") from None
        if not isinstance(data, dict):
            raise BadInput(f"this is no recipe but a JSON {type(data).__name__}; give the JSON text of one.")
        return data

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical text: the address of the result."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def rebuildable(self) -> bool:
        """Whether every part but the measure (which a store holds by value) can be built again from the text."""
        return '"rebuildable": false' not in self.text

    def part(self, name: str, otherwise: Callable[[], Any] | None = None) -> Any:
        """Return one part rebuilt, or `otherwise()` where it cannot be."""
        part = self.data.get(name)
        try:
            return rebuild(part)
        except BadInput:
            if otherwise is None:
                raise
            return otherwise()

    def __str__(self) -> str:
        return self.text

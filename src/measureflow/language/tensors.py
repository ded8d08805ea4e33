"""The file format of trained weights: a reader of safetensors that trusts nothing before it is checked.

Everything a header can claim is verified against the file before a byte is allocated for data: the size of
the header, the kinds of numbers, shapes against offsets, no overlaps, no holes, and the length of the file.
Knows nothing of models.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import jax.numpy as jnp
import numpy as np

from measureflow.errors import BadInput
from measureflow.language.strict import parse, quoted

__all__ = ["CURE_PICKLE", "FLOATS", "Header", "Stored", "read_header", "read_tensor"]

LARGEST_HEADER = 100_000_000  # the limit of the format itself
LARGEST_RANK = 16
KINDS: dict[str, np.dtype] = {
    "BOOL": np.dtype(bool),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(jnp.bfloat16),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}
DAMAGED = "The file is damaged; fetch it again."
FLOATS = ("F16", "BF16", "F32", "F64")
CURE_PICKLE = (
    "A pickle can run code when it is opened, so it is never read; convert it once where you trust it: "
    "transformers' AutoModel.from_pretrained(FOLDER).save_pretrained(NEW, safe_serialization=True)."
)


@dataclass(frozen=True)
class Stored:
    """One tensor of a file: its kind of number (`"F32"`), its shape, and where its bytes lie in the file."""

    kind: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """What a file holds: its path, its tensors by name, and the free text its writer put beside them."""

    path: Path
    tensors: dict[str, Stored]
    metadata: dict[str, str]


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read and verify the header of a safetensors file; no tensor is read and nothing large is allocated.

    Raises:
        BadInput: the file is a pickle or another format, its header is too large, cut, repeated or malformed,
            a kind is unknown, bytes overlap or are left out, or the file is shorter (the first tensor cut is
            named) or longer than its header says.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            text = header_bytes(path, file, size)
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}); check the path and its permissions.") from None
    entries = header_entries(path.name, text)
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or any(not isinstance(value, str) for value in metadata.values()):
        raise BadInput(f"{path.name}: __metadata__ is not a table of texts. {DAMAGED}")
    start = 8 + len(text)
    tensors = {name: stored_tensor(path.name, name, entry, start) for name, entry in entries.items()}
    check_extent(path.name, tensors, start, size)
    return Header(path, tensors, metadata)


def header_bytes(path: Path, file: BinaryIO, size: int) -> bytes:
    """Return the header's text, its length checked against the limit of the format and against the file."""
    first = file.read(16)
    length = int.from_bytes(first[:8], "little")
    if len(first) < 9 or length > LARGEST_HEADER or first[8:9] != b"{":
        refuse_other_formats(path, first)
    if len(first) < 8:
        raise BadInput(
            f"{path.name} is truncated: {size:,} bytes are too few for any safetensors file. Fetch it again."
        )
    if length > LARGEST_HEADER:
        raise BadInput(f"{path.name}: its header claims {length:,} bytes; {LARGEST_HEADER:,} are allowed. {DAMAGED}")
    if 8 + length > size:
        file.seek(8)
        refuse_cut_header(path.name, file.read(min(size - 8, 1_000_000)).decode("utf-8", "replace"), length, size)
    if first[8:9] != b"{":
        raise BadInput(f"{path.name}: its header does not begin with '{{': no safetensors file. {DAMAGED}")
    file.seek(8)
    return file.read(length)


def refuse_cut_header(file: str, text: str, length: int, size: int) -> None:
    """Say that a file ends within its header: which tensor is lost first, and how many bytes are there."""
    name = re.search(r'"((?:[^"\\]|\\.)+)"\s*:\s*\{\s*"dtype"', text)
    ends = [int(end) for end in re.findall(r'"data_offsets"\s*:\s*\[\s*\d+\s*,\s*(\d{1,18})\s*\]', text)]
    what = f"tensor {quoted(name[1])} is cut off" if name else "every tensor is cut off"
    needed = 8 + length + max(ends, default=0)
    count = f"{size:,} of at least {needed:,} bytes"
    raise BadInput(f"{what}: {file} is truncated within its header, {count}. Fetch it again.")


def refuse_other_formats(path: Path, first: bytes) -> None:
    """Name the formats that are taken for safetensors most often, each with its cure."""
    if first[:4] == b"PK\x03\x04" or first[:1] == b"\x80":
        what = "zip archive of a pickle" if first[:1] == b"P" else "pickle"
        raise BadInput(f"{path.name} is a {what} (a torch checkpoint), not safetensors. {CURE_PICKLE}")
    if first.startswith(b"version https://"):
        raise BadInput(f"{path.name} is a Git LFS pointer, not the weights; run `git lfs pull` in its folder.")
    if first[:4] == b"GGUF":
        raise BadInput(f"{path.name} is a GGUF file, not safetensors; give a folder with model.safetensors.")


def header_entries(name: str, text: bytes) -> dict[str, Any]:
    """Parse the header as one flat JSON table in which no tensor is named twice."""
    try:
        entries = parse(text)
    except ValueError as error:
        raise BadInput(f"{name}: its header is no valid JSON ({error}). {DAMAGED}") from None
    if not isinstance(entries, dict):
        raise BadInput(f"{name}: its header is no table of tensors. {DAMAGED}")
    return entries


def stored_tensor(file: str, name: str, entry: Any, start: int) -> Stored:
    """Verify one entry of the header: keys, kind, shape, and as many bytes as its shape needs."""
    where = f"{file}: tensor {quoted(name)}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise BadInput(f"{where} is not described by dtype, shape and data_offsets. {DAMAGED}")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise BadInput(f"{where} has dtype {quoted(kind)}; save it as one of {', '.join(KINDS)}.")
    if not whole_numbers(shape) or len(shape) > LARGEST_RANK:
        raise BadInput(f"{where} has shape {quoted(shape)}, not up to {LARGEST_RANK} sizes >= 0. {DAMAGED}")
    if not whole_numbers(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise BadInput(f"{where} has data_offsets {quoted(offsets)}, not [begin, end]. {DAMAGED}")
    needed = math.prod(shape) * KINDS[kind].itemsize
    if offsets[1] - offsets[0] != needed:
        raise BadInput(
            f"{where} of shape {quoted(shape)} in {kind} needs {needed:,} bytes, but its data_offsets hold "
            f"{offsets[1] - offsets[0]:,}. {DAMAGED}"
        )
    return Stored(kind, tuple(shape), start + offsets[0], start + offsets[1])


def whole_numbers(values: Any) -> bool:
    """Say whether values is a list of integers >= 0 (a JSON `true` is none)."""
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def check_extent(file: str, tensors: dict[str, Stored], start: int, size: int) -> None:
    """Verify that the tensors fill the file from the header to its end, without overlap or hole."""
    end, last = start, "the header"
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if tensor.begin != end:
            what = "overlaps" if tensor.begin < end else "leaves a hole after"
            raise BadInput(f"{file}: tensor {quoted(name)} {what} {last}. {DAMAGED}")
        end, last = tensor.end, quoted(name)
    if size < end:
        cut = min((t.begin, name) for name, t in tensors.items() if t.end > size)[1]
        where = f"{file} is truncated, {size:,} of {end:,} bytes"
        raise BadInput(f"tensor {quoted(cut)} is cut off: {where}. Fetch it again.")
    if size > end:
        where = f"({size:,} bytes instead of {end:,})"
        raise BadInput(f"{file} is longer than its header says {where}. {DAMAGED}")


def read_tensor(header: Header, name: str) -> np.ndarray:
    """Read one tensor whole into memory of its own, so that a file changed later cannot change a model."""
    stored = header.tensors[name]
    size = stored.end - stored.begin
    raw = np.fromfile(header.path, np.uint8, count=size, offset=stored.begin)
    if raw.size != size:
        where = f"{header.path.name} became shorter while it was read"
        raise BadInput(f"tensor {quoted(name)} is cut off: {where}. Fetch it again.")
    return raw.view(KINDS[stored.kind]).reshape(stored.shape)

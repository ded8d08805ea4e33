"""The reader of safetensors: what it accepts is what is there, and what is damaged is named."""

from __future__ import annotations

import json
import os
import pickle
import re
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from measureflow import BadInput
from measureflow.language.tensors import KINDS, read_header, read_tensor

VALUES = {
    "first": np.arange(6, dtype=np.float32).reshape(2, 3),
    "second": np.asarray([1.5, -2.0], np.float64),
    "third": np.arange(4, dtype=np.float16),
    "scalar": np.asarray(7.0, np.float32),
    "empty": np.zeros((0, 5), np.float32),
    "whole": np.arange(3, dtype=np.int64),
}


def written(path: Path, header: object, data: bytes = b"") -> Path:
    """Write a file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def entry(begin: int, end: int, shape: list[int] | None = None, dtype: str = "U8") -> dict[str, object]:
    return {"dtype": dtype, "shape": [end - begin] if shape is None else shape, "data_offsets": [begin, end]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_file(VALUES, path, metadata={"format": "np"})
    return path


def test_every_kind_of_number_is_read_as_the_library_wrote_it(file):
    header = read_header(file)
    assert header.metadata == {"format": "np"}
    assert set(header.tensors) == set(VALUES)
    for name, value in VALUES.items():
        read = read_tensor(header, name)
        assert read.dtype == value.dtype
        np.testing.assert_array_equal(read, value)


def test_bfloat16_keeps_its_bits(tmp_path):
    values = np.asarray([1.0, 3.140625, -2e30], ml_dtypes.bfloat16)
    header = read_header(written(tmp_path / "f", {"x": entry(0, 6, [3], "BF16")}, values.view(np.uint8).tobytes()))
    np.testing.assert_array_equal(read_tensor(header, "x").view(np.uint16), values.view(np.uint16))


def test_a_tensor_does_not_change_with_its_file(file):
    header = read_header(file)
    read = read_tensor(header, "first")
    file.write_bytes(b"\0" * file.stat().st_size)
    np.testing.assert_array_equal(read, VALUES["first"])


def test_a_file_cut_at_any_byte_names_a_tensor_and_the_bytes(golden, tmp_path):
    whole = (golden / "tiny-bert" / "model.safetensors").read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    names = set(read_header(golden / "tiny-bert" / "model.safetensors").tensors)
    path = tmp_path / "model.safetensors"
    path.write_bytes(whole)
    for size in [*range(len(whole) - 1, header, -251), *range(header, 8, -13), *range(8, -1, -1)]:
        os.truncate(path, size)
        with pytest.raises(BadInput, match="truncated") as caught:
            read_header(path)
        line = str(caught.value)
        assert "\n" not in line
        assert f"{size:,} " in line
        if size >= header:
            assert f"{size:,} of {len(whole):,} bytes" in line
        if size >= 200:
            named = re.search(r"tensor '([^']+)' is cut off", line)
            assert named is not None
            assert named[1] in names


def test_the_first_tensor_that_is_cut_is_the_one_named(tmp_path):
    path = written(tmp_path / "f", {"b": entry(8, 16), "a": entry(0, 8), "c": entry(16, 20)}, b"0" * 12)
    with pytest.raises(BadInput, match="tensor 'b' is cut off: f is truncated, "):
        read_header(path)


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        ({"a": entry(0, 8), "b": entry(4, 12)}, 12, "'b' overlaps 'a'"),
        ({"a": entry(0, 4), "b": entry(6, 12)}, 12, "'b' leaves a hole after 'a'"),
        ({"a": entry(2, 12)}, 12, "'a' leaves a hole after the header"),
        ({"a": entry(0, 8)}, 9, "longer than its header says"),
        ({"a": entry(0, 8, [3], "F32")}, 8, r"needs 12 bytes, but its data_offsets hold 8"),
        ({"a": entry(0, 8, dtype="F8")}, 8, "dtype 'F8'"),
        ({"a": entry(0, 8, dtype=["F32"])}, 8, "dtype"),
        ({"a": entry(0, 8, [-8])}, 8, "shape"),
        ({"a": entry(0, 8, [True, 8])}, 8, "shape"),
        ({"a": entry(0, 8, [2**62, 2**62, 2**62])}, 8, "needs"),
        ({"a": entry(0, 8, [10**30])}, 8, "shape"),
        ({"a": entry(0, 1, [1] * 17)}, 1, "shape"),
        ({"a": entry(8, 0, [8])}, 8, "data_offsets"),
        ({"a": {"dtype": "U8", "shape": [8]}}, 8, "not described"),
        ({"a": {**entry(0, 8), "more": 1}}, 8, "not described"),
        ({"a": 3}, 8, "not described"),
        ({"__metadata__": {"x": 1}, "a": entry(0, 8)}, 8, "__metadata__"),
        (b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{}}', 1, "'a' occurs twice"),
        (b"{" + b'"a":' * 3, 0, "JSON"),
        (b'{"a":NaN}', 0, "NaN"),
        (b'{"a":"\xff"}', 0, "JSON"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 0, "nested too deeply|JSON"),
        (b"[1]", 0, "does not begin with"),
        (b"{} ", 1, "longer than"),
    ],
)  # fmt: skip
def test_a_damaged_header_is_refused_in_one_line(tmp_path, header, data, message):
    with pytest.raises(BadInput, match=message) as caught:
        read_header(written(tmp_path / "f", header, b"0" * data))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_an_oversize_header_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "f"
    path.write_bytes((200_000_000).to_bytes(8, "little") + b'{"a":')
    os.truncate(path, 300_000_000)  # sparse: it takes no room
    with pytest.raises(BadInput, match="claims 200,000,000 bytes"):
        read_header(path)


def test_a_pickle_a_zip_and_a_pointer_are_named_with_their_cure(tmp_path):
    path = tmp_path / "model.safetensors"
    for protocol in (2, 4, 5):
        path.write_bytes(pickle.dumps({"weight": np.zeros(3)}, protocol=protocol))
        with pytest.raises(BadInput, match=r"pickle .*safe_serialization=True"):
            read_header(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    with pytest.raises(BadInput, match=r"zip archive of a pickle .*safe_serialization=True"):
        read_header(path)
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 90868376\n")
    with pytest.raises(BadInput, match="git lfs pull"):
        read_header(path)
    path.write_bytes(b"GGUF" + b"\0" * 60)
    with pytest.raises(BadInput, match="GGUF"):
        read_header(path)


def test_a_header_whose_length_begins_like_a_pickle_is_still_read(tmp_path):
    text = json.dumps({"a": entry(0, 1)}).encode()
    padded = text + b" " * (0x0280 - len(text))
    assert len(padded).to_bytes(8, "little").startswith(b"\x80\x02")
    assert set(read_header(written(tmp_path / "f", padded, b"0")).tensors) == {"a"}


def test_a_missing_file_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="cannot be read"):
        read_header(tmp_path / "none")


@given(at=st.integers(0, 2_000_000), byte=st.integers(0, 255), drop=st.integers(0, 40))
def test_a_changed_byte_gives_bad_input_or_tensors_within_the_file(golden, tmp_path_factory, at, byte, drop):
    whole = bytearray((golden / "tiny-albert-head" / "model.safetensors").read_bytes())
    header = 8 + int.from_bytes(whole[:8], "little")
    at %= header
    whole[at : at + drop] = bytes([byte])
    path = tmp_path_factory.mktemp("changed") / "f"
    path.write_bytes(whole)
    try:
        read = read_header(path)
    except BadInput:
        return
    for tensor in read.tensors.values():
        assert 8 <= tensor.begin <= tensor.end <= len(whole)
        assert int(np.prod(tensor.shape)) * KINDS[tensor.kind].itemsize == tensor.end - tensor.begin

"""`mf.load`: a folder becomes a model, or one line says why not."""

from __future__ import annotations

import jax
import ml_dtypes
import numpy as np
import pytest

from measureflow import BadInput
from measureflow.language import load
from measureflow.language.tokenisers import Library, Symbols


def test_a_model_shows_what_it_is(golden):
    shown = repr(load(golden / "tiny-albert-groups"))
    assert "ALBERT, 8 layers, 4 distinct, width 24, 3 heads, perceptron 40" in shown
    assert "18,784 parameters" in shown


@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_each_precision_of_a_file_is_read_exactly(golden, rewritten, kind):
    folder = rewritten("tiny-bert", lambda t: {name: v.astype(kind) for name, v in t.items()})
    whole, rounded = load(golden / "tiny-bert"), load(folder)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(rounded), strict=True):
        assert b.dtype == np.float32
        np.testing.assert_array_equal(np.asarray(a).astype(kind).astype(np.float32), np.asarray(b))


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16", np.float64])
def test_weights_and_tokens_have_the_precision_asked_for(golden, dtype):
    model = load(golden / "tiny-bert", dtype=dtype)
    assert {leaf.dtype for leaf in jax.tree.leaves(model)} == {np.dtype(dtype)}
    tokens = model.embed([5, 6, 7])
    assert tokens.points.dtype == tokens.weights.dtype == np.dtype(dtype)
    moved = jax.eval_shape(lambda: model.fields[0].output(tokens.points, tokens))
    assert moved.dtype == np.dtype(dtype)


@pytest.mark.parametrize("dtype", ["int8", "float", "complex64", "nonsense", None])
def test_a_precision_that_weights_cannot_have_is_refused(golden, dtype):
    if dtype in ("float", None):
        assert load(golden / "tiny-bert", dtype=dtype).embedding.words.dtype == np.float64
        return
    with pytest.raises(BadInput, match="it must be one of float32"):
        load(golden / "tiny-bert", dtype=dtype)


def test_numbers_too_large_for_the_precision_are_refused(rewritten):
    folder = rewritten("tiny-bert", lambda t: {**t, "embeddings.LayerNorm.bias": np.full(24, 1e6, np.float32)})
    with pytest.raises(BadInput, match=r"24 of its numbers are too large for float16; give a wider dtype="):
        load(folder, dtype="float16")


def test_a_folder_with_a_pickle_only_is_refused_with_the_cure(copy):
    folder = copy("tiny-bert")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(BadInput, match=r"holds pytorch_model.bin and no model.safetensors.*safe_serialization"):
        load(folder)


def test_a_pickle_under_the_name_of_weights_is_not_opened(copy):
    folder = copy("tiny-bert")
    (folder / "model.safetensors").write_bytes(b"\x80\x04cos\nsystem\n(S'touch opened'\ntR.")
    with pytest.raises(BadInput, match="is a pickle"):
        load(folder)
    assert not (folder / "opened").exists()


@pytest.mark.parametrize(
    ("remove", "add", "message"),
    [
        ("config.json", None, "holds no config.json"),
        ("model.safetensors", None, "holds no model.safetensors; fetch it"),
        ("model.safetensors", "model.safetensors.index.json", "holds its weights in several files"),
    ],
)
def test_what_a_folder_lacks_is_named(copy, remove, add, message):
    folder = copy("tiny-bert")
    (folder / remove).unlink()
    if add:
        (folder / add).write_text("{}")
    with pytest.raises(BadInput, match=message):
        load(folder)


def test_reading_leaves_a_folder_as_it_was(copy):
    folder = copy("tiny-bert")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    load(folder).embed("a flow")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_tokenisers_come_from_files_or_characters_or_not_at_all(golden):
    assert isinstance(load(golden / "tiny-bert").tokeniser, Library)
    bare = load(golden / "tiny-albert-head")
    assert bare.tokeniser is None
    with pytest.raises(BadInput, match=r"give token ids, or the characters"):
        bare.embed("a flow")
    assert bare.embed([5, 6]).labels == ("5", "6")
    lettered = load(golden / "tiny-albert-head", characters="abcdefg")
    assert isinstance(lettered.tokeniser, Symbols)
    assert lettered.embed("gab").labels == ("g", "a", "b")
    with pytest.raises(BadInput, match="'x' is not in the vocabulary of 7 symbols"):
        lettered.embed("bax")

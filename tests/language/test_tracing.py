"""Tracing: the path of a text through a trained model is the path of its fields, and the reference's."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import measureflow as mf

TINY = ["tiny-bert", "tiny-bert-head", "tiny-albert-head", "tiny-albert-groups"]
TEXT = "The flow moves, a token clusters!"


@pytest.fixture(scope="module")
def bert(golden):
    return mf.load(golden / "tiny-bert")


@pytest.fixture(scope="module")
def albert(golden):
    return mf.load(golden / "tiny-albert-head")


def largest_relative(a, b):
    """The largest deviation of any state, relative to that state's largest entry."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    return max(np.abs(x - y).max() / np.abs(y).max() for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("name", TINY)
def test_a_trace_is_the_path_of_the_models_fields_and_the_references_hidden_states(golden, name):
    model = mf.load(golden / name)
    with np.load(golden / name / "hidden.npz") as file:
        ids, types, hidden = file["ids"][0], file["types"][0], file["hidden"][:, 0]
    tokens = model.embed(ids, token_types=types)
    path = mf.trace(model, tokens, record=())
    assert largest_relative(path.points, hidden) < 2e-6
    assert largest_relative(mf.layers(tokens, model.fields).points, path.points) < 1e-7
    untyped = mf.trace(model, ids, record=()).points  # the reference has two segments, so this must not be it
    assert largest_relative(untyped, hidden) > 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["minilm", "albert_rxn"])
def test_a_trace_of_a_real_model_is_the_references(request, golden, name):
    model = mf.load(request.getfixturevalue(name))
    with np.load(golden / {"minilm": "all-minilm-l6-v2.npz", "albert_rxn": "albert-rxn.npz"}[name]) as file:
        text, hidden = str(file["text"]), file["hidden"]
    path = mf.trace(model, text)
    assert largest_relative(path.points, hidden) < 1e-5
    assert largest_relative(mf.layers(model.embed(text), model.fields).points, path.points) < 1e-7


def test_a_trace_is_a_path_in_euclidean_space_along_layers(bert):
    path = mf.trace(bert, TEXT)
    assert isinstance(path, mf.Path)
    assert path.space == mf.Euclidean(24)
    np.testing.assert_array_equal(path.times, [0, 1, 2, 3])
    assert path.points.shape == (4, 11, 24)
    assert path.points.dtype == np.float32
    assert list(path.labels) == ["[CLS]", "the", "flow", "moves", ",", "a", "token", "cluster", "##s", "!", "[SEP]"]
    assert path.status == "reached"
    assert path[2].labels == path.labels


def test_raw_and_centred_observables_are_recorded(bert):
    path = mf.trace(bert, TEXT)
    for name, observable in (("cosine", mf.observe.cosine), ("effective_rank", mf.observe.effective_rank)):
        np.testing.assert_allclose(path.recorded[name], observable(path), rtol=1e-12)
        np.testing.assert_allclose(path.recorded[f"centred_{name}"], observable(path, centred=True), rtol=1e-12)
    assert set(mf.trace(bert, TEXT, record=("clusters",)).recorded) == {"clusters"}


def test_halves_of_layers_are_kept_on_demand(bert):
    whole, halves = mf.trace(bert, TEXT), mf.trace(bert, TEXT, keep="sublayers")
    np.testing.assert_array_equal(halves.times, np.arange(7) / 2)
    np.testing.assert_array_equal(halves.points[::2], whole.points)
    np.testing.assert_array_equal(mf.trace(bert, TEXT, keep="last").points, whole.points[-1:])


def test_absent_tokens_stand_still_and_change_nothing(bert):
    present = np.asarray([True] * 5 + [False] * 6)
    masked = mf.trace(bert, bert.embed([5, 6, 7, 8, 9] + [0] * 6, present=present))
    other = mf.trace(bert, bert.embed([5, 6, 7, 8, 9, 3, 20, 1, 22, 23, 24], present=present))
    np.testing.assert_array_equal(masked.points[:, :5], other.points[:, :5])
    np.testing.assert_array_equal(masked.points[:, 5:], np.broadcast_to(masked.points[0, 5:], (4, 6, 24)))
    for name, values in masked.recorded.items():
        np.testing.assert_allclose(values, other.recorded[name], rtol=1e-12)


@given(words=st.lists(st.integers(5, 25), min_size=6, max_size=6), count=st.sampled_from([1, 5]))
@settings(max_examples=12)
def test_padding_changes_no_hidden_state_and_no_observable(bert, words, count):
    ids, observables = words[:count], ("cosine", "centred_cosine")
    alone = mf.trace(bert, ids, record=observables)
    tokens = bert.embed(ids + [0] * (8 - count), present=[True] * count + [False] * (8 - count))
    padded = mf.trace(bert, tokens, record=observables)
    assert largest_relative(padded.points[:, : len(ids)], alone.points) < 2e-6
    for name, values in alone.recorded.items():
        np.testing.assert_allclose(padded.recorded[name], values, atol=1e-4)


def test_positions_alone_make_left_padding_a_shift(bert):
    ids, mask = [5, 6, 7], [False, False, True, True, True]
    left = bert.embed([0, 0, *ids], present=mask, positions=[0, 0, 0, 1, 2])
    moved = bert.embed([0, 0, *ids], present=mask)
    alone = mf.trace(bert, ids, record=()).points
    assert largest_relative(mf.trace(bert, left, record=()).points[:, 2:], alone) < 2e-6
    assert largest_relative(mf.trace(bert, moved, record=()).points[:, 2:], alone) > 1e-2


def test_several_texts_are_one_batched_path(bert):
    texts = [TEXT, "A flow.", [5, 6, 7, 8, 9]]  # two of one length
    batch = mf.trace(bert, texts, record=("centred_cosine",))
    assert batch.points.shape == (3, 4, 11, 24)
    assert batch.measure.present.shape == (3, 4, 11)
    assert batch.labels[1][:5] == ("[CLS]", "a", "flow", ".", "[SEP]")
    assert batch.labels[1][5:] == ("[PAD]",) * 6
    for k, text in enumerate(texts):
        alone = mf.trace(bert, text, record=("centred_cosine",))
        n = alone.points.shape[1]
        assert list(batch.measure.present[k, 0]) == [True] * n + [False] * (11 - n)
        assert largest_relative(batch.points[k, :, :n], alone.points) < 2e-6
        for name, values in alone.recorded.items():
            np.testing.assert_allclose(batch.recorded[name][k], values, atol=1e-4)
    assert mf.observe.cosine(batch, centred=True).shape == (3, 4)
    assert mf.trace(bert, 5 + np.arange(33).reshape(3, 11) % 20, record=()).points.shape == (3, 4, 11, 24)


def test_albert_runs_two_hundred_layers_and_compiles_each_half_once(albert, compilations):
    ids = list(range(5, 18))  # as many tokens as in no other test, so that nothing is compiled yet
    path = mf.trace(albert, ids, depth=200, record=())
    assert compilations.count("jit(apply_sublayer)") == 2
    assert path.points.shape == (201, 13, 24)
    np.testing.assert_array_equal(path.times, np.arange(201))
    assert np.isfinite(path.points).all()
    np.testing.assert_array_equal(path.points[:5], mf.trace(albert, ids, record=()).points)
    mf.trace(albert, ids[::-1], depth=60, record=())
    assert compilations.count("jit(apply_sublayer)") == 2


@pytest.mark.slow
def test_the_real_albert_runs_far_past_its_depth(albert_rxn, golden):
    with np.load(golden / "albert-rxn.npz") as file:
        text, hidden = str(file["text"]), file["hidden"]
    path = mf.trace(mf.load(albert_rxn), text, depth=200)
    assert path.status == "reached"
    assert largest_relative(path.points[:13], hidden) < 1e-5
    rank = path.recorded["effective_rank"]
    assert rank[200] < 0.5 * rank[12]  # tokens go on collapsing past the trained depth


def test_the_words_of_a_text_are_no_part_of_a_program(bert, compilations):
    mf.trace(bert, TEXT)
    before = len(compilations)
    mf.trace(bert, TEXT.replace("flow", "layer"))
    assert len(compilations) == before


def test_a_shallower_trace_is_the_beginning_of_a_deeper_one(bert):
    np.testing.assert_array_equal(mf.trace(bert, TEXT, depth=2).points, mf.trace(bert, TEXT).points[:3])


@pytest.mark.parametrize(
    ("text", "depth", "message"),
    [
        (TEXT, 4, "depth is 4, but tiny-bert has 3 layers whose weights differ"),
        (TEXT, 0, "depth is 0"),
        (TEXT, 1.5, "depth is 1.5"),
        ("flow " * 15, None, "the text has 17 tokens and tiny-bert has 16 positions"),
        (["a flow", "flow " * 15], None, "the text has 17 tokens"),
        (["a flow", 5], None, "give a text or a list of whole numbers"),
        ([], None, "no tokens"),
        ([[5, 6], []], None, "no tokens"),
        (3, None, "give a text or a list of whole numbers"),
        (mf.Tokens(mf.Euclidean(3), np.zeros((2, 3))), None, r"R\^3 and tiny-bert moves them in R\^24"),
    ],
)
def test_what_cannot_be_traced_is_named(bert, text, depth, message):
    with pytest.raises(mf.BadInput, match=message) as caught:
        mf.trace(bert, text, depth)
    assert "\n" not in str(caught.value)


def test_a_name_is_no_model():
    with pytest.raises(mf.BadInput, match=r"model is str; give a model, such as mf.load\(folder\)"):
        mf.trace("all-minilm-l6-v2", TEXT)


def test_recipes_tell_models_texts_and_depths_apart(golden, bert, albert):
    recipe = mf.trace(bert, TEXT).recipe
    assert recipe.data["model"]["name"] == "tiny-bert"
    assert recipe.data["text"] == TEXT
    assert recipe == mf.trace(mf.load(golden / "tiny-bert"), TEXT).recipe
    others = [mf.trace(bert, TEXT, depth=2), mf.trace(bert, TEXT[:-1] + "?"), mf.trace(albert, [5] * 11)]
    assert len({recipe.hash, *(path.recipe.hash for path in others)}) == 4


def test_a_trace_is_saved_and_read_back(bert):
    path = mf.trace(bert, TEXT)
    path.save("trace.zarr")
    again = mf.Path.load("trace.zarr")
    np.testing.assert_array_equal(again.points, path.points)
    assert again.labels == path.labels
    assert path.to_xarray().sizes == {"depth": 4, "token": 11, "coordinate": 24}


def test_directions_of_a_trace_lie_on_the_sphere(bert):
    path = mf.trace(bert, TEXT).on_sphere()
    assert path.space == mf.Sphere(24)
    np.testing.assert_allclose(np.linalg.norm(path.points, axis=-1), 1, atol=1e-6)


def test_layers_of_a_float32_model_pass_strict_promotion(bert):
    tokens = bert.embed([5, 6, 7])
    with jax.numpy_dtype_promotion("strict"):
        path = mf.layers(tokens, bert.fields)
    assert path.points.dtype == np.float32

"""Every hidden state against the transformers library, and what a model refuses."""

from __future__ import annotations

import dataclasses

import equinox as eqx
import jax
import numpy as np
import pytest

from measureflow import BadInput
from measureflow.language import Transformer, load

TINY = ["tiny-bert", "tiny-bert-head", "tiny-albert-head", "tiny-albert-groups"]
CASES = {"whole": 0, "padded right": 1, "padded left": 2, "with holes": 3}


@eqx.filter_jit
def halves(fields, mu):
    attention, perceptron = fields
    points = mu.points + attention.output(mu.points, mu)
    return points + perceptron.output(points, mu.replace(points=points))


def states_of(model, mu):
    """Run the fields as plain code, one layer after the other."""
    mu = mu.replace(labels=None)
    states = [mu.points]
    for layer in range(len(model.fields) // 2):
        mu = mu.replace(points=halves(model.fields[2 * layer : 2 * layer + 2], mu))
        states.append(mu.points)
    return np.stack(states)


def deviation(states, reference):
    """The largest deviation of any layer, relative to that layer's largest entry."""
    assert states.shape == reference.shape
    return max(np.abs(a - b).max() / np.abs(b).max() for a, b in zip(states, reference, strict=True))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", TINY)
def test_every_hidden_state_of_a_tiny_model_is_the_references(golden, name, case):
    with np.load(golden / name / "hidden.npz") as file:
        ids, present, types = (file[key][CASES[case]] for key in ("ids", "present", "types"))
        hidden = file["hidden"][:, CASES[case]]
    model = load(golden / name)
    states = states_of(model, model.embed(ids, present=present, token_types=types))
    assert deviation(states[:, present], hidden[:, present]) < 2e-6


def test_the_golden_files_tell_wrong_models_from_right_ones(golden):
    with np.load(golden / "tiny-albert-head" / "hidden.npz") as file:
        ids, hidden, types = file["ids"][0], file["hidden"][:, 0], file["types"][0]
    model = load(golden / "tiny-albert-head")
    block = model.blocks[0]
    wrong = {
        "the other GELU": eqx.tree_at(lambda b: b.perceptron, block, replaced(block.perceptron, activation="gelu")),
        "another epsilon": eqx.tree_at(lambda b: b.attention.norm, block, replaced(block.attention.norm, epsilon=1e-3)),
        "a bias forgotten": eqx.tree_at(lambda b: b.attention.key.bias, block, replace_fn=lambda b: b * 0),
        "query and key exchanged": eqx.tree_at(
            lambda b: (b.attention.query, b.attention.key), block, (block.attention.key, block.attention.query)
        ),
    }
    for name, other in wrong.items():
        mutant = eqx.tree_at(lambda m: m.blocks, model, (other,))
        found = deviation(states_of(mutant, model.embed(ids, token_types=types)), hidden)
        if name == "a bias forgotten":
            assert found < 1e-2  # a key's bias shifts a row of logits only: softmax does not see it
        else:
            assert found > 2e-5, name


def replaced(module, **static):
    """Return a module with other static fields."""
    return type(module)(**{**{f.name: getattr(module, f.name) for f in dataclasses.fields(module)}, **static})


@pytest.mark.slow
def test_every_hidden_state_of_the_real_minilm_is_the_references(golden, minilm):
    with np.load(golden / "all-minilm-l6-v2.npz") as file:
        text, ids, hidden = str(file["text"]), file["ids"], file["hidden"]
    model = load(minilm)
    assert model.encode(text) == list(ids)
    assert deviation(states_of(model, model.embed(text)), hidden) < 1e-5


@pytest.mark.slow
def test_every_hidden_state_of_the_real_albert_is_the_references(golden, albert_rxn):
    with np.load(golden / "albert-rxn.npz") as file:
        text, ids, hidden = str(file["text"]), file["ids"], file["hidden"]
    model = load(albert_rxn)
    assert model.encode(text) == list(ids)
    assert model.embed(text).labels[:4] == ("[CLS]", "N", "[C@@H]", "(")
    assert deviation(states_of(model, model.embed(text)), hidden) < 1e-5


def test_a_model_has_two_sub_layers_for_each_layer(golden):
    model = load(golden / "tiny-albert-groups")
    assert isinstance(model, Transformer)
    assert len(model.fields) == 16
    kinds = [type(field).__name__ for field in model.fields]
    assert kinds == ["Attention", "TrainedPerceptron"] * 8
    assert model.fields[0] is model.fields[4]  # both layers of a group: (0, 1, 0, 1), then the second group
    assert model.fields[0] is not model.fields[2]
    assert model.sublayers(3) == model.fields[:6]
    assert model.sublayers(0) == ()


def test_albert_goes_on_past_its_depth_with_the_same_fields(golden):
    model = load(golden / "tiny-albert-head")
    fields = model.sublayers(200)
    assert len(fields) == 400
    assert len({id(field) for field in fields}) == 2


@pytest.mark.parametrize("name", ["tiny-bert", "tiny-albert-groups"])
def test_a_model_with_distinct_layers_does_not_go_on_past_its_depth(golden, name):
    model = load(golden / name)
    with pytest.raises(BadInput, match=rf"depth is 200, but {name} has \d+ layers whose weights differ"):
        model.sublayers(200)


@pytest.mark.parametrize("depth", [-1, 2.5, "3", True])
def test_a_depth_that_is_no_number_of_layers_is_refused(golden, depth):
    with pytest.raises(BadInput, match="it must be a number of layers"):
        load(golden / "tiny-bert").sublayers(depth)


def test_embedding_carries_words_places_and_masks(golden):
    words = ["[CLS]", "the", "flow", "moves", ",", "a", "token", "cluster", "##s", "!", "[SEP]"]
    tokens = load(golden / "tiny-bert").embed("The flow moves, a token clusters!", present=[True] * 10 + [False])
    assert list(tokens.labels) == words
    assert tokens.points.shape == (11, 24)
    np.testing.assert_array_equal(tokens.positions, np.arange(11))
    np.testing.assert_allclose(tokens.weights, [0.1] * 10 + [0.0])


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ([], {}, "no tokens"),
        ([3, 26], {}, r"token id 26 is outside the vocabulary of tiny-bert, 0 .. 25"),
        ([-1], {}, "token id -1"),
        ([1.5], {}, "dtype float64"),
        ([[1, 2], [3, 4]], {}, r"shape \(2, 2\)"),
        ([[1, 2], [3]], {}, "give a text or a list of whole numbers"),
        (None, {}, "give a text or a list of whole numbers"),
        (list(range(17)), {}, "the text has 17 tokens and tiny-bert has 16 positions"),
        ("flow " * 15, {}, "the text has 17 tokens"),
        ([3, 4], {"positions": [0, 16]}, r"positions lie in 0 .. 16; the model has 0 .. 15"),
        ([3, 4], {"positions": [0, 1, 2]}, "give one for each of the 2 tokens"),
        ([3, 4], {"token_types": [0, 2]}, "token_types lie in 0 .. 2"),
        ([3, 4], {"token_types": [0.0, 1.0]}, "must be integers"),
        ([3, 4], {"present": [True]}, "present has shape"),
        ([3, 4], {"present": [False, False]}, "present is False everywhere"),
    ],
)
def test_what_cannot_be_embedded_is_named(golden, text, options, message):
    with pytest.raises(BadInput, match=message) as caught:
        load(golden / "tiny-bert").embed(text, **options)
    assert "\n" not in str(caught.value)


def test_embedding_at_the_last_position_works(golden):
    model = load(golden / "tiny-bert")
    assert model.embed(list(range(16))).n == 16
    moved = model.embed([5, 6], positions=[3, 4])
    np.testing.assert_array_equal(moved.positions, [3, 4])
    assert np.abs(moved.points - model.embed([5, 6]).points).max() > 0.1


def test_a_model_is_a_tree_of_its_weights_only(golden):
    model = load(golden / "tiny-bert")
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(model))
    assert sum(leaf.size for leaf in jax.tree.leaves(model)) == 14_544

"""The tables of the families: every tensor used or ignored by name, every leaf filled, both ways."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from measureflow import BadInput
from measureflow.language import FAMILIES, Config, export, load
from measureflow.language.model import assemble
from measureflow.language.tables import names_of

HEADS = {
    "tiny-bert": ("", {"pooler.dense.weight", "pooler.dense.bias"}),
    "tiny-bert-head": (
        "bert.",
        {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}
        | {f"cls.predictions.{name}" for name in ("bias", "transform.dense.weight", "transform.dense.bias")}
        | {f"cls.predictions.transform.LayerNorm.{name}" for name in ("weight", "bias")}
        | {f"cls.seq_relationship.{name}" for name in ("weight", "bias")},
    ),
    "tiny-albert-head": (
        "albert.",
        {f"predictions.{name}" for name in ("bias", "dense.weight", "dense.bias")}
        | {f"predictions.LayerNorm.{name}" for name in ("weight", "bias")},
    ),
    "tiny-albert-groups": ("", {"pooler.weight", "pooler.bias"}),
}


@pytest.mark.parametrize("name", HEADS)
def test_export_gives_back_names_and_bytes(golden, name):
    prefix, heads = HEADS[name]
    stored = load_file(golden / name / "model.safetensors")
    exported = export(load(golden / name), prefix)
    assert set(exported) | heads == set(stored)
    assert not set(exported) & heads
    for tensor, values in exported.items():
        assert values.dtype == stored[tensor].dtype
        assert values.shape == stored[tensor].shape
        assert values.tobytes() == stored[tensor].tobytes(), tensor


@pytest.mark.parametrize("name", HEADS)
def test_what_was_exported_loads_as_the_same_model(golden, rewritten, name):
    model = load(golden / name)
    again = load(rewritten(name, lambda _: export(model)))
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), model.blocks, again.blocks))


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_the_table_names_every_leaf_once_and_no_leaf_that_is_not_there(family):
    config = Config(
        family.name, 10, 8, 2, 4, layers=3, heads=2, perceptron=8, activation="gelu", epsilon=1e-12,
        embedding=2 if family.name == "albert" else 0, groups=3 if family.name == "albert" else 0,
    )  # fmt: skip
    model = assemble(config, lambda *shape: jax.ShapeDtypeStruct(shape, np.float32))
    names = names_of(model, family, config)
    leaves = jax.tree.leaves(model)
    assert sorted(number for number, _ in names.values()) == list(range(len(leaves)))
    per_block = sum(address.startswith("blocks.") for address in family.leaves)
    assert len(names) == len(family.leaves) + (config.distinct - 1) * per_block


@pytest.mark.parametrize("name", ["tiny-bert", "tiny-albert-groups"])
def test_each_leaf_is_filled_from_a_tensor_of_its_own(golden, rewritten, name):
    names = list(export(load(golden / name)))
    numbered = rewritten(
        name, lambda t: {key: np.full_like(v, names.index(key)) for key, v in t.items() if key in names}
    )
    model = load(numbered)
    found = [np.unique(leaf).tolist() for leaf in jax.tree.leaves(model)]
    assert sorted(found) == [[number] for number in range(len(names))]
    assert all((values == names.index(key)).all() for key, values in export(model).items())


def test_old_spellings_of_layer_norms_are_read(golden, rewritten):
    def old(tensors):
        def spell(name):
            return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")

        return {spell(name): value for name, value in tensors.items()}

    for name in ("tiny-bert-head", "tiny-albert-head"):
        folder = rewritten(name, old)
        assert any("gamma" in key for key in load_file(folder / "model.safetensors"))
        new, again = load(golden / name), load(folder)
        assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), new.blocks, again.blocks))


def test_two_spellings_of_one_tensor_are_refused(rewritten):
    folder = rewritten("tiny-bert", lambda t: {**t, "embeddings.LayerNorm.gamma": t["embeddings.LayerNorm.weight"]})
    with pytest.raises(BadInput, match="two spellings of one tensor"):
        load(folder)


def test_a_renamed_tensor_is_missing_and_its_nearest_name_is_told(rewritten):
    old, new = "encoder.layer.2.output.dense.weight", "encoder.layer.2.output.dens.weight"
    folder = rewritten("tiny-bert", lambda t: {new if name == old else name: v for name, v in t.items()})
    with pytest.raises(BadInput) as caught:
        load(folder)
    line = str(caught.value)
    assert f"tensor '{old}' is missing from model.safetensors (checkpoint of a 3-layer BERT)" in line
    assert f"'{new}'" in line


def test_missing_layers_are_counted_under_the_names_of_the_file(rewritten):
    folder = rewritten("tiny-bert-head", lambda t: {name: v for name, v in t.items() if "encoder.layer.1." not in name})
    with pytest.raises(BadInput, match=r"tensor 'bert\.encoder\.layer\.1\..*15 more are.*2-layer BERT"):
        load(folder)


def test_an_extra_tensor_is_refused_unless_declared_irrelevant(rewritten):
    folder = rewritten("tiny-bert", lambda t: {**t, "encoder.layer.7.adapter.down": np.zeros(3, np.float32)})
    with pytest.raises(BadInput, match=r"does not know: 'encoder\.layer\.7\.adapter\.down'.*ignore="):
        load(folder)
    assert load(folder, ignore="encoder.layer.*.adapter.*").config.layers == 3


def test_a_tensor_without_the_prefix_of_the_others_is_not_taken_for_one_of_them(rewritten):
    name = "encoder.layer.0.output.dense.bias"
    folder = rewritten("tiny-bert-head", lambda t: {**t, name: t[f"bert.{name}"]})
    with pytest.raises(BadInput, match="does not know"):
        load(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": 27}, r"'embeddings.word_embeddings.weight' has shape \[26, 24\].*asks for \[27, 24\]"),
        ({"hidden_size": 48}, r"has shape .* but config.json asks for"),
        ({"intermediate_size": 1_000_000}, r"'encoder.layer.0.intermediate.dense.weight' has shape \[40, 24\]"),
        ({"vocab_size": 9_999_999, "hidden_size": 999_999}, r"asks for \[9999999, 999999\]"),
        ({"num_hidden_layers": 4}, "'encoder.layer.3.attention.self.query.weight' is missing"),
        ({"num_hidden_layers": 2}, "does not know: 'encoder.layer.2."),
    ],
)
def test_shapes_that_do_not_match_the_config_are_named_before_anything_is_allocated(reconfigured, changes, message):
    with pytest.raises(BadInput, match=message):
        load(reconfigured("tiny-bert", **changes))


def test_a_transposed_tensor_is_refused(rewritten):
    name = "encoder.layer.0.intermediate.dense.weight"
    with pytest.raises(BadInput, match=r"shape \[24, 40\].*asks for \[40, 24\]"):
        load(rewritten("tiny-bert", lambda t: {**t, name: t[name].T}))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(rewritten, bad):
    name = "encoder.layer.1.output.dense.bias"

    def spoil(tensors):
        tensors[name][3] = bad
        return tensors

    with pytest.raises(BadInput, match=rf"'{name}' of model.safetensors: 1 of its numbers are NaN or infinite"):
        load(rewritten("tiny-bert", spoil))


def test_whole_numbers_are_no_weights(rewritten):
    name = "embeddings.LayerNorm.bias"
    with pytest.raises(BadInput, match="stored as I64; a weight must be"):
        load(rewritten("tiny-bert", lambda t: {**t, name: t[name].astype(np.int64)}))

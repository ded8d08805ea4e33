"""Reading `config.json`: what is used, what is irrelevant, and what is refused by name."""

from __future__ import annotations

import pytest

from measureflow import BadInput
from measureflow.language import Config, load

BERT = {"family": "bert", "vocabulary": 10, "positions": 8, "token_types": 2, "width": 4, "layers": 6, "heads": 2}


def config(**changes: object) -> Config:
    return Config(**{**BERT, "perceptron": 8, "activation": "gelu", "epsilon": 1e-12, **changes})


def test_distinct_layers_stand_in_order():
    assert config().order(4) == [0, 1, 2, 3]
    assert config().distinct == config().depth == 6


def test_groups_share_consecutive_layers_as_in_the_reference():
    assert config(groups=3).order(6) == [0, 0, 1, 1, 2, 2]
    assert config(groups=4).order(6) == [0, 0, 1, 2, 2, 3]
    assert config(layers=2, groups=2, inner=3).order(6) == [0, 1, 2, 3, 4, 5]
    assert config(layers=2, groups=1, inner=2).order(4) == [0, 1, 0, 1]


def test_one_group_goes_on_past_its_depth():
    assert config(groups=1).order(9) == [0] * 9
    assert config(layers=1, groups=1, inner=2).order(5) == [0, 1, 0, 1, 0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": ...}, "lacks hidden_size"),
        ({"hidden_size": ..., "hidden_act": ...}, "lacks hidden_size, hidden_act"),
        ({"hidden_size": None}, "lacks hidden_size"),
        ({"hidden_size": "24"}, "hidden_size is '24'; it must be a whole number"),
        ({"hidden_size": 24.0}, "hidden_size is 24.0"),
        ({"num_hidden_layers": True}, "num_hidden_layers is True"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0"),
        ({"num_attention_heads": 5}, "5 heads do not divide the width 24"),
        ({"hidden_act": "mish"}, "hidden_act is 'mish'; it must be one of gelu"),
        ({"layer_norm_eps": 0}, "layer_norm_eps is 0"),
        ({"layer_norm_eps": -1e-5}, "layer_norm_eps is -1e-05"),
        ({"pad_token_id": -1}, "pad_token_id is -1"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'"),
        ({"is_decoder": True}, "is_decoder is True"),
        ({"pruned_heads": {"0": [1]}}, "pruned_heads"),
        ({"rope_scaling": {"factor": 2}}, r"does not know: 'rope_scaling'.*ignore=\('rope_scaling',\)"),
        ({"model_type": "gpt2"}, "model_type 'gpt2' is no family known here; known are albert, bert"),
        ({"model_type": ["bert"]}, "no family known here"),
        ({"model_type": ...}, "names no model_type; add one of albert, bert"),
    ],
)
def test_a_key_that_cannot_be_used_is_named(reconfigured, changes, message):
    with pytest.raises(BadInput, match=message) as caught:
        load(reconfigured("tiny-bert", **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"layer_norm_eps": ..., "pad_token_id": None, "initializer_range": 3, "_name_or_path": "x"},
        {"position_embedding_type": "absolute", "is_decoder": False, "pruned_heads": {}},
        {"task_specific_params": None, "id2label": {"0": "no"}, "classifier_dropout": 0.1},
    ],
)
def test_irrelevant_keys_and_defaults_change_nothing(reconfigured, changes):
    assert load(reconfigured("tiny-bert", **changes)).config.epsilon == 1e-12


def test_an_unknown_key_can_be_declared_irrelevant(reconfigured):
    assert load(reconfigured("tiny-bert", colour="blue"), ignore="colour").config.width == 24


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no valid JSON"),
        ('{"hidden_size": NaN}', "NaN"),
        ('{"hidden_size": 1, "hidden_size": 2}', "'hidden_size' occurs twice"),
        ("[]", "holds no table"),
        ("[" * 100_000, "nested too deeply|no valid JSON"),
    ],
)
def test_a_damaged_config_is_refused_in_one_line(copy, text, message):
    folder = copy("tiny-bert")
    (folder / "config.json").write_text(text)
    with pytest.raises(BadInput, match=message) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_a_config_that_is_no_text_is_refused(copy):
    folder = copy("tiny-bert")
    (folder / "config.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(BadInput, match=r"config.json is no valid JSON"):
        load(folder)

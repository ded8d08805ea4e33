from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

import measureflow as mf
from measureflow.cli import main

TINY = Path(__file__).resolve().parents[1] / "language" / "golden" / "tiny-bert"
IDS = ["--ids", "3", "1", "4", "1", "5"]


def test_a_trace_prints_numbers_for_every_layer(capsys):
    assert main(["trace", str(TINY), *IDS, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    path = mf.trace(mf.load(TINY), [3, 1, 4, 1, 5])
    assert [row["layer"] for row in answer["layers"]] == list(range(len(path)))
    assert answer["layers"][-1]["cosine"] == pytest.approx(float(mf.observe.cosine(path)[-1]))
    assert answer["layers"][0].keys() == {
        "layer", "cosine", "cosine_centred", "rank", "rank_centred", "clusters", "energy",
    }  # fmt: skip
    assert os.listdir() == []


def test_a_trace_is_written_where_a_folder_is_asked_for(capsys):
    assert main(["trace", str(TINY), *IDS, "--out", "run"]) == 0
    out = capsys.readouterr().out
    assert "cosine_centred" in out
    assert sorted(os.listdir("run")) == ["index.html", "measureflow.json", "path.zarr", "pictures"]
    assert {"cosines.svg", "ranks.svg"} <= {*os.listdir("run/pictures")}
    assert main(["cite", "run"]) == 0
    assert "@inproceedings{devlin2019bert," in capsys.readouterr().out


def broken(what: str) -> Path:
    folder = Path(shutil.copytree(TINY, "model"))
    weights = folder / "model.safetensors"
    if what == "truncated":
        weights.write_bytes(weights.read_bytes()[:5000])
    if what == "pickle":
        weights.rename(folder / "pytorch_model.bin")
    if what == "family":
        table = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(table | {"model_type": "mamba"}))
    return folder


@pytest.mark.parametrize("what", ["truncated", "pickle", "family"])
def test_a_bad_checkpoint_is_one_line(what, capsys):
    assert main(["trace", str(broken(what)), *IDS, "--out", "run"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("measureflow trace: ")
    assert err.count("\n") == 1
    assert os.listdir() == ["model"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([str(TINY), "--ids", "three"], "give integers"),
        ([str(TINY.with_name("tiny-albert-groups")), "a text"], "came without"),
        ([str(TINY), *IDS, "--depth", "99"], "depth is 99"),
        ([str(TINY), *IDS, "--delta", "0"], "delta is 0"),
        ([str(TINY), *IDS, "--beta", "-1"], "beta is -1"),
        ([str(TINY), "--ids", "100000"], "100000"),
    ],
)
def test_bad_arguments_are_one_line(words, said, capsys):
    assert main(["trace", *words]) == 2
    err = capsys.readouterr().err
    assert err.startswith("measureflow trace: ")
    assert said in err
    assert err.count("\n") == 1


def test_a_report_shows_the_model_it_is_given(capsys):
    assert main(["report", "--only", "08_a_trained_network", "--model", str(TINY), "--out", "report"]) == 0
    assert "written to report" in capsys.readouterr().out
    pictures = {*os.listdir("report/pictures")}
    assert {"cosines-by-depth.svg", "ranks-by-depth.svg", "words-by-depth.svg"} <= pictures
    page = Path("report/index.html").read_text("utf-8")
    assert "effective rank, centred" in page
    assert "tiny-bert" in page
    assert main(["cite", "report"]) == 0
    cited = capsys.readouterr().out
    assert "@inproceedings{devlin2019bert," in cited
    assert "karagodin2024causal" not in cited  # no claim was checked
    assert main(["report", "--only", "08_a_trained_network", "--model", str(TINY), "--out", "report"]) == 2

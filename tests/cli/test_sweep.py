from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from measureflow.cli import main
from measureflow.runs import Diagram, computing

RECIPE = "n = 4\ndim = 4\nuntil = 2.0\nreplicas = 5\n[grid]\nbeta = [0.0, 1.0]\ndim = [3, 4]\n"


@pytest.fixture
def _pretended(monkeypatch) -> None:
    """Cells cost nothing; those of beta = 1 and dim = 3 fail."""

    def pretend(recipe: dict) -> dict:
        own, times = recipe["simulation"], len(recipe["times"])
        error = "no such sphere." if own["beta"] == 1.0 and own["dim"] == 3 else None
        series = {"event": {"mean": [0.5] * times, "deviation": [0.5] * times}}
        return {"series": {} if error else series, "error": error, "lasting": True, "seconds": 0.0}

    monkeypatch.setattr(computing, "compute", pretend)
    monkeypatch.setattr(Diagram, "plot", lambda *_: None)


@pytest.mark.usefixtures("_pretended")
def test_a_sweep_says_what_it_computed_and_what_failed(capsys):
    Path("phase.toml").write_text(RECIPE)
    assert main(["sweep", "phase.toml", "--out", "phase", "--workers", "1"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("4 cells (2 beta × 2 dim), 5 replicas each: 4 computed, 0 found in phase\n")
    assert "failed: beta = 1.0, dim = 3: no such sphere.\n" in out
    assert err == ""
    assert main(["sweep", "phase.toml", "--out", "phase", "--workers", "1", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["cells"], answer["computed"], answer["found"], answer["failed"]) == (4, 0, 4, 1)
    assert [row["error"] for row in answer["rows"]] == [None, None, "no such sphere.", None]
    assert answer["rows"][0]["event"] == 0.5
    assert main(["cite", "phase"]) == 0
    assert "perspective" in capsys.readouterr().out


@pytest.mark.usefixtures("_pretended")
def test_ctrl_c_is_exit_code_130_and_one_line(capsys, monkeypatch):
    def interrupted(recipe: dict) -> dict:
        raise KeyboardInterrupt

    Path("phase.toml").write_text(RECIPE)
    monkeypatch.setattr(computing, "compute", interrupted)
    assert main(["sweep", "phase.toml", "--out", "phase", "--workers", "1"]) == 130
    line = "measureflow sweep: stopped; 0 of 4 cells are kept in phase. The same command goes on from there.\n"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(
    ("recipe", "words", "line"),
    [
        (None, [], "measureflow sweep: phase.toml cannot be read: No such file or directory."),
        ("n = 3\n", [], "measureflow sweep: phase.toml: there is no [grid];"),
        ("[grid]\nbta = [1]\n", [], "measureflow sweep: phase.toml: [grid]: unknown key 'bta'; did you mean 'beta'?"),
        ("[grid]\nbeta = [-1.0]\n", [], "measureflow sweep: beta is -1.0; it is an inverse temperature"),
        (RECIPE, ["--executor", "gpus"], "measureflow sweep: --executor is 'gpus'; it must be processes or dask."),
        (RECIPE, ["--executor", "dask"], "measureflow sweep: --executor dask and --scheduler ADDRESS belong together"),
        (RECIPE, ["--workers", "0"], "measureflow sweep: --workers is 0;"),
        ("replicas = 2.5\n[grid]\nbeta = [1]\n", [], "measureflow sweep: phase.toml: replicas is 2.5;"),
    ],
)
def test_bad_input_is_one_plain_line_and_exit_code_2(recipe, words, line, capsys):
    if recipe is not None:
        Path("phase.toml").write_text(recipe)
    assert main(["sweep", "phase.toml", *words]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(line)
    assert err.count("\n") == 1
    assert out == ""
    assert os.listdir() == ([] if recipe is None else ["phase.toml"])

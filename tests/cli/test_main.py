from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import measureflow as mf
from measureflow.cli import main

PROGRAM = [sys.executable, "-c", "import sys; from measureflow.cli import main; sys.exit(main())"]
SMALL = ["flow", "--n", "6", "--until", "5", "--save", "5"]


def said(capsys) -> tuple[str, str]:
    captured = capsys.readouterr()
    return captured.out, captured.err


@pytest.mark.parametrize("command", ["report", "flow", "trace", "check", "sweep", "explore", "figure", "cite"])
def test_every_command_explains_itself(command, capsys):
    assert main([command, "--help"]) == 0
    out, err = said(capsys)
    assert f"measureflow {command}" in out
    assert "example" in out
    assert err == ""


def test_without_a_command_the_commands_are_shown(capsys):
    assert main([]) == 0
    out, _ = said(capsys)
    assert all(command in out for command in ("report", "flow", "trace", "check", "explore", "figure", "cite"))
    assert main(["--version"]) == 0
    assert said(capsys)[0].startswith("measureflow 0.")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["flw"], "measureflow: argument COMMAND: invalid choice: 'flw'"),
        (["flow", "--bta", "3"], "measureflow flow: unrecognized arguments: --bta; did you mean --beta?"),
        (["flow", "--n", "many"], "measureflow flow: argument --n: 'many' is no integer"),
        (["flow", "--n", "2.5"], "measureflow flow: argument --n: '2.5' is no integer"),
        (["flow", "--n", "0"], "measureflow flow: n is 0;"),
        (["flow", "--beta", "-1"], "measureflow flow: beta is -1.0; it is an inverse temperature"),
        (["flow", "--beta", "nan"], "measureflow flow: beta is nan;"),
        (["flow", "--until", "0"], "measureflow flow: until is 0.0;"),
        (["flow", "--until", "inf"], "measureflow flow: until is inf;"),
        (["flow", "--dim", "1"], "measureflow flow: Sphere(d=1):"),
        (["flow", "--save", "0"], "measureflow flow: save is 0"),
        (["flow", "--rtol", "0"], "measureflow flow: Adaptive: rtol is 0.0;"),
        (
            ["flow", "--record", "enery"],
            "measureflow flow: record names 'enery', which is no observable; did you mean 'energy'?",
        ),
        (["flow", "missing.toml"], "measureflow flow: missing.toml cannot be read: No such file or directory."),
        (["trace", "nowhere/model", "text"], "measureflow trace: "),
        (["check", "V55"], "measureflow check: no claim goes by 'V55'; the nearest are"),
        (["check", "--tier", "deep"], "measureflow check: tier is 'deep';"),
        (["check", "--seed", "-1"], "measureflow check: "),
        (["cite", "9999.99999"], "measureflow cite: the bibliography has no entry '9999.99999'"),
        (["report", "--tier", "deep"], "measureflow report: tier is 'deep';"),
        (["report", "--workers", "0"], "measureflow report: --workers is 0; there must be at least one."),
        (["report", "--only", "chapter"], "measureflow report: --only chapter: no chapter has that name"),
        (["report", "--model", "nowhere/model"], "measureflow report: "),
    ],
)
def test_bad_input_is_one_plain_line_and_exit_code_2(words, line, capsys):
    assert main(words) == 2
    out, err = said(capsys)
    assert err.startswith(line)
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert out == ""
    assert os.listdir() == []


def test_flow_writes_a_page_a_picture_and_a_store(capsys):
    assert main([*SMALL, "--out", "run"]) == 0
    out, err = said(capsys)
    assert "Path: 6 tokens on S²" in out
    assert err == ""
    assert sorted(os.listdir("run")) == ["index.html", "measureflow.json", "path.zarr", "pictures", "recipe.toml"]
    path = mf.Path.load("run/path.zarr")
    assert path.status == "reached"
    page = Path("run/index.html").read_text("utf-8")
    assert 'src="pictures/path.svg"' in page
    assert path.recipe.hash[:12] in Path("run/pictures/path.svg").read_text("utf-8") or "recipe" in page
    assert os.listdir() == ["run"]


def test_a_run_can_be_repeated_from_its_own_recipe(capsys):
    assert main([*SMALL, "--seed", "3", "--out", "run"]) == 0
    assert main(["flow", "run/recipe.toml", "--out", "again", "--json"]) == 0
    out, _ = said(capsys)
    first, second = mf.Path.load("run/path.zarr"), mf.Path.load("again/path.zarr")
    np.testing.assert_array_equal(first.points, second.points)
    answer = json.loads(out[out.index("{") :])
    assert answer["hash"] == first.recipe.hash == second.recipe.hash
    assert answer["status"] == "reached"
    assert len(answer["clusters"]) == len(answer["times"]) == 5


def test_flags_overrule_the_recipe():
    Path("recipe.toml").write_text("n = 5\nuntil = 2.0\nsave = 3\nbeta = 1.0\n")
    assert main(["flow", "recipe.toml", "--beta", "4", "--out", "run"]) == 0
    path = mf.Path.load("run/path.zarr")
    assert path.measure.n == 5
    assert float(path.field.beta) == 4.0


def test_an_existing_folder_is_left_as_it_is(capsys):
    Path("run").mkdir()
    Path("run/thesis.txt").write_text("years")
    assert main([*SMALL, "--out", "run"]) == 2
    assert main([*SMALL, "--out", "run", "--force"]) == 2
    assert said(capsys)[1].count("\n") == 2
    assert os.listdir("run") == ["thesis.txt"]


def test_check_prints_what_machines_read(capsys):
    assert main(["check", "V28", "--json", "--seed", "4"]) == 0
    results = json.loads(said(capsys)[0])
    wanted = {"id", "covers", "paper", "verdict", "measured", "expected", "tolerance", "mutation_rejected", "seconds"}
    assert results
    for result in results:
        assert wanted <= result.keys()
        assert result["verdict"] == "consistent"
        assert result["mutation_rejected"] is True
        assert "V28" in result["covers"]


def test_a_violated_claim_is_exit_code_1(capsys, monkeypatch):
    from measureflow.claims import registry

    monkeypatch.setattr(registry.CLAIMS, "things", dict(registry.CLAIMS.things))

    @mf.claim("2312.10794", "(0.0)", covers=["X1"], states=lambda: 1.0)
    def one_is_two(case):
        """One is two."""
        return case.compare(2.0, case.predict(), within=1e-3, because="they are numbers")

    assert main(["check", "X1"]) == 1
    assert "violated" in said(capsys)[0]


def test_cite_prints_what_a_run_used(capsys):
    assert main([*SMALL, "--mask", "causal", "--out", "run"]) == 0
    said(capsys)
    assert main(["cite", "run"]) == 0
    from_folder, _ = said(capsys)
    assert "@inproceedings{karagodin2024causal," in from_folder
    assert main(["cite", "run/path.zarr"]) == 0
    assert said(capsys)[0] == from_folder
    assert main(["cite"]) == 0
    assert said(capsys)[0].count("\n@") > 10
    Path("other").mkdir()
    assert main(["cite", "other"]) == 2
    assert "is no run of measureflow" in said(capsys)[1]


def test_a_reader_that_stops_reading_is_no_error():
    run = subprocess.run(
        f"{sys.executable} -c '{PROGRAM[2]}' cite | head -1", shell=True, capture_output=True, text=True
    )
    assert run.stdout.startswith("@")
    assert run.stderr == ""


def test_ctrl_c_stops_within_a_second_and_keeps_what_was_saved():
    program = subprocess.Popen(
        [*PROGRAM, "flow", "--n", "500", "--until", "1e4", "--out", "run"], stderr=subprocess.PIPE, text=True
    )
    commit, deadline = Path("run.partial/path.zarr/commit.json"), time.monotonic() + 120
    while program.poll() is None and time.monotonic() < deadline:
        if commit.exists() and json.loads(commit.read_text())["saved"] > 2:
            break
        time.sleep(0.05)
    asked = time.monotonic()
    program.send_signal(signal.SIGINT)
    _, err = program.communicate(timeout=60)
    assert time.monotonic() - asked < 5.0  # a second on an idle machine
    assert program.returncode == 130
    assert err.startswith("measureflow flow: stopped at t = ")
    assert err.count("\n") == 1
    assert os.listdir() == ["run.partial"]
    assert len(mf.Path.load("run.partial/path.zarr")) >= 1


def test_figures_are_listed_and_a_wrong_name_is_one_line(capsys):
    assert main(["figure", "--json"]) == 0
    assert isinstance(json.loads(said(capsys)[0]), list)
    assert main(["figure", "fig-none"]) == 2
    assert "no figure goes by 'fig-none'" in said(capsys)[1]
    assert main(["explore", "P999"]) == 2
    assert "no exploration goes by 'P999'" in said(capsys)[1]

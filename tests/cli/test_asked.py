"""Claims, explorations and figures from the shell: with other numbers, to a page with its recipe, and listed."""

from __future__ import annotations

import json
import tomllib

import pytest

from measureflow.cli import main
from measureflow.cli.parser import named_value

#: a claim and a study that NumPy does in a moment, and a parameter of each
CLAIM, STUDY = "2501.03096/T6", "2312.10794/P16-masses"


def run(capsys, *words: str) -> tuple[int, str, str]:
    code = main(list(words))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_check_becomes_a_page_whose_recipe_checks_the_same_again(tmp_path, capsys):
    code, first, _ = run(capsys, "check", CLAIM, "--seed", "5", "--out", str(tmp_path / "one"))
    assert code == 0
    page, name = (tmp_path / "one" / "index.html").read_text("utf-8"), CLAIM.replace("/", "-")
    assert f"measureflow check {CLAIM} --tier smoke --seed 5" in page
    assert f'src="pictures/{name}.svg"' in page
    assert f"measureflow check {CLAIM}" in (tmp_path / "one" / "pictures" / f"{name}.svg").read_text("utf-8")
    recipe = tmp_path / "one" / "recipe.toml"
    assert tomllib.loads(recipe.read_text("utf-8")) == {"claims": [CLAIM], "tier": "smoke", "seed": 5}
    code, again, _ = run(capsys, "check", str(recipe))
    assert first.split(";")[0] == again.split(";")[0]
    code, other, _ = run(capsys, "check", str(recipe), "--seed", "6", "--json")
    (row,) = json.loads(other)
    assert (row["recipe"]["seed"], row["command"]) == (6, f"measureflow check {CLAIM} --tier smoke --seed 6")


def test_pictures_come_from_other_processes_too(tmp_path, capsys):
    ids = [CLAIM, "2501.03096/1.3-large"]
    assert run(capsys, "check", *ids, "--workers", "2", "--out", str(tmp_path / "two"))[0] == 0
    found = {file.name for file in (tmp_path / "two" / "pictures").iterdir()}
    assert found == {f"{id.replace('/', '-')}.svg" for id in ids}


def test_a_study_becomes_a_page_with_what_was_set(tmp_path, capsys):
    words = ["explore", STUDY, "--set", "n=8", "--set", "replicas=1", "--set", "exchange=[1.0]"]
    code, out, _ = run(capsys, *words, "--out", str(tmp_path / "study"))
    assert code == 0
    assert "exchange 1:" in out
    held = tomllib.loads((tmp_path / "study" / "recipe.toml").read_text("utf-8"))
    assert held["parameters"] == {"n": 8, "replicas": 1, "exchange": [1.0]}
    assert (tmp_path / "study" / "pictures").is_dir()
    code, out, _ = run(capsys, "explore", str(tmp_path / "study" / "recipe.toml"), "--json")
    assert json.loads(out)[0]["parameters"] == held["parameters"]


def test_a_figure_is_drawn_with_other_numbers(tmp_path, capsys):
    words = ["figure", "2312.10794/fig-6", "--set", "betas=[3.0]", "--out", str(tmp_path / "g.svg")]
    assert run(capsys, *words)[0] == 0
    assert "--set 'betas=[3.0]'" in (tmp_path / "g.svg").read_text("utf-8").replace("&#x27;", "'")


@pytest.mark.parametrize(
    ("words", "known"),
    [
        (["check", "--list", CLAIM], CLAIM),
        (["explore", "--list", STUDY], "exchange: [0.1, 1]"),
        (["figure", "--list", "2312.10794/fig-6"], "betas: [2, 6]"),
    ],
)
def test_what_can_be_set_is_listed(words, known, capsys):
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert known in out
    code, out, _ = run(capsys, *words, "--json")
    assert len(json.loads(out)) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["check", CLAIM, "--set", "bta=1"], f"measureflow check: {CLAIM} has no parameter 'bta'; known: "),
        (["check", CLAIM, "--set", "bta"], "measureflow check: argument --set: 'bta' is no NAME=VALUE"),
        (["explore", STUDY, "--set", "n=few"], "'n' is 'few'; it is a number"),
        (["explore", STUDY, "--set", "m=1"], "has no parameter 'm'"),
        (["figure", "2312.10794/fig-6", "--set", "n=1"], "has no parameter 'n'; known: betas"),
        (["check", "missing.toml"], "missing.toml cannot be read"),
        (["check", "missing.toml", "V6"], "missing.toml is a recipe"),
    ],
)
def test_what_cannot_be_set_is_one_line(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_a_name_may_hold_an_equals_sign():
    assert named_value("beta, d = 2=0.5") == ("beta, d = 2", 0.5)
    assert named_value("kinds=['a']") == ("kinds", "['a']")
    assert named_value('kinds=["a"]') == ("kinds", ["a"])
    assert named_value(" n = 3 ") == ("n", 3)


def test_a_recipe_with_an_unknown_key_is_refused(tmp_path, capsys):
    file = tmp_path / "recipe.toml"
    file.write_text('claims = ["V6"]\nbeta = 3\n', "utf-8")
    code, _, err = run(capsys, "check", str(file))
    assert code == 2
    assert "a recipe has no 'beta'; it has claims, tier, seed, parameters" in err

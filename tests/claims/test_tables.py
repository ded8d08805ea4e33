"""Which rows of the tables have a claim or a study."""

from __future__ import annotations

import json

import pytest

from measureflow.claims import coverage
from measureflow.claims import exploration as explore_by
from measureflow.claims.registry import all as all_claims
from measureflow.claims.tables import TABLES, missing
from measureflow.cli import main


def test_every_row_is_listed_with_what_covers_it():
    covered = coverage()
    rows = [f"{letter}{k}" for letter, count in TABLES.items() for k in range(1, count + 1)]
    assert list(covered)[: len(rows)] == rows
    assert missing() == [row for row in rows if not covered[row]]
    for claim in all_claims():
        for item in claim.covers:
            assert claim.id in covered[item]
    assert "2312.10794/V7" in covered["V7"]
    assert "2312.10794/P18" in covered["P18"]
    assert {"T1", "T12", "T14", "T15", "Q9"} <= {item for item in rows if covered[item]}
    assert "T24" not in covered  # the language model's


@pytest.mark.usefixtures("own_registry")
def test_a_new_study_covers_its_row():
    @explore_by("1111.22222", "Problem 1", covers=["P1", "X10", "X2"])
    def how_long_is_a_coast(case):
        """It is not known how long a coast is."""
        return {}

    assert "1111.22222/P1" in coverage()["P1"]
    assert [item for item in coverage() if item.startswith("X")] == ["X2", "X10"]


def test_the_command_lists_them(capsys):
    assert main(["check", "--coverage"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("V7 ") and "2312.10794/V7" in line for line in lines)
    assert lines[-1].startswith("V1 to V30, E1 to E15, P1 to P20, T1 to T23, Q1 to Q13: ")
    assert main(["check", "--coverage", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["missing"] == missing()
    assert answer["covered"] == coverage()

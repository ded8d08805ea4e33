"""Verdicts of many claims: the same as one after the other, from any process, none lost on the way."""

from __future__ import annotations

import contextlib
import json
import math
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest

import measureflow as mf
from measureflow import BadInput
from measureflow.claims import registry
from measureflow.cli import main
from measureflow.runs import verdicts

#: claims that NumPy checks in a moment
QUICK = ["2501.03096/T6", "2501.03096/1.3-large"]


@pytest.fixture
def toys(monkeypatch):
    """Three claims of the test's own: a true one, a wrong one, and one that meets NaN."""
    for name in ("things", "sources"):
        monkeypatch.setattr(registry.CLAIMS, name, {})

    def made(slug, off):
        @mf.claim("0000.00000", "(1)", states=lambda x: x, id=f"0000.00000/{slug}", title=slug)
        def check(case):
            """A number is itself."""
            x = case.draw("x", 1.0, 2.0)
            case.require("x is positive", x > 0)
            case.compare(x + off, case.predict(x), within=1e-9, because="exact", name="number")

        check.mutation(lambda x: -x)
        return check.id

    return [made("true", 0.0), made("wrong", 1.0), made("unseen", math.nan)]


@pytest.fixture
def in_threads(monkeypatch):
    """Let the work of the processes be done here."""

    @contextlib.contextmanager
    def pool(kind, workers):
        with ThreadPoolExecutor(1) as executor:
            yield executor

    monkeypatch.setattr("measureflow.runs.checking.own_executor", pool)


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_those_of_check(toys, in_threads, workers):
    expected = {result.id: result for result in mf.check(toys, tier="standard", seed=3)}
    found = {result.id: result for result in verdicts(toys, tier="standard", seed=3, workers=workers)}
    assert [found[id].verdict for id in toys] == ["consistent", "violated", "violated"]
    for id in toys:
        one, other = found[id], expected[id]
        assert {**one.to_json(), "seconds": 0} == {**other.to_json(), "seconds": 0}
        np.testing.assert_equal(one.deviation, other.deviation)  # NaN is NaN, not None
        assert one.claim is other.claim
        assert str(one).split("; ")[0] == str(other).split("; ")[0]


def test_dearest_claims_come_first(toys):
    @mf.claim("0000.00000", "(2)", states=abs, tier="full", id="0000.00000/dear")
    def dear(case):
        """One is one."""
        case.compare(1.0, case.predict(1.0), within=1e-9, because="exact")

    assert [result.id for result in verdicts(workers=1)] == toys
    assert [result.id for result in verdicts(tier="full", workers=1)] == [dear.id, *toys]


def test_progress_hears_every_verdict(toys, in_threads):
    told = []
    list(verdicts(toys[:2], workers=2, progress=lambda *news: told.append(news)))
    assert told == [(0, 2, ""), (1, 2, "true"), (2, 2, "wrong")]


@pytest.mark.parametrize("bad", [{"workers": 0}, {"tier": "deep"}, {"seed": -1}, {"wanted": "X99"}])
def test_bad_input_is_said_before_any_work(bad):
    with pytest.raises(BadInput):
        verdicts(**bad)


def test_a_process_that_dies_is_said_after_the_verdicts_that_were_there(toys, in_threads, monkeypatch):
    def dies(id, tier, seed):
        raise BrokenProcessPool

    monkeypatch.setattr("measureflow.runs.checking.examined", dies)
    with pytest.raises(BadInput, match=r"a process died after 0 of 2 claims, .* \(--workers 1\)"):
        list(verdicts(toys[:2], workers=2))


def test_ctrl_c_leaves_the_printed_verdicts_whole(toys, monkeypatch, capsys):
    asked = []

    def pressed(claim, **options):
        if asked:
            raise KeyboardInterrupt
        asked.append(claim)
        return examine(claim, **options)

    from measureflow.claims.checking import examine

    monkeypatch.setattr("measureflow.runs.checking.examine", pressed)
    assert main(["check", "--json"]) == 130
    out, err = capsys.readouterr()
    assert [one["id"] for one in json.loads(out)] == toys[:1]
    assert err == "measureflow check: stopped; verdicts printed: 1.\n"
    assert main(["check", "--json"]) == 130
    assert json.loads(capsys.readouterr().out) == []


def test_check_lists_what_is_not_consistent_at_the_end(toys, capsys):
    assert main(["check"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3:] == ["1 consistent, 2 violated", f"{toys[1]} is violated", f"{toys[2]} is violated"]


def test_processes_of_their_own_find_the_librarys_claims():
    found = list(verdicts(QUICK, workers=2))
    assert len({result.id for result in found}) == len(found) >= 2
    assert {result.verdict for result in found} == {"consistent"}

from __future__ import annotations

import sys

import pytest

import measureflow as mf
from measureflow.flows import memory

TOKENS = mf.uniform(mf.Sphere(3), n=8, seed=0)
FIELD = mf.SelfAttention(beta=1.0)
#: points, weights, positions and presence of a state of eight tokens
STATE = 8 * (3 * 8 + 8 + 8 + 1)


@pytest.fixture
def scarce(monkeypatch):
    """A machine with a given number of bytes left, on which no step may be made."""

    def started(*_, **__):
        raise AssertionError("work was started")

    def leave(free: int | None) -> None:
        monkeypatch.setattr(memory, "available_bytes", lambda: free)

    monkeypatch.setattr(sys.modules["measureflow.flows.flow"], "drive", started)
    monkeypatch.setattr(sys.modules["measureflow.flows.layers"], "scan_layers", started)
    monkeypatch.setattr(sys.modules["measureflow.flows.layers"], "apply_sublayer", started)
    return leave


def test_run_whose_states_will_not_fit_names_its_size_and_the_cure(scarce):
    scarce(100_000)
    with pytest.raises(mf.BadInput) as error:
        mf.flow(TOKENS, FIELD, until=1.0, save=1000)
    said = str(error.value)
    assert "1,000 states of 8 tokens in R^3 take 328 kB" in said
    assert "100 kB are free" in said
    assert "keep='last'" in said
    assert "save=" in said


def test_run_that_fits_or_keeps_little_is_started(scarce):
    scarce(100_000)
    for options in ({"save": 100}, {"save": 1000, "keep": "last"}, {"save": 1000, "keep": [0, 5, -1]}):
        with pytest.raises(AssertionError, match="work was started"):
            mf.flow(TOKENS, FIELD, until=1.0, **options)
    scarce(None)  # a system that does not say
    with pytest.raises(AssertionError, match="work was started"):
        mf.flow(TOKENS, FIELD, until=1.0, save=1000)


def test_states_count_twice(scarce):
    scarce(2 * 50 * (STATE + memory.TIME))
    with pytest.raises(AssertionError, match="work was started"):
        mf.flow(TOKENS, FIELD, until=1.0, save=50)
    with pytest.raises(mf.BadInput):
        mf.flow(TOKENS, FIELD, until=1.0, save=51)


def test_what_is_recorded_counts_too(scarce):
    scarce(100_000)
    pairs = {"all": lambda mu: mu.points @ mu.points.T}
    with pytest.raises(mf.BadInput, match=r"what is recorded at 500 times takes 264 kB.*record less at each time"):
        mf.flow(TOKENS, FIELD, until=1.0, save=500, keep="last", record=pairs)


def test_layers_that_will_not_fit_are_refused(scarce):
    scarce(100_000)
    with pytest.raises(mf.BadInput, match=r"layers: 1,001 states of 8 tokens in R\^3 .*keep='last'"):
        mf.layers(TOKENS, FIELD, depth=1000, step=0.1)
    with pytest.raises(mf.BadInput, match=r"layers: 10,000,000,001 states"):
        mf.layers(TOKENS, FIELD, depth=10**10, step=0.1)
    with pytest.raises(mf.BadInput, match="layers: 1,001 states"):
        mf.layers(TOKENS, [FIELD] * 1000)
    for run in (FIELD, [FIELD] * 1000):
        with pytest.raises(AssertionError, match="work was started"):
            mf.layers(TOKENS, run, depth=1000, step=0.1, keep="last")


def test_available_memory_is_a_plausible_number():
    free = memory.available_bytes()
    assert free is None or 1e6 < free < 1e15


@pytest.mark.parametrize(
    ("amount", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (16_400_000_000, "16.4 GB"), (10**16, "1e+04 TB")],
)
def test_amounts_are_said_in_words(amount, words):
    assert memory.in_words(amount) == words


def test_limit_of_a_container_is_what_it_leaves(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "File", lambda _: tmp_path)
    assert memory.left_in_container() is None
    (tmp_path / "memory.current").write_text("300\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.left_in_container() is None
    (tmp_path / "memory.max").write_text("1000\n")
    assert memory.left_in_container() == 700

"""Executors of this machine: what their processes are given."""

from __future__ import annotations

import os

import pytest

from measureflow.runs.executors import own_executor

NAME = "OPENBLAS_NUM_THREADS"


@pytest.mark.parametrize(("said", "found"), [(None, "1"), ("3", "3")])
def test_a_process_has_one_blas_thread_unless_the_user_says_otherwise(monkeypatch, said, found):
    monkeypatch.delenv(NAME, raising=False)
    if said is not None:
        monkeypatch.setenv(NAME, said)
    with own_executor(workers=1) as pool:
        assert pool.submit(os.getenv, NAME).result() == found
    assert os.environ.get(NAME) == said

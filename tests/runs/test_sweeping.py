"""Sweeps: each cell is computed once, by any executor, and what is finished survives."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import jax
import numpy as np
import pytest

import measureflow as mf
from measureflow.flows import Ensemble
from measureflow.runs import Diagram, Simulation, Sweep, cells, computing

#: what every test that moves tokens shares, so that one program is compiled
SMALL = {"n": 4, "dim": 4, "times": [0.0, 2.0, 4.0, 8.0], "replicas": 8, "seed": 3,
         "event": "overlap >= 0.999", "record": ["cosine"]}  # fmt: skip
BETAS = {**SMALL, "grid": {"beta": [0.0, 1.0, 4.0]}}


@pytest.fixture
def counted(monkeypatch) -> list[dict]:
    """Cells are pretended, and counted: what is tested is who computes what, and when."""
    asked: list[dict] = []

    def pretend(recipe: dict) -> dict:
        asked.append(recipe)
        beta, times = recipe["simulation"]["beta"], len(recipe["times"])
        series = {"mean": [beta / 10] * times, "deviation": [0.0] * times}
        return {"series": {"event": series, "cosine": series}, "error": None, "lasting": True, "seconds": 0.0}

    monkeypatch.setattr(computing, "compute", pretend)
    monkeypatch.setattr(Diagram, "plot", lambda *_: None)
    return asked


def test_probabilities_are_those_of_flows_run_one_by_one():
    diagram = mf.sweep(BETAS, workers=1)
    beta = 4.0
    cell = next(one for one in diagram.cells if one.simulation.beta == beta)
    clouds = cells.drawer(cells.law_of(Simulation.of(cell.recipe["simulation"])))(
        cells.keys_of(cell.simulation.seed, 8)
    )
    met = np.zeros(4)
    for points in np.asarray(clouds.points):
        path = mf.flow(
            mf.Tokens(mf.Sphere(4), points), mf.SelfAttention(beta), until=8.0, save=SMALL["times"],
            record=["overlap"], solver=mf.Adaptive(rtol=1e-6, atol=1e-8, coarsen=False),
        )  # fmt: skip
        met += np.asarray(path.recorded["overlap"]) >= 0.999
    found = diagram.data.event.sel(beta=beta)
    np.testing.assert_allclose(found, met / 8, atol=1e-12)
    error = np.sqrt(found * (1 - found) / 8)
    np.testing.assert_allclose(diagram.data.event_error.sel(beta=beta), error, atol=1e-12)
    assert 0.0 < float(found[2]) < 1.0, "neither nothing nor everything has met"


def test_neighbouring_cells_share_one_program(compilations):
    mf.sweep({**BETAS, "grid": {"beta": [0.5]}}, workers=1)
    compilations.clear()
    mf.sweep({**BETAS, "grid": {"beta": [2.0, 3.0]}}, workers=1)
    assert compilations == []


def test_the_second_time_nothing_is_computed(counted):
    first = mf.sweep(BETAS, out="phase", workers=1)
    assert (first.computed, first.found, len(counted)) == (3, 0, 3)
    again = mf.sweep(BETAS, out="phase", workers=1)
    assert (again.computed, again.found, len(counted)) == (0, 3, 3)
    assert "0 computed, 3 found in phase" in repr(again)
    assert again.data.event.equals(first.data.event)


def test_a_larger_grid_computes_what_is_new(counted):
    mf.sweep(BETAS, out="phase", workers=1)
    grid = {"beta": [0.0, 0.5, 1.0, 4.0], "dim": [4, 5]}
    larger = mf.sweep({**SMALL, "grid": grid}, out="phase", workers=1)
    assert (larger.computed, larger.found) == (5, 3)
    assert larger.data.event.sel(beta=4.0, dim=4, time=8.0) == pytest.approx(0.4)


def test_a_damaged_cell_is_computed_again(counted):
    diagram = mf.sweep(BETAS, out="phase", workers=1)
    files = [Path("phase/cells") / f"{cell.hash}.json" for cell in diagram.cells]
    files[0].write_text(files[0].read_text()[:-40])
    files[1].write_text(files[2].read_text())
    assert mf.sweep(BETAS, out="phase", workers=1).computed == 2


def test_cells_that_cannot_be_computed_are_rows_with_their_error():
    diagram = mf.sweep({**SMALL, "grid": {"dim": [4, 1]}}, out="phase", workers=1)
    good, bad = diagram.rows
    assert good["error"] is None
    assert bad["error"].startswith("Sphere(d=1)")
    assert [row["dim"] for row in diagram.failed] == [1]
    assert "failed: dim = 1: Sphere(d=1)" in repr(diagram)
    assert diagram.data.failed.values.tolist() == [False, True]
    assert np.isnan(diagram.data.event.sel(dim=1)).all()
    assert mf.sweep({**SMALL, "grid": {"dim": [4, 1]}}, out="phase", workers=1).computed == 0, "it would fail again"


def test_what_may_not_fail_again_is_tried_again(monkeypatch, counted):
    pretend = computing.compute

    def broken(recipe: dict) -> dict:
        raise MemoryError("too large")

    with monkeypatch.context() as once:
        once.setattr(computing, "compute", broken)
        diagram = mf.sweep(BETAS, out="phase", workers=1)
    assert [row["error"] for row in diagram.rows] == ["MemoryError: too large"] * 3
    assert computing.compute is pretend
    assert mf.sweep(BETAS, out="phase", workers=1).computed == 3


def test_replicas_that_were_not_resolved_are_no_numbers(monkeypatch):
    lost = Ensemble(np.zeros(4), {name: np.zeros((8, 4)) for name in ("event", "cosine")}, np.arange(8) > 2)
    monkeypatch.setattr(cells, "ensemble", lambda *_, **__: lost)
    error = cells.compute(next(Sweep.of(BETAS).cells()).recipe)["error"]
    assert "3 of 8 replicas could not be followed to t = 8; set coarsen = true" in error


def test_ctrl_c_keeps_what_is_finished(monkeypatch, counted):
    pretend = computing.compute

    def interrupted(recipe: dict) -> dict:
        if len(counted) == 2:
            raise KeyboardInterrupt
        return pretend(recipe)

    monkeypatch.setattr(computing, "compute", interrupted)
    diagram = mf.sweep({**SMALL, "grid": {"beta": {"linspace": [0, 5, 6]}}}, out="phase", workers=1)
    assert diagram.stopped
    assert len(diagram.results) == 2
    assert "4 not begun or not finished" in repr(diagram)
    monkeypatch.setattr(computing, "compute", pretend)
    assert mf.sweep({**SMALL, "grid": {"beta": {"linspace": [0, 5, 6]}}}, out="phase", workers=1).computed == 4


def test_any_executor_will_do(counted):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert mf.sweep(BETAS, executor=pool).computed == 3
        assert mf.sweep(BETAS, executor=pool).computed == 3, "it is still open"
    with pytest.raises(mf.BadInput, match=r"give a concurrent.futures.Executor or a Dask client"):
        mf.sweep(BETAS, executor=7)
    with pytest.raises(mf.BadInput, match="executor is 'gpus'"):
        mf.sweep(BETAS, executor="gpus")
    with pytest.raises(mf.BadInput, match="workers is 0"):
        mf.sweep(BETAS, workers=0)


class Mortal(concurrent.futures.Executor):
    """A pool of processes as its user sees it: a cell of beta = 2 ends it, and what was out with that cell is lost."""

    def __init__(self) -> None:
        self.dead = False

    def submit(self, task, /, *given):
        future = concurrent.futures.Future()
        if self.dead:
            raise BrokenProcessPool
        self.dead = bool(given) and given[0]["simulation"]["beta"] == 2.0
        if self.dead:
            future.set_exception(BrokenProcessPool())
        else:
            future.set_result(task(*given))
        return future


def test_a_cell_that_ends_its_process_leaves_the_others_alone(monkeypatch, counted):
    monkeypatch.setattr(computing, "own_executor", lambda *_: contextlib.nullcontext(Mortal()))
    recipe = {**SMALL, "grid": {"beta": [1.0, 2.0, *np.linspace(3.0, 6.0, 12).tolist()]}}
    diagram = mf.sweep(recipe, out="phase", workers=2)
    assert [(row["beta"], row["error"]) for row in diagram.failed] == [(2.0, computing.DIED)]
    again = mf.sweep(recipe, out="phase", workers=2)
    assert (again.computed, again.found) == (1, 13), "the cell that died is tried again, and dies"


def test_processes_that_die_at_their_start_are_said_to(monkeypatch, counted):
    def dead(*_: object) -> contextlib.nullcontext:
        pool = Mortal()
        monkeypatch.setattr(pool, "submit", lambda *_: Mortal().submit(None, {"simulation": {"beta": 2.0}}))
        return contextlib.nullcontext(pool)

    monkeypatch.setattr(computing, "own_executor", dead)
    with pytest.raises(mf.BadInput, match="die as they start"):
        mf.sweep(BETAS, workers=2)


def test_another_recipe_does_not_replace_a_sweep(counted):
    mf.sweep(BETAS, out="phase", workers=1)
    before = Path("phase/recipe.toml").read_text()
    for other, said in (
        ({"n": 5}, "with n = 4 where this one has 5"),
        ({"times": [0.0, 1.0]}, r"times = \[0.0, 2.0, 4.0, 8.0\] where"),
        ({"event": "clusters <= 1"}, "event = overlap >= 0.999 where"),
    ):
        with pytest.raises(mf.BadInput, match=said):
            mf.sweep({**BETAS, **other}, out="phase", workers=1)
    assert Path("phase/recipe.toml").read_text() == before
    assert len(counted) == 3


def test_a_sweep_in_single_precision_is_refused_before_it_keeps_errors(counted, monkeypatch):
    with jax.enable_x64(False), pytest.raises(mf.BadInput, match="sweep needs float64"):
        mf.sweep(BETAS, out="phase", workers=1)
    assert os.listdir() == []


@pytest.mark.filterwarnings("default")  # those of Dask are Dask's
def test_a_dask_cluster_of_two_workers_gives_the_same_numbers():
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        assert len(client.scheduler_info()["workers"]) == 2
        diagram = mf.sweep(BETAS, executor=client)
        assert mf.sweep(BETAS, executor=client.get_executor()).data.event.equals(diagram.data.event)
    assert diagram.failed == []
    assert diagram.data.event.equals(mf.sweep(BETAS, workers=1).data.event)


def test_killed_at_any_moment_it_goes_on_and_gives_the_same():
    recipe = {**SMALL, "grid": {"beta": {"linspace": [0.0, 6.0, 400]}}}
    Path("recipe.json").write_text(json.dumps(recipe))
    words = ["sweep", "recipe.json", "--out", "phase", "--workers", "2"]
    program = subprocess.Popen(
        [sys.executable, "-c", "import sys; from measureflow.cli import main; sys.exit(main())", *words],
        start_new_session=True,
    )
    deadline = time.monotonic() + 200
    while program.poll() is None and time.monotonic() < deadline and len(whole_cells()) < 5:
        time.sleep(0.02)
    workers = children_of(program.pid)
    program.send_signal(signal.SIGKILL)
    program.wait()
    kept = whole_cells()
    assert 5 <= len(kept) < 400
    for file in kept:
        json.loads(file.read_text())
    # a smaller grid of the same cells: only some of them are there
    few = {**SMALL, "grid": {"beta": np.linspace(0.0, 6.0, 400)[:12].tolist()}}
    before = sum((Path("phase/cells") / f"{cell.hash}.json").exists() for cell in Sweep.of(few).cells())
    diagram = mf.sweep(few, out="phase", workers=1)
    assert (diagram.found, diagram.computed) == (before, 12 - before)
    assert diagram.data.event.equals(mf.sweep(few, workers=1).data.event), "bit by bit, in whichever process"
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, workers)), "workers end with their parent"


def whole_cells() -> list[Path]:
    return [file for file in Path("phase/cells").glob("*.json") if not file.name.startswith(".")]


def children_of(parent: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True).stdout
    return [int(word) for word in listed.split()]


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_the_store_is_read_by_xarray():
    xarray = pytest.importorskip("xarray")
    diagram = mf.sweep({**SMALL, "grid": {"beta": [0.0, 1.0], "law": ["uniform"]}}, out="phase", workers=1)
    assert sorted(os.listdir("phase")) == [
        "cells", "diagram.png", "diagram.svg", "measureflow.json", "recipe.toml", "sweep.zarr",
    ]  # fmt: skip
    data = xarray.open_zarr("phase/sweep.zarr", consolidated=False)
    np.testing.assert_array_equal(data.event, diagram.data.event)
    assert data.event.dims == ("beta", "law", "time")
    assert data.law.attrs["words"] == ["uniform"]
    assert Sweep.of(tomllib.loads(data.attrs["recipe"])) == diagram.plan
    assert Sweep.read("phase/recipe.toml") == diagram.plan


def test_a_folder_that_is_no_sweep_is_left_as_it_is(counted):
    Path("thesis").mkdir()
    Path("thesis/chapter.txt").write_text("years")
    with pytest.raises(mf.BadInput, match="is no sweep's"):
        mf.sweep(BETAS, out="thesis")
    assert os.listdir("thesis") == ["chapter.txt"]
    assert counted == []


def test_what_is_wrong_with_the_first_cell_is_said_before_any_work(counted):
    for bad, said in (
        ({"grid": {"beta": [-1.0, 1.0]}}, "beta is -1.0"),
        ({"law": "cap", "grid": {"beta": [1.0]}}, "needs angle"),
        ({"record": ["cosines"], "grid": {"beta": [1.0]}}, "an array"),
    ):
        with pytest.raises(mf.BadInput, match=said):
            mf.sweep({**SMALL, **bad}, out="phase")
    assert counted == []
    assert os.listdir() == []


def test_axes_may_be_norms_and_noise():
    recipe = {**SMALL, "times": [0.0, 0.1, 0.2, 0.5]}  # as many as elsewhere: one program
    norms = mf.sweep({**recipe, "grid": {"normalisation": ["post", "pre"]}}, workers=1).data.cosine
    assert norms.sel(time=0.0).values == pytest.approx(float(norms[0, 0])), "the same draws"
    assert 0 < norms.sel(normalisation="pre", time=0.5) - norms[0, 0] < norms.sel(normalisation="post", time=0.5)
    shaken = mf.sweep({**recipe, "step": 0.1, "grid": {"noise": [0.0, 2.0]}}, workers=1).data.cosine
    assert shaken.sel(noise=0.0, time=0.5) == norms.sel(normalisation="post", time=0.5)
    assert shaken.sel(noise=2.0, time=0.5) < shaken.sel(noise=0.0, time=0.5)
    with pytest.raises(mf.BadInput, match="and there is no noise"):
        mf.sweep({**recipe, "step": 0.1, "grid": {"beta": [1.0]}})


def test_means_of_observables_are_kept():
    diagram = mf.sweep({**BETAS, "grid": {"beta": [0.0]}}, workers=1)
    assert set(diagram.data.data_vars) == {"event", "event_error", "cosine", "cosine_deviation", "failed", "seconds"}
    mean = diagram.data.cosine.isel(beta=0).values
    assert (np.diff(mean) > 0).all()
    assert mean[-1] == pytest.approx(1.0, abs=1e-3)

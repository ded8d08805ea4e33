from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path as Folder

import jax
import numpy as np
import pytest

import measureflow as mf
from measureflow.flows import driver, log

S2 = mf.Sphere(3)
TOKENS = mf.uniform(S2, n=8, seed=0)
FIELD = mf.SelfAttention(beta=2.0)


def same(one: mf.Path, other: mf.Path) -> None:
    """Bit by bit the same, but for the seconds that it took."""
    np.testing.assert_array_equal(one.times, other.times)
    np.testing.assert_array_equal(one.kept, other.kept)
    for a, b in zip(jax.tree.leaves(one.measure), jax.tree.leaves(other.measure), strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.recorded.keys() == other.recorded.keys()
    for name, values in one.recorded.items():
        np.testing.assert_array_equal(values, other.recorded[name])
    np.testing.assert_array_equal(one.merges.since, other.merges.since)
    np.testing.assert_array_equal(one.merges.partner, other.merges.partner)
    assert {**one.stats, "seconds": 0} == {**other.stats, "seconds": 0}
    assert one.status == other.status
    assert one.recipe == other.recipe
    assert one.space == other.space


# Compilations: numbers are arguments of a program, not parts of it.


def programs(compilations: list[str], name: str) -> int:
    return sum(name in compiled for compiled in compilations)


def test_one_program_steps_three_betas_tolerances_ends_and_clouds(compilations):
    fields = [mf.SelfAttention(beta=beta) for beta in (1.0, 2.0, 3.0)]
    solvers = [mf.Adaptive(rtol=rtol) for rtol in (1e-6, 1e-7, 1e-9)]
    clouds = [mf.Tokens(S2, TOKENS.points[::step], labels=[f"{step}{k}" for k in range(8)]) for step in (1, -1)]
    jax.clear_caches()
    for field in fields:
        mf.flow(TOKENS, field, until=0.5, save=3)
    assert programs(compilations, "advance") == 1
    assert programs(compilations, "begin") == 1
    after = len(compilations)
    for tokens in clouds:
        for solver, until in zip(solvers, (0.5, 0.75, 1.0), strict=True):
            mf.flow(tokens, FIELD, until=until, save=3, solver=solver)
    assert compilations[after:] == []


def test_one_program_waits_with_three_caps_and_thresholds(compilations):
    jax.clear_caches()
    for delta, cap in ((1e-1, 0.1), (1e-2, 0.2), (1e-3, 0.3)):
        mf.flow(TOKENS, FIELD, until=mf.Consensus(delta, cap=cap), save=3)
    assert programs(compilations, "advance") == 1


def test_one_program_applies_layers_with_three_steps(compilations):
    jax.clear_caches()
    for step in (0.1, 0.2, 0.3):
        mf.layers(TOKENS, mf.SelfAttention(beta=10 * step), depth=3, step=step)
    assert programs(compilations, "scan_layers") == 1


def test_compilations_are_counted(compilations):
    jax.clear_caches()
    for n in (5, 6):
        mf.layers(mf.uniform(S2, n=n, seed=0), FIELD, depth=3, step=0.1)
    assert programs(compilations, "scan_layers") == 2  # shapes are parts of a program


# Progress and Ctrl-C.


def test_progress_is_told_the_time_reached_and_the_end():
    told: list[tuple[float, float]] = []
    mf.flow(TOKENS, FIELD, until=3.0, save=4, progress=lambda now, end: told.append((now, end)))
    times = [now for now, _ in told]
    assert times == sorted(times)
    assert times[-1] == 3.0
    assert {end for _, end in told} == {3.0}


def test_progress_bar_goes_to_standard_error_only(capfd):
    mf.flow(TOKENS, FIELD, until=3.0, save=4, progress=True)
    assert capfd.readouterr().out == ""


def press_ctrl_c_at(times: list[float]):
    """A progress function that presses Ctrl-C when the run comes by one of the times."""
    left = sorted(times)

    def tell(now, end):
        if left and now >= left[0]:
            left.pop(0)
            os.kill(os.getpid(), signal.SIGINT)

    return tell


def test_ctrl_c_ends_the_run_with_what_was_saved_and_leaves_the_handler_as_it_was():
    before = signal.getsignal(signal.SIGINT)
    path = mf.flow(
        TOKENS, FIELD, until=9.0, save=[1.0, 2.0, 3.0, 9.0], record="energy", progress=press_ctrl_c_at([2.0])
    )
    assert path.status == "stopped"
    assert path.times.tolist() == [1.0, 2.0]
    assert len(path) == len(path.recorded["energy"]) == 2
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_before_anything_was_saved_shows_where_the_run_stood():
    path = mf.flow(TOKENS, FIELD, until=9.0, save=[9.0], progress=press_ctrl_c_at([1e-9]))
    assert path.status == "stopped"
    assert len(path) == len(path.times) == 1
    assert 0 < float(path.times[0]) < 9.0


def test_handler_of_the_program_itself_is_left_alone():
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    try:
        path = mf.flow(TOKENS, FIELD, until=2.0, save=4, progress=press_ctrl_c_at([1.0]))
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [1]
    assert path.status == "reached"


def test_flow_runs_off_the_main_thread():
    paths = []
    thread = threading.Thread(target=lambda: paths.append(mf.flow(TOKENS, FIELD, until=2.0, save=4)))
    thread.start()
    thread.join()
    same(paths[0], mf.flow(TOKENS, FIELD, until=2.0, save=4))


# Stores: what a run writes as it goes.

RUN = {"until": 9.0, "save": 12, "record": ("energy", "clusters")}


def whole(**options) -> mf.Path:
    return mf.flow(TOKENS, FIELD, **{**RUN, **options})


@pytest.fixture
def often(monkeypatch):
    """Commit after every segment, and let a segment be short."""
    monkeypatch.setattr(log, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(log, "COMMIT_PATIENCE", 0)
    monkeypatch.setattr(driver, "SEGMENT_SECONDS", 1e-9)


@pytest.mark.parametrize("keep", ["all", "last", [0, 7], [11]])
def test_run_stopped_again_and_again_ends_bit_by_bit_as_if_it_never_was(keep, often):
    stops = 0
    for moment in (*np.geomspace(1e-3, 8.9, 9), np.inf):
        path = whole(keep=keep, store="run.zarr", progress=press_ctrl_c_at([moment]))
        if path.status != "stopped":
            break
        stops += 1
        assert len(path) >= 1
    assert stops >= 6
    same(path, whole(keep=keep))
    same(mf.Path.load("run.zarr"), whole(keep=keep))


def test_interrupt_between_reaching_a_time_and_saving_it_loses_nothing():
    def interrupt(now, end):
        if now >= 2.0:  # as a second Ctrl-C does
            raise KeyboardInterrupt

    times = [1.0, 2.0, 3.0, 9.0]
    stopped = whole(save=times, store="run.zarr", progress=interrupt)
    assert (stopped.status, stopped.times.tolist()) == ("stopped", [1.0])
    same(whole(save=times, store="run.zarr"), whole(save=times))


def test_conditional_run_that_was_stopped_goes_on(often):
    until = mf.Overlap(0, 1, 0.99, cap=50.0)
    stopped = whole(until=until, store="run.zarr", progress=press_ctrl_c_at([1.0]))
    assert stopped.status == "stopped"
    path = whole(until=until, store="run.zarr")
    assert path.status == "reached"
    same(path, whole(until=until))


def test_run_is_the_same_with_a_store_and_without():
    same(whole(store="run.zarr"), whole())


def test_finished_run_is_read_and_not_computed_again(monkeypatch):
    first = whole(store="run.zarr")

    def never(*_):
        raise AssertionError("it was computed again")

    monkeypatch.setattr(driver, "advance", never)
    second = whole(store="run.zarr")
    same(second, first)
    assert second.field == first.field
    assert second.stats == first.stats


def test_noisy_run_that_was_stopped_draws_the_same_numbers_again(often):
    noisy = {"noise": 0.1, "seed": 3, "solver": mf.Splitting(step=0.05), "until": 2.0, "record": ()}
    stopped = whole(store="run.zarr", progress=press_ctrl_c_at([0.7]), **noisy)
    assert stopped.status == "stopped"
    same(whole(store="run.zarr", **noisy), whole(**noisy))


def tree(folder) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes() for file in sorted(Folder(folder).rglob("*")) if file.is_file()
    }


def test_store_of_another_run_is_refused_and_left_as_it_is():
    whole(store="run.zarr")
    before = tree("run.zarr")
    for change in ({"until": 8.0}, {"record": ("energy",)}, {"keep": "last"}):
        with pytest.raises(mf.BadInput, match=r"holds another run .*it was left as it is. Choose another name"):
            whole(store="run.zarr", **change)
    assert tree("run.zarr") == before


def test_foreign_folder_as_store_is_refused_and_left_as_it_is():
    Folder("mine").mkdir()
    Folder("mine/letter.txt").write_text("dear")
    with pytest.raises(mf.BadInput, match=r"mine is no path store .*left as it is"):
        whole(store="mine")
    assert tree("mine") == {"letter.txt": b"dear"}
    with pytest.raises(mf.BadInput, match="does not exist; make it first"):
        whole(store="nowhere/run.zarr")
    assert not Folder("nowhere").exists()


SCRIPT = textwrap.dedent("""
    import random, sys, time
    import measureflow as mf
    from measureflow.flows import driver, log
    from measureflow.paths import PathStore

    log.COMMIT_SECONDS = log.COMMIT_PATIENCE = 0
    driver.SEGMENT_SECONDS = 1e-9

    def slowly(step):
        def take(*given, **named):
            time.sleep(random.uniform(0, 2e-3))
            return step(*given, **named)
        return take

    def reported(commit):
        def take(self, **given):
            commit(self, **given)
            print(self.commit_data["saved"], self.commit_data["states"], flush=True)
        return take

    PathStore.put, PathStore.write_commit = slowly(PathStore.put), slowly(PathStore.write_commit)
    PathStore.commit = reported(PathStore.commit)
    tokens = mf.uniform(mf.Sphere(3), n=8, seed=0)
    field = mf.SelfAttention(beta=2.0)
    mf.flow(tokens, field, until=9.0, save=40, record=("energy", "clusters"), store=sys.argv[1])
    print("finished", flush=True)
""")


def start(*arguments: str, **options) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments], stdout=subprocess.PIPE, text=True, **options)


def test_kill_at_any_moment_loses_nothing_that_was_reported_as_saved():
    random = np.random.default_rng(0)
    reference = whole(save=40)
    kills = 0
    for _ in range(4):
        process = start("run.zarr")
        lines = [process.stdout.readline() for _ in range(random.integers(1, 25))]
        time.sleep(random.uniform(0, 0.02))  # somewhere in the next commit
        process.kill()
        lines = [line.split() for line in (*lines, *process.communicate()[0].splitlines()) if line.strip()]
        if not lines or lines[-1] == ["finished"]:
            break
        kills += 1
        saved, states = map(int, lines[-1])
        path = mf.Path.load("run.zarr")
        assert len(path.times) >= saved
        assert len(path) >= states
        assert len(path.recorded["energy"]) == len(path.times)
        np.testing.assert_array_equal(path.points, reference.points[: len(path)])
        np.testing.assert_array_equal(path.times, reference.times[: len(path.times)])
        np.testing.assert_array_equal(path.recorded["energy"], reference.recorded["energy"][: len(path.times)])
    assert kills >= 3
    same(whole(save=40, store="run.zarr"), reference)
    same(mf.Path.load("run.zarr"), reference)


def test_ctrl_c_stops_a_process_within_a_second_and_its_store_goes_on():
    process = start("run.zarr")
    for _ in range(3):
        process.stdout.readline()
    pressed = time.perf_counter()
    process.send_signal(signal.SIGINT)
    out = process.communicate(timeout=60)[0]
    assert process.returncode == 0  # the run ended, not the program
    assert "finished" in out
    assert time.perf_counter() - pressed < 5.0  # a second, and the interpreter's own end on a busy machine
    same(whole(save=40, store="run.zarr"), whole(save=40))


def test_nothing_on_disk_is_a_pickle(often):
    whole(store="run.zarr")
    for name, content in tree("run.zarr").items():
        assert not content.startswith(b"\x80")
        if name.endswith(".npz"):
            with np.load(Folder("run.zarr") / name, allow_pickle=False) as arrays:
                assert all(arrays[key].dtype.kind in "biuf" for key in arrays.files)
    assert len(list(Folder("run.zarr").glob("solver-*.npz"))) == 1  # old states are cleared away


def test_commits_leave_most_of_the_time_to_the_run(monkeypatch):
    commits = []
    original = log.Log.commit

    def slow(self, status):
        time.sleep(0.05)
        commits.append(time.perf_counter())
        original(self, status)

    monkeypatch.setattr(log.Log, "commit", slow)
    monkeypatch.setattr(log, "COMMIT_SECONDS", 0.0)
    run = mf.flow(TOKENS, FIELD, until=9.0, save=300, store="run.zarr")
    assert run.status == "reached"
    # were each segment committed, there would be three hundred
    assert len(commits) < 60

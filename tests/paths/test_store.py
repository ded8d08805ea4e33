from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path as Folder

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow.fields import Causal
from measureflow.paths import PathStore, Recipe, store

S2 = mf.Sphere(3)
WORDS = ["a", "trans", "##former", "moves"]


def made(**options) -> mf.Path:
    """A path with everything on it: words, masses, gaps, places, observables of several shapes and dtypes."""
    tokens = mf.Tokens(
        S2,
        mf.uniform(S2, n=4, seed=0).points,
        [0.5, 0.3, 0.2, 0.0],
        positions=[3, 1, 7, 9],
        present=[True, True, True, False],
        labels=WORDS,
    )
    record = {
        "cosine": "cosine",
        "count": "clusters",
        "pair": lambda mu: mu.points[:2],
        "none": lambda mu: jnp.zeros((0, 2)),
        "seen": lambda mu: mu.present,
        "short": lambda mu: mu.points[0].astype(np.float32),
    }
    field = mf.SelfAttention(beta=2.0, mask="causal")
    return mf.flow(tokens, field, **{"until": 2.0, "save": 5, "record": record, **options})


@pytest.fixture(scope="module")
def path() -> mf.Path:
    return made()


def same(one: mf.Path, other: mf.Path) -> None:
    """Bit by bit the same, dtypes too."""
    for name in ("times", "kept", "measure", "recorded", "merges", "code"):
        for a, b in zip(jax.tree.leaves(getattr(one, name)), jax.tree.leaves(getattr(other, name)), strict=True):
            assert np.asarray(a).dtype == np.asarray(b).dtype
            np.testing.assert_array_equal(a, b)
    assert one.recorded.keys() == other.recorded.keys()
    assert {name: float(value) if not isinstance(value, str) else value for name, value in one.stats.items()} == {
        name: float(value) if not isinstance(value, str) else value for name, value in other.stats.items()
    }
    assert (one.space, one.labels, one.status, one.recipe) == (other.space, other.labels, other.status, other.recipe)


def tree(folder) -> dict[str, str]:
    """The content of a folder, as hashes."""
    files = [file for file in sorted(Folder(folder).rglob("*")) if file.is_file()]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_path_comes_back_bit_by_bit(path):
    path.save("run.zarr")
    again = mf.Path.load("run.zarr")
    same(again, path)
    assert repr(again).splitlines()[0].split(", 5 steps")[0] == repr(path).splitlines()[0].split(", 5 steps")[0]
    assert again.recorded["short"].dtype == np.float32
    assert again.recorded["none"].shape == (5, 0, 2)


def test_field_comes_back_from_the_recipe(path):
    path.save("run.zarr")
    field = mf.Path.load("run.zarr").field
    assert isinstance(field.kernel.mask, Causal)
    assert float(field.beta) == 2.0
    np.testing.assert_array_equal(field(path[0].points, path[0]), path.field(path[0].points, path[0]))


@pytest.mark.parametrize(
    "options",
    [{"keep": "last"}, {"keep": [0, 2]}, {"until": mf.Stationary(1.0, cap=3.0)}, {"record": ()}],
    ids=["last", "some", "condition", "bare"],
)
def test_paths_of_every_kind_come_back(options):
    path = made(**options)
    path.save("run.zarr")
    same(mf.Path.load("run.zarr"), path)


def test_layers_and_merged_and_float32_paths_come_back():
    tokens = mf.uniform(S2, n=4, seed=1)
    short = tokens.replace(points=tokens.points.astype(np.float32), weights=tokens.weights.astype(np.float32))
    paths = [
        mf.layers(short, mf.SelfAttention(beta=1.0), depth=3, step=0.1),
        mf.layers(tokens, [mf.SelfAttention(beta=1.0)] * 3, step=0.1),
        mf.flow(tokens, mf.SelfAttention(beta=1.0), until=60.0, save=5),
    ]
    assert len(paths[2].merges) == 3
    for k, path in enumerate(paths):
        path.save(f"{k}.zarr")
        same(mf.Path.load(f"{k}.zarr"), path)
    fields = mf.Path.load("1.zarr").field
    assert [type(field).__name__ for field in fields] == ["SelfAttention"] * 3


def test_path_of_a_field_of_ones_own_comes_back_without_it(path):
    mine = mf.Path(**{**vars(path), "recipe": Recipe.of("flow", field=lambda x: x)})
    mine.save("run.zarr")
    again = mf.Path.load("run.zarr")
    assert again.field is None
    assert "None" in repr(again)
    with pytest.raises(mf.BadInput, match="no energy is proved"):
        _ = again.energy


def test_existing_folder_is_refused_and_left_as_it_is(path):
    path.save("run.zarr")
    before = tree("run.zarr")
    with pytest.raises(mf.BadInput, match=r"run\.zarr exists and was left as it is; .* or pass overwrite=True"):
        path.save("run.zarr")
    assert tree("run.zarr") == before
    assert os.listdir() == ["run.zarr"]  # nothing is left beside it


@pytest.mark.parametrize("kind", ["folder", "file", "empty"])
def test_what_is_not_ours_is_refused_even_with_overwrite(path, kind):
    if kind == "file":
        Folder("mine").write_text("dear")
    else:
        Folder("mine").mkdir()
        if kind == "folder":
            Folder("mine/commit.json").write_text('{"writer": "somebody"}')
    before = tree("mine")
    for overwrite in (True, False):
        with pytest.raises(mf.BadInput, match="left as it is"):
            path.save("mine", overwrite=overwrite)
    assert tree("mine") == before
    assert os.listdir() == ["mine"]


def test_overwrite_puts_the_new_path_in_place_of_the_old(path):
    other = made(until=1.0)
    path.save("run.zarr")
    other.save("run.zarr", overwrite=True)
    same(mf.Path.load("run.zarr"), other)
    assert os.listdir() == ["run.zarr"]


def test_failure_while_overwriting_leaves_the_old_path(path, monkeypatch):
    path.save("run.zarr")
    before = tree("run.zarr")
    calls = []

    def full(self, **_):
        calls.append(1)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PathStore, "commit", full)
    with pytest.raises(OSError, match="No space left"):
        made(until=1.0).save("run.zarr", overwrite=True)
    assert calls
    assert tree("run.zarr") == before
    assert os.listdir() == ["run.zarr"]


def test_failure_of_the_last_rename_puts_the_old_path_back(path, monkeypatch):
    path.save("run.zarr")
    before = tree("run.zarr")
    rename = os.rename

    def failing(source, target):
        if Folder(target).name == "run.zarr" and not Folder(source).name.endswith(".old"):
            raise OSError(5, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(store.os, "rename", failing)
    with pytest.raises(OSError, match="Input/output"):
        path.save("run.zarr", overwrite=True)
    assert tree("run.zarr") == before
    assert os.listdir() == ["run.zarr"]


def test_missing_parent_is_named(path):
    with pytest.raises(mf.BadInput, match=r"nowhere/run\.zarr: the folder .*nowhere does not exist; make it first"):
        path.save("nowhere/run.zarr")
    assert os.listdir() == []


def test_batch_of_paths_is_refused(path):
    batch = jax.tree.map(lambda leaf: jnp.stack([jnp.asarray(leaf)] * 2), path.measure)
    with pytest.raises(mf.BadInput, match=r"a batch of paths \(points \(2, 5, 4, 3\)\)"):
        mf.Path(**{**vars(path), "measure": batch}).save("run.zarr")
    assert os.listdir() == []


# What comes from elsewhere may be damaged, or meant to harm.


def change(**parts) -> None:
    commit = json.loads(Folder("run.zarr/commit.json").read_text())
    Folder("run.zarr/commit.json").write_text(json.dumps({**commit, **parts}))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"writer": "measureflow"}', "[" * 100_000, "\x00\xff"],
    ids=["empty", "truncated", "list", "null", "bare", "deep", "bytes"],
)
def test_commit_that_is_none_is_refused(path, text):
    path.save("run.zarr")
    Folder("run.zarr/commit.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(mf.BadInput, match=r"run\.zarr is no path store \(its commit\.json is missing or not ours\)"):
        mf.Path.load("run.zarr")


def test_commit_cut_anywhere_is_refused(path):
    path.save("run.zarr")
    text = Folder("run.zarr/commit.json").read_text()
    for length in np.linspace(0, len(text) - 1, 40).astype(int):
        Folder("run.zarr/commit.json").write_text(text[:length])
        with pytest.raises(mf.BadInput, match="no path store"):
            mf.Path.load("run.zarr")


def test_store_of_the_time_when_every_measure_was_tokens_is_read(path):
    path.save("run.zarr")
    commit = json.loads(Folder("run.zarr/commit.json").read_text())
    old = {key: value for key, value in commit.items() if key not in ("measure", "arrays", "held")}
    Folder("run.zarr/commit.json").write_text(json.dumps({**old, "labels": list("abcd")}))
    again = mf.Path.load("run.zarr")
    np.testing.assert_array_equal(again.points, path.points)
    assert again.labels == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    "parts",
    [
        {"format": 99},
        {"saved": -1},
        {"saved": 10**9},
        {"saved": "5"},
        {"states": 2.5},
        {"states": 10**9},
        {"first": 3, "states": 10},
        {"status": "fine"},
        {"stats": []},
        {"held": {"labels": [1, 2]}},
        {"held": {"labels": 7}},
        {"held": 7},
        {"measure": "os.system"},
        {"arrays": ["../elsewhere/secret"]},
        {"arrays": ["points"]},
        {"recipe": 7},
        {"recipe": "nonsense"},
        {"recorded": {"a": "../../elsewhere/secret"}},
        {"recorded": {"a": "measure/points"}},
        {"recorded": {"a": "recorded/99"}},
        {"solver": "../secret.npz"},
        {"solver": "solver-00000000.npz"},
        {"space": {"noun": "os.system", "command": "true"}},
        {"space": {"noun": "Sphere", "d": "x"}},
    ],
    ids=str,
)
def test_commit_with_a_wrong_part_gets_one_line(path, parts):
    path.save("run.zarr")
    change(**parts)
    before = set(sys.modules)
    with pytest.raises(mf.BadInput) as error:
        mf.Path.load("run.zarr")
    assert "\n" not in str(error.value)
    assert "run.zarr" in str(error.value) or "recipe" in str(error.value)
    assert set(sys.modules) == before


@pytest.mark.parametrize("part", ["times", "kept", "measure/points", "measure/present", "recorded/0", "solver"])
@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_store_with_a_part_missing_or_cut_gets_one_line(path, part, damage):
    path.save("run.zarr")
    place = next(Folder("run.zarr").glob("solver-*.npz")) if part == "solver" else Folder("run.zarr") / part
    if damage == "gone":
        place.unlink() if part == "solver" else shutil.rmtree(place)
    else:
        largest = (
            place if part == "solver" else max(place.rglob("c/**/*"), key=lambda f: f.stat().st_size * f.is_file())
        )
        largest.write_bytes(largest.read_bytes()[:7])
    with pytest.raises(mf.BadInput, match=r"run\.zarr is damaged") as error:
        mf.Path.load("run.zarr")
    assert "\n" not in str(error.value)


def test_no_code_runs_from_a_hostile_store(path):
    # an older format of the array files can carry pickled objects
    path.save("run.zarr")
    for part in ("times", "measure/points"):
        shutil.rmtree(Folder("run.zarr") / part)
        place = Folder("run.zarr") / part
        place.mkdir(parents=True)
        entry = {"zarr_format": 2, "shape": [5], "chunks": [5], "dtype": "|O", "compressor": None, "order": "C"}
        (place / ".zarray").write_text(json.dumps({**entry, "fill_value": None, "filters": [{"id": "pickle"}]}))
        (place / "0").write_bytes(b"cos\nsystem\n(S'touch hacked'\ntR.")
    np.savez(next(Folder("run.zarr").glob("solver-*.npz")), merge_since=np.array([object()], dtype=object))
    with pytest.raises(mf.BadInput):
        mf.Path.load("run.zarr")
    assert not Folder("hacked").exists()


def test_folder_that_does_not_exist_is_named():
    with pytest.raises(mf.BadInput, match=r"nothing\.zarr does not exist; give the folder of a saved path"):
        mf.Path.load("nothing.zarr")


def test_reading_changes_nothing_on_disk(path):
    path.save("run.zarr")
    before = tree("run.zarr")
    times = {file: file.stat().st_mtime_ns for file in Folder("run.zarr").rglob("*")}
    mf.Path.load("run.zarr")
    assert tree("run.zarr") == before
    assert {file: file.stat().st_mtime_ns for file in Folder("run.zarr").rglob("*")} == times


# The store itself: what is appended counts when it is committed, and not before.


def grown(path: mf.Path) -> PathStore:
    return PathStore.create("run.zarr", recipe=path.recipe, measure=path[0])


def test_store_without_a_commit_is_an_empty_path(path):
    grown(path).append([0.0], [path[0]], [0], {})
    empty = mf.Path.load("run.zarr")
    assert (len(empty), len(empty.times), empty.status) == (0, 0, "stopped")
    assert "Path" in repr(empty)


def test_what_was_appended_and_not_committed_is_written_over(path):
    written = grown(path)
    written.append([0.0, 1.0], [path[0], path[1]], [0, 1], {"a": [0.0, 1.0]})
    written.commit(stats={}, merges=path.merges)
    written.append([7.0, 8.0, 9.0], [path[0]] * 3, [2, 3, 4], {"a": [7.0, 8.0, 9.0]})  # and then it was killed
    again = PathStore.open("run.zarr")
    again.append([2.0], [path[2]], [2], {"a": [2.0]})
    again.commit(stats={}, merges=path.merges, status="reached")
    read = mf.Path.load("run.zarr")
    assert read.times.tolist() == read.recorded["a"].tolist() == [0.0, 1.0, 2.0]
    assert read.kept.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(read.points, path.points[:3])


def test_last_state_is_replaced_and_stands_until_the_next_commit(path):
    written = grown(path)
    for k in range(5):
        written.append([float(k)], [path[k]], [k], {}, replace=True)
        if k:  # a kill here finds the state of the commit before
            read = mf.Path.load("run.zarr")
            assert read.kept.tolist() == [k - 1]
            np.testing.assert_array_equal(read.points[0], path.points[k - 1])
        written.commit(stats={}, merges=path.merges)
        assert mf.Path.load("run.zarr").kept.tolist() == [k]
    written.append([5.0], [], [], {}, replace=True)  # a time without a state keeps the one that stands
    written.commit(stats={}, merges=path.merges)
    read = mf.Path.load("run.zarr")
    assert (read.kept.tolist(), len(read.times)) == ([4], 6)
    assert written.group["measure/points"].shape[0] == 2


def test_zarr_reads_the_store_by_itself(path):
    path.save("run.zarr")
    script = textwrap.dedent("""
        import sys, zarr
        group = zarr.open_group("run.zarr", mode="r")
        assert "measureflow" not in sys.modules
        print(group["measure/points"].shape, group["times"][-1])
    """)
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "(5, 4, 3) 2.0"

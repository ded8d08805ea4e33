from __future__ import annotations

import os
from pathlib import Path

import pytest

import measureflow as mf
from measureflow.runs import MANIFEST, OutputFolder, manifest_of


def made(name: str = "run", text: str = "first", **options) -> Path:
    with OutputFolder(name, command="flow", **options) as folder:
        (folder / "page.html").write_text(text)
    return Path(name)


def interrupted(stop: type[BaseException], **options) -> None:
    def work():
        with OutputFolder("run", command="flow", **options) as folder:
            (folder / "store").write_text("half")
            raise stop

    with pytest.raises(stop):
        work()


def test_a_folder_appears_when_the_work_is_done():
    with OutputFolder("deep/run", command="flow") as folder:
        (folder / "page.html").write_text("page")
        assert not Path("deep/run").exists()
    assert Path("deep/run/page.html").read_text() == "page"
    manifest = manifest_of("deep/run")
    assert manifest is not None
    assert manifest["finished"] is True
    assert manifest["files"] == [MANIFEST, "page.html"]
    assert os.listdir("deep") == ["run"]


def test_work_that_fails_leaves_nothing():
    interrupted(RuntimeError)
    assert os.listdir() == []


def test_an_existing_folder_is_never_touched():
    Path("run").mkdir()
    Path("run/thesis.txt").write_text("years")
    with pytest.raises(mf.BadInput, match="run exists; give another --out, or --force"):
        OutputFolder("run", command="flow")
    with pytest.raises(mf.BadInput, match="was not made by measureflow"):
        OutputFolder("run", command="flow", force=True)
    assert os.listdir("run") == ["thesis.txt"]


def test_force_replaces_a_folder_of_ours_and_only_when_the_work_is_done():
    made(text="first")
    interrupted(RuntimeError, force=True)
    assert Path("run/page.html").read_text() == "first"
    made(text="second", force=True)
    assert Path("run/page.html").read_text() == "second"
    assert os.listdir() == ["run"]


def test_force_does_not_lose_a_file_put_there_by_someone_else():
    made()
    Path("run/notes.txt").write_text("mine")
    with pytest.raises(mf.BadInput, match=r"holds 'notes.txt', which measureflow did not write"):
        OutputFolder("run", command="flow", force=True)


def test_force_does_not_follow_a_link():
    made("real")
    os.symlink("real", "run")
    with pytest.raises(mf.BadInput, match="was not made by measureflow"):
        OutputFolder("run", command="flow", force=True)
    assert Path("real/page.html").exists()


def test_interrupted_work_with_a_key_goes_on():
    interrupted(KeyboardInterrupt, key="n = 3")
    assert not Path("run").exists()
    with OutputFolder("run", command="flow", key="n = 3") as folder:
        assert (folder / "store").read_text() == "half"
    assert Path("run/store").read_text() == "half"


def test_interrupted_work_of_another_key_is_kept_unless_dropped():
    interrupted(KeyboardInterrupt, key="n = 3")
    with pytest.raises(mf.BadInput, match="holds an interrupted run of another recipe"):
        OutputFolder("run", command="flow", key="n = 4")
    assert Path("run.partial/store").exists()
    with OutputFolder("run", command="flow", key="n = 4", force=True) as folder:
        assert not (folder / "store").exists()


def test_a_partial_folder_of_someone_else_is_left():
    Path("run.partial").mkdir()
    with pytest.raises(mf.BadInput, match="is in the way and not of our making"):
        OutputFolder("run", command="flow", force=True)


def test_a_place_under_a_file_is_refused():
    Path("file").write_text("")
    with pytest.raises(mf.BadInput, match="no folder that can be written to"):
        OutputFolder("file/run", command="flow")

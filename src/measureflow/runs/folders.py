"""Output folders that are whole or not there: work goes on beside, and one rename puts it in place."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path as Folder
from types import TracebackType
from typing import Any, Self

from measureflow.errors import BadInput
from measureflow.paths.style import beside
from measureflow.version import __version__

__all__ = ["MANIFEST", "OutputFolder", "manifest_of"]

#: the file that tells a folder of ours: what made it, and of what
MANIFEST = "measureflow.json"


class OutputFolder:
    """A new folder `target`, made as `target.partial` and renamed when the work is done.

    As a context manager it gives the partial folder. If the work raises, `target` is untouched, and the partial folder
    is removed, or kept for a second attempt where there is a key.

    Arguments:
        target: where the results go; must not exist, unless `force` and it is a folder that we made.
        command: the verb, for messages and for the manifest.
        force: replace a folder of ours, and drop an interrupted attempt with another key.
        key: what the work is made of, in words; an interrupted attempt with the same key is gone on with.

    Raises:
        BadInput: the target is in the way or cannot be written; nothing was touched.
    """

    def __init__(
        self, target: str | os.PathLike[str], *, command: str, force: bool = False, key: str | None = None
    ) -> None:
        self.target, self.command, self.key = Folder(os.path.abspath(target)), command, key
        self.partial = self.target.with_name(self.target.name + ".partial")
        if self.target.is_symlink() or self.target.exists():
            if not force:
                raise BadInput(f"{target} exists; give another --out, or --force to replace a folder of measureflow's.")
            check_ours(self.target)
        earlier = manifest_of(self.partial) if self.partial.exists() else {}
        if earlier is None:
            raise BadInput(f"{self.partial} is in the way and not of our making; move it or give another --out.")
        self.goes_on = key is not None and earlier.get("key") == key
        if earlier.get("key") and not self.goes_on and not force:
            raise BadInput(
                f"{self.partial} holds an interrupted run of another recipe. Give that one to go on with it, "
                f"--force to drop it, or another --out."
            )
        parent = next(folder for folder in self.target.parents if folder.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise BadInput(f"{target}: {parent} is no folder that can be written to; give another --out.")

    def __enter__(self) -> Self:
        if self.partial.exists() and not self.goes_on:
            shutil.rmtree(self.partial)
        self.partial.mkdir(parents=True, exist_ok=True)
        self.write_manifest({"finished": False})
        return self

    def __exit__(self, kind: type[BaseException] | None, value: Any, trace: TracebackType | None) -> None:
        if kind is None:
            self.put_in_place()
        elif self.key is None or [entry.name for entry in self.partial.iterdir()] == [MANIFEST]:
            shutil.rmtree(self.partial, ignore_errors=True)

    def __truediv__(self, name: str) -> Folder:
        """Return a place in the partial folder."""
        return self.partial / name

    def write_manifest(self, about: dict[str, Any]) -> None:
        """Write what made this folder."""
        text = (
            json.dumps({"measureflow": __version__, "command": self.command, "key": self.key, **about}, indent=2) + "\n"
        )
        with beside(self.partial / MANIFEST) as temporary:
            temporary.write_text(text, "utf-8")

    def put_in_place(self) -> None:
        """Rename the partial folder to the target, moving a folder that it replaces out of the way first."""
        about = json.loads((self.partial / MANIFEST).read_text("utf-8"))
        files = sorted(entry.name for entry in self.partial.iterdir())
        self.write_manifest({**about, "finished": True, "files": files})
        if not self.target.exists():
            self.partial.rename(self.target)
            return
        old = self.target.with_name(self.target.name + ".replaced")
        shutil.rmtree(old, ignore_errors=True)
        self.target.rename(old)
        self.partial.rename(self.target)
        shutil.rmtree(old, ignore_errors=True)


def check_ours(folder: Folder) -> None:
    """Raise `BadInput` unless everything in the folder was written by us, so that replacing it loses nothing else."""
    manifest = None if folder.is_symlink() else manifest_of(folder)
    if manifest is None:
        raise BadInput(f"{folder} was not made by measureflow and is left as it is; give another --out.")
    others = sorted({entry.name for entry in folder.iterdir()} - set(manifest.get("files", ())))
    if others:
        raise BadInput(f"{folder} holds {others[0]!r}, which measureflow did not write; move it or give another --out.")


def manifest_of(folder: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Return the manifest of a folder of ours, or `None` for any other folder."""
    try:
        data = json.loads((Folder(folder) / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) and "measureflow" in data else None

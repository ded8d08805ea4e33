"""Runs that are stored whole: the path of a closed equation or of a density is written at its end, at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path as Folder

from measureflow.errors import BadInput
from measureflow.fields import Field
from measureflow.paths import Path, PathStore, Recipe
from measureflow.paths.store import check_parent

__all__ = ["read_or_run"]


def read_or_run(
    store: str | os.PathLike[str] | None, recipe: Recipe, field: Field, end: float, run: Callable[[], Path]
) -> Path:
    """Return the path of a store that holds this run, or run it and write the store.

    The store appears when the run has ended, in one rename; a run that is killed or interrupted leaves none, and the
    same call begins it again. (Tokens are written as they go, since they may take days.)

    Raises:
        BadInput: the store holds another run, is none, or cannot be made; said before any work starts.
    """
    if store is None:
        return run()
    folder = Folder(store)
    if not folder.exists():
        check_parent(folder)
        path = run()
        if path.status != "stopped" or float(path.times[-1]) >= end:  # else Ctrl-C ended it
            path.save(folder)
        return path
    held = PathStore.open(folder, write=False)
    if held.recipe != recipe:
        raise BadInput(
            f"store {folder} holds another run (recipe {held.recipe.hash[:12]}, this one is {recipe.hash[:12]}); "
            f"it was left as it is. Choose another name."
        )
    return held.read().with_field(field)

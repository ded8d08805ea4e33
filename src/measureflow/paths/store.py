"""Paths on disk: a Zarr folder that grows while a run goes on, and whose last commit survives a kill at any moment."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from pathlib import Path as Folder
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from measureflow.errors import BadInput
from measureflow.measures import Tokens
from measureflow.paths.path import STATUSES, Merges, Path
from measureflow.paths.recipe import Recipe, describe, rebuild

__all__ = ["PathStore", "load", "save"]

FORMAT = 1
#: the one file whose atomic replacement is the commit: what it does not count does not exist
COMMIT = "commit.json"
STATE_LEAVES = ("points", "weights", "positions", "present")


class PathStore:
    """A Zarr folder to which states are appended.

    Arrays are written first, then `commit.json` is replaced atomically: it counts the saved times and carries the state
    of the solver, so that a reader sees whole commits only and a run goes on bit by bit from the last one.
    """

    def __init__(self, folder: Folder, group: Any, commit: dict[str, Any]) -> None:
        self.folder, self.group, self.commit_data = folder, group, commit

    @classmethod
    def create(cls, folder: str | os.PathLike[str], *, recipe: Recipe, measure: Tokens) -> PathStore:
        """Make a new store beside nothing: the folder must not exist.

        `measure` gives the shapes and the dtypes; it is not written.
        """
        target = fresh(folder)
        import zarr

        group = zarr.open_group(str(target), mode="w-")
        for name in STATE_LEAVES:
            leaf = np.asarray(getattr(measure, name))
            group.create_array(f"measure/{name}", shape=(0, *leaf.shape), chunks=(1, *leaf.shape), dtype=leaf.dtype)
        group.create_array("times", shape=(0,), chunks=(4096,), dtype=np.float64)
        group.create_array("kept", shape=(0,), chunks=(4096,), dtype=np.int64)
        commit = {
            "format": FORMAT,
            "writer": "measureflow",
            "space": describe(measure.space),
            "labels": measure.labels,
            "recipe": recipe.text,
            "saved": 0,
            "states": 0,
            "recorded": {},
            "status": None,
            "stats": {},
            "solver": None,
        }
        store = cls(target, group, commit)
        store.write_commit()
        return store

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> PathStore:
        """Open a store for reading or for going on.

        Raises:
            BadInput: no such folder, or not one of ours.
        """
        target = Folder(folder)
        if not target.exists():
            raise BadInput(f"{target} does not exist; give the folder of a saved path, such as run.zarr.")
        try:
            commit = json.loads((target / COMMIT).read_text())
            if commit["writer"] != "measureflow" or commit["format"] != FORMAT:
                raise KeyError
        except (OSError, ValueError, KeyError, TypeError):
            raise BadInput(
                f"{target} is no path store (its {COMMIT} is missing or not ours); it was left as it is."
            ) from None
        import zarr

        return cls(target, zarr.open_group(str(target), mode="r+"), commit)

    def append(self, times: list[float], states: list[Tokens], kept: list[int], recorded: dict[str, list[Any]]) -> None:
        """Write states behind the committed ones; they count only after the next `commit`."""
        saved, here = self.commit_data["saved"], self.commit_data["states"]
        self.put("times", saved, np.asarray(times))
        self.put("kept", here, np.asarray(kept, dtype=np.int64))
        for name in STATE_LEAVES:
            if states:
                self.put(f"measure/{name}", here, np.stack([np.asarray(getattr(mu, name)) for mu in states]))
        for name, values in recorded.items():
            rows = np.stack([np.asarray(value) for value in values]) if values else np.zeros((0,))
            if len(rows):
                key = self.commit_data["recorded"].setdefault(name, f"recorded/{len(self.commit_data['recorded'])}")
                if key not in self.group:
                    self.group.create_array(
                        key, shape=(0, *rows.shape[1:]), chunks=(64, *rows.shape[1:]), dtype=rows.dtype
                    )
                self.put(key, saved, rows)
        self.commit_data["saved"] = saved + len(times)
        self.commit_data["states"] = here + len(states)

    def put(self, key: str, start: int, rows: np.ndarray) -> None:
        """Write rows from index `start` on, over whatever an uncommitted attempt left there."""
        array = self.group[key]
        array.resize((start + len(rows), *array.shape[1:]))
        if len(rows):
            array[start:] = rows

    def commit(
        self,
        *,
        stats: dict[str, Any],
        merges: Merges,
        solver: dict[str, np.ndarray] | None = None,
        status: str | None = None,
    ) -> None:
        """Make everything appended so far count, with the solver's state; `status` ends the run."""
        old = self.commit_data["solver"]
        arrays = {
            **(solver or {}),
            "merge_since": np.asarray(merges.since),
            "merge_partner": np.asarray(merges.partner),
        }
        name = f"solver-{uuid.uuid4().hex[:8]}.npz"
        np.savez(self.folder / name, **arrays)  # type: ignore[arg-type]
        self.commit_data.update(solver=name, stats=plain(stats), status=status)
        self.write_commit()
        if old is not None:
            (self.folder / old).unlink(missing_ok=True)

    @property
    def recipe(self) -> Recipe:
        """What the run is made of."""
        return Recipe(self.commit_data["recipe"])

    @property
    def is_finished(self) -> bool:
        """Whether the run has ended, so that there is nothing to go on with."""
        return self.commit_data["status"] is not None

    def solver(self) -> dict[str, np.ndarray] | None:
        """Return the solver's state of the last commit, or `None` where nothing was committed yet."""
        name = self.commit_data["solver"]
        if name is None:
            return None
        with np.load(self.folder / Folder(name).name, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}

    def write_commit(self) -> None:
        """Replace the commit file atomically."""
        write_atomically(self.folder / COMMIT, json.dumps(self.commit_data))

    def read(self) -> Path:
        """Return the path of the last commit."""
        commit = self.commit_data
        saved, states = commit["saved"], commit["states"]
        leaves = {name: jnp.asarray(self.group[f"measure/{name}"][:states]) for name in STATE_LEAVES}
        space = rebuild(commit["space"])
        labels = None if commit["labels"] is None else tuple(commit["labels"])
        empty = object.__new__(Tokens)
        for name, value in {"space": space, "labels": labels, **leaves}.items():
            object.__setattr__(empty, name, value)
        recipe, solver = self.recipe, self.solver()
        field = recipe.part("field", otherwise=lambda: None)
        return Path(
            times=jnp.asarray(self.group["times"][:saved]),
            measure=empty,
            kept=jnp.asarray(self.group["kept"][:states]),
            merges=Merges.none(empty) if solver is None else Merges(*map(jnp.asarray, merged(solver))),
            recorded={name: jnp.asarray(self.group[key][:saved]) for name, key in commit["recorded"].items()},
            stats=dict(commit["stats"]),
            code=jnp.asarray(STATUSES.index(commit["status"] or "stopped")),
            field=tuple(field) if isinstance(field, list) else field,
            recipe=recipe,
        )


def save(path: Path, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a whole path: into a sibling first, then renamed, so that a failure leaves nothing half-written."""
    target = Folder(folder)
    if target.exists():
        if not overwrite:
            raise BadInput(f"{target} exists and was left as it is; choose another name or pass overwrite=True.")
        PathStore.open(target)  # only one of our own stores is ever replaced
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        store = PathStore.create(beside, recipe=path.recipe, measure=path[0])
        states = [path[k] for k in range(len(path))]
        recorded = {name: list(np.asarray(values)) for name, values in path.recorded.items()}
        store.append([float(t) for t in path.times], states, [int(k) for k in path.kept], recorded)
        store.commit(stats=path.stats, merges=path.merges, status=path.status)
        if target.exists():
            shutil.rmtree(target)
        os.rename(beside, target)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def merged(arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the merge tree of a commit."""
    return arrays["merge_since"], arrays["merge_partner"]


def load(folder: str | os.PathLike[str]) -> Path:
    """Read the last commit of a store."""
    return PathStore.open(folder).read()


def fresh(folder: str | os.PathLike[str]) -> Folder:
    """Return the folder's path, or raise `BadInput` where something stands there or its parent does not exist."""
    target = Folder(folder)
    if target.exists():
        raise BadInput(f"{target} exists and was left as it is; choose another name.")
    if not target.absolute().parent.is_dir():
        raise BadInput(f"{target}: the folder {target.absolute().parent} does not exist; make it first.")
    return target


def write_atomically(file: Folder, text: str) -> None:
    """Write a file so that a reader sees the old text or the new one, never a part."""
    beside = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}")
    beside.write_text(text)
    os.replace(beside, file)


def plain(stats: dict[str, Any]) -> dict[str, Any]:
    """Return statistics as JSON numbers and words."""
    return {
        name: np.asarray(v).tolist() if eqx.is_array(v) or isinstance(v, np.generic) else v for name, v in stats.items()
    }

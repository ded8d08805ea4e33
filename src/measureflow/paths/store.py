"""Paths on disk: a Zarr folder that grows while a run goes on, and whose last commit survives a kill at any moment."""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path as Folder
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from measureflow.errors import BadInput
from measureflow.measures.measure import KINDS, Measure
from measureflow.paths.path import STATUSES, Merges, Path
from measureflow.paths.recipe import Recipe, describe, rebuild
from measureflow.spaces import is_traced

__all__ = ["PathStore", "load", "save"]

FORMAT = 1
#: the one file whose atomic replacement is the commit: what it does not count does not exist
COMMIT = "commit.json"


class PathStore:
    """A Zarr folder to which states are appended.

    Arrays are written first, then `commit.json` is replaced atomically: it counts the saved times and carries the state
    of the solver, so that a reader sees whole commits only and a run goes on bit by bit from the last one.
    """

    def __init__(self, folder: Folder, group: Any, commit: dict[str, Any]) -> None:
        self.folder, self.group, self.commit_data = folder, group, commit

    @classmethod
    def create(cls, folder: str | os.PathLike[str], *, recipe: Recipe, measure: Measure) -> PathStore:
        """Make a new store beside nothing: the folder must not exist.

        `measure` gives the shapes and the dtypes; it is not written.
        """
        target = fresh(folder)
        import zarr

        group = zarr.open_group(str(target), mode="w-")
        for name in measure.axes:
            leaf = np.asarray(getattr(measure, name))
            group.create_array(f"measure/{name}", shape=(0, *leaf.shape), chunks=(1, *leaf.shape), dtype=leaf.dtype)
        group.create_array("times", shape=(0,), chunks=(4096,), dtype=np.float64)
        group.create_array("kept", shape=(0,), chunks=(4096,), dtype=np.int64)
        commit = {
            "format": FORMAT,
            "writer": "measureflow",
            "measure": type(measure).__name__,
            "arrays": list(measure.axes),
            "space": describe(measure.space),
            "held": describe(measure.held()),
            "recipe": recipe.text,
            "saved": 0,
            "first": 0,
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
    def open(cls, folder: str | os.PathLike[str], *, write: bool = True) -> PathStore:
        """Open a store for going on, or only for reading.

        Raises:
            BadInput: no such folder, or not one of ours.
        """
        target = Folder(folder)
        if not target.exists():
            raise BadInput(f"{target} does not exist; give the folder of a saved path, such as run.zarr.")
        try:
            commit = as_written_now(json.loads((target / COMMIT).read_text(encoding="utf-8")))
            check_commit(commit)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise BadInput(
                f"{target} is no path store (its {COMMIT} is missing or not ours); it was left as it is."
            ) from None
        import zarr

        try:
            # our format alone is read: older ones may hold pickled objects
            group = zarr.open_group(str(target), mode="r+" if write else "r", zarr_format=3)
        except (OSError, ValueError, KeyError) as error:
            raise BadInput(f"{target} cannot be read ({error}); it was left as it is.") from None
        return cls(target, group, commit)

    def append(
        self,
        times: list[float],
        states: Sequence[Measure],
        kept: list[int],
        recorded: dict[str, list[Any]],
        *,
        replace: bool = False,
    ) -> None:
        """Write times and states behind the committed ones; they count only after the next `commit`.

        `replace=True` puts the last of the states in place of the committed one. It goes to another row, so that the
        committed one stands until then.
        """
        saved, here = self.commit_data["saved"], self.commit_data["states"]
        if replace:
            states, kept = states[-1:], kept[-1:]
            here = (0 if here == 2 else here) if states else here
        self.put("times", saved, np.asarray(times))
        if states:
            self.put("kept", here, np.asarray(kept, dtype=np.int64))
            for name in self.commit_data["arrays"]:
                self.put(f"measure/{name}", here, np.stack([np.asarray(getattr(mu, name)) for mu in states]))
        for name, values in recorded.items():
            if values:
                rows = np.stack([np.asarray(value) for value in values])
                key = self.commit_data["recorded"].setdefault(name, f"recorded/{len(self.commit_data['recorded'])}")
                if key not in self.group:
                    chunks = (64, *(max(1, size) for size in rows.shape[1:]))
                    self.group.create_array(key, shape=(0, *rows.shape[1:]), chunks=chunks, dtype=rows.dtype)
                self.put(key, saved, rows)
        self.commit_data["saved"] = saved + len(times)
        self.commit_data["states"] = here + len(states)
        if replace and states:
            self.commit_data["first"] = here

    def put(self, key: str, start: int, rows: np.ndarray) -> None:
        """Write rows from index `start` on, over whatever an uncommitted attempt left there."""
        array = self.group[key]
        array.resize((max(array.shape[0], start + len(rows)), *array.shape[1:]))
        if len(rows):
            array[start : start + len(rows)] = rows

    def commit(
        self,
        *,
        stats: dict[str, Any],
        merges: Merges,
        solver: dict[str, np.ndarray] | None = None,
        status: str | None = None,
    ) -> None:
        """Make everything appended so far count, with the solver's state; `status` ends the run."""
        arrays = {
            **(solver or {}),
            "merge_since": np.asarray(merges.since),
            "merge_partner": np.asarray(merges.partner),
        }
        name = f"solver-{uuid.uuid4().hex[:8]}.npz"
        np.savez(self.folder / name, **arrays)  # type: ignore[arg-type]  (the stubs take the names for options of savez)
        self.commit_data.update(solver=name, stats=plain(stats), status=status)
        self.write_commit()
        for other in self.folder.glob("solver-*.npz"):  # the one before, and what a kill left
            if other.name != name:
                other.unlink(missing_ok=True)

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
        with open(self.folder / name, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}

    def write_commit(self) -> None:
        """Replace the commit file atomically."""
        write_atomically(self.folder / COMMIT, json.dumps(self.commit_data))

    def read(self) -> Path:
        """Return the path of the last commit.

        Raises:
            BadInput: a part that the commit counts is not there.
        """
        try:
            return self.whole_path()
        except Exception as error:  # whatever a damaged file makes of the reader
            what = " ".join(str(error).split()) or type(error).__name__
            raise BadInput(f"{self.folder} is damaged ({what}); make it again with the same call.") from None

    def whole_path(self) -> Path:
        """Put the parts of the last commit together."""
        commit = self.commit_data
        saved, first, states = commit["saved"], commit["first"], commit["states"]
        measure = KINDS[commit["measure"]].of_parts(
            rebuild(commit["space"]),
            {name: self.rows(f"measure/{name}", first, states) for name in commit["arrays"]},
            {name: rebuild(part) for name, part in commit["held"].items()},
        )
        solver = self.solver()
        field = self.recipe.part("field", otherwise=lambda: None)
        return Path(
            times=self.rows("times", 0, saved),
            measure=measure,
            kept=self.rows("kept", first, states),
            merges=Merges.none(measure) if solver is None else Merges(*map(jnp.asarray, merged(solver))),
            recorded={name: self.rows(key, 0, saved) for name, key in commit["recorded"].items()},
            stats=dict(commit["stats"]),
            code=jnp.asarray(STATUSES.index(commit["status"] or "stopped")),
            field=tuple(field) if isinstance(field, list) else field,
            recipe=self.recipe,
        )

    def rows(self, key: str, first: int, last: int) -> jax.Array:
        """Read rows of an array, all of which must be there."""
        array = self.group[key]
        if array.shape[0] < last or array.dtype.kind not in "biuf":
            raise ValueError(f"{key} holds {array.shape[0]} rows of {array.dtype} and {last} were committed")
        return jnp.asarray(array[first:last])


def as_written_now(commit: Any) -> Any:
    """Return a commit of the time when every measure was tokens in today's words."""
    if "measure" in commit:
        return commit
    arrays = ["points", "weights", "positions", "present"]
    return {**commit, "measure": "Tokens", "arrays": arrays, "held": {"labels": commit["labels"]}}


def check_commit(commit: Any) -> None:
    """Raise `ValueError` or another plain error where a commit is none of ours."""
    counts = [commit["saved"], commit["first"], commit["states"]]
    names = list(commit["recorded"].values()) + ([commit["solver"]] if commit["solver"] is not None else [])
    ours = (
        commit["writer"] == "measureflow"
        and commit["format"] == FORMAT
        and all(type(count) is int and count >= 0 for count in counts)
        and all(re.fullmatch(r"recorded/\d+|solver-[0-9a-f]+\.npz", name) for name in names)
        and (commit["status"] is None or commit["status"] in STATUSES)
        and isinstance(commit["stats"], dict)
        and isinstance(commit["recipe"], str)
        and "space" in commit
        and commit["measure"] in KINDS
        and isinstance(commit["held"], dict)
        and all(re.fullmatch(r"[a-z_]+", name) for name in commit["arrays"])
    )
    if not ours:
        raise ValueError


def save(path: Path, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a whole path: into a sibling first, then renamed, so that a failure leaves nothing half-written."""
    if is_traced(path.measure) or len(path.measure.batch) != 1:
        name = next(iter(path.measure.axes))
        raise BadInput(
            f"a batch of paths ({name} {path.view(name).shape}) is no one path; "
            f"save each: jax.tree.map(lambda a: a[0], .)."
        )
    target = Folder(folder)
    if target.exists() and not overwrite:
        raise BadInput(f"{target} exists and was left as it is; choose another name or pass overwrite=True.")
    if target.exists():
        PathStore.open(target)  # only one of our own stores is ever replaced
    check_parent(target)
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        arrays = jax.tree.map(np.asarray, path.measure)
        states = [jax.tree.map(lambda leaf, k=k: leaf[k], arrays) for k in range(len(path))]
        store = PathStore.create(beside, recipe=path.recipe, measure=states[0])
        recorded = {name: list(np.asarray(values)) for name, values in path.recorded.items()}
        # through NumPy: JAX compiles a program that takes an array apart, for every length
        store.append(np.asarray(path.times).tolist(), states, np.asarray(path.kept).tolist(), recorded)
        store.commit(stats=path.stats, merges=path.merges, status=path.status)
        put_in_place(beside, target)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def put_in_place(beside: Folder, target: Folder) -> None:
    """Rename the new store to its name; an old one stays whole until the new one stands."""
    if not target.exists():
        os.rename(beside, target)
        return
    old = target.with_name(f"{beside.name}.old")
    os.rename(target, old)
    try:
        os.rename(beside, target)
    except BaseException:
        os.rename(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def merged(arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the merge tree of a commit."""
    return arrays["merge_since"], arrays["merge_partner"]


def load(folder: str | os.PathLike[str]) -> Path:
    """Read the last commit of a store."""
    return PathStore.open(folder, write=False).read()


def fresh(folder: str | os.PathLike[str]) -> Folder:
    """Return the folder's path, or raise `BadInput` where something stands there or its parent does not exist."""
    target = Folder(folder)
    if target.exists():
        raise BadInput(f"{target} exists and was left as it is; choose another name.")
    check_parent(target)
    return target


def check_parent(target: Folder) -> None:
    """Raise `BadInput` where the folder in which something shall be made does not exist."""
    if not target.absolute().parent.is_dir():
        raise BadInput(f"{target}: the folder {target.absolute().parent} does not exist; make it first.")


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

"""`verdicts`: many claims checked by processes of this machine, each verdict given as soon as it is there."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path as File
from typing import Any

from measureflow.claims import registry
from measureflow.claims.case import Comparison
from measureflow.claims.checking import chosen, examine
from measureflow.claims.claim import TIERS, Claim
from measureflow.claims.parameters import check_names
from measureflow.claims.programs import let_go
from measureflow.claims.results import Rejection, Result
from measureflow.errors import BadInput
from measureflow.measures import as_key
from measureflow.runs.executors import own_executor, workers_here

__all__ = ["verdicts"]

#: fewer claims than this are checked in this process: another takes longer to start than most claims do
FEW = 8


def verdicts(
    wanted: Any = None,
    *,
    tier: str = "smoke",
    seed: int = 0,
    parameters: Mapping[str, Any] | None = None,
    workers: int | None = None,
    pictures: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int, str], Any] | None = None,
) -> Generator[Result]:
    """Check claims of the library and give each result as it comes: `mf.check` on all processors.

    The verdicts are those of `mf.check`, in the order in which they are there, the claims of the dearest tier first.
    Whoever stops taking results, or presses Ctrl-C, ends the work that is under way and keeps what has been given.

    Main arguments:
        wanted, tier, seed, parameters: as in `mf.check`.

    Other arguments:
        workers: processes; `None` is one for each processor, or this process where the claims are few. One is this
            process, which knows claims of your own too.
        pictures: a folder for the picture of each result, `paper-item.svg`; it must exist. Results that come from
            another process can be drawn by no other means.
        progress: called as `progress(done, total, title)`.

    Raises:
        BadInput: as `mf.check`, before any work starts; `workers` below one; a process died, for want of memory most
            often.

    Example:
        >>> from measureflow.runs import verdicts
        >>> [result.verdict for result in verdicts("V6")]
        ['consistent']
    """
    as_key(seed)
    if workers is not None and workers < 1:
        raise BadInput(f"workers is {workers}; there must be at least one.")
    # those that no cheaper tier runs are the longest: one of them begun last would keep the others waiting
    claims = sorted(chosen(wanted, tier), key=lambda claim: -TIERS.index(claim.tier))
    check_names("check", claims, parameters or {})
    count = min(workers or (workers_here() if len(claims) >= FEW else 1), len(claims))
    how = {"tier": tier, "seed": seed, "parameters": dict(parameters or {})}
    folder = None if pictures is None else File(pictures)
    results = in_turn(claims, how, folder) if count == 1 else side_by_side(claims, how, folder, count)
    return counted(results, claims, progress or (lambda done, total, title: None))


def counted(
    results: Generator[Result], claims: Sequence[Claim], progress: Callable[[int, int, str], Any]
) -> Generator[Result]:
    """Give the results on and say how many there are."""
    progress(0, len(claims), "")
    with contextlib.closing(results):
        for done, result in enumerate(results, 1):
            progress(done, len(claims), result.title)
            yield result


def in_turn(claims: Sequence[Claim], how: Mapping[str, Any], folder: File | None) -> Generator[Result]:
    """Check one after the other in this process."""
    for claim in claims:
        result = examine(claim, **how)
        draw(result, folder)
        let_go()
        yield result


def side_by_side(claims: Sequence[Claim], how: dict[str, Any], folder: File | None, workers: int) -> Generator[Result]:
    """Check in processes of their own."""
    with own_executor("processes", workers) as pool:
        futures = [pool.submit(examined, claim.id, how, folder) for claim in claims]
        for done, future in enumerate(concurrent.futures.as_completed(futures)):
            try:
                yield arrived(future.result())
            except BrokenProcessPool:
                raise BadInput(
                    f"a process died after {done} of {len(claims)} claims, for want of memory most often; "
                    f"check fewer at once (--workers 1)."
                ) from None


def examined(id: str, how: dict[str, Any], folder: File | None = None) -> dict[str, Any]:
    """Check the claim of an id, in any process; plain data goes out, without the flows."""
    result = examine(registry.CLAIMS.things[id], **how)
    draw(result, folder)
    let_go()
    plain = {name: value for name, value in result.to_json().items() if name not in ("recipe", "command")}
    # to_json has no word for NaN and infinity
    exact = {name: getattr(result, name) for name in ("measured", "expected", "tolerance", "deviation", "parameters")}
    parts = {
        "mutation_rejected": [dataclasses.asdict(one) for one in result.mutation_rejected],
        "comparisons": [[dataclasses.asdict(one) for one in draw] for draw in result.comparisons],
    }
    return {**plain, **exact, **parts}


def draw(result: Result, folder: File | None) -> None:
    """Write the picture of a result, where there is something to draw."""
    if folder is not None and result.curves:
        result.plot(folder / f"{result.id.replace('/', '-')}.svg")


def arrived(fields: dict[str, Any]) -> Result:
    """Return a result of plain data; its claim is found by its id."""
    whole: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    whole["mutation_rejected"] = tuple(Rejection(**one) for one in fields["mutation_rejected"])
    whole["comparisons"] = tuple(tuple(Comparison(**one) for one in draw) for draw in fields["comparisons"])
    return Result(**whole, curves=(), contrasts={}, claim=registry.CLAIMS.things[fields["id"]], cases=())

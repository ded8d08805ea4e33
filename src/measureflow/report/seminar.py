"""The executable seminar: every chapter is run, and what it shows becomes a section of one page."""

from __future__ import annotations

import concurrent.futures
import contextlib
import io
import json
import time
import traceback
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from importlib.resources import files
from pathlib import Path as File
from typing import Any, NamedTuple

import jax

from measureflow.claims import all as all_claims
from measureflow.claims.programs import let_go
from measureflow.report.cells import cells_of
from measureflow.report.page import Page
from measureflow.report.stage import CURRENT, Stage
from measureflow.runs import papers_of
from measureflow.runs.executors import own_executor, workers_here
from measureflow.version import __version__

__all__ = ["chapters", "run_chapter", "write_report"]

TITLE = "A transformer moves a measure"


def chapters() -> dict[str, str]:
    """Return the scripts of the seminar by name, in order."""
    folder = files("measureflow.report").joinpath("chapters")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".py"))
    return {name[:-3]: folder.joinpath(name).read_text("utf-8") for name in names if not name.startswith("_")}


def write_report(
    folder: File,
    *,
    seed: int = 0,
    tier: str = "smoke",
    claims: str = "first",
    model: str | None = None,
    only: list[str] | None = None,
    workers: int | None = 1,
    progress: Callable[[int, int, str], Any] | None = None,
) -> dict[str, Any]:
    """Run the seminar and write `folder/index.html` with its pictures and `folder/report.json`; return the latter.

    Arguments:
        folder: exists already; `seed`, `tier`, `claims`, `model` are the settings of the chapters.
        only: names of the chapters to run; `None` is all.
        workers: processes that run the chapters; 1 is this process, `None` one for each processor.
        progress: called as `progress(done, total, doing)`.

    A chapter that raises is shown with its error and the others run on: one broken figure does not cost the report.
    """
    began = time.perf_counter()
    scripts = {name: text for name, text in chapters().items() if only is None or name in only}
    lead = f"measureflow {__version__}: simulated attention, checked claims and a trained network, all from this run."
    page = Page(TITLE, lead, folder)
    count = min(workers or workers_here(), len(scripts))
    settings = {"seed": seed, "tier": tier, "claims": claims, "model": model}
    run = in_turn if count <= 1 else partial(side_by_side, workers=count)
    sections = run(scripts, settings, page, progress or (lambda done, total, doing: None))
    for name in scripts:
        page.join(sections[name].page)
    total = time.perf_counter() - began
    about = {
        "measureflow": __version__,
        "seed": seed,
        "tier": tier,
        "model": model,
        "device": jax.devices()[0].device_kind,
        "seconds": round(total, 1),
        "chapters": {name: sections[name].seconds for name in scripts},
        "failed": {name: error for name in scripts if (error := sections[name].error)},
        "pictures": page.pictures,
        "papers": papers_behind(page.recipes, checked=any("claims" in name for name in scripts)),
    }
    options = f"--tier {tier} --claims {claims} --seed {seed}" + (f" --model {File(model).name}" if model else "")
    page.write(footer=f"measureflow report {options} · {total:.0f} s on {about['device']} · JAX {jax.__version__}")
    (folder / "report.json").write_text(json.dumps(about, indent=2) + "\n", "utf-8")
    return about


class Section(NamedTuple):
    """What a chapter has put on a page, why it stopped where it did, and the seconds it took."""

    page: Page
    error: str | None
    seconds: float


def section(name: str, script: str, settings: dict[str, Any], page: Page, tell: Callable[[str], Any]) -> Section:
    """Run one chapter on a page of its own."""
    start = time.perf_counter()
    own = Page(page.title, page.lead, page.folder)
    error = run_chapter(name, script, Stage(**settings, page=own, progress=tell))
    return Section(own, error, round(time.perf_counter() - start, 2))


def quiet_section(name: str, script: str, settings: dict[str, Any], page: Page) -> Section:
    """Run one chapter in a process whose progress nobody sees."""
    made = section(name, script, settings, page, lambda doing: None)
    let_go()
    return made


def in_turn(
    scripts: dict[str, str], settings: dict[str, Any], page: Page, progress: Callable[[int, int, str], Any]
) -> dict[str, Section]:
    """Run the chapters one after the other in this process."""
    made: dict[str, Section] = {}
    for name, script in scripts.items():

        def tell(doing: str, name: str = name) -> None:
            progress(len(made), len(scripts), f"{spoken(name)}: {doing}")

        tell("starts")
        made[name] = section(name, script, settings, page, tell)
    progress(len(made), len(scripts), "done")
    return made


def side_by_side(
    scripts: dict[str, str],
    settings: dict[str, Any],
    page: Page,
    progress: Callable[[int, int, str], Any],
    workers: int,
) -> dict[str, Section]:
    """Run the chapters in processes of their own, the last first: they are the longest."""
    made: dict[str, Section] = {}
    with own_executor("processes", workers) as pool:
        names = {pool.submit(quiet_section, name, scripts[name], settings, page): name for name in reversed(scripts)}
        progress(0, len(scripts), f"{workers} chapters at once")
        for future in concurrent.futures.as_completed(names):
            name = names[future]
            try:
                made[name] = future.result()
            except BrokenProcessPool:
                lost = Page(page.title, page.lead, page.folder)
                said = "its process died, for want of memory most often; run fewer at once (--workers 1)."
                lost.text(f"## {spoken(name).capitalize()}")
                lost.numbers(f"This chapter stopped: {said}")
                made[name] = Section(lost, said, 0.0)
            progress(len(made), len(scripts), f"{spoken(name)}: done")
    return made


def spoken(name: str) -> str:
    """Return the name of a chapter in words."""
    return name.lstrip("0123456789_").replace("_", " ")


def papers_behind(recipes: list[str], checked: bool) -> list[str]:
    """Return the papers that the pictures rest on, and those of the claims where they were checked."""
    paths = [json.loads(recipe) for recipe in recipes if recipe.startswith("{")]
    papers = [paper for recipe in paths for paper in papers_of(recipe, recipe.get("verb", ""))]
    papers += [claim.paper for claim in all_claims()] if checked else []
    return list(dict.fromkeys(papers))


def run_chapter(name: str, script: str, stage: Stage) -> str | None:
    """Run one chapter on a stage, cell by cell in one namespace; return its error in one line, or `None`."""
    namespace: dict[str, Any] = {"__name__": f"measureflow.report.chapters.{name}"}
    token = CURRENT.set(stage)
    page = stage.page
    try:
        for cell in cells_of(script):
            if cell.kind == "markdown":
                page.text(cell.source)
                continue
            printed = io.StringIO()
            code = compile("\n" * (cell.line - 1) + cell.source, f"{name}.py", "exec")
            with contextlib.redirect_stdout(printed):
                exec(code, namespace)  # our own chapter, never a file that a user points to
            page.numbers(printed.getvalue())
            page.code(cell.source)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{type(error).__name__}: {error}"
        page.numbers(f"This chapter stopped at {where.filename.rsplit('/', 1)[-1]}:{where.lineno}\n{said}")
        return said
    finally:
        CURRENT.reset(token)
    return None

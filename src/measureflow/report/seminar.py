"""The executable seminar: every chapter is run, and what it shows becomes a section of one page."""

from __future__ import annotations

import contextlib
import io
import json
import time
import traceback
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path as File
from typing import Any

import jax

from measureflow.claims import all as all_claims
from measureflow.report.cells import cells_of
from measureflow.report.page import Page
from measureflow.report.stage import CURRENT, Stage
from measureflow.runs import papers_of
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
    progress: Callable[[int, int, str], Any] | None = None,
) -> dict[str, Any]:
    """Run the seminar and write `folder/index.html` with its pictures and `folder/report.json`; return the latter.

    Arguments:
        folder: exists already; `seed`, `tier`, `claims`, `model` are the settings of the chapters.
        only: names of the chapters to run; `None` is all.
        progress: called as `progress(done, total, doing)`.

    A chapter that raises is shown with its error and the others run on: one broken figure does not cost the report.
    """
    began = time.perf_counter()
    scripts = {name: text for name, text in chapters().items() if only is None or name in only}
    lead = f"measureflow {__version__}: simulated attention, checked claims and a trained network, all from this run."
    page = Page(TITLE, lead, folder)
    done, failed, seconds = 0, {}, {}
    for name, script in scripts.items():

        def tell(doing: str, name: str = name, done: int = done) -> None:
            if progress is not None:
                progress(done, len(scripts), f"{name.lstrip('0123456789_').replace('_', ' ')}: {doing}")

        tell("starts")
        start = time.perf_counter()
        error = run_chapter(name, script, Stage(seed, tier, claims, model, page, tell))
        seconds[name] = round(time.perf_counter() - start, 2)
        if error:
            failed[name] = error
        done += 1
    if progress is not None:
        progress(done, len(scripts), "done")
    total = time.perf_counter() - began
    about = {
        "measureflow": __version__,
        "seed": seed,
        "tier": tier,
        "model": model,
        "device": jax.devices()[0].device_kind,
        "seconds": round(total, 1),
        "chapters": seconds,
        "failed": failed,
        "pictures": page.pictures,
        "papers": papers_behind(page.recipes, checked=any("claims" in name for name in scripts)),
    }
    options = f"--tier {tier} --claims {claims} --seed {seed}" + (f" --model {File(model).name}" if model else "")
    page.write(footer=f"measureflow report {options} · {total:.0f} s on {about['device']} · JAX {jax.__version__}")
    (folder / "report.json").write_text(json.dumps(about, indent=2) + "\n", "utf-8")
    return about


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

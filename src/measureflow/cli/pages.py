"""The small pages of single runs: a picture, what happened, and how to go on in Python."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path as File
from typing import Any

from measureflow.report import Page
from measureflow.version import __version__

__all__ = ["check_page", "explore_page", "flow_page", "toml_of", "trace_page"]


def flow_page(path: Any, folder: File) -> None:
    """Write the page of a simulation."""
    page = Page(f"{path.tokens.n} tokens on {path.space!r}", repr(path.field), folder)
    caption = f"The path at several depths, its energy and its clusters. Ended: *{path.status}*."
    page.figure(path.plot(), caption, "path", path.recipe.text)
    page.numbers(repr(path))
    page.numbers("\n".join(f"{name:28} {value}" for name, value in path.stats.items()))
    page.text('Go on in Python:\n\n```\nimport measureflow as mf\n\npath = mf.Path.load("path.zarr")\n```')
    page.write(footer=f"measureflow {__version__} flow")


def trace_page(path: Any, name: str, table: list[dict[str, Any]], folder: File) -> None:
    """Write the page of a trace."""
    from measureflow.paths.depths import cosines_by_depth, ranks_by_depth, words_by_depth

    page = Page(f"{path.tokens.n} tokens through {name}", f"{len(path) - 1} layers on {path.space!r}", folder)
    recipe = path.recipe.text
    page.figure(cosines_by_depth(path), "Cosines of all pairs by depth, raw and centred.", "cosines", recipe)
    page.figure(
        ranks_by_depth(path), "Effective rank, and clusters of directions with their thresholds.", "ranks", recipe
    )
    if path.labels is not None:
        page.figure(words_by_depth(path), "The words on their two principal axes.", "words", recipe)
    page.table(list(table[0]), [list(row.values()) for row in table])
    page.write(footer=f"measureflow {__version__} trace")


def check_page(results: Sequence[Any], recipe: Mapping[str, Any], folder: File) -> None:
    """Write the page of a check, whose pictures are there already, and the recipe."""
    (folder / "recipe.toml").write_text(toml_of({**recipe, "claims": sorted(one.id for one in results)}), "utf-8")
    verdicts = [one.verdict for one in results]
    counts = ", ".join(f"{verdicts.count(one)} {one}" for one in dict.fromkeys(verdicts))
    page = Page(f"Checked: {counts}", f"Tier {recipe['tier']}, seed {recipe['seed']}.", folder)
    for one in sorted(results, key=lambda one: one.id):  # they came as they were ready
        page.text(f"## {one.id}: {one.title}")
        page.verdict(one.verdict, one.notes)
        page.text(f"[arXiv:{one.paper}](https://arxiv.org/abs/{one.paper}), {one.item}; {one.status}.")
        page.words(one.statement)
        place = f"pictures/{one.id.replace('/', '-')}.svg"
        if (folder / place).exists():
            page.picture(place, "Left: measured and stated. Right: the error of each draw in tolerances, as stated and "
                         "with one part of the statement replaced.", one.command)  # fmt: skip
        page.numbers(numbers_of(one))
    page.text("## Again\n\n`recipe.toml` holds what was asked for: `measureflow check recipe.toml --set NAME=VALUE`.")
    page.write(footer=f"measureflow {__version__} check")


def explore_page(findings: Sequence[Any], recipe: Mapping[str, Any], folder: File) -> None:
    """Write the page of explorations, with the pictures of those that have one, and the recipe."""
    (folder / "recipe.toml").write_text(toml_of({**recipe, "explorations": [one.id for one in findings]}), "utf-8")
    lead = f"Tier {recipe['tier']}, seed {recipe['seed']}. What was found; no verdict on truth."
    page = Page(
        "Explored: " + (findings[0].title if len(findings) == 1 else f"{len(findings)} questions"), lead, folder
    )
    for one in findings:
        page.text(f"## {one.id}: {one.title}")
        page.text(f"[arXiv:{one.paper}](https://arxiv.org/abs/{one.paper}), {one.item}.")
        page.words(one.question)
        drawing = one.draw()
        if drawing is not None:
            page.figure(drawing, "What was found.", one.id.replace("/", "-"), one.command)
        page.numbers(str(one))
    page.write(footer=f"measureflow {__version__} explore")


def numbers_of(result: Any) -> str:
    """Return the entry that fits worst, the hypotheses and the instances of a result, line by line."""
    lines = [
        f"worst entry: measured {result.measured:.10g}, stated {result.expected:.10g}, tolerance {result.tolerance:.3g}"
        f" ({result.because})"
    ]
    lines += [f"hypothesis: {name}: {'holds' if held else 'does not hold'}" for name, held in result.hypotheses.items()]
    for number, instance in enumerate(result.instances):
        drawn = ", ".join(f"{k} = {v:.6g}" if isinstance(v, float) else f"{k} = {v}" for k, v in instance.items())
        lines.append(f"draw {number}: {drawn or 'tokens only'}")
    return "\n".join(lines)


def toml_of(table: Mapping[str, Any]) -> str:
    """Return a table of plain values, and of one level of tables, as TOML; a key that is `None` is left out."""
    plain = {name: value for name, value in table.items() if value is not None and not isinstance(value, Mapping)}
    lines = [f"{key_of(name)} = {json.dumps(value)}" for name, value in plain.items()]
    for name, part in table.items():
        if isinstance(part, Mapping) and part:
            lines += ["", f"[{key_of(name)}]", *(f"{key_of(key)} = {json.dumps(value)}" for key, value in part.items())]
    return "\n".join(lines) + "\n"


def key_of(name: str) -> str:
    """Return a key of TOML, in quotes only where it must be."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)

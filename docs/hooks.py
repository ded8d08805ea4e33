"""What the site is made of besides its pages: formulas as MathML, the report's chapters, the bibliography.

Everything happens while the site is built, so a reader needs no script and no network for any of it.
"""

from __future__ import annotations

import html
import importlib.util
import json
import re
from pathlib import Path
from typing import Any, ClassVar

import griffe
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from measureflow.report.cells import cells_of

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "measureflow"
CHAPTERS = PACKAGE / "report" / "chapters"
FIGURES = ROOT / "docs" / "figures.json"
BIBLIOGRAPHY = PACKAGE / "claims" / "bibliography.bib"
HOUSE = "spaces measures sums fields observables paths flows theory language incontext claims runs report cli"

log = get_plugin_logger("hooks")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a font for formulas and a page per chapter; let the navigation follow from the source."""
    package = importlib.util.find_spec("ziamath")
    if package is None or package.origin is None:
        raise PluginError("ziamath brings the font of the formulas; install measureflow[docs]")
    font = Path(package.origin).parent / "fonts" / "STIXTwoMath-Regular.ttf"
    files.append(File.generated(config, "assets/STIXTwoMath-Regular.ttf", abs_src_path=str(font)))
    chapters = []
    for script in sorted(CHAPTERS.glob("[!_]*.py")):
        address = f"seminar/{script.stem}.md"
        files.append(File.generated(config, address, content=page_of_chapter(script.read_text("utf-8"))))
        chapters.append(address)
    rooms = [address for room in HOUSE.split() if files.get_file_from_path(address := f"reference/{room}.md")]
    parts = {"Seminar": chapters, "Reference": ["reference/index.md", *rooms]}
    nav = [{name: parts.get(name, part) for name, part in entry.items()} for entry in config.nav or []]
    config.nav = [entry for entry in nav if [] not in entry.values()]
    return files


def page_of_chapter(script: str) -> str:
    """Turn a chapter into a page: its texts one heading higher, its code as code, not run."""
    page = []
    for cell in cells_of(script):
        if cell.kind == "markdown":
            page.append(re.sub(r"^##", "#", cell.source, flags=re.MULTILINE))
        else:
            page.append(f"```python\n{cell.source.strip()}\n```")
    page.insert(1, "*`measureflow report` runs this chapter and shows its pictures and numbers.*")
    return "\n\n".join(page) + "\n"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let the front page be the README, and the bibliography the BibTeX file."""
    if page.file.src_uri == "index.md":
        readme = (ROOT / "README.md").read_text("utf-8")
        return readme.replace("](docs/", "](").replace("[CITATION.cff](CITATION.cff)", "`CITATION.cff`")
    if page.file.src_uri == "covered.md":
        return markdown + "\n" + tables_of_what_is_covered()
    if page.file.src_uri == "bibliography.md" and BIBLIOGRAPHY.exists():
        return markdown + "\n" + list_of_papers(BIBLIOGRAPHY.read_text("utf-8"))
    return markdown


def tables_of_what_is_covered() -> str:
    """Return the tables of claims, figures and explorations, as the library has them."""
    from measureflow import claims

    def paper(one: Any) -> str:
        return f"[{one.paper}](https://arxiv.org/abs/{one.paper}), {one.item}"

    def table(head: list[str], rows: list[list[str]]) -> str:
        lines = [head, ["---"] * len(head), *rows]
        return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)

    def covered(one: Any) -> str:
        return ", ".join(one.covers)

    def names(one: Any) -> str:
        return ", ".join(f"`{known.name}`" for known in one.parameters)

    checked = [
        [covered(one), one.title, paper(one), one.status, one.tier, names(one), f"`measureflow check {one.id}`"]
        for one in claims.all()
    ]
    costs = json.loads(FIGURES.read_text("utf-8"))
    drawn = [
        [
            "; ".join([paper(one), *(f"also [{also}](https://arxiv.org/abs/{also})" for also in one.covers)]),
            one.title,
            names(one),
            f"`{one.command}`",
            cost_of(costs.get(one.id)),
        ]
        for one in claims.figures()
    ]
    open_ = [
        [covered(one), one.title, paper(one), names(one), f"`measureflow explore {one.id}`"]
        for one in claims.explorations()
    ]
    return "\n\n".join(
        [
            "## Claims",
            table(["covers", "claim", "source", "status", "tier", "parameters", "command"], checked),
            "## Figures",
            table(["figure", "what it shows", "parameters", "command", "processor time, memory"], drawn),
            "## Open questions",
            table(["covers", "question", "source", "parameters", "command"], open_),
        ]
    )


def cost_of(note: dict[str, Any] | None) -> str:
    """Say what a figure costs at its published sizes as `benchmarks/figures.py` measured it, or why it did not."""
    if note is None:
        return "not measured"
    if "why" in note:
        return str(note["why"])
    seconds = note["seconds"]
    said = f"{seconds} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    return f"{said}, {note['megabytes'] / 1000:.1f} GB"


def list_of_papers(bibtex: str) -> str:
    """Turn BibTeX entries into a list, newest first."""
    papers = []
    for kind, key, body in re.findall(r"^@(\w+)\{([^,]+),\n(.*?)^\}", bibtex, flags=re.MULTILINE | re.DOTALL):
        entry = {name.lower(): text for name, text in re.findall(r"^\s*(\w+)\s*=\s*\{(.*)\},?$", body, re.MULTILINE)}
        if missing := {"author", "title", "year"} - entry.keys():
            log.warning(f"{BIBLIOGRAPHY.name}: @{kind}{{{key}}} has no {', '.join(sorted(missing))}")
            continue
        title, where = plain(entry["title"]), plain(entry.get("journal", entry.get("booktitle", "")))
        if arxiv := entry.get("eprint"):
            where = f"{where}{', ' if where else ''}[arXiv:{arxiv}](https://arxiv.org/abs/{arxiv})"
        papers.append((entry["year"], f"- {plain(entry['author'])} ({entry['year']}). *{title}*. {where}. `{key}`"))
    return "\n".join(line for _, line in sorted(papers, reverse=True))


def plain(text: str) -> str:
    """Take BibTeX's braces away and write its names as a list."""
    return re.sub(r"[{}]", "", text).replace(" and ", ", ").replace("~", " ")


FORMULA = re.compile(r'<(span|div) class="arithmatex">(?:\\\((.*?)\\\)|\\\[(.*?)\\\])</\1>', re.DOTALL)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Set every formula as MathML, which browsers draw themselves."""

    def mathml(found: re.Match[str]) -> str:
        inline, displayed = found[2], found[3]
        tex = html.unescape(inline if inline is not None else displayed).strip()
        try:
            set_formula = convert(tex, display="inline" if inline is not None else "block")
        except Exception as error:
            log.warning(f"{page.file.src_uri}: {tex!r} cannot be set ({type(error).__name__}: {error})")
            return found[0]
        # a bar is a bracket here, never an operator with space around it
        return set_formula.replace(
            '<mo stretchy="false">&#x0007C;', '<mo stretchy="false" lspace="0" rspace="0">&#x0007C;'
        )

    return FORMULA.sub(mathml, content)


class Headings(griffe.Extension):
    """Let the parser of docstrings know the headings that ours use: `Main arguments:`, `Example:`."""

    known: ClassVar = {"Main arguments": "Args", "Main attributes": "Attributes", "Example": "Examples"}

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Rewrite the headings of one docstring before it is parsed."""
        if obj.docstring:
            heading = re.compile(rf"^({'|'.join(self.known)}):$", re.MULTILINE)
            obj.docstring.value = heading.sub(lambda found: f"{self.known[found[1]]}:", obj.docstring.value)

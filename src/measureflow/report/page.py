"""One HTML page: self-contained, readable on a phone and in the dark, with contents, pictures, tables and code."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path as File
from typing import Any

from measureflow.paths.style import write
from measureflow.report.writing import markdown

__all__ = ["Page"]

STYLE = """
:root { --paper: #fdfdfb; --ink: #1a2330; --soft: #5b6675; --line: #e2e5ea; --card: #ffffff; --wash: #f3f5f7;
  --link: #2b4c9b; --good: #1c7c54; --bad: #b3261e; --open: #8a6100; }
@media (prefers-color-scheme: dark) { :root { --paper: #12161c; --ink: #e6e9ee; --soft: #9aa5b4; --line: #2b323c;
  --card: #ffffff; --wash: #1a2028; --link: #9db8ff; --good: #63d2a1; --bad: #ff8a80; --open: #e7c261; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.6;
  font: 17px/1.6 Charter, "Bitstream Charter", "Sitka Text", Cambria, Georgia, serif; }
main, header, nav.contents, footer { max-width: 60rem; margin: 0 auto; padding: 0 1.2rem; }
header { padding-top: 3.2rem; }
h1, h2, h3, nav, table, figcaption, summary, .numbers, .verdict, footer, header p.lead {
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 2.1rem; line-height: 1.15; letter-spacing: -0.015em; margin: 0 0 .5rem; }
h2 { font-size: 1.5rem; line-height: 1.25; margin: 3.4rem 0 .6rem; padding-top: 1.4rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1.12rem; margin: 2rem 0 .3rem; }
p.lead { color: var(--soft); margin: 0 0 1rem; }
p, ul, ol { max-width: 44rem; }
a { color: var(--link); text-decoration-thickness: 1px; text-underline-offset: 2px; }
nav.contents { font-size: .95rem; columns: 2 18rem; padding-top: 1rem; padding-bottom: .5rem; }
nav.contents a { display: block; padding: .12rem 0; text-decoration: none; }
nav.contents a:hover { text-decoration: underline; }
figure { margin: 1.6rem 0 1.8rem; }
figure img { display: block; width: 100%; height: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; padding: .6rem; }
figcaption { font-size: .88rem; color: var(--soft); margin-top: .55rem; max-width: 52rem; }
figcaption p { margin: 0; max-width: none; }
.recipe { font: .78rem/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere;
  padding: .5rem .7rem; background: var(--wash); border-radius: 6px; }
figcaption details { margin: .2rem 0 0; } figcaption summary { font-size: .8rem; }
pre, .numbers { font: .84rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; background: var(--wash);
  border-radius: 6px; padding: .7rem .9rem; overflow-x: auto; margin: .8rem 0; white-space: pre; }
.numbers { white-space: pre-wrap; }
code { font: .88em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; background: var(--wash);
  border-radius: 3px; padding: .08em .25em; }
pre code { background: none; padding: 0; font-size: 1em; }
details { margin: .4rem 0 1rem; } summary { cursor: pointer; color: var(--soft); font-size: .88rem; }
.scroll { overflow-x: auto; margin: 1.1rem 0; -webkit-overflow-scrolling: touch; }
table { border-collapse: collapse; font-size: .87rem; min-width: 100%; line-height: 1.4; }
th { text-align: left; color: var(--soft); font-weight: 600; border-bottom: 1.5px solid var(--line);
  padding: .35rem .7rem .35rem 0; vertical-align: bottom; }
td { border-bottom: 1px solid var(--line); padding: .45rem .7rem .45rem 0; vertical-align: top; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
.open { color: var(--open); font-weight: 600; }
math { font-size: 1.06em; }
math[display="block"] { margin: 1rem 0; overflow-x: auto; overflow-y: hidden; padding: .2rem 0; }
footer { color: var(--soft); font-size: .85rem; margin-top: 4rem; padding-top: 1rem; padding-bottom: 3rem;
  border-top: 1px solid var(--line); }
@media (max-width: 40rem) { body { font-size: 16px; } h1 { font-size: 1.7rem; } h2 { margin-top: 2.4rem; }
  header { padding-top: 1.6rem; } figure { margin-left: -.5rem; margin-right: -.5rem; } figure img { padding: .2rem; }
  figcaption { padding: 0 .5rem; } }
@media print { nav.contents, details { display: none; } figure { break-inside: avoid; } }
"""


class Page:
    """A page that is filled from top to bottom and then written beside its pictures.

    Arguments:
        title, lead: what stands on top.
        folder: where pictures go (in `pictures/`) and the page is written.
    """

    def __init__(self, title: str, lead: str, folder: File) -> None:
        self.title, self.lead, self.folder = title, lead, folder
        self.body: list[str] = []
        self.contents: list[tuple[str, str]] = []
        self.pictures: list[str] = []
        self.recipes: list[str] = []

    def text(self, source: str) -> None:
        """Add Markdown; its second-level headings go into the contents."""

        def heading(found: re.Match[str]) -> str:
            name = re.sub(r"<[^>]+>", "", found[1])
            anchor = re.sub(r"[^a-z0-9]+", "-", html.unescape(name).lower()).strip("-") or "part"
            anchor = anchor if anchor not in dict(self.contents) else f"{anchor}-{len(self.contents)}"
            self.contents.append((anchor, found[1]))
            return f'<h2 id="{anchor}">{found[1]}</h2>'

        self.body.append(re.sub(r"<h2>(.*?)</h2>", heading, markdown(source)))

    def words(self, text: str) -> None:
        """Add plain text as it is, paragraphs apart."""
        self.body += [f"<p>{html.escape(part)}</p>" for part in text.split("\n\n") if part.strip()]

    def figure(self, drawing: Any, caption: str, name: str, recipe: str = "", kind: str = "svg") -> str:
        """Write a picture to `pictures/name.kind`, with its recipe in the file too, and add it; return its place."""
        place = f"pictures/{name}.{kind}"
        (self.folder / "pictures").mkdir(exist_ok=True)
        said = without_marks(caption)
        write(drawing, self.folder / place, recipe or said, title=said)
        ratio = drawing.get_figheight() / drawing.get_figwidth()
        return self.picture(place, caption, recipe, f'width="1100" height="{round(1100 * ratio)}"')

    def picture(self, place: str, caption: str, recipe: str = "", size: str = 'width="1100"') -> str:
        """Add a picture that is in the folder already; return its place."""
        alternative = html.escape(without_marks(caption), quote=True)
        folded = f'<div class="recipe">{html.escape(recipe)}</div></details>'
        about = f"<details><summary>recipe</summary>{folded}" if recipe else ""
        self.body.append(
            f'<figure><a href="{place}"><img src="{place}" alt="{alternative}" {size} loading="lazy"></a>'
            f"<figcaption>{markdown(caption)}{about}</figcaption></figure>"
        )
        self.pictures.append(place)
        self.recipes.append(recipe)
        return place

    def verdict(self, verdict: str, notes: Sequence[str] = ()) -> None:
        """Add a verdict in its colour, with its reasons."""
        kind = {"consistent": "good", "violated": "bad"}.get(verdict, "open")
        why = "".join(f"<br>{html.escape(note)}" for note in notes)
        self.body.append(f'<p class="verdict"><span class="{kind}">{html.escape(verdict)}</span>{why}</p>')

    def join(self, section: Page) -> None:
        """Add all of another page of the same folder; a heading that both have gets a place of its own."""
        body = "\n".join(section.body)
        for anchor, title in section.contents:
            own = anchor if anchor not in dict(self.contents) else f"{anchor}-{len(self.contents)}"
            body = body.replace(f'<h2 id="{anchor}">', f'<h2 id="{own}">', 1)
            self.contents.append((own, title))
        self.body.append(body)
        self.pictures += section.pictures
        self.recipes += section.recipes

    def numbers(self, text: str) -> None:
        """Add what a computation printed."""
        if text.strip():
            self.body.append(f'<div class="numbers">{html.escape(text.rstrip())}</div>')

    def code(self, source: str) -> None:
        """Add code, folded away."""
        self.body.append(f"<details><summary>code</summary><pre><code>{html.escape(source)}</code></pre></details>")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Add a table; a cell is text, a number, or a pair (class, text) such as `("good", "consistent")`."""
        top = "".join(f"<th>{html.escape(name)}</th>" for name in head)
        lines = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows)
        self.body.append(
            f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>'
        )

    def write(self, name: str = "index.html", footer: str = "") -> File:
        """Write the page."""
        links = "".join(f'<a href="#{anchor}">{title}</a>' for anchor, title in self.contents)
        page = (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n'
            f"<title>{html.escape(self.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
            f'<header><h1>{html.escape(self.title)}</h1><p class="lead">{html.escape(self.lead)}</p></header>\n'
            + (f'<nav class="contents" aria-label="Contents">{links}</nav>\n' if len(self.contents) > 1 else "")
            + "<main>\n"
            + "\n".join(self.body)
            + f"\n</main>\n<footer>{html.escape(footer)}</footer>\n</body>\n</html>\n"
        )
        place = self.folder / name
        place.write_text(page, "utf-8")
        return place


def without_marks(caption: str) -> str:
    """Return a caption as plain words."""
    return re.sub(r"[$`*\\]", "", caption)


def cell(value: Any) -> str:
    """Return one cell of a table."""
    if isinstance(value, tuple):
        kind, text = value
        return f'<td class="{kind}">{html.escape(str(text))}</td>'
    if isinstance(value, float):
        return f'<td class="number">{short(value)}</td>'
    if isinstance(value, int):
        return f'<td class="number">{value:,}</td>'
    return f"<td>{markdown(str(value)).strip().removeprefix('<p>').removesuffix('</p>')}</td>"


def short(value: float) -> str:
    """Write a number to three digits, large and small ones with a power of ten.

    Example:
        >>> from measureflow.report.page import short
        >>> short(0.125), short(2.5e13)
        ('0.125', '2.5×10<sup>13</sup>')
    """
    lead, _, power = f"{value:.3g}".partition("e")
    return f"{lead}×10<sup>{int(power)}</sup>" if power else lead

"""Markdown with formulas, turned into HTML with MathML: a page that needs no script and no network."""

from __future__ import annotations

import functools
import html
import re
from typing import Any

__all__ = ["formula", "markdown"]

DISPLAYED = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
INLINE = re.compile(r"(?<![\\$\w])\$(?=\S)([^$\n]+?)(?<=\S)\$(?![\d$])")
CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)


@functools.cache
def parser() -> Any:
    """Return the Markdown parser: CommonMark with tables, no raw HTML."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False, "typographer": True}).enable(["table", "replacements"])


def markdown(text: str) -> str:
    """Turn Markdown into HTML; formulas in `$...$` and `$$...$$` become MathML, code stays as it is."""
    formulas: list[str] = []

    def keep(found: re.Match[str], displayed: bool) -> str:
        formulas.append(formula(found[1].strip(), displayed=displayed))
        return f"\ue000{len(formulas) - 1}\ue001"  # private-use characters: Markdown leaves them alone

    parts = CODE.split(text)
    for k in range(0, len(parts), 2):
        parts[k] = DISPLAYED.sub(lambda found: keep(found, True), parts[k])
        parts[k] = INLINE.sub(lambda found: keep(found, False), parts[k])
    page = parser().render("".join(parts))
    return re.sub("\ue000(\\d+)\ue001", lambda found: formulas[int(found[1])], page)


def formula(tex: str, *, displayed: bool = False) -> str:
    """Turn a formula in TeX into MathML; what cannot be turned is shown as it is written."""
    from latex2mathml.converter import convert

    try:
        return convert(tex, display="block" if displayed else "inline")
    except Exception:  # the converter raises whatever its parser meets
        return f"<code>{html.escape(tex)}</code>"

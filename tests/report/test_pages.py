from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

import measureflow as mf
from measureflow.paths.style import figure, house
from measureflow.report import Page, chapters
from measureflow.report.cells import cells_of
from measureflow.report.page import short
from measureflow.report.writing import formula, markdown


class Tags(HTMLParser):
    """Opened tags in order, and a check that they close."""

    void = ("meta", "img", "br", "hr", "link")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open, self.all = [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.all.append((tag, dict(attributes)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_formulas_become_mathml_and_code_stays():
    page = markdown(r"The energy $\bar E_*$ of `$x_*$` costs 5$ and $$\sum_{i} a_i$$")
    assert page.count("<math") == 2
    assert 'display="block"' in page
    assert "<code>$x_*$</code>" in page
    assert "5$" in page
    assert "<em>" not in page


def test_a_formula_that_cannot_be_set_is_shown_as_written():
    assert formula(r"\left( x") == r"<code>\left( x</code>"


def test_raw_html_of_a_text_is_shown_not_run():
    assert "<script>" not in markdown("<script>alert(1)</script>")


def test_every_formula_of_the_chapters_can_be_set():
    for script in chapters().values():
        for cell in cells_of(script):
            if cell.kind == "markdown":
                assert not re.search(r"<code>[^<]*\\[a-z]+", markdown(cell.source)), cell.source


def test_cells_keep_their_text_and_lines():
    script = '"""Title."""\n\n# %% [markdown]\n# ## Head\n#\n# Text $x$\n\n# %%\nx = 1\nprint(x)\n\n# %%\n\n'
    text, code = cells_of(script)
    assert (text.kind, text.source) == ("markdown", "## Head\n\nText $x$")
    assert (code.kind, code.source, code.line) == ("code", "x = 1\nprint(x)", 9)
    assert script.splitlines()[code.line - 1] == "x = 1"


def test_a_page_is_whole_and_asks_nothing_of_the_network():
    page = Page("Title <1>", "lead", Path())
    page.text("## First part\n\nText $x$.\n\n## First part\n\nAgain.")
    page.numbers("1 < 2")
    page.code("print('<b>')")
    page.table(("name", "value"), [("a *b*", 2.5e13), (("good", "yes"), 1234)])
    with house():
        drawing = figure(3, 2)
        drawing.subplots().plot([0, 1])
    page.figure(drawing, "A line of $x$", "line", recipe='{"verb": "flow"}')
    place = page.write(footer="foot")
    text = place.read_text("utf-8")
    tags = Tags(text)
    assert not re.search(r"(src|href)=\"(https?:)?//", text)
    assert "<script" not in text
    anchors = [attributes["href"][1:] for tag, attributes in tags.all if tag == "a" and attributes["href"][0] == "#"]
    assert anchors == ["first-part", "first-part-1"]
    assert {attributes.get("id") for tag, attributes in tags.all if tag == "h2"} == {*anchors}
    picture = next(attributes for tag, attributes in tags.all if tag == "img")
    assert picture["alt"] == "A line of x"
    assert Path(picture["src"]).exists()
    assert "2.5×10<sup>13</sup>" in text
    assert "1,234" in text
    assert "1 &lt; 2" in text
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


@pytest.mark.parametrize(("value", "said"), [(0.0, "0"), (0.125, "0.125"), (-3.25e-9, "-3.25×10<sup>-9</sup>")])
def test_numbers_are_short(value, said):
    assert short(value) == said


def test_chapters_are_numbered_and_begin_with_a_heading():
    names = list(chapters())
    assert names == sorted(names)
    assert len(names) >= 5
    for script in chapters().values():
        assert cells_of(script)[0].source.startswith("## ")


def test_show_writes_to_the_working_folder_outside_a_report():
    from measureflow.report import show, table

    with house():
        drawing = figure(3, 2)
        drawing.subplots().plot([0, 1])
    show(drawing, caption="A line", name="line")
    assert Path("line.svg").exists()
    table(("a", "b"), [(1, ("good", "yes"))])


def test_the_colour_names_of_the_house_are_readable_on_paper():
    from matplotlib.colors import to_rgb

    from measureflow.paths.style import ACCENT, INK, MUTED, THEORY

    def luminance(colour):
        return sum(
            weight * (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4)
            for weight, part in zip((0.2126, 0.7152, 0.0722), to_rgb(colour), strict=True)
        )

    for colour in (INK, MUTED, THEORY, ACCENT[0]):
        assert 1.05 / (luminance(colour) + 0.05) > 4.5
    greys = [luminance(colour) for colour in ACCENT]
    assert greys == sorted(greys)
    assert min(b - a for a, b in pairwise(greys)) > 0.08


def test_measureflow_is_the_library_under_test():
    assert mf.__version__

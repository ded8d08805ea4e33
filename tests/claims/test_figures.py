"""Published figures: each is drawn by its name, with its recipe in the file."""

from __future__ import annotations

import json

import pytest

import measureflow as mf
from measureflow.claims import bibliography, draw_figure, figure, figures, find_figures
from measureflow.paths.style import figure as sheet

ALL = figures()


def define(**options):
    @figure("1111.22222", "Fig. 3", **options)
    def a_straight_line(case):
        """One parameter; one sees a line."""
        drawing = sheet(4, 3)
        ax = drawing.subplots()
        ax.plot([0, case.draw("slope", 0.0, 1.0)])
        ax.set(xlabel="x", ylabel=case.tier)
        return drawing

    return a_straight_line


@pytest.mark.usefixtures("own_registry")
def test_a_figure_goes_by_its_id_and_is_written_with_its_recipe(tmp_path):
    one = define()
    assert one.id == "1111.22222/fig-3"
    assert find_figures("1111.22222") == [one]
    also = define(id="1111.22222/in-two-papers", also=("3333.44444",))
    assert find_figures("3333.44444") == [also]
    assert one.command == "measureflow figure 1111.22222/fig-3 --tier full"
    file = draw_figure(one.id, tmp_path / "line.svg", seed=7)
    text = file.read_text("utf-8")
    assert "measureflow figure 1111.22222/fig-3 --tier smoke --seed 7" in text
    assert draw_figure(one, tier="full").axes[0].get_ylabel() == "full"


@pytest.mark.usefixtures("own_registry")
def test_bad_figures_are_refused(tmp_path):
    one = define()
    define(id="1111.22222/another")
    with pytest.raises(mf.BadInput, match="stands for 2 figures"):
        draw_figure("1111.22222")
    with pytest.raises(mf.BadInput, match="no figure goes by"):
        draw_figure("1111.22222/fig-4")
    with pytest.raises(mf.BadInput, match="tier is 'big'"):
        draw_figure(one, tier="big")
    with pytest.raises(mf.BadInput, match="ending must be"):
        draw_figure(one, tmp_path / "line.txt")
    with pytest.raises(mf.BadInput, match="say its parameters"):

        @figure("1111.22222", "Fig. 5")
        def silent(case): ...


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.id)
def test_every_figure_of_the_library_is_drawn_with_labelled_axes(one):
    assert bibliography.entry(one.paper)
    drawing = draw_figure(one)
    labelled = [ax for ax in drawing.axes if ax.get_xlabel() or ax.get_title() or ax.get_ylabel()]
    assert labelled
    drawing.canvas.draw()


def test_what_a_figure_costs_is_noted_for_every_figure_and_for_no_other(root):
    notes = json.loads((root / "docs" / "figures.json").read_text("utf-8"))
    assert set(notes) == {one.id for one in ALL}
    measured = [note for note in notes.values() if note is not None and "why" not in note]
    assert all(note["seconds"] >= 0 < note["megabytes"] for note in measured)

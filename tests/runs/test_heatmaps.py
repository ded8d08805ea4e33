from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

import measureflow as mf
from measureflow import theory
from measureflow.runs import Diagram, Sweep
from measureflow.runs.heatmaps import limit_curve

BETAS = {"linspace": [0.0, 4.0, 5]}


def pretended(table: dict) -> Diagram:
    """A diagram whose cells were never computed."""
    plan = Sweep.of(table)
    times = len(plan.times)
    names = [*(("event",) if plan.event else ()), *plan.record]
    series = {name: {"mean": np.linspace(0, 1, times).tolist(), "deviation": [0.0] * times} for name in names}
    return Diagram(plan, {cell.hash: {"series": series, "error": None, "seconds": 0.1} for cell in plan.cells()})


def test_the_limit_curve_lies_over_the_map():
    diagram = pretended({"n": 8, "dim": 64, "grid": {"beta": BETAS}})
    drawing = diagram.plot("map.svg")
    (curve,) = drawing.axes[0].get_lines()
    time, beta = curve.get_data()
    np.testing.assert_allclose(time, theory.clustering_time(beta, n=8, delta=1e-3), rtol=1e-9)
    assert curve.get_linestyle() == "--"
    assert drawing.axes[0].get_xlabel() == "$t$"
    assert drawing.axes[0].get_ylabel() == r"$\beta$"
    described = re.search(r"<dc:description>(.*?)</dc:description>", Path("map.svg").read_text(), re.DOTALL)
    assert described is not None
    assert Sweep.of(tomllib.loads(described[1].replace("&quot;", '"').replace("&gt;", ">"))) == (diagram.plan)
    assert "sweep: n = 8" in drawing.get_supxlabel().replace("\n", " ")


@pytest.mark.parametrize(
    ("table", "factor"),
    [
        ({"weighting": "unnormalised"}, 1.0),
        ({"weighting": "shifted"}, np.exp(4.0)),
        ({"event": "cosines >= 0.99"}, 1.0),
    ],
)
def test_the_curve_knows_the_model(table, factor):
    plan = Sweep.of({"n": 8, "grid": {"beta": BETAS}, **table})
    model = "unnormalised" if "weighting" in table else "softmax"
    delta = 1e-2 if "event" in table else 1e-3
    curve = limit_curve(plan, {})
    assert curve is not None
    expected = factor * theory.clustering_time(4.0, n=8, delta=delta, model=model)
    assert curve[0][-1] == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize("other", [{"normalisation": "pre"}, {"noise": 0.1}, {"mask": "causal"}, {"value": -1.0}])
def test_other_cells_have_no_limit_curve(other):
    assert limit_curve(Sweep.of({"n": 8, "grid": {"beta": BETAS}, "mask": "none", **other}), {}) is None


def test_colours_are_those_of_the_values_and_no_panel_is_left_out_without_a_word():
    table = {"n": 8, "record": ["dissipation"], "grid": {"beta": BETAS, "seed": list(range(20))}}
    diagram = pretended(table)
    for result in diagram.results.values():
        result["series"]["dissipation"]["mean"] = np.linspace(-2e-4, -1e-4, 61).tolist()
    drawing = diagram.plot()
    assert drawing.axes[0].collections[0].get_clim() == pytest.approx((-2e-4, -1e-4))
    assert "8 more panels are in the store" in drawing.get_supxlabel().replace("\n", " ")


def test_over_the_number_of_tokens_it_is_taken_at_each():
    curve = limit_curve(Sweep.of({"beta": 1.0, "grid": {"n": [2, 4, 8]}}), {})
    assert curve is not None
    np.testing.assert_allclose(curve[0], [theory.clustering_time(1.0, n=n) for n in (2, 4, 8)])


@pytest.mark.parametrize(
    "table",
    [
        {"value": -1.0},
        {"mask": "causal"},
        {"law": "cap", "angle": 0.3},
        {"event": "clusters <= 1"},
        {"event": "overlap <= 0.9"},
        {"space": "euclidean"},
        {"grid": {"dim": [2, 3]}},
    ],
)
def test_where_the_theory_says_nothing_there_is_no_curve(table):
    assert limit_curve(Sweep.of({"grid": {"beta": BETAS}, **table}), {}) is None


@pytest.mark.parametrize(
    "table",
    [
        {"grid": {"beta": BETAS, "dim": [2, 3, 4, 5]}},
        {"grid": {"weighting": ["softmax", "shifted"]}},
        {"times": [3.0], "grid": {"beta": BETAS}},
        {"times": {"logspace": [0, 3, 4]}, "record": ["clusters"], "grid": {"beta": {"logspace": [0, 2, 3]}}},
    ],
)
def test_every_grid_has_a_picture(table):
    drawing = pretended(table).plot("map.png")
    shown = [ax for ax in drawing.axes if ax.get_visible()]
    assert shown[0].get_ylabel()
    with pytest.raises(mf.BadInput, match="variable is 'colour'"):
        pretended(table).plot(variable="colour")

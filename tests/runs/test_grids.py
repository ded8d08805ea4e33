from __future__ import annotations

import tomllib

import pytest

import measureflow as mf
from measureflow.runs import Sweep, grids

PLAIN = {"n": 4, "dim": 3, "until": 2.0, "grid": {"beta": [1.0, 4.0], "dim": [2, 3, 8]}}


def test_cells_are_the_product_of_the_axes_the_last_fastest():
    cells = list(Sweep.of(PLAIN).cells())
    points = [(cell.simulation.beta, cell.simulation.dim) for cell in cells]
    assert points == [(1.0, 2), (1.0, 3), (1.0, 8), (4.0, 2), (4.0, 3), (4.0, 8)]
    assert len({cell.hash for cell in cells}) == 6


def test_a_cell_has_one_address_however_its_numbers_are_written():
    def hashes(**table):
        return [cell.hash for cell in Sweep.of({**PLAIN, **table}).cells()]

    assert hashes(grid={"beta": [1, 4], "dim": [2.0, 3, 8]}) == hashes()
    assert hashes(grid={"beta": {"linspace": [1, 4, 2]}, "dim": [2, 3, 8]}) == hashes()
    assert hashes(grid={"beta": [4.0], "dim": [3]}) == [hashes()[4]]
    for change in ({"n": 5}, {"seed": 1}, {"replicas": 7}, {"event": "clusters <= 1"}, {"rtol": 1e-7}, {"until": 3}):
        assert not set(hashes(**change)) & set(hashes()), change


def test_versions_that_numbers_depend_on_are_part_of_the_address(monkeypatch):
    before = next(Sweep.of(PLAIN).cells()).hash
    for name, value in (("FORMAT", 99), ("__version__", "99.0")):
        with monkeypatch.context() as changed:
            changed.setattr(grids, name, value)
            assert next(Sweep.of(PLAIN).cells()).hash != before
    assert next(Sweep.of(PLAIN).cells()).hash == before


def test_axes_are_spaced_as_said():
    sweep = Sweep.of({"grid": {"beta": {"linspace": [0.0, 9.0, 4]}, "n": {"linspace": [2, 8, 4]}}, "times": [1, 2]})
    assert dict(sweep.axes) == {"beta": (0.0, 3.0, 6.0, 9.0), "n": (2, 4, 6, 8)}
    assert Sweep.of({"grid": {"beta": {"logspace": [-1, 1, 3]}}}).axes[0][1] == pytest.approx((0.1, 1.0, 10.0))


@pytest.mark.parametrize(
    "table",
    [
        PLAIN,
        {**PLAIN, "record": ["clusters"], "coarsen": True, "replicas": 3},
        {"times": {"logspace": [0, 2, 5]}, "law": "cap", "grid": {"angle": [0.1, 0.2], "weighting": ["softmax"]}},
        {"value": [[1.0, 0.0], [0.0, -1.0]], "dim": 2, "event": "clusters <= 1", "record": ["cosine"],
         "grid": {"beta": [1.0]}},
    ],
)  # fmt: skip
def test_a_sweep_written_and_read_is_the_same(table):
    sweep = Sweep.of(table)
    assert Sweep.of(tomllib.loads(sweep.to_toml())) == sweep


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, r"there is no \[grid\]; give at least one axis"),
        ({"grid": {"bta": [1]}}, r"\[grid\]: unknown key 'bta'; did you mean 'beta'\?"),
        ({"grid": {"until": [1.0]}}, "unknown key 'until'"),
        ({"save": 3, "grid": {"beta": [1]}}, "unknown key 'save'"),
        ({"grid": {"beta": []}}, "beta is .*; give a list of values"),
        ({"grid": {"beta": 3.0}}, "give a list of values"),
        ({"grid": {"beta": {"linspace": [0, 1]}}}, "give a list of values"),
        ({"grid": {"beta": {"linspace": [0, 1, 2.5]}}}, "give a list of values"),
        ({"grid": {"beta": {"geomspace": [1, 2, 3]}}}, "give a list of values"),
        ({"grid": {"beta": [1.0, "2"]}}, "beta is '2'; it must be a number"),
        ({"grid": {"beta": [1.0, 1]}}, "beta names a value twice"),
        ({"grid": {"dim": [2.5]}}, "dim is 2.5; it must be an integer"),
        ({"grid": {"value": [[[1.0]]]}}, "a multiple of the identity"),
        ({"grid": {"beta": {"linspace": [0, 1, 2000]}, "kappa": {"linspace": [0, 1, 2000]}}}, "more than 1,000,000"),
        ({"until": 3.0, "times": [1.0], "grid": {"beta": [1]}}, "drop until"),
        ({"times": [2.0, 1.0], "grid": {"beta": [1]}}, "strictly increasing"),
        ({"times": [0.0], "grid": {"beta": [1]}}, "the last one positive"),
        ({"times": ["a"], "grid": {"beta": [1]}}, "they must be numbers"),
        ({"replicas": 0, "grid": {"beta": [1]}}, "replicas is 0"),
        ({"replicas": 2.5, "grid": {"beta": [1]}}, "it must be an integer"),
        ({"coarsen": 1, "grid": {"beta": [1]}}, "it is true or false"),
        ({"event": "overlap", "grid": {"beta": [1]}}, "event is 'overlap'"),
        ({"record": ["enery"], "grid": {"beta": [1]}}, "did you mean 'energy'"),
    ],
)
def test_a_bad_recipe_is_named_with_its_cure(table, said):
    with pytest.raises(mf.BadInput, match=said):
        Sweep.of(table)


def test_a_number_of_one_norm_or_law_is_left_out_for_the_others():
    axes = {"normalisation": ["post", "mix", "ngpt"], "law": ["uniform", "cap"]}
    sweep = Sweep.of({"n": 4, "until": 1.0, "alpha": 0.5, "switch": 0.3, "angle": 0.2, "grid": axes})
    cells = [cell.simulation for cell in sweep.cells()]
    assert [one.alpha for one in cells] == [None] * 4 + [0.5] * 2
    assert [one.switch for one in cells] == [None] * 2 + [0.3] * 2 + [None] * 2
    assert [one.angle for one in cells] == [None, 0.2] * 3
    for one in cells:
        one.check()
    useless = Sweep.of({"n": 4, "until": 1.0, "kappa": 2.0, "grid": axes})
    with pytest.raises(mf.BadInput, match=r"kappa is 2.0, and the law 'uniform' has none"):
        next(useless.cells()).simulation.check()

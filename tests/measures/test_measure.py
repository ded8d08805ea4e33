from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow.measures import Measure, as_tokens, measure_kind
from measureflow.measures.measure import KINDS
from measureflow.paths import Merges, Path, Recipe
from measureflow.spaces import Space


class Box(Measure):
    """The uniform law of a cube about a centre: a kind of measure of one's own, without atoms."""

    space: Space
    centre: jax.Array
    size: jax.Array

    @property
    def axes(self):
        return {"centre": ("coordinate",), "size": ()}

    def said(self):
        return "a box"


@pytest.fixture
def path():
    """A path of boxes, with the kind known for as long as a test lasts."""
    boxes = Box(mf.Euclidean(2), jnp.array([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]]), jnp.array([1.0, 2.0, 3.0]))
    measure_kind(Box)
    yield Path(
        times=jnp.arange(3.0),
        measure=boxes,
        kept=jnp.arange(3),
        recorded={"width": jnp.array([1.0, 2.0, 3.0])},
        merges=Merges.none(boxes),
        stats={"accepted": 2},
        code=jnp.asarray(0),
        field=None,
        recipe=Recipe.of("flow", measure=boxes),
    )
    del KINDS["Box"]


def test_path_holds_a_kind_of_measure_of_ones_own(path):
    assert len(path) == 3
    assert isinstance(path[1], Box)
    np.testing.assert_array_equal(path[1].centre, [1.0, 2.0])
    np.testing.assert_array_equal(path.at(1.9).size, 3.0)
    assert path.view("size").shape == (3,)
    assert path.measure.batch == (3,)
    assert path[0].batch == ()
    assert path.space == mf.Euclidean(2)
    assert len(path.merges) == 0
    assert repr(path).startswith("Path: a box on R^2")


def test_views_are_each_on_its_own_kind(path):
    for name in ("points", "weights", "values", "mean", "cov"):
        with pytest.raises(mf.BadInput, match=f"path of a Box, which has no {name}; it has centre, size"):
            getattr(path, name)
    for name in ("clusters", "membership", "tokens"):
        with pytest.raises(mf.BadInput, match="Box"):
            getattr(path, name)
    for call in (path.certify, path.on_sphere, path.plot):
        with pytest.raises(mf.BadInput, match="path of a Box"):
            call()


def test_any_kind_is_stored_and_found_again_by_its_name(path, tmp_path):
    path.save(tmp_path / "boxes.zarr")
    again = Path.load(tmp_path / "boxes.zarr")
    assert type(again.measure) is Box
    for name in path.measure.axes:
        np.testing.assert_array_equal(again.view(name), path.view(name))
    assert again.recipe == path.recipe
    del KINDS["Box"]
    try:
        with pytest.raises(mf.BadInput, match="is no path store"):
            Path.load(tmp_path / "boxes.zarr")
    finally:
        measure_kind(Box)


def test_xarray_names_the_axes_of_any_kind(path):
    data = path.to_xarray()
    assert dict(data.sizes) == {"depth": 3, "coordinate": 2}
    assert data["centre"].dims == ("depth", "coordinate")


def test_measure_without_atoms_says_so(path):
    with pytest.raises(mf.BadInput, match="Box has no atoms"):
        as_tokens(path[0])


def test_parts_are_replaced_by_name_only(path):
    assert float(path[0].replace(size=7.0).size) == 7.0
    with pytest.raises(TypeError, match="Box has no field named 'points'"):
        path[0].replace(points=1)

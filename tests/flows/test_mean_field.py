from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from hasty import hasty_jit

S1, S2 = mf.Sphere(2), mf.Sphere(3)
DENSITY = mf.Density.uniform(S1, mode=1, amplitude=0.3, size=48)
FIELD = mf.SelfAttention(2.0)


@pytest.fixture(scope="module")
def path() -> mf.Path:
    return mf.flow(DENSITY, FIELD, until=0.5, save=[0.0, 0.1, 0.5], noise=0.05, record=("energy", "order_parameter"))


def test_path_of_a_density_has_the_same_views(path):
    assert path.values.shape == (3, 48)
    assert isinstance(path[-1], mf.Density)
    assert path.status == "reached"
    assert path.recorded["order_parameter"].shape == (3,)
    np.testing.assert_allclose(path.energy, [float(FIELD.energy(mu)) for mu in path], rtol=1e-13)
    assert repr(path).startswith("Path: a density at 48 angles on S¹ under SelfAttention(beta=2), t = 0 .. 0.5")
    with pytest.raises(mf.BadInput, match="path of a Density, which has no points"):
        _ = path.points
    data = path.to_xarray()
    assert dict(data.sizes) == {"depth": 3, "angle": 48, "coordinate": 2}


def test_path_of_a_density_is_saved_and_read(path, tmp_path):
    path.save(tmp_path / "density.zarr")
    again = mf.Path.load(tmp_path / "density.zarr")
    np.testing.assert_array_equal(again.values, path.values)
    assert again[0].grid == DENSITY.grid
    assert again.recipe == path.recipe
    assert repr(again.field) == repr(FIELD)
    whole = mf.flow(mf.Density.uniform(S2, size=12), FIELD, until=0.5)
    whole.save(tmp_path / "meridian.zarr")
    assert mf.Path.load(tmp_path / "meridian.zarr")[0].grid == whole[0].grid


def test_states_that_are_kept_are_those_asked_for():
    some = mf.flow(DENSITY, FIELD, until=0.5, save=[0.0, 0.1, 0.5], keep=[1])
    assert len(some) == 1
    assert some.kept.tolist() == [1]
    assert some.times.tolist() == [0.0, 0.1, 0.5]
    last = mf.flow(DENSITY, FIELD, until=0.5, save=[0.0, 0.1, 0.5], keep="last")
    assert last.kept.tolist() == [2]


def test_field_may_jump_with_depth():
    jump = mf.Schedule([FIELD, mf.SelfAttention(2.0, value=-1.0)], times=[0.0, 0.25])
    solver = mf.Adaptive(rtol=1e-10, atol=1e-12)
    there = mf.flow(DENSITY, jump, until=0.5, save=[0.0, 0.5], solver=solver)
    np.testing.assert_allclose(there.values[1], there.values[0], atol=1e-8)


def test_flow_of_a_density_jits_and_differentiates():
    def overlap(beta):
        path = mf.flow(DENSITY, mf.SelfAttention(beta), until=0.5, save=[0.5])
        return mf.observe.order_parameter(path[-1])

    value, slope = hasty_jit(jax.value_and_grad(overlap))(2.0)
    ahead, behind = (
        float(mf.observe.order_parameter(mf.flow(DENSITY, mf.SelfAttention(b), until=0.5, save=[0.0, 0.5])[-1]))
        for b in (2.001, 1.999)
    )
    assert float(value) == pytest.approx(0.5 * (ahead + behind), abs=1e-7)
    assert float(slope) == pytest.approx((ahead - behind) / 0.002, rel=1e-3)


@pytest.mark.parametrize("kind", ["circle", "meridian", "sphere"])
def test_pictures_are_drawn(kind, tmp_path):
    make = {"circle": (S1, None), "meridian": (S2, [0.0, 0.0, 1.0]), "sphere": (S2, None)}
    space, axis = make[kind]
    density = mf.Density.of(space, lambda x: 1 + 0.2 * x[:, -1], size=12, axis=axis)
    still = mf.Path(
        times=jnp.array([0.0, 1.0]),
        measure=jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), density),
        kept=jnp.arange(2),
        recorded={},
        merges=mf.paths.Merges.none(density),
        stats={},
        code=jnp.asarray(0),
        field=FIELD,
        recipe=mf.paths.Recipe.of("flow", measure=density),
    )
    still.plot(tmp_path / "density.png")
    assert (tmp_path / "density.png").stat().st_size > 1000

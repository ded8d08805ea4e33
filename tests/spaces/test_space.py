from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf


@pytest.mark.parametrize("d", [1, 0, -3, 2.5, "3", None, True, np.nan])
def test_sphere_refuses_a_dimension_below_two(d):
    with pytest.raises(mf.BadInput, match=r"dimension must be an integer of at least 2\.$") as error:
        mf.Sphere(d)
    assert str(error.value).startswith(f"Sphere(d={d!r}): ")


@pytest.mark.parametrize("d", [0, -1, 1.0, False])
def test_euclidean_refuses_a_dimension_below_one(d):
    with pytest.raises(mf.BadInput, match="must be an integer of at least 1"):
        mf.Euclidean(d)
    assert mf.Euclidean(1).d == 1


@pytest.mark.parametrize("kind", [mf.Sphere, mf.Euclidean])
def test_spaces_of_one_kind_and_dimension_are_one_static_value(kind):
    assert kind(np.int64(3)) == kind(3)
    assert hash(kind(np.int64(3))) == hash(kind(3))
    assert repr(kind(np.int64(3))) == repr(kind(3)) == f"{kind.__name__}(d=3)"
    assert kind(3) != kind(4)
    assert kind(3).with_dimension(4) == kind(4)
    assert mf.Sphere(3) != mf.Euclidean(3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("space", [mf.Sphere(3), mf.Euclidean(3)])
def test_validation_names_the_first_entry_that_is_not_finite(space, bad):
    points = np.eye(3)
    points[1, 2] = bad
    with pytest.raises(mf.BadInput, match=rf"^points\[1, 2\] is {bad}; every coordinate must be finite\.$"):
        space.validate(jnp.asarray(points))


def test_validation_says_how_far_off_the_sphere_and_what_to_do():
    with pytest.raises(mf.BadInput, match=r"start lie up to 0\.5 off Sphere\(d=3\).*space\.project"):
        mf.Sphere(3).validate(jnp.array([[1.0, 0.0, 0.0], [0.0, 1.5, 0.0]]), "start")


@pytest.mark.parametrize("shape", [(4, 2), (4,), (), (3, 4)])
def test_validation_says_which_shape_is_wrong(shape):
    for space in (mf.Sphere(3), mf.Euclidean(3)):
        with pytest.raises(mf.BadInput, match=r"needs a last axis of length d = 3"):
            space.validate(jnp.ones(shape))


def test_validation_takes_rounding_and_single_precision():
    points = mf.Sphere(3).uniform(jax.random.key(0), 50)
    mf.Sphere(3).validate(points * (1 + 9e-7))
    mf.Sphere(3).validate(points.astype(jnp.float32))
    with pytest.raises(mf.BadInput, match=r"lie up to 1\.1e-06 off"):
        mf.Sphere(3).validate(points * (1 + 1.1e-6))
    mf.Euclidean(3).validate(1e100 * points)


def test_validation_under_tracing_looks_at_shapes_only():
    def check(points):
        mf.Sphere(3).validate(points)
        return points

    jax.jit(check)(5.0 * jnp.ones((2, 3)))  # off the sphere, but its values cannot be seen
    with pytest.raises(mf.BadInput, match="last axis"):
        jax.jit(check)(jnp.ones((2, 4)))


def test_is_traced_finds_a_tracer_in_any_leaf():
    assert not mf.spaces.is_traced(jnp.ones(2), {"a": 1.0})
    jax.jit(lambda x: None if mf.spaces.is_traced({"a": [1.0, x]}) else 1 / 0)(1.0)

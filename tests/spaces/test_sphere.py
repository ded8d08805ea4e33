from __future__ import annotations

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import measureflow as mf

DIMENSIONS = (2, 3, 100)


def compiled(name: str):
    """One method of the sphere as NumPy in and out, compiled once per shape: op by op would be all compiling."""
    program = jax.jit(getattr(mf.Sphere, name), static_argnums=(0, 2) if name == "uniform" else 0)
    return lambda *arguments: np.asarray(program(*arguments))


tangent, difference, exp, retract, log, distance, project, defect, uniform = map(
    compiled,
    ("tangent", "difference", "exp", "retract", "log", "distance", "project", "defect", "uniform"),
)


def pairs(d: int, n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Independent uniform points x and y of the sphere."""
    both = uniform(mf.Sphere(d), jax.random.key(seed), 2 * n)
    return both[:n], both[n:]


def beside_the_pole(d: int, angle: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The last axis, a point at that angle from it, and the direction of the way there: all rounded once."""
    pole, way = np.eye(d)[-1], np.zeros(d)
    way[:-1] = np.random.default_rng(d).normal(size=d - 1)
    way /= np.linalg.norm(way)
    return pole, np.cos(angle) * pole + np.sin(angle) * way, way


@pytest.mark.parametrize("d", DIMENSIONS)
def test_tangent_is_the_orthogonal_projection(d):
    x, v = pairs(d)
    v = 3.0 * v
    flat = tangent(mf.Sphere(d), x, v)
    assert float(np.abs(np.sum(flat * x, axis=1)).max()) < 1e-14
    np.testing.assert_allclose(tangent(mf.Sphere(d), x, flat), flat, atol=1e-14)
    np.testing.assert_allclose(v - flat, np.sum(v * x, axis=1)[:, None] * x, atol=1e-14)


@pytest.mark.parametrize("d", DIMENSIONS)
def test_difference_form_is_the_tangent_part_of_the_other_point(d):
    x, y = pairs(d)
    np.testing.assert_allclose(difference(mf.Sphere(d), x, y), tangent(mf.Sphere(d), x, y), atol=2e-15)


@pytest.mark.parametrize("gap", [1.0, 1e-3, 1e-8, 1e-17, 1e-50, 1e-150, 1e-300])
@pytest.mark.parametrize("d", [2, 5])
def test_difference_form_keeps_its_digits_at_every_distance(d, gap):
    x, y, way = beside_the_pole(d, gap)
    found = difference(mf.Sphere(d), x, y)
    np.testing.assert_allclose(found[:-1], np.sin(gap) * way[:-1], rtol=4e-16, atol=2e-16 * gap)
    assert abs(found[-1]) < 2e-16  # along the pole, the rounding of the point itself


def test_tangent_form_loses_them_so_that_the_difference_form_has_a_reason():
    x, y = pairs(5, 1)
    y = retract(mf.Sphere(5), x, 1e-12 * y)
    exact = [mpmath.mpf(float(c)) for c in y[0]]
    inner = mpmath.fsum(a * float(b) for a, b in zip(exact, x[0], strict=True))
    exact = np.array([float(a - inner * float(b)) for a, b in zip(exact, x[0], strict=True)])
    assert np.abs(tangent(mf.Sphere(5), x, y)[0] - exact).max() > 1e-6 * np.abs(exact).max()


@given(d=st.sampled_from((2, 3, 8)), seed=st.integers(0, 2**32), size=st.floats(1e-12, 3.141))
def test_log_undoes_exp_within_the_injectivity_radius(d, seed, size):
    space = mf.Sphere(d)
    x, y = pairs(d, 1, seed % 2**31)
    v = size * project(space, tangent(space, x, y))
    back = log(space, x, exp(space, x, v))
    # a rounding of the end point by 1e-16 turns the way there by 1e-16 / sin(size)
    np.testing.assert_allclose(back, v, atol=2e-15 * size / np.sin(size) + 2e-16)


@pytest.mark.parametrize("d", DIMENSIONS)
def test_exp_reaches_what_log_points_to(d):
    x, y = pairs(d)
    np.testing.assert_allclose(exp(mf.Sphere(d), x, log(mf.Sphere(d), x, y)), y, atol=1e-14)


@pytest.mark.parametrize("d", DIMENSIONS)
def test_length_of_log_is_the_distance(d):
    x, y = pairs(d)
    logs = log(mf.Sphere(d), x, y)
    np.testing.assert_allclose(np.linalg.norm(logs, axis=1), distance(mf.Sphere(d), x, y), rtol=1e-13)
    assert float(np.abs(np.sum(logs * x, axis=1)).max()) < 1e-14


@pytest.mark.parametrize("size", [0.05, 0.0999999, 0.1000001, 0.3])
def test_exp_is_the_great_circle_on_both_sides_of_its_series(size):
    space = mf.Sphere(3)
    x, v = np.eye(3)[2], np.array([size, 0.0, 0.0])
    np.testing.assert_allclose(exp(space, x, v), [np.sin(size), 0.0, np.cos(size)], rtol=3e-16)
    np.testing.assert_allclose(log(space, x, exp(space, x, v)), v, rtol=4e-16)


def test_exp_runs_all_the_way_round():
    space = mf.Sphere(3)
    x, v = np.eye(3)[2], np.array([1.0, 0.0, 0.0])
    np.testing.assert_allclose(exp(space, x, np.pi * v), -x, atol=1e-15)
    np.testing.assert_allclose(exp(space, x, 2 * np.pi * v), x, atol=1e-15)


@pytest.mark.parametrize("gap", [1e-3, 1e-8, 1e-17, 1e-50, 1e-150])
def test_log_and_distance_keep_their_digits_at_every_distance(gap):
    space = mf.Sphere(4)
    x, y, way = beside_the_pole(4, gap)
    assert float(distance(space, x, y)) == pytest.approx(gap, rel=1e-15)
    np.testing.assert_allclose(log(space, x, y), gap * way, rtol=1e-15, atol=1e-15 * gap)


@pytest.mark.parametrize("gap", [1e-1, 1e-6, 1e-9, 1e-100])
def test_distance_and_log_are_precise_near_the_antipode(gap):
    space = mf.Sphere(4)
    x, y, way = beside_the_pole(4, gap)  # the sine and cosine of pi - gap are taken from the gap itself
    assert float(distance(space, -x, y)) == pytest.approx(np.pi - gap, rel=2e-16)
    np.testing.assert_allclose(log(space, -x, y), (np.pi - gap) * way, rtol=2e-15, atol=1e-15)


def test_distance_is_a_metric_and_cosine_its_inverse():
    space = mf.Sphere(3)
    (x, y), (z, _) = pairs(3), pairs(3, seed=9)
    np.testing.assert_allclose(np.cos(distance(space, x, y)), np.sum(x * y, axis=1), atol=1e-15)
    np.testing.assert_array_equal(distance(space, x, y), distance(space, y, x))
    assert bool(np.all(distance(space, x, z) <= distance(space, x, y) + distance(space, y, z) + 1e-15))
    np.testing.assert_array_equal(distance(space, x, x), 0.0)


@pytest.mark.parametrize("operation", [log, difference, exp, distance], ids=["log", "difference", "exp", "distance"])
def test_coincident_points_are_at_rest(operation):
    x, _ = pairs(3, 5)
    other = np.zeros_like(x) if operation is exp else x
    at_rest = x if operation is exp else 0.0
    np.testing.assert_allclose(operation(mf.Sphere(3), x, other), at_rest, atol=2e-16)


def test_retraction_is_the_normalised_step_and_agrees_with_exp_to_second_order():
    space = mf.Sphere(5)
    x, y = pairs(5, 50)
    v = tangent(space, x, y)
    np.testing.assert_allclose(retract(space, x, v), (x + v) / np.linalg.norm(x + v, axis=1)[:, None], rtol=1e-14)
    errors = [float(np.abs(retract(space, x, h * v) - exp(space, x, h * v)).max()) for h in (1e-2, 1e-3)]
    assert errors[0] / errors[1] == pytest.approx(1e3, rel=0.02)  # third order apart


@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e-3, 1.0, 1e150])
def test_projection_takes_out_the_length_alone(scale):
    x, _ = pairs(6, 20)
    space = mf.Sphere(6)
    np.testing.assert_allclose(project(space, scale * x), x, rtol=1e-15)
    assert float(defect(space, project(space, scale * x))) < 4e-16


def test_defect_is_that_of_the_farthest_point():
    x, _ = pairs(3, 10)

    def moved(length: float) -> np.ndarray:
        return x * np.where(np.arange(10)[:, None] == 4, length, 1.0)

    assert float(defect(mf.Sphere(3), moved(1.25))) == pytest.approx(0.25, abs=1e-15)
    assert float(defect(mf.Sphere(3), moved(0.75))) == pytest.approx(0.25, abs=1e-15)
    assert float(defect(mf.Sphere(3), x[:0])) == 0.0


@pytest.mark.parametrize("d", DIMENSIONS)
def test_uniform_law_has_the_exact_marginal_along_any_axis(d):
    points = np.asarray(uniform(mf.Sphere(d), jax.random.key(5), 4000))
    half = (d - 1) / 2  # (1 + z) / 2 is Beta((d-1)/2, (d-1)/2)
    axis = np.random.default_rng(d).normal(size=d)
    axis /= np.linalg.norm(axis)
    for along in (np.eye(d)[0], axis):
        assert stats.kstest((1 + points @ along) / 2, stats.beta(half, half).cdf).pvalue > 1e-3
    # first and second moments, within five standard errors: Var z = 1/d, Var z^2 = 2(d-1) / (d^2 (d+2))
    assert np.abs(points.mean(axis=0)).max() < 5 / np.sqrt(4000 * d)
    spread = np.sqrt(2 * (d - 1) / (d * d * (d + 2)) / 4000)
    assert np.abs(points.T @ points / 4000 - np.eye(d) / d).max() < 5 * spread


OPERATIONS = ("tangent", "difference", "exp", "retract", "log", "distance")


@jax.jit
def every_operation(x, y):
    return {name: getattr(mf.Sphere(3), name)(x, y) for name in OPERATIONS}


def test_operations_act_on_each_pair_alone_with_or_without_jit_and_vmap():
    x, y = pairs(3, 7)
    batch, mapped = every_operation(x, y), jax.jit(jax.vmap(every_operation))(x, y)
    crossed = every_operation(x[:, None], y[None])
    alone = [every_operation(a, b) for a, b in zip(x, y, strict=True)]
    for name in OPERATIONS:
        plain = np.stack([pair[name] for pair in alone])
        np.testing.assert_allclose(batch[name], plain, atol=1e-15, err_msg=name)
        np.testing.assert_allclose(mapped[name], plain, atol=1e-15, err_msg=name)
        np.testing.assert_allclose(np.asarray(crossed[name])[range(7), range(7)], plain, atol=1e-15, err_msg=name)


@jax.jit
def every_derivative(x, y):
    space = mf.Sphere(3)
    cases = {"log": y, "exp": y - x, "distance": y, "difference": y, "retract": y - x}
    return {
        name: [derive(getattr(space, name), argnums=(0, 1))(x, other) for derive in (jax.jacrev, jax.jacfwd)]
        for name, other in cases.items()
    }


@pytest.mark.parametrize("gap", [0.0, 1e-200, 1e-20, 1e-9, 0.0999, 0.1001, 0.7, np.pi])
def test_no_derivative_is_nan_however_near_or_far_the_points(gap):
    x, y, _ = beside_the_pole(3, gap)
    y = -x if gap == np.pi else y  # the exact antipode
    for name, derivatives in every_derivative(x, y).items():
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(derivatives)), name


@jax.jit
def first_derivatives(x, v):
    space = mf.Sphere(3)
    there = jax.jacobian(lambda v: space.exp(x, v))(v)
    back = jax.jacobian(lambda y: space.log(x, y))(space.exp(x, v))
    return there[:2, :2], back[:2, :2]  # in the tangent plane at the pole


@pytest.mark.parametrize("gap", [0.0, 1e-200, 1e-9, 0.01])
def test_exp_and_log_have_the_identity_as_derivative_where_they_begin(gap):
    x, _, way = beside_the_pole(3, 0.0)
    for derivative in first_derivatives(x, gap * way):
        np.testing.assert_allclose(derivative, np.eye(2), atol=1e-14 + gap**2)


def test_gradient_of_distance_is_the_unit_vector_away():
    space = mf.Sphere(4)
    x, y = pairs(4, 1)
    slope = tangent(space, y[0], jax.jit(jax.grad(lambda y: space.distance(x[0], y)))(y[0]))
    away = -log(space, y[0], x[0])
    np.testing.assert_allclose(slope, away / np.linalg.norm(away), atol=1e-14)


def test_antipodes_are_pi_apart_and_have_no_direction():
    space = mf.Sphere(3)
    x, _ = pairs(3, 4)
    np.testing.assert_array_equal(log(space, x, -x), 0.0)
    np.testing.assert_allclose(distance(space, x, -x), np.pi, rtol=1e-16)


def test_single_precision_stays_single():
    x, y = (points.astype(np.float32) for points in pairs(3, 4))
    with jax.numpy_dtype_promotion("strict"):
        shapes = jax.eval_shape(lambda: (every_operation(x, y), mf.Sphere(3).project(x), mf.Sphere(3).defect(x)))
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {jnp.dtype("float32")}

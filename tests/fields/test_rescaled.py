"""Rescaled attention: the free tokens seen in coordinates that do not grow, at any depth."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm

import measureflow as mf
from measureflow.fields.growth import Growth

VALUE = np.array([[0.9, 0.3, 0.0], [-0.2, 0.5, 0.1], [0.0, 0.4, -0.6]])
SHEAR = np.array([[1.0, 1.0], [0.0, 1.0]])


def cloud(n=6, d=3, seed=0):
    return mf.Tokens(mf.Euclidean(d), np.random.default_rng(seed).uniform(-1, 1, (n, d)))


@pytest.mark.parametrize("matrix", [VALUE, VALUE + VALUE.T, SHEAR, np.diag([2.0, -1.0])])
@pytest.mark.parametrize("t", [0.0, 0.7, 3.0])
def test_growth_times_shape_is_the_exponential(matrix, t):
    growth = Growth.of(jnp.asarray(matrix), growing=False)
    np.testing.assert_allclose(np.exp(growth.rate * t) * growth.shape(t), expm(t * matrix), rtol=1e-10, atol=1e-12)


def test_the_growing_part_leaves_the_rest_alone():
    growth = Growth.of(jnp.asarray(VALUE), growing=True)
    roots, vectors = np.linalg.eig(VALUE)
    part = (vectors * np.where(roots.real > 0, roots, 0)) @ np.linalg.inv(vectors)
    np.testing.assert_allclose(growth.rest, (VALUE - part).real, atol=1e-14)
    np.testing.assert_allclose(np.exp(growth.rate * 2.0) * growth.shape(2.0), expm(2.0 * part.real), rtol=1e-10)
    assert Growth.of(jnp.asarray(-2.0), growing=True).rest == -2.0


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("value", [VALUE, 0.7, -0.4])
def test_velocity_is_that_of_free_tokens_in_other_coordinates(value, bounded):
    rng = np.random.default_rng(3)
    query, key = rng.normal(size=(2, 2, 3))
    mu, t = cloud(), 1.3
    field = mf.RescaledAttention(0.8, value=value, query=query, key=key, bounded=bounded).at(t)
    full = value if np.ndim(value) else value * np.eye(3)
    roots, vectors = np.linalg.eig(full)
    kept = np.where(roots.real >= 0, roots, 0) if bounded else roots
    part = ((vectors * kept) @ np.linalg.inv(vectors)).real
    grown = expm(t * part)
    free = mf.Tokens(mu.space, mu.points @ grown.T)
    velocity = mf.SelfAttention(0.8, value=value, query=query, key=key)(free.points, free)
    expected = velocity @ expm(-t * part).T - mu.points @ part.T
    np.testing.assert_allclose(field(mu.points, mu), expected, atol=1e-13)
    logs, directions = field.unscaled(mu.points)
    np.testing.assert_allclose(jnp.exp(logs)[:, None] * directions, free.points, rtol=1e-12)


@pytest.mark.parametrize("t", [1e2, 1e4, 1e6])
def test_far_out_it_is_hardmax(t):
    mu = cloud(seed=4)
    soft, hard = mf.RescaledAttention().at(t), mf.RescaledAttention(weighting="hardmax").at(t)
    np.testing.assert_array_equal(soft.weights(mu.points, mu), hard.weights(mu.points, mu))
    np.testing.assert_array_equal(soft(mu.points, mu), hard(mu.points, mu))
    back = mf.RescaledAttention(value=-1.0).at(t)  # the logits die: attention is uniform
    np.testing.assert_allclose(back.weights(mu.points, mu), 1 / 6, rtol=1e-12)


def test_derivatives_are_finite_at_any_depth():
    mu, field = cloud(), mf.RescaledAttention(value=VALUE + np.eye(3))
    slope = jax.jit(jax.grad(lambda x, t: jnp.sum(field.at(t)(x, mu.replace(points=x)) ** 2)))
    for t in (0.5, 300.0, 1e5):
        assert bool(jnp.isfinite(slope(mu.points, t)).all())


def test_traced_values_give_the_same_velocity():
    mu = cloud()
    found = jax.jit(lambda v: mf.RescaledAttention(value=v).at(0.8)(mu.points, mu))(VALUE)
    np.testing.assert_allclose(found, mf.RescaledAttention(value=VALUE).at(0.8)(mu.points, mu), atol=1e-13)


def test_a_token_at_the_origin_has_no_direction():
    logs, directions = mf.RescaledAttention().unscaled(jnp.zeros((1, 2)))
    assert float(logs[0]) == -np.inf
    assert float(abs(directions).max()) == 0.0


def test_depth_matters_but_for_hardmax_with_a_number():
    assert not mf.RescaledAttention().autonomous
    assert not mf.RescaledAttention(weighting="hardmax", value=VALUE).autonomous
    assert mf.RescaledAttention(weighting="hardmax", value=2.0).autonomous
    assert repr(mf.RescaledAttention(value=VALUE, bounded=True)) == (
        "RescaledAttention(beta=1, value=<3x3>, bounded=True)"
    )


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: mf.RescaledAttention(weighting="linear"), "weighting is 'linear'; it must be 'softmax' or 'hardmax'"),
        (lambda: mf.RescaledAttention(-1.0), r"beta is -1\.0"),
        (lambda: mf.RescaledAttention(2.0, weighting="hardmax"), "hardmax has none"),
        (lambda: mf.RescaledAttention(value=np.ones((2, 3))), "value has shape"),
        (lambda: mf.RescaledAttention(depth=np.inf), "depth is inf; it is one finite number"),
        (lambda: mf.RescaledAttention()(cloud().points, mf.uniform(mf.Sphere(3), 6)), r"moves tokens of mf\.Euclidean"),
        (lambda: mf.RescaledAttention(value=np.eye(2))(cloud().points, cloud()), r"value has shape \(2, 2\) and the"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(make, says):
    with pytest.raises(mf.BadInput, match=says) as error:
        make()
    assert "\n" not in str(error.value)

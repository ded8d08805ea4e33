from __future__ import annotations

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from hasty import hasty_jit

S2 = mf.Sphere(3)
CLOUDS = jnp.stack([mf.uniform(S2, n=8, seed=seed).points for seed in range(3)])
BETAS = jnp.array([0.5, 2.0, 8.0])
TIMES = np.linspace(0.0, 6.0, 25)
FIRST = mf.uniform(S2, n=8, seed=0)
RTOL = 1e-8
COMPILED = []


@functools.partial(eqx.filter_jit)
@functools.partial(eqx.filter_vmap, in_axes=(0, 0, None))
def batch(points, beta, rtol):
    COMPILED.append("batch")
    solver = mf.Adaptive(rtol=rtol, atol=rtol / 100, dense=True)
    field = mf.SelfAttention(beta=beta, sum=mf.sums.Products())
    tokens = FIRST.replace(points=points)
    return mf.flow(tokens, field, until=6.0, save=TIMES, record={"overlap": overlap, "points": at}, solver=solver)


def overlap(mu):
    return mu.points[0] @ mu.points[1]


def at(mu):
    return mu.points


@functools.cache
def tight(k: int) -> mf.Path:
    tokens = FIRST.replace(points=CLOUDS[k])
    solver = mf.Adaptive(rtol=1e-11, atol=1e-13)
    return mf.flow(tokens, mf.SelfAttention(beta=BETAS[k]), until=6.0, save=TIMES, solver=solver)


def test_saved_states_between_steps_are_as_exact_as_the_steps():
    path = batch(CLOUDS, BETAS, jnp.asarray(RTOL))
    assert path.points.shape == (3, 25, 8, 3)
    assert path.recorded["overlap"].shape == (3, 25)
    assert path.code.tolist() == [0, 0, 0]
    assert int(path.stats["accepted"].max()) < 4 * len(TIMES)
    for k in range(3):
        error = np.linalg.norm(path.points[k] - tight(k).points, axis=-1).max(axis=1)
        assert error[0] == 0
        # an unstable cloud may amplify the errors of its steps; the saved ones lie no further off than that
        assert error.max() < 100 * RTOL
        assert np.median(error) < 10 * RTOL
        np.testing.assert_allclose(path.recorded["points"][k], path.points[k], rtol=0, atol=0)
        np.testing.assert_allclose(
            path.recorded["overlap"][k], np.sum(path.points[k, :, 0] * path.points[k, :, 1], axis=-1), atol=1e-15
        )


def test_other_betas_clouds_and_tolerances_are_one_program_and_sharper_is_nearer():
    batch(CLOUDS, BETAS, jnp.asarray(RTOL))
    before = len(COMPILED)
    gaps = []
    for rtol in (1e-5, 1e-7):
        path = batch(CLOUDS[::-1], BETAS[::-1], jnp.asarray(rtol))
        gaps.append(max(np.abs(path.points[2 - k] - tight(k).points).max() for k in range(3)))
    assert len(COMPILED) == before
    assert gaps[1] < 0.1 * gaps[0]


@pytest.mark.parametrize("pair", ["dormand-prince", "dopri8"])
def test_few_saved_times_and_many_are_the_same_steps(pair):
    solver = mf.Adaptive(rtol=1e-9, atol=1e-11, pair=pair, dense=True)

    @eqx.filter_jit
    def run(points, until):
        tokens = FIRST.replace(points=points)
        many = mf.flow(tokens, mf.SelfAttention(2.0), until=until, save=200, keep="last", solver=solver)
        few = mf.flow(tokens, mf.SelfAttention(2.0), until=until, save=3, keep="last", solver=solver)
        return many, few

    many, few = run(CLOUDS[0], jnp.asarray(4.0))
    assert int(many.stats["accepted"]) == int(few.stats["accepted"]) < 100
    np.testing.assert_array_equal(many.points, few.points)
    assert many.points.shape == (1, 8, 3)
    exact = mf.flow(FIRST, mf.SelfAttention(2.0), until=4.0, save=[4.0], solver=mf.Adaptive(1e-11, 1e-13))
    np.testing.assert_allclose(many.points[-1], exact.points[-1], rtol=0, atol=1e-8)


def test_jump_of_the_field_is_landed_on():
    schedule = mf.Schedule([mf.SelfAttention(beta=1.0), mf.SelfAttention(beta=9.0)], [0.0, 0.35])
    solver = mf.Adaptive(rtol=1e-9, atol=1e-11, dense=True)

    @eqx.filter_jit
    def run(points):
        return mf.flow(FIRST.replace(points=points), schedule, until=1.0, save=[0.2, 0.4, 0.9, 1.0], solver=solver)

    inside, outside = run(FIRST.points), mf.flow(FIRST, schedule, until=1.0, save=[0.2, 0.4, 0.9, 1.0])
    np.testing.assert_allclose(inside.points, outside.points, rtol=0, atol=2e-8)


def test_tokens_at_rest_are_saved_at_every_time():
    @eqx.filter_jit
    def run(points):
        tokens = FIRST.replace(points=points)
        return mf.flow(tokens, mf.SelfAttention(1.0), until=9.0, save=4, solver=mf.Adaptive(dense=True))

    path = run(jnp.tile(FIRST.points[:1], (8, 1)))
    np.testing.assert_allclose(path.points, jnp.tile(FIRST.points[:1], (4, 8, 1)), rtol=0, atol=1e-15)


def test_gradient_through_a_state_between_steps_is_a_difference_quotient():
    solver = mf.Adaptive(rtol=1e-10, atol=1e-12, dense=True)

    @hasty_jit
    @jax.value_and_grad
    def loss(beta):
        path = mf.flow(FIRST, mf.SelfAttention(beta), until=1.0, save=[0.33, 1.0], record=("cosine",), solver=solver)
        return jnp.sum(path.points[0] * jnp.arange(24.0).reshape(8, 3)) + path.recorded["cosine"][0].sum()

    _, slope = loss(2.0)
    quotient = (loss(2.0 + 1e-5)[0] - loss(2.0 - 1e-5)[0]) / 2e-5
    assert float(slope) == pytest.approx(float(quotient), rel=1e-5)
    assert abs(float(quotient)) > 1e-3


def test_cloud_reduced_to_its_span_inside_a_batch_has_the_overlaps_of_the_whole():
    wide = jnp.stack([mf.uniform(mf.Sphere(40), n=5, seed=seed).points for seed in range(2)])
    field, like = mf.SelfAttention(beta=3.0), mf.uniform(mf.Sphere(40), n=5, seed=0)

    @eqx.filter_jit
    @eqx.filter_vmap
    def both(points):
        tokens = like.replace(points=points)
        short = mf.flows.span_reduction(tokens, field).lower(tokens)
        return tuple(
            mf.flow(mu, field, until=2.0, save=3, keep="last", record={"overlap": overlap}).recorded["overlap"]
            for mu in (short, tokens)
        )

    short, full = both(wide)
    assert short.shape == (2, 3)
    np.testing.assert_allclose(short, full, rtol=0, atol=1e-12)

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow.observables import lyapunov

S2 = mf.Sphere(3)
FIELD = mf.SelfAttention(beta=3.0)
SHARP = mf.Adaptive(rtol=1e-12, atol=1e-13, pair="dopri8", coarsen=False)
TIMES = [0.0, 0.5, 1.0, 3.0]
TOKENS = mf.uniform(S2, n=4, seed=0)


@pytest.fixture(scope="module")
def path() -> mf.Path:
    return mf.flow(TOKENS, FIELD, until=3.0, save=TIMES, solver=SHARP)


def at_rest(path: mf.Path, field: mf.Field) -> mf.Path:
    """Tokens that have met and stay, at times 0 .. 3, as if they had been moved by the field."""
    points = jnp.broadcast_to(TOKENS.points[:1], path.points.shape)
    measure = path.measure.replace(points=points)
    return dataclasses.replace(path, measure=measure, times=jnp.arange(4.0), field=field)


def test_stretching_is_the_separation_of_twin_runs(path):
    directions = np.random.default_rng(0).normal(size=(8, 4, 3))
    start = S2.tangent(TOKENS.points, jnp.asarray(directions[0]))
    start, step = start / jnp.linalg.norm(start), 1e-4
    ends = [
        mf.flow(TOKENS.replace(points=S2.exp(TOKENS.points, h * start)), FIELD, until=3.0, save=TIMES, solver=SHARP)
        for h in (step, -step, 2 * step, -2 * step)
    ]
    ahead, behind, far, farther = (np.asarray(end.points) for end in ends)
    separation = (8 * (ahead - behind) - (far - farther)) / (12 * step)
    length = np.sqrt((separation**2).sum(axis=(1, 2)))
    found = lyapunov(path, directions=directions, rtol=1e-11)
    np.testing.assert_allclose(found.growth[:, 0], np.log(length), rtol=0, atol=1e-8)
    np.testing.assert_allclose(found.directions[0], separation[-1] / length[-1], rtol=0, atol=1e-8)


def test_sum_of_all_exponents_is_the_mean_divergence(path):
    fine = mf.flow(TOKENS, FIELD, until=3.0, save=np.linspace(0.0, 3.0, 61), solver=SHARP)
    trace = np.trace(np.asarray(mf.observe.jacobian(fine)), axis1=1, axis2=2)
    simpson = (np.r_[1.0, np.tile([4.0, 2.0], 29), 4.0, 1.0] @ trace) * 0.05 / 3.0
    for tolerance, within in ((1e-5, 1e-4), (1e-9, 2e-6)):  # the rule itself is right to about 1e-6
        found = lyapunov(path, rtol=tolerance)
        assert float(found.growth[-1].sum()) == pytest.approx(simpson, abs=within)
    assert found.exponents.shape == (8,)
    assert found.local.shape == (3, 8)
    np.testing.assert_allclose(found.exponents, found.growth[-1] / 3.0, rtol=1e-15)


def test_where_tokens_have_met_two_rotations_rest_and_deviations_die(path):
    met = at_rest(path, FIELD)
    met = dataclasses.replace(met, times=10.0 * met.times)  # by then the first directions are the rotations
    np.testing.assert_allclose(lyapunov(met).local[-1], [0.0] * 2 + [-1.0] * 6, rtol=0, atol=1e-7)


def test_directions_are_drawn_by_their_seed(path):
    first, same, other = (lyapunov(path, seed=seed).growth for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert float(jnp.abs(first - other).max()) > 1e-2


def test_a_leg_ends_before_the_field_jumps(path):
    fields = [mf.SelfAttention(beta=3.0, value=value) for value in (1.0, -1.0)]
    found = lyapunov(at_rest(path, mf.Schedule(fields, [0.0, 1.0])))
    np.testing.assert_allclose(found.growth.sum(axis=1), [0.0, -6.0, 0.0, 6.0], rtol=0, atol=1e-6)


def test_what_has_no_spectrum_is_refused(path):
    with pytest.raises(mf.BadInput, match=r"give one path of mf\.flow"):
        lyapunov(mf.layers(TOKENS, FIELD, depth=2, step=0.1))
    with pytest.raises(mf.BadInput, match="the path has one state"):
        lyapunov(mf.flow(TOKENS, FIELD, until=3.0, save=4, keep="last"))
    with pytest.raises(mf.BadInput, match=r"count is 9; the tokens have 1 \.\. 8 directions"):
        lyapunov(path, 9)
    with pytest.raises(mf.BadInput, match=r"directions have shape \(1, 4\)"):
        lyapunov(path, directions=np.zeros((1, 4)))
    with pytest.raises(mf.BadInput, match="3 steps do not reach"):
        lyapunov(path, max_steps=3)

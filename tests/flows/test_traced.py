from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from hasty import hasty_jit

S2 = mf.Sphere(3)
TOKENS = mf.uniform(S2, n=8, seed=0)
#: tolerances at which a difference quotient sees the derivative and not the choice of steps
SHARP = mf.Adaptive(rtol=1e-10, atol=1e-12)


def end(points, beta, until=1.0, **options):
    options = {"save": [1.0], "solver": SHARP, **options}
    return mf.flow(TOKENS.replace(points=points), mf.SelfAttention(beta=beta), until=until, **options)


@eqx.filter_jit
def jitted(points, beta):
    return end(points, beta, save=5, record=("cosine", "clusters"))


def test_flow_under_jit_is_the_flow():
    inside = jitted(TOKENS.points, jnp.asarray(2.0, float))  # of a fixed type: the program of the next test as well
    outside = end(TOKENS.points, 2.0, save=5, record=("cosine", "clusters"))
    np.testing.assert_allclose(inside.points, outside.points, rtol=0, atol=1e-11)
    np.testing.assert_array_equal(inside.times, outside.times)
    np.testing.assert_allclose(inside.recorded["cosine"], outside.recorded["cosine"], rtol=0, atol=1e-11)
    assert inside.recorded["clusters"].tolist() == outside.recorded["clusters"].tolist()
    assert inside.status == outside.status == "reached"
    for name in ("accepted", "rejected", "evaluations"):
        assert int(inside.stats[name]) == outside.stats[name]
    assert float(inside.stats["largest_energy_decrease"]) <= 1e-15
    assert "5" in repr(inside.stats["accepted"]) or int(inside.stats["accepted"]) > 5


def test_vmap_gives_what_separate_runs_give():
    clouds = np.stack([mf.uniform(S2, n=8, seed=seed).points for seed in range(3)])
    betas = np.array([0.5, 2.0, 8.0])
    batch = eqx.filter_vmap(jitted)(clouds, betas)
    assert batch.points.shape == (3, 5, 8, 3)
    assert batch.code.tolist() == [0, 0, 0]
    for points, beta, batched in zip(clouds, betas, batch.points, strict=True):
        alone = jitted(jnp.asarray(points), jnp.asarray(beta))
        np.testing.assert_allclose(batched, alone.points, rtol=0, atol=1e-12)
    with pytest.raises(mf.BadInput, match=r"read path\.code"):
        _ = batch.status
    assert "batch" in repr(batch)


def loss(points, beta, present):
    tokens = TOKENS.replace(points=points, present=present, weights=present / jnp.sum(present))
    path = mf.flow(tokens, mf.SelfAttention(beta=beta), until=1.0, save=[1.0], solver=SHARP)
    return jnp.sum(path.points[-1] * jnp.arange(24.0).reshape(8, 3))


#: loss and its gradient with respect to points and beta, in one program for the three tests
value_and_slopes = hasty_jit(jax.value_and_grad(loss, argnums=(0, 1)))
ALL = jnp.ones(8, bool)


def value(points, beta) -> float:
    return float(value_and_slopes(points, beta, ALL)[0])


def test_gradient_with_respect_to_beta_is_a_difference_quotient():
    _, (_, slope) = value_and_slopes(TOKENS.points, 2.0, ALL)
    quotient = (value(TOKENS.points, 2.0 + 1e-5) - value(TOKENS.points, 2.0 - 1e-5)) / 2e-5
    assert float(slope) == pytest.approx(quotient, rel=1e-5)
    assert abs(quotient) > 1e-3


def test_gradient_with_respect_to_points_is_a_difference_quotient():
    _, (slope, _) = value_and_slopes(TOKENS.points, 2.0, ALL)
    direction = S2.tangent(TOKENS.points, np.sin(np.arange(24.0)).reshape(8, 3))
    ahead, behind = (S2.exp(TOKENS.points, sign * 1e-5 * direction) for sign in (1, -1))
    assert float(jnp.sum(slope * direction)) == pytest.approx((value(ahead, 2.0) - value(behind, 2.0)) / 2e-5, rel=1e-5)


def test_gradient_is_finite_where_tokens_have_met_and_where_some_are_absent():
    points = jnp.tile(TOKENS.points[:1], (8, 1)).at[7].set(TOKENS.points[7])
    found, (along_points, along_beta) = value_and_slopes(points, 2.0, ALL.at[3].set(False))
    assert np.isfinite(float(found))
    assert np.isfinite(along_points).all()
    assert abs(float(along_beta)) > 1e-4


FLAT = np.random.default_rng(1).normal(size=(5, 2))
MATRICES = np.random.default_rng(2).normal(size=(3, 2, 2))


@hasty_jit
@jax.value_and_grad
def flat_loss(parts):
    """Unnormalised causal attention in flat space with all its matrices, saved twice, as far as a traced time."""
    points, beta, (query, key, value), until = parts
    tokens = mf.Tokens(mf.Euclidean(2), points)
    field = mf.SelfAttention(beta, query=query, key=key, value=value, weighting="unnormalised", mask="causal")
    path = mf.flow(tokens, field, until=until, save=3, solver=SHARP)
    return jnp.sum(path.points[1:] * jnp.sin(jnp.arange(20.0)).reshape(2, 5, 2))


@pytest.mark.slow
def test_gradient_with_respect_to_everything_at_once_is_a_difference_quotient():
    start = (FLAT, np.asarray(0.3), tuple(MATRICES), np.asarray(0.5))  # NumPy's types are fixed: one program
    _, slopes = flat_loss(start)
    for part, slope in enumerate(slopes):  # points, beta, matrices, until: one direction each
        move = [jax.tree.map(np.zeros_like, one) for one in start]
        move[part] = jax.tree.map(lambda leaf: np.cos(np.arange(1.0, leaf.size + 1)).reshape(leaf.shape), start[part])
        ahead, behind = (
            float(flat_loss(jax.tree.map(lambda a, b, h=h: a + h * b, start, tuple(move)))[0]) for h in (1e-5, -1e-5)
        )
        along = jax.tree.map(lambda a, b: np.sum(np.asarray(a) * b), slope, move[part])
        assert float(sum(jax.tree.leaves(along))) == pytest.approx((ahead - behind) / 2e-5, rel=1e-6)


def test_until_may_be_traced_where_save_is_a_count():
    path = eqx.filter_jit(lambda until: end(TOKENS.points, 2.0, until, save=3))(jnp.asarray(4.0))
    assert float(path.times[-1]) == 4.0
    plain = end(TOKENS.points, 2.0, 4.0, save=[4.0])
    np.testing.assert_allclose(path.points[-1], plain.points[-1], rtol=0, atol=1e-8)


def test_schedule_lands_on_its_jump_under_jit():
    schedule = mf.Schedule([mf.SelfAttention(beta=1.0), mf.SelfAttention(beta=9.0)], [0.0, 0.3])
    inside = eqx.filter_jit(
        lambda points: mf.flow(TOKENS.replace(points=points), schedule, until=1.0, save=[0.2, 1.0], solver=SHARP)
    )(TOKENS.points)
    outside = mf.flow(TOKENS, schedule, until=1.0, save=[0.2, 1.0], solver=SHARP)
    np.testing.assert_allclose(inside.points, outside.points, rtol=0, atol=1e-9)
    assert inside.times.tolist() == [0.2, 1.0]


def test_what_needs_a_host_is_refused_under_tracing():
    for options, words in (
        ({"store": "run.zarr"}, "there is no store="),
        ({"until": mf.Consensus(1e-2)}, "until= must be a time"),
    ):
        with pytest.raises(mf.BadInput, match=words):
            jax.jit(lambda points, options=options: end(points, 1.0, **options).points)(TOKENS.points)
    with pytest.raises(mf.BadInput, match="give save= as a count"):
        jax.jit(lambda until: end(TOKENS.points, 1.0, until).points)(1.0)
    schedule = mf.Schedule([mf.SelfAttention(beta=1.0), mf.SelfAttention(beta=9.0)], [0.0, 0.3])
    with pytest.raises(mf.BadInput, match="needs known saved times"):
        jax.jit(lambda until: mf.flow(TOKENS, schedule, until=until, save=3).points)(1.0)


def test_wrong_shapes_are_refused_under_tracing_too():
    with pytest.raises(mf.BadInput, match=r"key has shape \(4, 4\)"):
        jax.jit(lambda x: mf.flow(TOKENS.replace(points=x), mf.SelfAttention(1.0, key=np.eye(4)), until=1.0).points)(
            TOKENS.points
        )

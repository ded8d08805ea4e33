from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow.flows.pairs import PAIRS, Pair, pair_of, point_within, runge_kutta_step, way

TOKENS = mf.uniform(mf.Sphere(3), n=6, seed=3)
FIELD = mf.SelfAttention(beta=1.0)
CLOUDS = jnp.stack([mf.uniform(mf.Sphere(3), n=6, seed=seed).points for seed in range(12)])


@eqx.filter_jit
def integrate(pair: Pair, steps: jax.Array) -> jax.Array:
    """Follow a field whose strength changes with depth up to t = 2, in equal steps, from each of the clouds."""

    def velocity(x, t):
        return (1.0 + 0.5 * jnp.sin(2.0 * t)) * FIELD(x, TOKENS.replace(points=x))

    h = 2.0 / steps

    def step(k, x):
        return runge_kutta_step(pair, velocity, TOKENS.space, x, velocity(x, k * h), k * h, h)[0]

    return jax.vmap(lambda x: jax.lax.fori_loop(0, steps, step, x))(CLOUDS)


def observed_order(pair: Pair, counts: list[int]) -> float:
    """Slope of the mean log error against the log step, where the errors stand well above rounding.

    One cloud alone may have a step at which its leading error happens to vanish.
    """
    reference = integrate(pair_of("dopri8"), jnp.asarray(128))
    gaps = [integrate(pair, jnp.asarray(count)) - reference for count in counts]
    errors = np.array([jnp.linalg.norm(gap.reshape(len(CLOUDS), -1), axis=1) for gap in gaps])
    mean = np.log(errors).mean(axis=1)
    assert mean.min() > np.log(5e-14)
    return -np.polyfit(np.log(counts), mean, 1)[0]


COUNTS = {"dormand-prince": [32, 40, 48, 64, 80, 96], "dopri8": [8, 10, 12, 14, 16]}


@pytest.mark.parametrize("name", PAIRS)
def test_observed_order_on_the_real_field_is_the_advertised_one(name):
    pair = pair_of(name)
    assert observed_order(pair, COUNTS[name]) == pytest.approx(pair.order, abs=0.15)


@pytest.mark.parametrize("part", ["stages", "nodes"])
def test_order_test_rejects_a_pair_whose_stages_or_nodes_are_frozen(part):
    # a published "Runge-Kutta 4" has coinciding stages and is forward Euler
    pair = pair_of("dormand-prince")
    frozen = pair._replace(**{part: np.zeros_like(getattr(pair, part))})
    assert observed_order(frozen, COUNTS["dormand-prince"]) < 1.5


@pytest.mark.parametrize("name", PAIRS)
def test_tables_are_consistent_and_end_on_their_first_stage(name):
    pair = pair_of(name)
    np.testing.assert_allclose(pair.stages.sum(axis=1), pair.nodes, atol=1e-14)
    np.testing.assert_allclose(pair.stages[-1], pair.weights, atol=1e-15)
    assert pair.weights.sum() == pytest.approx(1.0, abs=1e-15)
    assert pair.error.sum() == pytest.approx(0.0, abs=1e-15)
    assert np.abs(pair.error).max() > 1e-3
    assert not np.triu(pair.stages).any()


@eqx.filter_jit
def within(name: str, h: jax.Array, part: jax.Array, written_out: bool) -> jax.Array:
    """The point at a part of one step of length h from each of the clouds."""
    pair = pair_of(name)

    def one(x):
        def velocity(y, _):
            return FIELD(y, TOKENS.replace(points=y))

        step = runge_kutta_step(pair, velocity, TOKENS.space, x, velocity(x, 0.0), 0.0, h, written_out)
        return point_within(TOKENS.space, x, way(pair, step.slopes, h), part)

    return jax.vmap(one)(CLOUDS)


@pytest.mark.parametrize(("name", "order"), [("dormand-prince", 4), ("dopri8", 6)])
def test_interpolant_has_its_order_and_ends_where_the_step_ends(name, order):
    lengths = np.array([0.8, 0.6, 0.4, 0.3])
    gaps = []
    for h in lengths:
        # the end of a step 0.4 h by the finer pair is exact to rounding beside the interpolant's error
        exact = within("dopri8", jnp.asarray(0.4 * h), jnp.asarray(1.0), False)
        gap = within(name, jnp.asarray(h), jnp.asarray(0.4), True) - exact
        gaps.append(np.log(jnp.linalg.norm(gap.reshape(len(CLOUDS), -1), axis=1)).mean())
    slope = np.polyfit(np.log(lengths), gaps, 1)[0]
    assert slope == pytest.approx(order + 1, abs=0.35)  # the error of one step
    ends = [within(name, jnp.asarray(0.4), jnp.asarray(part), True) for part in (0.0, 1.0)]
    np.testing.assert_allclose(ends[0], CLOUDS, atol=1e-15)
    looped = within(name, jnp.asarray(0.4), jnp.asarray(1.0), False)
    np.testing.assert_allclose(ends[1], looped, atol=2e-12)  # the table of dopri8 is printed to 12 digits


@pytest.mark.parametrize("name", PAIRS)
def test_step_returns_a_point_of_the_space_its_velocity_and_an_error_estimate(name):
    def velocity(x, t):
        return FIELD(x, TOKENS.replace(points=x))

    x, h = TOKENS.points, jnp.asarray(0.1)
    new, slope, error, _ = runge_kutta_step(
        pair_of(name), velocity, TOKENS.space, x, velocity(x, 0.0), jnp.asarray(0.0), h
    )
    assert float(TOKENS.space.defect(new)) < 1e-15
    np.testing.assert_allclose(slope, velocity(new, 0.0), atol=1e-12)
    fine = runge_kutta_step(pair_of("dopri8"), velocity, TOKENS.space, x, velocity(x, 0.0), jnp.asarray(0.0), h)[0]
    made = float(jnp.abs(new - fine).max())
    assert float(jnp.abs(error).max()) > made  # the estimate is that of the lower order: on the safe side


def test_unknown_pair_is_named():
    with pytest.raises(mf.BadInput, match=r"'rk4'.*'dormand-prince'"):
        pair_of("rk4")
    with pytest.raises(mf.BadInput, match=r"'rk4'.*'dopri8'"):
        mf.Adaptive(pair="rk4")


@pytest.mark.parametrize(
    ("argument", "value", "words"),
    [
        ("rtol", 0.0, "rtol is 0.0"),
        ("rtol", 1e-16, "at least 1e-14"),
        ("rtol", float("nan"), "rtol is nan"),
        ("atol", -1.0, "atol is -1.0"),
        ("atol", float("inf"), "atol is inf"),
        ("max_steps", 0, "max_steps is 0"),
        ("max_steps", 1.5, "max_steps is 1.5"),
        ("max_steps", True, "max_steps is True"),
    ],
)
def test_tolerances_that_cannot_be_met_are_refused(argument, value, words):
    with pytest.raises(mf.BadInput, match=words):
        mf.Adaptive(**{argument: value})

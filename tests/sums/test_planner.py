from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow.sums.planner import costs_for
from measureflow.sums.reach import share_of_pairs
from pair_sums import true


def kernel(beta: float = 9.0, **words: object) -> mf.sums.Kernel:
    return mf.SelfAttention(beta, **words).kernel


def tokens(d: int, n: int) -> mf.Tokens:
    return mf.uniform(mf.Sphere(d), n=n, seed=0)


def test_many_tokens_on_the_circle_are_summed_by_harmonics_that_keep_the_tolerance():
    made = mf.sums.plan(kernel(), tokens(2, 5000), tolerance=1e-9)
    assert isinstance(made.sum, mf.sums.Harmonic)
    assert made.bound is not None
    assert made.bound <= 1e-9
    assert made.seconds["harmonic"] < made.seconds["exact"]
    assert "error bound" in made.explain()
    assert "exact" in made.explain()


def test_a_short_ranged_kernel_is_summed_over_neighbours():
    mu = tokens(3, 8000)
    made = mf.sums.plan(kernel(3e4), mu)
    assert isinstance(made.sum, mf.sums.Neighbours)
    assert made.seconds["neighbours"] < min(made.seconds["harmonic"], made.seconds["exact"])
    assert made.bound is not None
    assert made.bound <= 1e-10
    queries = mu.points[::200]
    gap = made.sum.attend(kernel(3e4), queries, None, mu, mu.points) - mf.sums.Exact().attend(
        kernel(3e4), queries, None, mu, mu.points
    )
    assert jnp.max(jnp.abs(gap)) <= 1e-10


def test_share_of_pairs_is_near_what_is_summed():
    mu = tokens(3, 2000)
    for beta in (1.0, 300.0, 1e4):
        guess = share_of_pairs(kernel(beta).exponential(), mu, mu.points, 1e-14)
        said = float(mf.sums.Neighbours().explain(kernel(beta), mu).split(": ")[1].split(" %")[0]) / 100
        assert 0.6 * said <= guess <= 1.6 * said


def test_planning_for_few_tokens_compiles_nothing(compilations):
    mu, weights = tokens(3, 20), kernel()
    before = len(compilations)
    mf.sums.plan(weights, mu)
    assert compilations[before:] == []


def test_costs_that_were_not_fitted_are_said_to_be_so():
    mu = tokens(2, 5000)
    single = mf.Tokens(mu.space, mu.points.astype("float32"))
    made = mf.sums.plan(kernel(), single)
    device = jax.default_backend()
    assert (f"float32 on {device} is not fitted" in made.explain()) == (not costs_for("float32", device)[2])
    assert "float64 on abacus is not fitted" in costs_for("float64", "abacus")[1]


def test_motion_below_the_floor_is_summed_exactly():
    rng = np.random.default_rng(0)
    points = np.array([1.0, 0.0]) + 1e-12 * rng.normal(size=(5000, 2))
    mu = mf.Tokens(mf.Sphere(2), points / np.linalg.norm(points, axis=1, keepdims=True))
    automatic = mf.sums.Automatic()
    assert isinstance(automatic.settled(kernel(), mu), mf.sums.Harmonic)
    exact = mf.sums.Exact().pull(kernel(), mu.points, None, mu)[0]
    assert 0 < jnp.max(jnp.abs(exact)) < 1e-10
    assert jnp.array_equal(automatic.pull(kernel(), mu.points, None, mu)[0], exact)


def test_few_tokens_are_summed_exactly_without_a_warning():
    made = mf.sums.plan(kernel(), tokens(3, 20))
    assert isinstance(made.sum, mf.sums.Exact)
    assert "20 tokens" in made.reason


def test_what_has_no_expansion_is_summed_exactly():
    for d, words in ((7, {}), (3, {"score": "l2", "mask": "causal"}), (2, {"score": "l2"})):
        made = mf.sums.plan(kernel(**words), tokens(d, 5000))
        assert isinstance(made.sum, mf.sums.Exact)
        assert "no harmonic expansion" in made.explain()


def test_a_bound_that_cannot_be_met_is_exact_with_a_warning():
    with pytest.warns(UserWarning, match="above the tolerance"):
        made = mf.sums.plan(kernel(), tokens(2, 5000), tolerance=1e-15)
    assert isinstance(made.sum, mf.sums.Exact)


def test_an_automatic_sum_does_what_its_plan_says():
    mu = tokens(2, 5000)
    automatic = mf.sums.Automatic(tolerance=1e-9)
    field = mf.SelfAttention(9.0, sum=automatic)
    assert automatic.explain(field.kernel, mu).startswith("Harmonic")
    queries = np.asarray(mu.points[:1000])
    exact = true(field, queries, mu)
    assert 0 < np.abs(np.asarray(field.output(queries, mu)) - exact).max() < 1e-9
    velocity = exact - np.sum(queries * exact, axis=1, keepdims=True) * queries
    assert np.abs(np.asarray(field(queries, mu)) - velocity).max() < 1e-9


def test_under_tracing_an_automatic_sum_is_exact():
    mu = tokens(2, 300)
    output = jax.jit(lambda x, sum: mf.SelfAttention(9.0, sum=sum).output(x, mu), static_argnums=1)
    assert jnp.array_equal(output(mu.points, mf.sums.Automatic()), output(mu.points, mf.sums.Exact()))


def test_a_planned_sum_can_be_used_where_beta_is_traced():
    mu = tokens(2, 5000)
    chosen = mf.sums.plan(kernel(4.0), mu).sum
    output = jax.jit(lambda beta: mf.SelfAttention(beta, sum=chosen).output(mu.points[:9], mu))(4.0)
    assert jnp.allclose(output, mf.SelfAttention(4.0, sum=mf.sums.Exact()).output(mu.points[:9], mu), atol=1e-10)


def test_planning_under_tracing_and_a_tolerance_that_is_none_are_refused():
    mu = tokens(2, 9)
    with pytest.raises(mf.BadInput, match="traced"):
        jax.jit(lambda beta: mf.sums.plan(kernel(beta), mu).bound)(1.0)
    for tolerance in (0.0, -1.0, "small"):
        with pytest.raises(mf.BadInput, match="tolerance"):
            mf.sums.Automatic(tolerance=tolerance)

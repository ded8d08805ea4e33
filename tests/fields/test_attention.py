from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf

SCALARS = {"query": 0.7, "key": -1.3, "value": 0.4}
KINDS = [
    {},
    {"weighting": "unnormalised"},
    {"mask": "causal"},
    {"mask": "causal", "weighting": "unnormalised"},
    {"score": "l2"},
    {"score": "l2", "weighting": "unnormalised", "mask": "causal"},
]
IDS = ["-".join(kind.values()) or "plain" for kind in KINDS]


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
@pytest.mark.parametrize("space", ["sphere", "flat"])
def test_output_is_the_papers_double_sum_with_query_key_and_value_in_their_places(
    kind, space, tokens, flat, matrices, by_hand, output
):
    mu = tokens if space == "sphere" else flat
    for parts in ({}, SCALARS, matrices):
        expected = by_hand(0.8, **parts, **kind).output(mu.points, mu)
        found = output(mf.SelfAttention(0.8, **parts, **kind), mu.points, mu)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


def test_query_and_key_exchanged_is_another_field(tokens, matrices, output):
    field = mf.SelfAttention(1.0, query=matrices["query"], key=matrices["key"])
    turned = mf.SelfAttention(1.0, query=matrices["key"], key=matrices["query"])
    assert np.abs(output(field, tokens.points, tokens) - output(turned, tokens.points, tokens)).max() > 0.1
    beside = mf.SelfAttention(1.0, value=matrices["value"])
    turned = mf.SelfAttention(1.0, value=matrices["value"].T)
    assert np.abs(output(beside, tokens.points, tokens) - output(turned, tokens.points, tokens)).max() > 0.1


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_velocity_is_the_tangent_part_of_the_output(kind, tokens, flat, matrices, queries, output, velocity):
    places = np.arange(5)
    for parts in ({}, SCALARS, matrices):
        field = mf.SelfAttention(0.8, **parts, **kind)
        raw = output(field, queries, tokens, places)
        tangent = raw - np.sum(raw * queries, axis=1)[:, None] * queries
        np.testing.assert_allclose(velocity(field, queries, tokens, places), tangent, atol=2e-14)
        np.testing.assert_allclose(
            velocity(field, queries, flat, places), output(field, queries, flat, places), rtol=1e-13, atol=2e-14
        )


def test_usa_weighs_each_of_n_equal_tokens_by_1_over_n(output):
    start = mf.uniform(mf.Sphere(3), 6, seed=1)
    gram = np.asarray(start.points) @ np.asarray(start.points).T
    usa = output(mf.SelfAttention(2.0, weighting="unnormalised"), start.points, start)
    np.testing.assert_allclose(usa, np.exp(2.0 * gram) @ np.asarray(start.points) / 6, rtol=1e-14)
    shifted = mf.SelfAttention(2.0, weighting=mf.fields.Unnormalised(shifted=True))
    np.testing.assert_allclose(output(shifted, start.points, start), np.exp(-2.0) * usa, rtol=1e-14)


def test_softmax_is_usa_divided_by_the_mean_of_the_exponential(tokens, output):
    gram = np.asarray(tokens.points) @ np.asarray(tokens.points).T
    partition = np.exp(2.0 * gram) @ np.asarray(tokens.weights)
    usa = output(mf.SelfAttention(2.0, weighting="unnormalised"), tokens.points, tokens)
    sa = output(mf.SelfAttention(2.0), tokens.points, tokens)
    np.testing.assert_allclose(sa, usa / partition[:, None], rtol=1e-14)


@pytest.mark.parametrize("beta", [0.0, 1e-12, 1.0, 700.0, 1e4, 1e6])
def test_softmax_is_finite_and_sums_to_one_at_every_beta(beta, tokens, matrices, queries):
    for parts in ({}, {"query": 3.0, "key": -2.0}, {"query": matrices["query"], "key": matrices["key"]}):
        for kind in ({}, {"mask": "causal"}, {"score": "l2"}):
            field = mf.SelfAttention(beta, **parts, **kind)
            for x, places in ((tokens.points, None), (queries, np.arange(5))):
                weights = np.asarray(all_weights(field, x, tokens, places))
                assert np.isfinite(weights).all()
                assert (weights >= 0).all()
                np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-15 * 7)


all_weights = eqx.filter_jit(lambda field, x, mu, places: field.weights(x, mu, places))


def test_attention_at_beta_0_is_the_mean_and_near_it_first_order(tokens, queries, output):
    mean = np.asarray(tokens.weights @ tokens.points)
    np.testing.assert_allclose(output(mf.SelfAttention(0.0), queries, tokens), np.tile(mean, (5, 1)), atol=1e-16)
    near = (output(mf.SelfAttention(1e-12), queries, tokens) - mean) / 1e-12
    spread = np.asarray(tokens.points) - mean
    covariance = spread.T @ (np.asarray(tokens.weights)[:, None] * spread)
    np.testing.assert_allclose(near, queries @ covariance, atol=2e-3)  # a difference of numbers near 1, over 1e-12


@pytest.mark.parametrize("beta", [1e4, 1e6])
def test_attention_at_large_beta_is_the_nearest_token_whatever_its_mass(beta, tokens, queries, output):
    nearest = np.argmax(queries @ np.asarray(tokens.points).T, axis=1)
    found = output(mf.SelfAttention(beta), queries, tokens)
    np.testing.assert_allclose(found, np.asarray(tokens.points)[nearest], atol=1e-12)
    farthest = np.argmin(queries @ np.asarray(tokens.points).T, axis=1)
    found = output(mf.SelfAttention(beta, query=-1), queries, tokens)
    np.testing.assert_allclose(found, np.asarray(tokens.points)[farthest], atol=1e-12)


@pytest.mark.parametrize("beta", [700.0, 1e4, 1e6])
def test_shifted_usa_works_where_the_plain_one_overflows(beta, tokens, velocity):
    gram = np.asarray(tokens.points) @ np.asarray(tokens.points).T
    field = mf.SelfAttention(beta, weighting=mf.fields.Unnormalised(shifted=True))
    weights = np.asarray(all_weights(field, tokens.points, tokens, None))
    # each logit is beta times a number known to 1e-16
    np.testing.assert_allclose(weights, np.exp(beta * (gram - 1)) * np.asarray(tokens.weights), rtol=1e-15 * beta)
    np.testing.assert_allclose(np.diag(weights), tokens.weights, rtol=1e-15 * beta)
    assert np.isfinite(velocity(field, tokens.points, tokens)).all()


def test_usa_runs_up_to_the_beta_it_accepts(tokens, velocity):
    for options in ({}, {"score": "l2"}):
        assert np.isfinite(
            velocity(mf.SelfAttention(700.0, weighting="unnormalised", **options), tokens.points, tokens)
        ).all()


def test_l2_attention_on_the_sphere_is_dot_attention_of_twice_the_beta(tokens, queries, output):
    far = output(mf.SelfAttention(1.5, score="l2"), queries, tokens)
    np.testing.assert_allclose(far, output(mf.SelfAttention(3.0), queries, tokens), rtol=1e-13)
    # its unnormalised weights never pass 1: there is nothing to take out and nothing to refuse
    for weighting in ("unnormalised", mf.fields.Unnormalised(shifted=True)):
        bare = mf.SelfAttention(1e4, score="l2", weighting=weighting)
        np.testing.assert_allclose(np.diag(all_weights(bare, tokens.points, tokens, None)), tokens.weights, rtol=1e-15)


def test_causal_attention_sees_itself_and_what_stands_before_renormalised(tokens):
    weights = np.asarray(all_weights(mf.SelfAttention(1.0, mask="causal"), tokens.points, tokens, None))
    places = np.asarray(tokens.positions)
    np.testing.assert_array_equal(weights > 0, places[None, :] <= places[:, None])
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-15)
    np.testing.assert_array_equal(weights[1], np.eye(7)[1])  # the first of the text sees itself alone
    whole = np.asarray(all_weights(mf.SelfAttention(1.0), tokens.points, tokens, None))
    last = int(np.argmax(places))
    np.testing.assert_allclose(weights[last], whole[last], rtol=1e-15)


def test_unnormalised_causal_attention_is_a_part_of_the_whole_sum(tokens):
    places = np.asarray(tokens.positions)
    whole = np.asarray(all_weights(mf.SelfAttention(1.0, weighting="unnormalised"), tokens.points, tokens, None))
    causal = mf.SelfAttention(1.0, weighting="unnormalised", mask="causal")
    weights = np.asarray(all_weights(causal, tokens.points, tokens, None))
    np.testing.assert_allclose(weights, np.where(places[None, :] <= places[:, None], whole, 0.0), rtol=1e-15)


def test_queries_off_the_tokens_have_a_place_of_their_own(tokens, queries, output, by_hand):
    field = mf.SelfAttention(1.0, mask="causal")
    places = [0, 2, 2, 99, 5]
    found = output(field, queries, tokens, jnp.asarray(places))
    np.testing.assert_allclose(found, by_hand(1.0, mask="causal").output(queries, tokens, places), rtol=1e-13)
    np.testing.assert_allclose(found[3], output(mf.SelfAttention(1.0), queries, tokens)[3], rtol=1e-14)
    nobody = output(field, queries, tokens, jnp.full(5, -1))
    np.testing.assert_array_equal(nobody, 0.0)  # before the text begins there is nothing to see, and no NaN


def test_positions_mean_nothing_to_a_field_without_mask(tokens, queries, output):
    field = mf.SelfAttention(1.0)
    np.testing.assert_array_equal(output(field, queries, tokens, jnp.arange(5)), output(field, queries, tokens))


def test_a_mask_of_ones_own_decides_who_sees_whom(tokens, by_hand, output):
    class Window(mf.fields.Mask):
        """A token sees its neighbours in the text."""

        def __call__(self, query, key):
            return jnp.abs(query[:, None] - key[None, :]) <= 1

    found = output(mf.SelfAttention(1.0, mask=Window()), tokens.points, tokens)
    places, whole = np.asarray(tokens.positions), by_hand(1.0)
    for i, x in enumerate(np.asarray(tokens.points)):
        weights = np.where(np.abs(places - places[i]) <= 1, whole.weights(x, 0, tokens), 0.0)
        np.testing.assert_allclose(found[i], weights @ np.asarray(tokens.points) / weights.sum(), rtol=1e-13)


def test_a_score_and_a_weighting_of_ones_own_work(tokens, output):
    class Cubic(mf.fields.Score):
        """The cube of the inner product."""

        def __call__(self, q, k):
            return (q @ k.T) ** 3

    class Linear(mf.fields.Weighting):
        """No exponential at all."""

        largest_beta = float("inf")

        def __call__(self, logits, masses, allowed, shift):
            return jnp.where(allowed, masses * logits, 0.0)

    field = mf.SelfAttention(2.0, score=Cubic(), weighting=Linear())
    points = np.asarray(tokens.points)
    expected = (2.0 * (points @ points.T) ** 3 * np.asarray(tokens.weights)) @ points
    np.testing.assert_allclose(output(field, points, tokens), expected, atol=1e-15)
    assert field.energy_sign == 0


@pytest.mark.parametrize("kind", [{}, {"weighting": "unnormalised"}, {"mask": "causal"}])
def test_two_tokens_in_one_place_are_one_of_their_mass(kind, queries, output, velocity):
    space = mf.Sphere(4)
    points = np.asarray(mf.uniform(space, 3, seed=4).points)
    one = mf.Tokens(space, points, [0.5, 0.2, 0.3])
    two = mf.Tokens(space, points[[0, 0, 1, 2]], [0.2, 0.3, 0.2, 0.3], positions=[0, 0, 1, 2])
    field, places = mf.SelfAttention(3.0, **kind), np.array([0, 1, 2, 3, 1])
    for ask in (output, velocity):
        np.testing.assert_allclose(ask(field, queries, two, places), ask(field, queries, one, places), atol=1e-15)
        np.testing.assert_allclose(ask(field, two.points, two)[[0, 2, 3]], ask(field, one.points, one), atol=1e-15)
    if not kind.get("mask"):
        assert float(field.energy(two)) == pytest.approx(float(field.energy(one)), rel=1e-15)


@pytest.mark.parametrize("gap", [1e-8, 1e-100, 1e-200])
@pytest.mark.parametrize("options", [{}, {"value": -1.0}, {"weighting": "unnormalised"}, {"score": "l2"}])
def test_two_near_tokens_meet_at_a_speed_with_all_its_digits(gap, options, velocity):
    points = np.array([[gap, 0.0, 1.0], [-gap, 0.0, 1.0]])
    mu = mf.Tokens(mf.Sphere(3), points, [0.25, 0.75])
    factor = np.e if "weighting" in options else 1.0
    sign = options.get("value", 1.0)
    found = velocity(mf.SelfAttention(1.0, **options), mu.points, mu)
    np.testing.assert_allclose(found[:, 0], sign * factor * 2 * gap * np.array([-0.75, 0.25]), rtol=1e-14)
    assert np.abs(found[:, 1:]).max() <= 2 * factor * gap**2


def test_a_lone_token_stands_still_exactly(velocity):
    for x in np.asarray(mf.uniform(mf.Sphere(3), 20, seed=3).points):
        mu = mf.Tokens(mf.Sphere(3), x[None])
        np.testing.assert_array_equal(velocity(mf.SelfAttention(9.0), mu.points, mu), 0.0)


def test_every_configuration_on_one_axis_is_stationary(velocity):
    x = np.asarray(mf.uniform(mf.Sphere(3), 1, seed=3).points)[0]
    mu = mf.Tokens(mf.Sphere(3), np.stack([x, -x, -x, x, x]))
    for beta in (0.0, 1.0, 50.0):
        assert np.abs(velocity(mf.SelfAttention(beta), mu.points, mu)).max() < 4e-16


@pytest.mark.parametrize("kind", [{}, {"weighting": "unnormalised", "mask": "causal"}, {"score": "l2"}])
def test_derivatives_by_every_number_are_those_of_finite_differences(kind, tokens, matrices):
    def value(beta, query, key, matrix, points, weights):
        field = mf.SelfAttention(beta, query=query, key=key, value=matrix, **kind)
        mu = tokens.replace(points=points, weights=weights)
        return jnp.sum(jnp.sin(field(points, mu)) + jnp.cos(field.output(points, mu)))

    arguments = [0.9, *matrices.values(), np.asarray(tokens.points), np.asarray(tokens.weights)]
    program, slopes = jax.jit(value), jax.jit(jax.grad(value, argnums=range(6)))(*arguments)
    rng, h = np.random.default_rng(6), 1e-5
    for which, slope in enumerate(slopes):
        direction = rng.normal(size=np.shape(slope))
        ends = []
        for side in (h, -h):
            moved = list(arguments)
            moved[which] = arguments[which] + side * direction
            ends.append(float(program(*moved)))
        assert (ends[0] - ends[1]) / (2 * h) == pytest.approx(np.vdot(slope, direction), rel=1e-6, abs=1e-8), which


def test_derivative_by_the_mass_of_a_token_without_mass_is_its_pull(tokens, queries):
    massless = np.asarray(tokens.weights).copy()
    massless[2] = 0.0
    massless /= massless.sum()

    @jax.jit
    def output(weights, beta):
        return mf.SelfAttention(beta).output(queries, tokens.replace(weights=weights))

    slope = np.asarray(jax.jit(jax.jacobian(output))(massless, 3.0))[:, :, 2]
    logits = 3.0 * queries @ np.asarray(tokens.points).T
    pull = np.exp(logits[:, 2]) / (np.exp(logits) @ massless)
    expected = pull[:, None] * (np.asarray(tokens.points)[2] - np.asarray(output(massless, 3.0)))
    np.testing.assert_allclose(slope, expected, rtol=1e-12)
    # at beta 1e6 the pull itself is beyond any number; cut off, but finite
    assert np.isfinite(jax.jit(jax.jacobian(output))(massless, 1e6)).all()


def test_three_betas_are_one_program(tokens, compilations):
    @eqx.filter_jit
    def three_betas(field, mu):
        return field(mu.points, mu)

    for beta in (1.0, 2, np.float32(3.0)):
        three_betas(mf.SelfAttention(beta, value=2.0 * beta), tokens)
    assert sum("three_betas" in name for name in compilations) == 1


def test_a_field_maps_over_betas(tokens, velocity):
    betas = jnp.array([0.5, 1.0, 80.0])
    many = jax.jit(jax.vmap(lambda beta: mf.SelfAttention(beta)(tokens.points, tokens)))(betas)
    for beta, found in zip(betas, many, strict=True):
        np.testing.assert_allclose(found, velocity(mf.SelfAttention(beta), tokens.points, tokens), atol=1e-15)


def test_a_field_shows_itself(matrices):
    shown = repr(mf.SelfAttention(9, value=-0.5, query=matrices["query"], key=matrices["key"], mask="causal"))
    assert shown == "SelfAttention(beta=9, query=<3x4>, key=<3x4>, value=-0.5, mask=Causal())"
    assert repr(mf.SelfAttention(1e-12)) == "SelfAttention(beta=1e-12)"
    assert "score=L2()" in repr(mf.SelfAttention(1.0, score="l2"))
    assert "Unnormalised(shifted=True)" in repr(mf.SelfAttention(1.0, weighting=mf.fields.Unnormalised(shifted=True)))

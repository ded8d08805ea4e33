from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf

FIRST, SECOND = mf.SelfAttention(1.0), mf.SelfAttention(4.0, value=-0.5)
CAUSAL = mf.SelfAttention(2.0, mask="causal")
MATRIX = np.random.default_rng(4).normal(size=(4, 4))
THREE = mf.Schedule([FIRST, SECOND, CAUSAL], times=[0.0, 1.0, 2.5])


def test_heads_add_up(tokens, queries, output, velocity):
    heads = [FIRST, SECOND, mf.SelfAttention(1.0, query=MATRIX, value=MATRIX)]
    for ask in (output, velocity):
        for x in (tokens.points, queries):
            parts = sum(ask(head, x, tokens) for head in heads)
            np.testing.assert_allclose(ask(mf.MultiHead(heads), x, tokens), parts, atol=1e-15)


def test_fields_in_parallel_add_up(tokens, queries, output, velocity):
    perceptron = mf.Perceptron(MATRIX, MATRIX.T)
    for ask in (output, velocity):
        parts = ask(FIRST, queries, tokens) + ask(SECOND, queries, tokens) + ask(perceptron, queries, tokens)
        np.testing.assert_allclose(ask(FIRST + SECOND + perceptron, queries, tokens), parts, atol=1e-15)
        np.testing.assert_allclose(ask(FIRST + (SECOND + perceptron), queries, tokens), parts, atol=1e-15)


def test_sums_of_fields_are_flat_and_show_themselves():
    assert repr(FIRST + (SECOND + FIRST)) == repr((FIRST + SECOND) + FIRST)
    assert len((FIRST + (SECOND + FIRST)).parts) == 3
    assert repr(mf.MultiHead([FIRST, SECOND])) == f"MultiHead([{FIRST!r}, {SECOND!r}])"
    assert repr(THREE) == f"Schedule([{FIRST!r}, {SECOND!r}, {CAUSAL!r}], times=[0.0, 1.0, 2.5])"


def test_masked_heads_take_the_places_of_their_queries(tokens, queries, output):
    places = jnp.array([0, 2, 4, 6, 1])
    both = output(mf.MultiHead([FIRST, CAUSAL]), queries, tokens, places)
    np.testing.assert_allclose(
        both, output(FIRST, queries, tokens) + output(CAUSAL, queries, tokens, places), atol=1e-15
    )
    np.testing.assert_allclose(output(FIRST + CAUSAL, queries, tokens, places), both, atol=1e-15)


@pytest.mark.parametrize("combine", [lambda *fields: mf.MultiHead(list(fields)), lambda f, g: f + g])
def test_a_whole_is_what_all_its_parts_are(combine):
    assert combine(FIRST, SECOND).isotropic
    assert not combine(FIRST, mf.SelfAttention(1.0, value=MATRIX)).isotropic
    assert not combine(FIRST, SECOND).positional
    assert combine(FIRST, CAUSAL).positional
    assert combine(FIRST, SECOND).autonomous
    assert not combine(FIRST, THREE).autonomous
    assert combine(FIRST, THREE).breaks == (1.0, 2.5)
    assert combine(FIRST, SECOND).breaks == ()
    assert combine(FIRST, SECOND).energy_sign == 0


@pytest.mark.parametrize("combine", [lambda *fields: mf.MultiHead(list(fields)), lambda f, g: f + g])
def test_a_whole_changes_with_its_parts(combine, tokens, velocity):
    whole = combine(FIRST, THREE)
    assert combine(FIRST, SECOND).at(3.0) is not None
    for t, part in ((0.5, FIRST), (1.5, SECOND), (9.0, CAUSAL)):
        expected = velocity(FIRST, tokens.points, tokens) + velocity(part, tokens.points, tokens)
        np.testing.assert_allclose(velocity(whole.at(t), tokens.points, tokens), expected, atol=1e-15)


both_at = eqx.filter_jit(lambda schedule, t, mu: (schedule.at(t)(mu.points, mu), schedule.at(t).output(mu.points, mu)))


@pytest.mark.parametrize(
    ("t", "acting"),
    [(-1.0, FIRST), (0.0, FIRST), (0.999, FIRST), (1.0, SECOND), (2.4, SECOND), (2.5, CAUSAL), (1e30, CAUSAL)],
)
def test_schedule_changes_at_its_times_seen_or_traced(t, acting, tokens, velocity, output):
    assert THREE.at(t) is acting
    moved, raw = both_at(THREE, jnp.asarray(t), tokens)
    np.testing.assert_allclose(moved, velocity(acting, tokens.points, tokens), atol=1e-15)
    np.testing.assert_allclose(raw, output(acting, tokens.points, tokens), atol=1e-15)


def test_schedule_asked_without_a_depth_is_its_beginning(tokens, velocity, output):
    for ask in (velocity, output):
        np.testing.assert_array_equal(ask(THREE, tokens.points, tokens), ask(FIRST, tokens.points, tokens))


def test_schedules_within_schedules_keep_absolute_depth_seen_or_traced(tokens, velocity):
    inner = mf.Schedule([FIRST, SECOND], times=[0.0, 2.0])
    outer = mf.Schedule([inner, CAUSAL], times=[0.0, 3.0])
    assert outer.breaks == (2.0, 3.0)
    for t, acting in ((1.0, FIRST), (2.0, SECOND), (2.9, SECOND), (3.0, CAUSAL)):
        assert outer.at(t) is acting
        expected = velocity(acting, tokens.points, tokens)
        np.testing.assert_allclose(both_at(outer, jnp.asarray(t), tokens)[0], expected, atol=1e-15)


def test_schedule_is_what_its_fields_are():
    assert THREE.breaks == (1.0, 2.5)
    assert not THREE.autonomous
    assert mf.Schedule([FIRST], times=[0.0]).autonomous
    assert THREE.positional
    assert THREE.isotropic
    assert not mf.Schedule([FIRST, mf.SelfAttention(1.0, value=MATRIX)], times=[0, 1]).isotropic


def test_schedule_in_a_scan_over_depth_is_differentiable(tokens):
    def travelled(beta):
        schedule = mf.Schedule([mf.SelfAttention(beta), SECOND], times=[0.0, 1.0])

        def step(x, t):
            mu = tokens.replace(points=x)
            return tokens.space.retract(x, 0.5 * schedule.at(t)(x, mu)), None

        return jnp.sum(jax.lax.scan(step, tokens.points, jnp.array([0.0, 0.5, 1.0, 1.5]))[0] ** 3)

    program, h = jax.jit(travelled), 1e-6
    difference = (float(program(1.0 + h)) - float(program(1.0 - h))) / (2 * h)
    assert float(jax.jit(jax.grad(travelled))(1.0)) == pytest.approx(difference, rel=1e-7)
    assert abs(difference) > 1e-4


@pytest.mark.parametrize(
    ("fields", "times", "says"),
    [
        ([], [], "fields are"),
        (FIRST, [0.0], "give a non-empty list of fields"),
        ([FIRST, "more"], [0.0, 1.0], "give a non-empty list of fields"),
        ([FIRST, SECOND], [0.0], r"times are \[0\.0\] for 2 fields"),
        ([FIRST, SECOND], [1.0, 2.0], "the first one 0"),
        ([FIRST, SECOND], [0.0, 0.0], "increasing"),
        ([FIRST, SECOND], [0.0, -1.0], "increasing"),
        ([FIRST, SECOND], [0.0, np.nan], r"times are \[0\.0, nan\]; they must be finite"),
        ([FIRST, SECOND], [0.0, np.inf], "they must be finite"),
        ([FIRST, SECOND], ["a", "b"], "they must be numbers"),
        ([FIRST], 0.0, "they must be numbers"),
    ],
)
def test_schedule_refuses_what_is_none(fields, times, says):
    with pytest.raises(mf.BadInput, match=f"Schedule: .*{says}"):
        mf.Schedule(fields, times)


@pytest.mark.parametrize("heads", [[], None, FIRST, [FIRST, 3], "heads"])
def test_multihead_refuses_what_are_no_fields(heads):
    with pytest.raises(mf.BadInput, match=r"MultiHead: heads are .*; give a non-empty list of fields"):
        mf.MultiHead(heads)


@pytest.mark.parametrize("other", [1.0, None, "field"])
def test_only_fields_add_to_fields(other):
    with pytest.raises(TypeError, match="unsupported operand"):
        FIRST + other


def test_normalisations_know_their_space():
    sphere, plane = mf.Sphere(4), mf.Euclidean(4)
    assert isinstance(mf.fields.default_normalisation(sphere), mf.PostLN)
    assert isinstance(mf.fields.default_normalisation(plane), mf.fields.Free)
    mf.PostLN().check(sphere)
    mf.fields.Free().check(plane)
    with pytest.raises(
        mf.BadInput, match=r"PostLN acts on a sphere and the tokens live in Euclidean\(d=4\); use mf\.S"
    ):
        mf.PostLN().check(plane)
    with pytest.raises(mf.BadInput, match=r"tokens leave Sphere\(d=4\); use mf\.Euclidean\(d\) or PostLN\(\)"):
        mf.fields.Free().check(sphere)


def test_postln_normalises_the_residual_sum_and_contracts_by_1_over_1_plus_h(tokens):
    x, h = np.asarray(tokens.points), 0.25
    out = np.random.default_rng(1).normal(size=x.shape)
    after = np.asarray(mf.PostLN().step(tokens.space, x, out, h))
    np.testing.assert_allclose(after, (x + h * out) / np.linalg.norm(x + h * out, axis=1)[:, None], rtol=1e-14)
    np.testing.assert_array_equal(mf.fields.Free().step(mf.Euclidean(4), x, out, h), x + h * out)
    # towards a cluster at the pole: A = pole, and the tangent part shrinks by 1 / (1 + h) to first order
    pole, near = np.eye(4)[3], np.array([1e-8, 0.0, 0.0, 1.0])
    assert float(mf.PostLN().step(tokens.space, near[None], pole[None], h)[0, 0]) == pytest.approx(1e-8 / (1 + h))

from __future__ import annotations

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf

S2 = mf.Sphere(3)
TOKENS = mf.uniform(S2, n=8, seed=0)
FIELD = mf.SelfAttention(beta=2.0)


@functools.cache
def run(keep="all") -> mf.Path:
    return mf.layers(TOKENS, FIELD, depth=6, step=0.1, record=("energy", "clusters"), keep=keep)


def test_layer_normalises_the_residual_sum():
    path, x = run(), TOKENS.points
    for k in range(6):
        np.testing.assert_allclose(path.points[k], x, rtol=0, atol=1e-15)
        x = x + 0.1 * FIELD.output(x, TOKENS.replace(points=x))
        x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    assert path.times.tolist() == [0.1 * k for k in range(7)]
    assert path.status == "reached"
    assert float(S2.defect(path.points)) < 1e-15


@pytest.mark.parametrize("h", [0.1, 0.5, 1.0])
def test_one_layer_contracts_a_cluster_by_one_plus_the_step(h):
    gaps = []
    for depth in (1, 2):
        path = mf.layers(mf.cap(S2, n=8, angle=1e-4, seed=1), FIELD, depth=depth, step=h, keep="last")
        gaps.append(np.asarray(path.points[-1] - path.points[-1].mean(axis=0)))
    ratio = np.linalg.norm(gaps[1]) / np.linalg.norm(gaps[0])
    assert ratio == pytest.approx(1 / (1 + h), rel=1e-6)
    assert abs(ratio - np.exp(-h)) > 1e-3  # and not by the flow's factor


def test_layers_are_of_first_order_near_the_flow():
    exact = mf.flow(TOKENS, FIELD, until=2.0, save=[2.0], solver=mf.Adaptive(1e-11, 1e-12)).points[-1]
    counts = [20, 40, 80, 160]
    errors = []
    for count in counts:
        path = mf.layers(TOKENS, FIELD, depth=count, step=2.0 / count, keep="last")
        errors.append(float(jnp.abs(path.points[-1] - exact).max()))
    assert -np.polyfit(np.log(counts), np.log(errors), 1)[0] == pytest.approx(1.0, abs=0.1)
    assert errors[0] > 1e-3


def test_kept_and_recorded_are_those_after_whole_layers():
    whole = run()
    assert whole.recorded["clusters"].tolist() == whole.clusters.tolist()
    np.testing.assert_allclose(whole.recorded["energy"], mf.observe.energy(whole, beta=2.0), rtol=1e-13)
    last = run("last")
    assert last.kept.tolist() == [6]
    np.testing.assert_array_equal(last.points[0], whole.points[-1])
    np.testing.assert_array_equal(last.recorded["energy"], whole.recorded["energy"])
    some = mf.layers(TOKENS, FIELD, depth=6, step=0.1, record=("energy", "clusters"), keep=[0, -2])
    assert some.kept.tolist() == [0, 5]
    np.testing.assert_array_equal(some.points, whole.points[jnp.asarray([0, 5])])


class Half(mf.Field):
    """A sub-layer: half a layer of another field."""

    field: mf.Field
    span = 0.5

    def output(self, x, mu, positions=None):
        return self.field.output(x, mu)


def test_sub_layers_are_applied_in_turn_and_shown_at_whole_layers():
    attention, perceptron = Half(FIELD), Half(mf.Perceptron(np.eye(3), -0.5 * np.eye(3)))
    blocks = [attention, perceptron, attention, perceptron]
    path = mf.layers(TOKENS, blocks, step=0.1, record="cosine")
    every = mf.layers(TOKENS, blocks, step=0.1, record="cosine", keep="sublayers")
    assert path.times.tolist() == [0.0, 1.0, 2.0]
    assert every.times.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0]
    np.testing.assert_array_equal(every.points[::2], path.points)
    np.testing.assert_array_equal(every.recorded["cosine"][::2], path.recorded["cosine"])
    by_hand = mf.layers(mf.layers(TOKENS, FIELD, depth=1, step=0.1)[-1], perceptron.field, depth=1, step=0.1)
    np.testing.assert_allclose(path.points[1], by_hand.points[-1], rtol=0, atol=1e-15)
    assert path.field == tuple(blocks)
    first = mf.layers(TOKENS, blocks, step=0.1, depth=2)
    np.testing.assert_array_equal(first.points, path.points[:2])


def test_sequence_of_one_field_is_that_field_layer_by_layer():
    path = mf.layers(TOKENS, [FIELD] * 6, step=0.1)
    np.testing.assert_allclose(path.points, run().points, rtol=0, atol=1e-15)
    for keep, kept in (("last", [6]), ([1, -1], [1, 6])):
        assert mf.layers(TOKENS, [FIELD] * 6, step=0.1, keep=keep).kept.tolist() == kept


class Widen(mf.Field):
    """A sub-layer into R^5."""

    def output(self, x, mu, positions=None):
        return jnp.concatenate([x, x[:, :2]], axis=1)


def test_sub_layers_that_change_the_dimension_are_no_one_path():
    flat = mf.Tokens(mf.Euclidean(3), TOKENS.points)
    with pytest.raises(mf.BadInput, match="change the dimension, so their states are no one path; run them in parts"):
        mf.layers(flat, [Widen(), mf.Perceptron(np.eye(5), np.eye(5))])
    path = mf.layers(flat, [Widen(), mf.Perceptron(np.eye(5), np.eye(5), activation="identity")], keep="last")
    np.testing.assert_allclose(path.points[0], 2 * jnp.concatenate([TOKENS.points, TOKENS.points[:, :2]], axis=1))
    assert path.space == mf.Euclidean(5)


def test_absent_tokens_stand_still_through_layers():
    present = np.arange(8) % 3 > 0
    path = mf.layers(mf.Tokens(S2, TOKENS.points, present=present), FIELD, depth=6, step=0.1)
    assert (path.points[:, ~present] == TOKENS.points[~present]).all()
    without = mf.layers(mf.Tokens(S2, TOKENS.points[present]), FIELD, depth=6, step=0.1)
    np.testing.assert_allclose(path.points[:, present], without.points, rtol=0, atol=1e-14)


def test_layers_follow_a_schedule_by_depth():
    schedule = mf.Schedule([mf.SelfAttention(beta=1.0), FIELD], [0.0, 0.3])
    path = mf.layers(TOKENS, schedule, depth=6, step=0.1)
    first = mf.layers(TOKENS, mf.SelfAttention(beta=1.0), depth=3, step=0.1)
    then = mf.layers(first[-1], FIELD, depth=3, step=0.1)
    np.testing.assert_allclose(path.points[-1], then.points[-1], rtol=0, atol=1e-15)


@pytest.mark.parametrize("keep", ["all", "last", [0, 3], [200]])
def test_layers_that_blow_up_end_the_path_at_the_last_finite_state(keep):
    flat = mf.Tokens(mf.Euclidean(2), [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.5]])
    field = mf.SelfAttention(beta=1.0, value=100.0)
    largest = {"largest": lambda mu: jnp.abs(mu.points).max()}
    path = mf.layers(flat, field, depth=300, step=10.0, keep=keep, record=largest)
    assert path.status == "blow-up"
    assert 1 < len(path.times) < 300
    assert len(path.times) == len(path.recorded["largest"])
    assert np.isfinite(path.points).all()
    assert np.isfinite(path.recorded["largest"]).all()
    assert int(path.kept[-1]) == len(path.times) - 1
    assert float(jnp.abs(path.points[-1]).max()) == float(path.recorded["largest"][-1]) > 1e100
    in_turn = mf.layers(flat, [field] * 300, step=10.0, keep=keep, record=largest)
    assert in_turn.status == "blow-up"
    assert in_turn.kept.tolist() == path.kept.tolist()


def test_float32_stays_float32():
    tokens = TOKENS.replace(points=TOKENS.points.astype(np.float32), weights=TOKENS.weights.astype(np.float32))
    for path in (mf.layers(tokens, FIELD, depth=3, step=0.1), mf.layers(tokens, [FIELD] * 3, step=0.1)):
        assert path.points.dtype == np.float32
        np.testing.assert_allclose(path.points[-1], run().points[3], atol=1e-6)


WEIGHTS = jnp.sin(jnp.arange(24.0)).reshape(8, 3)


def in_one_field(points, beta, step, keep):
    tokens = TOKENS.replace(points=points)
    path = mf.layers(tokens, mf.SelfAttention(beta), depth=11, step=step, keep=keep, record=("energy",))
    return jnp.sum(path.points[-1] * WEIGHTS) + jnp.sum(path.recorded["energy"])


def in_turn(points, beta, step, _):
    blocks = [mf.SelfAttention(beta), mf.SelfAttention(beta, mask="causal")]
    return jnp.sum(mf.layers(TOKENS.replace(points=points), blocks, step=step).points[-1] * WEIGHTS)


@pytest.mark.parametrize(("loss", "keep"), [(in_one_field, "last"), (in_one_field, "all"), (in_turn, "all")])
def test_gradient_through_layers_is_a_difference_quotient(loss, keep):
    found = jax.jit(jax.value_and_grad(lambda *args: loss(*args, keep), argnums=(0, 1, 2)))
    start = (TOKENS.points, 2.0, 0.1)
    moves = (S2.tangent(TOKENS.points, jnp.cos(jnp.arange(24.0)).reshape(8, 3)), 1.0, 0.5)
    for k, slope in enumerate(found(*start)[1]):
        there, back = (
            float(found(*(a + h * b if i == k else a for i, (a, b) in enumerate(zip(start, moves, strict=True))))[0])
            for h in (1e-5, -1e-5)
        )
        assert float(jnp.sum(slope * moves[k])) == pytest.approx((there - back) / 2e-5, rel=1e-6)


def test_vmap_of_the_gradient_is_the_gradient_of_each():
    slope = jax.grad(lambda beta: in_one_field(TOKENS.points, beta, 0.1, "last"))
    betas = jnp.array([0.5, 2.0])
    np.testing.assert_allclose(jax.jit(jax.vmap(slope))(betas), [jax.jit(slope)(beta) for beta in betas], rtol=1e-12)


def test_gradient_through_many_layers_holds_the_pairs_of_one():
    n, depth = 256, 100
    tokens = mf.uniform(S2, n=n, seed=0)

    def loss(points):
        return jnp.sum(mf.layers(tokens.replace(points=points), FIELD, depth=depth, step=0.1, keep="last").points ** 2)

    # buffers are assigned before machine code is made, which nobody runs here: it need not be optimised
    compiled = jax.jit(jax.grad(loss)).lower(tokens.points).compile({"xla_backend_optimization_level": 0})
    memory = compiled.memory_analysis()
    if memory is None:
        pytest.skip("this device does not say how much memory a program takes")
    assert memory.temp_size_in_bytes < 8 * n * n * 20  # a few arrays of pairs, and not a hundred


def test_layers_jit_vmap_and_differentiate():
    def end(points, step):
        return mf.layers(TOKENS.replace(points=points), FIELD, depth=4, step=step).points[-1]

    plain = end(TOKENS.points, 0.1)
    np.testing.assert_allclose(jax.jit(end)(TOKENS.points, 0.1), plain, rtol=0, atol=1e-15)
    clouds = jnp.stack([mf.uniform(S2, n=8, seed=seed).points for seed in range(3)])
    batch = jax.vmap(end, in_axes=(0, None))(clouds, 0.1)
    for points, batched in zip(clouds, batch, strict=True):
        np.testing.assert_allclose(batched, end(points, 0.1), rtol=0, atol=1e-14)

    def loss(step):
        return jnp.sum(end(TOKENS.points, step)[0])

    slope = (loss(0.1 + 1e-6) - loss(0.1 - 1e-6)) / 2e-6
    assert float(jax.grad(loss)(0.1)) == pytest.approx(float(slope), rel=1e-7)

    @jax.jit
    def whole(points):
        return eqx.filter(mf.layers(TOKENS.replace(points=points), [FIELD] * 2, step=0.1), eqx.is_array)

    batched = jax.vmap(whole)(clouds)
    assert batched.points.shape == (3, 3, 8, 3)
    assert batched.code.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"depth": 3}, "one field needs depth= .* and step="),
        ({"step": 0.1}, "one field needs depth="),
        ({"depth": 0, "step": 0.1}, "depth is 0"),
        ({"depth": 2.5, "step": 0.1}, r"depth is 2\.5"),
        ({"depth": True, "step": 0.1}, "depth is True"),
        ({"depth": 3, "step": 0.0}, r"step is 0\.0"),
        ({"depth": 3, "step": float("nan")}, "step is nan"),
        ({"depth": 3, "step": "0.1"}, r"step is '0\.1'"),
        ({"depth": 3, "step": 0.1, "keep": "first"}, "keep is 'first'"),
        ({"depth": 3, "step": 0.1, "keep": [7]}, "outside the 4"),
        ({"depth": 3, "step": 0.1, "record": "enrgy"}, "did you mean 'energy'"),
        ({"depth": 3, "step": 0.1, "normalisation": mf.fields.Free()}, r"use mf\.Euclidean\(d\) or PostLN"),
        ({"depth": 3, "step": 0.1, "normalisation": "postln"}, "normalisation is 'postln'"),
        ({"field": [], "step": 0.1}, r"field is \[\]"),
        ({"field": [FIELD, 3]}, "non-empty list of sub-layers"),
        ({"field": None, "depth": 3, "step": 0.1}, "field is None"),
        ({"field": [FIELD] * 2, "depth": 3}, "depth is 3 and there are 2 sub-layers"),
        ({"tokens": TOKENS.points, "depth": 3, "step": 0.1}, r"tokens are ArrayImpl; give mf\.Tokens"),
        ({"field": mf.SelfAttention(beta=1.0, key=np.eye(4)), "depth": 3, "step": 0.1}, r"key .*\(4, 4\)"),
    ],
)
def test_layers_that_make_no_sense_are_refused(arguments, words):
    with pytest.raises(mf.BadInput, match=words):
        mf.layers(**{"tokens": TOKENS, "field": FIELD, **arguments})

"""The sub-layers of a trained network as fields: equations, masses, masks, precision, derivatives."""

from __future__ import annotations

from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import ClosedJaxpr, Jaxpr

import measureflow as mf
from measureflow.language import LayerNorm, load


@pytest.fixture(scope="module")
def model(golden):
    return load(golden / "tiny-bert")


@pytest.fixture(scope="module")
def tokens(model):
    return model.embed([5, 6, 7, 8, 9, 10])


@pytest.fixture(scope="module")
def wide(golden):
    """The same model in float64, for statements to the last digits."""
    return load(golden / "tiny-bert", dtype="float64")


@eqx.filter_jit
def moved(field, x, mu):
    return field.output(x, mu)


def output(field, x, mu):
    """Return a field's output at the queries, compiled."""
    return moved(field, x, mu.replace(labels=None))


def softmax(logits):
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def by_hand(field, x, y, masses):
    """Attention head by head, in plain NumPy."""
    out = np.asarray(field.join.bias)
    for head in range(field.query.weight.shape[0]):
        q, k, v = (
            z @ np.asarray(map_.weight[head]).T + np.asarray(map_.bias[head])
            for map_, z in ((field.query, x), (field.key, y), (field.value, y))
        )
        weights = softmax(q @ k.T / np.sqrt(q.shape[1]) + np.log(masses))
        out = out + weights @ v @ np.asarray(field.join.weight[:, head]).T
    z = x + out
    centred = z - z.mean(-1, keepdims=True)
    normed = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + field.norm.epsilon)
    return normed * np.asarray(field.norm.gain) + np.asarray(field.norm.bias) - x


def test_attention_is_its_equation_at_any_query(wide):
    mu = wide.embed([5, 6, 7, 8])
    masses = np.asarray([0.1, 0.2, 0.3, 0.4])
    x = np.random.default_rng(0).normal(size=(3, 24))
    out = output(wide.fields[0], jnp.asarray(x), mu.replace(weights=jnp.asarray(masses)))
    np.testing.assert_allclose(out, by_hand(wide.fields[0], x, np.asarray(mu.points), masses), atol=1e-12)


def test_a_token_of_double_mass_is_two_equal_tokens(wide):
    mu = wide.embed([5, 6, 7])
    double = mu.replace(weights=jnp.asarray([0.25, 0.5, 0.25]))
    twice = wide.embed([5, 6, 7, 7]).replace(points=mu.points[jnp.asarray([0, 1, 1, 2])])
    field = wide.fields[0]
    np.testing.assert_allclose(output(field, mu.points, double), output(field, mu.points, twice), atol=1e-13)


def test_a_token_of_no_mass_is_moved_but_does_not_pull(wide):
    mu = wide.embed([5, 6, 7, 8])
    without = mf.Tokens(mu.space, mu.points[:3])
    tracer = mu.replace(weights=jnp.asarray([1 / 3, 1 / 3, 1 / 3, 0.0]))
    field = wide.fields[0]
    np.testing.assert_allclose(output(field, mu.points, tracer), output(field, mu.points, without), atol=1e-13)
    assert np.abs(output(field, mu.points, tracer)[3]).max() > 0.1


def test_absent_tokens_change_nothing_whatever_they_hold(wide):
    mu = wide.embed([5, 6, 7, 8], present=[True, True, False, True])
    other = mu.replace(points=mu.points.at[2].set(1e3))
    here = np.asarray(mu.present)
    for field in wide.fields[:2]:
        a, b = output(field, mu.points, mu)[here], output(field, other.points, other)[here]
        np.testing.assert_array_equal(a, b)


def test_attention_weights_are_rows_of_masses(model, tokens):
    mu = tokens.replace(present=tokens.present.at[1].set(False), labels=None)
    weights = eqx.filter_jit(model.fields[0].weights)(mu.points, mu)
    assert weights.shape == (3, 6, 6)
    np.testing.assert_allclose(weights.sum(-1), 1.0, atol=1e-6)
    assert np.all(weights[:, :, 1] == 0)
    assert np.all(np.delete(weights, 1, axis=-1) > 0)


def test_sub_layers_commute_with_the_order_of_tokens(wide):
    mu = wide.embed([5, 6, 7, 8, 9])
    order = jnp.asarray([3, 0, 4, 1, 2])
    for field in wide.fields:
        shuffled = mu.replace(points=mu.points[order])
        np.testing.assert_allclose(
            output(field, mu.points, mu)[order], output(field, shuffled.points, shuffled), atol=1e-13
        )


def test_the_trained_norm_without_gain_maps_onto_a_sphere_of_radius_sqrt_d():
    norm = LayerNorm(jnp.ones(7), jnp.zeros(7), 1e-12)
    out = norm(jax.random.normal(jax.random.key(0), (5, 7)) * 3 + 2)
    np.testing.assert_allclose(jnp.linalg.norm(out, axis=-1), np.sqrt(7), rtol=1e-12)
    np.testing.assert_allclose(out.sum(-1), 0, atol=1e-12)


def test_velocity_equals_output_in_euclidean_space(model, tokens):
    field = model.fields[0]
    np.testing.assert_array_equal(field(tokens.points, tokens), field.output(tokens.points, tokens))


def test_sub_layers_are_half_a_layer_blind_to_positions_and_to_depth(model):
    assert [field.span for field in model.fields] == [0.5] * 6
    assert not any(field.positional for field in model.fields)
    assert all(field.autonomous for field in model.fields)


def test_many_queries_are_taken_in_blocks_without_a_difference(model, tokens, monkeypatch):
    x = jax.random.normal(jax.random.key(1), (50, 24), jnp.float32)
    whole = output(model.fields[0], x, tokens)
    monkeypatch.setattr("measureflow.sums.exact.BLOCK_ENTRIES", 6 * 8)
    in_blocks = jax.jit(lambda x: model.fields[0].output(x, tokens))
    assert "while" in str(jax.make_jaxpr(in_blocks)(x)) or "scan" in str(jax.make_jaxpr(in_blocks)(x))
    np.testing.assert_allclose(in_blocks(x), whole, atol=2e-6)


def test_sub_layers_jit_vmap_and_differentiate(model, tokens):
    for field in model.fields[:2]:
        one = lambda x, field=field: field.output(x[None], tokens)[0]  # noqa: E731  (bound in the loop)
        rows = jax.jit(jax.vmap(one))(tokens.points)
        np.testing.assert_allclose(rows, output(field, tokens.points, tokens), atol=2e-6)
        jacobian = jax.jit(jax.jacfwd(one))(tokens.points[0])
        assert jacobian.shape == (24, 24)
        assert np.isfinite(jacobian).all()
        assert np.linalg.matrix_rank(np.asarray(jacobian) + np.eye(24)) >= 22  # a norm loses a direction or two
        step = np.asarray(jax.random.normal(jax.random.key(2), (24,), jnp.float32))
        back = jax.jit(jax.grad(lambda x, one=one, step=step: one(x) @ step))(tokens.points[0])
        np.testing.assert_allclose(back, step @ np.asarray(jacobian), atol=2e-5)


def test_the_whole_network_differentiates_with_masked_and_massless_tokens(model):
    mu = model.embed([5, 6, 7, 8], present=[True, True, True, False])
    mu = mu.replace(weights=jnp.asarray([0.5, 0.5, 0.0, 0.0], jnp.float32))

    def size(points, weights):
        for field in model.fields:
            points = points + field.output(points, mu.replace(points=points, weights=weights))
        return (points[:3] ** 2).sum() + points[0, 0]

    gradients = jax.jit(jax.grad(size, argnums=(0, 1)))(mu.points, mu.weights)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert np.abs(gradients[0][:2]).max() > 0


def equations(jaxpr: Jaxpr) -> Iterator:
    for equation in jaxpr.eqns:
        yield equation
        for value in jax.tree.leaves(equation.params, is_leaf=lambda v: isinstance(v, (Jaxpr, ClosedJaxpr))):
            if isinstance(value, (Jaxpr, ClosedJaxpr)):
                yield from equations(value.jaxpr if isinstance(value, ClosedJaxpr) else value)


@pytest.mark.parametrize("name", ["tiny-bert", "tiny-bert-head", "tiny-albert-head", "tiny-albert-groups"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_programs_hold_no_float64_and_pass_strict_promotion(golden, name, dtype):
    model = load(golden / name, dtype=dtype)
    mu = model.embed([5, 6, 7], present=[True, True, False])
    ids = jnp.asarray([5, 6, 7], jnp.int32)
    programs = [lambda f=field: f.output(mu.points, mu) for field in model.fields]
    programs += [lambda f=field: f(mu.points, mu) for field in model.fields]
    programs += [lambda: model.attending("sinkhorn").fields[0].output(mu.points, mu)]
    programs += [lambda: model.embedding(ids, ids, ids * 0)]
    with jax.numpy_dtype_promotion("strict"):
        for program in programs:
            outer = jax.make_jaxpr(program)()
            found = {
                var.aval.dtype
                for equation in equations(outer.jaxpr)
                for var in (*equation.invars, *equation.outvars)
                if hasattr(var.aval, "dtype") and not getattr(var.aval, "weak_type", False)
            }
            assert jnp.float64 not in found
            assert jnp.dtype(dtype) in found
            assert outer.out_avals[0].dtype == jnp.dtype(dtype)


def test_float64_tokens_are_moved_in_float64_by_float32_weights(model, tokens):
    wide = tokens.replace(points=tokens.points.astype(float), weights=tokens.weights.astype(float))
    with jax.numpy_dtype_promotion("strict"):
        out = output(model.fields[0], wide.points, wide)
    assert out.dtype == jnp.float64
    np.testing.assert_allclose(out, output(model.fields[0], tokens.points, tokens), atol=2e-6)


def test_bare_attention_is_the_sum_of_its_heads_as_models_of_the_theorems(wide, tokens):
    """No residual and no norm: logits <y, Ax + c> and values Vy, head by head, up to the biases of the values."""
    field, x = wide.blocks[0].attention, np.asarray(tokens.points, float)
    mu = tokens.replace(points=jnp.asarray(x), weights=jnp.asarray(tokens.weights, float))
    found, offset = np.zeros_like(x), np.asarray(field.join.bias)
    for head, one in enumerate(field.forms):
        found += softmax((x @ one.form.T + one.shift) @ x.T) @ x @ one.value.T
        offset = offset + np.asarray(field.join.weight[:, head]) @ np.asarray(field.value.bias[head])
    np.testing.assert_allclose(output(field.bare, mu.points, mu), found + offset, rtol=0, atol=1e-12)
    normed = field.norm(jnp.asarray(x + found + offset)) - x
    np.testing.assert_allclose(output(field, mu.points, mu), normed, rtol=0, atol=1e-12)

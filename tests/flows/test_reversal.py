from __future__ import annotations

from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow.flows import memory_free_layers, reconstruct

RNG = np.random.default_rng(0)
TOKENS = mf.Tokens(mf.Euclidean(2), RNG.normal(size=(5, 2)), np.arange(1.0, 6.0) / 15)
FIELD = mf.SelfAttention(beta=0.7, value=np.array([[0.5, -1.0], [0.8, 0.3]]))
DEPTH = 16
METHODS = ("euler", "heun")


def smooth(depth: int) -> mf.Field:
    """Attention whose values turn with depth."""
    turns = np.sin(2 * np.pi * np.arange(depth + 1) / depth)
    fields = [mf.SelfAttention(0.7, value=np.array([[0.5, -t], [t, 0.3]])) for t in turns]
    return mf.fields.Interpolated(fields, (np.arange(depth + 1) / depth).tolist())


def loss(moving, depth, method, free):
    """A number at the end of layers, by the function that stores nothing and by the ordinary one."""
    points, weights, field = moving
    tokens = TOKENS.replace(points=points, weights=weights)
    if free:
        last = memory_free_layers(tokens, field, depth=depth, step=1.0 / depth, method=method).points
    else:
        last = mf.layers(tokens, field, depth=depth, step=1.0 / depth, method=method, keep="last").points[-1]
    return jnp.sum(jnp.sin(last) * jnp.cos(jnp.arange(10.0)).reshape(5, 2))


slopes = eqx.filter_jit(lambda moving, *options: eqx.filter_grad(loss)(moving, *options))
MOVING = (TOKENS.points, TOKENS.weights, FIELD)


def flat(tree) -> np.ndarray:
    leaves = jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array))
    return np.concatenate([np.ravel(leaf) for leaf in leaves])


@pytest.mark.parametrize("method", METHODS)
def test_memory_free_layers_are_layers(method):
    path = mf.layers(TOKENS, FIELD, depth=DEPTH, step=1 / DEPTH, method=method)
    last = memory_free_layers(TOKENS, FIELD, depth=DEPTH, step=1 / DEPTH, method=method)
    np.testing.assert_allclose(last.points, path.points[-1], rtol=0, atol=1e-14)


def test_heun_is_another_map_than_euler_and_nearer_to_the_flow():
    end = mf.layers(TOKENS, FIELD, depth=16 * DEPTH, step=1 / (16 * DEPTH), method="heun", keep="last").points[-1]
    off = [
        float(jnp.abs(memory_free_layers(TOKENS, FIELD, depth=DEPTH, step=1 / DEPTH, method=m).points - end).max())
        for m in METHODS
    ]
    assert off[0] > 20 * off[1] > 0


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("heun", 2)])
def test_gradient_without_stored_activations_converges_to_that_of_layers(method, order):
    errors = []
    for depth in (DEPTH, 4 * DEPTH):
        exact, found = (flat(slopes(MOVING, depth, method, free)) for free in (False, True))
        errors.append(np.abs(found - exact).max() / np.abs(exact).max())
    assert 0 < errors[1] < errors[0] < {1: 0.2, 2: 0.005}[order]
    assert np.log(errors[0] / errors[1]) / np.log(4.0) > order - 0.15


def test_mode_of_the_backward_pass_is_that_of_the_forward_pass():
    """The mode matters: Heun's gradient is Heun's, not Euler's (the test that compares a mode with itself is blind)."""
    exact = {method: flat(slopes(MOVING, DEPTH, method, False)) for method in METHODS}
    found = flat(slopes(MOVING, DEPTH, "heun", True))
    assert np.abs(found - exact["heun"]).max() < 0.1 * np.abs(exact["euler"] - exact["heun"]).max()


def test_every_layer_of_a_list_has_its_own_gradient():
    many, method = [mf.SelfAttention(0.7, value=k) for k in np.linspace(0.2, 1, 5)], "heun"

    def end(fields, free):
        if free:
            last = memory_free_layers(TOKENS, fields, depth=4, step=0.01, method=method).points
        else:
            one = mf.fields.Interpolated(fields, [0.0, 0.01, 0.02, 0.03, 0.04])
            last = mf.layers(TOKENS, one, depth=4, step=0.01, method=method, keep="last").points[-1]
        return jnp.sum(last**2)

    exact, found = (flat(eqx.filter_jit(eqx.filter_grad(end))(many, free)) for free in (False, True))
    assert np.count_nonzero(np.abs(exact) > 1e-6) >= 8
    np.testing.assert_allclose(found, exact, rtol=0.03, atol=1e-7)


def test_memory_of_the_gradient_does_not_grow_with_the_depth():
    def held(depth: int, free: bool) -> int:
        grad = jax.grad(lambda points: loss((points, TOKENS.weights, FIELD), depth, "heun", free))
        # buffers are assigned before machine code is made, which nobody runs here: it need not be optimised
        compiled = jax.jit(grad).lower(TOKENS.points).compile({"xla_backend_optimization_level": 0})
        analysis = compiled.memory_analysis()
        if analysis is None:
            pytest.skip("this device does not say how much memory a program takes")
        return analysis.temp_size_in_bytes

    few, many = held(DEPTH, True), held(64 * DEPTH, True)
    assert many <= few + 256
    assert held(64 * DEPTH, False) > 4 * many


def test_reconstruction_by_heun_has_an_order_more_than_the_method():
    method, order = "heun", 3.0  # Euler and rough weights are those of claim 2205.14612/T19
    errors = []
    for depth in (DEPTH, 4 * DEPTH):
        path = mf.layers(TOKENS, smooth(depth), depth=depth, step=1 / depth, method=method)
        back = reconstruct(path)
        np.testing.assert_array_equal(back.points[-1], path.points[-1])
        np.testing.assert_array_equal(back.times, path.times)
        errors.append(float(jnp.abs(back.points - path.points).max()))
    assert np.log(errors[0] / errors[1]) / np.log(4.0) == pytest.approx(order, abs=0.15)


def test_sub_layers_are_reconstructed_in_turn():
    fields = [mf.SelfAttention(0.7), mf.Perceptron(np.eye(2), 0.5 * np.eye(2), activation="tanh")] * 3
    path = mf.layers(TOKENS, fields, step=1e-3)
    assert float(jnp.abs(reconstruct(path).points - path.points).max()) < 1e-5
    assert float(jnp.abs(path.points[0] - path.points[-1]).max()) > 1e-3


def test_absent_tokens_are_where_they_were():
    tokens = mf.Tokens(mf.Euclidean(2), TOKENS.points, present=[True, True, False, True, True])
    path = mf.layers(tokens, FIELD, depth=DEPTH, step=1 / DEPTH, method="heun")
    for points in (path.points[-1], reconstruct(path).points[0]):
        np.testing.assert_array_equal(points[2], TOKENS.points[2])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: reconstruct(mf.layers(mf.uniform(mf.Sphere(3), 3, seed=0), mf.SelfAttention(1.0), depth=1, step=0.1)),
         "without a norm"),
        (lambda: reconstruct(mf.layers(TOKENS, FIELD, depth=DEPTH, step=1 / DEPTH, keep="last")), "keep='all'"),
        (lambda: reconstruct(cast(Any, TOKENS)), "a path of mf.layers"),
        (lambda: memory_free_layers(mf.uniform(mf.Sphere(3), 3, seed=0), FIELD, depth=2, step=0.1), "without a norm"),
        (lambda: memory_free_layers(TOKENS, FIELD, step=0.1), "needs depth="),
        (lambda: memory_free_layers(TOKENS, FIELD, depth=2, step=0.1, method="rk4"), "method is 'rk4'"),
        (lambda: memory_free_layers(TOKENS, [FIELD] * 2, depth=2, step=0.1, method="heun"), "3 fields; give one more"),
        (lambda: mf.layers(TOKENS, [FIELD] * 2, method="heun"), "needs one field"),
        (lambda: mf.layers(TOKENS, FIELD, depth=2, step=0.1, method="midpoint"), "one of 'euler', 'heun'"),
        (lambda: mf.layers(mf.uniform(mf.Sphere(2), 3, seed=0), FIELD, depth=2, step=0.1, method="heun"),
         "first order"),
    ],
)  # fmt: skip
def test_reversals_that_make_no_sense_are_refused(call, words):
    with pytest.raises(mf.BadInput, match=words):
        call()

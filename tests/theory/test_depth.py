from __future__ import annotations

import math

import numpy as np
import pytest

from measureflow import BadInput, theory

TURN = np.array([[math.cos(0.7), -math.sin(0.7)], [math.sin(0.7), math.cos(0.7)]])
TARGET = TURN @ np.diag([1.5, 0.8])


def test_bounds_of_a_linear_equation_hold_and_are_near():
    rate, depth = 0.3, 20
    path = (1 + rate / depth) ** np.arange(depth + 1)
    off = np.abs(path - np.exp(rate * np.arange(depth + 1) / depth)).max()
    bound = theory.error_of_euler_layers(lipschitz=rate, bend=rate**2 * math.exp(rate), step=1 / depth)
    assert 0.7 * bound < off < bound
    back = path[-1] * (1 - rate / depth) ** np.arange(depth, -1, -1)
    bound = theory.error_of_reconstruction(lipschitz=rate, speed=rate * math.exp(rate), step=1 / depth)
    assert 0.5 * bound < np.abs(back - path).max() < bound


def test_bounds_have_the_scale_of_depth():
    """Twice the depth at half the speed is the same equation."""
    first = theory.error_of_euler_layers(lipschitz=1.0, bend=4.0, step=0.1, until=1.0)
    assert theory.error_of_euler_layers(lipschitz=0.5, bend=1.0, step=0.2, until=2.0) == pytest.approx(first)
    assert theory.error_of_euler_layers(lipschitz=0.0, bend=1.0, step=0.1, until=2.0) == pytest.approx(0.1)
    assert theory.error_of_euler_layers(lipschitz=1e4, bend=1.0, step=0.1) == math.inf
    first = theory.error_of_rough_layers(lipschitz=1.0, speed=2.0, step=0.1, until=1.0)
    assert theory.error_of_rough_layers(lipschitz=0.5, speed=1.0, step=0.2, until=2.0) == pytest.approx(first)


def test_rough_layers_of_constant_fields_attain_their_bound():
    """The equation moves along trapezia below the weights, the layers along rectangles."""
    weights = np.random.default_rng(0).choice([-1.0, 1.0], 33)
    weights[0], weights[-1] = -1.0, 1.0
    off = np.cumsum(0.5 * (weights[1:] + weights[:-1]) - weights[:-1]) / 32
    assert np.abs(off).max() == pytest.approx(theory.error_of_rough_layers(lipschitz=0.0, speed=1.0, step=1 / 32))


def test_training_reaches_the_target_by_the_gradient_of_the_loss():
    net = theory.train_linear_net(TARGET, 6, rate=1.0, tolerance=1e-12, keep=[0, 1])
    product = np.eye(2)
    for weight in net.weights:
        product = (np.eye(2) + weight / 6) @ product
    np.testing.assert_allclose(product, TARGET, atol=2e-6)
    # the first step is that of weights 0, where every layer has the gradient 2 (I - B)/N
    np.testing.assert_allclose(
        net.history[1] - net.history[0], np.broadcast_to(2 * (TARGET - np.eye(2)) / 6, (6, 2, 2))
    )
    assert net.kept == (0, 1)


def test_gradient_of_the_third_layer_is_a_difference_quotient():
    start = theory.train_linear_net(TARGET, 4, rate=0.5, most=3, keep=[2, 3])
    before, after = start.history

    def loss(weights):
        product = np.eye(2)
        for weight in weights:
            product = (np.eye(2) + weight / 4) @ product
        return ((product - TARGET) ** 2).sum()

    for i in range(2):
        for j in range(2):
            move = np.zeros((4, 2, 2))
            move[2, i, j] = 1e-6
            slope = (loss(before + move) - loss(before - move)) / 2e-6
            assert (before - after)[2, i, j] == pytest.approx(0.5 * slope, rel=1e-6)


def test_invariants_are_zero_to_first_order_in_the_rate_and_other_weights_have_none():
    sizes = [
        np.abs(theory.conserved_matrices(theory.train_linear_net(TARGET, 12, rate=rate, tolerance=1e-6).weights)).max()
        for rate in (0.8, 0.2)
    ]
    assert sizes[1] < sizes[0] / 3 < 1e-3
    assert np.abs(theory.conserved_matrices(np.random.default_rng(0).normal(size=(12, 2, 2)))).max() > 0.05


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: theory.train_linear_net(np.ones((2, 3)), 4, rate=1.0), "give a square matrix"),
        (lambda: theory.train_linear_net(TARGET, 4, rate=0.0), "rate is 0.0"),
        (lambda: theory.train_linear_net(10 * TARGET, 4, rate=1e3), "exploded after"),
        (lambda: theory.train_linear_net(TARGET, 0, rate=1.0), "depth is 0"),
        (lambda: theory.error_of_euler_layers(lipschitz=-1.0, bend=1.0, step=0.1), "lipschitz is -1"),
        (lambda: theory.error_of_reconstruction(lipschitz=1.0, speed=1.0, step=0.1, until=0.0), "until is 0"),
    ],
)
def test_nets_that_make_no_sense_are_refused(call, words):
    with pytest.raises(BadInput, match=words):
        call()

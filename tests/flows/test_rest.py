"""Clouds followed to rest by a linearly implicit method: the same flow, its derivative, its order, and when it ends."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow.flows.rest import Force, come_to_rest, linearised

RNG = np.random.default_rng(0)
DRAW = RNG.normal(size=(3, 6, 3))
POINTS = DRAW / np.linalg.norm(DRAW, axis=2, keepdims=True)
FORM = np.array([[1.0, 0.4, 0.0], [0.4, -0.7, 0.2], [0.0, 0.2, 0.3]])
TURN = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
FORMS = np.stack([FORM, FORM + TURN, 2 * FORM])
VALUES = np.stack([FORM, -np.eye(3), -2 * FORM])


@pytest.mark.parametrize("softmax", [True, False])
def test_velocities_and_their_derivative_are_those_of_the_field(softmax):
    masses = RNG.dirichlet(np.full(6, 3.0))
    D, V = RNG.normal(size=(2, 3, 3))
    tokens = mf.Tokens(mf.Sphere(3), POINTS[0], masses)
    field = mf.SelfAttention(1.0, query=D.T, value=V, weighting="softmax" if softmax else "unnormalised")
    frame = mf.Sphere(3).frame(tokens.points)
    v, jacobian = linearised(tokens.points, Force(tokens.weights, jnp.asarray(D), jnp.asarray(V)), frame, softmax)
    assert np.abs(v - field(tokens.points, tokens)).max() < 1e-14
    assert np.abs(jacobian - mf.observe.jacobian(tokens, field=field)).max() < 1e-13


def test_it_follows_the_flow_and_its_tolerance():
    field = mf.SelfAttention(1.0, query=FORMS[1].T, value=VALUES[1])
    path = mf.flow(mf.Tokens(mf.Sphere(3), POINTS[1]), field, until=3.0, save=2, solver=mf.Adaptive(1e-11, 1e-12))
    errors, steps = [], []
    for rtol in (1e-4, 1e-7):
        rest = come_to_rest(POINTS, FORMS, VALUES, tol=1e-300, until=3.0, rtol=rtol)
        errors.append(np.abs(rest.points[1] - path.points[-1]).max())
        steps.append(rest.steps[1])
        assert not rest.rested.any()
        assert (rest.times == 3.0).all()
    assert errors[0] < 1e-2
    assert errors[1] < 3e-6
    # the error of a step is of order 4 in its length: a thousandth of it costs 5.6 times the steps
    assert 3.0 < steps[1] / steps[0] < 8.0


def test_it_stops_where_no_token_is_faster_than_the_tolerance():
    rest = come_to_rest(POINTS[[0, 2, 0]], FORMS[[0, 2, 0]], VALUES[[0, 2, 0]], tol=1e-9)
    assert rest.rested.all()
    assert (rest.speeds <= 1e-9).all()
    assert (rest.times < 1e3).all()
    assert np.abs(np.linalg.norm(rest.points, axis=2) - 1).max() < 1e-14
    assert np.array_equal(rest.points[0], rest.points[2])  # a cloud does not see what is moved beside it


def test_long_steps_do_not_rest_at_a_saddle():
    # a pair with one token 1e-7 aside: unstable, since the other eigenvalue is above tanh(1)
    x = np.zeros((3, 6, 3))
    x[:, :, 0] = np.where(np.arange(6) < 3, 1.0, -1.0)
    x[:, :, 1] = 1e-7
    D = np.broadcast_to(np.diag([1.0, 0.9, -1.0]), (3, 3, 3))
    rest = come_to_rest(x / np.linalg.norm(x, axis=2, keepdims=True), D, D, tol=1e-9)
    assert rest.rested.all()
    assert (np.linalg.norm(rest.points.mean(axis=1), axis=1) > 0.999).all()


def test_bad_input_is_refused():
    with pytest.raises(mf.BadInput, match="need forms and values"):
        come_to_rest(POINTS, FORM, FORM)

"""The share of a velocity that is a gradient: all of it for gradient flows, known on the circle, less in general."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow.observables import gradient_part

FORM = np.array([[1.0, 0.2, 0.0], [0.2, 0.5, 0.1], [0.0, 0.1, -1.0]])
TURN = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.3]])


def tokens(n: int = 60, d: int = 3) -> mf.Tokens:
    points = np.random.default_rng(5).normal(size=(n, d))
    return mf.Tokens(mf.Sphere(d), points / np.linalg.norm(points, axis=1, keepdims=True))


@pytest.mark.parametrize(("weighting", "sign"), [("softmax", 1.0), ("softmax", -1.0), ("unnormalised", -1.0)])
def test_gradient_flows_are_gradients_in_their_own_metric(weighting, sign):
    field = mf.SelfAttention(1.0, query=FORM, value=sign * FORM, weighting=weighting)
    left = [1.0 - float(gradient_part(tokens(), field=field, degree=k)) for k in (2, 4)]
    assert left[0] < 0.02
    assert left[1] < left[0] / 100  # the tail of the exponential
    assert left[1] < 1e-5


def test_other_fields_are_not_and_the_softmax_is_none_in_the_plain_metric():
    for field in (mf.SelfAttention(1.0, query=FORM, value=TURN), mf.SelfAttention(1.0, query=TURN, value=FORM)):
        assert float(gradient_part(tokens(), field=field, degree=4)) < 0.9


def test_on_the_circle_the_remainder_is_the_flux_of_a_rotation():
    # r with div(mu r / Z) = 0 is a constant over f/Z, and the constant is that which no derivative has
    density = mf.Density.von_mises_fisher(mf.Sphere(2), kappa=0.7, size=64)
    field = mf.SelfAttention(1.0, value=[[0.3, -1.0], [1.0, 0.3]])
    x, f = np.asarray(density.atoms()[0]), np.asarray(density.values)
    mobility = np.exp(x @ x.T) @ f / 64
    pushed = mobility[:, None] * np.asarray(field(density.atoms()[0], density))
    wanted = pushed[:, 1] * x[:, 0] - pushed[:, 0] * x[:, 1]
    rest = wanted.mean() ** 2 / (mobility / f).mean()
    exact = 1.0 - rest / (wanted**2 * f / mobility).mean()
    assert float(gradient_part(density, field=field, degree=24)) == pytest.approx(exact, abs=1e-8)


def test_share_is_taken_state_by_state_turns_with_the_tokens_and_is_one_at_rest():
    field = mf.SelfAttention(1.0, query=FORM, value=TURN)
    states = [np.asarray(tokens().points), -np.asarray(tokens().points)]
    leaves = {name: np.stack([np.asarray(getattr(tokens(), name))] * 2) for name in tokens().axes}
    along = gradient_part(
        tokens().replace(**{**leaves, "points": jnp.asarray(np.stack(states))}), field=field, degree=2
    )
    assert along.shape == (2,)
    assert float(along[1]) == pytest.approx(float(along[0]), rel=1e-10)  # the velocity is odd
    assert float(along[0]) == pytest.approx(float(gradient_part(tokens(), field=field, degree=2)), rel=1e-10)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turned = tokens().replace(points=tokens().points @ turn)
    same = mf.SelfAttention(1.0, query=turn.T @ FORM @ turn, value=turn.T @ TURN @ turn)
    assert float(gradient_part(turned, field=same, degree=2)) == pytest.approx(float(along[0]), rel=1e-9)
    met = mf.Tokens(mf.Sphere(3), np.tile([0.0, 0.0, 1.0], (60, 1)))
    assert float(gradient_part(met, field=mf.SelfAttention(1.0), degree=2)) == 1.0


def test_bad_input_is_refused():
    for field, arguments, message in (
        (mf.SelfAttention(1.0), {"degree": 30}, "everything would be a gradient"),
        (mf.SelfAttention(1.0), {"degree": 0}, "degree is 0"),
        (mf.SelfAttention(1.0, mask="causal"), {}, "without a mask"),
    ):
        with pytest.raises(mf.BadInput, match=message):
            gradient_part(tokens(), field=field, **arguments)

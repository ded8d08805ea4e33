from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf


class Drift(mf.Field):
    """Every token is pulled to the mean, the farther the more."""

    strength: float

    def output(self, x, mu, positions=None):
        return self.strength * (mu.weights @ mu.points - x)


def test_one_method_makes_a_field(tokens, queries, output, velocity):
    mean = np.asarray(tokens.weights @ tokens.points)
    np.testing.assert_allclose(output(Drift(2.0), queries, tokens), 2.0 * (mean - queries), atol=1e-15)
    tangent = mean - (queries @ mean)[:, None] * queries
    np.testing.assert_allclose(velocity(Drift(2.0), queries, tokens), 2.0 * tangent, atol=1e-14)


def test_a_field_of_ones_own_starts_from_what_is_safe():
    field = Drift(1.0)
    assert field.autonomous
    assert field.at(3.0) is field
    assert not field.positional
    assert not field.isotropic
    assert (field.energy_sign, field.breaks, field.span) == (0, (), 1.0)


def test_a_field_of_ones_own_combines_with_the_others(tokens, velocity):
    whole = mf.MultiHead([Drift(1.0), mf.SelfAttention(2.0)]) + mf.Perceptron(np.eye(4), np.eye(4))
    parts = [Drift(1.0), mf.SelfAttention(2.0), mf.Perceptron(np.eye(4), np.eye(4))]
    expected = sum(velocity(part, tokens.points, tokens) for part in parts)
    np.testing.assert_allclose(velocity(whole, tokens.points, tokens), expected, atol=1e-15)
    scheduled = mf.Schedule([Drift(1.0), Drift(5.0)], times=[0.0, 1.0])
    np.testing.assert_allclose(
        velocity(scheduled.at(2.0), tokens.points, tokens),
        5.0 * velocity(Drift(1.0), tokens.points, tokens),
        rtol=1e-14,
    )


def test_a_field_that_changes_with_depth_is_not_autonomous(tokens, velocity):
    class Fading(mf.Field):
        """Attention that fades."""

        strength: float = 1.0

        def at(self, t):
            return Fading(jnp.exp(-t))

        def output(self, x, mu, positions=None):
            return self.strength * (mu.weights @ mu.points)

    assert not Fading().autonomous
    assert not (mf.SelfAttention(1.0) + Fading()).autonomous
    both = mf.SelfAttention(1.0) + Fading()
    expected = velocity(mf.SelfAttention(1.0), tokens.points, tokens) + np.exp(-3.0) * velocity(
        mf.SelfAttention(0.0), tokens.points, tokens
    )
    np.testing.assert_allclose(velocity(both.at(3.0), tokens.points, tokens), expected, atol=1e-15)


def test_a_field_of_ones_own_has_no_energy_until_it_gives_one(tokens):
    with pytest.raises(mf.BadInput, match=r"Drift has no proved energy .*observe\.energy\(path, beta=\.\.\.\)"):
        Drift(1.0).energy(tokens)


def test_a_field_without_output_is_no_field():
    class Empty(mf.Field):
        """Nothing."""

    with pytest.raises(TypeError, match="abstract"):
        Empty()


def test_a_field_of_ones_own_jits_maps_and_differentiates(tokens):
    def pulled(strength):
        return jnp.sum(Drift(strength)(tokens.points, tokens) ** 2)

    assert float(eqx.filter_jit(jax.grad(pulled))(2.0)) == pytest.approx(4.0 * float(pulled(1.0)), rel=1e-13)
    np.testing.assert_allclose(jax.vmap(pulled)(jnp.array([1.0, 3.0])), float(pulled(1.0)) * np.array([1.0, 9.0]))

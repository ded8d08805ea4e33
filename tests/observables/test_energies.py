from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow import observables as observe


@pytest.fixture
def tokens() -> mf.Tokens:
    weights = np.arange(1.0, 13.0)
    return mf.Tokens(mf.Sphere(4), mf.uniform(mf.Sphere(4), 12, seed=3).points, weights / weights.sum())


def test_energy_is_the_double_sum(tokens):
    gram, a = np.asarray(tokens.points @ tokens.points.T), np.asarray(tokens.weights)
    for beta in (0.0, 1e-12, 3.0):
        expected = a @ np.exp(beta * (gram - 1.0)) @ a
        assert float(observe.energy(tokens, beta)) == pytest.approx(expected, rel=1e-13)
        assert float(observe.participation(tokens, beta)) == pytest.approx(1 / expected, rel=1e-13)


@pytest.mark.parametrize("beta", [700.0, 1e4, 1e6])
def test_energy_of_tight_clusters_is_the_sum_of_squared_masses(beta):
    axes = jnp.eye(3)[jnp.array([0, 0, 1, 2])]
    tokens = mf.Tokens(mf.Sphere(3), axes, [0.1, 0.2, 0.3, 0.4])
    assert float(observe.energy(tokens, beta)) == pytest.approx(0.09 + 0.09 + 0.16, abs=1e-15)


def test_raw_energy_is_the_papers(tokens):
    gram, a = np.asarray(tokens.points @ tokens.points.T), np.asarray(tokens.weights)
    assert float(observe.raw_energy(tokens, 2.5)) == pytest.approx(a @ np.exp(2.5 * gram) @ a / 5.0, rel=1e-13)


def test_raw_energy_refuses_what_is_undefined_or_overflows(tokens):
    with pytest.raises(mf.BadInput, match="beta is 0"):
        observe.raw_energy(tokens, 0.0)
    with pytest.raises(mf.BadInput, match="overflows above 700"):
        observe.raw_energy(tokens, 701.0)
    with pytest.raises(mf.BadInput, match="unit vectors"):
        observe.raw_energy(mf.gaussian(mf.Euclidean(3), 4), 1.0)


def test_energy_depends_on_beta(tokens):
    # a peer's energy tracker knew no beta: here it is the field's, or named
    assert float(observe.energy(tokens, 1.0)) > 1.2 * float(observe.energy(tokens, 4.0))
    for beta in (1.0, 4.0):
        own = observe.energy(tokens, field=mf.SelfAttention(beta))
        assert float(own) == pytest.approx(float(observe.energy(tokens, beta)), rel=1e-14)
    with pytest.raises(mf.BadInput, match=r"one of beta= .* and field="):
        observe.energy(tokens)
    with pytest.raises(mf.BadInput, match=r"one of beta= .* and field="):
        observe.energy(tokens, 1.0, field=mf.SelfAttention(1.0))


@pytest.mark.parametrize("beta", [-1.0, np.nan, np.inf, "warm"])
def test_energy_refuses_what_is_no_inverse_temperature(tokens, beta):
    with pytest.raises(mf.BadInput, match="beta is"):
        observe.energy(tokens, beta)


def test_field_without_an_energy_says_so(tokens):
    with pytest.raises(mf.BadInput, match="no proved energy"):
        observe.energy(tokens, field=mf.SelfAttention(1.0, mask="causal"))
    with pytest.raises(mf.BadInput, match="no proved energy"):
        observe.dissipation(tokens, field=mf.SelfAttention(1.0, value=2.0))


def test_energy_does_not_change_under_permutations_and_rotations(tokens):
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    order = np.random.default_rng(1).permutation(12)
    moved = mf.Tokens(tokens.space, (tokens.points @ rotation.T)[order], tokens.weights[order])
    assert float(observe.energy(moved, 5.0)) == pytest.approx(float(observe.energy(tokens, 5.0)), rel=1e-13)


def test_absent_tokens_do_not_count(tokens):
    alone = mf.Tokens(tokens.space, tokens.points[:7])
    padded = mf.Tokens(tokens.space, tokens.points, present=np.arange(12) < 7)
    field = mf.SelfAttention(3.0)
    assert float(observe.energy(padded, 3.0)) == pytest.approx(float(observe.energy(alone, 3.0)), rel=1e-14)
    here, there = (float(observe.dissipation(mu, field=field)) for mu in (alone, padded))
    assert here == pytest.approx(there, rel=1e-13)


@pytest.mark.parametrize("value", [1.0, -1.0])
@pytest.mark.parametrize("kind", ["softmax", "unnormalised", "shifted", "form"])
def test_dissipation_is_the_rate_of_the_energy(tokens, kind, value):
    if kind == "form":
        root = np.random.default_rng(5).normal(size=(4, 4)) / 2
        form = root.T @ root
        field = mf.SelfAttention(1.5, query=root, key=root, value=value * form)
    else:
        weighting = mf.fields.Unnormalised(shifted=True) if kind == "shifted" else kind
        field = mf.SelfAttention(1.5, value=value, query=value, weighting=weighting)
        if value < 0:  # V = -B with B = identity
            field = mf.SelfAttention(1.5, value=-1.0, weighting=weighting)
    velocity = field(tokens.points, tokens)

    def along(step):
        return observe.energy(tokens.replace(points=tokens.points + step * velocity), field=field)

    rate = jax.jvp(along, (0.0,), (1.0,))[1]
    if kind != "form":  # the difference form equals the inner product to first order on the sphere only
        moved = jax.jvp(lambda s: tokens.space.retract(tokens.points, s * velocity), (0.0,), (1.0,))[1]
        np.testing.assert_allclose(moved, velocity, atol=1e-14)
    found = observe.dissipation(tokens, field=field)
    assert float(found) == pytest.approx(float(rate), rel=1e-11)
    assert np.sign(float(found)) == value
    raw = observe.raw_dissipation(tokens, field=field)
    assert float(raw) == pytest.approx(np.exp(1.5) / 3.0 * float(found), rel=1e-13)


def test_dissipation_of_a_field_of_ones_own_is_the_rate_of_its_energy(tokens):
    class Uphill(mf.Field):
        def output(self, x, mu, positions=None):
            return jnp.broadcast_to(jnp.eye(4)[0], x.shape)

        def energy(self, mu):
            return mu.weights @ mu.points[:, 0]

    expected = jnp.sum(tokens.weights * (1.0 - tokens.points[:, 0] ** 2))
    assert float(observe.dissipation(tokens, field=Uphill())) == pytest.approx(float(expected), rel=1e-13)


def test_dissipation_refuses_flat_space_and_no_field(tokens):
    with pytest.raises(mf.BadInput, match="holds on a sphere"):
        observe.dissipation(mf.gaussian(mf.Euclidean(3), 4), field=mf.SelfAttention(1.0))
    with pytest.raises(mf.BadInput, match="give field="):
        observe.dissipation(tokens)


def test_energy_keeps_the_digits_of_a_tiny_spread():
    # near consensus 1 - E = beta/2 sum a_i a_j |x_i - x_j|^2, which inner products would lose
    tokens = mf.Tokens(mf.Sphere(2), [[1.0, 0.0], [1.0, 1e-9]])
    speed = observe.dissipation(tokens, field=mf.SelfAttention(4.0))
    assert float(speed) == pytest.approx(2 * 4.0 * (0.5e-9) ** 2, rel=1e-8)


def test_energy_has_gradients_everywhere_and_maps(tokens):
    gradient = jax.grad(lambda points: observe.energy(tokens.replace(points=points), 4.0))
    assert np.isfinite(gradient(jnp.ones((12, 4)) / 2)).all()
    batch = jnp.stack([tokens.points, tokens.points[::-1]])
    values = jax.vmap(lambda points: observe.energy(tokens.replace(points=points), 4.0))(batch)
    assert float(values[0]) == pytest.approx(float(observe.energy(tokens, 4.0)), rel=1e-14)


def test_three_betas_share_one_program(tokens, compilations):
    observe.energy(tokens, 1.0)
    before = len(compilations)
    observe.energy(tokens, 2.0)
    observe.energy(tokens, 3.0)
    assert len(compilations) == before


def test_blocks_do_not_change_the_energy(monkeypatch):
    tokens = mf.uniform(mf.Sphere(3), 101, seed=1)
    whole = float(observe.energy(tokens, 9.0))
    monkeypatch.setattr("measureflow.sums.exact.BLOCK_ENTRIES", 101 * 7)
    blocks = float(observe.energy(eqx.tree_at(lambda t: t.points, tokens, tokens.points[:, ::-1]), 9.0))
    assert blocks == pytest.approx(whole, rel=1e-13)

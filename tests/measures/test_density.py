from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import i0, i1

import measureflow as mf
from measureflow import observe
from pair_sums import true

S1, S2 = mf.Sphere(2), mf.Sphere(3)
ANGLES = 2 * np.pi * np.arange(64) / 64


def lopsided(x):
    return jnp.exp(0.7 * x[:, 0] + x[:, 1] * x[:, -1])


WHOLE = mf.Density.of(S2, lopsided, size=16)
ROUND = mf.Density.von_mises_fisher(S2, kappa=3.0, centre=[0.0, 0.6, 0.8], size=32)
FLAT = mf.Density.of(S1, lopsided, size=64)
each = pytest.mark.parametrize("density", [FLAT, ROUND, WHOLE], ids=["circle", "meridian", "sphere"])


def mean(density: mf.Density) -> np.ndarray:
    points, weights = density.atoms()
    return np.asarray(weights @ points)


def test_uniform_is_one_everywhere():
    for density in (mf.Density.uniform(S1), mf.Density.uniform(S2)):
        np.testing.assert_array_equal(density.values, 1.0)
        assert density.mass == pytest.approx(1.0, abs=1e-14)


@each
def test_atoms_are_a_quadrature_of_the_density(density):
    points, weights = density.atoms()
    assert float(density.space.defect(points)) < 1e-14
    assert float(weights.sum()) == pytest.approx(1.0, abs=1e-13)
    assert density.smallest > 0
    assert float(density.tail) < 1e-6


def test_von_mises_fisher_has_its_mean_on_both_spaces():
    langevin = 1 / np.tanh(3.0) - 1 / 3.0
    np.testing.assert_allclose(mean(ROUND), langevin * np.array([0.0, 0.6, 0.8]), atol=1e-12)
    circle = mf.Density.von_mises_fisher(S1, kappa=3.0, centre=[0.0, -1.0])
    np.testing.assert_allclose(mean(circle), [0.0, -i1(3.0) / i0(3.0)], atol=1e-13)
    np.testing.assert_allclose(np.asarray(circle.moments(1)), [1.0, i1(3.0) / i0(3.0)], atol=1e-13)


def test_one_mode_on_top_of_uniform():
    circle = mf.Density.uniform(S1, mode=3, amplitude=0.2, size=64)
    np.testing.assert_allclose(circle.values, 1 + 0.2 * np.cos(3 * ANGLES), atol=1e-14)
    zonal = mf.Density.uniform(S2, mode=2, amplitude=0.2, size=16)
    z = zonal.grid.heights
    np.testing.assert_allclose(zonal.values, 1 + 0.1 * (3 * z**2 - 1), atol=1e-13)
    whole = mf.Density.uniform(S2, mode=(3, 2), amplitude=0.2, size=16)
    assert float(whole.values.max()) == pytest.approx(1.2)
    for density, mode in ((circle, 40), (zonal, (2, 1)), (zonal, 16)):
        with pytest.raises(mf.BadInput, match=r"Density\.uniform: mode is"):
            mf.Density.uniform(density.space, mode=mode if not isinstance(mode, tuple) else (1, 2), size=16)


@each
def test_draws_have_the_moments_of_the_density(density):
    n = 20_000
    tokens = density.sample(n, seed=3)
    points, weights = density.atoms()
    second = np.asarray((weights[:, None] * points).T @ points)
    drawn = np.asarray(tokens.points)
    assert np.abs(drawn.mean(0) - mean(density)).max() < 5 / np.sqrt(n)
    assert np.abs(drawn.T @ drawn / n - second).max() < 5 / np.sqrt(n)
    np.testing.assert_array_equal(density.sample(50, seed=3).points, density.sample(50, seed=3).points)


def test_quantiles_integrate_like_the_density():
    points, weights = FLAT.atoms()
    exact = np.asarray((weights[:, None] * points).T @ points)
    drawn = np.asarray(FLAT.quantiles(4000).points)
    np.testing.assert_allclose(drawn.T @ drawn / 4000, exact, atol=1e-10)
    with pytest.raises(mf.BadInput, match="quantiles are those of an angle"):
        ROUND.quantiles(10)


@each
def test_resampling_keeps_the_function(density):
    finer = density.resampled(2 * density.grid.shape[0])
    np.testing.assert_allclose(finer.resampled(density.grid.shape[0]).values, density.values, atol=1e-7)
    np.testing.assert_allclose(mean(finer), mean(density), atol=1e-12)


def test_mixture_weighs_its_parts():
    parts = [mf.Density.von_mises_fisher(S1, kappa=2.0, size=64), mf.Density.uniform(S1, size=64)]
    mixed = mf.Density.mixture(parts, [0.25, 0.75])
    np.testing.assert_allclose(mixed.values, 0.25 * parts[0].values + 0.75 * parts[1].values, atol=1e-15)
    with pytest.raises(mf.BadInput, match="several grids or axes"):
        mf.Density.mixture([parts[0], mf.Density.uniform(S1)])
    with pytest.raises(mf.BadInput, match="weights are"):
        mf.Density.mixture(parts, [0.5, 0.6])


@pytest.mark.parametrize("weighting", ["softmax", "unnormalised"])
@each
def test_fields_meet_a_density_at_enough_atoms(density, weighting):
    field = mf.SelfAttention(beta=12.0, query=-0.5, weighting=weighting)
    x = np.asarray(mf.uniform(density.space, n=7, seed=1).points)
    points, weights = density.resampled(6 * density.grid.shape[0]).atoms()
    pulled = true(field, x, mf.Tokens(density.space, points, weights)).astype(float)
    exact = pulled - np.sum(x * pulled, axis=1, keepdims=True) * x
    np.testing.assert_allclose(field(x, density), exact, atol=1e-11 * np.abs(exact).max())


@each
def test_observables_are_integrals_over_the_density(density):
    field = mf.SelfAttention(beta=2.0)
    points, weights = density.atoms()
    tokens = mf.Tokens(density.space, points, weights)
    assert float(observe.energy(density, beta=2.0)) == pytest.approx(float(observe.energy(tokens, beta=2.0)), rel=1e-9)
    assert float(field.energy(density)) == pytest.approx(float(field.energy(tokens)), rel=1e-9)
    assert float(observe.order_parameter(density)) == pytest.approx(float(np.linalg.norm(mean(density))), rel=1e-9)
    assert float(observe.dissipation(density, field=field)) > 0
    for of_pairs in (observe.clusters, observe.cosine, observe.effective_rank):
        with pytest.raises(mf.BadInput, match="one of Tokens, and this is a Density; draw tokens from it"):
            of_pairs(density)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: mf.Density(mf.Sphere(4), np.ones(8)), "space is Sphere"),
        (lambda: mf.Density(mf.Euclidean(2), np.ones(8)), "space is Euclidean"),
        (lambda: mf.Density(S1, np.ones((8, 8))), r"values have shape \(8, 8\)"),
        (lambda: mf.Density(S1, np.ones(3)), "at least 4"),
        (lambda: mf.Density(S1, 2 * np.ones(8)), "the mass is 2"),
        (lambda: mf.Density(S1, [1.0, 2.0, -1.0, 2.0]), "a value is -1"),
        (lambda: mf.Density(S1, [1.0, np.nan, 1.0, 1.0]), "a value is nan"),
        (lambda: mf.Density(S1, ["a"] * 8), "values are"),
        (lambda: mf.Density(S1, np.ones(8), axis=[0, 0]), "axis is"),
        (lambda: mf.Density.uniform(S1, size=2.5), "size is 2.5"),
        (lambda: mf.Density.of(S1, lambda x: -jnp.ones(len(x))), "has integral -1"),
        (lambda: mf.Density.of(S1, lambda x: jnp.ones(3)), "does not take"),
        (lambda: mf.Density.von_mises_fisher(S1, kappa=-1.0), "kappa is -1"),
        (lambda: FLAT.sample(0), "n is 0"),
        (lambda: mf.SelfAttention(1.0, mask="causal")(FLAT.atoms()[0], FLAT), "positions in a text"),
    ],
)
def test_what_is_no_density_is_refused_in_one_line(make, said):
    with pytest.raises(mf.BadInput, match=said) as error:
        make()
    assert "\n" not in str(error.value)

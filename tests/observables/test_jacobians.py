from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow.observables import jacobian, jacobian_product

S2 = mf.Sphere(3)
TOKENS = mf.Tokens(S2, mf.uniform(S2, n=5, seed=0).points, np.arange(1.0, 6.0) / 15)
FORM = np.random.default_rng(0).normal(size=(3, 3))


def polygon(k: int) -> mf.Tokens:
    angles = 2 * np.pi * np.arange(k) / k
    return mf.Tokens(mf.Sphere(2), np.stack([np.cos(angles), np.sin(angles)], axis=1))


@eqx.filter_jit
def slopes(mu: mf.Tokens, field: mf.Field, step: float) -> jnp.ndarray:
    """Velocities differentiated along the frame: geodesics, and fourth-order central differences."""
    frame = mu.space.frame(mu.points)
    n, _, k = frame.shape

    def column(unit):
        along = jnp.einsum("ndk,nk->nd", frame, unit.reshape(n, k))

        def at(h):
            points = mu.space.exp(mu.points, h * along)
            return field(points, mu.replace(points=points))

        slope = (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)
        return jnp.einsum("ndk,nd->nk", frame, slope).ravel()

    return jax.lax.map(column, jnp.eye(n * k)).T


def by_differences(mu: mf.Tokens, field: mf.Field) -> np.ndarray:
    """The same matrix from velocities alone."""
    return np.asarray(slopes(mu, field, 1e-4))


@pytest.mark.parametrize(
    "field",
    [
        mf.SelfAttention(beta=3.0),
        mf.SelfAttention(beta=2.0, weighting="unnormalised", query=FORM, value=FORM.T, mask="causal"),
        mf.SelfAttention(beta=2.0) + mf.SelfAttention(beta=1.0, value=-0.5),
    ],
)
def test_jacobian_is_the_difference_quotient_of_the_velocities(field):
    exact = by_differences(TOKENS, field)
    assert np.abs(exact).max() > 0.1
    np.testing.assert_allclose(jacobian(TOKENS, field=field), exact, rtol=0, atol=1e-9)


def test_jacobian_in_flat_space_has_a_row_for_each_coordinate():
    flat = mf.Tokens(mf.Euclidean(2), np.random.default_rng(1).normal(size=(3, 2)))
    field = mf.SelfAttention(beta=1.5, value=FORM[:2, :2])
    np.testing.assert_allclose(jacobian(flat, field=field), by_differences(flat, field), rtol=0, atol=1e-9)


@pytest.mark.parametrize("model", ["softmax", "unnormalised"])
@pytest.mark.parametrize(("k", "beta"), [(3, 9.0), (4, 9.0)])
def test_eigenvalues_of_equal_clusters_are_those_of_theory(k, beta, model):
    found = np.linalg.eigvals(jacobian(polygon(k), field=mf.SelfAttention(beta=beta, weighting=model)))
    stated = np.append(mf.theory.eigenvalues_of_equal_clusters(k, beta=beta, model=model), 0.0)  # and rigid rotation
    np.testing.assert_allclose(np.sort(found.real), np.sort(stated), rtol=1e-12, atol=1e-14)
    assert np.abs(found.imag).max() < 1e-8


def test_products_are_those_of_the_matrix_and_of_its_transpose():
    field = mf.SelfAttention(beta=3.0, query=FORM)
    matrix, frame = jacobian(TOKENS, field=field), S2.frame(TOKENS.points)
    vectors = jnp.asarray(np.random.default_rng(2).normal(size=(5, 3)))  # what of them is not tangent counts not
    inner = jnp.einsum("ndk,nd->nk", frame, vectors).ravel()
    for transpose, expected in ((False, matrix @ inner), (True, matrix.T @ inner)):
        pushed = jacobian_product(TOKENS, vectors, field=field, transpose=transpose)
        np.testing.assert_allclose(jnp.einsum("ndk,nd->nk", frame, pushed).ravel(), expected, rtol=0, atol=1e-14)
        assert float(jnp.abs(jnp.sum(pushed * TOKENS.points, axis=1)).max()) < 1e-14


def test_absent_tokens_have_zero_rows_and_columns():
    present = np.array([True, False, True, True, True])
    some = mf.Tokens(S2, TOKENS.points, present=present)
    here = np.repeat(present, 2)
    matrix = np.asarray(jacobian(some, field=mf.SelfAttention(beta=3.0)))
    assert (matrix[~here] == 0).all()
    assert (matrix[:, ~here] == 0).all()
    alone = jacobian(mf.Tokens(S2, TOKENS.points[present]), field=mf.SelfAttention(beta=3.0))
    np.testing.assert_allclose(matrix[np.ix_(here, here)], alone, rtol=0, atol=1e-15)


def test_jacobian_along_a_path_has_an_axis_of_depth_and_its_own_field():
    path = mf.flow(TOKENS, mf.SelfAttention(beta=3.0), until=1.0, save=3)
    along = jacobian(path)
    assert along.shape == (3, 10, 10)
    np.testing.assert_allclose(along[0], jacobian(TOKENS, field=path.field), rtol=0, atol=1e-14)


def test_what_has_no_jacobian_is_refused():
    with pytest.raises(mf.BadInput, match="jacobian depends on a field"):
        jacobian(TOKENS)
    changing = mf.Schedule([mf.SelfAttention(beta=1.0), mf.SelfAttention(beta=2.0)], [0.0, 1.0])
    with pytest.raises(mf.BadInput, match=r"give the field at one depth, field\.at\(t\)"):
        jacobian(TOKENS, field=changing)
    with pytest.raises(mf.BadInput, match=r"vectors have shape \(5, 2\)"):
        jacobian_product(TOKENS, np.zeros((5, 2)), field=mf.SelfAttention(beta=1.0))

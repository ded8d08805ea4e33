"""Figure 5 with random matrices: cheap coordinates show the same flow, and clouds are added until cells are exact."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow.claims.p2312_10794.phase_figures import MORE, PUBLISHED, pooled
from measureflow.claims.p2312_10794.random_heads import ENSEMBLES, Heads, RandomHead, under

BETA, N, D = 3.0, 6, 8


def head_of(heads):
    """Return the field of the first cloud at one beta, in double precision."""
    values = heads.values[0] / BETA if heads.values.ndim == 1 else heads.values[0]
    return RandomHead(jnp.asarray(BETA * heads.form[0]), jnp.asarray(values))


@pytest.mark.parametrize("name", ENSEMBLES)
def test_a_head_in_coordinates_of_its_matrices_is_self_attention(name):
    heads = Heads.drawn(np.random.default_rng(1), name, 1, n=N, d=D)
    B, V, points = heads.B[0], heads.V[0], heads.points[0]
    exact = mf.SelfAttention(BETA, query=B.T, value=V.T)(points, mf.Tokens(mf.Sphere(D), points))
    turned = mf.Tokens(mf.Sphere(D), heads.turned[0])
    found = np.asarray(head_of(heads)(turned.points, turned))
    # rotations keep inner products: those of velocities and tokens are all that a share depends on
    assert np.abs(found @ heads.turned[0].T - np.asarray(exact) @ points.T).max() < 1e-12 * np.abs(V).max() * D
    assert np.abs(found @ found.T - np.asarray(exact @ exact.T)).max() < 1e-11 * np.abs(V).max() ** 2 * D


def test_a_diagonal_is_a_matrix():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(N, D)))
    assert np.allclose(under(x[0], x), under(jnp.diag(x[0]), x), atol=1e-15)


def test_a_cloud_that_is_one_token_rests_and_one_of_two_does_not():
    heads = Heads.drawn(np.random.default_rng(2), "c", 1, n=N, d=D)
    near = np.repeat(heads.points[0][:1], N, axis=0)
    one = mf.Tokens(mf.Sphere(D), near)
    assert not np.asarray(head_of(heads)(one.points, one)).any()
    near[-1] *= -1
    two = mf.Tokens(mf.Sphere(D), near)
    assert np.abs(np.asarray(head_of(heads)(two.points, two))).max() > 0.1


@pytest.mark.parametrize(("together", "wanted"), [(False, MORE), (True, PUBLISHED)])
def test_clouds_are_added_as_long_as_one_pair_of_each_published_cloud_is_more_exact(together, wanted):
    rng, asked = np.random.default_rng(3), []

    def more(first):
        asked.append(first)
        pairs = rng.random((MORE, 1 if together else 100, 1)) < 0.5  # all pairs meet at once, or each by itself
        return pairs.mean(axis=1)

    assert abs(pooled(more, PUBLISHED)[0] - 0.5) < 0.1
    assert len(asked) * MORE == wanted

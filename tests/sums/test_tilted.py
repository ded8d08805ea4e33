from __future__ import annotations

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from hasty import hasty_jit

N, D = 23, 10  # a prime: a multiple of no tile; a dimension whose gaps are summed by products
KINDS = {
    "symmetric": {},
    "shifted": {"weighting": mf.fields.Unnormalised(shifted=True)},
    "causal": {"mask": "causal"},
    "l2": {"score": "l2", "mask": "causal", "weighting": "unnormalised"},
    "matrices": {name: np.random.default_rng(i).normal(size=(7, D)) for i, name in enumerate(("query", "key"))},
}
TILED = mf.sums.Exact(block=8)
WHOLE = mf.sums.Exact()  # one block: plain rows of weights, plainly differentiated


def cloud(*, complete: bool) -> mf.Tokens:
    rng = np.random.default_rng(3)
    masses = rng.uniform(0.5, 1.5, N)
    masses[4] = 0.0
    present = (np.arange(N) != 7) | complete
    masses = np.where(present, masses, 0.0)
    points = mf.uniform(mf.Sphere(D), N, seed=2).points
    return mf.Tokens(mf.Sphere(D), points, masses / masses.sum(), positions=rng.permutation(N), present=present)


@pytest.fixture
def tokens() -> mf.Tokens:
    return cloud(complete=False)


def everything(kind: dict, sum: mf.sums.Sum):
    """Return output, velocity and a sum of wide values, as one function of all that can be differentiated."""

    def compute(beta, numbers, points, weights, values, tokens):
        field = mf.SelfAttention(beta, **{**kind, **numbers})
        mu = tokens.replace(points=points, weights=weights)
        wide = sum.attend(field.kernel, points, mu.positions if "mask" in kind else None, mu, values)
        pulled, total = sum.pull(field.kernel, points, mu.positions if "mask" in kind else None, mu)
        return wide, pulled, total

    return compute


def arguments(kind: dict, tokens: mf.Tokens) -> tuple:
    values = np.random.default_rng(5).normal(size=(N, 13))
    numbers = {name: jnp.asarray(kind[name]) for name in ("query", "key") if name in kind}
    return jnp.asarray(0.7), numbers, tokens.points, tokens.weights, jnp.asarray(values)


def scalar(sums) -> jax.Array:
    return sum(jnp.sum(jnp.sin(3.0 * part)) for part in sums)


@partial(hasty_jit, static_argnums=(0, 1))
def ways(name: str, sum: mf.sums.Sum, given: tuple, direction: tuple, tokens: mf.Tokens):
    """Return the derivatives both ways, and the sums."""
    compute = everything(KINDS[name], sum)
    slope = jax.grad(lambda *a: scalar(compute(*a, tokens)), argnums=range(5))(*given)
    return slope, jax.jvp(lambda *a: compute(*a, tokens), given, direction)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("complete", [True, False])
def test_tiles_and_their_derivatives_both_ways_are_those_of_whole_rows(name, complete):
    # without absent tokens, symmetric tiles are computed once for both sides; with one, tile by tile
    tokens = cloud(complete=complete)
    given = arguments(KINDS[name], tokens)
    direction = jax.tree.map(lambda a: jnp.asarray(np.random.default_rng(a.size).normal(size=a.shape)), given)
    tiled, whole = (ways(name, sum, given, direction, tokens) for sum in (TILED, WHOLE))
    for ours, plain in zip(jax.tree.leaves(tiled), jax.tree.leaves(whole), strict=True):
        scale = max(1.0, float(np.abs(plain).max()))
        np.testing.assert_allclose(ours, plain, rtol=0, atol=1e-13 * scale)


def test_second_derivatives_are_those_of_whole_rows(tokens):
    points = tokens.points
    direction = jnp.asarray(np.random.default_rng(1).normal(size=points.shape))

    def curvature(sum):
        def loss(points):
            mu = tokens.replace(points=points)
            return scalar([sum.attend(mf.SelfAttention(1.5).kernel, points, None, mu, points)])

        along = jax.grad(lambda p: jax.jvp(loss, (p,), (direction,))[1])(points)
        return along, jax.jvp(jax.grad(loss), (points,), (direction,))[1]

    tiled, whole = (hasty_jit(curvature, static_argnums=0)(sum) for sum in (TILED, WHOLE))
    for ours, plain in zip(tiled, whole, strict=True):
        np.testing.assert_allclose(ours, plain, rtol=0, atol=2e-13 * float(np.abs(plain).max()))


@eqx.filter_jit
def tiled_pull(field, x, mu):
    return TILED.pull(field.kernel, x, None, mu)


@eqx.filter_jit
def weights(field, x, mu):
    return field.weights(x, mu)


@pytest.mark.parametrize("beta", [0.0, 400.0, 1e6])
@pytest.mark.parametrize("query", [1.0, -1.0])
def test_no_beta_over_or_underflows_the_tiles(beta, query, tokens):
    # on its own tokens a bound on the logits is the shift, elsewhere the largest logit where the bound is too far above
    field = mf.SelfAttention(beta, query=query)
    for x in (tokens.points, mf.uniform(mf.Sphere(D), 11, seed=8).points):
        pulled, total = tiled_pull(field, x, tokens)
        expected = np.asarray(weights(field, x, tokens))
        gaps = np.asarray(tokens.points)[None] - np.asarray(x)[:, None]
        np.testing.assert_allclose(total, 1.0, rtol=1e-14)
        np.testing.assert_allclose(pulled, np.einsum("mn,mnd->md", expected, gaps), atol=1e-15 * max(10.0, beta))


@pytest.mark.parametrize("gap", [1e-3, 1e-9, 1e-200])
def test_tiles_keep_the_digits_of_near_tokens(gap):
    # about a place far from the origin of the logits' own rounding, a matrix product would lose what is left
    rng = np.random.default_rng(0)
    offsets = np.concatenate([gap * rng.normal(size=(N, D - 1)), np.zeros((N, 1))], axis=1)
    mu = mf.Tokens(mf.Euclidean(D), offsets)
    field = mf.SelfAttention(2.0, score="l2")
    pulled, _ = tiled_pull(field, mu.points, mu)
    each = np.asarray(weights(field, mu.points, mu))
    gaps = offsets[None] - offsets[:, None]
    sizes = np.einsum("mn,mnd->md", each, np.abs(gaps))
    assert (np.abs(pulled - np.einsum("mn,mnd->md", each, gaps)) <= 1e-14 * sizes).all()


def test_single_precision_stays_single_in_tiles(tokens):
    single = mf.Tokens(tokens.space, np.asarray(tokens.points, np.float32), np.asarray(tokens.weights, np.float32))
    with jax.numpy_dtype_promotion("strict"):
        for kind in KINDS.values():
            field = mf.SelfAttention(2.0, sum=TILED, **kind)
            shapes = jax.eval_shape(
                lambda field=field: (field(single.points, single), field.output(single.points, single))
            )
            assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {jnp.dtype("float32")}

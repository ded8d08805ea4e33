from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import measureflow as mf
from hasty import hasty_jit

#: not a multiple of any block; large enough that the far blocks are left out where beta is large
N = 1501
BETAS = (0.0, 1e-12, 1.0, 100.0, 700.0, 1e4, 1e6)


def sphere(points: np.ndarray) -> np.ndarray:
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def uniform(d: int, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(N, d))


def clustered(d: int, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(7, d))[rng.integers(0, 7, N)] + 1e-3 * rng.normal(size=(N, d))


def two_far_clusters(d: int, rng: np.random.Generator) -> np.ndarray:
    side = np.where(np.arange(N) % 3 == 0, -1.0, 1.0)[:, None] * np.eye(d)[0]
    return side + 1e-9 * rng.normal(size=(N, d))


def isolated(d: int, rng: np.random.Generator) -> np.ndarray:
    """A heap, one token at its antipode, one beside it."""
    points = np.eye(d)[0] + 1e-2 * rng.normal(size=(N, d))
    points[17], points[18] = -np.eye(d)[0], np.eye(d)[1]
    return points


def coincident(d: int, rng: np.random.Generator) -> np.ndarray:
    return np.ones((N, d))


PLACES = (uniform, clustered, two_far_clusters, isolated, coincident)


def tokens(place: Callable, d: int) -> mf.Tokens:
    """Unequal masses, some zero, five tokens absent and lying anywhere, positions in no order."""
    rng = np.random.default_rng(3)
    masses, present = rng.uniform(0.5, 1.0, N), np.ones(N, bool)
    masses[::50], present[-5:] = 0.0, False
    masses[~present] = 0.0
    positions = rng.integers(0, N // 2, N)
    return mf.Tokens(mf.Sphere(d), sphere(place(d, rng)), masses / masses.sum(), present=present, positions=positions)


@jax.jit
def exactly(kernel: mf.sums.Kernel, x: jax.Array, rank: jax.Array | None, mu: mf.Tokens) -> jax.Array:
    return mf.sums.Exact().attend(kernel, x, rank, mu, mu.points)


@jax.jit
def exact_pull(kernel: mf.sums.Kernel, rank: jax.Array | None, mu: mf.Tokens) -> jax.Array:
    return mf.sums.Exact().pull(kernel, mu.points, rank, mu)[0]


def error(near: mf.sums.Neighbours, kernel: mf.sums.Kernel, mu: mf.Tokens, x=None, rank=None) -> tuple[float, float]:
    """Error relative to the largest entry, less what rounding does to the exact sum (an inner product is off by d u);
    and the bound on it."""
    x = mu.points if x is None else x
    truth = exactly(kernel, x, rank, mu)
    gap = float(jnp.max(jnp.abs(near.attend(kernel, x, rank, mu, mu.points) - truth)) / jnp.max(jnp.abs(truth)))
    rounding = 1e-16 * (abs(float(kernel.exponential().concentration)) * (mu.d + 2) + 30)
    return gap - rounding, float(near.error_bound(kernel, x, mu, None, rank))


def kernel(beta: float = 9.0, **words: object) -> mf.sums.Kernel:
    return mf.SelfAttention(beta, **words).kernel


@pytest.mark.parametrize("d", [3, pytest.param(8, marks=pytest.mark.slow)])
def test_sums_agree_with_exact_ones_within_their_bound(d):
    for place in PLACES:
        mu = tokens(place, d)
        for beta in BETAS:
            gap, bound = error(mf.sums.Neighbours(), kernel(beta), mu)
            # rounding of c(|y|^2 - 1)/2 and of chunks, beside an output >= 0.02
            assert gap <= bound < 1e-10 + 1e-13 * beta


def test_what_is_left_out_is_there_and_within_the_bound():
    mu = tokens(uniform, 3)
    gap, bound = error(mf.sums.Neighbours(tolerance=0.5), kernel(300.0), mu)
    assert 1e-12 < gap <= bound < 2


def test_bound_holds_against_thirty_digits():
    mu = tokens(clustered, 3)
    queries = jnp.asarray(sphere(np.asarray(mu.points[:3]) + 0.02))
    near = mf.sums.Neighbours(tolerance=1e-6)
    got = near.attend(kernel(1e4), queries, None, mu, mu.points)
    with mpmath.workdps(30):
        points, masses = (np.asarray(a) for a in mu.atoms())
        truth = []
        for x in np.asarray(queries):
            logits = [mpmath.fdot(x.tolist(), y.tolist()) * 10000 for y in points]
            weights = [mpmath.mpf(a) * mpmath.exp(one) for a, one in zip(masses, logits, strict=True)]
            total = mpmath.fsum(weights)
            truth.append([float(mpmath.fdot(weights, points[:, k].tolist()) / total) for k in range(3)])
    gap = jnp.max(jnp.abs(got - jnp.asarray(truth))) / np.abs(truth).max()
    assert gap <= near.error_bound(kernel(1e4), queries, mu) < 1e-5


def test_numbers_as_query_and_other_weightings_are_summed():
    for words in ({"query": -2.0}, {"weighting": mf.fields.Unnormalised(shifted=True), "query": 0.5}):
        for place in (uniform, isolated):
            for beta in (1.0, 700.0):
                gap, bound = error(mf.sums.Neighbours(), kernel(beta, **words), tokens(place, 3))
                assert gap <= bound < 1e-9


def test_far_queries_find_their_nearest_atoms():
    mu = tokens(isolated, 3)
    queries = jnp.asarray(sphere(np.random.default_rng(0).normal(size=(200, 3)) - 2 * np.eye(3)[0]))
    for beta in (100.0, 1e6):
        gap, bound = error(mf.sums.Neighbours(), kernel(beta), mu, queries)
        assert gap <= bound < 1e-10 + 1e-13 * beta


def test_under_a_causal_mask_only_what_stands_before_counts():
    causal, near = kernel(1e3, mask="causal"), mf.sums.Neighbours()
    mu = tokens(uniform, 3)
    rank = mu.positions.at[0].set(-1)
    gap, bound = error(near, causal, mu, rank=rank)
    assert gap <= bound < 1e-10
    moved, weight = near.pull(causal, mu.points, rank, mu)
    assert jnp.max(jnp.abs(moved - exact_pull(causal, rank, mu))) < 1e-13
    assert weight[0] == 0
    assert (moved[0] == 0).all()


def test_pull_keeps_the_digits_of_what_it_sums():
    mu = tokens(two_far_clusters, 3)
    near = mf.sums.Neighbours(tolerance=1e-25)
    for beta in (100.0, 1e4):
        got, truth = near.pull(kernel(beta), mu.points, None, mu)[0], exact_pull(kernel(beta), None, mu)
        speed = jnp.max(jnp.abs(truth))
        assert speed < 1e-8
        assert jnp.max(jnp.abs(got - truth)) <= 1e-9 * speed  # rounding of c<x,y> in the exact sum
        assert near.floor(kernel(beta), mu) < 1e-24


def test_coincident_tokens_do_not_pull_each_other():
    mu = tokens(coincident, 3)
    assert jnp.array_equal(mf.sums.Neighbours().pull(kernel(700.0), mu.points, None, mu)[0], jnp.zeros((N, 3)))


def test_velocity_is_precise_to_the_floor():
    mu, near = tokens(uniform, 3), mf.sums.Neighbours(tolerance=0.5)
    gap = jnp.max(jnp.abs(near.pull(kernel(300.0), mu.points, None, mu)[0] - exact_pull(kernel(300.0), None, mu)))
    assert 1e-12 < gap <= near.floor(kernel(300.0), mu) < 2


def test_one_token_is_its_own_neighbour():
    one = mf.Tokens(mf.Sphere(3), [[0.0, 0.0, 1.0]])
    field = mf.SelfAttention(1e3, sum=mf.sums.Neighbours())
    assert jnp.array_equal(field.output(one.points, one), one.points)
    assert jnp.array_equal(field(one.points, one), jnp.zeros((1, 3)))


def test_tokens_off_the_sphere_are_summed_as_they_are():
    mu = mf.gaussian(mf.Euclidean(3), n=N, seed=0)
    gap, bound = error(mf.sums.Neighbours(), kernel(30.0), mu)
    assert gap <= bound < 1e-9


def test_larger_beta_leaves_more_pairs_out():
    mu = tokens(uniform, 3)
    shares = []
    for beta in (1.0, 1e3, 1e6):
        said = mf.sums.Neighbours().explain(kernel(beta), mu)
        shares.append(float(said.split(": ")[1].split(" %")[0]))
    assert shares[0] == 100
    assert 100 > 1.5 * shares[1] > 2 * shares[2] > 0


def some(n: int = 700) -> mf.Tokens:
    return mf.uniform(mf.Sphere(3), n=n, seed=1)


SHIFTED = {"weighting": mf.fields.Unnormalised(shifted=True), "mask": "causal"}


@pytest.mark.parametrize("words", [{}, pytest.param(SHIFTED, marks=pytest.mark.slow)])
def test_gradients_are_those_of_exact_sums(words):
    mu = some()

    def gradients(sum: mf.sums.Sum) -> Callable:
        def loss(points, weights, beta):
            measure = mu.replace(points=points, weights=weights)
            kernel = mf.SelfAttention(beta, **words).kernel
            moved = sum.pull(kernel, points, mu.positions, measure)[0]
            return jnp.sum(jnp.sin(moved * jnp.arange(1, 4)) * jnp.arange(700)[:, None])

        return hasty_jit(jax.grad(loss, argnums=(0, 1, 2)))

    near, exact = gradients(mf.sums.Neighbours()), gradients(mf.sums.Exact())
    for beta in (2.0, 1e4):
        at = (mu.points, mu.weights, beta)
        for a, b in zip(near(*at), exact(*at), strict=True):
            # the derivative by a logit c is a difference of terms of size c
            assert jnp.max(jnp.abs(a - b)) <= (1e-11 + 1e-13 * beta) * jnp.max(jnp.abs(b))


@pytest.mark.slow
def test_second_derivatives_are_those_of_exact_sums():
    mu = some()
    along = jax.random.normal(jax.random.key(1), (700, 3), float)

    def turned_gradient(sum: mf.sums.Sum) -> jax.Array:
        def loss(x: jax.Array) -> jax.Array:
            return jnp.sum(sum.attend(kernel(300.0), x, None, mu.replace(points=x), x) ** 3)

        return hasty_jit(lambda x, v: jax.jvp(jax.grad(loss), (x,), (v,))[1])(mu.points, along)

    near, exact = turned_gradient(mf.sums.Neighbours()), turned_gradient(mf.sums.Exact())
    assert jnp.max(jnp.abs(near - exact)) < 1e-9 * jnp.max(jnp.abs(exact))


def test_a_batch_of_betas_is_one_program_that_can_be_differentiated():
    mu = some()

    def loss(beta: jax.Array, sum: mf.sums.Sum) -> jax.Array:
        return jnp.sum(sum.attend(mf.SelfAttention(beta).kernel, mu.points, None, mu, mu.points)[::7])

    def slopes(sum: mf.sums.Sum) -> jax.Array:
        return hasty_jit(jax.grad(lambda betas: jnp.sum(jax.vmap(lambda beta: loss(beta, sum))(betas))))(betas)

    betas = jnp.array([0.0, 10.0, 1e4])
    assert jnp.allclose(slopes(mf.sums.Neighbours()), slopes(mf.sums.Exact()), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("words", [{"score": "l2"}, {"query": np.diag([1.0, 2.0, 1.0])}])
def test_what_is_no_exponential_is_refused_with_the_cure(words):
    mu = some(5)
    with pytest.raises(mf.BadInput, match=r"sum=mf\.sums\.Exact\(\)"):
        mf.SelfAttention(1.0, sum=mf.sums.Neighbours(), **words).output(mu.points, mu)


@pytest.mark.parametrize("tolerance", [0.0, 2.0, "small", True])
def test_bad_tolerances_are_refused(tolerance):
    with pytest.raises(mf.BadInput, match="tolerance"):
        mf.sums.Neighbours(tolerance=tolerance)
